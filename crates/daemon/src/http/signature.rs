//! Signatures of webhooks as Standard Webhooks (standardwebhooks.com, specification 1.0) writes
//! them: HMAC-SHA256 over id, time and body.

use crate::Secret;
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Prefix of keys that are written in base64.
const BASE64_KEY: &str = "whsec_";

/// The three headers for `body`: `webhook-id`, `webhook-timestamp` (Unix seconds) and
/// `webhook-signature`. A key that begins with `whsec_` is read as base64.
pub fn signature_headers(secret: &Secret, id: &str, now_ms: i64, body: &str) -> [(&'static str, String); 3] {
    let timestamp = now_ms.div_euclid(1000).to_string();
    let signature = sign(secret, &format!("{id}.{timestamp}.{body}"));
    [("webhook-id", id.to_owned()), ("webhook-timestamp", timestamp), ("webhook-signature", signature)]
}

fn sign(secret: &Secret, text: &str) -> String {
    let encoded = secret.expose().strip_prefix(BASE64_KEY).and_then(|key| STANDARD.decode(key).ok());
    let key = encoded.unwrap_or_else(|| secret.expose().as_bytes().to_vec());
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_verifies() {
        // From the Standard Webhooks specification's reference libraries.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let [_, time, signature] = signature_headers(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330_000,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(time.1, "1614265330");
        assert_eq!(signature.1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
