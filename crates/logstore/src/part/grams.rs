//! Tells quickly that a list of long ids does not have a text: which eight bytes follow each other
//! anywhere in it, as a bitmap of hashes. A search of the lists of all chunks would cost more than
//! everything else that a needle costs.

/// Bytes that are hashed together; shorter texts are not told.
const GRAM_BYTES: usize = 8;
/// Bits for each byte of the list: one in as many of the grams that are not there looks as if it were.
const BITS_PER_BYTE: u64 = 8;

/// See the module.
pub(crate) struct Grams(Vec<u64>);

impl Grams {
    pub(crate) fn of(list: &[u8]) -> Grams {
        let words = (list.len() as u64 * BITS_PER_BYTE).div_ceil(64);
        let mut grams = Grams(vec![0; words as usize]);
        for gram in list.windows(GRAM_BYTES) {
            let bit = grams.bit(gram);
            grams.0[(bit / 64) as usize] |= 1 << (bit % 64);
        }
        grams
    }

    /// Whether the list may have the text.
    pub(crate) fn may_have(&self, text: &[u8]) -> bool {
        let has = |gram: &[u8]| {
            let bit = self.bit(gram);
            self.0.get((bit / 64) as usize).is_some_and(|word| (word >> (bit % 64)) & 1 == 1)
        };
        text.windows(GRAM_BYTES).all(has)
    }

    /// Bytes it occupies.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len() * size_of::<u64>()
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
    fn what_the_list_has_is_never_denied() {
        let list: Vec<u8> = (0..200u64)
            .flat_map(|n| format!("{:040x}\n", u128::from(n) * 0x9e37_79b9).into_bytes())
            .collect();
        let grams = Grams::of(&list);
        for length in [0, 1, 7, 8, 9, 32, 41] {
            for start in 0..list.len() - length {
                assert!(grams.may_have(&list[start..start + length]));
            }
        }
        let denied = |n: &u64| !grams.may_have(format!("{:016x}", n.wrapping_mul(0x517c_c1b7)).as_bytes());
        assert!((1000..2000).filter(denied).count() > 900);
        assert!(Grams::of(b"").may_have(b"short") && !Grams::of(b"").may_have(b"12345678"));
    }
}
