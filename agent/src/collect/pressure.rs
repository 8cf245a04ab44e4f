//! Pressure stall information, from `/proc/pressure`: the time in which work waited for a resource.

use super::{CollectError, Collector, KeptFile, Roots, Sink, source::malformed};

/// The kernel counts microseconds.
const PER_SECOND: f64 = 1e6;

struct Resource {
    file: KeptFile,
    /// Family and help for the line `some`.
    waiting: Option<(&'static str, &'static str)>,
    /// Family and help for the line `full`.
    stalled: Option<(&'static str, &'static str)>,
}

pub(crate) struct Pressure {
    resources: [Resource; 4],
}

impl Pressure {
    pub(crate) fn new(roots: &Roots) -> Self {
        let resource = |file, waiting, stalled| Resource { file: roots.proc(file), waiting, stalled };
        Pressure {
            resources: [
                resource(
                    "pressure/cpu",
                    Some((
                        "node_pressure_cpu_waiting_seconds_total",
                        "Seconds in which some task waited for a CPU.",
                    )),
                    // Undefined for the whole host; the kernel prints 0.
                    None,
                ),
                resource(
                    "pressure/io",
                    Some((
                        "node_pressure_io_waiting_seconds_total",
                        "Seconds in which some task waited for a disk.",
                    )),
                    Some((
                        "node_pressure_io_stalled_seconds_total",
                        "Seconds in which all tasks waited for a disk.",
                    )),
                ),
                resource(
                    "pressure/memory",
                    Some((
                        "node_pressure_memory_waiting_seconds_total",
                        "Seconds in which some task waited for memory.",
                    )),
                    Some((
                        "node_pressure_memory_stalled_seconds_total",
                        "Seconds in which all tasks waited for memory.",
                    )),
                ),
                resource(
                    "pressure/irq",
                    None,
                    Some((
                        "node_pressure_irq_stalled_seconds_total",
                        "Seconds in which interrupts held up all tasks.",
                    )),
                ),
            ],
        }
    }
}

impl Collector for Pressure {
    fn name(&self) -> &'static str {
        "pressure"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        for (i, resource) in self.resources.iter_mut().enumerate() {
            let path = resource.file.path().to_path_buf();
            let text = match resource.file.read() {
                // `irq` is younger than the others, and any may be switched off.
                Err(error) if i > 0 && error.is_absence() => continue,
                other => other?,
            };
            for line in text.lines() {
                let family = match line.split_once(' ') {
                    Some(("some", _)) => resource.waiting,
                    Some(("full", _)) => resource.stalled,
                    _ => None,
                };
                let Some((name, help)) = family else { continue };
                let total =
                    line.rsplit_once("total=").and_then(|(_, number)| number.trim().parse::<u64>().ok());
                let total = total.ok_or_else(|| malformed(&path, line))?;
                out.counter(name, help).value(total as f64 / PER_SECOND);
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
    fn some_and_full() {
        let fixture = Fixture::new();
        let text = "some avg10=0.10 avg60=2.00 avg300=3.85 total=15\nfull avg10=0.20 avg60=3.00 avg300=4.95 total=25\n";
        fixture.proc("pressure/cpu", text);
        fixture.proc("pressure/memory", text);
        fixture.proc("pressure/irq", "full avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\n");
        let mut collector = Pressure::new(&fixture.roots());
        assert_eq!(
            lines(&mut collector),
            [
                "node_pressure_cpu_waiting_seconds_total{} 0.000015",
                "node_pressure_memory_waiting_seconds_total{} 0.000015",
                "node_pressure_memory_stalled_seconds_total{} 0.000025",
                "node_pressure_irq_stalled_seconds_total{} 2"
            ]
        );
        fixture.proc("pressure/cpu", "some avg10=0.10\n");
        assert!(failure(&mut collector).contains("some avg10"));
    }
}
