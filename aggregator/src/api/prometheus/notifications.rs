//! `GET /api/v1/notifications`: what the server has to tell whoever looks at its page.

use super::answer::Success;

/// Prometheus lists here a failed reload or a coming shutdown. This server keeps no such list:
/// a reload that fails tells its caller and the log.
pub(super) async fn notifications() -> Success {
    Success::new("[]".to_owned())
}
