//! A batch made ready to be written, with what can be judged without asking the server.

use crate::{group::Weigh, series_tables::id_of};
use model::{BatchId, Exemplar, Labels, LabelsRef, Metadata, MetricBatch, SeriesView, Value};
use store::{AgeLimits, RejectReason, Rejection, reject};

pub(super) struct Job {
    pub(super) id: Option<BatchId>,
    pub(super) series: Vec<JobSeries>,
    pub(super) metadata: Vec<(String, Metadata)>,
    pub(super) rejected: Vec<Rejection>,
    points: usize,
}

pub(super) struct JobSeries {
    pub(super) id: u128,
    pub(super) labels: Labels,
    pub(super) points: Vec<Point>,
    pub(super) exemplars: Vec<Exemplar>,
}

pub(super) struct Point {
    pub(super) timestamp_ms: i64,
    pub(super) start_ms: i64,
    pub(super) value: Value,
}

impl Weigh for Job {
    fn weight(&self) -> usize {
        self.points
    }
}

impl Job {
    pub(super) fn new(batch: &MetricBatch, id: Option<&BatchId>, limits: AgeLimits, now_ms: i64) -> Self {
        let mut job = Job {
            id: id.cloned(),
            series: Vec::with_capacity(batch.series_count()),
            metadata: batch.metadata().to_vec(),
            rejected: Vec::new(),
            points: 0,
        };
        for view in batch.series() {
            job.add(view, limits, now_ms);
        }
        job
    }

    fn add(&mut self, view: SeriesView<'_>, limits: AgeLimits, now_ms: i64) {
        let labels = view.labels();
        let rejected = &mut self.rejected;
        if labels.is_empty() || LabelsRef::from_bytes(labels.as_bytes()).is_none() {
            let count = (view.samples().len() + view.histograms().len()) as u64;
            reject(rejected, RejectReason::InvalidLabels, count, || format!("series {labels}"));
            return;
        }
        let mut is_taken = |timestamp_ms: i64, what: &str| match limits.check_ms(timestamp_ms, now_ms) {
            Ok(()) => true,
            Err(reason) => {
                reject(rejected, reason, 1, || format!("{what}{labels} at {timestamp_ms}"));
                false
            }
        };
        let mut points = Vec::with_capacity(view.samples().len() + view.histograms().len());
        for sample in view.samples() {
            if is_taken(sample.timestamp_ms, "") {
                let (timestamp_ms, start_ms) = (sample.timestamp_ms, sample.start_ms);
                points.push(Point { timestamp_ms, start_ms, value: Value::Float(sample.value) });
            }
        }
        let exemplars: Vec<Exemplar> =
            view.exemplars().iter().filter(|e| is_taken(e.timestamp_ms, "exemplar of ")).cloned().collect();
        for (timestamp_ms, start_ms, histogram) in view.histograms() {
            if let Err(error) = histogram.validate() {
                let example = || format!("{labels} at {timestamp_ms}: {error}");
                reject(&mut self.rejected, RejectReason::InvalidHistogram, 1, example);
            } else if let Err(reason) = limits.check_ms(*timestamp_ms, now_ms) {
                reject(&mut self.rejected, reason, 1, || format!("{labels} at {timestamp_ms}"));
            } else {
                let (timestamp_ms, start_ms) = (*timestamp_ms, *start_ms);
                points.push(Point { timestamp_ms, start_ms, value: Value::Histogram(histogram.clone()) });
            }
        }
        self.points += points.len();
        self.series.push(JobSeries { id: id_of(labels), labels: labels.to_owned(), points, exemplars });
    }
}
