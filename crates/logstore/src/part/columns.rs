//! Columns of a chunk: times, line lengths, and structured metadata by name.
//!
//! An absent metadata value is the empty string, which the data model has no other use for. A
//! metadata column is constant, a dictionary with one- or two-byte codes, or plain strings,
//! whichever its values ask for.

use super::table::Run;
use crate::bytes::{Damaged, Reader, put_bytes, put_varint};
use hashbrown::HashMap;
use model::LabelsRef;

const KIND_CONSTANT: u8 = 0;
const KIND_CODES_8: u8 = 1;
const KIND_CODES_16: u8 = 2;
const KIND_STRINGS: u8 = 3;
/// Names that get a column of their own in one chunk; the pairs of others share one column.
const COLUMNS_MAX: usize = 512;
/// The shared column's name, which no label can have. Its values are canonical label bytes.
pub(crate) const REST_NAME: &str = "";

/// Units that times may be whole multiples of.
const TIME_UNITS_NS: [u64; 4] = [1_000_000_000, 1_000_000, 1_000, 1];

/// Encodes times: the unit, then for every run its first time and the differences, in units.
pub(crate) fn encode_times(times: &[i64], runs: &[Run]) -> Vec<u8> {
    let mut gaps = Vec::with_capacity(times.len());
    for_each_run(runs, |range| {
        gaps.extend(times[range].windows(2).map(|pair| pair[1].wrapping_sub(pair[0]) as u64));
    });
    let fits = |unit: &&u64| gaps.iter().all(|gap| gap.is_multiple_of(**unit));
    let unit = TIME_UNITS_NS.iter().find(fits).copied().unwrap_or(1);
    let mut out = Vec::with_capacity(times.len() * 2);
    put_varint(&mut out, unit);
    let mut gap = gaps.iter();
    for_each_run(runs, |range| {
        crate::bytes::put_signed(&mut out, times[range.start]);
        for gap in gap.by_ref().take(range.len() - 1) {
            put_varint(&mut out, gap / unit);
        }
    });
    out
}

fn for_each_run(runs: &[Run], mut visit: impl FnMut(std::ops::Range<usize>)) {
    let mut start = 0;
    for run in runs {
        let end = start + run.rows as usize;
        visit(start..end);
        start = end;
    }
}

/// Decodes [`encode_times`].
pub(crate) fn decode_times(bytes: &[u8], runs: &[Run]) -> Result<Vec<i64>, Damaged> {
    let mut reader = Reader::new(bytes);
    let unit = reader.varint()?;
    let mut times = Vec::with_capacity(bytes.len());
    for run in runs {
        let mut time = reader.signed()?;
        times.push(time);
        for _ in 1..run.rows {
            time = time.wrapping_add(reader.varint()?.wrapping_mul(unit) as i64);
            times.push(time);
        }
    }
    Ok(times)
}

/// Encodes the byte length of every line.
pub(crate) fn encode_lengths(lengths: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lengths.len() * 2);
    for &length in lengths {
        put_varint(&mut out, u64::from(length));
    }
    out
}

/// Decodes [`encode_lengths`].
pub(crate) fn decode_lengths(bytes: &[u8], rows: usize) -> Result<Vec<u32>, Damaged> {
    let mut reader = Reader::new(bytes);
    if rows > bytes.len() {
        return Err(Damaged::new("fewer lengths than rows"));
    }
    (0..rows).map(|_| reader.u32()).collect()
}

/// Collects one column: a dictionary of its values in order of appearance, and a code for each
/// row. Code 0 is the absent value.
#[derive(Default)]
pub(crate) struct ColumnBuilder {
    by_value: HashMap<Box<[u8]>, u32>,
    values: Vec<Box<[u8]>>,
    codes: Vec<u32>,
}

impl ColumnBuilder {
    fn push(&mut self, row: usize, value: &[u8]) {
        if self.values.is_empty() {
            self.values.push(Box::from([].as_slice()));
        }
        self.codes.resize(row, 0);
        let repeats_last = self.codes.last().is_some_and(|&last| *self.values[last as usize] == *value);
        let code = if repeats_last {
            self.codes[row - 1]
        } else if let Some(&code) = self.by_value.get(value) {
            code
        } else {
            let code = self.values.len() as u32;
            self.by_value.insert(value.into(), code);
            self.values.push(value.into());
            code
        };
        self.codes.push(code);
    }

