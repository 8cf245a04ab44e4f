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
  - {to: 'x@example.org, y@example.org', headers: {subject: s, x-my team: db}, send_resolved: true}
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
            && emails[0].headers.contains_key("Subject")
            && emails[0].headers.contains_key("X-My Team")
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
            "route: {receiver: r}\nreceivers: [{name: r}]\ntemplates: ['/dev/null/*.tmpl']\n".to_owned(),
            "failed to read",
        ),
        ("global: {slack_api_uri: x}\n".to_owned(), "did you mean `slack_api_url`?"),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.contains(expected) && error.starts_with("am.yml:"), "{text}: {error}");
    }
}

#[test]
fn a_password_that_cannot_be_read_is_one_problem() {
    let error = parse(
        "global: {smtp_auth_password_file: nothing}\nroute: {receiver: r}\nreceivers:\n- name: r\n  \
         email_configs: [{to: a@b, from: c@d, smarthost: 'm:25', auth_username: u}]\n",
    );
    let error = error.unwrap_err();
    assert!(error.contains("nothing`") && !error.contains("no `auth_password`"), "{error}");
}

#[test]
fn problems_of_newer_settings_say_what_to_do() {
    let with = |receiver: &str| format!("route: {{receiver: r}}\nreceivers:\n- name: r\n{receiver}");
    for (text, expected) in [
        (
            with(
                "  webhook_configs: [{url: 'http://x/', http_config: {oauth2: {client_id: i, token_url: t, client_secret: s}}}]\n",
            ),
            "`token_url` is not an address",
        ),
        (
            with("  webhook_configs: [{url: 'http://x/', http_config: {no_proxy: x}}]\n"),
            "`no_proxy` is of use with `proxy_url` only",
        ),
        (
            with(
                "  webhook_configs: [{url: 'http://x/', http_config: {tls_config: {min_version: TLS14}}}]\n",
            ),
            "unknown TLS version `TLS14`",
        ),
        (
            with(
                "  webhook_configs: [{url: 'http://x/', http_config: {tls_config: {min_version: TLS13, max_version: TLS12}}}]\n",
            ),
            "`max_version: TLS12`",
        ),
        (
            with("  webhook_configs: [{url: 'http://x/', http_config: {tls_config: {server_name: x}}}]\n"),
            "use an address with that name",
        ),
        (
            with("  webhook_configs: [{url: 'http://x/', payload: {}}]\n"),
            "`payload` is not supported: a webhook's body",
        ),
        (
            with("  jira_configs: [{project: x}]\n"),
            "`jira_configs` is not supported; supported are `webhook_configs`",
        ),
        (with("  jira_configs: [{project: x}]\n"), "reach others through `webhook_configs`"),
        (
            with(
                "  email_configs: [{to: a@b, from: a@b, smarthost: 'h:25', auth_username: u, auth_secret: s}]\n",
            ),
            "CRAM-MD5",
        ),
        (
            with(
                "  email_configs: [{to: a@b, from: a@b, smarthost: 'h:25', tls_config: {max_version: TLS12}}]\n",
            ),
            "`max_version: TLS12` is not supported for mail",
        ),
        (
            with("  slack_configs: [{api_url: 'http://x/', app_token: t}]\n"),
            "at most one of `api_url` and `app_token`",
        ),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.contains(expected) && error.starts_with("am.yml:"), "{text}: {error}");
    }
}

/// What Alertmanager takes.
#[test]
fn older_and_looser_forms_are_read() {
    let with = |global: &str, receiver: &str| {
        let text =
            format!("global: {{{global}}}\nroute: {{receiver: r}}\nreceivers:\n- name: r\n  {receiver}\n");
        parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
    };
    let bearer = |config: &Config| {
        let IntegrationConfig::Webhook(webhook) = &config.receivers["r"].integrations[0].config else {
            panic!("a webhook")
        };
        match &webhook.http.authorization {
            Some(Authorization::Credentials { scheme, credentials }) => {
                format!("{scheme} {}", credentials.expose())
            }
            other => panic!("{other:?}"),
        }
    };
    let own = "webhook_configs: [{url: 'http://x/', http_config: {bearer_token: t}}]";
    assert_eq!(bearer(&with("", own)), "Bearer t");
    let plain = "webhook_configs: [{url: 'http://x/'}]";
    assert_eq!(bearer(&with("http_config: {bearer_token: g}", plain)), "Bearer g");
    let mail = "email_configs: [{to: a@b, from: '', smarthost: 'h:submission'}]";
    let config = with("smtp_from: c@d", mail);
    let IntegrationConfig::Email(email) = &config.receivers["r"].integrations[0].config else {
        panic!("a mail")
    };
    assert_eq!((email.from.as_str(), email.port), ("c@d", 587));
    with("slack_api_url: 'https://slack.com/api/chat.postMessage', slack_app_token: t", plain);
    assert!(parse("route: {receiver: r}\nreceivers: [{name: r}]\ntemplates: [nothing.tmpl]\n").is_ok());
}

