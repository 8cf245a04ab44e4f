use super::bridge::Bridge;
use store::{AgeLimits, LogStore, MetricStore, conformance};

#[test]
fn the_metric_store_passes_the_suite() {
    let Some(bridge) = Bridge::start() else { return };
    conformance::remote_metric_store(
        || bridge.database(),
        |database| Box::new(bridge.open(database).unwrap().metrics(AgeLimits::NONE)) as Box<dyn MetricStore>,
    );
}

#[test]
fn the_log_store_passes_the_suite() {
    let Some(bridge) = Bridge::start() else { return };
    conformance::remote_log_store(
        || bridge.database(),
        |database| Box::new(bridge.open(database).unwrap().logs(AgeLimits::NONE)) as Box<dyn LogStore>,
    );
}

#[test]
fn both_stores_keep_age_limits() {
    let Some(bridge) = Bridge::start() else { return };
    let database = bridge.database();
    conformance::metric_store_limits(|limits| Box::new(bridge.open(&database).unwrap().metrics(limits)));
    conformance::log_store_limits(|limits| Box::new(bridge.open(&database).unwrap().logs(limits)));
}
