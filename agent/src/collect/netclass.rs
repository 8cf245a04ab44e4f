//! State of network interfaces, from `/sys/class/net`.
//!
//! A device that is removed while it is being read is left out of this collection. Files stay open
//! between collections: reading one anew costs a fifth of opening, reading and closing it. Bounds:
//! [`DEVICES_MAX`], since nodes of large clusters have hundreds of virtual interfaces, and
//! [`DEVICES_OPEN_MAX`].

use super::{CollectError, Collector, Roots, Sink};
use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
};

const DEVICES_MAX: usize = 1024;
/// Devices whose files stay open; the kernel keeps a page for each of some twenty files.
const DEVICES_OPEN_MAX: usize = 32;
/// The longest attribute is an alias of 255 characters.
const ATTRIBUTE_BYTES_MAX: usize = 1024;
/// `IFF_UP` of `flags`: the administrator wants the interface up.
const FLAG_UP: u64 = 1;
/// Megabits per second to bytes per second.
const SPEED_FACTOR: f64 = 1e6 / 8.0;

struct Attribute {
    file: &'static str,
    name: &'static str,
    is_counter: bool,
    help: &'static str,
}

const fn gauge(file: &'static str, name: &'static str, help: &'static str) -> Attribute {
    Attribute { file, name, is_counter: false, help }
}

const fn counter(file: &'static str, name: &'static str, help: &'static str) -> Attribute {
    Attribute { file, name, is_counter: true, help }
}

const ATTRIBUTES: [Attribute; 18] = [
    gauge("addr_assign_type", "node_network_address_assign_type", "How the hardware address was chosen."),
    gauge("carrier", "node_network_carrier", "Whether the physical link is up."),
    counter("carrier_changes", "node_network_carrier_changes_total", "Changes of the physical link."),
    counter(
        "carrier_up_count",
        "node_network_carrier_up_changes_total",
        "Times that the physical link came up.",
    ),
    counter(
        "carrier_down_count",
        "node_network_carrier_down_changes_total",
        "Times that the physical link went down.",
    ),
    gauge("dev_id", "node_network_device_id", "The device's id among those that share an address."),
    gauge("dormant", "node_network_dormant", "Whether the link waits for another event before it is up."),
    gauge("flags", "node_network_flags", "The interface's flags as a bit mask."),
    gauge("ifindex", "node_network_iface_id", "The interface's index."),
    gauge("iflink", "node_network_iface_link", "The index of the interface below."),
    gauge("link_mode", "node_network_iface_link_mode", "The link mode."),
    gauge("mtu", "node_network_mtu_bytes", "The largest packet."),
    gauge("name_assign_type", "node_network_name_assign_type", "How the interface's name was chosen."),
    gauge("netdev_group", "node_network_net_dev_group", "The group of the interface."),
    gauge("speed", "node_network_speed_bytes", "The link's speed in bytes per second."),
    gauge("tx_queue_len", "node_network_transmit_queue_length", "The length of the transmit queue."),
    gauge("type", "node_network_protocol_type", "The protocol type."),
    gauge("", "node_network_up", "1 when the interface is operational."),
];
const FLAGS: usize = 7;
const SPEED: usize = 14;
const UP: usize = 17;

#[derive(Default)]
struct Device {
    name: String,
    values: [Option<f64>; ATTRIBUTES.len()],
    address: String,
    broadcast: String,
    duplex: String,
    operstate: String,
    ifalias: String,
}

pub(crate) struct NetworkClass {
    folder: PathBuf,
    path: PathBuf,
    /// By device, the files that are open.
    open: HashMap<String, Vec<(&'static str, File)>>,
}

impl NetworkClass {
    pub(crate) fn new(roots: &Roots) -> Self {
        NetworkClass { folder: roots.sysfs.join("class/net"), path: PathBuf::new(), open: HashMap::new() }
    }

    fn devices(&mut self) -> Result<Vec<Device>, CollectError> {
        let unreadable = |source| CollectError::Io { path: self.folder.clone(), source };
        let mut names: Vec<String> = fs::read_dir(&self.folder)
            .map_err(unreadable)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .take(DEVICES_MAX)
            .collect();
        names.sort_unstable();
        self.open.retain(|device, _| names.binary_search(device).is_ok());
        Ok(names.into_iter().filter_map(|name| self.device(name)).collect())
    }

    fn device(&mut self, name: String) -> Option<Device> {
        let mut device = Device { operstate: self.text(&name, "operstate")?, ..Device::default() };
        for (value, attribute) in device.values.iter_mut().zip(&ATTRIBUTES) {
            if !attribute.file.is_empty() {
                *value = self.text(&name, attribute.file).and_then(|text| number(&text));
            }
        }
        // A link that is down has speed -1 or none.
        device.values[SPEED] =
            device.values[SPEED].filter(|speed| *speed >= 0.0).map(|speed| speed * SPEED_FACTOR);
        device.values[UP] = Some(if device.operstate == "up" { 1.0 } else { 0.0 });
        device.address = self.text(&name, "address").unwrap_or_default();
        device.broadcast = self.text(&name, "broadcast").unwrap_or_default();
        device.duplex = self.text(&name, "duplex").unwrap_or_default();
        device.ifalias = self.text(&name, "ifalias").unwrap_or_default();
        device.name = name;
        Some(device)
    }

