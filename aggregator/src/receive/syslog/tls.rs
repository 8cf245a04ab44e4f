//! TLS for the syslog listener, with the senders' certificates when they are asked for.

use super::config::SyslogTls;
use anyhow::Context;
use daemon::http::TlsFiles;
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

pub(super) fn acceptor(config: &SyslogTls) -> anyhow::Result<TlsAcceptor> {
    let files = TlsFiles { cert_file: config.cert_file.clone(), key_file: config.key_file.clone() };
    let plain = files.load()?;
    let Some(path) = &config.client_ca_file else { return Ok(plain.into()) };
    let failed = || format!("failed to read `{}`", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).with_context(failed)? {
        roots.add(certificate.with_context(failed)?).with_context(failed)?;
    }
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().with_context(failed)?;
    let certificates = CertificateDer::pem_file_iter(&config.cert_file)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&config.key_file)?;
    let server =
        ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(certificates, key)?;
    Ok(Arc::new(server).into())
}
