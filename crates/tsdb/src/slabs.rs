//! Long lists in slabs: they grow without moving what they hold and without room for twice of it,
//! and what they held goes back to the system in large pieces.

/// Elements of a slab.
const SLAB: usize = 2048;

/// A list that grows at its end.
pub(crate) struct Slabs<T> {
    slabs: Vec<Vec<T>>,
    length: usize,
}

impl<T> Default for Slabs<T> {
    fn default() -> Self {
        Slabs { slabs: Vec::new(), length: 0 }
    }
}

impl<T> Slabs<T> {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn push(&mut self, element: T) {
        if self.length.is_multiple_of(SLAB) {
            self.slabs.push(Vec::with_capacity(SLAB));
        }
        if let Some(slab) = self.slabs.last_mut() {
            slab.push(element);
            self.length += 1;
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.slabs.get(index / SLAB)?.get(index % SLAB)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slabs.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slabs.iter_mut().flatten()
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        if length >= self.length {
            return;
        }
        self.slabs.truncate(length.div_ceil(SLAB));
        if let Some(slab) = self.slabs.last_mut()
            && !length.is_multiple_of(SLAB)
        {
            slab.truncate(length % SLAB);
        }
        self.length = length;
    }
}

impl<T> std::ops::Index<u32> for Slabs<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: u32) -> &T {
        &self.slabs[index as usize / SLAB][index as usize % SLAB]
    }
}

impl<T> std::ops::IndexMut<u32> for Slabs<T> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.slabs[index as usize / SLAB][index as usize % SLAB]
    }
}

/// Slices side by side; each is told by the number that [`Slices::push`] gave it.
pub(crate) struct Slices<T> {
    chunks: Vec<Vec<T>>,
}

/// A number is a chunk's in its high bits and a place in the chunk in these low bits.
const PLACE_BITS: u32 = 16;
/// Numbers end here, with room for what one batch may add.
const CHUNKS_MAX: usize = 1 << (31 - PLACE_BITS);

impl<T> Default for Slices<T> {
    fn default() -> Self {
        Slices { chunks: Vec::new() }
    }
}

impl<T: Copy> Slices<T> {
    /// Whether there are numbers for another batch.
    pub(crate) fn has_room(&self) -> bool {
        self.chunks.len() < CHUNKS_MAX
    }

    pub(crate) fn push(&mut self, slice: &[T]) -> u32 {
        let has_room = |chunk: &Vec<T>| chunk.capacity() - chunk.len() >= slice.len();
        if !self.chunks.last().is_some_and(has_room) {
            self.chunks.push(Vec::with_capacity(slice.len().max(1 << PLACE_BITS)));
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let place = chunk.len();
        chunk.extend_from_slice(slice);
        (number << PLACE_BITS | place) as u32
    }

    /// From the start of the slice with this number to the end of its chunk.
    #[inline]
    pub(crate) fn from(&self, number: u32) -> &[T] {
        &self.chunks[(number >> PLACE_BITS) as usize][(number & ((1 << PLACE_BITS) - 1)) as usize..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_what_they_hold_over_slabs() {
        let mut list = Slabs::default();
        (0..3 * SLAB as u32 + 5).for_each(|i| list.push(i));
        assert_eq!((list.len(), list[2 * SLAB as u32 + 1]), (3 * SLAB + 5, 2 * SLAB as u32 + 1));
        for length in [3 * SLAB, 2 * SLAB + 7, SLAB, 1, 0] {
            list.truncate(length);
            assert_eq!((list.len(), list.get(length), list.iter().count()), (length, None, length));
            list.push(9);
            assert_eq!(list[length as u32], 9);
            list.truncate(length);
        }
    }

    #[test]
    fn slices_are_found_whatever_their_length() {
        let mut slices = Slices::default();
        let lengths = [3, 0, 60_000, 6_000, 200_000, 1, 65_536, 5];
        let numbers: Vec<u32> = lengths.iter().map(|&n| slices.push(&vec![n as u32; n])).collect();
        for (number, length) in numbers.into_iter().zip(lengths) {
            assert!(slices.from(number)[..length].iter().all(|&element| element as usize == length));
        }
    }
}
