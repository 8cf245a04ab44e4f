//! `POST /api/v1/admin/tsdb/snapshot`: refused, since nobody could read what it would make.

use super::answer::{ApiError, ErrorKind};

/// A snapshot is a folder of Prometheus blocks on the server. Our parts have another format, so an
/// answer of success would promise a folder that Prometheus' tools cannot open.
pub(super) async fn snapshot() -> ApiError {
    ApiError {
        kind: ErrorKind::NotImplemented,
        message:
            "snapshots in Prometheus' block format are not supported; to copy the data of a stopped server, \
                  copy its data folder"
                .to_owned(),
    }
}
