//! Traffic of network interfaces, from `/proc/net/dev`. Bound: [`DEVICES_MAX`].

use super::{CollectError, Collector, KeptFile, Roots, Sink, source::malformed};
use std::path::PathBuf;

const DEVICES_MAX: usize = 4096;

/// Name and help of each column; the kernel prints 8 columns for each direction.
const COLUMNS: [(&str, &str); 16] = [
    ("node_network_receive_bytes_total", "Bytes received."),
    ("node_network_receive_packets_total", "Packets received."),
    ("node_network_receive_errs_total", "Packets that arrived damaged."),
    ("node_network_receive_drop_total", "Packets received and dropped."),
    ("node_network_receive_fifo_total", "Packets lost because a receive queue was full."),
    ("node_network_receive_frame_total", "Packets received with a framing error."),
    ("node_network_receive_compressed_total", "Compressed packets received."),
    ("node_network_receive_multicast_total", "Multicast packets received."),
    ("node_network_transmit_bytes_total", "Bytes sent."),
    ("node_network_transmit_packets_total", "Packets sent."),
    ("node_network_transmit_errs_total", "Packets that failed to be sent."),
    ("node_network_transmit_drop_total", "Packets dropped instead of sent."),
    ("node_network_transmit_fifo_total", "Packets lost because a transmit queue was full."),
    ("node_network_transmit_colls_total", "Collisions while sending."),
    ("node_network_transmit_carrier_total", "Packets that were not sent for want of a carrier."),
    ("node_network_transmit_compressed_total", "Compressed packets sent."),
];

struct Device {
    name: String,
    numbers: [f64; COLUMNS.len()],
    nohandler: Option<KeptFile>,
}

pub(crate) struct NetworkDevices {
    file: KeptFile,
    sysfs_net: PathBuf,
    devices: Vec<Device>,
}

impl NetworkDevices {
    pub(crate) fn new(roots: &Roots) -> Self {
        NetworkDevices {
            file: roots.proc("net/dev"),
            sysfs_net: roots.sysfs.join("class/net"),
            devices: Vec::new(),
        }
    }

    /// Reads the table into `devices`, keeping the descriptors of devices that are still there.
    fn read(&mut self) -> Result<(), CollectError> {
        let path = self.file.path().to_path_buf();
        let mut before = std::mem::take(&mut self.devices);
        // Two lines of headings come first.
        for line in self.file.read()?.lines().skip(2).take(DEVICES_MAX) {
            let (name, numbers) = parse_line(line).ok_or_else(|| malformed(&path, line))?;
            let known = before.iter().position(|device| device.name == name);
            let nohandler = match known {
                Some(known) => before.swap_remove(known).nohandler,
                None => Some(KeptFile::new(self.sysfs_net.join(name).join("statistics/rx_nohandler"))),
            };
            self.devices.push(Device { name: name.to_owned(), numbers, nohandler });
        }
        Ok(())
    }
}

impl Collector for NetworkDevices {
    fn name(&self) -> &'static str {
        "netdev"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        self.read()?;
        for (i, (name, help)) in COLUMNS.iter().enumerate() {
            let mut family = out.counter(name, help);
            for device in &self.devices {
                family.sample(&[("device", &device.name)], device.numbers[i]);
            }
        }
        let mut family = out.counter(
            "node_network_receive_nohandler_total",
            "Packets received and dropped because nothing handles their protocol.",
        );
        for device in &mut self.devices {
            let Some(file) = &mut device.nohandler else { continue };
            match file.read_number() {
                Ok(number) => family.sample(&[("device", &device.name)], number),
                // A kernel without this counter, or a device of another network namespace.
                Err(_) => device.nohandler = None,
            }
        }
        Ok(())
    }
}

/// Reads `  eth0: 1 2 3 …`. An interface may be called `eth0:1`, so the last colon ends the name.
fn parse_line(line: &str) -> Option<(&str, [f64; COLUMNS.len()])> {
    let (name, rest) = line.rsplit_once(':')?;
    let mut numbers = [0.0; COLUMNS.len()];
    let mut words = rest.split_ascii_whitespace();
    for number in &mut numbers {
        *number = words.next()?.parse::<u64>().ok()? as f64;
    }
    Some((name.trim_start(), numbers))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, failure, lines};
    use super::*;

    #[test]
    fn both_directions_of_each_device() {
        let fixture = Fixture::new();
        fixture.proc(
            "net/dev",
            "Inter-|   Receive\n face |bytes\n    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n\
             veth:1:17 0 0 0 0 0 0 0 0 0 0 0 0 0 0 18\n",
        );
        fixture.sys("class/net/lo/statistics/rx_nohandler", "19\n");
        let mut collector = NetworkDevices::new(&fixture.roots());
        let lines = lines(&mut collector);
        assert_eq!(lines.len(), 33);
        assert_eq!(lines[0], r#"node_network_receive_bytes_total{device="lo"} 1"#);
        assert_eq!(lines[1], r#"node_network_receive_bytes_total{device="veth:1"} 17"#);
        assert_eq!(lines[30], r#"node_network_transmit_compressed_total{device="lo"} 16"#);
        assert_eq!(lines[32], r#"node_network_receive_nohandler_total{device="lo"} 19"#);
        fixture.proc("net/dev", "a\nb\n lo: 1 2\n");
        assert!(failure(&mut collector).contains("lo: 1 2"));
    }
}
