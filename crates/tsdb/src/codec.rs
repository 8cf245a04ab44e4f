//! Columns as bytes, lossless to the last bit; drawn in `docs/formats/tsdb.md`.

pub(crate) mod bits;
pub(crate) mod decimal;
pub(crate) mod histograms;
pub(crate) mod integers;
mod paged;
pub(crate) mod values;
mod xor;

/// How much work to spend on a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// For parts that will be merged soon.
    Quick,
    /// For parts that stay: tries the slower codecs too.
    Thorough,
}

#[cfg(test)]
mod tests;
