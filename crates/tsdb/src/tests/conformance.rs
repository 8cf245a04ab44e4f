use super::{NOW_MS, small};
use crate::{Tsdb, TsdbOptions};
use disk::{Dir, Faults};
use store::{AgeLimits, MetricStore, conformance};

fn open(dir: &Dir, options: TsdbOptions) -> Box<dyn MetricStore> {
    Box::new(Tsdb::open(dir.clone(), options, NOW_MS).unwrap())
}

#[test]
fn the_store_passes_the_suite_on_disk() {
    let options = TsdbOptions { limits: AgeLimits::NONE, ..TsdbOptions::default() };
    conformance::durable_metric_store(
        || tempfile::tempdir().unwrap(),
        |folder| open(&Dir::real(folder.path()).unwrap(), options),
    );
}

#[test]
fn the_store_passes_the_suite_when_everything_is_small() {
    conformance::durable_metric_store(|| Dir::simulated(1, Faults::default()), |dir| open(dir, small()));
}

#[test]
fn the_store_keeps_age_limits() {
    conformance::metric_store_limits(|limits| {
        open(&Dir::simulated(1, Faults::default()), TsdbOptions { limits, ..TsdbOptions::default() })
    });
}
