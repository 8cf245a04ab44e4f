//! Metrics in, translated as Prometheus translates them.
//!
//! ```text
//! ExportMetricsServiceRequest { repeated ResourceMetrics resource_metrics = 1; }
//! ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scope_metrics = 2; }
//! ScopeMetrics    { Scope scope = 1; repeated Metric metrics = 2; }
//! Metric { string name = 1; string description = 2; string unit = 3; Gauge gauge = 5; Sum sum = 7;
//!          Histogram histogram = 9; ExponentialHistogram exponential_histogram = 10; Summary summary = 11; }
//! Gauge, Sum, … { repeated …DataPoint data_points = 1; enum aggregation_temporality = 2;
//!                 bool is_monotonic = 3; }
//! ```
//!
//! * Names as in [`super::names`]; `service.namespace/service.name` is the job and
//!   `service.instance.id` the instance, every other resource attribute goes to `target_info`.
//! * Explicit histograms become classic ones, exponential ones native ones.
//! * Only cumulative temporality has a meaning in Prometheus; delta points are refused and counted.
//! * The flag "no recorded value" is the staleness marker, start times are kept.

mod exemplar;
mod explicit;
mod exponential;
mod labels;
mod number;
mod resource;
mod summary;

use super::{
    decode_logs::last_message,
    json,
    names::{NameKind, metric_name, unit_name},
    schema,
};
use crate::{DecodeReport, Refusal, WireError, expansion::Expansion, label_set::LabelSet, protobuf::Reader};
use labels::PointLabels;
use model::{METRIC_NAME, Metadata, MetricBatch, MetricKind, SampleRef};
use resource::Resource;

/// What a series takes in a batch besides its labels.
const SERIES_BYTES: usize = size_of::<SampleRef>() + 40;

/// Replaces `batch` with the request in `body`.
///
/// # Errors
/// When `body` is not an `ExportMetricsServiceRequest`; the batch is then empty.
pub fn decode_metrics(body: &[u8], batch: &mut MetricBatch) -> Result<DecodeReport, WireError> {
    batch.clear();
    let mut decoder = Decoder {
        batch,
        report: DecodeReport::default(),
        expansion: Expansion::default(),
        labels: LabelSet::default(),
        resource: Resource::default(),
        family: Family::default(),
    };
    match decoder.request(Reader::new(body)) {
        Ok(()) => Ok(decoder.report),
        Err(error) => {
            batch.clear();
            Err(error)
        }
    }
}

/// [`decode_metrics`] for a JSON body.
///
/// # Errors
/// When `body` is not the JSON form of an `ExportMetricsServiceRequest`; the batch is then empty.
pub fn decode_metrics_json(body: &[u8], batch: &mut MetricBatch) -> Result<DecodeReport, WireError> {
    batch.clear();
    decode_metrics(&json::to_protobuf(body, &schema::METRICS_REQUEST)?, batch)
}

/// The metric being decoded.
#[derive(Default)]
struct Family {
    name: String,
    metadata: Metadata,
    described: bool,
}

/// When a point was measured and since when it counts, and whether it has a value at all.
#[derive(Clone, Copy, Default)]
struct PointTime {
    timestamp_ms: i64,
    start_ms: i64,
    is_stale: bool,
}

impl PointTime {
    const NO_RECORDED_VALUE: u64 = 1;

    fn set_flags(&mut self, flags: u64) {
        self.is_stale = flags & Self::NO_RECORDED_VALUE != 0;
    }

    /// `value`, or the staleness marker for a point without one.
    fn value_or_stale(&self, value: f64) -> f64 {
        if self.is_stale { model::STALE_NAN } else { value }
    }
}

fn nanos_to_ms(nanos: u64) -> i64 {
    (nanos / 1_000_000) as i64
}

struct Decoder<'b> {
    batch: &'b mut MetricBatch,
    report: DecodeReport,
    expansion: Expansion,
    labels: LabelSet,
    resource: Resource,
    family: Family,
}