    /// Distinct present values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.values.iter().skip(1).map(|value| &**value)
    }

    /// The value of a row.
    pub(crate) fn get(&self, row: usize) -> &[u8] {
        match self.codes.get(row) {
            Some(&code) => &self.values[code as usize],
            None => &[],
        }
    }

    fn encode(&self, rows: usize) -> Vec<u8> {
        let is_constant = self.codes.len() == rows && self.codes.iter().all(|&code| code == self.codes[0]);
        let mut out = Vec::new();
        if is_constant && rows > 0 {
            out.push(KIND_CONSTANT);
            out.extend_from_slice(self.get(0));
        } else if self.values.len() <= 1 << 16 && self.values.len() * 2 <= rows + 2 {
            let is_narrow = self.values.len() <= 1 << 8;
            out.push(if is_narrow { KIND_CODES_8 } else { KIND_CODES_16 });
            put_varint(&mut out, self.values.len() as u64);
            for value in &self.values {
                put_bytes(&mut out, value);
            }
            for row in 0..rows {
                let code = self.codes.get(row).copied().unwrap_or(0);
                let bytes = (code as u16).to_le_bytes();
                out.extend_from_slice(if is_narrow { &bytes[..1] } else { &bytes });
            }
        } else {
            out.push(KIND_STRINGS);
            for row in 0..rows {
                put_varint(&mut out, self.get(row).len() as u64);
            }
            for row in 0..rows {
                out.extend_from_slice(self.get(row));
            }
        }
        out
    }
}

/// All metadata columns of a chunk being written.
#[derive(Default)]
pub(crate) struct ColumnsBuilder {
    columns: HashMap<Box<str>, ColumnBuilder>,
    rest: ColumnBuilder,
    rest_pairs: Vec<u8>,
}

impl ColumnsBuilder {
    /// Adds the metadata of row `row`; rows come in ascending order.
    pub(crate) fn push(&mut self, row: usize, metadata: LabelsRef<'_>) {
        self.rest_pairs.clear();
        for (name, value) in metadata.iter() {
            if let Some(column) = self.columns.get_mut(name) {
                column.push(row, value.as_bytes());
            } else if self.columns.len() < COLUMNS_MAX {
                self.columns.entry(name.into()).or_default().push(row, value.as_bytes());
            } else {
                put_bytes(&mut self.rest_pairs, name.as_bytes());
                put_bytes(&mut self.rest_pairs, value.as_bytes());
            }
        }
        if !self.rest_pairs.is_empty() {
            self.rest.push(row, &self.rest_pairs);
        }
    }

    /// Forgets all rows.
    pub(crate) fn clear(&mut self) {
        self.columns.clear();
        self.rest = ColumnBuilder::default();
    }

    pub(crate) fn get(&self, name: &str) -> Option<&ColumnBuilder> {
        self.columns.get(name)
    }

    /// Every `name`, `value` pair that some row has; repeats are possible.
    pub(crate) fn for_each_pair(&self, mut visit: impl FnMut(&str, &[u8])) {
        for (name, column) in &self.columns {
            column.values().for_each(|value| visit(name, value));
        }
        for set in self.rest.values() {
            for (name, value) in LabelsRef::from_trusted_bytes(set).iter() {
                visit(name, value.as_bytes());
            }
        }
    }

    /// The columns' encoded bytes, ascending by name.
    pub(crate) fn encode(&self, rows: usize) -> Vec<(&str, Vec<u8>)> {
        let mut encoded: Vec<(&str, Vec<u8>)> =
            self.columns.iter().map(|(name, column)| (&**name, column.encode(rows))).collect();
        if self.rest.values().next().is_some() {
            encoded.push((REST_NAME, self.rest.encode(rows)));
        }
        encoded.sort_unstable_by_key(|(name, _)| *name);
        encoded
    }
}

