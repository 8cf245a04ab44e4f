//! Durable deletions: applied when parts are read and when they are merged.

use crate::{
    bytes::{Damaged, Reader, put_bytes, put_signed, put_varint},
    filters::Filters,
};
use model::{Labels, MatchOp, Matcher, TimeRange};
use regex::bytes::Regex;
use store::LineFilter;

/// Rows deleted from parts that existed when it was made.
pub(crate) struct Tombstone {
    /// Applies to parts of a lower id.
    pub(crate) before_part: u64,
    matchers: Vec<Matcher>,
    /// Half-open.
    pub(crate) range: TimeRange,
    filters: Vec<LineFilter>,
    ready: Filters,
}

impl Tombstone {
    pub(crate) fn new(
        before_part: u64,
        matchers: &[Matcher],
        range: TimeRange,
        filters: &[LineFilter],
    ) -> Tombstone {
        Tombstone {
            before_part,
            matchers: matchers.to_vec(),
            range,
            filters: filters.to_vec(),
            ready: Filters::new(filters),
        }
    }

    /// Whether some row of the stream in the closed `range` of part `part` may be deleted.
    pub(crate) fn may_cover(&self, part: u64, labels: &Labels, range: TimeRange) -> bool {
        part < self.before_part
            && self.range.start <= range.end
            && range.start < self.range.end
            && self.matchers.iter().all(|matcher| matcher.matches(labels.value(matcher.name())))
    }

    /// Whether a row of a stream that it may cover is deleted.
    pub(crate) fn covers(&self, timestamp_ns: i64, line: &[u8]) -> bool {
        (self.range.start..self.range.end).contains(&timestamp_ns) && self.ready.pass(line)
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.before_part);
        put_signed(out, self.range.start);
        put_signed(out, self.range.end);
        put_varint(out, self.matchers.len() as u64);
        for matcher in &self.matchers {
            out.push(op_code(matcher.op()));
            put_bytes(out, matcher.name().as_bytes());
            put_bytes(out, matcher.value().as_bytes());
        }
        put_varint(out, self.filters.len() as u64);
        for filter in &self.filters {
            put_filter(out, filter);
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Tombstone, Damaged> {
        let before_part = reader.varint()?;
        let range = TimeRange::new(reader.signed()?, reader.signed()?);
        let matchers: Vec<Matcher> =
            (0..reader.count()?).map(|_| read_matcher(reader)).collect::<Result<_, _>>()?;
        let filters: Vec<LineFilter> =
            (0..reader.count()?).map(|_| read_filter(reader)).collect::<Result<_, _>>()?;
        Ok(Tombstone::new(before_part, &matchers, range, &filters))
    }
}

fn op_code(op: MatchOp) -> u8 {
    match op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    }
}

fn read_matcher(reader: &mut Reader<'_>) -> Result<Matcher, Damaged> {
    let op = match reader.byte()? {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        _ => return Err(Damaged::new("matcher of an unknown kind")),
    };
    Matcher::new(reader.text()?, op, reader.text()?).map_err(|error| Damaged::new(error.0))
}

fn put_filter(out: &mut Vec<u8>, filter: &LineFilter) {
    let (code, texts): (u8, Vec<&[u8]>) = match filter {
        LineFilter::ContainsAny(needles) => (0, needles.iter().map(Vec::as_slice).collect()),
        LineFilter::ContainsNone(needles) => (1, needles.iter().map(Vec::as_slice).collect()),
        LineFilter::Matches { pattern, .. } => (2, vec![pattern.as_bytes()]),
        LineFilter::MatchesNot { pattern, .. } => (3, vec![pattern.as_bytes()]),
    };
    out.push(code);
    put_varint(out, texts.len() as u64);
    texts.iter().for_each(|text| put_bytes(out, text));
}

fn read_filter(reader: &mut Reader<'_>) -> Result<LineFilter, Damaged> {
    let code = reader.byte()?;
    let texts: Vec<Vec<u8>> =
        (0..reader.count()?).map(|_| reader.bytes().map(<[u8]>::to_vec)).collect::<Result<_, _>>()?;
    if code <= 1 {
        return Ok(if code == 0 { LineFilter::ContainsAny(texts) } else { LineFilter::ContainsNone(texts) });
    }
    let text = texts.concat();
    let pattern = String::from_utf8(text).map_err(|_| Damaged::new("pattern is not UTF-8"))?;
    let regex = Regex::new(&pattern).map_err(|error| Damaged::new(error.to_string()))?;
    match code {
        2 => Ok(LineFilter::Matches { pattern, regex }),
        3 => Ok(LineFilter::MatchesNot { pattern, regex }),
        _ => Err(Damaged::new("filter of an unknown kind")),
    }
}
