//! Remote write 2.0.
//!
//! ```text
//! Request    { repeated string symbols = 4; repeated TimeSeries timeseries = 5; }
//! TimeSeries { repeated uint32 labels_refs = 1; repeated Sample samples = 2;
//!              repeated Histogram histograms = 3; repeated Exemplar exemplars = 4;
//!              Metadata metadata = 5; }              // 6, created_timestamp, is no more
//! Sample     { double value = 1; int64 timestamp = 2; int64 start_timestamp = 3; }
//! Exemplar   { repeated uint32 labels_refs = 1; double value = 2; int64 timestamp = 3; }
//! Metadata   { enum type = 1; uint32 help_ref = 3; uint32 unit_ref = 4; }
//! ```
//!
//! References name symbols by index, in pairs of name and value; symbol 0 is "".

use super::{
    counts::Counts,
    decode_v1::{lossy, metric_kind},
    histogram::decode_histogram,
};
use crate::{
    DecodeReport, Refusal, WireError,
    expansion::Expansion,
    label_set::LabelSet,
    protobuf::{Field, Reader},
};
use model::{Exemplar, LABEL_BYTES_MAX, LABELS_MAX, Labels, Metadata, MetricBatch, MetricKind};

/// Replaces `batch` with the request in `body`.
///
/// # Errors
/// When `body` is not an `io.prometheus.write.v2.Request`; the batch is then empty.
pub fn decode_v2(body: &[u8], batch: &mut MetricBatch) -> Result<DecodeReport, WireError> {
    batch.clear();
    let symbols = symbols(Reader::new(body))?;
    let mut decoder = Decoder {
        batch,
        symbols,
        labels: LabelSet::default(),
        expansion: Expansion::default(),
        references: Vec::new(),
        described: None,
        report: DecodeReport::default(),
    };
    match decoder.request(Reader::new(body)) {
        Ok(()) => Ok(decoder.report),
        Err(error) => {
            batch.clear();
            Err(error)
        }
    }
}

/// Key of `Request.symbols`: field 4, delimited.
const SYMBOL_KEY: u8 = 0x22;

/// A string of the symbol table.
#[derive(Clone, Copy)]
enum Symbol<'a> {
    /// Shorter than 128 bytes, with the byte of its length in front.
    Short(&'a [u8]),
    Long(&'a [u8]),
}

impl<'a> Symbol<'a> {
    fn text(self) -> &'a [u8] {
        match self {
            Symbol::Short(with_length) => &with_length[1..],
            Symbol::Long(text) => text,
        }
    }
}

/// The symbol table; a pass of its own, because the order of fields is the sender's choice.
fn symbols<'a>(mut request: Reader<'a>) -> Result<Vec<Symbol<'a>>, WireError> {
    let mut symbols = Vec::new();
    loop {
        while let Some(symbol) = request.take_short_with_length(SYMBOL_KEY) {
            symbols.push(Symbol::Short(symbol));
        }
        match request.next()? {
            Some((4, field)) => symbols.push(Symbol::Long(field.bytes(&request)?)),
            Some(_) => {}
            None => break,
        }
    }
    if symbols.first().is_some_and(|first| !first.text().is_empty()) {
        return Err(request.error("symbol 0 is not the empty string"));
    }
    Ok(symbols)
}

struct Decoder<'a, 'b> {
    batch: &'b mut MetricBatch,
    symbols: Vec<Symbol<'a>>,
    labels: LabelSet,
    expansion: Expansion,
    /// References of the label set being read, at most two more than allowed.
    references: Vec<u32>,
    described: Option<Described>,
    report: DecodeReport,
}

