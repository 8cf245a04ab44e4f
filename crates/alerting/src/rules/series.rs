//! The series that rules write: what recording rules compute, and for alerts
//! `ALERTS{alertstate}` = 1 and `ALERTS_FOR_STATE` = the second at which the alert became active.
//!
//! A series that a rule wrote at its last evaluation and does not write now ends with a staleness
//! marker.

use super::active::{ActiveAlert, AlertState};
use model::{Labels, METRIC_NAME, MetricBatch, STALE_NAN, Value};
use std::collections::BTreeSet;

/// One point to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    /// Labels with the metric's name.
    pub(crate) labels: Labels,
    /// The value.
    pub(crate) value: Value,
}

/// The two series of each pending or firing alert.
pub(crate) fn of_alerts<'a>(alerts: impl Iterator<Item = &'a ActiveAlert>) -> Vec<Point> {
    let mut points = Vec::new();
    for alert in alerts.filter(|alert| alert.state != AlertState::Inactive) {
        let mut labels = alert.labels.to_builder();
        let since_s = alert.active_at_ms.div_euclid(1000);
        labels.set(METRIC_NAME, "ALERTS_FOR_STATE");
        points.push(Point { labels: labels.build(), value: Value::Float(since_s as f64) });
        labels.set(METRIC_NAME, "ALERTS").set("alertstate", alert.state.as_str());
        points.push(Point { labels: labels.build(), value: Value::Float(1.0) });
    }
    points
}

/// The points and the ends of series that are no more; `written` becomes what is there now.
pub(crate) fn batch(points: &[Point], written: &mut BTreeSet<Labels>, at_ms: i64) -> MetricBatch {
    let mut batch = MetricBatch::default();
    let mut now_written = BTreeSet::new();
    for point in points {
        batch.begin_with(point.labels.as_ref());
        match &point.value {
            Value::Float(value) => batch.sample(at_ms, 0, *value),
            Value::Histogram(histogram) => batch.histogram(at_ms, 0, histogram.as_ref().clone()),
        }
        now_written.insert(point.labels.clone());
    }
    end_series(&mut batch, written.difference(&now_written), at_ms);
    *written = now_written;
    batch
}

/// Adds a staleness marker for each of `series`.
pub(crate) fn end_series<'a>(batch: &mut MetricBatch, series: impl Iterator<Item = &'a Labels>, at_ms: i64) {
    for labels in series {
        batch.begin_with(labels.as_ref());
        batch.sample(at_ms, 0, STALE_NAN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Annotations;

    fn lines(batch: &MetricBatch) -> Vec<String> {
        let line = |series: model::SeriesView<'_>| {
            let value = series.samples()[0].value;
            let value = if model::is_stale(value) { "stale".to_owned() } else { value.to_string() };
            format!("{} {value}", series.labels())
        };
        batch.series().map(line).collect()
    }

    #[test]
    fn series_that_leave_end() {
        let point = |name: &str| Point {
            labels: Labels::from_pairs([(METRIC_NAME, name)]),
            value: Value::Float(2.0),
        };
        let mut written = BTreeSet::new();
        let first = batch(&[point("a"), point("b")], &mut written, 10);
        assert_eq!(lines(&first), [r#"{__name__="a"} 2"#, r#"{__name__="b"} 2"#]);
        let second = batch(&[point("b")], &mut written, 20);
        assert_eq!(lines(&second), [r#"{__name__="b"} 2"#, r#"{__name__="a"} stale"#]);
        assert!(batch(&[], &mut BTreeSet::new(), 30).is_empty());
    }

    #[test]
    fn alerts_have_two_series() {
        let alert = ActiveAlert {
            labels: Labels::from_pairs([("alertname", "Down"), ("job", "x")]),
            annotations: Annotations::empty(),
            state: AlertState::Firing,
            value: Value::Float(0.0),
            active_at_ms: 61_500,
            fired_at_ms: Some(61_500),
            resolved_at_ms: None,
            keep_firing_since_ms: None,
            last_sent_ms: None,
            element: 0,
            no_data_since_ms: None,
        };
        let resolved = ActiveAlert { state: AlertState::Inactive, ..alert.clone() };
        let points = of_alerts([&alert, &resolved].into_iter());
        assert_eq!(
            lines(&batch(&points, &mut BTreeSet::new(), 70_000)),
            [
                r#"{__name__="ALERTS_FOR_STATE", alertname="Down", job="x"} 61"#,
                r#"{__name__="ALERTS", alertname="Down", alertstate="firing", job="x"} 1"#,
            ]
        );
    }
}
