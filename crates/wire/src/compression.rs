//! Content encodings, with a cap on what comes out.
//!
//! The limit is held against declared sizes before anything is allocated (the length in a snappy
//! header, the content size of each zstd frame) and against the bytes produced while they are
//! produced. A zstd frame may ask for a window of at most 8 MiB, which is what RFC 9659 allows on
//! HTTP. Output buffers are replaced, and keep their memory from request to request.

use crate::WireError;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use std::{cell::RefCell, io::Read};
use zstd::zstd_safe::{self, DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

/// Largest zstd window accepted: 2^23 bytes, see RFC 9659.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Level for what the agent ships: a tenth of gzip's CPU time at about its ratio.
const ZSTD_LEVEL: i32 = 1;
/// First guess for the output of a stream that does not declare its size.
const FIRST_CHUNK_BYTES: usize = 64 << 10;
/// The densest snappy element, a copy of 64 bytes, takes 3 bytes; anything beyond is a lie.
const SNAPPY_RATIO_MAX: usize = 22;

/// A content encoding of HTTP bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// Snappy's block format, as remote write and Loki push use it.
    Snappy,
    /// RFC 8878, one or more frames.
    Zstd,
    /// RFC 1952, one or more members.
    Gzip,
    /// RFC 1950 as HTTP defines it, or bare RFC 1951 as some clients send it.
    Deflate,
}

impl Encoding {
    /// From the value of `Content-Encoding`, in any case; empty means identity.
    pub fn from_header(value: &str) -> Option<Self> {
        let value = value.trim();
        let known = [
            ("", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("snappy", Encoding::Snappy),
            ("zstd", Encoding::Zstd),
            ("gzip", Encoding::Gzip),
            ("x-gzip", Encoding::Gzip),
            ("deflate", Encoding::Deflate),
        ];
        known.iter().find(|(name, _)| value.eq_ignore_ascii_case(name)).map(|(_, encoding)| *encoding)
    }

    /// The header's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Snappy => "snappy",
            Encoding::Zstd => "zstd",
            Encoding::Gzip => "gzip",
            Encoding::Deflate => "deflate",
        }
    }

    fn corrupt(self, detail: impl ToString) -> WireError {
        WireError::Corrupt { encoding: self.as_str(), detail: detail.to_string() }
    }
}

/// Replaces `out` with the decompressed `body`, at most `limit_bytes` of it.
///
/// # Errors
/// When the body is corrupt, or declares or produces more than `limit_bytes`. What is in `out` is
/// then meaningless.
pub fn decompress(
    encoding: Encoding,
    body: &[u8],
    limit_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    match encoding {
        Encoding::Identity => {
            if body.len() > limit_bytes {
                return Err(too_large(limit_bytes));
            }
            out.clear();
            out.extend_from_slice(body);
            Ok(())
        }
        Encoding::Snappy => decompress_snappy(body, limit_bytes, out),
        Encoding::Zstd => decompress_zstd(body, limit_bytes, out),
        Encoding::Gzip => read_capped(encoding, MultiGzDecoder::new(body), limit_bytes, out),
        Encoding::Deflate if has_zlib_header(body) => {
            read_capped(encoding, ZlibDecoder::new(body), limit_bytes, out)
        }
        Encoding::Deflate => read_capped(encoding, DeflateDecoder::new(body), limit_bytes, out),
    }
}

/// Replaces `out` with the compressed `body`.
///
/// # Errors
/// When the compressor fails, which only a body of more than 4 GiB (snappy) brings about.
pub fn compress(encoding: Encoding, body: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    out.clear();
    match encoding {
        Encoding::Identity => out.extend_from_slice(body),
        Encoding::Snappy => {
            out.resize(snap::raw::max_compress_len(body.len()), 0);
            let written =
                snap::raw::Encoder::new().compress(body, out).map_err(|error| encoding.corrupt(error))?;
            out.truncate(written);
        }
        Encoding::Zstd => {
            out.reserve(zstd_safe::compress_bound(body.len()));
            zstd_safe::compress(out, body, ZSTD_LEVEL)
                .map_err(|code| encoding.corrupt(zstd_safe::get_error_name(code)))?;
        }
        Encoding::Gzip => {
            let encoder = flate2::read::GzEncoder::new(body, flate2::Compression::fast());
            read_all(encoding, encoder, out)?;
        }
        Encoding::Deflate => {
            let encoder = flate2::read::ZlibEncoder::new(body, flate2::Compression::fast());
            read_all(encoding, encoder, out)?;
        }
    }
    Ok(())
}

fn too_large(limit: usize) -> WireError {
    WireError::TooLarge { what: "decompressed body", limit }
}

