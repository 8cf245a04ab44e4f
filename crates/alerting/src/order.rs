//! The order in which alerts are told and shown, which is Alertmanager's: by it a text reads the
//! same from both, and `max_alerts` keeps the same ones.

use model::Labels;
use std::cmp::Ordering;

/// Labels that say where an alert comes from; alerts from one place stand together.
const PLACE: [&str; 2] = ["job", "instance"];

/// Of two alerts: by place, those without one last, then as [`of_label_sets`].
pub(crate) fn of_alerts(a: &Labels, b: &Labels) -> Ordering {
    let by_place = PLACE.into_iter().map(|name| match (a.get(name), b.get(name)) {
        (Some(a), Some(b)) => a.cmp(b),
        (one, other) => other.is_some().cmp(&one.is_some()),
    });
    by_place.fold(Ordering::Equal, Ordering::then).then_with(|| of_label_sets(a, b))
}

/// Of two label sets: the smaller one first; of equally large ones the first name that only one
/// has puts that one behind, the first value that differs decides otherwise.
pub(crate) fn of_label_sets(a: &Labels, b: &Labels) -> Ordering {
    let by_pair = || {
        let pairs = a.iter().zip(b.iter());
        let of_pairs = |(a, b): ((&str, &str), (&str, &str))| b.0.cmp(a.0).then_with(|| a.1.cmp(b.1));
        pairs.map(of_pairs).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    };
    a.len().cmp(&b.len()).then_with(by_pair)
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
            of_label_sets,
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
            of_alerts,
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
}
