//! Where each CPU's time went, from `/proc/stat`.
//!
//! The kernel sometimes reports a mode a little lower than before (idle and iowait are estimates),
//! which would look like a counter reset. So a mode never goes back, unless idle time falls by
//! [`RESET_SECONDS`] or more: then the CPU was unplugged and all its counters begin again.

use super::{CollectError, Collector, KeptFile, Roots, Sink, source::malformed};

/// The unit of `/proc/stat`: user space sees 100 ticks a second on every platform we build for.
const TICKS_PER_SECOND: f64 = 100.0;
/// A fall of the idle time that means "hotplug", not "rounding".
const RESET_SECONDS: f64 = 3.0;
/// The order of the columns of `/proc/stat`.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
/// The index of `idle`.
const IDLE: usize = 3;
/// Guest time follows the modes: it is part of user and nice, too.
const GUEST_MODES: [&str; 2] = ["user", "nice"];
const COLUMNS: usize = MODES.len() + GUEST_MODES.len();

/// One line of `/proc/stat`, in seconds.
#[derive(Debug, Default)]
struct Cpu {
    id: String,
    seconds: [f64; COLUMNS],
    /// Whether the CPU was in the last reading; an offline CPU is left out.
    seen: bool,
}

pub(crate) struct CpuTimes {
    stat: KeptFile,
    cpus: Vec<Cpu>,
}

impl CpuTimes {
    pub(crate) fn new(roots: &Roots) -> Self {
        CpuTimes { stat: roots.proc("stat"), cpus: Vec::new() }
    }
}

impl Collector for CpuTimes {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let path = self.stat.path().to_path_buf();
        let text = self.stat.read()?;
        self.cpus.iter_mut().for_each(|cpu| cpu.seen = false);
        for line in text.lines() {
            // The first line sums all CPUs; the CPUs come next, before everything else.
            let Some(rest) = line.strip_prefix("cpu") else { break };
            let Some((id, columns)) = rest.split_once(' ').filter(|(id, _)| !id.is_empty()) else { continue };
            let seconds = parse_columns(columns).ok_or_else(|| malformed(&path, line))?;
            advance(&mut self.cpus, id, seconds);
        }
        let mut family = out.counter("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.");
        for cpu in self.cpus.iter().filter(|cpu| cpu.seen) {
            for (mode, seconds) in MODES.iter().zip(cpu.seconds) {
                family.sample(&[("cpu", &cpu.id), ("mode", mode)], seconds);
            }
        }
        let mut family = out.counter(
            "node_cpu_guest_seconds_total",
            "Seconds the CPUs spent running guests of this host, by mode; part of node_cpu_seconds_total as well.",
        );
        for cpu in self.cpus.iter().filter(|cpu| cpu.seen) {
            for (mode, seconds) in GUEST_MODES.iter().zip(&cpu.seconds[MODES.len()..]) {
                family.sample(&[("cpu", &cpu.id), ("mode", mode)], *seconds);
            }
        }
        Ok(())
    }
}

/// Old kernels have fewer columns; what they lack stays 0.
fn parse_columns(columns: &str) -> Option<[f64; COLUMNS]> {
    let mut seconds = [0.0; COLUMNS];
    for (slot, column) in seconds.iter_mut().zip(columns.split_ascii_whitespace()) {
        *slot = column.parse::<u64>().ok()? as f64 / TICKS_PER_SECOND;
    }
    Some(seconds)
}

fn advance(cpus: &mut Vec<Cpu>, id: &str, seconds: [f64; COLUMNS]) {
    let Some(cpu) = cpus.iter_mut().find(|cpu| cpu.id == id) else {
        cpus.push(Cpu { id: id.to_owned(), seconds, seen: true });
        return;
    };
    cpu.seen = true;
    if seconds[IDLE] <= cpu.seconds[IDLE] - RESET_SECONDS {
        cpu.seconds = seconds;
        return;
    }
    for (kept, read) in cpu.seconds.iter_mut().zip(seconds) {
        *kept = kept.max(read);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, lines};
    use super::*;

    #[test]
    fn modes_never_go_back_except_after_hotplug() {
        let fixture = Fixture::new();
        let mut collector = CpuTimes::new(&fixture.roots());
        fixture.proc("stat", "cpu  9 9 9 9\ncpu0 100 20 30 4000 50 6 7 8 90 10\ncpu2 1 2 3 4\nintr 5\n");
        let first = lines(&mut collector);
        assert_eq!(first.len(), 20);
        assert_eq!(first[0], r#"node_cpu_seconds_total{cpu="0", mode="user"} 1"#);
        assert_eq!(first[8], r#"node_cpu_seconds_total{cpu="2", mode="user"} 0.01"#);
        assert_eq!(first[16], r#"node_cpu_guest_seconds_total{cpu="0", mode="user"} 0.9"#);

        fixture.proc("stat", "cpu  9\ncpu0 101 20 30 3999 49 6 7 8 90 10\n");
        let second = lines(&mut collector);
        assert_eq!(second.len(), 10, "an offline CPU is left out");
        assert_eq!(second[0], r#"node_cpu_seconds_total{cpu="0", mode="user"} 1.01"#);
        assert_eq!(second[3], r#"node_cpu_seconds_total{cpu="0", mode="idle"} 40"#);

        fixture.proc("stat", "cpu  9\ncpu0 1 0 0 300 0 0 0 0 0 0\n");
        assert_eq!(lines(&mut collector)[3], r#"node_cpu_seconds_total{cpu="0", mode="idle"} 3"#);
    }

    #[test]
    fn nonsense_is_refused() {
        let fixture = Fixture::new();
        fixture.proc("stat", "cpu  9\ncpu0 x\n");
        let error = super::super::testing::failure(&mut CpuTimes::new(&fixture.roots()));
        assert!(error.contains("near `cpu0 x`"), "{error}");
    }
}
