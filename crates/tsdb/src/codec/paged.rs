//! Numbers by `pco`, cut into pages: who wants an hour of a day decodes the pages that hold it.
//!
//! All pages of a column share one `pco` chunk, so the bins are stored once and a page costs only
//! what its decoder starts from, some ten bytes.

use crate::bytes::{Malformed, Reader, put_varint};
use pco::{
    ChunkConfig, DecompressorScratch, PagingSpec,
    data_types::Number,
    errors::PcoResult,
    wrapped::{FileCompressor, FileDecompressor},
};
use std::ops::Range;

/// Numbers of a page, the last one excepted: what `pco` decodes at once.
pub(super) const PAGE: usize = pco::FULL_BATCH_N;

/// What decoding works in, made when it is first needed: it is larger than many columns.
pub(crate) type Scratch = Option<DecompressorScratch>;

/// The column as bytes; `None` when `pco` refuses it.
pub(crate) fn encode<T: Number>(numbers: &[T], config: &ChunkConfig) -> Option<Vec<u8>> {
    try_encode(numbers, config).ok()
}

fn try_encode<T: Number>(numbers: &[T], config: &ChunkConfig) -> PcoResult<Vec<u8>> {
    let lengths = numbers.chunks(PAGE).map(<[T]>::len).collect();
    let config = config.clone().with_paging_spec(PagingSpec::Exact(lengths));
    let file = FileCompressor::default();
    let mut chunk = file.chunk_compressor(numbers, &config)?;
    let mut body = chunk.write_meta(file.write_header(Vec::new())?)?;
    let mut out = Vec::new();
    for page in 0..chunk.n_per_page().len() {
        let before = body.len();
        body = chunk.write_page(page, body)?;
        if page + 1 < chunk.n_per_page().len() {
            put_varint(&mut out, (body.len() - before) as u64);
        }
    }
    out.extend_from_slice(&body);
    Ok(out)
}

/// Reads what `wanted` names of `count` numbers, appending to `into`.
pub(crate) fn decode<T: Number + Default>(
    bytes: &[u8],
    count: usize,
    wanted: Range<usize>,
    scratch: &mut Scratch,
    into: &mut Vec<T>,
) -> Result<(), Malformed> {
    let mut reader = Reader::new(bytes);
    let pages = wanted.start / PAGE..wanted.end.div_ceil(PAGE);
    let mut skipped = 0usize;
    for page in 1..count.div_ceil(PAGE) {
        let length = reader.count(bytes.len())?;
        skipped += if page <= pages.start { length } else { 0 };
    }
    let (file, rest) = FileDecompressor::new(reader.rest()).map_err(|_| Malformed)?;
    let (chunk, rest) = file.chunk_decompressor::<T, _>(rest).map_err(|_| Malformed)?;
    let mut rest = rest.get(skipped..).ok_or(Malformed)?;
    let scratch = scratch.get_or_insert_default();
    let start = into.len();
    for page in pages.clone() {
        let length = PAGE.min(count - page * PAGE);
        let page_start = into.len();
        into.resize(page_start + length, T::default());
        let mut page = chunk.page_decompressor_with_scratch(rest, length, scratch).map_err(|_| Malformed)?;
        let progress = page.read(&mut into[page_start..]).map_err(|_| Malformed)?;
        if progress.n_processed != length {
            return Err(Malformed);
        }
        rest = page.into_src();
    }
    into.truncate(start + wanted.end - pages.start * PAGE);
    into.drain(start..start + wanted.start - pages.start * PAGE);
    Ok(())
}
