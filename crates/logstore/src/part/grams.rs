//! Tells quickly that lists of long ids do not have a text: which eight bytes follow each other
//! anywhere in them, as a bitmap of hashes. A search of the lists of all chunks would cost more than
//! everything else that a needle costs.

/// Bytes that are hashed together; shorter texts are not told.
const GRAM_BYTES: usize = 8;
/// Bits for each byte of the lists as they are stored, which is about as much as they have to tell:
/// one in about five of the grams that are not there looks as if it were, and a long id has dozens.
const BITS_PER_BYTE: u64 = 16;

/// See the module.
pub(crate) struct Grams(Vec<u64>);

impl Grams {
    /// Of lists that are yet to be added, of so many bytes together as they are stored.
    pub(crate) fn for_bytes(lists: usize) -> Grams {
        Grams(vec![0; Self::bytes_for(lists) / size_of::<u64>()])
    }

    /// Bytes that it takes for lists of so many bytes together.
    pub(crate) fn bytes_for(lists: usize) -> usize {
        (lists as u64 * BITS_PER_BYTE).div_ceil(64) as usize * size_of::<u64>()
    }

    pub(crate) fn add(&mut self, list: &[u8]) {
        for gram in list.windows(GRAM_BYTES) {
            let bit = self.bit(gram);
            self.0[(bit / 64) as usize] |= 1 << (bit % 64);
        }
    }

    /// Whether the lists may have the text.
    pub(crate) fn may_have(&self, text: &[u8]) -> bool {
        let has = |gram: &[u8]| {
            let bit = self.bit(gram);
            self.0.get((bit / 64) as usize).is_some_and(|word| (word >> (bit % 64)) & 1 == 1)
        };
        text.windows(GRAM_BYTES).all(has)
    }

    fn bit(&self, gram: &[u8]) -> u64 {
        let gram = gram.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let hash = gram.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = (hash ^ (hash >> 32)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = self.0.len() as u128 * 64;
        ((u128::from(hash) * bits) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_lists_have_is_never_denied() {
        let list: Vec<u8> = (0..200u64)
            .flat_map(|n| format!("{:040x}\n", u128::from(n) * 0x9e37_79b9).into_bytes())
            .collect();
        let (first, second) = list.split_at(list.len() / 2);
        let mut grams = Grams::for_bytes(list.len());
        grams.add(first);
        grams.add(second);
        for length in [0, 1, 7, 8, 9, 32, 41] {
            for list in [first, second] {
                for start in 0..list.len() - length {
                    assert!(grams.may_have(&list[start..start + length]));
                }
            }
        }
        let denied = |n: &u64| !grams.may_have(format!("{:016x}", n.wrapping_mul(0x517c_c1b7)).as_bytes());
        assert!((1000..2000).filter(denied).count() > 900);
        let empty = Grams::for_bytes(0);
        assert!(empty.may_have(b"short") && !empty.may_have(b"12345678"));
    }
}