impl Decoder<'_> {
    fn request(&mut self, mut request: Reader<'_>) -> Result<(), WireError> {
        while let Some((number, field)) = request.next()? {
            if number == 1 {
                self.resource_metrics(field.message(&request)?)?;
            }
        }
        Ok(())
    }

    fn resource_metrics(&mut self, message: Reader<'_>) -> Result<(), WireError> {
        self.resource = match last_message(message, 1)? {
            Some(resource) => Resource::read(resource)?,
            None => Resource::default(),
        };
        let mut reader = message;
        while let Some((number, field)) = reader.next()? {
            if number == 2 {
                self.scope_metrics(field.message(&reader)?)?;
            }
        }
        self.target_info()
    }

    fn scope_metrics(&mut self, mut message: Reader<'_>) -> Result<(), WireError> {
        while let Some((number, field)) = message.next()? {
            if number == 2 {
                self.metric(field.message(&message)?)?;
            }
        }
        Ok(())
    }

    fn metric(&mut self, mut metric: Reader<'_>) -> Result<(), WireError> {
        let (mut name, mut help, mut unit) = (&[][..], &[][..], &[][..]);
        let mut data = None;
        while let Some((number, field)) = metric.next()? {
            match number {
                1 => name = field.bytes(&metric)?,
                2 => help = field.bytes(&metric)?,
                3 => unit = field.bytes(&metric)?,
                5 | 7 | 9 | 10 | 11 => data = Some((number, field.message(&metric)?)),
                _ => {}
            }
        }
        let name = String::from_utf8_lossy(name);
        let Some((data_field, data)) = data else {
            self.report.reject(Refusal::InvalidMetric, 1, || format!("metric `{name}` has no data"));
            return Ok(());
        };
        let shape = Shape::read(data)?;
        if matches!(data_field, 7 | 9 | 10) && shape.temporality != Shape::CUMULATIVE {
            let example = || format!("metric `{name}` has not cumulative temporality");
            self.report.reject(Refusal::DeltaTemporality, shape.points, example);
            return Ok(());
        }
        let (kind, name_kind) = kinds(data_field, shape.is_monotonic);
        let unit = String::from_utf8_lossy(unit);
        let Some(family) = metric_name(&name, &unit, name_kind) else {
            let example = || format!("metric `{name}` has no name in Prometheus");
            self.report.reject(Refusal::InvalidMetric, shape.points, example);
            return Ok(());
        };
        let help = String::from_utf8_lossy(help).into_owned();
        let metadata = Metadata { kind, help, unit: unit_name(&unit) };
        self.family = Family { name: family, metadata, described: false };
        self.points(data_field, shape.is_monotonic, data)
    }

    fn points(&mut self, data_field: u32, is_monotonic: bool, mut data: Reader<'_>) -> Result<(), WireError> {
        while let Some((number, field)) = data.next()? {
            if number != 1 {
                continue;
            }
            let point = field.message(&data)?;
            match data_field {
                5 => self.number_point(point, false)?,
                7 => self.number_point(point, is_monotonic)?,
                9 => self.explicit_point(point)?,
                10 => self.exponential_point(point)?,
                _ => self.summary_point(point)?,
            }
        }
        Ok(())
    }

    /// Starts the series of `suffix` with one more label, in the batch. `false` when it is refused.
    fn begin_series(
        &mut self,
        point: &PointLabels,
        suffix: &str,
        extra: Option<(&str, &str)>,
    ) -> Result<bool, WireError> {
        self.labels.begin();
        point.for_each(&self.resource, |name, value| self.labels.push(name, value));
        let name = format!("{}{suffix}", self.family.name);
        self.labels.insert(METRIC_NAME.as_bytes(), name.as_bytes());
        if let Some((name, value)) = extra {
            self.labels.insert(name.as_bytes(), value.as_bytes());
        }
        self.expansion.charge(self.labels.byte_count() + SERIES_BYTES)?;
        if let Err(error) = self.labels.finish(self.batch) {
            self.labels.reject(&error, 1, &mut self.report);
            return Ok(false);
        }
        self.describe();
        Ok(true)
    }

    /// Gives the family's description once, with the first of its series.
    fn describe(&mut self) {
        if self.family.described {
            return self.batch.same_family();
        }
        let family = &mut self.family;
        family.described = true;
        self.batch.describe_series(&family.name, std::mem::take(&mut family.metadata));
    }

    fn sample(&mut self, time: PointTime, value: f64) {
        self.resource.saw(time.timestamp_ms);
        self.batch.sample(time.timestamp_ms, time.start_ms, time.value_or_stale(value));
        self.report.samples += 1;
    }
}

/// What must be known of a metric's data before its points are read.
#[derive(Default)]
struct Shape {
    temporality: u64,
    is_monotonic: bool,
    points: u64,
}

impl Shape {
    const CUMULATIVE: u64 = 2;

    fn read(mut data: Reader<'_>) -> Result<Self, WireError> {
        let mut shape = Shape::default();
        while let Some((number, field)) = data.next()? {
            match number {
                1 => shape.points += 1,
                2 => shape.temporality = field.varint(&data)?,
                3 => shape.is_monotonic = field.varint(&data)? != 0,
                _ => {}
            }
        }
        Ok(shape)
    }
}

fn kinds(data_field: u32, is_monotonic: bool) -> (MetricKind, NameKind) {
    match (data_field, is_monotonic) {
        (5, _) => (MetricKind::Gauge, NameKind::Gauge),
        (7, true) => (MetricKind::Counter, NameKind::MonotonicSum),
        // An up-down counter is a gauge to Prometheus, but its unit `1` counts things.
        (7, false) => (MetricKind::Gauge, NameKind::Other),
        (11, _) => (MetricKind::Summary, NameKind::Other),
        _ => (MetricKind::Histogram, NameKind::Other),
    }
}
