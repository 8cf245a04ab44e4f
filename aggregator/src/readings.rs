//! What scaling policies read: PromQL over the metric store, with the age of what contributed,
//! and the alerts that fire.

use crate::evaluate::Evaluator;
use alerting::{Alerting, Querier, Reading as Answer, Source, rules::AlertState};
use promql::Expr;
use scaling::{Reading, Readings};
use std::{collections::BTreeSet, sync::Arc};

/// See the module.
pub(crate) struct PolicyReadings {
    evaluator: Arc<Evaluator>,
    alerting: Option<Arc<Alerting>>,
}

impl PolicyReadings {
    /// Readings from `evaluator`; guards see the alerts of `alerting`.
    pub(crate) fn new(evaluator: Arc<Evaluator>, alerting: Option<Arc<Alerting>>) -> Self {
        PolicyReadings { evaluator, alerting }
    }

    /// When the newest samples behind `expr` were taken. Of several selectors the one whose data
    /// are oldest counts, since a sum of fresh and stale is stale. A selector without any sample
    /// in the lookback counts as that old.
    fn sampled_at_ms(&self, expr: &str, at_ms: i64) -> Result<Option<i64>, String> {
        let tree = self.evaluator.parse(expr).map_err(|error| error.to_string())?;
        let mut oldest: Option<i64> = None;
        for selector in tree.selectors() {
            let newest = format!("max(timestamp({}))", Expr::Vector(selector.clone()));
            let newest_ms = match self.evaluator.instant(Source::Metrics, &newest, at_ms) {
                Ok(Answer::Vector(vector)) => {
                    vector.first().map(|found| (found.value.as_float() * 1000.0) as i64)
                }
                Ok(Answer::Scalar(_)) => None,
                Err(failure) => return Err(failure.to_string()),
            };
            let newest_ms = newest_ms.unwrap_or_else(|| at_ms.saturating_sub(self.evaluator.lookback_ms()));
            oldest = Some(oldest.map_or(newest_ms, |oldest| oldest.min(newest_ms)));
        }
        Ok(oldest)
    }
}

impl Readings for PolicyReadings {
    fn read(&self, expr: &str, at_ms: i64) -> Result<Vec<Reading>, String> {
        let answer =
            self.evaluator.instant(Source::Metrics, expr, at_ms).map_err(|failure| failure.to_string())?;
        let values: Vec<f64> = match answer {
            Answer::Vector(vector) => vector.iter().map(|element| element.value.as_float()).collect(),
            Answer::Scalar(value) => vec![value],
        };
        let sampled_at_ms = self.sampled_at_ms(expr, at_ms)?;
        Ok(values.into_iter().map(|value| Reading { value, sampled_at_ms }).collect())
    }

    fn check(&self, expr: &str) -> Result<(), (usize, usize, String)> {
        Querier::check(self.evaluator.as_ref(), Source::Metrics, expr)
            .map_err(|error| (error.line, error.column, error.message))
    }

    fn firing_alerts(&self) -> Vec<String> {
        let groups = self.alerting.as_ref().map(|alerting| alerting.rules()).unwrap_or_default();
        let rules = groups.iter().flat_map(|group| &group.rules);
        let firing = rules.filter(|rule| rule.active.iter().any(|alert| alert.state == AlertState::Firing));
        let names: BTreeSet<&str> = firing.map(|rule| rule.definition.name()).collect();
        names.into_iter().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PromqlConfig, QueryConfig};
    use model::{Labels, MetricBatch};
    use store::{MemLogStore, MemMetricStore, MetricStore};

    #[test]
    fn the_oldest_selector_decides_the_age() {
        let metrics = Arc::new(MemMetricStore::new());
        let mut batch = MetricBatch::default();
        for (name, at_ms) in [("fresh", 100_000), ("stale", 40_000)] {
            batch.begin_with(Labels::from_pairs([("__name__", name)]).as_ref());
            batch.sample(at_ms, 0, 2.0);
        }
        metrics.append(&batch, None, 100_000).unwrap();
        let logs = Arc::new(MemLogStore::new());
        let evaluator = Evaluator::new(metrics, logs, &QueryConfig::default(), &PromqlConfig::default());
        let readings = PolicyReadings::new(Arc::new(evaluator), None);
        let age = |expr: &str| {
            readings.read(expr, 100_000).unwrap().first().and_then(|reading| reading.sampled_at_ms)
        };
        assert_eq!(age("fresh"), Some(100_000));
        assert_eq!(age("fresh + stale"), Some(40_000));
        assert_eq!(age("sum(last_over_time(stale[10m]))"), Some(40_000));
        assert_eq!(age("vector(1)"), None);
        assert!(readings.read("nothing", 100_000).unwrap().is_empty());
        assert!(readings.check("sum(").is_err());
    }
}
