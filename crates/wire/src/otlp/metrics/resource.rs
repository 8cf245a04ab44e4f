//! The resource that metrics come from: `job`, `instance` and `target_info`.

use super::{
    super::{any_value::next_pair, names::label_name},
    Decoder, SERIES_BYTES,
};
use crate::{WireError, protobuf::Reader};
use model::{LABELS_MAX, METRIC_NAME, Metadata, MetricKind, SampleRef};

const TARGET_INFO: &str = "target_info";
/// Half of the default look-back, so that the info is never missed between two of its samples.
const TARGET_INFO_INTERVAL_MS: i64 = 150_000;
/// Most samples of `target_info` for one resource of a request: 41 hours of them.
const TARGET_INFO_SAMPLES_MAX: usize = 1000;

#[derive(Default)]
pub(super) struct Resource {
    /// `instance` and `job`, as far as they are known; in this order.
    identity: Vec<(&'static str, String)>,
    /// The other attributes as labels, sorted, names unique.
    info: Vec<(Vec<u8>, Vec<u8>)>,
    /// Oldest and newest point.
    span_ms: Option<(i64, i64)>,
}

impl Resource {
    pub(super) fn read(mut message: Reader<'_>) -> Result<Self, WireError> {
        let mut resource = Resource::default();
        let (mut service, mut namespace, mut instance) = (String::new(), String::new(), String::new());
        while let Some((key, value)) = next_pair(&mut message, 1)? {
            let mut text = Vec::new();
            value.text(&mut text)?;
            match key {
                b"service.name" => service = lossy(&text),
                b"service.namespace" => namespace = lossy(&text),
                b"service.instance.id" => instance = lossy(&text),
                _ if text.is_empty() || resource.info.len() > LABELS_MAX => {}
                _ => {
                    let mut name = Vec::with_capacity(key.len());
                    label_name(key, &mut name);
                    resource.info.push((name, text));
                }
            }
        }
        resource.info.sort();
        resource.info.dedup_by(|later, first| later.0 == first.0);
        if !instance.is_empty() {
            resource.identity.push(("instance", instance));
        }
        if !service.is_empty() {
            let job = if namespace.is_empty() { service } else { format!("{namespace}/{service}") };
            resource.identity.push(("job", job));
        }
        Ok(resource)
    }

    /// Labels that all series of the resource get, sorted.
    pub(super) fn identity(&self) -> &[(&'static str, String)] {
        &self.identity
    }

    /// Takes note of a point's time.
    pub(super) fn saw(&mut self, timestamp_ms: i64) {
        let (oldest, newest) = self.span_ms.unwrap_or((timestamp_ms, timestamp_ms));
        self.span_ms = Some((oldest.min(timestamp_ms), newest.max(timestamp_ms)));
    }

    /// Times at which `target_info` gets a sample, newest first: the newest point's, and from there
    /// back in steps as far as there are points.
    fn info_times(&self) -> impl Iterator<Item = i64> + use<> {
        let (oldest, newest) = self.span_ms.unwrap_or((1, 0));
        (0..TARGET_INFO_SAMPLES_MAX as i64)
            .map(move |i| newest - i * TARGET_INFO_INTERVAL_MS)
            .take_while(move |time| *time >= oldest)
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

impl Decoder<'_> {
    /// Adds the `target_info` of the resource, when it has a name to join on and anything to tell.
    pub(super) fn target_info(&mut self) -> Result<(), WireError> {
        let resource = std::mem::take(&mut self.resource);
        if resource.identity.is_empty() || resource.info.is_empty() || resource.span_ms.is_none() {
            return Ok(());
        }
        self.labels.begin();
        let is_free = |name: &[u8]| {
            name != METRIC_NAME.as_bytes()
                && !resource.identity.iter().any(|(known, _)| known.as_bytes() == name)
        };
        for (name, value) in resource.info.iter().filter(|(name, _)| is_free(name)) {
            self.labels.push(name, value);
        }
        for (name, value) in &resource.identity {
            self.labels.insert(name.as_bytes(), value.as_bytes());
        }
        self.labels.insert(METRIC_NAME.as_bytes(), TARGET_INFO.as_bytes());
        self.expansion.charge(self.labels.byte_count() + SERIES_BYTES)?;
        if let Err(error) = self.labels.finish(self.batch) {
            self.labels.reject(&error, 1, &mut self.report);
            return Ok(());
        }
        let metadata =
            Metadata { kind: MetricKind::Gauge, help: "Target metadata".to_owned(), unit: String::new() };
        self.batch.describe_series(TARGET_INFO, metadata);
        for timestamp_ms in resource.info_times() {
            self.expansion.charge(size_of::<SampleRef>())?;
            self.batch.sample(timestamp_ms, 0, 1.0);
            self.report.samples += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_covers_the_span_of_the_points_and_no_more() {
        let mut resource = Resource::default();
        assert_eq!(resource.info_times().count(), 0);
        resource.saw(400_000);
        assert_eq!(resource.info_times().collect::<Vec<_>>(), [400_000]);
        resource.saw(50_000);
        assert_eq!(resource.info_times().collect::<Vec<_>>(), [400_000, 250_000, 100_000]);
        resource.saw(0);
        resource.saw(18_446_744_073_709);
        assert_eq!(resource.info_times().count(), TARGET_INFO_SAMPLES_MAX);
    }
}
