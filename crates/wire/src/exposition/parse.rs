//! Text in.

use super::line::Cursor;
use crate::{DecodeReport, Refusal, WireError, expansion::Expansion, label_set::LabelSet};
use model::{Exemplar, LABELS_MAX, Labels, METRIC_NAME, Metadata, MetricBatch, MetricKind};

/// Endings that a family's samples may have.
const SUFFIXES: [&str; 8] = ["_total", "_bucket", "_sum", "_count", "_created", "_info", "_gsum", "_gcount"];
/// What a series takes in a batch besides its labels.
const SERIES_BYTES: usize = 64;

/// Which of the two formats a text is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// `text/plain; version=0.0.4`: times in milliseconds.
    Prometheus,
    /// `application/openmetrics-text`: times in seconds.
    OpenMetrics,
}

impl Syntax {
    /// From the value of `Content-Type`; anything but OpenMetrics reads as Prometheus' own.
    pub fn from_content_type(value: &str) -> Self {
        let media_type = value.split(';').next().unwrap_or("").trim();
        match media_type.eq_ignore_ascii_case("application/openmetrics-text") {
            true => Syntax::OpenMetrics,
            false => Syntax::Prometheus,
        }
    }

    pub(super) fn time(self, word: &str) -> Result<i64, String> {
        let bad = || format!("`{word}` is not a timestamp");
        match self {
            Syntax::Prometheus => word.trim_end().parse().map_err(|_| bad()),
            Syntax::OpenMetrics => {
                let seconds = model::parse_float(word.trim_end()).ok_or_else(bad)?;
                let in_range = seconds.abs() < 1e15;
                if in_range { Ok((seconds * 1000.0).round() as i64) } else { Err(bad()) }
            }
        }
    }
}

/// How a text is read.
#[derive(Clone, Copy, Debug)]
pub struct ParseOptions {
    /// Its format.
    pub syntax: Syntax,
    /// Time of the samples that have none, milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Whether times in the text count; otherwise all samples get `timestamp_ms`.
    pub honor_timestamps: bool,
}

/// Replaces `batch` with the samples and descriptions of `text`.
///
/// # Errors
/// When a line does not parse or the text is not UTF-8; the batch is then empty.
pub fn parse(text: &[u8], options: ParseOptions, batch: &mut MetricBatch) -> Result<DecodeReport, WireError> {
    batch.clear();
    let mut parser = Parser {
        batch,
        options,
        labels: LabelSet::default(),
        expansion: Expansion::default(),
        report: DecodeReport::default(),
        family: Family::default(),
    };
    match parser.text(text) {
        Ok(()) => Ok(parser.report),
        Err(error) => {
            batch.clear();
            Err(error)
        }
    }
}

/// The family that the comments above described.
#[derive(Default)]
struct Family {
    name: String,
    metadata: Metadata,
    described: bool,
}

impl Family {
    fn has(&self, metric: &str) -> bool {
        !self.name.is_empty()
            && metric
                .strip_prefix(self.name.as_str())
                .is_some_and(|suffix| suffix.is_empty() || SUFFIXES.contains(&suffix))
    }
}

struct Parser<'b> {
    batch: &'b mut MetricBatch,
    options: ParseOptions,
    labels: LabelSet,
    expansion: Expansion,
    report: DecodeReport,
    family: Family,
}

