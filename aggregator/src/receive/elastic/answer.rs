//! The answer to a bulk request: the outcome of each action.
//!
//! It is put into words piece by piece while it is sent. An action may have fourteen bytes and its outcome
//! ten times as many, so the whole of it would take much memory for a small request, and keep a thread that
//! serves sockets for long.

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::Serialize;
use std::{
    convert::Infallible,
    iter,
    sync::{Arc, OnceLock},
    time::Duration,
};
use wire::elastic::Item;

/// What a piece has at least, but for the last.
const PIECE_BYTES: usize = 32 << 10;

/// What was decoded of a request, once it was.
pub(super) type Items = Arc<OnceLock<Vec<Item>>>;

/// The answer to a request with these actions. `unstored` says why nothing of what was decoded is stored.
pub(super) fn answer(items: Items, unstored: Option<String>, took: Duration) -> Response {
    let count = items.get().map_or(0, Vec::len);
    let mut pieces = Pieces { items, unstored, took, told: 0, is_begun: false };
    let first = pieces.next().unwrap_or_default();
    let body = match pieces.told < count {
        true => Body::from_stream(stream::iter(iter::once(first).chain(pieces).map(Ok::<_, Infallible>))),
        false => Body::from(first),
    };
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// The text of an answer.
struct Pieces {
    items: Items,
    unstored: Option<String>,
    took: Duration,
    /// Items that have been put into words.
    told: usize,
    is_begun: bool,
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let items = self.items.get().map_or(&[][..], Vec::as_slice);
        let mut piece = Vec::with_capacity(PIECE_BYTES + 1024);
        if !self.is_begun {
            let is_failed = self.unstored.is_some() || items.iter().any(|item| item.error.is_some());
            let took_ms = self.took.as_millis();
            piece.extend_from_slice(
                format!(r#"{{"took":{took_ms},"errors":{is_failed},"items":["#).as_bytes(),
            );
            self.is_begun = true;
        } else if self.told == items.len() {
            return None;
        }
        while piece.len() < PIECE_BYTES
            && let Some(item) = items.get(self.told)
        {
            if self.told > 0 {
                piece.push(b',');
            }
            write(&mut piece, item, self.unstored.as_deref());
            self.told += 1;
        }
        if self.told == items.len() {
            piece.extend_from_slice(b"]}");
        }
        Some(piece.into())
    }
}

#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(rename = "_index")]
    index: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Cause<'a>>,
}

#[derive(Serialize)]
struct Cause<'a> {
    r#type: &'static str,
    reason: &'a str,
}

/// `{"create":{"_index":"logs","status":201,"result":"created"}}`
fn write(piece: &mut Vec<u8>, item: &Item, unstored: Option<&str>) {
    let index = &*item.index;
    let outcome = match item.error.as_deref().or(unstored) {
        None => Outcome { index, status: 201, result: Some("created"), error: None },
        Some(reason) => {
            let cause = Cause { r#type: "document_parsing_exception", reason };
            Outcome { index, status: 400, result: None, error: Some(cause) }
        }
    };
    // The names of actions are words of ours.
    piece.extend_from_slice(format!(r#"{{"{}":"#, item.action).as_bytes());
    serde_json::to_writer(&mut *piece, &outcome).expect("text and numbers are written to memory");
    piece.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use serde_json::Value;

    /// `count` outcomes, every third of them a failure.
    fn items(count: usize) -> Items {
        let item = |number| Item {
            action: if number % 2 == 0 { "create" } else { "index" },
            index: "a \"name\"".into(),
            error: (number % 3 == 0).then(|| "no \"good\"".into()),
        };
        Arc::new(OnceLock::from((0..count).map(item).collect::<Vec<_>>()))
    }

    #[tokio::test]
    async fn all_outcomes_are_told_whatever_their_number() {
        for (count, unstored) in
            [(0, None), (1, None), (2, Some("refused: too old")), (5_000, None), (5_000, Some("refused"))]
        {
            let response = answer(items(count), unstored.map(str::to_owned), Duration::from_millis(7));
            let body = response.into_body().collect().await.expect("a body in memory").to_bytes();
            let found: Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!((&found["took"], &found["errors"]), (&7.into(), &(count > 0).into()));
            let told = found["items"].as_array().expect("items");
            assert_eq!(told.len(), count);
            for (number, item) in told.iter().enumerate() {
                let outcome = &item[if number % 2 == 0 { "create" } else { "index" }];
                let reason = (number % 3 == 0).then_some("no \"good\"").or(unstored);
                assert_eq!(
                    (&outcome["_index"], &outcome["error"]["reason"]),
                    (&"a \"name\"".into(), &reason.into())
                );
                assert_eq!(outcome["status"], if reason.is_some() { 400 } else { 201 });
                assert_eq!(outcome["result"].is_null(), reason.is_some());
            }
        }
    }

    #[tokio::test]
    async fn long_answers_are_made_in_pieces() {
        let mut body = answer(items(20_000), None, Duration::ZERO).into_body();
        let mut pieces = 0;
        while let Some(frame) = body.frame().await {
            let piece = frame.expect("made in memory").into_data().expect("data");
            assert!(piece.len() < 2 * PIECE_BYTES);
            pieces += 1;
        }
        assert!(pieces > 10, "{pieces}");
    }
}
