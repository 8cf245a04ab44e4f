//! Protocol counters of IP, ICMP, TCP and UDP, from `/proc/net/{netstat,snmp,snmp6}`.

use super::{CollectError, Collector, KeptFile, Roots, Sink, source::malformed};
use regex::Regex;

/// The selection that node_exporter ships and dashboards know.
const WANTED: &str = "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|\
    TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)|\
    Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|\
    Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$";
const HELP: &str = "Protocol counter of /proc/net, under the kernel's name.";
const PREFIX: &str = "node_netstat_";
/// Protocols of `snmp6`, whose names are one word such as `Udp6InDatagrams`.
const PROTOCOLS_V6: [&str; 4] = ["UdpLite6", "Icmp6", "Udp6", "Ip6"];

pub(crate) struct NetStat {
    /// Files of line pairs: names, then numbers.
    paired: [KeptFile; 2],
    /// A file of one name and number a line, which a host without IPv6 lacks.
    snmp6: KeptFile,
    wanted: Regex,
    /// A kernel prints the same names in the same order every time, so the decision about each is
    /// made once.
    decided: Decided,
    values: Vec<(usize, f64)>,
}

/// Families by name, and whether they are wanted.
#[derive(Default)]
struct Decided {
    /// (protocol, field, full name when wanted), in the kernel's order.
    fields: Vec<(String, String, Option<String>)>,
    next: usize,
}

impl Decided {
    fn index(&mut self, wanted: &Regex, protocol: &str, field: &str) -> usize {
        let is_next = |known: Option<&(String, String, Option<String>)>| {
            known.is_some_and(|(known_protocol, known_field, _)| {
                known_protocol == protocol && known_field == field
            })
        };
        let mut index = self.next;
        if !is_next(self.fields.get(index)) {
            // A line appeared or went; look everywhere before deciding anew.
            let known = self.fields.iter().position(|known| is_next(Some(known)));
            index = known.unwrap_or_else(|| {
                let short = format!("{protocol}_{field}");
                let name = wanted.is_match(&short).then(|| format!("{PREFIX}{short}"));
                self.fields.push((protocol.to_owned(), field.to_owned(), name));
                self.fields.len() - 1
            });
        }
        self.next = index + 1;
        index
    }
}

impl NetStat {
    pub(crate) fn new(roots: &Roots) -> Self {
        NetStat {
            paired: [roots.proc("net/netstat"), roots.proc("net/snmp")],
            snmp6: roots.proc("net/snmp6"),
            wanted: Regex::new(WANTED).expect("the pattern is constant"),
            decided: Decided::default(),
            values: Vec::new(),
        }
    }

    fn read_paired(&mut self) -> Result<(), CollectError> {
        for file in &mut self.paired {
            let path = file.path().to_path_buf();
            let mut lines = file.read()?.lines();
            while let (Some(names), Some(numbers)) = (lines.next(), lines.next()) {
                let bad = || malformed(&path, numbers);
                let (protocol, names) = names.split_once(':').ok_or_else(bad)?;
                let numbers =
                    numbers.strip_prefix(protocol).and_then(|rest| rest.strip_prefix(':')).ok_or_else(bad)?;
                for (field, number) in names.split_ascii_whitespace().zip(numbers.split_ascii_whitespace()) {
                    let index = self.decided.index(&self.wanted, protocol, field);
                    if self.decided.fields[index].2.is_some() {
                        self.values.push((index, number.parse().map_err(|_| bad())?));
                    }
                }
            }
        }
        Ok(())
    }

    fn read_snmp6(&mut self) -> Result<(), CollectError> {
        let path = self.snmp6.path().to_path_buf();
        let text = match self.snmp6.read() {
            Err(error) if error.is_absence() => return Ok(()),
            other => other?,
        };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(name), Some(number)) = (words.next(), words.next()) else { continue };
            let split =
                PROTOCOLS_V6.iter().find_map(|protocol| Some((*protocol, name.strip_prefix(protocol)?)));
            let Some((protocol, field)) = split else { continue };
            let index = self.decided.index(&self.wanted, protocol, field);
            if self.decided.fields[index].2.is_some() {
                self.values.push((index, number.parse().map_err(|_| malformed(&path, line))?));
            }
        }
        Ok(())
    }
}

impl Collector for NetStat {
    fn name(&self) -> &'static str {
        "netstat"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        self.values.clear();
        self.decided.next = 0;
        self.read_paired()?;
        self.read_snmp6()?;
        for (index, value) in &self.values {
            if let Some(name) = &self.decided.fields[*index].2 {
                out.untyped(name, HELP).value(*value);
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
    fn selected_counters_of_all_protocols() {
        let fixture = Fixture::new();
        fixture.proc(
            "net/netstat",
            "TcpExt: SyncookiesSent Other ListenDrops\nTcpExt: 1 2 3\nIpExt: InOctets\nIpExt: 4\n",
        );
        fixture.proc("net/snmp", "Tcp: MaxConn CurrEstab InErrs\nTcp: -1 5 6\n");
        let mut collector = NetStat::new(&fixture.roots());
        let expected = [
            "node_netstat_TcpExt_SyncookiesSent{} 1",
            "node_netstat_TcpExt_ListenDrops{} 3",
            "node_netstat_IpExt_InOctets{} 4",
            "node_netstat_Tcp_CurrEstab{} 5",
            "node_netstat_Tcp_InErrs{} 6",
        ];
        assert_eq!(lines(&mut collector), expected, "without IPv6");
        fixture.proc("net/snmp6", "Ip6InReceives 7\nIp6OutOctets  8\nUdpLite6InErrors 9\n");
        let with_v6 = lines(&mut collector);
        assert_eq!(with_v6[..5], expected);
        assert_eq!(with_v6[5..], ["node_netstat_Ip6_OutOctets{} 8", "node_netstat_UdpLite6_InErrors{} 9"]);
        fixture.proc("net/snmp", "Tcp: CurrEstab\nUdp: 5\n");
        assert!(failure(&mut collector).contains("Udp: 5"));
    }
}
