//! A folder that looks like a host, and collections as lines of text.

use super::{Collector, Roots, Sink};
use model::MetricBatch;
use std::{fs, path::Path};

/// The instant of every collection in tests.
pub(crate) const TICK_MS: i64 = 1_700_000_000_500;

/// Kernel trees in a temporary folder.
pub(crate) struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for tree in ["proc", "sys", "root"] {
            fs::create_dir(folder.path().join(tree)).unwrap();
        }
        Fixture { folder }
    }

    pub(crate) fn roots(&self) -> Roots {
        let tree = |name: &str| self.folder.path().join(name);
        Roots { procfs: tree("proc"), sysfs: tree("sys"), rootfs: tree("root") }
    }

    pub(crate) fn proc(&self, path: &str, text: &str) {
        write(&self.roots().procfs.join(path), text);
    }

    pub(crate) fn sys(&self, path: &str, text: &str) {
        write(&self.roots().sysfs.join(path), text);
    }

    pub(crate) fn root(&self, path: &str, text: &str) {
        write(&self.roots().rootfs.join(path), text);
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// One collection as `name{labels} value`, in the order of writing.
pub(crate) fn lines(collector: &mut dyn Collector) -> Vec<String> {
    let mut batch = MetricBatch::default();
    let mut sink = Sink::new(&mut batch, &[], TICK_MS);
    collector.collect(&mut sink).unwrap();
    assert_eq!(sink.refused(), 0);
    render(&batch)
}

/// The message of a collection that fails.
pub(crate) fn failure(collector: &mut dyn Collector) -> String {
    let mut batch = MetricBatch::default();
    collector.collect(&mut Sink::new(&mut batch, &[], TICK_MS)).unwrap_err().to_string()
}

pub(crate) fn render(batch: &MetricBatch) -> Vec<String> {
    let line = |series: model::SeriesView<'_>| {
        let labels = series.labels().to_owned();
        let value = series.samples()[0].value;
        format!("{}{} {value}", labels.metric_name(), labels.without(&[model::METRIC_NAME]))
    };
    batch.series().map(line).collect()
}
