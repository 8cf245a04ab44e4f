//! Secrets that do not print themselves.

use std::{fmt, path::Path};

/// A password, token or key. `Debug` shows `<secret>`; it is never serialised with its text.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum SecretError {
    #[error("both `{0}` and `{0}_file` are set; keep one")]
    Both(String),
    #[error("failed to read `{path}`: {error}")]
    Unreadable { path: String, error: std::io::Error },
}

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The secret given inline or by file; the file's trailing line break is not part of it.
    /// `name` is the setting's, for the message.
    ///
    /// # Errors
    /// When both are given, or the file cannot be read.
    pub fn resolve(
        name: &str,
        inline: Option<&Secret>,
        file: Option<&Path>,
    ) -> Result<Option<Secret>, SecretError> {
        match (inline, file) {
            (Some(_), Some(_)) => Err(SecretError::Both(name.to_owned())),
            (Some(secret), None) => Ok(Some(secret.clone())),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| SecretError::Unreadable { path: path.display().to_string(), error })?;
                Ok(Some(Secret(text.trim_end_matches(['\n', '\r']).to_owned())))
            }
            (None, None) => Ok(None),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl serde::Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("<secret>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_one_place_and_never_prints() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret\n").unwrap();
        let secret = Secret::resolve("password", None, Some(file.path())).unwrap().unwrap();
        assert_eq!(secret.expose(), "s3cret");
        assert_eq!(format!("{secret:?}"), "<secret>");
        assert!(Secret::resolve("password", Some(&secret), Some(file.path())).is_err());
        assert!(Secret::resolve("password", None, None).unwrap().is_none());
    }
}