fn decompress_snappy(body: &[u8], limit_bytes: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    let declared = snap::raw::decompress_len(body).map_err(|error| Encoding::Snappy.corrupt(error))?;
    if declared > limit_bytes {
        return Err(too_large(limit_bytes));
    }
    if declared > body.len().saturating_mul(SNAPPY_RATIO_MAX) {
        return Err(Encoding::Snappy.corrupt("declares more than its bytes can hold"));
    }
    // Bytes kept from the last request need no zeroing: all of them are overwritten.
    out.resize(declared, 0);
    let written =
        snap::raw::Decoder::new().decompress(body, out).map_err(|error| Encoding::Snappy.corrupt(error))?;
    out.truncate(written);
    Ok(())
}

thread_local! {
    /// A context takes 100 KB and some time to set up; each thread keeps one.
    static ZSTD_CONTEXT: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
}

fn decompress_zstd(body: &[u8], limit_bytes: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    ZSTD_CONTEXT.with_borrow_mut(|slot| {
        let context = slot.get_or_insert_with(DCtx::create);
        let zstd_error = |code| Encoding::Zstd.corrupt(zstd_safe::get_error_name(code));
        context.reset(ResetDirective::SessionAndParameters).map_err(zstd_error)?;
        context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(zstd_error)?;
        decompress_zstd_frames(context, body, limit_bytes, out)
    })
}

fn decompress_zstd_frames(
    context: &mut DCtx<'_>,
    body: &[u8],
    limit_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    out.clear();
    let mut input = InBuffer::around(body);
    let mut at_frame_start = true;
    // Output may still wait inside the context when the input is used up.
    while !at_frame_start || input.pos() < body.len() {
        let wanted = match at_frame_start {
            true => declared_zstd_size(&body[input.pos()..])?,
            false => None,
        };
        reserve_within(out, wanted, limit_bytes)?;
        let (consumed, filled) = (input.pos(), out.len());
        let mut output = OutBuffer::around_pos(out, filled);
        let hint = context
            .decompress_stream(&mut output, &mut input)
            .map_err(|code| Encoding::Zstd.corrupt(zstd_safe::get_error_name(code)))?;
        if out.len() > limit_bytes {
            return Err(too_large(limit_bytes));
        }
        at_frame_start = hint == 0;
        let stuck = input.pos() == consumed && out.len() == filled;
        if stuck && !at_frame_start {
            return Err(Encoding::Zstd.corrupt("truncated frame"));
        }
    }
    Ok(())
}

/// The content size that the frame at the start of `body` declares.
fn declared_zstd_size(body: &[u8]) -> Result<Option<u64>, WireError> {
    zstd_safe::get_frame_content_size(body).map_err(|_| Encoding::Zstd.corrupt("bad frame header"))
}

/// Makes room for `wanted` further bytes, or for a growing chunk when the size is unknown; one
/// byte over the limit suffices to notice that it is passed.
fn reserve_within(out: &mut Vec<u8>, wanted: Option<u64>, limit_bytes: usize) -> Result<(), WireError> {
    let room = limit_bytes - out.len();
    match wanted {
        Some(wanted) if wanted > room as u64 => Err(too_large(limit_bytes)),
        Some(wanted) => {
            out.reserve(wanted as usize);
            Ok(())
        }
        None if out.len() < out.capacity() => Ok(()),
        None => {
            out.reserve_exact(out.len().max(FIRST_CHUNK_BYTES).min(room + 1));
            Ok(())
        }
    }
}

/// zlib's two header bytes: method 8, and a multiple of 31 together.
fn has_zlib_header(body: &[u8]) -> bool {
    matches!(body, [cmf, flg, ..] if cmf & 0x0f == 8 && u16::from_be_bytes([*cmf, *flg]).is_multiple_of(31))
}

fn read_capped(
    encoding: Encoding,
    decoder: impl Read,
    limit_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    out.clear();
    read_all(encoding, decoder.take(limit_bytes as u64 + 1), out)?;
    if out.len() > limit_bytes {
        return Err(too_large(limit_bytes));
    }
    Ok(())
}

