//! Which series have a label value: one number, a short list, or a bitmap.

use crate::columns::reserve_one;
use roaring::RoaringBitmap;

/// Longer lists become bitmaps: two bytes a series or less, but a few hundred to begin with.
const LIST_MAX: usize = 64;

/// Ascending numbers of series; at least one.
pub(crate) enum Postings {
    One(u32),
    List(Vec<u32>),
    Bitmap(Box<RoaringBitmap>),
}

impl Postings {
    /// Adds a series after all before it. The same one again is left out.
    pub(crate) fn push(&mut self, series: u32) {
        match self {
            Postings::One(only) if *only == series => {}
            Postings::One(only) => *self = Postings::List(vec![*only, series]),
            Postings::List(list) if list.last() == Some(&series) => {}
            Postings::List(list) if list.len() < LIST_MAX => {
                reserve_one(list);
                list.push(series);
            }
            Postings::List(list) => {
                let mut bitmap: RoaringBitmap = list.iter().copied().collect();
                bitmap.insert(series);
                *self = Postings::Bitmap(Box::new(bitmap));
            }
            Postings::Bitmap(bitmap) => {
                bitmap.insert(series);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Postings::One(_) => 1,
            Postings::List(list) => list.len(),
            Postings::Bitmap(bitmap) => bitmap.len() as usize,
        }
    }

    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match self {
            Postings::One(only) => Box::new(std::iter::once(*only)),
            Postings::List(list) => Box::new(list.iter().copied()),
            Postings::Bitmap(bitmap) => Box::new(bitmap.iter()),
        }
    }

    /// As a bitmap.
    pub(crate) fn into_bitmap(self) -> RoaringBitmap {
        match self {
            Postings::Bitmap(bitmap) => *bitmap,
            list => list.iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_holds_what_was_pushed() {
        let mut postings = Postings::One(3);
        let mut expected = vec![3];
        for series in (3..2000).step_by(7) {
            postings.push(series);
            postings.push(series);
            expected.push(series);
            expected.dedup();
            assert_eq!(postings.len(), expected.len());
            assert!(postings.iter().eq(expected.iter().copied()));
        }
        assert!(postings.into_bitmap().iter().eq(expected));
    }
}
