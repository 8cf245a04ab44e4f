//! Endpoints behind TLS: which certificates are believed, and what is told when they are not.

use super::*;
use daemon::http::{ServerOptions, TlsFiles, serve};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// An authority and its certificate for the name `receiver.test`, in a folder.
struct Certificates(PathBuf);

impl Certificates {
    /// `None` where openssl is missing.
    fn make(folder: &Path) -> Option<Self> {
        let run = |arguments: &str| {
            let mut command = Command::new("openssl");
            command.current_dir(folder).args(arguments.split(' '));
            command.stdout(Stdio::null()).stderr(Stdio::null()).status().ok().map(|status| {
                assert!(status.success(), "openssl {arguments}");
            })
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        run(&format!("req -x509 -days 2 -subj /CN=authority {key} -keyout ca.key -out ca.pem"))?;
        run(&format!("req -x509 -days 2 -subj /CN=other {key} -keyout other.key -out other.pem"))?;
        run(&format!("req -new -subj /CN=receiver {key} -keyout server.key -out server.csr"))?;
        std::fs::write(folder.join("names"), "subjectAltName=DNS:receiver.test\n").unwrap();
        run(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
        )?;
        Some(Certificates(folder.to_owned()))
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

/// A receiver that speaks TLS, until the shutdown.
async fn tls_receiver(certificates: &Certificates, shutdown: &Shutdown) -> (SocketAddr, Shared) {
    let received = Shared::default();
    let router = Router::new().route("/w", post(receive)).with_state(received.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let files = TlsFiles {
        cert_file: certificates.path("server.pem").into(),
        key_file: certificates.path("server.key").into(),
    };
    let options = ServerOptions { tls: Some(files.load().unwrap()), ..ServerOptions::default() };
    tokio::spawn(serve(listener, router, options, shutdown.clone()));
    (address, received)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_believed_as_the_settings_say() {
    let folder = tempfile::tempdir().unwrap();
    let Some(certificates) = Certificates::make(folder.path()) else {
        println!("skipped: openssl is not installed");
        return;
    };
    let shutdown = Shutdown::new();
    let (address, received) = tls_receiver(&certificates, &shutdown).await;
    let url = format!("https://{address}/w");
    let (ca, other) = (certificates.path("ca.pem"), certificates.path("other.pem"));
    for (settings, is_believed) in [
        (format!("ca_file: {ca}, server_name: receiver.test"), true),
        ("insecure_skip_verify: true".to_owned(), true),
        (format!("ca_file: {ca}"), false),
        (format!("ca_file: {ca}, server_name: another.test"), false),
        (format!("ca_file: {other}, server_name: receiver.test"), false),
        ("server_name: receiver.test".to_owned(), false),
    ] {
        lock(&received).samples.clear();
        let data = tempfile::tempdir().unwrap();
        let sender = start_to(data.path(), &url, &format!("  tls_config: {{{settings}}}\n"));
        sender.put(0..3);
        if is_believed {
            sender.caught_up().await;
            assert_eq!(lock(&received).samples.len(), 60, "{settings}");
            let host = lock(&received).requests.last().unwrap().1.get("host").cloned();
            assert!(host.is_none_or(|host| host.to_str().unwrap() == address.to_string()), "{settings}");
        } else {
            let failure = sender.failure().await;
            assert!(failure.contains("certificate"), "{settings}: {failure}");
            assert_eq!((lock(&received).samples.len(), sender.number("pending_samples")), (0, 60));
        }
        sender.stop().await;
    }
    shutdown.trigger();
}

impl Sender {
    /// What the endpoint's status says of the last failure, once there is one.
    async fn failure(&self) -> String {
        for _ in 0..400 {
            match self.egress.status()["endpoints"][0]["failure"].as_str() {
                None | Some("") => {}
                Some(failure) => return failure.to_owned(),
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no failure: {}", self.egress.status());
    }
}
