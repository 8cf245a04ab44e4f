//! Which distribution the host runs, from `os-release`. Read once per [`REFRESH_MS`]: it changes
//! with an upgrade only.

use super::{CollectError, Collector, Roots, Sink};
use std::{fs, path::PathBuf};

const REFRESH_MS: i64 = 3_600_000;

/// Label and key of `os-release(5)`, in alphabetical order of the labels.
const KEYS: [(&str, &str); 12] = [
    ("build_id", "BUILD_ID"),
    ("id", "ID"),
    ("id_like", "ID_LIKE"),
    ("image_id", "IMAGE_ID"),
    ("image_version", "IMAGE_VERSION"),
    ("name", "NAME"),
    ("pretty_name", "PRETTY_NAME"),
    ("variant", "VARIANT"),
    ("variant_id", "VARIANT_ID"),
    ("version", "VERSION"),
    ("version_codename", "VERSION_CODENAME"),
    ("version_id", "VERSION_ID"),
];

pub(crate) struct OsRelease {
    paths: [PathBuf; 2],
    values: [String; KEYS.len()],
    read_at_ms: Option<i64>,
}

impl OsRelease {
    pub(crate) fn new(roots: &Roots) -> Self {
        let paths = ["etc/os-release", "usr/lib/os-release"].map(|path| roots.rootfs.join(path));
        OsRelease { paths, values: Default::default(), read_at_ms: None }
    }

    fn refresh(&mut self, now_ms: i64) -> Result<(), CollectError> {
        if self.read_at_ms.is_some_and(|at| (at..at + REFRESH_MS).contains(&now_ms)) {
            return Ok(());
        }
        let [first, second] = &self.paths;
        let text = fs::read_to_string(first)
            .or_else(|_| fs::read_to_string(second))
            .map_err(|source| CollectError::Io { path: first.clone(), source })?;
        self.values = KEYS.map(|(_, key)| find(&text, key).unwrap_or_default());
        self.read_at_ms = Some(now_ms);
        Ok(())
    }

    fn value(&self, label: &str) -> &str {
        let found = KEYS.iter().position(|(name, _)| *name == label);
        found.map_or("", |i| &self.values[i])
    }
}

impl Collector for OsRelease {
    fn name(&self) -> &'static str {
        "os"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        self.refresh(out.timestamp_ms())?;
        let mut labels = [("", ""); KEYS.len()];
        for (label, ((name, _), value)) in labels.iter_mut().zip(KEYS.iter().zip(&self.values)) {
            *label = (*name, value);
        }
        out.gauge("node_os_info", "The host's distribution; always 1.").sample(&labels, 1.0);
        if let Some(version) = major_minor(self.value("version_id")) {
            let labels = ["id", "id_like", "name"].map(|label| (label, self.value(label)));
            out.gauge("node_os_version", "The distribution's version as major.minor.")
                .sample(&labels, version);
        }
        Ok(())
    }
}

/// The value of `KEY=value` or `KEY="value"`.
fn find(text: &str, key: &str) -> Option<String> {
    let raw = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
    let quoted = raw.strip_prefix(['"', '\'']).and_then(|rest| rest.strip_suffix(['"', '\'']));
    Some(quoted.unwrap_or(raw).replace("\\\"", "\"").replace("\\$", "$").replace("\\\\", "\\"))
}

/// `22.04.3` as 22.04.
fn major_minor(version: &str) -> Option<f64> {
    let mut parts = version.splitn(3, '.');
    let (major, minor) = (parts.next()?, parts.next());
    match minor {
        Some(minor) => format!("{major}.{minor}").parse().ok(),
        None => major.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, failure, lines};
    use super::*;

    #[test]
    fn quotes_are_removed_and_versions_cut() {
        let fixture = Fixture::new();
        assert!(failure(&mut OsRelease::new(&fixture.roots())).contains("os-release"));
        fixture
            .root("usr/lib/os-release", "NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID='20.04.2'\n");
        assert_eq!(
            lines(&mut OsRelease::new(&fixture.roots())),
            [
                r#"node_os_info{id="ubuntu", id_like="debian", name="Ubuntu", version_id="20.04.2"} 1"#,
                r#"node_os_version{id="ubuntu", id_like="debian", name="Ubuntu"} 20.04"#
            ]
        );
    }
}
