//! Sorting that can be stopped: a query over very many series must not outlive its caller by as long
//! as it takes to sort them.

use std::cmp::Ordering;
use store::{QueryContext, StopReason};

/// Elements that are sorted or merged between two looks at whether the query goes on.
const RUN: usize = 16 << 10;

/// A stable sort, fast where much of `list` is in order.
///
/// # Errors
/// When the context stops the query; then the order is any.
pub(crate) fn sort_checked<T: Copy>(
    list: &mut Vec<T>,
    context: &QueryContext,
    compare: impl Fn(&T, &T) -> Ordering,
) -> Result<(), StopReason> {
    for run in list.chunks_mut(RUN) {
        context.check()?;
        run.sort_by(&compare);
    }
    let mut length = RUN;
    while length < list.len() {
        let mut merged = Vec::with_capacity(list.len());
        for pair in list.chunks(length * 2) {
            let (first, second) = pair.split_at(length.min(pair.len()));
            merge(first, second, &mut merged, context, &compare)?;
        }
        *list = merged;
        length *= 2;
    }
    Ok(())
}

fn merge<T: Copy>(
    mut first: &[T],
    mut second: &[T],
    merged: &mut Vec<T>,
    context: &QueryContext,
    compare: impl Fn(&T, &T) -> Ordering,
) -> Result<(), StopReason> {
    while let ([.., last], [next, ..]) = (first, second) {
        context.check()?;
        if compare(last, next).is_le() {
            break;
        }
        for _ in 0..RUN {
            let ([a, first_rest @ ..], [b, second_rest @ ..]) = (first, second) else { break };
            if compare(a, b).is_le() {
                merged.push(*a);
                first = first_rest;
            } else {
                merged.push(*b);
                second = second_rest;
            }
        }
    }
    merged.extend_from_slice(first);
    merged.extend_from_slice(second);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::QueryContext;

    #[test]
    fn equal_elements_keep_their_order_over_runs() {
        for count in [0, 1, RUN - 1, RUN, 2 * RUN + 7, 5 * RUN] {
            let scattered = |i: usize| (i * 7919 % 1000, i);
            let mut list: Vec<(usize, usize)> = (0..count).map(scattered).collect();
            let mut expected = list.clone();
            expected.sort();
            sort_checked(&mut list, &QueryContext::default(), |a, b| a.0.cmp(&b.0)).unwrap();
            assert_eq!(list, expected);
            sort_checked(&mut list, &QueryContext::default(), |a, b| a.0.cmp(&b.0)).unwrap();
            assert_eq!(list, expected);
        }
    }

    #[test]
    fn a_stopped_query_sorts_no_further() {
        let context = QueryContext::default();
        context.stop(StopReason::Canceled);
        let compared = std::cell::Cell::new(0);
        let counting = |a: &u32, b: &u32| {
            compared.set(compared.get() + 1);
            a.cmp(b)
        };
        assert_eq!(sort_checked(&mut vec![3, 2, 1], &context, counting), Err(StopReason::Canceled));
        assert_eq!(compared.get(), 0);
    }
}
