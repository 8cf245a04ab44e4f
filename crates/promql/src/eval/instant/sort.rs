//! `sort` and its kin: the order of an instant query's answer. Over several steps there is no order;
//! `sort` and `sort_desc` still leave histograms out.

use super::super::{
    EvalResult, Evaluator, Grid, Series, Sink,
    column::{Sample, is_absent},
};
use crate::ast::{Call, Expr};
use model::Value;
use std::cmp::Ordering;

impl<'q> Evaluator<'q> {
    pub(super) fn sort(&self, call: &Call, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        let [arg, labels @ ..] = call.args.as_slice() else { return Ok(()) };
        if grid.count > 1 || grid == self.query && self.end_ms != self.query.start_ms {
            let message = "sort is ineffective for range queries since results are always ordered by labels";
            self.warn(call.span.start, message);
        }
        let by_value = matches!(call.function.name, "sort" | "sort_desc");
        if grid.count > 1 {
            return if by_value { self.floats_only(arg, grid, sink) } else { self.stream(arg, grid, sink) };
        }
        let labels =
            labels.iter().map(|label| Ok(self.text(label)?.into_owned())).collect::<EvalResult<Vec<_>>>()?;
        let mut all = self.vector(arg, grid)?;
        match call.function.name {
            "sort" => sort_floats(&mut all, |a, b| a.total_cmp(&b)),
            "sort_desc" => sort_floats(&mut all, |a, b| b.total_cmp(&a)),
            "sort_by_label" => all.sort_by(|a, b| by_labels(a, b, &labels)),
            _ => all.sort_by(|a, b| by_labels(b, a, &labels)),
        }
        all.into_iter().try_for_each(sink)
    }

    /// The series without their histograms.
    fn floats_only(&self, arg: &Expr, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        self.stream(arg, grid, &mut |mut series| {
            if series.column.has_histograms() {
                series.column.map(|_, sample| match sample {
                    Sample::Float(value) => Some(Value::Float(value)),
                    Sample::Histogram(_) => None,
                });
            }
            if series.column.is_empty() { Ok(()) } else { sink(series) }
        })
    }
}

/// Sorts the values of a single step, NaN last; histograms are left out.
fn sort_floats(all: &mut Vec<Series<'_>>, order: fn(f64, f64) -> Ordering) {
    all.retain(|series| !is_absent(series.column.floats[0]));
    all.sort_by(|a, b| {
        let (a, b) = (a.column.floats[0], b.column.floats[0]);
        match (a.is_nan(), b.is_nan()) {
            (false, false) if a == b => Ordering::Equal,
            (false, false) => order(a, b),
            (a, b) => a.cmp(&b),
        }
    });
}

/// By the given labels, then by all of them; numbers inside values count as numbers.
fn by_labels(a: &Series<'_>, b: &Series<'_>, labels: &[String]) -> Ordering {
    let given = labels.iter().map(|label| natural(a.labels.value(label), b.labels.value(label)));
    given.fold(Ordering::Equal, Ordering::then).then_with(|| a.labels.cmp(&b.labels))
}

/// Natural order: texts are cut where digits begin and end; pieces that are numbers compare as
/// numbers, others by their bytes.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() && !b.is_empty() {
        let (left, right) = (piece(a), piece(b));
        let order = match (number(left), number(right)) {
            (Some(x), Some(y)) => x.len().cmp(&y.len()).then_with(|| x.cmp(y)),
            _ => left.cmp(right),
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (&a[left.len()..], &b[right.len()..]);
    }
    a.len().cmp(&b.len())
}

/// The longest start that is all digits or has none.
fn piece(text: &[u8]) -> &[u8] {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let first = text.first().is_some_and(is_digit);
    &text[..text.iter().take_while(|byte| is_digit(byte) == first).count()]
}

/// The digits of a number without zeros in front.
fn number(piece: &[u8]) -> Option<&[u8]> {
    let zeros = piece.iter().take_while(|byte| **byte == b'0').count();
    piece.first().is_some_and(u8::is_ascii_digit).then(|| &piece[zeros..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_labels_count_as_numbers() {
        for (a, b, expected) in [
            ("cpu2", "cpu10", Ordering::Less),
            ("a", "b", Ordering::Less),
            ("10", "9", Ordering::Greater),
            ("v1.10", "v1.9", Ordering::Greater),
            ("a1b", "a1b", Ordering::Equal),
            ("", "a", Ordering::Less),
            ("node-1", "node1", Ordering::Greater),
            ("a1", "a1b", Ordering::Less),
            ("a01", "a1", Ordering::Equal),
            ("ab1", "a1", Ordering::Greater),
        ] {
            assert_eq!(natural(a, b), expected, "{a} {b}");
        }
    }
}
