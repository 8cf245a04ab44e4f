//! File descriptors of the whole host, from `/proc/sys/fs/file-nr`.

use super::{CollectError, Collector, KeptFile, Roots, Sink, source::malformed};

pub(crate) struct FileDescriptors {
    file: KeptFile,
}

impl FileDescriptors {
    pub(crate) fn new(roots: &Roots) -> Self {
        FileDescriptors { file: roots.proc("sys/fs/file-nr") }
    }
}

impl Collector for FileDescriptors {
    fn name(&self) -> &'static str {
        "filefd"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let path = self.file.path().to_path_buf();
        let text = self.file.read()?;
        // The middle number has been 0 since Linux 2.6.
        let numbers: Vec<f64> = text.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
        let [allocated, _, maximum] = numbers[..] else { return Err(malformed(&path, text)) };
        out.gauge("node_filefd_allocated", "File descriptors in use.").value(allocated);
        out.gauge("node_filefd_maximum", "File descriptors the host allows.").value(maximum);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, failure, lines};
    use super::*;

    #[test]
    fn used_and_allowed() {
        let fixture = Fixture::new();
        fixture.proc("sys/fs/file-nr", "1024\t0\t1631329\n");
        let mut collector = FileDescriptors::new(&fixture.roots());
        assert_eq!(lines(&mut collector), ["node_filefd_allocated{} 1024", "node_filefd_maximum{} 1631329"]);
        fixture.proc("sys/fs/file-nr", "1024\n");
        assert!(failure(&mut collector).contains("1024"));
    }
}