impl Parser<'_> {
    fn text(&mut self, text: &[u8]) -> Result<(), WireError> {
        let text = std::str::from_utf8(text).map_err(|_| WireError::NotUtf8("exposition text"))?;
        for (i, line) in text.lines().enumerate() {
            let line = line.trim_matches([' ', '\t']);
            if line == "# EOF" && self.options.syntax == Syntax::OpenMetrics {
                break;
            }
            let parsed = match line.strip_prefix('#') {
                Some(comment) => self.comment(comment),
                None if line.is_empty() => Ok(Ok(())),
                None => self.sample(line),
            };
            parsed?.map_err(|problem| WireError::Text { line: i + 1, problem })?;
        }
        self.end_family()
    }

    /// `# HELP`, `# TYPE` and `# UNIT`; any other comment says nothing.
    fn comment(&mut self, comment: &str) -> Result<Result<(), String>, WireError> {
        let blank = [' ', '\t'];
        let Some(comment) = comment.strip_prefix(blank) else {
            return Ok(Ok(()));
        };
        let comment = comment.trim_start_matches(blank);
        let (keyword, rest) = comment.split_once(blank).unwrap_or((comment, ""));
        if !matches!(keyword, "HELP" | "TYPE" | "UNIT") {
            return Ok(Ok(()));
        }
        let Some((name, value)) = family_name(rest.trim_start_matches(blank)) else {
            return Ok(Err(format!("{keyword} without a metric name")));
        };
        if name != self.family.name {
            self.end_family()?;
            self.family = Family { name, ..Family::default() };
        }
        let metadata = &mut self.family.metadata;
        match keyword {
            "HELP" => metadata.help = unescape_help(value),
            "UNIT" => metadata.unit = value.trim().to_owned(),
            _ => match kind(value.trim()) {
                Some(kind) => metadata.kind = kind,
                None => return Ok(Err(format!("invalid metric type `{}`", value.trim()))),
            },
        }
        Ok(Ok(()))
    }

    /// Keeps the description of a family without samples.
    fn end_family(&mut self) -> Result<(), WireError> {
        let family = std::mem::take(&mut self.family);
        if !family.described && !family.name.is_empty() {
            self.expansion.charge(size_of::<Metadata>() + family.name.len())?;
            self.batch.describe(&family.name, family.metadata);
        }
        Ok(())
    }

    fn sample(&mut self, line: &str) -> Result<Result<(), String>, WireError> {
        self.labels.begin();
        let labels = &mut self.labels;
        let parsed = Cursor::new(line)
            .sample(self.options.syntax, |name, value| labels.push(name.as_bytes(), value.as_bytes()));
        let sample = match parsed {
            Ok(sample) => sample,
            Err(problem) => return Ok(Err(problem)),
        };
        self.labels.insert(METRIC_NAME.as_bytes(), sample.name.as_bytes());
        self.expansion.charge(self.labels.byte_count() + SERIES_BYTES)?;
        if let Err(error) = self.labels.finish(self.batch) {
            self.labels.reject(&error, 1, &mut self.report);
            return Ok(Ok(()));
        }
        let default_ms = self.options.timestamp_ms;
        let timestamp_ms =
            sample.timestamp_ms.filter(|_| self.options.honor_timestamps).unwrap_or(default_ms);
        self.batch.sample(timestamp_ms, 0, sample.value);
        self.report.samples += 1;
        if self.family.has(&sample.name) {
            self.describe();
        }
        if let Some(raw) = sample.exemplar {
            let timestamp_ms = raw.timestamp_ms.unwrap_or(timestamp_ms);
            self.exemplar(raw.labels, timestamp_ms, raw.value)?;
        }
        Ok(Ok(()))
    }

    fn describe(&mut self) {
        if self.family.described {
            return self.batch.same_family();
        }
        self.family.described = true;
        let metadata = std::mem::take(&mut self.family.metadata);
        self.batch.describe_series(&self.family.name, metadata);
    }

    fn exemplar(
        &mut self,
        labels: Vec<(String, String)>,
        timestamp_ms: i64,
        value: f64,
    ) -> Result<(), WireError> {
        self.expansion.charge(size_of::<Exemplar>() + 32)?;
        if labels.len() > LABELS_MAX || labels.iter().any(|(name, _)| name.is_empty()) {
            let example = || format!("exemplar of {}", self.labels.describe());
            self.report.reject(Refusal::InvalidExemplar, 1, example);
            return Ok(());
        }
        self.batch.exemplar(Exemplar { labels: Labels::from_pairs(labels), timestamp_ms, value });
        self.report.exemplars += 1;
        Ok(())
    }
}

/// The family's name in front of `text`, quoted or not, and what follows the blank behind it.
fn family_name(text: &str) -> Option<(String, &str)> {
    let (name, rest) = match text.strip_prefix('"') {
        Some(quoted) => {
            let end = quoted.find('"')?;
            (&quoted[..end], quoted[end + 1..].trim_start_matches([' ', '\t']))
        }
        None => text.split_once([' ', '\t']).unwrap_or((text, "")),
    };
    (!name.is_empty()).then(|| (name.to_owned(), rest))
}

fn unescape_help(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => out.push('\n'),
                Some(quoted @ ('\\' | '"')) => out.push(quoted),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}

