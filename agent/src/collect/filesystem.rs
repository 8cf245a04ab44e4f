//! Space and inodes of mounted filesystems, from `mountinfo` and `statfs`.
//!
//! `statfs` on a dead network filesystem may never return. It therefore runs on a helper thread
//! ([`super::statfs`]), which is left behind when a mount does not answer in time; such a mount is
//! reported with `device_error="stuck"` and not asked again until the old call has returned.

use super::{
    CollectError, Collector, KeptFile, Roots, Sink,
    source::malformed,
    statfs::{Answer, StatfsWorkers, Usage},
};
use regex::Regex;
use std::path::{Path, PathBuf};

/// Mounts of the system's own machinery, and of containers, which their host accounts for.
const IGNORED_MOUNTS: &str =
    r"^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)";
/// Filesystems that hold no data of the user.
const IGNORED_TYPES: &str = "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|erofs|fusectl|\
    hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs)$";
const MOUNTS_MAX: usize = 4096;

#[derive(Clone, Debug, PartialEq)]
struct Mount {
    device: String,
    mountpoint: String,
    fstype: String,
    major: String,
    minor: String,
    readonly: bool,
}

pub(crate) struct Filesystems {
    /// Mounts of process 1, because the agent's own may be narrowed by its service unit.
    host_mounts: KeptFile,
    own_mounts: KeptFile,
    rootfs: PathBuf,
    ignored_mounts: Regex,
    ignored_types: Regex,
    workers: StatfsWorkers,
}

impl Filesystems {
    pub(crate) fn new(roots: &Roots) -> Self {
        Filesystems {
            host_mounts: roots.proc("1/mountinfo"),
            own_mounts: roots.proc("self/mountinfo"),
            rootfs: roots.rootfs.clone(),
            ignored_mounts: Regex::new(IGNORED_MOUNTS).expect("the pattern is constant"),
            ignored_types: Regex::new(IGNORED_TYPES).expect("the pattern is constant"),
            workers: StatfsWorkers::default(),
        }
    }

    fn mounts(&mut self) -> Result<Vec<Mount>, CollectError> {
        let file = match self.host_mounts.read_bytes() {
            Ok(_) => &mut self.host_mounts,
            Err(_) => &mut self.own_mounts,
        };
        let path = file.path().to_path_buf();
        let text = String::from_utf8_lossy(file.read_bytes()?);
        let mut mounts: Vec<Mount> = Vec::new();
        for line in text.lines().take(MOUNTS_MAX) {
            let mut mount = parse_line(line).ok_or_else(|| malformed(&path, line))?;
            if let Some(seen_by_host) = strip_root(&mount.mountpoint, &self.rootfs) {
                mount.mountpoint = seen_by_host;
            }
            let ignored =
                self.ignored_mounts.is_match(&mount.mountpoint) || self.ignored_types.is_match(&mount.fstype);
            // A later mount on the same place hides the earlier one.
            mounts.retain(|earlier| earlier.mountpoint != mount.mountpoint);
            if !ignored {
                mounts.push(mount);
            }
        }
        Ok(mounts)
    }
}

impl Collector for Filesystems {
    fn name(&self) -> &'static str {
        "filesystem"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let mounts = self.mounts()?;
        let paths =
            mounts.iter().map(|mount| self.rootfs.join(mount.mountpoint.trim_start_matches('/'))).collect();
        let answers = self.workers.ask(paths);
        type Read = fn(&Usage) -> f64;
        let families: [(&str, &str, Read); 5] = [
            ("node_filesystem_size_bytes", "Bytes of the filesystem.", |usage| usage.size_bytes),
            ("node_filesystem_free_bytes", "Bytes free.", |usage| usage.free_bytes),
            ("node_filesystem_avail_bytes", "Bytes free for users without privileges.", |usage| {
                usage.avail_bytes
            }),
            ("node_filesystem_files", "Inodes of the filesystem.", |usage| usage.files),
            ("node_filesystem_files_free", "Inodes free.", |usage| usage.files_free),
        ];
        for (name, help, read) in families {
            let mut family = out.gauge(name, help);
            for (mount, answer) in mounts.iter().zip(&answers) {
                if let Answer::Usage(usage) = answer {
                    family.sample(&mount.labels(""), read(usage));
                }
            }
        }
        let mut family =
            out.gauge("node_filesystem_readonly", "Whether the filesystem is mounted read-only.");
        for (mount, answer) in mounts.iter().zip(&answers) {
            family.sample(&mount.labels(answer.error()), f64::from(u8::from(mount.readonly)));
        }
        let mut family =
            out.gauge("node_filesystem_device_error", "Whether the filesystem failed to answer.");
        for (mount, answer) in mounts.iter().zip(&answers) {
            let failed = !matches!(answer, Answer::Usage(_));
            family.sample(&mount.labels(answer.error()), f64::from(u8::from(failed)));
        }
        write_info(&mounts, out);
        Ok(())
    }
}

