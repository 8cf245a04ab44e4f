//! Certificates for the server's listener, and the one TLS backend of the process (ring).

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Once},
};

/// Where a listener's certificate is. Both files are PEM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate and the chain behind it.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
}

/// Why a listener cannot speak TLS.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum TlsError {
    #[error("failed to read `{path}` as PEM: {error}")]
    Pem { path: PathBuf, error: rustls::pki_types::pem::Error },
    #[error("`{0}` holds no certificate")]
    NoCertificate(PathBuf),
    #[error("certificate and key do not fit: {0}")]
    Mismatch(rustls::Error),
}

impl TlsFiles {
    /// Reads both files.
    ///
    /// # Errors
    /// When one cannot be read, or they do not belong together.
    pub fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        install_provider();
        let certificates = CertificateDer::pem_file_iter(&self.cert_file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| pem_error(&self.cert_file, error))?;
        if certificates.is_empty() {
            return Err(TlsError::NoCertificate(self.cert_file.clone()));
        }
        let key =
            PrivateKeyDer::from_pem_file(&self.key_file).map_err(|error| pem_error(&self.key_file, error))?;
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key);
        config.map(Arc::new).map_err(TlsError::Mismatch)
    }
}

fn pem_error(path: &Path, error: rustls::pki_types::pem::Error) -> TlsError {
    TlsError::Pem { path: path.to_owned(), error }
}

/// Why authorities to believe could not be had.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum AuthoritiesError {
    #[error("failed to read `{path}`: {error}")]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("`{0}` holds no certificate in PEM form")]
    NoCertificate(PathBuf),
}

/// The text of a file with the authorities to believe, for [`super::ClientTls::ca_pem`].
///
/// # Errors
/// When it cannot be read or holds none: then nobody would be believed.
pub fn read_authorities(path: &Path) -> Result<String, AuthoritiesError> {
    let pem = std::fs::read_to_string(path)
        .map_err(|error| AuthoritiesError::Unreadable { path: path.to_owned(), error })?;
    if holds_certificate(&pem) { Ok(pem) } else { Err(AuthoritiesError::NoCertificate(path.to_owned())) }
}

/// Whether a text holds a certificate in PEM form, be it a good one or not.
pub fn holds_certificate(pem: &str) -> bool {
    pem.contains("-----BEGIN CERTIFICATE-----")
}

/// Chooses ring for every TLS connection of the process.
pub(crate) fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("a TLS provider was installed before");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_names_no_authority() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, is_taken) in [
            ("", false),
            ("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", false),
            ("# ours\n-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", true),
        ] {
            std::fs::write(file.path(), text).unwrap();
            let read = read_authorities(file.path());
            assert_eq!(read.is_ok(), is_taken, "{text}");
            if let Err(error) = read {
                let expected = format!("`{}` holds no certificate in PEM form", file.path().display());
                assert_eq!(error.to_string(), expected);
            }
        }
        assert!(
            read_authorities(Path::new("/nonexistent")).unwrap_err().to_string().contains("/nonexistent")
        );
    }
}
