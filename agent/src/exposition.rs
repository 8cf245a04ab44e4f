//! A collection as Prometheus text (version 0.0.4), for `/metrics` and `--print-metrics`.

use model::{METRIC_NAME, MetricBatch, MetricKind, SeriesView, format_float};
use std::fmt::Write;

/// Writes families in the order of the batch, in which a family's series are neighbours. Base
/// labels (`job`, `instance`) are left out: a scraper adds its own.
pub(crate) fn to_text(batch: &MetricBatch, leave_out: &[(String, String)]) -> String {
    let mut text = String::new();
    let mut family = "";
    for series in batch.series() {
        if let Some((name, metadata)) = series.metadata()
            && name != family
        {
            let help = metadata.help.replace('\\', "\\\\").replace('\n', "\\n");
            let kind = match metadata.kind {
                MetricKind::Unknown => "untyped",
                kind => kind.as_str(),
            };
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            family = name;
        }
        write_series(&mut text, &series, leave_out);
    }
    text
}

fn write_series(text: &mut String, series: &SeriesView<'_>, leave_out: &[(String, String)]) {
    let labels = series.labels();
    text.push_str(labels.get(METRIC_NAME).unwrap_or_default());
    let mut separator = '{';
    let is_left_out = |name: &str, value: &str| leave_out.iter().any(|(n, v)| n == name && v == value);
    for (name, value) in
        labels.iter().filter(|(name, value)| *name != METRIC_NAME && !is_left_out(name, value))
    {
        text.push(separator);
        separator = ',';
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        // Writing to a string cannot fail.
        let written = write!(text, "{name}=\"{value}\"");
        debug_assert!(written.is_ok());
    }
    if separator == ',' {
        text.push('}');
    }
    for sample in series.samples().iter().take(1) {
        text.push(' ');
        text.push_str(&format_float(sample.value));
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::Sink;

    #[test]
    fn families_labels_and_escapes() {
        let base = [("job".to_owned(), "node".to_owned())];
        let mut batch = MetricBatch::default();
        let mut sink = Sink::new(&mut batch, &base, 1);
        sink.untyped("plain", "A \\ and\na break.").value(1.5);
        let mut family = sink.counter("c_total", "Counts.");
        family.sample(&[("a", "x\"y\\z\n"), ("b", "2")], 1e21);
        family.sample(&[("job", "own")], 2.0);
        assert_eq!(
            to_text(&batch, &base),
            "# HELP plain A \\\\ and\\na break.\n# TYPE plain untyped\nplain 1.5\n# HELP c_total Counts.\n\
             # TYPE c_total counter\nc_total{a=\"x\\\"y\\\\z\\n\",b=\"2\"} 1e+21\nc_total{job=\"own\"} 2\n"
        );
    }
}
