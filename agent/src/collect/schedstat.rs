//! Scheduling of each CPU, from `/proc/schedstat`.

use super::{CollectError, Collector, KeptFile, Roots, Sink, source::malformed};

/// The kernel counts nanoseconds.
const PER_SECOND: f64 = 1e9;
/// A CPU's line ends with running time, waiting time and time slices; the columns before them
/// have changed over the versions, these three are numbers 7 to 9 in all of them.
const FIRST_COLUMN: usize = 6;

pub(crate) struct SchedStat {
    file: KeptFile,
    rows: Vec<(String, [f64; 3])>,
}

impl SchedStat {
    pub(crate) fn new(roots: &Roots) -> Self {
        SchedStat { file: roots.proc("schedstat"), rows: Vec::new() }
    }
}

impl Collector for SchedStat {
    fn name(&self) -> &'static str {
        "schedstat"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let path = self.file.path().to_path_buf();
        self.rows.clear();
        for line in self.file.read()?.lines() {
            let Some((cpu, rest)) = line.strip_prefix("cpu").and_then(|rest| rest.split_once(' ')) else {
                continue;
            };
            let mut words =
                rest.split_ascii_whitespace().skip(FIRST_COLUMN).map_while(|word| word.parse().ok());
            let mut next = || words.next().ok_or_else(|| malformed(&path, line));
            self.rows.push((cpu.to_owned(), [next()?, next()?, next()?]));
        }
        let families = [
            ("node_schedstat_running_seconds_total", "Seconds in which the CPU ran a task.", PER_SECOND),
            ("node_schedstat_waiting_seconds_total", "Seconds that tasks waited for the CPU.", PER_SECOND),
            ("node_schedstat_timeslices_total", "Time slices that the CPU ran.", 1.0),
        ];
        for (i, (name, help, divisor)) in families.into_iter().enumerate() {
            let mut family = out.counter(name, help);
            for (cpu, numbers) in &self.rows {
                family.sample(&[("cpu", cpu)], numbers[i] / divisor);
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
    fn nanoseconds_become_seconds() {
        let fixture = Fixture::new();
        fixture.proc(
            "schedstat",
            "version 15\ncpu0 498494191 0 0 3 4 5 2045936778163039 343796328169361 4767485306\ndomain0 3\n",
        );
        let mut collector = SchedStat::new(&fixture.roots());
        let lines = lines(&mut collector);
        assert!(lines[0].starts_with(r#"node_schedstat_running_seconds_total{cpu="0"} 2045936.778163"#));
        assert_eq!(lines[2], r#"node_schedstat_timeslices_total{cpu="0"} 4767485306"#);
        fixture.proc("schedstat", "cpu0 1 2 3\n");
        assert!(failure(&mut collector).contains("cpu0 1 2 3"));
    }
}
