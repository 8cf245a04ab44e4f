//! What a test feeds into the stores, in order of time: a rule never sees what comes later.

use super::schema::{List, SeriesYaml, StreamYaml};
use model::{Labels, LogBatch, MetricBatch, Value};
use promql::description::parse_series_line;
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, sync::Arc};
use store::{LogStore, MemLogStore, MemMetricStore, MetricStore};
use wire::{LogOptions, loki::decode_push_json};

/// Most lines of one test.
const LINES_MAX: usize = 5_000_000;

/// See the module.
#[derive(Default)]
pub(super) struct Inputs {
    series: Vec<Series>,
    /// By time, nanoseconds: the stream's labels and the line.
    lines: Vec<(i64, Arc<Labels>, Arc<str>)>,
    lines_loaded: usize,
    stores: Option<(Arc<MemMetricStore>, Arc<MemLogStore>)>,
}

struct Series {
    labels: Labels,
    /// In order of time.
    samples: Vec<(i64, Value)>,
    loaded: usize,
}

impl Inputs {
    /// Reads the inputs of a test that starts at `start_ms`.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub(super) fn parse(
        series: &List<SeriesYaml>,
        streams: &List<StreamYaml>,
        start_ms: i64,
        interval_ms: i64,
    ) -> Result<Self, (serde_saphyr::Location, String)> {
        let mut by_labels = BTreeMap::new();
        for line in series.iter().flatten() {
            let parsed = parse_one(line, start_ms, interval_ms).map_err(|error| (line.referenced, error))?;
            // Of a series that is there twice, the last one counts.
            by_labels.insert(parsed.labels.clone(), parsed);
        }
        let mut lines = Vec::new();
        for stream in streams.iter().flatten() {
            let labels = stream_labels(&stream.value.stream).map_err(|error| (stream.referenced, error))?;
            for line in stream.value.lines.iter().flatten() {
                let at = |error| (line.referenced, error);
                let every_ms = duration(line.value.every.as_deref(), interval_ms).map_err(at)?;
                let first_ms = start_ms + duration(line.value.at.as_deref(), 0).map_err(at)?;
                let text: Arc<str> = line.value.line.as_str().into();
                let times = line.value.times.unwrap_or(1);
                if lines.len().saturating_add(times as usize) > LINES_MAX {
                    return Err(at(format!("more than {LINES_MAX} lines")));
                }
                lines.extend((0..i64::from(times)).map(|index| {
                    ((first_ms + index * every_ms).saturating_mul(1_000_000), labels.clone(), text.clone())
                }));
            }
        }
        lines.sort_by_key(|(at_ns, ..)| *at_ns);
        Ok(Inputs { series: by_labels.into_values().collect(), lines, lines_loaded: 0, stores: None })
    }

    /// The same, feeding these stores.
    pub(super) fn over(mut self, metrics: Arc<MemMetricStore>, logs: Arc<MemLogStore>) -> Self {
        self.stores = Some((metrics, logs));
        self
    }

    /// Feeds everything up to `at_ms` that was not fed before.
    ///
    /// # Errors
    /// What a store refused.
    pub(super) fn load_until(&mut self, at_ms: i64) -> Result<(), String> {
        let Some((metrics, logs)) = self.stores.clone() else { return Ok(()) };
        let mut batch = MetricBatch::default();
        for series in &mut self.series {
            let due =
                series.samples[series.loaded..].iter().take_while(|(time_ms, _)| *time_ms <= at_ms).count();
            if due == 0 {
                continue;
            }
            batch.begin_with(series.labels.as_ref());
            for (time_ms, value) in &series.samples[series.loaded..series.loaded + due] {
                match value {
                    Value::Float(value) => batch.sample(*time_ms, 0, *value),
                    Value::Histogram(histogram) => batch.histogram(*time_ms, 0, histogram.as_ref().clone()),
                }
            }
            series.loaded += due;
        }
        if !batch.is_empty() {
            let receipt = metrics.append(&batch, None, at_ms).map_err(|error| error.to_string())?;
            // A rule may have written the same series: its sample stays, as in a server.
            let refused =
                receipt.rejected.iter().find(|it| it.reason != store::RejectReason::DuplicateTimestamp);
            if let Some(refused) = refused {
                return Err(format!("input refused as {}: {}", refused.reason.as_str(), refused.example));
            }
        }
        self.load_lines(&logs, at_ms)
    }

    /// Lines go the way that pushed ones go, so that they have the labels that a server adds.
    fn load_lines(&mut self, logs: &MemLogStore, at_ms: i64) -> Result<(), String> {
        let until_ns = at_ms.saturating_mul(1_000_000);
        let due = self.lines[self.lines_loaded..].iter().take_while(|(at_ns, ..)| *at_ns <= until_ns).count();
        if due == 0 {
            return Ok(());
        }
        let lines = &self.lines[self.lines_loaded..self.lines_loaded + due];
        self.lines_loaded += due;
        let mut streams: BTreeMap<&Labels, Vec<serde_json::Value>> = BTreeMap::new();
        for (at_ns, labels, line) in lines {
            streams
                .entry(labels.as_ref())
                .or_default()
                .push(serde_json::json!([at_ns.to_string(), line.as_ref()]));
        }
        let streams: Vec<_> = streams
            .into_iter()
            .map(|(labels, values)| {
                let stream: BTreeMap<_, _> = labels.iter().collect();
                serde_json::json!({"stream": stream, "values": values})
            })
            .collect();
        let body = serde_json::json!({"streams": streams}).to_string();
        let options = LogOptions { now_ns: until_ns, enrich: true };
        let mut batch = LogBatch::default();
        let report =
            decode_push_json(body.as_bytes(), options, &mut batch).map_err(|error| error.to_string())?;
        let receipt = logs.append(&batch, None, until_ns).map_err(|error| error.to_string())?;
        if let Some(refused) = report.rejected.first() {
            return Err(format!("log input refused: {refused:?}"));
        }
        match receipt.rejected.first() {
            Some(refused) => Err(format!("log input refused: {refused:?}")),
            None => Ok(()),
        }
    }
}

fn parse_one(line: &Spanned<SeriesYaml>, start_ms: i64, interval_ms: i64) -> Result<Series, String> {
    let text = format!("{} {}", line.value.series, line.value.values);
    let parsed = parse_series_line(&text)?;
    if parsed.starts.is_some() {
        return Err("start timestamps are not supported here".to_owned());
    }
    if parsed.labels.is_empty() {
        return Err(format!("`{}` is not a series: it needs labels", line.value.series));
    }
    let timed = parsed.values.into_iter().enumerate();
    let samples = timed
        .filter_map(|(index, item)| Some((start_ms + interval_ms * index as i64, item?.value)))
        .collect();
    Ok(Series { labels: parsed.labels, samples, loaded: 0 })
}

fn stream_labels(text: &str) -> Result<Arc<Labels>, String> {
    let parsed = parse_series_line(text)?;
    if parsed.labels.is_empty() || !parsed.values.is_empty() {
        return Err(format!("`{text}` is not a stream; write it as {{job=\"shop\"}}"));
    }
    Ok(Arc::new(parsed.labels))
}

/// A duration in milliseconds, or `default_ms` when it is left out.
pub(super) fn duration(text: Option<&str>, default_ms: i64) -> Result<i64, String> {
    text.map_or(Ok(default_ms), model::parse_duration_ms)
}
