//! Who is let in.

use std::time::Duration;
use tests::{Agent, Aggregator, Certificates, eventually, free_port, run_binary, skip, spawn_binary};

const TOKENS: &str = r#"
auth:
  mode: always
  tokens:
    - {name: agents, role: agent, token: agent-token-0123456789}
    - {name: people, role: viewer, token: viewer-token-0123456789}
"#;

#[test]
fn a_listener_beyond_loopback_is_refused_without_tokens() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().display().to_string();
    let address = format!("0.0.0.0:{}", free_port());
    let (code, _, error) = run_binary("bellwether", &["serve", "--data-dir", &data, "--listen", &address]);
    assert_eq!(code, 1);
    assert!(error.contains("bearer tokens") && error.contains("bellwether token"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority_is_believed_by_agent_and_commands() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(made) = Certificates::make(folder.path()) else { return skip("openssl is not installed") };
    let (config, token) = (folder.path().join("bellwether.yaml"), folder.path().join("token"));
    let tls = format!(
        "tls: {{cert_file: {}, key_file: {}}}\n{TOKENS}",
        made.certificate.display(),
        made.key.display()
    );
    std::fs::write(&config, tls).expect("the test's folder can be written");
    std::fs::write(&token, "viewer-token-0123456789\n").expect("the test's folder can be written");
    let text = |path: &std::path::Path| path.display().to_string();
    let (port, log) = (free_port(), folder.path().join("log"));
    let (address, data) = (format!("0.0.0.0:{port}"), text(&folder.path().join("data")));
    let errors = std::fs::File::create(&log).expect("the test's folder can be written");
    let args = ["serve", "--config", &text(&config), "--data-dir", &data, "--listen", &address];
    let _server = spawn_binary("bellwether", &args, std::process::Stdio::null(), errors);

    let url = format!("https://localhost:{port}");
    let agent = format!(
        "data_dir: {{dir}}/data\ninstance: guarded\ninterval: 1s\ndestinations: [{{url: '{url}', \
         token: agent-token-0123456789, ca_file: {}}}]\n",
        made.ca.display()
    );
    let _agent = Agent::start(&agent, &[]);
    let (token, ca) = (text(&token), text(&made.ca));
    let ask = move |more: &[&str]| {
        let all = [&["query", "node_load1", "--url", &url, "--token-file", &token], more].concat();
        run_binary("bellwether", &all)
    };
    tokio::task::spawn_blocking(move || {
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while !ask(&["--ca-file", &ca]).1.contains("guarded") {
            assert!(std::time::Instant::now() < deadline, "{:?}", ask(&["--ca-file", &ca]));
            std::thread::sleep(Duration::from_millis(100));
        }
        let (code, _, error) = ask(&[]);
        assert!(code == 1 && error.contains("certificate"), "the system does not know it: {error}");
    })
    .await
    .expect("the commands come to their end");
    let log = std::fs::read_to_string(&log).expect("the server has logged");
    assert!(log.contains("ready") && !log.contains("plain HTTP"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_but_health_asks_for_a_token() {
    let server = Aggregator::start_with(&[], |folder| {
        let path = folder.join("bellwether.yaml");
        std::fs::write(&path, TOKENS).expect("the test's folder can be written");
        vec!["--config".into(), path.display().to_string()]
    })
    .await;
    let client = server.client();
    for open in ["/-/healthy", "/-/ready", "/ready"] {
        assert_eq!(client.get_status(open).await, Some(200), "{open}");
    }
    let closed = [
        "/",
        "/metrics",
        "/ui/app.js",
        "/api/v1/labels",
        "/loki/api/v1/labels",
        "/api/v2/alerts",
        "/federate",
        "/api/bellwether/v1/hosts",
        "/no/such/route",
    ];
    for path in closed {
        assert_eq!(client.get_status(path).await, Some(401), "{path}");
    }
    let ask = |method: reqwest::Method, path: &'static str, token: &'static str| {
        let request = client.request(method, path).bearer_auth(token);
        async move { request.send().await.expect("the server answers").status().as_u16() }
    };
    assert_eq!(ask(reqwest::Method::GET, "/api/v1/labels", "viewer-token-0123456789").await, 200);
    assert_eq!(ask(reqwest::Method::GET, "/api/v1/labels", "wrong-token-0123456789").await, 401);
    assert_eq!(ask(reqwest::Method::GET, "/api/v1/labels", "agent-token-0123456789").await, 403);
    assert_eq!(ask(reqwest::Method::POST, "/api/v1/write", "viewer-token-0123456789").await, 403);
    assert_eq!(ask(reqwest::Method::POST, "/-/reload", "viewer-token-0123456789").await, 403);
    let basic = client.request(reqwest::Method::GET, "/").basic_auth("me", Some("viewer-token-0123456789"));
    assert_eq!(basic.send().await.expect("the server answers").status(), 200);

    let config = format!(
        "data_dir: {{dir}}/data\ninstance: guarded\ninterval: 1s\ndestinations: [{{url: '{}', token: agent-token-0123456789}}]\n",
        server.url()
    );
    let _agent = Agent::start(&config, &[]);
    eventually(Duration::from_secs(20), "the agent's metrics arrive", || async {
        let query = client
            .request(reqwest::Method::GET, "/api/v1/query?query=node_load1")
            .bearer_auth("viewer-token-0123456789");
        let text = query.send().await.expect("the server answers").text().await.expect("a body");
        text.contains("guarded")
    })
    .await;
}
