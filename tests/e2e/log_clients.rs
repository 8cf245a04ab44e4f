//! Real senders of logs, from Debian's packages: logger, rsyslog, syslog-ng, systemd-journal-upload.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tests::{Aggregator, Client, eventually, find_tool, free_port, skip};

/// A daemon that is killed when dropped.
struct Daemon(Child);

impl Daemon {
    fn start(program: &Path, args: &[String], log: &Path) -> Self {
        let output = std::fs::File::create(log).expect("the log can be made");
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file handle can be cloned"))
            .stderr(output)
            .spawn()
            .expect("the daemon can be started");
        Daemon(child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // An error means that it has ended already.
        if self.0.kill().is_ok() {
            self.0.wait().expect("a killed child can be waited for");
        }
    }
}

/// An aggregator that takes syslog over UDP and TCP on one port.
async fn with_syslog() -> (Aggregator, u16) {
    let port = free_port();
    let config = format!("syslog: {{udp: \"127.0.0.1:{port}\", tcp: \"127.0.0.1:{port}\"}}\n");
    let server = Aggregator::start_with(&["--no-shipped-rules"], |folder| {
        let file = folder.join("config.yaml");
        std::fs::write(&file, config).expect("the folder can be written");
        vec!["--config".to_owned(), file.display().to_string()]
    })
    .await;
    (server, port)
}

async fn has_lines(client: &Client, query: &str, count: usize) {
    let what = format!("{count} lines of {query}");
    eventually(Duration::from_secs(15), &what, || async { client.lines(query).await.len() == count }).await;
}

fn run(program: &Path, args: &[&str]) {
    let output = Command::new(program).args(args).output().expect("the program can be started");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{} {args:?}: {error}", program.display());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logger_sends_every_kind_of_message() {
    let Some(logger) = find_tool("logger") else { return skip("logger (bsdutils) is not installed") };
    let (server, port) = with_syslog().await;
    let client = server.client();
    let port = port.to_string();
    let to = ["--server", "127.0.0.1", "--port", &port, "--priority", "local3.warning", "--id=77"];
    for (tag, more) in [
        ("udp-5424", &["--udp", "--rfc5424"][..]),
        ("udp-3164", &["--udp", "--rfc3164"]),
        (
            "tcp-5424",
            &["--tcp", "--rfc5424", "--octet-count", "--sd-id", "test@1", "--sd-param", "key=\"value\""],
        ),
        ("tcp-3164", &["--tcp", "--rfc3164"]),
    ] {
        run(&logger, &[&to[..], more, &["--tag", tag, &format!("hello over {tag}")]].concat());
        let query = format!(
            "{{job=\"syslog\", app=\"{tag}\"}} | level=\"warning\" | facility=\"local3\" | pid=\"77\""
        );
        has_lines(&client, &query, 1).await;
        assert_eq!(client.lines(&query).await[0].1, format!("hello over {tag}"));
    }
    has_lines(&client, "{app=\"tcp-5424\"} | test_1_key=\"value\"", 1).await;
    let metrics = client.get("/metrics", &[]).await.1;
    assert!(metrics.contains("bellwether_syslog_messages_total{transport=\"tcp\"} 2"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rsyslog_and_syslog_ng_forward() {
    let (Some(rsyslogd), Some(syslog_ng), Some(logger)) =
        (find_tool("rsyslogd"), find_tool("syslog-ng"), find_tool("logger"))
    else {
        return skip("rsyslog, syslog-ng-core or logger is not installed");
    };
    let (server, port) = with_syslog().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = |name: &str| folder.path().join(name).display().to_string();

    std::fs::write(
        folder.path().join("rsyslog.conf"),
        format!(
            "module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             input(type=\"imuxsock\" Socket=\"{}\")\n\
             action(type=\"omfwd\" Target=\"127.0.0.1\" Port=\"{port}\" Protocol=\"tcp\" \
             TCP_Framing=\"octet-counted\" Template=\"RSYSLOG_SyslogProtocol23Format\")\n",
            path("rsyslog.sock")
        ),
    )
    .expect("the folder can be written");
    let mut args: Vec<String> =
        ["-n", "-f", &path("rsyslog.conf"), "-i", &path("rsyslog.pid")].map(str::to_owned).to_vec();
    args.extend(rsyslog_modules(&rsyslogd).into_iter().flat_map(|modules| ["-M".to_owned(), modules]));
    let _rsyslog = Daemon::start(&rsyslogd, &args, &folder.path().join("rsyslog.log"));

    std::fs::write(
        folder.path().join("syslog-ng.conf"),
        format!(
            "@version: 3.38\noptions {{ stats_freq(0); }};\n\
             source s {{ unix-dgram(\"{}\"); }};\n\
             destination d {{ network(\"127.0.0.1\" port({port}) transport(\"tcp\")); }};\n\
             log {{ source(s); destination(d); }};\n",
            path("syslog-ng.sock")
        ),
    )
    .expect("the folder can be written");
    let args = [
        "-F",
        "--no-caps",
        "-f",
        &path("syslog-ng.conf"),
        "-R",
        &path("syslog-ng.persist"),
        "-c",
        &path("syslog-ng.ctl"),
        "-p",
        &path("syslog-ng.pid"),
    ]
    .map(str::to_owned);
    let _syslog_ng = Daemon::start(&syslog_ng, &args, &folder.path().join("syslog-ng.log"));

    let client = server.client();
    for (daemon, socket) in [("rsyslog", path("rsyslog.sock")), ("syslog-ng", path("syslog-ng.sock"))] {
        eventually(Duration::from_secs(10), "the daemon listens", || async {
            Path::new(&socket).try_exists().unwrap_or(false)
        })
        .await;
        for i in 0..20 {
            let message = format!("message {i} through {daemon} with an error in it");
            run(&logger, &["-u", &socket, "-t", daemon, "-p", "user.err", "--socket-errors=on", &message]);
        }
        has_lines(&client, &format!("{{app=\"{daemon}\"}} | level=\"err\""), 20).await;
    }
}

/// Where rsyslog's modules are when it was unpacked somewhere else than it was built for: two system
/// loggers cannot be installed side by side.
fn rsyslog_modules(rsyslogd: &Path) -> Option<String> {
    let root = rsyslogd.parent()?.parent()?;
    if root == Path::new("/usr") {
        return None;
    }
    let architectures = std::fs::read_dir(root.join("lib")).ok()?.flatten();
    let folders: Vec<PathBuf> = architectures.map(|entry| entry.path().join("rsyslog")).collect();
    folders.into_iter().find(|folder| folder.is_dir()).map(|folder| format!("{}/", folder.display()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_uploads_its_journal() {
    let program = |name: &str| Some(Path::new("/lib/systemd").join(name)).filter(|path| path.is_file());
    let (Some(remote), Some(upload)) = (program("systemd-journal-remote"), program("systemd-journal-upload"))
    else {
        return skip("systemd-journal-remote is not installed");
    };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let now_us = now_us();
    let mut export = Vec::new();
    for i in 0..3000u64 {
        let fields = format!(
            "__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={i}\n_BOOT_ID=5ab0fd36bf7e4e2dbd9da2c8ea0a8f04\n\
             _HOSTNAME=web1\n_SYSTEMD_UNIT=nginx.service\nPRIORITY=3\nSYSLOG_IDENTIFIER=nginx\n",
            now_us - 60_000_000 + i
        );
        let message = format!("entry {i}\nof two lines {}", "and more ".repeat(60));
        export.extend_from_slice(fields.as_bytes());
        export.extend_from_slice(b"MESSAGE\n");
        export.extend_from_slice(&(message.len() as u64).to_le_bytes());
        export.extend_from_slice(message.as_bytes());
        export.extend_from_slice(b"\n\n");
    }
    std::fs::write(folder.path().join("export"), export).expect("the folder can be written");
    run(&remote, &["-o", &path("all.journal"), &path("export")]);

    let server = Aggregator::start(&["--no-shipped-rules"]).await;
    let (url, file, state) = (server.url(), format!("--file={}", path("all.journal")), path("state"));
    for _ in 0..2 {
        // Without its state it sends everything again, which is stored once.
        run(&upload, &["--url", &url, &file, &format!("--save-state={state}"), "--follow=no"]);
        std::fs::remove_file(&state).expect("it keeps a state");
    }
    let client = server.client();
    let query =
        "{job=\"systemd-journal\", host=\"web1\", unit=\"nginx.service\"} | level=\"err\" |= \"entry 29\"";
    has_lines(&client, query, 111).await;
    let lines = client.lines("{unit=\"nginx.service\"} |= \"entry 7\\nof two lines\"").await;
    assert_eq!(lines.len(), 1);
    has_lines(&client, "{job=\"systemd-journal\"}", 3000).await;
}

fn now_us() -> u64 {
    #[allow(clippy::disallowed_methods, reason = "a test stamps its own data")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// A certificate for both ends, signed by an authority of its own: `ca.pem`, `cert.pem`, `key.pem`.
fn make_certificates(openssl: &Path, folder: &Path) {
    let path = |name: &str| folder.join(name).display().to_string();
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let authority = [
        "-x509",
        "-days",
        "2",
        "-subj",
        "/CN=test authority",
        "-keyout",
        &path("ca.key"),
        "-out",
        &path("ca.pem"),
    ];
    run(openssl, &[&["req"], &key[..], &authority[..]].concat());
    let request = [
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-addext",
        "extendedKeyUsage=serverAuth,clientAuth",
        "-keyout",
        &path("key.pem"),
        "-out",
        &path("request.pem"),
    ];
    run(openssl, &[&["req"], &key[..], &request[..]].concat());
    let sign = ["x509", "-req", "-days", "2", "-copy_extensions", "copy", "-CAcreateserial"];
    let (ca, ca_key) = (path("ca.pem"), path("ca.key"));
    let files = ["-in", &path("request.pem"), "-CA", &ca, "-CAkey", &ca_key, "-out", &path("cert.pem")];
    run(openssl, &[&sign[..], &files[..]].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syslog_over_tls_asks_for_a_certificate() {
    let Some(openssl) = find_tool("openssl") else { return skip("openssl is not installed") };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    make_certificates(&openssl, folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let port = free_port();
    let config = format!(
        "syslog: {{tls: {{listen: \"127.0.0.1:{port}\", cert_file: {}, key_file: {}, client_ca_file: {}}}}}\n",
        path("cert.pem"),
        path("key.pem"),
        path("ca.pem")
    );
    std::fs::write(folder.path().join("config.yaml"), config).expect("the folder can be written");
    let server = Aggregator::start(&["--no-shipped-rules", "--config", &path("config.yaml")]).await;
    let address = format!("127.0.0.1:{port}");
    let send = |certificate: &[&str], message: &str| {
        let mut child = Command::new(&openssl)
            .args(["s_client", "-quiet", "-connect", &address])
            .args(certificate)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl can be started");
        let mut input = child.stdin.take().expect("its input is piped");
        // A refused client may have closed its input already.
        std::io::Write::write_all(&mut input, message.as_bytes()).ok();
        (Daemon(child), input)
    };
    let (mut stranger, _input) = send(&[], "<13>1 - stranger app - - - without a certificate\n");
    for _ in 0..200 {
        if stranger.0.try_wait().expect("a child can be waited for").is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let certificate = ["-cert", &path("cert.pem"), "-key", &path("key.pem")];
    let _friend = send(&certificate, "<13>1 - friend app - - - with a certificate\n");
    let client = server.client();
    has_lines(&client, "{job=\"syslog\"}", 1).await;
    assert_eq!(client.lines("{host=\"friend\"}").await.len(), 1);
}
