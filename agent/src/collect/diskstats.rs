//! Block devices, from `/proc/diskstats`, described by what udev knows about them.
//!
//! Partitions, RAM disks and loop devices are left out: their traffic is counted by the disk
//! below. Bound: [`DEVICES_MAX`].

use super::{CollectError, Collector, KeptFile, Roots, Sink, source::malformed};
use regex::Regex;
use std::{collections::HashMap, fs, path::PathBuf};

/// The kernel counts in sectors of this size, whatever the device's own sector is.
const SECTOR_BYTES: f64 = 512.0;
const DEVICES_MAX: usize = 4096;
const IGNORED: &str = r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$";
/// Numbers of a line: 11 since 2.6, 15 with discards (4.18), 17 with flushes (5.5).
const NUMBERS_MIN: usize = 11;
const NUMBERS_MAX: usize = 17;

struct Column {
    name: &'static str,
    help: &'static str,
    unit: Unit,
}

/// What the kernel's number becomes. Milliseconds are divided, not multiplied by 0.001: the
/// quotient is the nearest float to the decimal, which prints short and compresses well.
#[derive(Clone, Copy)]
enum Unit {
    Count,
    Sectors,
    Milliseconds,
}

impl Unit {
    fn convert(self, number: f64) -> f64 {
        match self {
            Unit::Count => number,
            Unit::Sectors => number * SECTOR_BYTES,
            Unit::Milliseconds => number / 1000.0,
        }
    }
}

const fn column(name: &'static str, unit: Unit, help: &'static str) -> Column {
    Column { name, help, unit }
}

const MS: Unit = Unit::Milliseconds;
const ONE: Unit = Unit::Count;

/// In the kernel's order (Documentation/admin-guide/iostats.rst).
const COLUMNS: [Column; NUMBERS_MAX] = [
    column("node_disk_reads_completed_total", ONE, "Reads that completed."),
    column("node_disk_reads_merged_total", ONE, "Reads that were merged with a neighbour."),
    column("node_disk_read_bytes_total", Unit::Sectors, "Bytes read."),
    column("node_disk_read_time_seconds_total", MS, "Seconds that reads took, summed over all reads."),
    column("node_disk_writes_completed_total", ONE, "Writes that completed."),
    column("node_disk_writes_merged_total", ONE, "Writes that were merged with a neighbour."),
    column("node_disk_written_bytes_total", Unit::Sectors, "Bytes written."),
    column("node_disk_write_time_seconds_total", MS, "Seconds that writes took, summed over all writes."),
    column("node_disk_io_now", ONE, "Requests in flight."),
    column("node_disk_io_time_seconds_total", MS, "Seconds with at least one request in flight."),
    column(
        "node_disk_io_time_weighted_seconds_total",
        MS,
        "Seconds with requests in flight, times their number.",
    ),
    column("node_disk_discards_completed_total", ONE, "Discards that completed."),
    column("node_disk_discards_merged_total", ONE, "Discards that were merged with a neighbour."),
    column("node_disk_discarded_sectors_total", ONE, "Sectors discarded."),
    column(
        "node_disk_discard_time_seconds_total",
        MS,
        "Seconds that discards took, summed over all discards.",
    ),
    column("node_disk_flush_requests_total", ONE, "Flushes that completed."),
    column(
        "node_disk_flush_requests_time_seconds_total",
        MS,
        "Seconds that flushes took, summed over all flushes.",
    ),
];
/// The only column that is not a counter.
const IO_NOW: usize = 8;

struct Disk {
    device: String,
    major: String,
    minor: String,
    numbers: [f64; NUMBERS_MAX],
    count: usize,
}

pub(crate) struct DiskStats {
    file: KeptFile,
    udev: PathBuf,
    sysfs_block: PathBuf,
    ignored: Regex,
    disks: Vec<Disk>,
    /// A device's description does not change while it keeps its number.
    properties: HashMap<String, Properties>,
}

impl DiskStats {
    pub(crate) fn new(roots: &Roots) -> Self {
        DiskStats {
            file: roots.proc("diskstats"),
            udev: roots.rootfs.join("run/udev/data"),
            sysfs_block: roots.sysfs.join("block"),
            ignored: Regex::new(IGNORED).expect("the pattern is constant"),
            disks: Vec::new(),
            properties: HashMap::new(),
        }
    }

    fn read(&mut self) -> Result<(), CollectError> {
        let path = self.file.path().to_path_buf();
        self.disks.clear();
        for line in self.file.read()?.lines().take(DEVICES_MAX) {
            let disk = parse_line(line).ok_or_else(|| malformed(&path, line))?;
            if !self.ignored.is_match(&disk.device) {
                self.disks.push(disk);
            }
        }
        Ok(())
    }

    fn describe(&mut self) {
        let disks = &self.disks;
        self.properties.retain(|key, _| disks.iter().any(|disk| disk.key() == *key));
        for disk in &self.disks {
            let (udev, block) = (&self.udev, &self.sysfs_block);
            self.properties.entry(disk.key()).or_insert_with(|| {
                let udev = fs::read_to_string(udev.join(format!("b{}:{}", disk.major, disk.minor)));
                let rotational = fs::read_to_string(block.join(&disk.device).join("queue/rotational"));
                Properties::parse(&udev.unwrap_or_default(), rotational.unwrap_or_default().trim())
            });
        }
    }

