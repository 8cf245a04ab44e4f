//! Whether a webhook comes from the git server: the signatures of GitHub, Gitea and Forgejo, and
//! the token of GitLab.

use super::config::Repository;
use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Why a webhook is not heeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub(crate) enum HookError {
    #[error("this repository has no `webhook_secret`; set one to accept webhooks")]
    NoSecret,
    #[error("the webhook is not signed; give the git server the secret of this repository")]
    Unsigned,
    #[error("the webhook's signature is wrong; compare the secret of the git server with `webhook_secret`")]
    Wrong,
}

/// Checks a webhook's signature over `body`.
///
/// # Errors
/// When it is missing or wrong.
pub(crate) fn verify(repository: &Repository, headers: &HeaderMap, body: &[u8]) -> Result<(), HookError> {
    let secret = repository.webhook_secret.as_ref().ok_or(HookError::NoSecret)?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(token) = header("x-gitlab-token") {
        // Hashes of equal length: the time that comparing takes tells nothing.
        let same = Sha256::digest(token.as_bytes()) == Sha256::digest(secret.expose().as_bytes());
        return if same { Ok(()) } else { Err(HookError::Wrong) };
    }
    let github = header("x-hub-signature-256").map(|value| value.strip_prefix("sha256=").unwrap_or(value));
    let signature = github.or_else(|| header("x-gitea-signature")).ok_or(HookError::Unsigned)?;
    let signature = from_hex(signature).ok_or(HookError::Wrong)?;
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).map_err(|_| HookError::NoSecret)?;
    mac.update(body);
    mac.verify_slice(&signature).map_err(|_| HookError::Wrong)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    if !text.is_ascii() || text.len() != 64 {
        return None;
    }
    (0..64).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use daemon::Secret;

    fn repository(secret: Option<&str>) -> Repository {
        Repository {
            name: "r".into(),
            url: "file:///r".into(),
            branch: None,
            subfolder: String::new(),
            poll_interval_ms: 60_000,
            username: "git".into(),
            token: None,
            ssh_key_file: None,
            ssh_known_hosts_file: None,
            webhook_secret: secret.map(Secret::new),
        }
    }

    fn check(secret: Option<&str>, header: Option<(&'static str, &str)>) -> Result<(), HookError> {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        verify(&repository(secret), &headers, b"Hello, World!")
    }

    /// The example of GitHub's documentation.
    const SECRET: &str = "It's a Secret to Everybody";
    const SIGNATURE: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn each_server_signs_in_its_own_way() {
        let github = format!("sha256={SIGNATURE}");
        assert_eq!(check(Some(SECRET), Some(("x-hub-signature-256", &github))), Ok(()));
        assert_eq!(check(Some(SECRET), Some(("x-gitea-signature", SIGNATURE))), Ok(()));
        assert_eq!(check(Some(SECRET), Some(("x-gitlab-token", SECRET))), Ok(()));
    }

    #[test]
    fn what_is_not_signed_is_not_heeded() {
        let wrong = SIGNATURE.replace('7', "8");
        assert_eq!(check(None, Some(("x-gitlab-token", SECRET))), Err(HookError::NoSecret));
        assert_eq!(check(Some(SECRET), None), Err(HookError::Unsigned));
        assert_eq!(check(Some(SECRET), Some(("x-gitea-signature", &wrong))), Err(HookError::Wrong));
        assert_eq!(check(Some(SECRET), Some(("x-hub-signature-256", "sha256=zz"))), Err(HookError::Wrong));
        assert_eq!(check(Some(SECRET), Some(("x-gitlab-token", "other"))), Err(HookError::Wrong));
    }
}
