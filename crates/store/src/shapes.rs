//! Lines by their shape: what many of them have alike, and what differs in each.
//!
//! A store that keeps lines so can hand over the few values that a reader wants without making the
//! lines. Whether a reader can do with values it says once for a shape; and of any row whose values
//! turn out not to be enough it may still ask for the line.

use crate::{Row, RowSink, StreamId};
use model::{Labels, LabelsRef};

/// What lines of one shape have alike: `texts[0] value texts[1] value … texts[n]`, each value at least
/// one token byte (`A-Z a-z 0-9 _` and every byte from 0x80 up), and tokens of texts and values never
/// touch.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// One more than a line has values.
    pub texts: &'a [&'a str],
}

/// A row of a shape, as far as its reader wanted it.
#[derive(Clone, Copy)]
pub struct ShapedRow<'a> {
    /// As [`Row::stream`].
    pub stream: StreamId,
    /// The stream's labels.
    pub labels: &'a Labels,
    /// Nanoseconds since the epoch.
    pub timestamp_ns: i64,
    /// Structured metadata.
    pub metadata: LabelsRef<'a>,
    /// The values wanted, one after the other.
    pub text: &'a str,
    /// Where each of them ends in `text`.
    pub ends: &'a [usize],
}

impl<'a> ShapedRow<'a> {
    /// The value that was wanted as number `index`; empty when there is none.
    pub fn value(&self, index: usize) -> &'a str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends.get(before).copied().unwrap_or(0));
        let end = self.ends.get(index).copied().unwrap_or(start);
        self.text.get(start..end).unwrap_or("")
    }
}

/// What a reader wants of the rows of a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedValues {
    /// By which number the reader knows the shape.
    pub shape: usize,
    /// Places of the values, ascending.
    pub places: Vec<usize>,
}

/// What becomes of a shaped row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shaped {
    /// It is taken.
    Taken,
    /// Its values are not enough: the row is wanted with its line.
    WantsLine,
    /// The unit ends here.
    Break,
}

/// Receives the rows of a unit, some of them by their shape.
pub trait ShapeSink: RowSink {
    /// Which values of a shape's rows are wanted, by place and ascending; `None` when their lines are.
    fn shape(&mut self, shape: Shape<'_>) -> Option<WantedValues>;

    /// Takes a row of a shape that was told of, which the sink has given the number `shape`.
    fn shaped(&mut self, shape: usize, row: ShapedRow<'_>) -> Shaped;
}

/// Hands the rows of a [`ShapeSink`] over as any others.
pub(crate) struct ByLine<'a>(pub(crate) &'a mut dyn ShapeSink);

impl RowSink for ByLine<'_> {
    fn row(&mut self, row: Row<'_>) -> std::ops::ControlFlow<()> {
        self.0.row(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_side_by_side() {
        let labels = Labels::empty();
        let row = ShapedRow {
            stream: StreamId(0),
            labels: &labels,
            timestamp_ns: 0,
            metadata: labels.as_ref(),
            text: "12é3",
            ends: &[2, 4, 5],
        };
        let values: Vec<&str> = (0..4).map(|index| row.value(index)).collect();
        assert_eq!(values, ["12", "é", "3", ""]);
    }
}
