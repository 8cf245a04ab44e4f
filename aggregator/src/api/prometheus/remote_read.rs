//! `POST /api/v1/read`: raw samples for another Prometheus, snappy-compressed protobuf.
//!
//! Answers are of the `SAMPLES` type, which every client takes. The whole answer is held in memory,
//! within the query's budget.

use super::answer::{ApiError, ErrorKind};
use crate::{app::AppState, query};
use axum::{
    body::Bytes,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use model::Samples;
use store::{MetricStore, QueryContext, Selection, StoreError};
use wire::{
    WireError,
    compression::{Encoding, compress, decompress},
    remote_write::{ReadQuery, decode_read, encode_read_result, encode_read_series},
};

/// Largest request once decompressed: it holds a few matchers.
const REQUEST_BYTES_MAX: usize = 4 << 20;

impl From<WireError> for ApiError {
    fn from(error: WireError) -> Self {
        ApiError::bad_data(error.to_string())
    }
}

pub(super) async fn read(State(app): State<AppState>, body: Bytes) -> Result<Response, ApiError> {
    let mut request = Vec::new();
    decompress(Encoding::Snappy, &body, REQUEST_BYTES_MAX, &mut request)?;
    let queries = decode_read(&request)?;
    let metrics = app.metrics.clone();
    let packed = query::run(&app, None, move |context| answer(metrics.as_ref(), queries, context)).await??;
    let headers = [(header::CONTENT_TYPE, "application/x-protobuf"), (header::CONTENT_ENCODING, "snappy")];
    Ok((headers, packed).into_response())
}

fn answer(
    metrics: &dyn MetricStore,
    queries: Vec<ReadQuery>,
    context: &QueryContext,
) -> Result<Vec<u8>, ApiError> {
    let (mut response, mut packed) = (Vec::new(), Vec::new());
    for query in queries {
        let result = series(metrics, query, context)?;
        encode_read_result(&result, &mut response);
    }
    let failed = |error: WireError| ApiError { kind: ErrorKind::Internal, message: error.to_string() };
    compress(Encoding::Snappy, &response, &mut packed).map_err(failed)?;
    Ok(packed)
}

/// The series of one query that have samples in its range.
fn series(
    metrics: &dyn MetricStore,
    query: ReadQuery,
    context: &QueryContext,
) -> Result<Vec<u8>, StoreError> {
    let selection = Selection { matchers: query.matchers, range: query.range, step_ms: 0 };
    let set = metrics.select(&selection, context)?;
    let (mut samples, mut out) = (Samples::default(), Vec::new());
    for index in 0..set.len() {
        set.read(index, context, &mut samples)?;
        if samples.is_empty() {
            continue;
        }
        let before = out.len();
        encode_read_series(set.labels(index), &samples, &mut out);
        // Three copies live at once at the end: the result, the response and its packed form.
        context.hold_memory(3 * (out.len() - before) as u64)?;
    }
    Ok(out)
}
