//! Sockets in use and the memory they hold, from `/proc/net/sockstat` and `sockstat6`.

use super::{CollectError, Collector, KeptFile, Roots, Sink, source::malformed};

pub(crate) struct SockStat {
    files: [KeptFile; 2],
    page_bytes: f64,
    name: String,
}

impl SockStat {
    pub(crate) fn new(roots: &Roots, page_bytes: f64) -> Self {
        SockStat {
            files: [roots.proc("net/sockstat"), roots.proc("net/sockstat6")],
            page_bytes,
            name: String::new(),
        }
    }
}

impl Collector for SockStat {
    fn name(&self) -> &'static str {
        "sockstat"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        for (i, file) in self.files.iter_mut().enumerate() {
            let path = file.path().to_path_buf();
            let text = match file.read() {
                // A host without IPv6 has only the first file.
                Err(error) if i > 0 && error.is_absence() => continue,
                other => other?,
            };
            for line in text.lines() {
                write_line(line, self.page_bytes, &mut self.name, out)
                    .ok_or_else(|| malformed(&path, line))?;
            }
        }
        Ok(())
    }
}

/// Reads `TCP: inuse 4 orphan 0 mem 1`; `sockets: used 229` is the total.
fn write_line(line: &str, page_bytes: f64, name: &mut String, out: &mut Sink<'_>) -> Option<()> {
    let (protocol, rest) = line.split_once(':')?;
    let mut words = rest.split_ascii_whitespace();
    while let Some(key) = words.next() {
        let number: f64 = words.next()?.parse().ok()?;
        name.clear();
        name.extend(["node_sockstat_", protocol, "_", key]);
        out.gauge(name, "Sockets, or pages of socket memory, by protocol.").value(number);
        if key == "mem" {
            name.push_str("_bytes");
            out.gauge(name, "Bytes of socket memory, by protocol.").value(number * page_bytes);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, failure, lines};
    use super::*;

    #[test]
    fn memory_is_given_in_bytes_too() {
        let fixture = Fixture::new();
        fixture.proc("net/sockstat", "sockets: used 229\nTCP: inuse 4 mem 3\n");
        let mut collector = SockStat::new(&fixture.roots(), 4096.0);
        assert_eq!(
            lines(&mut collector),
            [
                "node_sockstat_sockets_used{} 229",
                "node_sockstat_TCP_inuse{} 4",
                "node_sockstat_TCP_mem{} 3",
                "node_sockstat_TCP_mem_bytes{} 12288"
            ]
        );
        fixture.proc("net/sockstat6", "TCP6: inuse 17\n");
        assert_eq!(lines(&mut collector)[4], "node_sockstat_TCP6_inuse{} 17");
        fixture.proc("net/sockstat6", "TCP6: inuse\n");
        assert!(failure(&mut collector).contains("TCP6"));
    }
}