    fn write_info(&self, out: &mut Sink<'_>) {
        let mut family = out.gauge("node_disk_info", "What a block device is; always 1.");
        for disk in &self.disks {
            let Some(of_disk) = self.properties.get(&disk.key()) else { continue };
            let labels = [
                ("device", disk.device.as_str()),
                ("major", &disk.major),
                ("minor", &disk.minor),
                ("model", &of_disk.model),
                ("path", &of_disk.path),
                ("revision", &of_disk.revision),
                ("rotational", &of_disk.rotational),
                ("serial", &of_disk.serial),
                ("wwn", &of_disk.wwn),
            ];
            family.sample(&labels, 1.0);
        }
    }
}

impl Collector for DiskStats {
    fn name(&self) -> &'static str {
        "diskstats"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        self.read()?;
        self.describe();
        self.write_info(out);
        for (i, column) in COLUMNS.iter().enumerate() {
            let mut family = match i {
                IO_NOW => out.gauge(column.name, column.help),
                _ => out.counter(column.name, column.help),
            };
            for disk in self.disks.iter().filter(|disk| i < disk.count) {
                family.sample(&[("device", &disk.device)], column.unit.convert(disk.numbers[i]));
            }
        }
        Ok(())
    }
}

impl Disk {
    /// The device's number and name: a number may be given to another device later.
    fn key(&self) -> String {
        format!("{}:{}/{}", self.major, self.minor, self.device)
    }
}

fn parse_line(line: &str) -> Option<Disk> {
    let mut words = line.split_ascii_whitespace();
    let (major, minor, device) = (words.next()?, words.next()?, words.next()?);
    let mut numbers = [0.0; NUMBERS_MAX];
    let mut count = 0;
    for (slot, word) in numbers.iter_mut().zip(words) {
        *slot = word.parse::<u64>().ok()? as f64;
        count += 1;
    }
    let whole = count >= NUMBERS_MIN;
    whole.then(|| Disk {
        device: device.to_owned(),
        major: major.to_owned(),
        minor: minor.to_owned(),
        numbers,
        count,
    })
}

/// What udev has written down about a device (`/run/udev/data/b<major>:<minor>`).
#[derive(Debug, Default, PartialEq)]
struct Properties {
    model: String,
    path: String,
    revision: String,
    rotational: String,
    serial: String,
    wwn: String,
}

impl Properties {
    fn parse(udev: &str, rotational: &str) -> Self {
        let mut properties = Properties { rotational: rotational.to_owned(), ..Properties::default() };
        let mut short_serial = None;
        for (key, value) in udev.lines().filter_map(|line| line.strip_prefix("E:")?.split_once('=')) {
            match key {
                "ID_MODEL" => properties.model = value.to_owned(),
                "ID_PATH" => properties.path = value.to_owned(),
                "ID_REVISION" => properties.revision = value.to_owned(),
                "ID_SERIAL_SHORT" => short_serial = Some(value.to_owned()),
                // SCSI devices say their own serial number apart from the one udev made up.
                "SCSI_IDENT_SERIAL" => properties.serial = value.to_owned(),
                "ID_WWN" => properties.wwn = value.to_owned(),
                _ => {}
            }
        }
        if let Some(serial) = short_serial.filter(|_| properties.serial.is_empty()) {
            properties.serial = serial;
        }
        properties
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, failure, lines};
    use super::*;

    #[test]
    fn disks_are_counted_and_partitions_are_not() {
        let fixture = Fixture::new();
        fixture.proc(
            "diskstats",
            " 8 0 sda 25353 34367 1003337 64356 28444 11134 505697 63930 7 47984 128348 1 2 3 4000 5 6000\n \
             8 1 sda1 250 0 2000 36 0 0 0 0 0 32 36\n 7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n \
             253 0 dm-0 1 2 3 4 5 6 7 8 9 10 11\n",
        );
        fixture.root("run/udev/data/b8:0", "E:ID_MODEL=SuperDisk\nE:ID_SERIAL_SHORT=S1\nE:ID_WWN=0x5\nI:1\n");
        fixture.sys("block/sda/queue/rotational", "0\n");
        let mut collector = DiskStats::new(&fixture.roots());
        let lines = lines(&mut collector);
        let expect = |line: &str| assert!(lines.iter().any(|l| l == line), "{line} not in {lines:#?}");
        expect(
            r#"node_disk_info{device="sda", major="8", minor="0", model="SuperDisk", rotational="0", serial="S1", wwn="0x5"} 1"#,
        );
        expect(r#"node_disk_read_bytes_total{device="sda"} 513708544"#);
        expect(r#"node_disk_io_now{device="sda"} 7"#);
        expect(r#"node_disk_flush_requests_time_seconds_total{device="sda"} 6"#);
        expect(r#"node_disk_io_time_weighted_seconds_total{device="dm-0"} 0.011"#);
        assert_eq!(lines.len(), 2 + 17 + 11);
        fixture.proc("diskstats", " 8 0 sda 25353\n");
        assert!(failure(&mut collector).contains("sda 25353"));
    }
}
