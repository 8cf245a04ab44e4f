//! Remote read through the router, read back with the decoder of remote write 1.0: a `QueryResult`
//! has the fields of a `WriteRequest`.

use super::tests::app;
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use http_body_util::BodyExt;
use model::MetricBatch;
use tower::ServiceExt;
use wire::{
    compression::{Encoding, compress, decompress},
    remote_write::decode_v1,
};

/// A message field of a length below 128.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, content.len() as u8];
    out.extend_from_slice(content);
    out
}

async fn read(request: &[u8]) -> (StatusCode, Vec<u8>) {
    let mut packed = Vec::new();
    compress(Encoding::Snappy, request, &mut packed).unwrap();
    let request = Request::post("/api/v1/read").body(Body::from(packed)).unwrap();
    let response = crate::api::open_service(&app()).oneshot(request).await.unwrap();
    let status = response.status();
    if status == StatusCode::OK {
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/x-protobuf");
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "snappy");
    }
    (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

#[tokio::test]
async fn matching_series_are_answered_with_their_raw_samples() {
    // start 0, end 65 000 ms, __name__="requests_total", instance=~"a|c"
    let mut query = vec![1 << 3, 0, 2 << 3, 0xe8, 0xfb, 0x03];
    query.extend(field(3, &[field(2, b"__name__"), field(3, b"requests_total")].concat()));
    query.extend(field(3, &[vec![1 << 3, 2], field(2, b"instance"), field(3, b"a|c")].concat()));
    let (status, body) = read(&field(1, &query)).await;
    assert_eq!(status, StatusCode::OK);
    let mut response = Vec::new();
    decompress(Encoding::Snappy, &body, 1 << 20, &mut response).unwrap();
    // Field 1 with a length below 128: two bytes before the result.
    assert_eq!(usize::from(response[1]), response.len() - 2);
    let mut batch = MetricBatch::default();
    decode_v1(&response[2..], &mut batch).unwrap();
    let found: Vec<_> = batch
        .series()
        .map(|series| {
            let samples: Vec<_> = series.samples().iter().map(|s| (s.timestamp_ms, s.value)).collect();
            (series.labels().get("instance").unwrap_or_default().to_owned(), samples)
        })
        .collect();
    assert_eq!(found, [("a".to_owned(), vec![(0, 0.0), (60_000, 60.0)])]);
}

#[tokio::test]
async fn requests_that_cannot_be_read_are_bad_data() {
    let (status, body) = read(b"\xff").await;
    let text = String::from_utf8(body).unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        text.starts_with(r#"{"status":"error","errorType":"bad_data","error":"malformed protobuf"#),
        "{text}"
    );
}