impl<'a> Decoder<'a, '_> {
    fn request(&mut self, mut request: Reader<'a>) -> Result<(), WireError> {
        while let Some((number, field)) = request.next()? {
            if number == 5 {
                self.series(field.message(&request)?)?;
            }
        }
        Ok(())
    }

    /// Walks the series twice, labels and metadata first.
    fn series(&mut self, series: Reader<'a>) -> Result<(), WireError> {
        self.references.clear();
        let (mut counts, mut metadata) = (Counts::default(), None);
        let mut reader = series;
        while let Some((number, field)) = reader.next()? {
            match number {
                1 => collect_references(field, &reader, &mut self.references)?,
                2 => counts.samples += 1,
                3 => counts.histograms += 1,
                4 => counts.exemplars += 1,
                5 => metadata = Some(field.message(&reader)?),
                _ => {}
            }
        }
        let resolved = self.resolve_labels();
        self.expansion.charge(self.labels.byte_count() + counts.bytes())?;
        if let Err(problem) = resolved {
            self.report.reject(Refusal::BadSymbolReference, counts.values(), || problem);
            return Ok(());
        }
        if counts.values() == 0 {
            let labels = &self.labels;
            let example =
                || format!("series must contain at least one sample or histogram: {}", labels.describe());
            self.report.reject(Refusal::NoSamples, 1, example);
            return Ok(());
        }
        if let Err(error) = self.labels.finish(self.batch) {
            self.labels.reject(&error, counts.values(), &mut self.report);
            return Ok(());
        }
        if let Some(metadata) = metadata {
            self.metadata(metadata)?;
        }
        self.samples(series)
    }

    /// Looks the references up. Lengths are checked here, before a short reference can blow up
    /// into a long string 10^7 times; the batch names the label that is too long or too many.
    fn resolve_labels(&mut self) -> Result<(), String> {
        self.labels.begin();
        if !self.references.len().is_multiple_of(2) && self.references.len() <= LABELS_MAX * 2 {
            return Err(format!("odd number ({}) of label references", self.references.len()));
        }
        for pair in self.references.chunks_exact(2) {
            match (self.symbol(pair[0])?, self.symbol(pair[1])?) {
                (Symbol::Short(name), Symbol::Short(value)) if name.len() > 1 && value.len() > 1 => {
                    self.labels.push_with_lengths(name, value);
                }
                (name, value) => self.labels.push(clip(name.text()), clip(value.text())),
            }
        }
        Ok(())
    }

    #[inline]
    fn symbol(&self, reference: u32) -> Result<Symbol<'a>, String> {
        self.symbols.get(reference as usize).copied().ok_or_else(|| {
            format!("reference {reference} is beyond the symbol table of {}", self.symbols.len())
        })
    }

    fn samples(&mut self, mut series: Reader<'_>) -> Result<(), WireError> {
        while let Some((number, field)) = series.next()? {
            match number {
                2 => self.sample(field.message(&series)?)?,
                3 => self.histogram(field.message(&series)?)?,
                4 => self.exemplar(field.message(&series)?)?,
                _ => {}
            }
        }
        Ok(())
    }

    #[inline]
    fn sample(&mut self, mut reader: Reader<'_>) -> Result<(), WireError> {
        let (mut value, mut timestamp_ms, mut start_ms) = (0.0, 0, 0);
        while let Some((number, field)) = reader.next()? {
            match number {
                1 => value = field.double(&reader)?,
                2 => timestamp_ms = field.int64(&reader)?,
                3 => start_ms = field.int64(&reader)?,
                _ => {}
            }
        }
        self.batch.sample(timestamp_ms, start_ms, value);
        self.report.samples += 1;
        Ok(())
    }

    fn histogram(&mut self, reader: Reader<'_>) -> Result<(), WireError> {
        let decoded = decode_histogram(reader)?;
        match decoded.histogram {
            Ok(histogram) => {
                self.batch.histogram(decoded.timestamp_ms, decoded.start_ms, histogram);
                self.report.histograms += 1;
            }
            Err(problem) => {
                let labels = &self.labels;
                let example = || format!("{problem} in {}", labels.describe());
                self.report.reject(Refusal::InvalidHistogram, 1, example);
            }
        }
        Ok(())
    }

    fn exemplar(&mut self, mut reader: Reader<'_>) -> Result<(), WireError> {
        self.references.clear();
        let (mut value, mut timestamp_ms) = (0.0, 0);
        while let Some((number, field)) = reader.next()? {
            match number {
                1 => collect_references(field, &reader, &mut self.references)?,
                2 => value = field.double(&reader)?,
                3 => timestamp_ms = field.int64(&reader)?,
                _ => {}
            }
        }
        match self.exemplar_labels() {
            Some(labels) => {
                self.batch.exemplar(Exemplar { labels, timestamp_ms, value });
                self.report.exemplars += 1;
            }
            None => {
                let labels = &self.labels;
                let example = || format!("exemplar of {}", labels.describe());
                self.report.reject(Refusal::InvalidExemplar, 1, example);
            }
        }
        Ok(())
    }

    fn exemplar_labels(&self) -> Option<Labels> {
        if self.references.len() > LABELS_MAX * 2 || !self.references.len().is_multiple_of(2) {
            return None;
        }
        let mut pairs = Vec::with_capacity(self.references.len() / 2);
        for pair in self.references.chunks_exact(2) {
            let name = std::str::from_utf8(self.symbol(pair[0]).ok()?.text()).ok()?;
            let value = std::str::from_utf8(self.symbol(pair[1]).ok()?.text()).ok()?;
            if name.is_empty() || name.len().max(value.len()) > LABEL_BYTES_MAX {
                return None;
            }
            pairs.push((name, value));
        }
        Some(Labels::from_pairs(pairs))
    }

    /// Describes the current series' family. The metric's own name stands for the family's, which
    /// 2.0 does not send.
    fn metadata(&mut self, mut reader: Reader<'_>) -> Result<(), WireError> {
        let (mut kind, mut help, mut unit) = (0, 0, 0);
        while let Some((number, field)) = reader.next()? {
            match number {
                1 => kind = field.varint(&reader)?,
                3 => help = field.varint(&reader)? as u32,
                4 => unit = field.varint(&reader)? as u32,
                _ => {}
            }
        }
        if (kind, help, unit) == (0, 0, 0) {
            return Ok(());
        }
        let Some(series) = self.batch.series().last() else {
            return Ok(());
        };
        let name = series.labels().get(model::METRIC_NAME).unwrap_or_default();
        let kind = metric_kind(kind);
        let family = family_name(name, kind);
        // Series of one family come one after another: look at their description once.
        if self.described.as_ref().is_some_and(|last| last.is(family, kind, help, unit)) {
            self.batch.same_family();
            return Ok(());
        }
        let described = Described { family: family.to_owned(), kind, help, unit };
        let (Ok(help), Ok(unit)) = (self.symbol(help), self.symbol(unit)) else {
            let labels = &self.labels;
            let example = || format!("metadata of {}", labels.describe());
            self.report.reject(Refusal::BadSymbolReference, 1, example);
            return Ok(());
        };
        let (help, unit) = (clip(help.text()), clip(unit.text()));
        self.expansion.charge(help.len() + unit.len() + size_of::<Metadata>())?;
        let metadata = Metadata { kind, help: lossy(help), unit: lossy(unit) };
        self.batch.describe_series(&described.family, metadata);
        self.described = Some(described);
        Ok(())
    }
}