    /// An attribute; `None` when the device does not have it or is in no state to tell.
    fn text(&mut self, device: &str, name: &'static str) -> Option<String> {
        let kept = self.open.get(device).and_then(|files| files.iter().find(|(kept, _)| *kept == name));
        match kept.map(|(_, file)| read(file)) {
            // Another device has come under this name.
            Some(Err(error)) if error.raw_os_error() == Some(NO_SUCH_DEVICE) => {
                self.open.remove(device);
            }
            Some(outcome) => return outcome.ok(),
            None => {}
        }
        self.path.clear();
        self.path.push(&self.folder);
        self.path.push(device);
        self.path.push(name);
        let file = File::open(&self.path).ok()?;
        let text = read(&file).ok();
        if let Some(files) = self.open.get_mut(device) {
            files.push((name, file));
        } else if self.open.len() < DEVICES_OPEN_MAX {
            self.open.insert(device.to_owned(), vec![(name, file)]);
        }
        text
    }
}

/// `ENODEV`, which a file of a device that is gone answers.
const NO_SUCH_DEVICE: i32 = 19;

/// One read is enough: all that the kernel gives at once is a page.
fn read(file: &File) -> io::Result<String> {
    let mut text = [0; ATTRIBUTE_BYTES_MAX];
    let read = file.read_at(&mut text, 0)?;
    Ok(String::from_utf8_lossy(text[..read].trim_ascii_end()).into_owned())
}

/// Decimal, or hexadecimal with `0x`.
fn number(text: &str) -> Option<f64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(|number| number as f64),
        None => text.parse().ok(),
    }
}

impl Collector for NetworkClass {
    fn name(&self) -> &'static str {
        "netclass"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let devices = self.devices()?;
        for (i, attribute) in ATTRIBUTES.iter().enumerate() {
            let mut family = match attribute.is_counter {
                true => out.counter(attribute.name, attribute.help),
                false => out.gauge(attribute.name, attribute.help),
            };
            for device in &devices {
                if let Some(value) = device.values[i] {
                    family.sample(&[("device", &device.name)], value);
                }
            }
        }
        let mut family = out.gauge("node_network_info", "What a network interface is; always 1.");
        for device in &devices {
            let is_wanted_up = device.values[FLAGS].is_some_and(|flags| flags as u64 & FLAG_UP != 0);
            let labels = [
                ("address", device.address.as_str()),
                ("adminstate", if is_wanted_up { "up" } else { "down" }),
                ("broadcast", &device.broadcast),
                ("device", &device.name),
                ("duplex", &device.duplex),
                ("ifalias", &device.ifalias),
                ("operstate", &device.operstate),
            ];
            family.sample(&labels, 1.0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, failure, lines};
    use super::*;

    #[test]
    fn attributes_that_exist() {
        let fixture = Fixture::new();
        let mut collector = NetworkClass::new(&fixture.roots());
        assert!(failure(&mut collector).contains("class/net"));
        for (file, text) in [
            ("operstate", "up\n"),
            ("flags", "0x1003\n"),
            ("speed", "1000\n"),
            ("carrier_changes", "2\n"),
            ("address", "01:01:01:01:01:01\n"),
        ] {
            fixture.sys(&format!("class/net/eth0/{file}"), text);
        }
        fixture.sys("class/net/bond1/operstate", "down\n");
        fixture.sys("class/net/bond1/speed", "-1\n");
        fixture.sys("class/net/bonding_masters", "bond0\n");
        assert_eq!(
            lines(&mut collector),
            [
                r#"node_network_carrier_changes_total{device="eth0"} 2"#,
                r#"node_network_flags{device="eth0"} 4099"#,
                r#"node_network_speed_bytes{device="eth0"} 125000000"#,
                r#"node_network_up{device="bond1"} 0"#,
                r#"node_network_up{device="eth0"} 1"#,
                r#"node_network_info{adminstate="down", device="bond1", operstate="down"} 1"#,
                r#"node_network_info{address="01:01:01:01:01:01", adminstate="up", device="eth0", operstate="up"} 1"#,
            ]
        );
        fixture.sys("class/net/eth0/operstate", "down\n");
        fixture.sys("class/net/eth0/speed", "10\n");
        let later = lines(&mut collector);
        for expected in
            [r#"node_network_speed_bytes{device="eth0"} 1250000"#, r#"node_network_up{device="eth0"} 0"#]
        {
            assert!(later.contains(&expected.to_owned()), "files are read anew: {later:?}");
        }
    }

    #[test]
    fn devices_come_and_go_and_only_some_are_kept_open() {
        let fixture = Fixture::new();
        let mut collector = NetworkClass::new(&fixture.roots());
        for i in 0..DEVICES_OPEN_MAX + 8 {
            fixture.sys(&format!("class/net/veth{i}/operstate"), "up\n");
        }
        let up = |collector: &mut NetworkClass| {
            lines(collector).iter().filter(|line| line.starts_with("node_network_up")).count()
        };
        assert_eq!(up(&mut collector), DEVICES_OPEN_MAX + 8);
        assert_eq!(collector.open.len(), DEVICES_OPEN_MAX);
        for i in 0..DEVICES_OPEN_MAX {
            fs::remove_dir_all(fixture.roots().sysfs.join(format!("class/net/veth{i}"))).unwrap();
        }
        assert_eq!(up(&mut collector), 8);
        assert!(collector.open.len() <= 8, "{} are open", collector.open.len());
    }
}
