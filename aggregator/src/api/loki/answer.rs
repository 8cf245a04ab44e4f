//! Answers as JSON, in Loki's shapes.

use super::{
    entries::{self, Encoding},
    statistics::Statistics,
};
use logql::{Answer, Series};
use model::{Labels, VectorSample, format_decimal};
use serde::Serialize;
use serde_json::{Value as Json, json};

/// The body of an answered query. Series are written straight into it: there may be many.
pub(super) fn body(answer: &Answer, encoding: Encoding, now_ms: i64, statistics: &Statistics) -> Vec<u8> {
    let mut out = br#"{"status":"success","data":{"#.to_vec();
    let mut entries = 0;
    match answer {
        Answer::Streams(found) => {
            entries = found.len();
            let Json::Object(fields) = entries::streams(found, encoding) else { return out };
            for (name, value) in &fields {
                put(&mut out, name);
                out.push(b':');
                put(&mut out, value);
                out.push(b',');
            }
        }
        Answer::Matrix(matrix) => put_result(&mut out, "matrix", matrix, put_series),
        Answer::Vector(vector) => put_result(&mut out, "vector", vector, put_sample),
        Answer::Scalar(value) => {
            out.extend_from_slice(br#""resultType":"scalar","result":"#);
            put_point(&mut out, now_ms, *value);
            out.push(b',');
        }
    }
    out.extend_from_slice(br#""stats":"#);
    put(&mut out, &statistics.json(entries));
    out.extend_from_slice(b"}}");
    out
}

fn put(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(out, value)
        .expect("texts, numbers and what is made of them can be written to memory");
}

/// The type, and a list of results, each written by `put_item`; ends with a comma.
fn put_result<T>(out: &mut Vec<u8>, kind: &str, items: &[T], put_item: fn(&mut Vec<u8>, &T)) {
    out.extend_from_slice(br#""resultType":"#);
    put(out, kind);
    out.extend_from_slice(br#","result":"#);
    put_list(out, items, put_item);
    out.push(b',');
}

fn put_list<T>(out: &mut Vec<u8>, items: &[T], put_item: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_item(out, item);
    }
    out.push(b']');
}

/// The body of an answer that lists label sets.
pub(super) fn label_sets(sets: &[Labels]) -> Vec<u8> {
    let mut out = br#"{"status":"success","data":"#.to_vec();
    put_list(&mut out, sets, put_labels);
    out.push(b'}');
    out
}

fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    out.push(b'{');
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put(out, name);
        out.push(b':');
        put(out, value);
    }
    out.push(b'}');
}

fn put_series(out: &mut Vec<u8>, series: &Series) {
    out.extend_from_slice(br#"{"metric":"#);
    put_labels(out, &series.labels);
    out.extend_from_slice(br#","values":"#);
    put_list(out, &series.points, |out, (time, value)| put_point(out, *time, *value));
    out.push(b'}');
}

fn put_sample(out: &mut Vec<u8>, sample: &VectorSample) {
    out.extend_from_slice(br#"{"metric":"#);
    put_labels(out, &sample.labels);
    out.extend_from_slice(br#","value":"#);
    put_point(out, sample.timestamp_ms, sample.value.as_float());
    out.push(b'}');
}

/// As [`point`].
fn put_point(out: &mut Vec<u8>, milliseconds: i64, value: f64) {
    out.push(b'[');
    put(out, &seconds(milliseconds));
    out.extend_from_slice(b",\"");
    out.extend_from_slice(format_decimal(value).as_bytes());
    out.extend_from_slice(b"\"]");
}

pub(in crate::api) fn labels_json(labels: &Labels) -> Json {
    labels.iter().map(|(name, value)| (name.to_owned(), Json::from(value))).collect()
}

/// `[seconds, "value"]`
pub(super) fn point(milliseconds: i64, value: f64) -> Json {
    json!([seconds(milliseconds), format_decimal(value)])
}

fn seconds(milliseconds: i64) -> Json {
    match milliseconds % 1000 {
        0 => Json::from(milliseconds / 1000),
        _ => Json::from(milliseconds as f64 / 1000.0),
    }
}