/// The description that the batch got last.
struct Described {
    family: String,
    kind: MetricKind,
    help: u32,
    unit: u32,
}

impl Described {
    fn is(&self, family: &str, kind: MetricKind, help: u32, unit: u32) -> bool {
        self.family == family && (self.kind, self.help, self.unit) == (kind, help, unit)
    }
}

/// The family of a histogram's or summary's part.
fn family_name(name: &str, kind: MetricKind) -> &str {
    let suffixes: &[&str] = match kind {
        MetricKind::Histogram | MetricKind::GaugeHistogram => &["_bucket", "_sum", "_count"],
        MetricKind::Summary => &["_sum", "_count"],
        _ => &[],
    };
    suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

/// Keeps a symbol just long enough for the batch to see that it is too long.
fn clip(symbol: &[u8]) -> &[u8] {
    &symbol[..symbol.len().min(LABEL_BYTES_MAX + 1)]
}

/// Appends references, and stops collecting when there are more than any label set may have.
fn collect_references(
    field: Field<'_>,
    parent: &Reader<'_>,
    references: &mut Vec<u32>,
) -> Result<(), WireError> {
    field.each_varint(parent, |reference| {
        if references.len() < LABELS_MAX * 2 + 2 {
            references.push(u32::try_from(reference).unwrap_or(u32::MAX));
        }
    })
}