fn kind(name: &str) -> Option<MetricKind> {
    Some(match name {
        "counter" => MetricKind::Counter,
        "gauge" => MetricKind::Gauge,
        "histogram" => MetricKind::Histogram,
        "gaugehistogram" => MetricKind::GaugeHistogram,
        "summary" => MetricKind::Summary,
        "info" => MetricKind::Info,
        "stateset" => MetricKind::StateSet,
        "untyped" | "unknown" => MetricKind::Unknown,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, syntax: Syntax) -> Result<(Vec<String>, DecodeReport), String> {
        let options = ParseOptions { syntax, timestamp_ms: 42, honor_timestamps: true };
        let mut batch = MetricBatch::default();
        let report = parse(text.as_bytes(), options, &mut batch).map_err(|error| error.to_string())?;
        let mut lines = Vec::new();
        for series in batch.series() {
            let sample = series.samples()[0];
            let family = series.metadata().map(|(name, metadata)| {
                format!(" {name}/{}/{}/{}", metadata.kind.as_str(), metadata.help, metadata.unit)
            });
            let value = model::format_float(sample.value);
            lines.push(format!(
                "{} {value} {}{}",
                series.labels(),
                sample.timestamp_ms,
                family.unwrap_or_default()
            ));
            for exemplar in series.exemplars() {
                lines.push(format!("# {} {} {}", exemplar.labels, exemplar.value, exemplar.timestamp_ms));
            }
        }
        Ok((lines, report))
    }

    #[test]
    fn prometheus_text() {
        let text = "\
# HELP http_requests_total All \\\"requests\\\".\\nBy code\\\\path.
# TYPE http_requests_total counter
http_requests_total{method=\"post\",code=\"200\",} 1027 1395066363000
  http_requests_total { code = \"4\\\"0\\n0\\\\\" , method=\"post\" }\t3

# A comment
#TYPE not_a_type nonsense
# TYPE latency histogram
latency_bucket{le=\"+Inf\"} 0x10
latency_sum NaN
other{} -Inf -5
{\"http.status\", \"a b\"=\"c\"} 1e3
# HELP lonely No samples.
";
        let about = "http_requests_total/counter/All \"requests\".\nBy code\\path./";
        let (lines, report) = read(text, Syntax::Prometheus).unwrap();
        assert_eq!(
            lines,
            [
                format!(
                    r#"{{__name__="http_requests_total", code="200", method="post"}} 1027 1395066363000 {about}"#
                ),
                format!(
                    "{{__name__=\"http_requests_total\", code=\"4\\\"0\\n0\\\\\", method=\"post\"}} 3 42 {about}"
                ),
                r#"{__name__="latency_bucket", le="+Inf"} 16 42 latency/histogram//"#.to_owned(),
                r#"{__name__="latency_sum"} NaN 42 latency/histogram//"#.to_owned(),
                r#"{__name__="other"} -Inf -5"#.to_owned(),
                r#"{__name__="http.status", "a b"="c"} 1000 42"#.to_owned(),
            ]
        );
        assert_eq!(report.samples, 6);
    }

    #[test]
    fn openmetrics_text() {
        let text = "\
# TYPE foo counter
# UNIT foo seconds
# HELP foo Help.
foo_total{a=\"1\"} 17.0 1520879607.789 # {trace_id=\"abc\"} 0.67 1520879606
foo_created{a=\"1\"} 1520430000.123
# EOF
not parsed";
        let (lines, _) = read(text, Syntax::OpenMetrics).unwrap();
        assert_eq!(
            lines,
            [
                r#"{__name__="foo_total", a="1"} 17 1520879607789 foo/counter/Help./seconds"#,
                r#"# {trace_id="abc"} 0.67 1520879606000"#,
                r#"{__name__="foo_created", a="1"} 1520430000.123 42 foo/counter/Help./seconds"#,
            ]
        );
    }

    #[test]
    fn bad_lines_refuse_the_text_and_bad_labels_only_the_series() {
        for (text, expected) in [
            ("a 1\nb{c=\"d\" 1", "line 2: expected `,` or `}` after a label"),
            ("a{b} 1", "line 1: label `b` without `=`"),
            ("a{b=c} 1", "line 1: label `b` without a quoted value"),
            ("a{b=\"c} 1", "line 1: unterminated string"),
            ("a x", "line 1: `x` is not a number"),
            ("a", "line 1: `` is not a number"),
            ("a 1 1.5", "line 1: `1.5` is not a timestamp"),
            ("a 1 2 3", "line 1: unexpected `3` at the end of the line"),
            ("{a=\"b\"} 1", "line 1: expected a metric name"),
            ("# TYPE a strange", "line 1: invalid metric type `strange`"),
            ("# HELP", "line 1: HELP without a metric name"),
        ] {
            assert_eq!(read(text, Syntax::Prometheus).unwrap_err(), expected, "{text}");
        }
        let (lines, report) = read("a{b=\"1\",b=\"2\"} 1\na{=\"x\"} 1\nc 1", Syntax::Prometheus).unwrap();
        assert_eq!((lines.len(), report.rejected_count()), (1, 2));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "[a-z{}\",=#\\\\ 0-9é\n]{0,60}") {
            for syntax in [Syntax::Prometheus, Syntax::OpenMetrics] {
                drop(read(&text, syntax));
            }
        }
    }
}
