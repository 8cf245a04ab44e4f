//! The configuration as it is shown: what was written, with secrets hidden.

use serde_json::Value;

const HIDDEN: &str = "<secret>";

/// The YAML in `text` again, without secrets. Keys are in alphabetical order.
pub(super) fn shown(text: &str) -> String {
    let document = daemon::config::only_document(text).unwrap_or_default();
    let parsed: Result<Value, _> = serde_saphyr::from_str(&document);
    let Ok(mut value) = parsed else { return String::new() };
    hide(&mut value);
    serde_saphyr::to_string(&value).unwrap_or_default()
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    // Without quotes a token of digits is a number.
                    Value::String(_) | Value::Number(_) | Value::Bool(_) if is_secret(name) => {
                        *field = Value::String(HIDDEN.to_owned());
                    }
                    Value::String(text) if is_address(name) => *text = without_token(text),
                    Value::Array(values) if name == "secrets" || name == "values" => {
                        values.iter_mut().for_each(hide_all);
                    }
                    // Whatever the names in these, the values may be secrets.
                    Value::Object(_) if name == "proxy_connect_header" || name == "endpoint_params" => {
                        hide_all(field);
                    }
                    other => hide(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

/// Hides every text in `value`.
fn hide_all(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(hide_all),
        Value::Array(items) => items.iter_mut().for_each(hide_all),
        other => *other = Value::String(HIDDEN.to_owned()),
    }
}

fn is_secret(name: &str) -> bool {
    let words = ["password", "secret", "credentials", "token", "token_id", "_key"];
    words.iter().any(|word| name.ends_with(word)) || matches!(name, "key" | "cert")
}

/// Whether a setting is an address whose path may hold a token.
fn is_address(name: &str) -> bool {
    let words = ["api_url", "webhook_url", "token_url", "proxy_url"];
    name == "url" || words.iter().any(|word| name.ends_with(word))
}

/// A webhook's path often holds a token: only scheme and host are shown, unless there is no more.
fn without_token(url: &str) -> String {
    let Ok(parsed) = reqwest::Url::parse(url) else { return HIDDEN.to_owned() };
    let plain = parsed.path() == "/" && parsed.query().is_none() && parsed.password().is_none();
    if plain {
        return url.to_owned();
    }
    let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}/{HIDDEN}", parsed.scheme(), parsed.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_the_rest_is_kept() {
        let text = "global: {smtp_auth_password: hunter2, smtp_from: a@b}\nreceivers:\n- name: x\n  webhook_configs:\n  \
                    - {url: 'https://hooks.example.org:8443/T0/s3cret', secret: k3y}\n";
        let shown = shown(text);
        for hidden in ["hunter2", "s3cret", "k3y"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
        assert!(
            shown.contains("https://hooks.example.org:8443/<secret>") && shown.contains("a@b"),
            "{shown}"
        );
        assert!(serde_saphyr::from_str::<Value>(&shown).is_ok());
    }

    #[test]
    fn what_stands_around_the_document_does_not_hide_it() {
        for text in ["a: 1\n---\n", "# x\n---\na: 1\n--- # end\n", "%YAML 1.1\n---\na: 1\n", "\u{feff}a: 1\n"]
        {
            assert_eq!(shown(text).trim(), "a: 1", "{text}");
        }
    }
}
