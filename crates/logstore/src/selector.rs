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
        let mut judged = self.judged.borrow_mut();
        streams.map(|stream| *judged.entry(stream.number).or_insert_with(|| self.matches(stream))).collect()
    }

    fn matches(&self, stream: &Stream) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(stream.labels.value(matcher.name())))
    }
}
