use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse("am.yml", text, Path::new(".")).map_err(|problems| problems.to_string())
}

#[test]
fn the_built_in_configuration_tells_nobody() {
    let config = Config::default();
    let receivers: Vec<_> = config.receivers.values().collect();
    assert_eq!((receivers.len(), receivers[0].integrations.len()), (1, 0));
    assert_eq!(config.resolve_timeout_ms, 300_000);
}

#[test]
fn receivers_inherit_from_global() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "hunter2\n").unwrap();
    std::fs::write(folder.path().join("a.tmpl"), r#"{{ define "mine" }}hello{{ end }}"#).unwrap();
    let text = r#"
global:
  resolve_timeout: 1m
  smtp_from: am@example.org
  smtp_smarthost: 'mail.example.org:587'
  smtp_auth_username: am
  smtp_auth_password_file: password
  http_config: {basic_auth: {username: u, password: p}}
templates: ['*.tmpl']
route: {receiver: a}
receivers:
- name: a
  email_configs:
  - {to: 'x@example.org, y@example.org', headers: {subject: s, X-Team: db}, send_resolved: true}
  - {to: z@example.org, smarthost: 'other:465'}
  - {to: z@example.org, require_tls: false, threading: {enabled: false}}
  webhook_configs:
  - {url: 'https://hooks.example.org/x', max_alerts: 5, timeout: 3s, secret: k}
"#;
    let config = Config::parse("am.yml", text, folder.path()).unwrap();
    let integrations = &config.receivers["a"].integrations;
    let keys: Vec<_> = integrations.iter().map(|it| (it.key("a"), it.send_resolved)).collect();
    let expected = [("a/webhook/0", true), ("a/email/0", true), ("a/email/1", false), ("a/email/2", false)];
    assert_eq!(keys, expected.map(|(key, resolved)| (key.to_owned(), resolved)));
    let emails: Vec<_> = integrations
        .iter()
        .filter_map(|it| match &it.config {
            IntegrationConfig::Email(email) => Some(email),
            _ => None,
        })
        .collect();
    assert_eq!(emails[0].auth.as_ref().unwrap().1.expose(), "hunter2");
    assert_eq!(
        emails.iter().map(|it| it.tls).collect::<Vec<_>>(),
        [SmtpTls::Required, SmtpTls::Implicit, SmtpTls::Plain]
    );
    assert_eq!(
        (emails[0].host.as_str(), emails[0].port, emails[0].threading),
        ("mail.example.org", 587, true)
    );
    assert!(
        !emails[2].threading
            && emails[0].headers.contains_key("subject")
            && emails[1].headers.contains_key("Subject")
    );
    let IntegrationConfig::Webhook(webhook) = &integrations[0].config else { panic!("a webhook") };
    assert!(
        matches!(webhook.http.authorization, Some(Authorization::Basic { .. })) && webhook.secret.is_some()
    );
    let data = template::Value::Nil;
    assert_eq!(config.templates.expand(r#"{{ template "mine" }}"#, &data, false, 0).unwrap(), "hello");
}

#[test]
fn problems_say_where_and_what() {
    let with = |receiver: &str| format!("route: {{receiver: r}}\nreceivers:\n- name: r\n{receiver}");
    let route = |route: &str| format!("route:\n{route}\nreceivers: [{{name: r}}]\n");
    for (text, expected) in [
        ("receivers: []\n".to_owned(), "am.yml:1:1: no route provided"),
        ("route: {receiver: nobody}\nreceivers: []\n".to_owned(), "am.yml:1:19: undefined receiver `nobody`"),
        (with("- name: r\n"), "`r` is not unique"),
        (
            with("  slak_configs: [{}]\n"),
            "integration `slak_configs` is not supported; supported are `webhook_configs`",
        ),
        (with("  slak_configs: [{}]\n"), "did you mean `slack_configs`?"),
        (with("  webhook_configs: [{url: 'http://x/{{ nothing }}'}]\n"), "template: "),
        (
            with("  webhook_configs: [{url: 'http://x/', http_config: {oauth2: {}}}]\n"),
            "`oauth2` is not supported",
        ),
        (
            with("  webhook_configs: [{url: 'http://x/', http_config: {proxy_url: x}}]\n"),
            "`proxy_url` must be",
        ),
        (
            with("  webhook_configs: [{url: 'http://x/', http_config: {tls_config: {ca: nonsense}}}]\n"),
            "`ca` holds no certificate",
        ),
        (
            with(
                r#"  webhook_configs: [{url: 'http://x/', http_config: {http_headers: {A: {values: ["b\r\nC: d"]}}}}]"#,
            ),
            "a value of `A` in `http_headers` cannot be sent",
        ),
        (with("  webhook_configs: [{}]\n"), "am.yml:4:21: one of `url` and `url_file` must be set"),
        (with("  webhook_configs: [{url: 'ftp://x/'}]\n"), "unsupported scheme `ftp`"),
        (with("  webhook_configs: [{url: 'http://169.254.169.254/'}]\n"), "link-local"),
        (with("  webhook_configs: [{url: 'http://x/', uri: y}]\n"), "unknown field `uri`"),
        (with("  webhook_configs: [{url: 'http://x/', timeout: soon}]\n"), "timeout: not a valid duration"),
        (with("  email_configs: [{to: a@b}]\n"), "no `from` address"),
        (with("  email_configs: [{to: a@b, from: c@d}]\n"), "no mail server"),
        (
            with("  email_configs: [{to: a@b, from: c@d, smarthost: mail}]\n"),
            "not a mail server of the form host:port",
        ),
        (
            with("  email_configs: [{to: a@b, from: c@d, smarthost: 'm:25', auth_username: u}]\n"),
            "no `auth_password`",
        ),
        (route("  group_by: [a]"), "root route must specify a default receiver"),
        (route("  receiver: r\n  matchers: [a=b]"), "root route must not have any matchers"),
        (route("  receiver: r\n  group_by: ['...', a]"), "am.yml:3:21: cannot have a wildcard"),
        (route("  receiver: r\n  group_by: [a, a]"), "duplicated label `a`"),
        (route("  receiver: r\n  group_interval: 0s"), "am.yml:3:19: `group_interval` cannot be zero"),
        (route("  receiver: r\n  routes: [{matchers: ['a=~(']}]"), "am.yml:3:"),
        (route("  receiver: r\n  routes: [{mute_time_intervals: [x]}]"), "undefined time interval `x`"),
        (
            "route: {receiver: r}\nreceivers: [{name: r}]\ntemplates: ['/nonexistent/*.tmpl']\n".to_owned(),
            "failed to read",
        ),
        ("global: {slack_api_uri: x}\n".to_owned(), "did you mean `slack_api_url`?"),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.contains(expected) && error.starts_with("am.yml:"), "{text}: {error}");
    }
}

#[test]
fn a_broken_template_file_names_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.tmpl");
    std::fs::write(&path, "fine\n{{ define }}").unwrap();
    let text = "route: {receiver: r}\nreceivers: [{name: r}]\ntemplates: [bad.tmpl]\n";
    let error = Config::parse("am.yml", text, folder.path()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}:2:", path.display())), "{error}");
}

