//! Which streams a request's matchers select, each stream judged once per request.

use crate::stream::Stream;
use model::Matcher;
use std::{cell::RefCell, collections::HashMap};

pub(crate) struct Selector<'a> {
    matchers: &'a [Matcher],
    judged: RefCell<HashMap<u64, bool>>,
}

impl<'a> Selector<'a> {
    pub(crate) fn new(matchers: &'a [Matcher]) -> Self {
        Selector { matchers, judged: RefCell::default() }
    }

    /// For every one of `streams` whether it is selected.
    pub(crate) fn select<'s>(&self, streams: impl Iterator<Item = &'s Stream>) -> Vec<bool> {
        streams.map(|stream| self.selects(stream)).collect()
    }

    /// Whether the stream is selected.
    pub(crate) fn selects(&self, stream: &Stream) -> bool {
        *self.judged.borrow_mut().entry(stream.number).or_insert_with(|| self.matches(stream))
    }

    fn matches(&self, stream: &Stream) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(stream.labels.value(matcher.name())))
    }
}
