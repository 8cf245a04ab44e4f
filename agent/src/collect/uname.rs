//! What the kernel calls itself, from `uname(2)`.

use super::{CollectError, Collector, Sink};

pub(crate) struct Uname;

impl Collector for Uname {
    fn name(&self) -> &'static str {
        "uname"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let uname = rustix::system::uname();
        let domain = uname.domainname().to_string_lossy();
        let machine = uname.machine().to_string_lossy();
        let node = uname.nodename().to_string_lossy();
        let release = uname.release().to_string_lossy();
        let system = uname.sysname().to_string_lossy();
        let version = uname.version().to_string_lossy();
        let labels = [
            ("domainname", domain.as_ref()),
            ("machine", &machine),
            ("nodename", &node),
            ("release", &release),
            ("sysname", &system),
            ("version", &version),
        ];
        out.gauge("node_uname_info", "The host's kernel and name; always 1.").sample(&labels, 1.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::lines;
    use super::*;

    #[test]
    fn the_host_has_a_name() {
        let lines = lines(&mut Uname);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("nodename=\"") && lines[0].contains("sysname=\"Linux\""), "{lines:?}");
    }
}
