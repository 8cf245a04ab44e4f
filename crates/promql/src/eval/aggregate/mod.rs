//! Aggregations: groups of series become one, or some series of each group are chosen.
//!
//! The group of a series is found once. Aggregations that compute keep one accumulator of columns
//! for each group and forget every series as soon as it has been added.

mod accumulate;
mod choose;
mod collect;

use super::{EvalResult, Evaluator, Grid, Sink, name::RESERVED};
use crate::ast::{Aggregate, AggregateOp};
use hashbrown::HashMap;
use model::Labels;

/// Finds the group of a series.
struct Grouping<'a> {
    without: bool,
    labels: Vec<&'a str>,
}

impl<'a> Grouping<'a> {
    fn new(aggregate: &'a Aggregate) -> Self {
        let mut labels: Vec<&str> = aggregate.grouping.iter().map(String::as_str).collect();
        if aggregate.without {
            labels.extend(RESERVED);
        }
        Grouping { without: aggregate.without, labels }
    }

    fn key(&self, labels: &Labels) -> Labels {
        if self.without {
            labels.without(&self.labels)
        } else if self.labels.is_empty() {
            Labels::empty()
        } else {
            labels.keep(&self.labels)
        }
    }
}

/// Groups in order of their first series, each with what is collected about it.
struct Groups<T> {
    places: HashMap<Labels, usize>,
    all: Vec<Group<T>>,
}

struct Group<T> {
    labels: Labels,
    drop_name: bool,
    state: T,
}

impl<T> Groups<T> {
    fn new() -> Self {
        Groups { places: HashMap::new(), all: Vec::new() }
    }

    /// The group with these labels, made when it is new. A name goes when any series drops it.
    fn entry(
        &mut self,
        labels: Labels,
        drop_name: bool,
        make: impl FnOnce() -> EvalResult<T>,
    ) -> EvalResult<&mut T> {
        let place = match self.places.get(&labels) {
            Some(place) => *place,
            None => {
                self.all.push(Group { labels: labels.clone(), drop_name, state: make()? });
                self.places.insert(labels, self.all.len() - 1);
                self.all.len() - 1
            }
        };
        let group = &mut self.all[place];
        group.drop_name |= drop_name;
        Ok(&mut group.state)
    }
}

impl<'q> Evaluator<'q> {
    pub(super) fn aggregate(&self, aggregate: &Aggregate, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        match aggregate.op {
            AggregateOp::TopK | AggregateOp::BottomK => self.rank(aggregate, grid, sink),
            AggregateOp::LimitK => self.limit(aggregate, grid, sink),
            AggregateOp::LimitRatio => self.limit_ratio(aggregate, grid, sink),
            AggregateOp::CountValues => self.count_values(aggregate, grid, sink),
            AggregateOp::Quantile => self.group_quantile(aggregate, grid, sink),
            _ => self.accumulate(aggregate, grid, sink),
        }
    }

    /// Remarks that an aggregation of floats left a histogram out.
    fn note_ignored_histogram(&self, aggregate: &Aggregate) {
        let message = format!("ignored histogram in {} aggregation", aggregate.op.as_str());
        // Those that choose series point at themselves, those that compute at what they compute from.
        let place = if aggregate.op.selects_series() { aggregate.span } else { aggregate.expr.span() };
        self.info(place.start, &message);
    }
}
