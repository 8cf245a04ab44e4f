//! How much memory one request may become.

use crate::WireError;

/// Most bytes that a request may expand to in its batch. Formats with symbol tables or shared
/// resources can name the same long string a million times in a small body, and an empty message
/// of two bytes becomes a whole value.
pub const EXPANDED_BYTES_MAX: usize = 256 << 20;

/// What one request has expanded to so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Expansion {
    bytes: usize,
}

impl Expansion {
    /// Counts `bytes` before they are allocated.
    #[inline]
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), WireError> {
        self.bytes = self.bytes.saturating_add(bytes);
        match self.bytes > EXPANDED_BYTES_MAX {
            true => Err(WireError::TooLarge { what: "expanded request", limit: EXPANDED_BYTES_MAX }),
            false => Ok(()),
        }
    }
}
