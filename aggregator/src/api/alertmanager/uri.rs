//! What Alertmanager takes for an address in `generatorURL`: what Go's `url.ParseRequestURI` reads.

/// Whether `text` is an address with a scheme, or a path from the root.
pub(super) fn is_request_uri(text: &str) -> bool {
    if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return false;
    }
    let Some((scheme, rest)) = split_scheme(text) else { return false };
    let Some(path) = rest.split('?').next().filter(|path| path.starts_with('/') || *path == "*") else {
        return scheme.is_some();
    };
    match path.strip_prefix("//").filter(|_| scheme.is_some()) {
        Some(rest) => {
            let at = rest.find('/').unwrap_or(rest.len());
            is_authority(&rest[..at]) && has_whole_escapes(&rest[at..])
        }
        None => has_whole_escapes(path),
    }
}

/// The scheme, if there is one, and what follows it; `None` when it is empty.
fn split_scheme(text: &str) -> Option<(Option<&str>, &str)> {
    let in_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    match text.find(|c| !in_scheme(c)) {
        Some(end)
            if text[end..].starts_with(':')
                && !text.starts_with(|c: char| !c.is_ascii_alphabetic() && c != ':') =>
        {
            (end > 0).then(|| (Some(&text[..end]), &text[end + 1..]))
        }
        _ => Some((None, text)),
    }
}

fn is_authority(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').map_or((None, text), |(user, host)| (Some(user), host));
    let in_user = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    user.is_none_or(|user| user.chars().all(in_user) && has_whole_escapes(user)) && is_host(host)
}

/// A name or an address, and perhaps a port.
fn is_host(text: &str) -> bool {
    let port_at = match text.strip_prefix('[') {
        Some(_) => match text.rfind(']') {
            Some(end) => end + 1,
            None => return false,
        },
        None => text.rfind(':').unwrap_or(text.len()),
    };
    let (name, port) = text.split_at(port_at);
    let is_port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    let in_host =
        |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"%".contains(c);
    is_port && name.chars().all(in_host) && has_whole_escapes(name)
}

/// Whether two hexadecimal digits follow each `%`.
fn has_whole_escapes(text: &str) -> bool {
    let is_whole = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    text.split('%').skip(1).all(is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_go_reads() {
        for good in [
            "http://x/",
            "/x",
            "/a b?%zz",
            "*",
            "mailto:x",
            "http://u:p%40@h:80/p%20q?x#y",
            "http://[::1]:9090/g",
            "http://h:/",
            "http:///x",
            "http://prom:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
            "http://größe/",
        ] {
            assert!(is_request_uri(good), "{good}");
        }
        for bad in [
            "x",
            "not a url",
            "http://x/%zz",
            "http://x/%2",
            "http://a b/",
            "http://h:x/",
            "http://[::1/",
            "://x",
            "http://x/\n",
            "http://u r@h/",
            "#",
            "?x",
        ] {
            assert!(!is_request_uri(bad), "{bad}");
        }
    }
}
