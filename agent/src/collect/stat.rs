//! Kernel activity as a whole, from `/proc/stat`.

use super::{CollectError, Collector, KeptFile, Roots, Sink, source::malformed};

pub(crate) struct KernelStat {
    file: KeptFile,
}

impl KernelStat {
    pub(crate) fn new(roots: &Roots) -> Self {
        KernelStat { file: roots.proc("stat") }
    }
}

impl Collector for KernelStat {
    fn name(&self) -> &'static str {
        "stat"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let path = self.file.path().to_path_buf();
        for line in self.file.read()?.lines() {
            let Some((key, rest)) = line.split_once(' ') else { continue };
            let family = match key {
                "intr" => out.counter("node_intr_total", "Interrupts serviced."),
                "ctxt" => out.counter("node_context_switches_total", "Context switches."),
                "processes" => out.counter("node_forks_total", "Processes and threads started."),
                "btime" => {
                    out.gauge("node_boot_time_seconds", "When the host booted, in seconds since 1970.")
                }
                "procs_running" => out.gauge("node_procs_running", "Processes that can run."),
                "procs_blocked" => {
                    out.gauge("node_procs_blocked", "Processes that wait for input or output.")
                }
                _ => continue,
            };
            // The first number of `intr` is the total; one per interrupt line follows.
            let number = rest.split_ascii_whitespace().next().and_then(|word| word.parse::<u64>().ok());
            family.value(number.ok_or_else(|| malformed(&path, line))? as f64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, failure, lines};
    use super::*;

    #[test]
    fn totals_only() {
        let fixture = Fixture::new();
        fixture.proc(
            "stat",
            "cpu  1 2\nintr 8885917 17 0 0\nctxt 38014093\nbtime 1418183276\nprocesses 26442\n\
             procs_running 2\nprocs_blocked 1\nsoftirq 5057579 250191\n",
        );
        let mut collector = KernelStat::new(&fixture.roots());
        assert_eq!(
            lines(&mut collector),
            [
                "node_intr_total{} 8885917",
                "node_context_switches_total{} 38014093",
                "node_boot_time_seconds{} 1418183276",
                "node_forks_total{} 26442",
                "node_procs_running{} 2",
                "node_procs_blocked{} 1"
            ]
        );
        fixture.proc("stat", "ctxt -\n");
        assert!(failure(&mut collector).contains("ctxt -"));
    }
}
