//! The size of a memory page, in which the kernel counts socket memory and resident memory.

/// `AT_PAGESZ` of the auxiliary vector (getauxval(3)).
const PAGE_SIZE_KEY: usize = 6;
/// What all but a few arm64 kernels use.
const PAGE_BYTES_USUAL: f64 = 4096.0;

/// From the vector that the kernel gives to every process at its start.
pub(super) fn page_bytes() -> f64 {
    let vector = std::fs::read("/proc/self/auxv").unwrap_or_default();
    find(&vector).unwrap_or(PAGE_BYTES_USUAL)
}

fn find(vector: &[u8]) -> Option<f64> {
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| bytes.try_into().map(usize::from_ne_bytes).ok();
    let mut pairs = vector.chunks_exact(2 * WORD);
    let pair = pairs.find(|pair| word(&pair[..WORD]) == Some(PAGE_SIZE_KEY))?;
    Some(word(&pair[WORD..])? as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_size_is_a_power_of_two() {
        let bytes = page_bytes() as u64;
        assert!(bytes >= 4096 && bytes.is_power_of_two(), "{bytes}");
        assert_eq!(find(&[0; 40]), None);
    }
}
