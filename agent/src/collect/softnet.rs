//! Packets handled by each CPU's network softirq, from `/proc/net/softnet_stat`.

use super::{CollectError, Collector, KeptFile, Roots, Sink, source::malformed};

/// Column, family and help; the columns in between are always 0.
const COUNTERS: [(usize, &str, &str); 6] = [
    (0, "node_softnet_processed_total", "Packets processed."),
    (1, "node_softnet_dropped_total", "Packets dropped because the backlog was full."),
    (2, "node_softnet_times_squeezed_total", "Times that processing stopped with work left to do."),
    (8, "node_softnet_cpu_collision_total", "Collisions over a device lock while sending."),
    (9, "node_softnet_received_rps_total", "Times that another CPU handed packets over."),
    (10, "node_softnet_flow_limit_count_total", "Times that the flow limit was reached."),
];
const BACKLOG: (usize, &str, &str) = (11, "node_softnet_backlog_len", "Packets waiting in the backlog.");
/// Since Linux 5.10 a line names its CPU; before, lines are counted.
const CPU_COLUMN: usize = 12;

pub(crate) struct SoftNet {
    file: KeptFile,
    /// CPU and columns of each line.
    rows: Vec<(String, Vec<u32>)>,
}

impl SoftNet {
    pub(crate) fn new(roots: &Roots) -> Self {
        SoftNet { file: roots.proc("net/softnet_stat"), rows: Vec::new() }
    }
}

impl Collector for SoftNet {
    fn name(&self) -> &'static str {
        "softnet"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let path = self.file.path().to_path_buf();
        self.rows.clear();
        for (i, line) in self.file.read()?.lines().enumerate() {
            let columns: Result<Vec<u32>, _> =
                line.split_ascii_whitespace().map(|word| u32::from_str_radix(word, 16)).collect();
            let columns = columns.map_err(|_| malformed(&path, line))?;
            let cpu = columns.get(CPU_COLUMN).map_or(i as u32, |cpu| *cpu);
            self.rows.push((cpu.to_string(), columns));
        }
        for (column, name, help) in COUNTERS {
            let mut family = out.counter(name, help);
            for (cpu, columns) in &self.rows {
                if let Some(number) = columns.get(column) {
                    family.sample(&[("cpu", cpu)], f64::from(*number));
                }
            }
        }
        let (column, name, help) = BACKLOG;
        let mut family = out.gauge(name, help);
        for (cpu, columns) in &self.rows {
            if let Some(number) = columns.get(column) {
                family.sample(&[("cpu", cpu)], f64::from(*number));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, failure, lines};
    use super::*;

    #[test]
    fn old_and_new_kernels() {
        let fixture = Fixture::new();
        fixture.proc(
            "net/softnet_stat",
            "0000001f 00000002 00000003\n00000001 0 0 0 0 0 0 0 4 5 6 7 00000009 0 0\n",
        );
        let mut collector = SoftNet::new(&fixture.roots());
        let lines = lines(&mut collector);
        assert_eq!(lines[0], r#"node_softnet_processed_total{cpu="0"} 31"#);
        assert_eq!(lines[1], r#"node_softnet_processed_total{cpu="9"} 1"#);
        assert_eq!(lines.last().unwrap(), r#"node_softnet_backlog_len{cpu="9"} 7"#);
        assert_eq!(lines.len(), 10);
        fixture.proc("net/softnet_stat", "xyz\n");
        assert!(failure(&mut collector).contains("xyz"));
    }
}
