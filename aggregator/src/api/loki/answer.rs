//! Answers as JSON, in Loki's shapes.

use super::{
    entries::{self, Encoding},
    statistics::Statistics,
};
use logql::{Answer, Series};
use model::{Labels, VectorSample};
use serde_json::{Value as Json, json};

/// The body of an answered query.
pub(super) fn body(answer: Answer, encoding: Encoding, now_ms: i64, statistics: &Statistics) -> Json {
    let entries = match &answer {
        Answer::Streams(entries) => entries.len(),
        _ => 0,
    };
    let mut data = match answer {
        Answer::Streams(entries) => entries::streams(&entries, encoding),
        Answer::Matrix(matrix) => {
            json!({"resultType": "matrix", "result": matrix.iter().map(series).collect::<Vec<_>>()})
        }
        Answer::Vector(vector) => {
            json!({"resultType": "vector", "result": vector.iter().map(sample).collect::<Vec<_>>()})
        }
        Answer::Scalar(value) => json!({"resultType": "scalar", "result": point(now_ms, value)}),
    };
    data["stats"] = statistics.json(entries);
    json!({"status": "success", "data": data})
}

pub(in crate::api) fn labels_json(labels: &Labels) -> Json {
    labels.iter().map(|(name, value)| (name.to_owned(), Json::from(value))).collect()
}

/// `[seconds, "value"]`
pub(super) fn point(milliseconds: i64, value: f64) -> Json {
    let time = match milliseconds % 1000 {
        0 => Json::from(milliseconds / 1000),
        _ => Json::from(milliseconds as f64 / 1000.0),
    };
    json!([time, decimal(value)])
}

/// A value without an exponent, as Loki writes it.
fn decimal(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        finite => finite.to_string(),
    }
}

fn series(series: &Series) -> Json {
    let values: Vec<_> = series.points.iter().map(|(time, value)| point(*time, *value)).collect();
    json!({"metric": labels_json(&series.labels), "values": values})
}

fn sample(sample: &VectorSample) -> Json {
    let value = point(sample.timestamp_ms, sample.value.as_float());
    json!({"metric": labels_json(&sample.labels), "value": value})
}
