//! Host metrics: one collector per file, under the names, types and labels of node_exporter, so
//! that its dashboards and rules work unchanged.
//!
//! A collector reads a few kernel files and writes families into a [`Sink`]. It knows nothing of
//! the others; [`Runner`] runs them one after another on one thread (parallel reads of `/proc`
//! contend inside the kernel), times each, and leaves behind one that hangs.

mod error;
mod runner;
mod sink;
mod source;

#[cfg(any(not(target_os = "linux"), test))]
mod basics;

#[cfg(target_os = "linux")]
mod conntrack;
#[cfg(target_os = "linux")]
mod cpu;
#[cfg(target_os = "linux")]
mod diskstats;
#[cfg(target_os = "linux")]
mod entropy;
#[cfg(target_os = "linux")]
mod filefd;
#[cfg(target_os = "linux")]
mod filesystem;
#[cfg(target_os = "linux")]
mod kernel_hung;
#[cfg(target_os = "linux")]
mod loadavg;
#[cfg(target_os = "linux")]
mod meminfo;
#[cfg(target_os = "linux")]
mod netclass;
#[cfg(target_os = "linux")]
mod netdev;
#[cfg(target_os = "linux")]
mod netstat;
#[cfg(target_os = "linux")]
mod os;
#[cfg(target_os = "linux")]
mod page;
#[cfg(target_os = "linux")]
mod pressure;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod schedstat;
#[cfg(target_os = "linux")]
mod sockstat;
#[cfg(target_os = "linux")]
mod softnet;
#[cfg(target_os = "linux")]
mod stat;
#[cfg(target_os = "linux")]
mod statfs;
#[cfg(target_os = "linux")]
mod time;
#[cfg(target_os = "linux")]
mod uname;
#[cfg(target_os = "linux")]
mod vmstat;

#[cfg(test)]
mod testing;

pub(crate) use error::CollectError;
pub(crate) use runner::{Runner, Setup};
pub(crate) use sink::Sink;
pub(crate) use source::{KeptFile, Roots};

/// One source of metrics.
pub(crate) trait Collector: Send {
    /// The `collector` label of the scrape metrics, and the name by which it is switched off.
    fn name(&self) -> &'static str;

    /// Reads the present state and writes every family whole. What was written before a failure
    /// stays in the collection.
    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError>;
}

/// Every collector of this platform, by name.
#[cfg(target_os = "linux")]
fn all(roots: &Roots) -> Vec<Box<dyn Collector>> {
    let page_bytes = page::page_bytes();
    vec![
        Box::new(conntrack::Conntrack::new(roots)),
        Box::new(cpu::CpuTimes::new(roots)),
        Box::new(diskstats::DiskStats::new(roots)),
        Box::new(entropy::Entropy::new(roots)),
        Box::new(filefd::FileDescriptors::new(roots)),
        Box::new(filesystem::Filesystems::new(roots)),
        Box::new(kernel_hung::KernelHung::new(roots)),
        Box::new(loadavg::LoadAverage::new(roots)),
        Box::new(meminfo::MemoryInfo::new(roots)),
        Box::new(netclass::NetworkClass::new(roots)),
        Box::new(netdev::NetworkDevices::new(roots)),
        Box::new(netstat::NetStat::new(roots)),
        Box::new(os::OsRelease::new(roots)),
        Box::new(pressure::Pressure::new(roots)),
        Box::new(process::OwnProcess::new(page_bytes)),
        Box::new(schedstat::SchedStat::new(roots)),
        Box::new(sockstat::SockStat::new(roots, page_bytes)),
        Box::new(softnet::SoftNet::new(roots)),
        Box::new(stat::KernelStat::new(roots)),
        Box::new(time::Time::new(roots)),
        Box::new(uname::Uname),
        Box::new(vmstat::VmStat::new(roots)),
    ]
}

/// Every collector of this platform, by name.
#[cfg(not(target_os = "linux"))]
fn all(_roots: &Roots) -> Vec<Box<dyn Collector>> {
    vec![Box::new(basics::Basics)]
}

/// The names of all collectors of this platform, for checking a configuration.
pub(crate) fn names() -> Vec<&'static str> {
    let nowhere = Roots { procfs: "/proc".into(), sysfs: "/sys".into(), rootfs: "/".into() };
    all(&nowhere).iter().map(|collector| collector.name()).collect()
}
