//! Protocols that name the stream with every line mostly repeat the one before.

use super::LogWriter;
use crate::WireError;

/// Begins a stream only when its labels are others than the last one's.
#[derive(Debug, Default)]
pub(crate) struct StreamKeeper {
    last: Vec<u8>,
    next: Vec<u8>,
}

impl StreamKeeper {
    /// Sees that the stream with these labels is the current one.
    pub(crate) fn stream<'a>(
        &mut self,
        writer: &mut LogWriter<'_>,
        labels: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Result<(), WireError> {
        self.next.clear();
        for (name, value) in labels.clone() {
            for part in [name, value] {
                self.next.extend_from_slice(&(part.len() as u64).to_le_bytes());
                self.next.extend_from_slice(part.as_bytes());
            }
        }
        if self.next == self.last && !self.next.is_empty() {
            return Ok(());
        }
        writer.begin_stream();
        for (name, value) in labels {
            writer.label(name.as_bytes(), value.as_bytes());
        }
        writer.end_stream()?;
        std::mem::swap(&mut self.last, &mut self.next);
        Ok(())
    }
}
