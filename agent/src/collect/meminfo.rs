//! Memory, from `/proc/meminfo`: every field that the running kernel has, under its own name.

use super::{CollectError, Collector, KeptFile, Roots, Sink, source::malformed};

pub(crate) struct MemoryInfo {
    file: KeptFile,
    name: String,
    help: String,
}

impl MemoryInfo {
    pub(crate) fn new(roots: &Roots) -> Self {
        MemoryInfo { file: roots.proc("meminfo"), name: String::new(), help: String::new() }
    }
}

impl Collector for MemoryInfo {
    fn name(&self) -> &'static str {
        "meminfo"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let path = self.file.path().to_path_buf();
        for line in self.file.read()?.lines().filter(|line| !line.is_empty()) {
            let field = parse_line(line).ok_or_else(|| malformed(&path, line))?;
            write_name(&mut self.name, &field);
            self.help.clear();
            self.help.push_str("Field ");
            self.help.push_str(field.key);
            self.help.push_str(" of /proc/meminfo.");
            out.gauge(&self.name, &self.help).value(field.value);
        }
        Ok(())
    }
}

struct Field<'a> {
    key: &'a str,
    value: f64,
    /// The field counts bytes; others count pages of a pool.
    is_bytes: bool,
}

/// Reads `Active(anon):   2068484 kB` or `HugePages_Total:   0`.
fn parse_line(line: &str) -> Option<Field<'_>> {
    let (key, rest) = line.split_once(':')?;
    let mut columns = rest.split_ascii_whitespace();
    let number: f64 = columns.next()?.parse().ok()?;
    match columns.next() {
        Some("kB") => Some(Field { key, value: number * 1024.0, is_bytes: true }),
        Some(_) => None,
        None => Some(Field { key, value: number, is_bytes: false }),
    }
}

/// `Active(anon)` becomes `node_memory_Active_anon_bytes`.
fn write_name(name: &mut String, field: &Field<'_>) {
    name.clear();
    name.push_str("node_memory_");
    for character in field.key.chars() {
        match character {
            ')' => {}
            c if c.is_ascii_alphanumeric() || c == '_' => name.push(c),
            _ => name.push('_'),
        }
    }
    if field.is_bytes {
        name.push_str("_bytes");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, failure, lines};
    use super::*;

    #[test]
    fn fields_keep_the_kernels_names() {
        let fixture = Fixture::new();
        fixture.proc("meminfo", "MemTotal:  15666184 kB\nActive(anon):  2 kB\nHugePages_Total:  3\n");
        let mut collector = MemoryInfo::new(&fixture.roots());
        assert_eq!(
            lines(&mut collector),
            [
                "node_memory_MemTotal_bytes{} 16042172416",
                "node_memory_Active_anon_bytes{} 2048",
                "node_memory_HugePages_Total{} 3"
            ]
        );
        fixture.proc("meminfo", "MemTotal:  1 MB\n");
        assert!(failure(&mut collector).contains("MemTotal"));
    }
}