/// Keys with nothing behind them, as half-finished files have them.
#[test]
fn empty_keys_are_empty_lists() {
    let text = "\
tracing: {endpoint: 'localhost:4317', insecure: true}
route:
  receiver: r
  routes:
  - receiver: r
    matchers:
    match:
    routes:
inhibit_rules:
- source_matchers:
  target_matchers:
  equal:
templates:
time_intervals:
receivers:
- name: r
  webhook_configs:
  slack_configs:
";
    let config = Config::parse("f", text, Path::new(".")).unwrap();
    assert_eq!((config.routes.iter().count(), config.inhibit_rules.len()), (2, 1));
    assert!(config.receivers["r"].integrations.is_empty());
}

#[test]
fn what_becomes_of_the_ends_of_muted_alerts_is_a_setting() {
    let text = |value: &str| {
        format!(
            "route: {{receiver: r}}\nreceivers: [{{name: r, on_mute: {value}, webhook_configs: [{{url: 'http://x/'}}]}}]\n"
        )
    };
    let read = |value: &str| Config::parse("f", &text(value), Path::new("."));
    for (value, expected) in [("send_resolved", OnMute::SendResolved), ("stay_silent", OnMute::StaySilent)] {
        assert_eq!(read(value).unwrap().receivers["r"].integrations[0].on_mute, expected);
    }
    assert!(read("quiet").unwrap_err().to_string().contains("on_mute is `quiet`"));
}
