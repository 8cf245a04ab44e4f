//! Certificates for a test's servers, made by openssl.

use crate::find_tool;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// An authority and a certificate of it for `localhost`, as PEM files.
pub struct Certificates {
    /// The authority.
    pub ca: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes them in `folder`; `None` where openssl is missing.
    pub fn make(folder: &Path) -> Option<Self> {
        let openssl = find_tool("openssl")?;
        let run = |arguments: &[&str]| {
            let status = Command::new(&openssl)
                .current_dir(folder)
                .args(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .expect("openssl can be started");
            assert!(status.success(), "openssl {}", arguments.join(" "));
        };
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let mut authority = vec!["req", "-x509", "-days", "2", "-subj", "/CN=test authority"];
        authority.extend(curve);
        authority.extend(["-keyout", "ca.key", "-out", "ca.pem"]);
        run(&authority);
        let mut request = vec!["req", "-new", "-subj", "/CN=localhost"];
        request.extend(curve);
        request.extend(["-keyout", "server.key", "-out", "server.csr"]);
        run(&request);
        std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n")
            .expect("the folder can be written");
        run(&[
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "names",
            "-out",
            "server.pem",
        ]);
        let path = |name: &str| folder.join(name);
        Some(Certificates { ca: path("ca.pem"), certificate: path("server.pem"), key: path("server.key") })
    }
}
