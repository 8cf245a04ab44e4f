//! Prometheus remote write, 1.0 (`prometheus.WriteRequest`) and 2.0
//! (`io.prometheus.write.v2.Request`, release candidate 4), both ways.
//!
//! Decoding walks the protobuf in place and allocates nothing for a series: labels go into one
//! reused buffer in the batch's own layout, and from there into the batch in one copy. Label sets
//! that are not sorted, or not plain, take the batch's checking path instead.
//!
//! Both versions skip broken series and report them; the caller answers 400 for 2.0, and for 1.0
//! as well since Prometheus' silent 204 would be a loss that nobody sees.

mod content_type;
mod counts;
mod decode_v1;
mod decode_v2;
mod encode;
mod histogram;
mod read;
mod silence;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

pub use content_type::{ContentTypeError, Version};
pub use decode_v1::decode_v1;
pub use decode_v2::decode_v2;
pub use encode::{encode_v1, encode_v2};
pub use read::{ReadQuery, decode_read, encode_read_result, encode_read_series};
pub use silence::{SILENCE_MAX, SILENT, Silence};
