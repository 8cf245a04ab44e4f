//! Tasks that the kernel found hung, from `/proc/sys/kernel/hung_task_detect_count` (Linux 6.13).

use super::{CollectError, Collector, KeptFile, Roots, Sink};

pub(crate) struct KernelHung {
    file: KeptFile,
}

impl KernelHung {
    pub(crate) fn new(roots: &Roots) -> Self {
        KernelHung { file: roots.proc("sys/kernel/hung_task_detect_count") }
    }
}

impl Collector for KernelHung {
    fn name(&self) -> &'static str {
        "kernel_hung"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let count = self.file.read_number()?;
        out.counter("node_kernel_hung_tasks_total", "Tasks found hung since boot.").value(count);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, lines};
    use super::*;

    #[test]
    fn one_number() {
        let fixture = Fixture::new();
        fixture.proc("sys/kernel/hung_task_detect_count", "3\n");
        assert_eq!(lines(&mut KernelHung::new(&fixture.roots())), ["node_kernel_hung_tasks_total{} 3"]);
    }
}