fn write_info(mounts: &[Mount], out: &mut Sink<'_>) {
    let mut family = out.gauge("node_filesystem_mount_info", "Which device is mounted where; always 1.");
    for mount in mounts {
        let labels = [
            ("device", mount.device.as_str()),
            ("major", &mount.major),
            ("minor", &mount.minor),
            ("mountpoint", &mount.mountpoint),
        ];
        family.sample(&labels, 1.0);
    }
}

impl Mount {
    fn labels<'a>(&'a self, error: &'a str) -> [(&'static str, &'a str); 4] {
        [
            ("device", &self.device),
            ("device_error", error),
            ("fstype", &self.fstype),
            ("mountpoint", &self.mountpoint),
        ]
    }
}

/// Reads a line of `mountinfo` (proc_pid_mountinfo(5)):
/// `36 35 98:0 /mnt1 /mnt/parent rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
fn parse_line(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(2);
    let (major, minor) = fields.next()?.split_once(':')?;
    let mountpoint = fields.nth(1)?;
    let mount_options = fields.next()?;
    let mut fields = after.split(' ');
    let (fstype, device) = (fields.next()?, fields.next()?);
    let super_options = fields.next().unwrap_or_default();
    // Only the superblock's options tell that the kernel made a damaged filesystem read-only.
    let is_readonly =
        |options: &str| options.split(',').any(|option| option == "ro" || option == "emergency_ro");
    Some(Mount {
        device: unescape(device),
        mountpoint: unescape(mountpoint),
        fstype: fstype.to_owned(),
        major: major.to_owned(),
        minor: minor.to_owned(),
        readonly: is_readonly(mount_options) || is_readonly(super_options),
    })
}

/// The kernel writes blanks and backslashes as octal.
fn unescape(text: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    match text.contains('\\') {
        true => escapes.iter().fold(text.to_owned(), |text, (code, character)| text.replace(code, character)),
        false => text.to_owned(),
    }
}

/// The mountpoint without the folder under which a container sees the host.
fn strip_root(mountpoint: &str, rootfs: &Path) -> Option<String> {
    let inside = Path::new(mountpoint).strip_prefix(rootfs).ok()?;
    Some(format!("/{}", inside.to_str()?))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, failure, lines};
    use super::*;

    #[test]
    fn mountinfo_lines() {
        let mount = parse_line(
            r"36 35 98:0 /mnt1 /mnt/a\040b rw,noatime master:1 - ext3 /dev/root ro,errors=continue",
        )
        .unwrap();
        assert_eq!((mount.mountpoint.as_str(), mount.device.as_str()), ("/mnt/a b", "/dev/root"));
        assert_eq!((mount.major.as_str(), mount.minor.as_str(), mount.fstype.as_str()), ("98", "0", "ext3"));
        assert!(mount.readonly);
        assert_eq!(parse_line("36 35 98:0 /mnt1"), None);
    }

    #[test]
    fn the_machinery_is_left_out_and_the_last_mount_wins() {
        let fixture = Fixture::new();
        std::fs::create_dir_all(fixture.roots().rootfs.join("data")).unwrap();
        fixture.proc(
            "1/mountinfo",
            "22 27 0:21 / /proc rw - proc proc rw\n27 1 254:0 / / rw - ext4 /dev/vda rw\n\
             28 27 0:9 / /data rw - ext4 /dev/old rw\n29 27 0:10 / /data ro - xfs /dev/new rw\n\
             30 27 0:11 / /gone rw - ext4 /dev/gone rw\n",
        );
        let mut collector = Filesystems::new(&fixture.roots());
        let lines = lines(&mut collector);
        let has = |line: &str| lines.iter().any(|l| l == line);
        let starts = |start: &str| lines.iter().filter(|l| l.starts_with(start)).count();
        assert_eq!(starts("node_filesystem_size_bytes"), 2, "{lines:#?}");
        assert!(
            has(r#"node_filesystem_readonly{device="/dev/new", fstype="xfs", mountpoint="/data"} 1"#),
            "{lines:#?}"
        );
        assert!(
            has(
                r#"node_filesystem_device_error{device="/dev/gone", device_error="No such file or directory", fstype="ext4", mountpoint="/gone"} 1"#
            ),
            "{lines:#?}"
        );
        assert!(!lines.iter().any(|line| line.contains("/proc") || line.contains("/dev/old")));
        fixture.proc("1/mountinfo", "nonsense\n");
        assert!(failure(&mut collector).contains("nonsense"));
    }
}
