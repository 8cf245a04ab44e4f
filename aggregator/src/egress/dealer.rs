//! Decides what of a batch goes to an endpoint, under which labels, and over which connection: all
//! samples of one series take the same one, so that they stay in order.

use super::{
    config::RemoteWriteConfig,
    cut::{Cutter, Wanted},
    metrics::EndpointMetrics,
};
use model::{Labels, LabelsRef, Metadata, MetricBatch, RelabelStep, relabel};
use std::collections::HashMap;
use wire::remote_write::Version;

/// Most families whose description is remembered as sent.
const DESCRIBED_MAX: usize = 100_000;

/// See the module.
pub(super) struct Dealer {
    steps: Vec<RelabelStep>,
    send_exemplars: bool,
    send_native_histograms: bool,
    send_metadata: bool,
    age_max_ms: i64,
    cutters: Vec<Cutter>,
    /// What 1.0 has told of families.
    described: HashMap<String, Metadata>,
    metrics: EndpointMetrics,
}

impl Dealer {
    pub(super) fn new(config: &RemoteWriteConfig, metrics: EndpointMetrics) -> Self {
        let queue = &config.queue_config;
        Dealer {
            steps: config.write_relabel_configs.iter().map(|config| config.step.clone()).collect(),
            send_exemplars: config.send_exemplars,
            send_native_histograms: config.send_native_histograms,
            send_metadata: config.metadata_config.send,
            age_max_ms: i64::try_from(queue.sample_age_limit.0).unwrap_or(i64::MAX),
            cutters: (0..queue.max_shards).map(|_| Cutter::new(queue.max_samples_per_send)).collect(),
            described: HashMap::new(),
            metrics,
        }
    }

    /// The pieces of a batch with the number of the connection each takes.
    pub(super) fn deal(
        &mut self,
        batch: &MetricBatch,
        version: Version,
        now_ms: i64,
    ) -> Vec<(usize, MetricBatch)> {
        let is_v2 = version == Version::V2;
        let wanted = Wanted {
            exemplars: self.send_exemplars,
            histograms: is_v2 || self.send_native_histograms,
            metadata: is_v2 && self.send_metadata,
            oldest_ms: if self.age_max_ms > 0 { now_ms.saturating_sub(self.age_max_ms) } else { i64::MIN },
        };
        for series in batch.series() {
            let relabelled;
            let labels = if self.steps.is_empty() {
                series.labels()
            } else {
                match relabel(&self.steps, &series.labels().to_owned()) {
                    Some(labels) => {
                        relabelled = labels;
                        Labels::as_ref(&relabelled)
                    }
                    None => {
                        let samples = series.samples().len() + series.histograms().len();
                        self.metrics.relabelled.inc_by(samples as u64);
                        continue;
                    }
                }
            };
            let lane = self.lane(labels);
            let left_out = self.cutters[lane].series(labels, series, wanted);
            self.metrics.too_old.inc_by(left_out.too_old);
            self.metrics.native_histogram.inc_by(left_out.histograms);
        }
        if !is_v2 && self.send_metadata {
            self.describe(batch);
        }
        let pieces = |(lane, cutter): (usize, &mut Cutter)| {
            cutter.take().into_iter().map(move |piece| (lane, piece)).collect::<Vec<_>>()
        };
        self.cutters.iter_mut().enumerate().flat_map(pieces).collect()
    }

    fn lane(&self, labels: LabelsRef<'_>) -> usize {
        (labels.stable_hash() % self.cutters.len() as u64) as usize
    }

    /// Descriptions that are news, over the first connection.
    fn describe(&mut self, batch: &MetricBatch) {
        for described in batch.metadata() {
            let (family, metadata) = described;
            if self.described.get(family) == Some(metadata) {
                continue;
            }
            if self.described.len() >= DESCRIBED_MAX {
                self.described.clear();
            }
            self.described.insert(family.clone(), metadata.clone());
            self.cutters[0].describe(described);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, egress::metrics::Families};

    fn dealer(more: &str) -> Dealer {
        let text = format!("remote_write:\n- url: http://127.0.0.1:1/w\n{more}");
        let config: Config = daemon::config::parse_yaml(&text, "test").unwrap();
        Dealer::new(&config.remote_write[0], Families::default().endpoint("test"))
    }

    fn batch() -> MetricBatch {
        let mut batch = MetricBatch::default();
        for i in 0..40 {
            let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("i", i.to_string())]);
            batch.begin_with(labels.as_ref());
            batch.sample(1_000, 0, f64::from(i));
            batch.describe_series("m", Metadata { help: "help".to_owned(), ..Metadata::default() });
        }
        batch
    }

    #[test]
    fn series_keep_their_connection_and_descriptions_go_once() {
        let mut dealer = dealer("  queue_config: {max_shards: 3}\n");
        let lanes_of = |pieces: &[(usize, MetricBatch)]| {
            let lanes = pieces.iter().flat_map(|(lane, piece)| {
                piece.series().map(move |series| (series.labels().to_string(), *lane)).collect::<Vec<_>>()
            });
            lanes.collect::<std::collections::BTreeMap<_, _>>()
        };
        let first = dealer.deal(&batch(), Version::V1, 0);
        let second = dealer.deal(&batch(), Version::V1, 0);
        assert_eq!(first.len(), 3);
        assert_eq!(lanes_of(&first), lanes_of(&second));
        let described = |pieces: &[(usize, MetricBatch)]| {
            pieces.iter().map(|(_, piece)| piece.metadata().len()).sum::<usize>()
        };
        assert_eq!((described(&first), described(&second)), (1, 0));
        let v2 = dealer.deal(&batch(), Version::V2, 0);
        assert!(v2.iter().flat_map(|(_, piece)| piece.series()).all(|series| series.metadata().is_some()));
    }

    #[test]
    fn what_is_not_wanted_is_counted() {
        let steps = "  write_relabel_configs:\n  - {source_labels: [i], regex: '3.*', action: drop}\n";
        let mut relabelling = dealer(steps);
        let sent: usize =
            relabelling.deal(&batch(), Version::V1, 0).iter().map(|(_, piece)| piece.sample_count()).sum();
        assert_eq!((sent, relabelling.metrics.relabelled.get()), (29, 11));
        let mut ageing = dealer("  queue_config: {sample_age_limit: 1s}\n");
        assert_eq!(ageing.deal(&batch(), Version::V2, 3_000).len(), 0);
        assert_eq!(ageing.metrics.too_old.get(), 40);
    }
}
