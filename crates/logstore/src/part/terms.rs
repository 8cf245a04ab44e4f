//! A dictionary of the index in plain form, because a plain text is searched a hundred times faster
//! than a compressed dictionary.

use crate::{condition::Piece, tokens};
use memchr::memmem;
use std::{io, sync::OnceLock};
use tantivy::{InvertedIndexReader, postings::TermInfo};

/// Terms that one piece may match before it is taken for "any chunk".
pub(super) const TERMS_MAX: usize = 1024;

/// All terms of one field in plain form.
pub(crate) struct TermList {
    /// A newline, then every term followed by a newline.
    text: Vec<u8>,
    /// Where each term begins.
    starts: Vec<u32>,
    postings: Vec<Postings>,
    folded: OnceLock<(Vec<u8>, Vec<u32>)>,
}

#[derive(Clone, Copy)]
struct Postings {
    chunks: u32,
    bytes: u32,
    offset: u64,
}

impl TermList {
    pub(super) fn load(reader: &InvertedIndexReader) -> io::Result<(TermList, usize)> {
        let mut list =
            TermList { text: vec![b'\n'], starts: Vec::new(), postings: Vec::new(), folded: OnceLock::new() };
        let mut stream = reader.terms().stream()?;
        while stream.advance() {
            list.starts.push(list.text.len() as u32);
            list.text.extend_from_slice(stream.key());
            list.text.push(b'\n');
            let info = stream.value();
            list.postings.push(Postings {
                chunks: info.doc_freq,
                bytes: info.postings_range.len() as u32,
                offset: info.postings_range.start as u64,
            });
        }
        let bytes = list.text.len() * 2 + list.starts.len() * (8 + size_of::<Postings>());
        Ok((list, bytes))
    }

    pub(super) fn info(&self, term: usize) -> TermInfo {
        let postings = self.postings[term];
        let start = postings.offset as usize;
        TermInfo {
            doc_freq: postings.chunks,
            postings_range: start..start + postings.bytes as usize,
            positions_range: 0..0,
        }
    }

    /// The term that is this text: terms ascend.
    pub(super) fn find(&self, text: &[u8]) -> Option<usize> {
        let term = |place: usize| {
            let end = self.starts.get(place + 1).map_or(self.text.len(), |&next| next as usize) - 1;
            &self.text[self.starts[place] as usize..end]
        };
        let (mut low, mut high) = (0, self.starts.len());
        while low < high {
            let middle = (low + high) / 2;
            if term(middle) < text { low = middle + 1 } else { high = middle }
        }
        (low < self.starts.len() && term(low) == text).then_some(low)
    }

    /// Terms that contain the piece, at their begin or end where the piece says so; at most one
    /// more than [`TERMS_MAX`].
    pub(super) fn search(&self, piece: &Piece, fold: bool) -> Vec<usize> {
        let (text, starts) = if fold {
            let (text, starts) = self.folded.get_or_init(|| self.fold());
            (text, starts)
        } else {
            (&self.text, &self.starts)
        };
        let mut wanted = Vec::with_capacity(piece.text.len() + 2);
        if piece.left {
            wanted.push(b'\n');
        }
        wanted.extend_from_slice(&piece.text);
        if piece.right {
            wanted.push(b'\n');
        }
        let finder = memmem::Finder::new(&wanted);
        let mut terms = Vec::new();
        let mut at = 0;
        while let Some(hit) = finder.find(&text[at..])
            && terms.len() <= TERMS_MAX
        {
            let inside = (at + hit + usize::from(piece.left)) as u32;
            let term = starts.partition_point(|&start| start <= inside) - 1;
            terms.push(term);
            // On to the newline that ends this term.
            at = starts.get(term + 1).map_or(text.len(), |&next| next as usize) - 1;
        }
        terms
    }

    fn fold(&self) -> (Vec<u8>, Vec<u32>) {
        let mut text = Vec::with_capacity(self.text.len());
        tokens::fold(&self.text, &mut text);
        let newlines = memchr::memchr_iter(b'\n', &text).map(|newline| newline as u32 + 1);
        let starts = newlines.take(self.starts.len()).collect();
        (text, starts)
    }
}
