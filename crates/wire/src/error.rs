//! Why a whole request could not be read.

/// A request that is refused as a whole. Parts that are refused while the rest is kept are
/// counted in a [`crate::DecodeReport`] instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Bytes that are not the protobuf message expected.
    #[error("malformed protobuf at byte {offset}: {problem}")]
    Protobuf {
        /// Where, counted from the start of the decompressed message.
        offset: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// Text that is not the JSON expected; the message has line and column.
    #[error("malformed JSON: {0}")]
    Json(String),
    /// Compressed bytes that do not decompress.
    #[error("{encoding}: corrupt input: {detail}")]
    Corrupt {
        /// The content encoding.
        encoding: &'static str,
        /// What the decompressor says.
        detail: String,
    },
    /// More bytes than allowed, declared or real, before or after decompression.
    #[error("{what} is larger than the {limit} bytes allowed")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Exposition text that does not parse.
    #[error("line {line}: {problem}")]
    Text {
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// Bytes that should be UTF-8 text and are not.
    #[error("{0} is not valid UTF-8")]
    NotUtf8(&'static str),
}

impl WireError {
    /// Whether the caller should send less at once (HTTP 413) rather than something else (400).
    pub fn is_too_large(&self) -> bool {
        matches!(self, WireError::TooLarge { .. })
    }
}
