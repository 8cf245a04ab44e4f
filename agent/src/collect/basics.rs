//! What other systems than Linux tell through `sysinfo`: load, memory, disks, traffic.
//!
//! Names follow node_exporter's for those systems where they agree with Linux.

use super::{CollectError, Collector, Sink};
use sysinfo::{Disks, Networks, System};

pub(crate) struct Basics;

impl Collector for Basics {
    fn name(&self) -> &'static str {
        "basics"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        // What a system does not offer is left out.
        if let Ok(load) = System::load_average() {
            out.gauge("node_load1", "Load average over one minute.").value(load.one);
            out.gauge("node_load5", "Load average over five minutes.").value(load.five);
            out.gauge("node_load15", "Load average over fifteen minutes.").value(load.fifteen);
        }
        write_time_and_name(out);
        if let Ok(system) = System::new() {
            write_memory(system, out);
        }
        if let Ok(disks) = Disks::new_with_refreshed_list() {
            write_disks(&disks, out);
        }
        if let Ok(networks) = Networks::new_with_refreshed_list() {
            write_networks(&networks, out);
        }
        Ok(())
    }
}

fn write_time_and_name(out: &mut Sink<'_>) {
    if let Ok(booted) = System::boot_time() {
        out.gauge("node_boot_time_seconds", "When the host booted, in seconds since 1970.")
            .value(booted as f64);
    }
    let now_ms = out.timestamp_ms();
    out.gauge("node_time_seconds", "The host's clock, in seconds since 1970.").value(now_ms as f64 / 1000.0);
    let (node, system) = (System::host_name().unwrap_or_default(), System::name().unwrap_or_default());
    let (release, version) =
        (System::kernel_version().unwrap_or_default(), System::os_version().unwrap_or_default());
    let labels = [
        ("domainname", ""),
        ("machine", std::env::consts::ARCH),
        ("nodename", &node),
        ("release", &release),
        ("sysname", &system),
        ("version", &version),
    ];
    out.gauge("node_uname_info", "The host's kernel and name; always 1.").sample(&labels, 1.0);
}

fn write_memory(mut system: System, out: &mut Sink<'_>) {
    system.refresh_memory();
    for (name, bytes) in [
        ("node_memory_total_bytes", system.total_memory()),
        ("node_memory_free_bytes", system.free_memory()),
        ("node_memory_swap_total_bytes", system.total_swap()),
        ("node_memory_swap_used_bytes", system.used_swap()),
    ] {
        out.gauge(name, "Memory of the host.").value(bytes as f64);
    }
}

fn write_disks(disks: &Disks, out: &mut Sink<'_>) {
    type Read = fn(&sysinfo::Disk) -> u64;
    let families: [(&str, &str, Read); 2] = [
        ("node_filesystem_size_bytes", "Bytes of the filesystem.", sysinfo::Disk::total_space),
        (
            "node_filesystem_avail_bytes",
            "Bytes free for users without privileges.",
            sysinfo::Disk::available_space,
        ),
    ];
    for (name, help, read) in families {
        let mut family = out.gauge(name, help);
        for disk in disks {
            let device = disk.name().to_string_lossy();
            let fstype = disk.file_system().to_string_lossy();
            let mountpoint = disk.mount_point().to_string_lossy();
            let labels = [("device", device.as_ref()), ("fstype", &fstype), ("mountpoint", &mountpoint)];
            family.sample(&labels, read(disk) as f64);
        }
    }
}

fn write_networks(networks: &Networks, out: &mut Sink<'_>) {
    type Read = fn(&sysinfo::NetworkData) -> u64;
    let families: [(&str, &str, Read); 4] = [
        ("node_network_receive_bytes_total", "Bytes received.", sysinfo::NetworkData::total_received),
        ("node_network_transmit_bytes_total", "Bytes sent.", sysinfo::NetworkData::total_transmitted),
        (
            "node_network_receive_packets_total",
            "Packets received.",
            sysinfo::NetworkData::total_packets_received,
        ),
        (
            "node_network_transmit_packets_total",
            "Packets sent.",
            sysinfo::NetworkData::total_packets_transmitted,
        ),
    ];
    for (name, help, read) in families {
        let mut family = out.counter(name, help);
        for (device, data) in networks {
            family.sample(&[("device", &device.to_string_lossy())], read(data) as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::lines;
    use super::*;

    #[test]
    fn the_basics_are_there() {
        let lines = lines(&mut Basics);
        for name in [
            "node_load1{",
            "node_memory_total_bytes{",
            "node_uname_info{",
            "node_network_receive_bytes_total{",
        ] {
            assert!(lines.iter().any(|line| line.starts_with(name)), "{name} is not in {lines:#?}");
        }
    }
}
