//! Whether a webhook comes from the git server: the signatures of GitHub, Gitea, Forgejo and
//! Bitbucket, and the token of GitLab.

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
    // Of GitHub this is the older header, with SHA-1.
    let bitbucket = header("x-hub-signature").and_then(|value| value.strip_prefix("sha256="));
    let signature = github.or_else(|| header("x-gitea-signature")).or(bitbucket);
    let signature = signature.ok_or(HookError::Unsigned)?;
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

    /// What the servers send at a push, with all of their headers, shortened in the middle. GitHub
    /// sends a form unless told otherwise: what is signed are the bytes, whatever they are.
    #[test]
    fn pushes_as_each_server_sends_them() {
        let github = br#"{"ref":"refs/heads/main","before":"6113728f27ae82c7b1a177c8d03f9e96e0adf246","after":"59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5","repository":{"id":1,"full_name":"ops/rules","private":true},"pusher":{"name":"a"},"forced":false,"head_commit":{"id":"59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5"}}"#;
        let form = b"payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%2C%22forced%22%3Atrue%7D";
        let gitlab = br#"{"object_kind":"push","event_name":"push","before":"95790bf891e76fee5e1747ab589903a6a1f80f22","after":"da1560886d4f094c3e6c9ef40349f7d38b5d27d7","ref":"refs/heads/main","project_id":15,"project":{"path_with_namespace":"ops/rules"},"total_commits_count":4}"#;
        let gitea = b"{\n  \"ref\": \"refs/heads/main\",\n  \"after\": \"bffeb74224043ba2feb48d137756c8a9331c449a\",\n  \"repository\": {\n    \"full_name\": \"ops/rules\"\n  }\n}";
        let bitbucket = br#"{"push":{"changes":[{"new":{"type":"branch","name":"main"},"forced":false}]},"repository":{"full_name":"ops/rules"}}"#;
        /// The names of headers, each with its value, or with what stands before a signature.
        type Headers<'a> = &'a [(&'static str, &'a str)];
        let cases: [(&[u8], Headers<'_>, Headers<'_>); 5] = [
            (
                github,
                &[
                    ("user-agent", "GitHub-Hookshot/044aadd"),
                    ("x-github-event", "push"),
                    ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
                    ("x-hub-signature", "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6"),
                ],
                &[("x-hub-signature-256", "sha256=")],
            ),
            (
                form,
                &[("content-type", "application/x-www-form-urlencoded"), ("x-github-event", "push")],
                &[("x-hub-signature-256", "sha256=")],
            ),
            (
                gitlab,
                &[
                    ("x-gitlab-event", "Push Hook"),
                    ("x-gitlab-webhook-uuid", "13792a34-cac6-4fda-95a8-c58e00a3954e"),
                    ("x-gitlab-token", SECRET),
                ],
                &[],
            ),
            (
                gitea,
                &[("x-gitea-event", "push"), ("x-gogs-event", "push"), ("x-github-event", "push")],
                &[("x-gitea-signature", ""), ("x-gogs-signature", ""), ("x-hub-signature-256", "sha256=")],
            ),
            (
                bitbucket,
                &[("x-event-key", "repo:push"), ("x-hook-uuid", "7b1a")],
                &[("x-hub-signature", "sha256=")],
            ),
        ];
        for (body, plain, signed) in cases {
            let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
            mac.update(body);
            let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            let mut headers = HeaderMap::new();
            for (name, value) in plain {
                headers.insert(*name, HeaderValue::from_str(value).unwrap());
            }
            for (name, before) in signed {
                headers.insert(*name, HeaderValue::from_str(&format!("{before}{hex}")).unwrap());
            }
            assert_eq!(verify(&repository(Some(SECRET)), &headers, body), Ok(()), "{plain:?}");
            assert_eq!(
                verify(&repository(Some("other")), &headers, body),
                Err(HookError::Wrong),
                "{plain:?}"
            );
            if !signed.is_empty() {
                let other = [body, b" "].concat();
                assert_eq!(
                    verify(&repository(Some(SECRET)), &headers, &other),
                    Err(HookError::Wrong),
                    "{plain:?}"
                );
            }
        }
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
