//! Load averages, from `/proc/loadavg`.

use super::{CollectError, Collector, KeptFile, Roots, Sink, source::malformed};

pub(crate) struct LoadAverage {
    file: KeptFile,
}

impl LoadAverage {
    pub(crate) fn new(roots: &Roots) -> Self {
        LoadAverage { file: roots.proc("loadavg") }
    }
}

impl Collector for LoadAverage {
    fn name(&self) -> &'static str {
        "loadavg"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let path = self.file.path().to_path_buf();
        let text = self.file.read()?;
        let mut columns = text.split_ascii_whitespace().map_while(|column| column.parse().ok());
        let mut column = || columns.next().ok_or_else(|| malformed(&path, text));
        let (one, five, fifteen) = (column()?, column()?, column()?);
        out.gauge("node_load1", "Load average over one minute.").value(one);
        out.gauge("node_load5", "Load average over five minutes.").value(five);
        out.gauge("node_load15", "Load average over fifteen minutes.").value(fifteen);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, failure, lines};
    use super::*;

    #[test]
    fn three_averages() {
        let fixture = Fixture::new();
        fixture.proc("loadavg", "0.21 0.37 0.39 1/719 19737\n");
        let mut collector = LoadAverage::new(&fixture.roots());
        assert_eq!(lines(&mut collector), ["node_load1{} 0.21", "node_load5{} 0.37", "node_load15{} 0.39"]);
        fixture.proc("loadavg", "0.21 oops\n");
        assert!(failure(&mut collector).contains("0.21 oops"));
    }
}
