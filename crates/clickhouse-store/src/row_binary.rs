//! ClickHouse's `RowBinary`: numbers in little endian, strings behind their LEB128 length, a map as
//! its LEB128 count and then name, value, name, value.
//!
//! Inside a map, names and values are written exactly as [`model::Labels`] keeps them, so label
//! sets are copied, not converted.

use model::LabelsRef;

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_string(out: &mut Vec<u8>, value: &[u8]) {
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

pub(crate) fn put_labels(out: &mut Vec<u8>, labels: LabelsRef<'_>) {
    put_varint(out, labels.iter().count() as u64);
    out.extend_from_slice(labels.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Labels;

    #[test]
    fn values_are_laid_out_as_documented() {
        let mut out = Vec::new();
        put_string(&mut out, &[b'x'; 200]);
        assert_eq!(out[..3], [0xc8, 0x01, b'x']);
        out.clear();
        put_labels(&mut out, Labels::from_pairs([("b", "22"), ("a", "1")]).as_ref());
        assert_eq!(out, b"\x02\x01a\x011\x01b\x0222");
    }
}
