//! The firewall's connection table. A host without it has neither file.

use super::{CollectError, Collector, KeptFile, Roots, Sink, source::malformed};

/// Column of `/proc/net/stat/nf_conntrack`, family and help.
const STATS: [(&str, &str, &str); 8] = [
    ("found", "node_nf_conntrack_stat_found", "Entries found by a lookup."),
    ("invalid", "node_nf_conntrack_stat_invalid", "Packets that cannot be tracked."),
    ("ignore", "node_nf_conntrack_stat_ignore", "Packets of connections that are tracked already."),
    ("insert", "node_nf_conntrack_stat_insert", "Entries inserted."),
    ("insert_failed", "node_nf_conntrack_stat_insert_failed", "Entries that could not be inserted."),
    ("drop", "node_nf_conntrack_stat_drop", "Packets dropped because tracking failed."),
    ("early_drop", "node_nf_conntrack_stat_early_drop", "Entries dropped to make room for new ones."),
    (
        "search_restart",
        "node_nf_conntrack_stat_search_restart",
        "Lookups started again because the table was resized.",
    ),
];

pub(crate) struct Conntrack {
    count: KeptFile,
    limit: KeptFile,
    stats: KeptFile,
}

impl Conntrack {
    pub(crate) fn new(roots: &Roots) -> Self {
        Conntrack {
            count: roots.proc("sys/net/netfilter/nf_conntrack_count"),
            limit: roots.proc("sys/net/netfilter/nf_conntrack_max"),
            stats: roots.proc("net/stat/nf_conntrack"),
        }
    }

    /// Sums each wanted column over the CPUs: one line of hexadecimal numbers each.
    fn sums(&mut self) -> Result<[f64; STATS.len()], CollectError> {
        let path = self.stats.path().to_path_buf();
        let mut lines = self.stats.read()?.lines();
        let names: Vec<&str> = lines.next().unwrap_or_default().split_ascii_whitespace().collect();
        let mut sums = [0.0; STATS.len()];
        for line in lines {
            for (name, word) in names.iter().zip(line.split_ascii_whitespace()) {
                let Some(i) = STATS.iter().position(|(column, _, _)| column == name) else { continue };
                sums[i] += u64::from_str_radix(word, 16).map_err(|_| malformed(&path, line))? as f64;
            }
        }
        Ok(sums)
    }
}

impl Collector for Conntrack {
    fn name(&self) -> &'static str {
        "conntrack"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let (count, limit) = (self.count.read_number()?, self.limit.read_number()?);
        out.gauge("node_nf_conntrack_entries", "Connections in the table.").value(count);
        out.gauge("node_nf_conntrack_entries_limit", "Connections the table can hold.").value(limit);
        for ((_, name, help), sum) in STATS.iter().zip(self.sums()?) {
            out.gauge(name, help).value(sum);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, failure, lines};
    use super::*;

    #[test]
    fn cpus_are_summed() {
        let fixture = Fixture::new();
        let mut collector = Conntrack::new(&fixture.roots());
        assert!(failure(&mut collector).contains("nf_conntrack_count"));
        fixture.proc("sys/net/netfilter/nf_conntrack_count", "123\n");
        fixture.proc("sys/net/netfilter/nf_conntrack_max", "65536\n");
        fixture.proc(
            "net/stat/nf_conntrack",
            "entries found drop early_drop\n00000021 0000000a 1 0\n00000021 01 2 0\n",
        );
        let lines = lines(&mut collector);
        assert_eq!(
            lines[..3],
            [
                "node_nf_conntrack_entries{} 123",
                "node_nf_conntrack_entries_limit{} 65536",
                "node_nf_conntrack_stat_found{} 11"
            ]
        );
        assert_eq!(lines[7], "node_nf_conntrack_stat_drop{} 3");
    }
}
