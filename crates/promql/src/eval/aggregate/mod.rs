//! Aggregations: groups of series become one, or some series of each group are chosen.
//!
//! The group of a series is found once. Aggregations that compute keep one accumulator of columns
//! for each group and forget every series as soon as it has been added.

mod accumulate;
mod choose;
mod collect;

use super::{EvalResult, Evaluator, Grid, Sink, name::RESERVED};
use crate::ast::{Aggregate, AggregateOp, Expr};
use hashbrown::{Equivalent, HashMap};
use model::{Labels, LabelsRef};

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

    /// Appends the bytes of a group's labels.
    fn put_key(&self, labels: &Labels, out: &mut Vec<u8>) {
        if self.without {
            labels.as_ref().put_without(&self.labels, out);
        } else if !self.labels.is_empty() {
            labels.as_ref().put_kept(&self.labels, out);
        }
    }

    fn key(&self, labels: &Labels) -> Labels {
        let mut bytes = Vec::new();
        self.put_key(labels, &mut bytes);
        LabelsRef::from_trusted_bytes(&bytes).to_owned()
    }

    /// Whether groups may differ in the labels that describe a metric.
    fn tells_metrics_apart(&self) -> bool {
        !self.without && self.labels.iter().any(|name| RESERVED.contains(name))
    }
}

/// Groups in order of their first series, each with what is collected about it.
struct Groups<T> {
    places: HashMap<Labels, usize>,
    all: Vec<Group<T>>,
    /// Bytes of the labels that are looked for.
    key: Vec<u8>,
    /// The group that was found last: neighbours often have the same.
    last: usize,
}

/// Looks groups up by the bytes of their labels.
#[derive(Hash)]
struct Key<'a>(LabelsRef<'a>);

impl Equivalent<Labels> for Key<'_> {
    fn equivalent(&self, labels: &Labels) -> bool {
        self.0 == labels.as_ref()
    }
}

struct Group<T> {
    labels: Labels,
    drop_name: bool,
    state: T,
}

impl<T> Groups<T> {
    fn new() -> Self {
        Groups { places: HashMap::new(), all: Vec::new(), key: Vec::new(), last: 0 }
    }

    /// The group of a series; as [`Groups::entry`].
    fn group_of(
        &mut self,
        grouping: &Grouping<'_>,
        labels: &Labels,
        drop_name: bool,
        make: impl FnOnce() -> EvalResult<T>,
    ) -> EvalResult<&mut T> {
        self.key.clear();
        grouping.put_key(labels, &mut self.key);
        let key = Key(LabelsRef::from_trusted_bytes(&self.key));
        let is_last = self.all.get(self.last).is_some_and(|group| key.equivalent(&group.labels));
        if !is_last {
            match self.places.get(&key) {
                Some(place) => self.last = *place,
                None => {
                    let labels = key.0.to_owned();
                    self.entry(labels, drop_name, make)?;
                    self.last = self.all.len() - 1;
                }
            }
        }
        let group = &mut self.all[self.last];
        group.drop_name |= drop_name;
        Ok(&mut group.state)
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

    /// Hands the series of an expression on, whose names are still there where no group can tell: they
    /// have told before the function that dropped them.
    fn stream_to_groups(
        &self,
        expr: &Expr,
        grouping: &Grouping<'_>,
        grid: Grid,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        if grouping.tells_metrics_apart() {
            return self.stream(expr, grid, sink);
        }
        self.stream_with_names(expr, grid, sink)
    }

    /// Remarks that an aggregation of floats left a histogram out.
    fn note_ignored_histogram(&self, aggregate: &Aggregate) {
        let message = format!("ignored histogram in {} aggregation", aggregate.op.as_str());
        // Those that choose series point at themselves, those that compute at what they compute from.
        let place = if aggregate.op.selects_series() { aggregate.span } else { aggregate.expr.span() };
        self.info(place.start, &message);
    }
}
