//! Paging, swapping and out-of-memory kills, from `/proc/vmstat`.

use super::{CollectError, Collector, KeptFile, Roots, Sink, source::malformed};

pub(crate) struct VmStat {
    file: KeptFile,
    name: String,
}

impl VmStat {
    pub(crate) fn new(roots: &Roots) -> Self {
        VmStat { file: roots.proc("vmstat"), name: String::new() }
    }
}

/// node_exporter's selection, `^(oom_kill|pgpg|pswp|pg.*fault).*`.
fn is_wanted(field: &str) -> bool {
    ["oom_kill", "pgpg", "pswp"].iter().any(|prefix| field.starts_with(prefix))
        || field.strip_prefix("pg").is_some_and(|rest| rest.contains("fault"))
}

impl Collector for VmStat {
    fn name(&self) -> &'static str {
        "vmstat"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let path = self.file.path().to_path_buf();
        for line in self.file.read()?.lines() {
            let Some((field, number)) = line.split_once(' ') else { continue };
            if !is_wanted(field) {
                continue;
            }
            let number: f64 = number.trim().parse().map_err(|_| malformed(&path, line))?;
            self.name.clear();
            self.name.push_str("node_vmstat_");
            self.name.push_str(field);
            out.untyped(&self.name, "Field of /proc/vmstat, counted since boot.").value(number);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, lines};
    use super::*;

    #[test]
    fn only_wanted_fields() {
        let fixture = Fixture::new();
        fixture.proc("vmstat", "nr_free_pages 5\npgpgin 7\npgmajfault 8\npgfree 9\noom_kill 0\n");
        assert_eq!(
            lines(&mut VmStat::new(&fixture.roots())),
            ["node_vmstat_pgpgin{} 7", "node_vmstat_pgmajfault{} 8", "node_vmstat_oom_kill{} 0"]
        );
    }
}
