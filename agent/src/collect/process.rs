//! The agent's own process, under the names that all Prometheus clients use.

use super::{CollectError, Collector, KeptFile, Sink, source::malformed};
use std::path::PathBuf;

const TICKS_PER_SECOND: f64 = 100.0;
/// Fields of `/proc/self/stat` after the command, which is field 2 (proc_pid_stat(5)).
const UTIME: usize = 14 - 3;
const STIME: usize = 15 - 3;
const START: usize = 22 - 3;
const VSIZE: usize = 23 - 3;
const RSS: usize = 24 - 3;

pub(crate) struct OwnProcess {
    stat: KeptFile,
    uptime: KeptFile,
    page_bytes: f64,
    /// Known from the first collection on.
    start_seconds: Option<f64>,
}

impl OwnProcess {
    pub(crate) fn new(page_bytes: f64) -> Self {
        // Always this process's view, even when the host is watched through another root.
        let stat = KeptFile::new(PathBuf::from("/proc/self/stat"));
        OwnProcess {
            stat,
            uptime: KeptFile::new(PathBuf::from("/proc/uptime")),
            page_bytes,
            start_seconds: None,
        }
    }
}

impl Collector for OwnProcess {
    fn name(&self) -> &'static str {
        "process"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let uptime = self.uptime.read()?.split(' ').next().and_then(|word| word.parse::<f64>().ok());
        let path = self.stat.path().to_path_buf();
        let text = self.stat.read()?;
        // The command is in parentheses and may hold anything, parentheses included.
        let (_, rest) = text.rsplit_once(") ").ok_or_else(|| malformed(&path, text))?;
        let fields: Vec<f64> = rest.split(' ').map(|word| word.trim().parse().unwrap_or(f64::NAN)).collect();
        let field = |i: usize| fields.get(i).copied().ok_or_else(|| malformed(&path, rest));
        let cpu = (field(UTIME)? + field(STIME)?) / TICKS_PER_SECOND;
        let (virtual_bytes, resident) = (field(VSIZE)?, field(RSS)? * self.page_bytes);
        let started_after_boot = field(START)? / TICKS_PER_SECOND;
        let now = out.timestamp_ms() as f64 / 1000.0;
        let start = uptime.map(|uptime| now - uptime + started_after_boot);
        let start = *self.start_seconds.get_or_insert(start.unwrap_or(now));
        let open = std::fs::read_dir("/proc/self/fd").map(Iterator::count);

        out.counter("process_cpu_seconds_total", "CPU time of the agent.").value(cpu);
        out.gauge("process_resident_memory_bytes", "Memory of the agent.").value(resident);
        out.gauge("process_start_time_seconds", "When the agent started, in seconds since 1970.")
            .value(start);
        out.gauge("process_virtual_memory_bytes", "Address space of the agent.").value(virtual_bytes);
        if let Ok(open) = open {
            out.gauge("process_open_fds", "File descriptors the agent has open.").value(open as f64);
        }
        if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
            out.gauge("process_max_fds", "File descriptors the agent may open.").value(limit as f64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::lines;
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_memory_and_files() {
        let lines = lines(&mut OwnProcess::new(4096.0));
        let value = |name: &str| -> f64 {
            let line = lines.iter().find(|line| line.starts_with(&format!("{name}{{"))).unwrap();
            line.rsplit_once(' ').unwrap().1.parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_open_fds") >= 3.0 && value("process_max_fds") >= value("process_open_fds"));
    }
}