/// What Alertmanager refuses, although no receiver uses it.
#[test]
fn global_is_checked_as_a_whole() {
    let global =
        |text: &str| format!("global: {{{text}}}\nroute: {{receiver: r}}\nreceivers: [{{name: r}}]\n");
    let webhook = |text: &str| {
        format!("route: {{receiver: r}}\nreceivers: [{{name: r, webhook_configs: [{{{text}}}]}}]\n")
    };
    for (text, expected) in [
        (global("opsgenie_api_key: a, opsgenie_api_key_file: b"), "at most one of `opsgenie_api_key`"),
        (global("slack_api_url: 'http://x/', slack_api_url_file: b"), "at most one of `slack_api_url`"),
        (global("smtp_auth_password: a, smtp_auth_password_file: b"), "at most one of `smtp_auth_password`"),
        (global("slack_api_url: x"), "`slack_api_url` is not an address"),
        (global("smtp_smarthost: h"), "not a mail server of the form host:port"),
        (global("smtp_smarthost: 'h:25:3'"), "not a mail server of the form host:port"),
        (global("slack_app_token: t, slack_api_url: 'http://x/'"), "at most one of `slack_app_token`"),
        (webhook("url: 'http:///x'"), "missing host in `url`"),
        (webhook("url: 'http://h/%zz?a=%zz'"), "`url` is not an address: `%zz` is no escape; write %25"),
        (webhook("url: 'http://h/x#100%'"), "`%` is no escape"),
        (webhook(r#"url: "http://h/a\nb""#), "control character"),
        (webhook("url: 'http://h/', http_config: {proxy_url: 'http://p/%'}"), "`proxy_url` must be"),
        (
            webhook("url: 'http://x/', http_config: {authorization: {type: basic, credentials: c}}"),
            "use `basic_auth`",
        ),
        (
            webhook("url: 'http://x/', http_config: {authorization: {credentials: c}, bearer_token: t}"),
            "at most one of `authorization` and `bearer_token`",
        ),
        (
            format!(
                "{}  ",
                webhook("url: 'http://x/'").replace(
                    "webhook_configs: [{url: 'http://x/'}]",
                    "email_configs: [{to: a@b, from: '', smarthost: 'h:25'}]"
                )
            ),
            "no `from` address",
        ),
    ] {
        let error = parse(&text).err().unwrap_or_else(|| panic!("{text} is taken"));
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
templates: ['/nonexistent/*.tmpl']
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

/// A file with every secret that may stand in one, each told apart by its number.
const FULL_OF_SECRETS: &str = r##"
global:
  smtp_from: am@example.org
  smtp_smarthost: 'mail.example.org:587'
  smtp_auth_username: am
  smtp_auth_password: s3cret-01
  smtp_auth_secret: s3cret-02
  smtp_tls_config: {insecure_skip_verify: true, min_version: TLS13}
  slack_app_token: s3cret-03
  slack_app_url: https://slack.example.org/api/chat.postMessage
  mattermost_webhook_url: https://hooks.example.org/s3cret-04
  rocketchat_api_url: https://chat.example.org
  rocketchat_token: s3cret-05
  rocketchat_token_id: s3cret-06
  victorops_api_key: s3cret-07
  opsgenie_api_key: s3cret-08
  telegram_bot_token: s3cret-09
  wechat_api_secret: s3cret-10
  wechat_api_corp_id: corp
  jira_api_url: https://jira.example.org
  http_config:
    proxy_url: http://user:s3cret-11@proxy.example.org:3128
    no_proxy: 10.0.0.0/8,.example.org
    proxy_connect_header: {X-Proxy: [s3cret-12]}
    proxy_from_environment: false
    enable_http2: true
    tls_config: {min_version: TLS11, max_version: TLS13}
    http_headers: {X-Team: {values: [s3cret-13], secrets: [s3cret-14]}}
    oauth2:
      client_id: me
      client_secret: s3cret-15
      token_url: https://login.example.org/token?key=s3cret-16
      scopes: [alerts]
      endpoint_params: {client_assertion: s3cret-17}
route: {receiver: a}
receivers:
- name: a
  rocketchat_configs: [{channel: '#ops'}, {channel: '#ops', token: s3cret-18, token_id: s3cret-19}]
  victorops_configs: [{routing_key: r, custom_fields: {team: db}}, {routing_key: r, api_key: s3cret-20}]
  slack_configs: [{channel: '#a'}, {channel: '#b', app_token: s3cret-21}, {channel: '#c', api_url: 'https://h.example.org/s3cret-22'}]
  telegram_configs: [{chat_id: 1}, {chat_id: 1, bot_token: s3cret-23}]
  pushover_configs: [{user_key: s3cret-24, token: s3cret-25}, {user_key: 7305150, token: 7305151.5}]
  pagerduty_configs: [{routing_key: s3cret-26}, {service_key: s3cret-27}]
  opsgenie_configs: [{}, {api_key: s3cret-28}]
  email_configs: [{to: a@example.org}, {to: a@example.org, auth_password: s3cret-29}]
  webhook_configs:
  - {url: 'https://h.example.org/x?token=s3cret-30', secret: s3cret-31}
  - {url: 'https://h.example.org/{{ .GroupLabels.alertname }}/s3cret-32'}
  - {url: 'https://h.example.org/', http_config: {basic_auth: {username: u, password: s3cret-33}}}
  - {url: 'https://h.example.org/', http_config: {bearer_token: s3cret-41}}
  - {url: 'https://h.example.org/', http_config: {basic_auth: {username: u, password: 7305152}}}
  - {url: 'https://h.example.org/', http_config: {http_headers: {X-Team: {values: [7305153]}}}}
  discord_configs: [{webhook_url: 'https://d.example.org/s3cret-34'}]
  msteams_configs: [{webhook_url: 'https://d.example.org/s3cret-35'}]
  msteamsv2_configs: [{webhook_url: 'https://d.example.org/s3cret-36'}]
  mattermost_configs: [{webhook_url: 'https://d.example.org/s3cret-37'}]
  sns_configs: [{topic_arn: 'arn:aws:sns:us-east-2:1:t', sigv4: {region: us-east-2, access_key: AK, secret_key: s3cret-38}}]
  webex_configs: [{room_id: R, http_config: {authorization: {credentials: s3cret-39}}}]
  heartbeat_configs: [{url: 'https://d.example.org/s3cret-40'}]
"##;

#[test]
fn secrets_are_neither_shown_nor_printed() {
    let config = Config::parse("am.yml", FULL_OF_SECRETS, Path::new(".")).unwrap();
    for printed in [config.shown.clone(), format!("{config:?}")] {
        for part in ["s3cret", "730515"] {
            let found: Vec<_> = printed.match_indices(part).map(|(at, _)| &printed[at..at + 9]).collect();
            assert!(found.is_empty(), "{found:?}");
        }
    }
    assert!(config.shown.contains("login.example.org") && config.shown.contains("10.0.0.0/8"));
}

#[test]
fn a_token_of_global_is_for_those_that_say_nothing_else() {
    let text = r"
global:
  slack_app_token: xoxb
  slack_api_url: 'https://slack.com/api/chat.postMessage'
  http_config: {authorization: {credentials: of-global}}
route: {receiver: a}
receivers:
- name: a
  slack_configs:
  - {channel: a}
  - {channel: b, http_config: {authorization: {credentials: own}}}
  - {channel: c, api_url: 'https://slack.example.org/other'}
  - {channel: d, http_config: {basic_auth: {username: own}}}
  - {channel: e, http_config: {oauth2: {client_id: i, client_secret: s, token_url: 'https://t.example.org'}}}
  - {channel: f, http_config: {follow_redirects: true}}
";
    let config = parse(text).unwrap();
    let shown: Vec<_> =
        config.receivers["a"].integrations.iter().map(|it| format!("{:?}", it.config)).collect();
    let has_token = |text: &String| text.contains("token: Some");
    let expected = [true, false, false, false, false, true];
    assert_eq!(shown.iter().map(has_token).collect::<Vec<_>>(), expected, "{shown:?}");
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

#[test]
fn mistakes_of_form_are_all_told() {
    let text = "route:\n  receiver: r\n  group_wait: [1s]\nreceivers:\n- name: r\n  webhook_configs:\n  - url: http://x/\n    max_alert: 1\n  teams_configs: []\n- name: q\n  email_configs:\n  - too: a@b\n";
    let problems = Config::parse("am.yml", text, Path::new(".")).unwrap_err();
    let lines: Vec<_> = problems.0.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [3, 8, 9, 12], "{problems}");
}