fn read_all(encoding: Encoding, mut reader: impl Read, out: &mut Vec<u8>) -> Result<(), WireError> {
    reader.read_to_end(out).map_err(|error| encoding.corrupt(error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Encoding; 5] =
        [Encoding::Identity, Encoding::Snappy, Encoding::Zstd, Encoding::Gzip, Encoding::Deflate];

    fn round_trip(encoding: Encoding, body: &[u8], limit: usize) -> Result<Vec<u8>, WireError> {
        let (mut packed, mut out) = (Vec::new(), vec![1, 2, 3]);
        compress(encoding, body, &mut packed).unwrap();
        decompress(encoding, &packed, limit, &mut out).map(|()| out)
    }

    #[test]
    fn bombs_are_refused_and_the_limit_itself_is_not() {
        let zeros = vec![0u8; 1 << 20];
        for encoding in ALL {
            assert_eq!(round_trip(encoding, &zeros, zeros.len()).unwrap(), zeros, "{encoding:?}");
            let error = round_trip(encoding, &zeros, zeros.len() - 1).unwrap_err();
            assert!(error.is_too_large(), "{encoding:?}: {error}");
        }
    }

    #[test]
    fn several_frames_are_one_body_and_share_the_limit() {
        for encoding in [Encoding::Zstd, Encoding::Gzip] {
            let mut one = Vec::new();
            compress(encoding, &[5; 1000], &mut one).unwrap();
            let three = [one.clone(), one.clone(), one].concat();
            let mut out = Vec::new();
            decompress(encoding, &three, 3000, &mut out).unwrap();
            assert_eq!(out, [5; 3000]);
            assert!(decompress(encoding, &three, 2999, &mut out).unwrap_err().is_too_large());
        }
    }

    #[test]
    fn zstd_without_declared_size_is_held_to_the_limit_while_it_streams() {
        let packed = zstd::stream::encode_all(&vec![0u8; 50 << 20][..], 1).unwrap();
        assert_eq!(declared_zstd_size(&packed).unwrap(), None, "the test needs an undeclared size");
        let mut out = Vec::new();
        assert!(decompress(Encoding::Zstd, &packed, 1 << 20, &mut out).unwrap_err().is_too_large());
        assert!(out.capacity() <= 3 << 20, "{}", out.capacity());
        decompress(Encoding::Zstd, &packed, 50 << 20, &mut out).unwrap();
        assert_eq!(out.len(), 50 << 20);
    }

    #[test]
    fn declared_sizes_are_refused_before_anything_is_allocated() {
        let mut out = Vec::new();
        // Snappy: 4 GiB - 1 declared.
        let error = decompress(Encoding::Snappy, b"\xff\xff\xff\xff\x0f", 1 << 20, &mut out).unwrap_err();
        assert!(error.is_too_large());
        // Snappy: inside the limit, but more than 5 bytes can hold.
        let error = decompress(Encoding::Snappy, b"\x80\x80\x80\x01\x00", 64 << 20, &mut out).unwrap_err();
        assert!(matches!(error, WireError::Corrupt { .. }));
        // Zstd: single segment, 8-byte content size of 2^40.
        let frame = b"\x28\xb5\x2f\xfd\xe0\x00\x00\x00\x00\x00\x01\x00\x00";
        assert!(decompress(Encoding::Zstd, frame, 1 << 20, &mut out).unwrap_err().is_too_large());
        // Zstd: no content size, a window of 2^31.
        let frame = b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00";
        assert!(decompress(Encoding::Zstd, frame, 1 << 20, &mut out).is_err());
        assert!(out.capacity() <= 1 << 20);
    }

    #[test]
    fn truncated_bodies_are_corrupt() {
        let body: Vec<u8> = (0..10_000u32).flat_map(|i| (i * i).to_le_bytes()).collect();
        for encoding in [Encoding::Snappy, Encoding::Zstd, Encoding::Gzip, Encoding::Deflate] {
            let (mut packed, mut out) = (Vec::new(), Vec::new());
            compress(encoding, &body, &mut packed).unwrap();
            let cut = &packed[..packed.len() / 2];
            let error = decompress(encoding, cut, 1 << 20, &mut out).unwrap_err();
            assert!(matches!(error, WireError::Corrupt { .. }), "{encoding:?}: {error}");
        }
    }

    #[test]
    fn bare_deflate_is_understood() {
        let mut packed = Vec::new();
        let mut encoder = flate2::read::DeflateEncoder::new(&b"hello"[..], flate2::Compression::fast());
        encoder.read_to_end(&mut packed).unwrap();
        let mut out = Vec::new();
        decompress(Encoding::Deflate, &packed, 100, &mut out).unwrap();
        assert_eq!(out, b"hello");
    }

    #[test]
    fn header_values() {
        assert_eq!(Encoding::from_header(" GZIP "), Some(Encoding::Gzip));
        assert_eq!(Encoding::from_header(""), Some(Encoding::Identity));
        assert_eq!(Encoding::from_header("br"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_encoding_round_trips(body in proptest::collection::vec(any::<u8>(), 0..4000)) {
            for encoding in ALL {
                prop_assert_eq!(round_trip(encoding, &body, body.len()).unwrap(), body.clone());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            for encoding in ALL {
                let with_magic = [b"\x28\xb5\x2f\xfd".as_slice(), &body].concat();
                for body in [&body, &with_magic] {
                    if decompress(encoding, body, 1 << 16, &mut out).is_ok() {
                        prop_assert!(out.len() <= 1 << 16);
                    }
                }
            }
        }
    }
}
