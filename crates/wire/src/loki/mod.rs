//! Loki's push API: protobuf (`logproto.PushRequest`, usually in snappy) and JSON.

mod encode;
mod json;
mod labels;
pub(crate) mod limits;
mod protobuf;
#[cfg(test)]
mod tests;

pub use encode::encode_push;
pub use json::decode_push_json;
pub use protobuf::decode_push;
