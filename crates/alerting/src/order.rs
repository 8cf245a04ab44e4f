//! The order in which alerts are told and shown, which is Alertmanager's: by it a text reads the
//! same from both, and `max_alerts` keeps the same ones.

use model::Labels;
use std::cmp::Ordering;

/// Labels that say where an alert comes from; alerts from one place stand together.
const PLACE: [&str; 2] = ["job", "instance"];

/// Puts alerts in order: by place, those without one last, then as [`LabelSetKey`]. Their labels
/// are looked through once each: there may be thousands, with others waiting.
pub(crate) fn sort_alerts<T>(alerts: Vec<T>, labels: impl Fn(&T) -> &Labels) -> Vec<T> {
    if alerts.len() < 2 {
        return alerts;
    }
    let mut order: Vec<usize> = (0..alerts.len()).collect();
    order.sort_by_cached_key(|&at| AlertKey::of(labels(&alerts[at])));
    let mut alerts: Vec<Option<T>> = alerts.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| alerts[at].take()).collect()
}

/// An alert's place in the order.
#[derive(PartialEq, Eq)]
struct AlertKey<'a> {
    place: [Option<&'a str>; PLACE.len()],
    labels: LabelSetKey<'a>,
}

impl<'a> AlertKey<'a> {
    fn of(labels: &'a Labels) -> Self {
        AlertKey { place: PLACE.map(|name| labels.get(name)), labels: LabelSetKey::of(labels) }
    }
}

impl Ord for AlertKey<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let of_places = |(a, b): (&Option<&str>, &Option<&str>)| match (a, b) {
            (Some(a), Some(b)) => a.cmp(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        let by_place = self.place.iter().zip(&other.place).map(of_places).find(|order| order.is_ne());
        by_place.unwrap_or_else(|| self.labels.cmp(&other.labels))
    }
}

impl PartialOrd for AlertKey<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A label set's place among others: the smaller one first; of equally large ones the first name
/// that only one has puts that one behind, the first value that differs decides otherwise. The size is
/// counted once for many comparisons.
#[derive(PartialEq, Eq)]
pub(crate) struct LabelSetKey<'a> {
    size: usize,
    labels: &'a Labels,
}

impl<'a> LabelSetKey<'a> {
    pub(crate) fn of(labels: &'a Labels) -> Self {
        LabelSetKey { size: labels.len(), labels }
    }
}

impl Ord for LabelSetKey<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.size.cmp(&other.size).then_with(|| of_equally_large(self.labels, other.labels))
    }
}

impl PartialOrd for LabelSetKey<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn of_equally_large(a: &Labels, b: &Labels) -> Ordering {
    let pairs = a.iter().zip(b.iter());
    let of_pairs = |(a, b): ((&str, &str), (&str, &str))| b.0.cmp(a.0).then_with(|| a.1.cmp(b.1));
    pairs.map(of_pairs).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `sets` are in order, each before all that follow it.
    fn check(order: fn(&Labels, &Labels) -> Ordering, sets: &[&[(&str, &str)]]) {
        let sets: Vec<_> = sets.iter().map(|pairs| Labels::from_pairs(pairs.iter().copied())).collect();
        for (at, a) in sets.iter().enumerate() {
            for (other_at, b) in sets.iter().enumerate() {
                assert_eq!(order(a, b), at.cmp(&other_at), "{a} and {b}");
            }
        }
    }

    #[test]
    fn label_sets_go_by_size_then_by_the_first_difference() {
        check(
            |a, b| LabelSetKey::of(a).cmp(&LabelSetKey::of(b)),
            &[
                &[("z", "9")],
                &[("b", "1"), ("c", "1")],
                &[("a", "1"), ("c", "1")],
                &[("a", "1"), ("b", "1")],
                &[("a", "1"), ("b", "2")],
                &[("a", "2"), ("b", "1")],
                &[("a", "1"), ("b", "1"), ("c", "1")],
            ],
        );
    }

    #[test]
    fn alerts_go_by_job_and_instance_first() {
        check(
            |a, b| AlertKey::of(a).cmp(&AlertKey::of(b)),
            &[
                &[("job", "a"), ("instance", "1"), ("x", "1"), ("y", "1")],
                &[("job", "a"), ("instance", "2")],
                &[("job", "a")],
                &[("job", "b"), ("instance", "1")],
                &[("instance", "1")],
                &[("instance", "2"), ("a", "1")],
                &[("x", "1")],
                &[("x", "1"), ("y", "1")],
            ],
        );
    }

    #[test]
    fn all_alerts_are_kept_and_equal_ones_stay_as_they_are() {
        let alert = |job: &str, number: u32| (Labels::from_pairs([("job", job)]), number);
        let sorted =
            sort_alerts(vec![alert("b", 1), alert("a", 2), alert("b", 3), alert("a", 4)], |it| &it.0);
        assert_eq!(sorted, [alert("a", 2), alert("a", 4), alert("b", 1), alert("b", 3)]);
        assert_eq!(sort_alerts(vec![alert("b", 1)], |it| &it.0), [alert("b", 1)]);
    }
}
