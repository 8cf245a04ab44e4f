//! Text out.

use model::{LabelsRef, METRIC_NAME, Metadata, MetricBatch, MetricKind, SeriesView};
use std::collections::HashMap;

/// Appends the float samples of `batch` as text 0.0.4, family by family in order of first
/// appearance, each with its HELP and TYPE lines. With `timestamps`, every sample has its time.
///
/// Returns how many native histograms were left out: the text format has no form for them.
pub fn write(batch: &MetricBatch, timestamps: bool, out: &mut String) -> usize {
    let mut histograms = 0;
    for (family, metadata, series) in families(batch) {
        write_header(out, family, metadata);
        for series in series {
            histograms += series.histograms().len();
            for sample in series.samples() {
                write_series(out, series.labels());
                out.push(' ');
                out.push_str(&model::format_float(sample.value));
                if timestamps {
                    out.push_str(&format!(" {}", sample.timestamp_ms));
                }
                out.push('\n');
            }
        }
    }
    histograms
}

/// A family's name and description, and its series.
type FamilySeries<'a> = (&'a str, Option<&'a Metadata>, Vec<SeriesView<'a>>);

/// Series of one family together: a text may not come back to a family.
fn families(batch: &MetricBatch) -> Vec<FamilySeries<'_>> {
    let mut families: Vec<FamilySeries<'_>> = Vec::new();
    let mut index: HashMap<&str, usize> = HashMap::new();
    for series in batch.series() {
        let metric = series.labels().get(METRIC_NAME).unwrap_or_default();
        let (name, metadata) = match series.metadata() {
            Some((name, metadata)) => (name.as_str(), Some(metadata)),
            None => (metric, None),
        };
        let at = *index.entry(name).or_insert_with(|| {
            families.push((name, metadata, Vec::new()));
            families.len() - 1
        });
        families[at].2.push(series);
    }
    families
}

fn write_header(out: &mut String, family: &str, metadata: Option<&Metadata>) {
    let name = match model::is_legacy_metric_name(family) {
        true => family.to_owned(),
        false => quoted(family),
    };
    if let Some(metadata) = metadata
        && !metadata.help.is_empty()
    {
        let help = metadata.help.replace('\\', "\\\\").replace('\n', "\\n");
        out.push_str(&format!("# HELP {name} {help}\n"));
    }
    let kind = match metadata.map_or(MetricKind::Unknown, |metadata| metadata.kind) {
        kind @ (MetricKind::Counter | MetricKind::Gauge | MetricKind::Histogram | MetricKind::Summary) => {
            kind.as_str()
        }
        // OpenMetrics' further kinds have no name in 0.0.4; these two are gauges underneath.
        MetricKind::Info | MetricKind::StateSet => "gauge",
        MetricKind::GaugeHistogram => "histogram",
        MetricKind::Unknown => "untyped",
    };
    out.push_str(&format!("# TYPE {name} {kind}\n"));
}

/// `name{label="value",…}`, or `{"name",…}` for a name that needs quotes.
fn write_series(out: &mut String, labels: LabelsRef<'_>) {
    let name = labels.get(METRIC_NAME).unwrap_or_default();
    let mut separator = '{';
    if model::is_legacy_metric_name(name) {
        out.push_str(name);
    } else {
        out.push('{');
        out.push_str(&quoted(name));
        separator = ',';
    }
    for (label, value) in labels.iter().filter(|(label, _)| *label != METRIC_NAME) {
        out.push(separator);
        separator = ',';
        match model::is_legacy_label_name(label) {
            true => out.push_str(label),
            false => out.push_str(&quoted(label)),
        }
        out.push('=');
        out.push_str(&quoted(value));
    }
    if separator == ',' {
        out.push('}');
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{ParseOptions, Syntax, parse};
    use model::Labels;
    use proptest::prelude::*;

    #[test]
    fn families_stay_together_and_everything_is_escaped() {
        let mut batch = MetricBatch::default();
        let add = |batch: &mut MetricBatch, labels: &[(&str, &str)], value: f64| {
            batch.begin_with(Labels::from_pairs(labels.iter().copied()).as_ref());
            batch.sample(1000, 0, value);
        };
        add(&mut batch, &[("__name__", "h_sum"), ("path", "C:\\\"x\"\n")], 1.5e9);
        let help = "Back\\slash\nnewline".to_owned();
        batch.describe_series("h", Metadata { kind: MetricKind::Histogram, help, unit: String::new() });
        add(&mut batch, &[("__name__", "up")], 1.0);
        add(&mut batch, &[("__name__", "h_count")], f64::INFINITY);
        batch.describe_series(
            "h",
            Metadata {
                kind: MetricKind::Histogram,
                help: "Back\\slash\nnewline".into(),
                unit: String::new(),
            },
        );
        add(&mut batch, &[("__name__", "a.b"), ("c d", "é")], 1e-7);
        batch.histogram(1, 0, model::Histogram::default());
        let mut text = String::new();
        assert_eq!(write(&batch, false, &mut text), 1);
        assert_eq!(
            text,
            "# HELP h Back\\\\slash\\nnewline\n# TYPE h histogram\nh_sum{path=\"C:\\\\\\\"x\\\"\\n\"} 1500000000\n\
             h_count +Inf\n# TYPE up untyped\nup 1\n# TYPE \"a.b\" untyped\n{\"a.b\",\"c d\"=\"é\"} 1e-07\n"
        );
        text.clear();
        write(&batch, true, &mut text);
        assert!(text.contains("up 1 1000\n"), "{text}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_written_reads_back(
            series in proptest::collection::vec(
                ("[a-c.]{1,2}", "[a-z ]{1,2}", "\\PC{0,4}|\n\\\\\"", any::<f64>(), any::<i64>()), 0..6),
        ) {
            let mut batch = MetricBatch::default();
            let mut expected = Vec::new();
            for (name, label, value, number, time) in &series {
                let labels = Labels::from_pairs([("__name__", name), (label, value)]);
                batch.begin_with(labels.as_ref());
                batch.sample(*time, 0, *number);
                expected.push(format!("{labels} {} {time}", model::format_float(*number)));
            }
            let mut text = String::new();
            write(&batch, true, &mut text);
            let options =
                ParseOptions { syntax: Syntax::Prometheus, timestamp_ms: 0, honor_timestamps: true };
            let mut again = MetricBatch::default();
            parse(text.as_bytes(), options, &mut again).unwrap();
            let mut found: Vec<_> = again.series().map(|series| {
                let sample = series.samples()[0];
                format!("{} {} {}", series.labels(), model::format_float(sample.value), sample.timestamp_ms)
            }).collect();
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