/// A decoded column.
pub(crate) enum Column {
    Constant(Vec<u8>),
    Codes { values: Vec<Vec<u8>>, codes: Vec<u16> },
    Strings { ends: Vec<usize>, text: Vec<u8> },
}

impl Column {
    pub(crate) fn decode(bytes: &[u8], rows: usize) -> Result<Column, Damaged> {
        let mut reader = Reader::new(bytes);
        let kind = reader.byte()?;
        match kind {
            KIND_CONSTANT => Ok(Column::Constant(reader.rest().to_vec())),
            KIND_CODES_8 | KIND_CODES_16 => {
                let count = reader.count()?;
                let values: Vec<Vec<u8>> =
                    (0..count).map(|_| reader.bytes().map(<[u8]>::to_vec)).collect::<Result<_, _>>()?;
                let codes: Vec<u16> = if kind == KIND_CODES_8 {
                    reader.take(rows)?.iter().map(|&code| u16::from(code)).collect()
                } else {
                    let pairs = reader.take(rows * 2)?.as_chunks::<2>().0;
                    pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect()
                };
                if codes.iter().any(|&code| usize::from(code) >= values.len()) {
                    return Err(Damaged::new("column code beyond its dictionary"));
                }
                Ok(Column::Codes { values, codes })
            }
            KIND_STRINGS => {
                let mut end = 0usize;
                let mut ends = Vec::with_capacity(rows.min(bytes.len()));
                for _ in 0..rows {
                    end = end.saturating_add(reader.u32()? as usize);
                    ends.push(end);
                }
                Ok(Column::Strings { ends, text: reader.take(end)?.to_vec() })
            }
            _ => Err(Damaged::new("column of an unknown kind")),
        }
    }

    /// The value of a row; empty when absent.
    pub(crate) fn get(&self, row: usize) -> &[u8] {
        match self {
            Column::Constant(value) => value,
            Column::Codes { values, codes } => &values[usize::from(codes[row])],
            Column::Strings { ends, text } => {
                let start = if row == 0 { 0 } else { ends[row - 1] };
                &text[start..ends[row]]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Labels;

    fn run(rows: u32) -> Run {
        Run { stream: 0, rows, bytes: 0, oldest_ns: 0, newest_ns: 0, levels: Vec::new() }
    }

    #[test]
    fn times_round_trip_in_every_unit() {
        for times in [vec![5, 5, 7], vec![i64::MIN, 0, i64::MAX], vec![0, 1_000_000, 3_000_000], vec![9; 3]] {
            let runs = [run(2), run(1)];
            assert_eq!(decode_times(&encode_times(&times, &runs), &runs).unwrap(), times);
        }
    }

    #[test]
    fn columns_of_every_kind_round_trip() {
        let many = (0..600).map(|n| format!("value {n}")).collect::<Vec<_>>();
        let few = ["", "a", "b", "a"];
        for rows in [1usize, 7, 1300] {
            for pick in [0usize, 1, 2] {
                let value = |row: usize| match pick {
                    0 => "same",
                    1 => few[row % few.len()],
                    _ => many[row % many.len()].as_str(),
                };
                let mut builder = ColumnsBuilder::default();
                for row in 0..rows {
                    builder.push(row, Labels::from_pairs([("n", value(row))]).as_ref());
                }
                for (name, bytes) in builder.encode(rows) {
                    assert_eq!(name, "n");
                    let column = Column::decode(&bytes, rows).unwrap();
                    assert!((0..rows).all(|row| column.get(row) == value(row).as_bytes()), "{rows} {pick}");
                }
            }
        }
    }

    #[test]
    fn names_beyond_the_limit_share_a_column() {
        let mut builder = ColumnsBuilder::default();
        for row in 0..COLUMNS_MAX + 2 {
            builder.push(row, Labels::from_pairs([(format!("n{row}"), "v")]).as_ref());
        }
        let encoded = builder.encode(COLUMNS_MAX + 2);
        assert_eq!((encoded.len(), encoded[0].0), (COLUMNS_MAX + 1, REST_NAME));
        let mut pairs = 0;
        builder.for_each_pair(|_, value| pairs += usize::from(value == b"v"));
        assert_eq!(pairs, COLUMNS_MAX + 2);
    }
}
