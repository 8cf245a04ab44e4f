//! Merges parts into one: series by series, page by page, so that memory does not grow with them.

use super::{OrderKey, Part, PartError, index::PartIndex, listing::Recent, page::Page};
use crate::columns::append_run;
use model::{Labels, LabelsRef, Samples, TimeRange};
use std::{io, sync::Arc};

/// Takes series in order of [`OrderKey`].
pub(crate) trait SeriesSink {
    fn add(&mut self, labels: LabelsRef<'_>, samples: &Samples) -> io::Result<()>;
}

/// What a merge left behind because it could not be read.
pub(crate) type Skipped = Vec<PartError>;

/// Copies the samples of `parts` in the closed `range` into `sink`, without what deletions hide.
/// Pages that cannot be read are skipped and returned.
pub(crate) fn merge(
    parts: &[Part],
    range: TimeRange,
    sink: &mut impl SeriesSink,
) -> Result<Skipped, PartError> {
    let mut skipped = Skipped::new();
    let mut cursors = Vec::with_capacity(parts.len());
    for part in parts {
        let mut cursor = Cursor {
            part,
            index: part.index()?,
            page: None,
            number: 0,
            place: 0,
            labels: None,
            // Merges read every page once: they would only push others out of the cache.
            recent: Recent::in_passing(),
        };
        cursor.settle(&mut skipped)?;
        cursors.push(cursor);
    }
    let (mut all, mut run) = (Samples::default(), Samples::default());
    loop {
        let heads = cursors.iter().filter_map(|cursor| cursor.labels.as_ref());
        let Some(next) = heads.min_by_key(|labels| OrderKey::new(labels.as_ref())).cloned() else { break };
        all.clear();
        for cursor in cursors.iter_mut().filter(|cursor| cursor.labels.as_ref() == Some(&next)) {
            run.clear();
            match cursor.read(range, &mut run) {
                Ok(()) => append_run(&mut all, &mut run),
                Err(error) => note(error, &mut skipped)?,
            }
            cursor.advance(&mut skipped)?;
        }
        sink.add(next.as_ref(), &all)?;
    }
    Ok(skipped)
}

/// Keeps damage for the caller and passes on other failures.
fn note(error: PartError, skipped: &mut Skipped) -> Result<(), PartError> {
    match error {
        PartError::Damaged { .. } => {
            skipped.push(error);
            Ok(())
        }
        other => Err(other),
    }
}

/// A place in a part.
struct Cursor<'a> {
    part: &'a Part,
    index: Arc<PartIndex>,
    page: Option<Page>,
    number: usize,
    place: usize,
    /// Labels of the series at the place; `None` at the end.
    labels: Option<Labels>,
    recent: Recent,
}

impl Cursor<'_> {
    fn read(&mut self, range: TimeRange, into: &mut Samples) -> Result<(), PartError> {
        let Some(page) = &self.page else { return Ok(()) };
        self.part.read_placed(&self.index, (page, self.place), range, &mut self.recent, into)?;
        Ok(())
    }

    fn advance(&mut self, skipped: &mut Skipped) -> Result<(), PartError> {
        self.place += 1;
        self.settle(skipped)
    }

    /// Moves on to the next page when the place is behind the end of this one.
    fn settle(&mut self, skipped: &mut Skipped) -> Result<(), PartError> {
        self.labels = None;
        loop {
            if let Some(page) = &self.page {
                if self.place < page.len() {
                    self.labels = Some(page.labels(self.place).to_owned());
                    return Ok(());
                }
                self.page = None;
                self.number += 1;
            }
            self.place = 0;
            let Some(entry) = self.index.pages.get(self.number) else { return Ok(()) };
            match Page::read(&self.part.files.data, self.number, entry) {
                Ok(page) => self.page = Some(page),
                Err(error) => {
                    note(self.part.damage("page", self.number, error), skipped)?;
                    self.number += 1;
                }
            }
        }
    }
}
