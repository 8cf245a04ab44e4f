//! `sns_configs`: Amazon's Simple Notification Service, or what speaks like it. Requests are signed
//! by an access key given here or by the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
//! `AWS_SESSION_TOKEN`, `AWS_REGION`).

use super::sigv4::{Signed, Signer};
use crate::{
    config::{Context, GlobalYaml, HttpConfig, HttpYaml, SecretUrl, check_target, secret, texts},
    notify::{
        http::{Answer, AttemptError, form},
        telling::{Telling, truncate_bytes, truncate_chars},
    },
    problem::Place,
};
use daemon::Secret;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, path::PathBuf};

/// What SNS takes at most.
const SUBJECT_CHARS_MAX: usize = 100;
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
const SMS_BYTES_MAX: usize = 1600;
const FORM: &str = "application/x-www-form-urlencoded";

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct SnsConfig {
    url: SecretUrl,
    region: String,
    access_key: String,
    secret_key: Secret,
    session_token: Option<Secret>,
    http: HttpConfig,
    texts: Texts,
    attributes: BTreeMap<String, String>,
}

texts! {
    /// The templates of a message.
    Texts {
        topic_arn: "",
        target_arn: "",
        phone_number: "",
        subject: r#"{{ template "sns.default.subject" . }}"#,
        message: r#"{{ template "sns.default.message" . }}"#,
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Yaml {
    pub(crate) send_resolved: Option<bool>,
    http_config: Option<HttpYaml>,
    api_url: Option<Spanned<String>>,
    #[serde(default)]
    sigv4: Sigv4Yaml,
    topic_arn: Option<Spanned<String>>,
    target_arn: Option<Spanned<String>>,
    phone_number: Option<Spanned<String>>,
    subject: Option<Spanned<String>>,
    message: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    attributes: BTreeMap<String, Spanned<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sigv4Yaml {
    region: Option<String>,
    access_key: Option<String>,
    secret_key: Option<Secret>,
    secret_key_file: Option<PathBuf>,
    profile: Option<Spanned<String>>,
    role_arn: Option<Spanned<String>>,
}

impl Yaml {
    pub(crate) const SEND_RESOLVED: bool = true;

    pub(crate) fn build(
        &self,
        context: &mut Context<'_>,
        global: &GlobalYaml,
        place: Place,
    ) -> Option<SnsConfig> {
        let targets = [&self.topic_arn, &self.target_arn, &self.phone_number];
        if targets.into_iter().flatten().count() != 1 {
            context.report(place, "exactly one of `topic_arn`, `target_arn` and `phone_number` must be set");
        }
        for named in [&self.sigv4.profile, &self.sigv4.role_arn].into_iter().flatten() {
            context.report(
                Place::of(named),
                "profiles and roles are not supported; give `access_key` and `secret_key`",
            );
        }
        let (access_key, secret_key) = self.sigv4.keys(context, place)?;
        let environment = |name| std::env::var(name).ok();
        let region = self.sigv4.region.clone().or_else(|| environment("AWS_REGION"));
        let Some(region) = region.or_else(|| environment("AWS_DEFAULT_REGION")) else {
            context.report(place, "no `region` in `sigv4`");
            return None;
        };
        let default_url = format!("https://sns.{region}.amazonaws.com/");
        let url = self.api_url.as_ref().map_or(default_url.as_str(), |url| &url.value);
        let at = self.api_url.as_ref().map_or(place, Place::of);
        let attributes =
            self.attributes.iter().map(|(name, text)| (name.clone(), context.text(Some(text), "")));
        let attributes = attributes.collect();
        Some(SnsConfig {
            url: check_target(context, at, "api_url", url, false)?,
            region,
            access_key,
            secret_key,
            session_token: if self.sigv4.access_key.is_none() {
                environment("AWS_SESSION_TOKEN").map(Secret::new)
            } else {
                None
            },
            http: global.http(self.http_config.as_ref(), context, place).without_authorization(),
            texts: Texts::of(context, self),
            attributes,
        })
    }
}

impl Sigv4Yaml {
    fn keys(&self, context: &mut Context<'_>, place: Place) -> Option<(String, Secret)> {
        let given =
            secret(context, place, "secret_key", self.secret_key.as_ref(), self.secret_key_file.as_ref());
        let environment = |name| std::env::var(name).ok();
        let keys = match (self.access_key.clone(), given) {
            (Some(access), Some(secret)) => Some((access, secret)),
            (None, None) => {
                environment("AWS_ACCESS_KEY_ID").zip(environment("AWS_SECRET_ACCESS_KEY").map(Secret::new))
            }
            _ => None,
        };
        if keys.is_none() {
            context.report(place, "`sigv4` needs both `access_key` and `secret_key`");
        }
        keys
    }
}

impl SnsConfig {
    pub(crate) fn target(&self) -> String {
        let texts = &self.texts;
        format!("sns:{}{}{}", texts.topic_arn, texts.target_arn, texts.phone_number)
    }

    pub(crate) async fn send(&self, telling: &Telling<'_>) -> Result<(), AttemptError> {
        let body = self.body(telling)?;
        let url = self.url.expose().clone();
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        let path = url.path().to_owned();
        let signer = Signer {
            access_key: &self.access_key,
            secret_key: self.secret_key.expose(),
            session_token: self.session_token.as_ref().map(Secret::expose),
            region: &self.region,
            service: "sns",
        };
        let signed = Signed { host: &host, path: &path, content_type: FORM, body: &body };
        let mut request = self.http.post(telling.client, url).await?;
        for (name, value) in signer.headers(signed, telling.now_ms) {
            request = request.header(name, value);
        }
        Answer::of(request.body(body)).await?.accepted()
    }

    fn body(&self, telling: &Telling<'_>) -> Result<String, AttemptError> {
        let texts = &self.texts;
        let phone = telling.text(&texts.phone_number)?;
        let topic = telling.text(&texts.topic_arn)?;
        let is_sms = !phone.is_empty();
        let mut fields = vec![
            ("Action", "Publish".to_owned()),
            ("Version", "2010-03-31".to_owned()),
            ("TopicArn", topic.clone()),
            ("TargetArn", telling.text(&texts.target_arn)?),
            ("PhoneNumber", phone),
        ];
        if !is_sms {
            let subject = telling.text(&texts.subject)?.replace(['\r', '\n'], " ");
            fields.push(("Subject", truncate_chars(&subject, SUBJECT_CHARS_MAX)));
        }
        if topic.ends_with(".fifo") {
            fields.push(("MessageGroupId", telling.group_hash()));
            fields.push(("MessageDeduplicationId", telling.idempotency_key.to_owned()));
        }
        let bytes_max = if is_sms { SMS_BYTES_MAX } else { MESSAGE_BYTES_MAX };
        fields.push(("Message", truncate_bytes(&telling.text(&texts.message)?, bytes_max)));
        fields.retain(|(_, value)| !value.is_empty());
        let mut fields: Vec<(String, String)> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for (number, (name, template)) in self.attributes.iter().enumerate() {
            let prefix = format!("MessageAttributes.entry.{}", number + 1);
            let value = telling.text(template)?;
            let attribute = [
                ("Name", name.clone()),
                ("Value.DataType", "String".to_owned()),
                ("Value.StringValue", value),
            ];
            fields.extend(attribute.map(|(part, text)| (format!("{prefix}.{part}"), text)));
        }
        Ok(form(fields))
    }
}

#[cfg(test)]
mod tests {
    use crate::receivers::sink::{Sink, firing, problems};

    const KEYS: &str = "sigv4: {region: eu-west-1, access_key: AK, secret_key: SK}";

    #[tokio::test]
    async fn a_message_is_published_with_a_signature() {
        let sink = Sink::start(&[]).await;
        let config = format!(
            "sns_configs: [{{api_url: '{}', {KEYS}, topic_arn: 'arn:x.fifo', attributes: {{team: '{{{{ .Status }}}}'}}}}]",
            sink.url
        );
        sink.send(&config, firing()).await.unwrap();
        let form = sink.form(0);
        for (name, expected) in [
            ("Action", "Publish"),
            ("Version", "2010-03-31"),
            ("TopicArn", "arn:x.fifo"),
            ("Subject", "[FIRING:1] DiskFull (db-1 critical)"),
            ("Message", "DiskFull db-1 critical\n94 % of <b>/</b> is used\nsince 2022-01-25 12:36:43 UTC\n"),
            ("MessageDeduplicationId", "ntf_1"),
            ("MessageAttributes.entry.1.Name", "team"),
            ("MessageAttributes.entry.1.Value.DataType", "String"),
            ("MessageAttributes.entry.1.Value.StringValue", "firing"),
        ] {
            assert_eq!(form[name], expected, "{name}");
        }
        let headers = sink.request(0).headers;
        assert_eq!(headers["x-amz-date"], "20220125T123820Z");
        let authorization = &headers["authorization"];
        assert!(
            authorization.starts_with("AWS4-HMAC-SHA256 Credential=AK/20220125/eu-west-1/sns/aws4_request, "),
            "{authorization}"
        );
    }

    #[tokio::test]
    async fn there_is_one_authorization() {
        let sink = Sink::start(&[]).await;
        let config = format!(
            "sns_configs: [{{api_url: '{}', {KEYS}, topic_arn: t, http_config: {{basic_auth: {{username: u}}}}}}]",
            sink.url
        );
        sink.send(&config, firing()).await.unwrap();
        assert!(sink.request(0).headers["authorization"].starts_with("AWS4-HMAC-SHA256 "));
    }

    #[tokio::test]
    async fn a_text_message_is_short_and_has_no_subject() {
        let sink = Sink::start(&[]).await;
        let config = format!(
            "sns_configs: [{{api_url: '{}', {KEYS}, phone_number: '+491', message: '{}'}}]",
            sink.url,
            "x".repeat(2000)
        );
        sink.send(&config, firing()).await.unwrap();
        let form = sink.form(0);
        assert_eq!((form["Message"].len(), form.contains_key("Subject")), (1600, false));
        let found = problems(
            "sns_configs: [{sigv4: {region: r, access_key: a}, topic_arn: t}, {sigv4: {region: r, access_key: a, secret_key: s}}]",
        );
        assert!(found[0].contains("`secret_key`") && found[1].contains("exactly one of"), "{found:?}");
    }
}
