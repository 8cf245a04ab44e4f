//! The tables that name series and streams: which ids have which labels, by day.

use crate::{
    client::Client,
    error::Error,
    row_binary::{put_labels, put_string},
    schema::Table,
    sql,
};
use hashbrown::HashMap;
use model::{Labels, LabelsRef, Matcher, TimeRange};
use std::collections::BTreeSet;
use store::QueryContext;

/// Ids remembered at once; forgetting one costs a read and a row.
const KNOWN_MAX: usize = 1_000_000;

/// The id of a series or stream: 128 bits, so that no two meet.
pub(crate) fn id_of(labels: LabelsRef<'_>) -> u128 {
    xxhash_rust::xxh3::xxh3_128(labels.as_bytes())
}

/// Days, closed at both ends.
#[derive(Clone, Copy)]
pub(crate) struct Days {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// One of the two tables.
pub(crate) struct SeriesTable {
    pub(crate) table: Table,
    /// Whether it has the metric's name in a column of its own.
    pub(crate) has_metric: bool,
}

/// What was found.
pub(crate) type Found = Vec<(u128, Labels)>;

impl SeriesTable {
    /// What any of `selectors` matches in those days, ascending by labels, without repeats.
    pub(crate) fn find(
        &self,
        client: &Client,
        selectors: &[Vec<Matcher>],
        days: Days,
        context: &QueryContext,
    ) -> Result<Found, Error> {
        let condition = sql::any_selector(selectors, self.has_metric);
        let mut answer = client.query(
            &format!(
                "SELECT id, labels FROM {} WHERE {} AND {} LIMIT 1 BY id",
                self.table.name,
                in_days(days),
                condition.sql
            ),
            Some(context),
        )?;
        let mut found = Vec::new();
        while answer.has_row()? {
            let (id, labels) = (answer.u128()?, answer.labels()?);
            if condition.is_exact || is_selected(selectors, &labels) {
                found.push((id, labels));
            }
        }
        found.sort_unstable_by(|a, b| a.1.cmp(&b.1));
        Ok(found)
    }

    /// Names of labels; asked of the server alone when it understands the selectors.
    pub(crate) fn names(
        &self,
        client: &Client,
        selectors: &[Vec<Matcher>],
        days: Days,
        context: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        let condition = sql::any_selector(selectors, self.has_metric);
        if condition.is_exact {
            return self.distinct(client, "arrayJoin(mapKeys(labels))", &condition.sql, days, context);
        }
        let found = self.find(client, selectors, days, context)?;
        let names: BTreeSet<&str> =
            found.iter().flat_map(|(_, labels)| labels.iter().map(|(name, _)| name)).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    /// Values of one label.
    pub(crate) fn values(
        &self,
        client: &Client,
        name: &str,
        selectors: &[Vec<Matcher>],
        days: Days,
        context: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        let condition = sql::any_selector(selectors, self.has_metric);
        if condition.is_exact {
            let value = match name {
                model::METRIC_NAME if self.has_metric => "toString(metric)".to_owned(),
                name => format!("labels[{}]", sql::string(name.as_bytes())),
            };
            return self.distinct(client, &value, &condition.sql, days, context);
        }
        let found = self.find(client, selectors, days, context)?;
        let values: BTreeSet<&str> = found.iter().filter_map(|(_, labels)| labels.get(name)).collect();
        Ok(values.into_iter().map(str::to_owned).collect())
    }

    fn distinct(
        &self,
        client: &Client,
        value: &str,
        condition: &str,
        days: Days,
        context: &QueryContext,
    ) -> Result<Vec<String>, Error> {
        let table = self.table.name;
        let days = in_days(days);
        let sql = format!(
            "SELECT DISTINCT toString({value}) AS value FROM {table} WHERE {days} AND {condition} ORDER BY value"
        );
        let mut answer = client.query(&sql, Some(context))?;
        let mut found = Vec::new();
        while answer.has_row()? {
            let value = answer.text_value()?;
            if !value.is_empty() {
                found.push(value);
            }
        }
        Ok(found)
    }

    /// Writes one row.
    pub(crate) fn put(&self, rows: &mut Vec<u8>, day: i64, id: u128, labels: LabelsRef<'_>) {
        rows.extend_from_slice(&day.to_le_bytes());
        if self.has_metric {
            put_string(rows, labels.get(model::METRIC_NAME).unwrap_or("").as_bytes());
        }
        rows.extend_from_slice(&id.to_le_bytes());
        put_labels(rows, labels);
    }
}

fn in_days(days: Days) -> String {
    sql::between("day", TimeRange::new(days.first, days.last))
}

fn is_selected(selectors: &[Vec<Matcher>], labels: &Labels) -> bool {
    selectors.is_empty()
        || selectors.iter().any(|matchers| matchers.iter().all(|m| m.matches(labels.value(m.name()))))
}

/// What this process knows about an id, so that a steady sender costs no reads and no rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Nothing newer is stored, unless another aggregator has written it since.
    pub(crate) newest: i64,
    /// Days that have a row; two, because a new day begins while the old one still ends.
    pub(crate) days: [i64; 2],
}

impl Known {
    pub(crate) fn new(newest: i64) -> Self {
        Known { newest, days: [i64::MIN; 2] }
    }

    /// Notes a day; returns whether it was not known.
    pub(crate) fn add_day(&mut self, day: i64) -> bool {
        if self.days.contains(&day) {
            return false;
        }
        self.days = [day, self.days[0]];
        true
    }
}

/// Bounded: two generations, of which the older is forgotten when the younger is full.
#[derive(Default)]
pub(crate) struct KnownIds {
    young: HashMap<u128, Known>,
    old: HashMap<u128, Known>,
}

impl KnownIds {
    pub(crate) fn get(&self, id: u128) -> Option<Known> {
        self.young.get(&id).or_else(|| self.old.get(&id)).copied()
    }

    /// After a write of which nobody knows how far it came.
    pub(crate) fn forget(&mut self, id: u128) {
        self.young.remove(&id);
        self.old.remove(&id);
    }

    pub(crate) fn set(&mut self, id: u128, known: Known) {
        if self.young.len() >= KNOWN_MAX / 2 && !self.young.contains_key(&id) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_days_are_known_at_once() {
        let mut known = Known::new(0);
        assert!(known.add_day(1) && !known.add_day(1));
        assert!(known.add_day(2) && !known.add_day(1) && !known.add_day(2));
        assert!(known.add_day(3) && known.add_day(1));
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_the_recent() {
        let mut known = KnownIds::default();
        for id in 0..KNOWN_MAX as u128 * 2 {
            known.set(id, Known::new(id as i64));
        }
        assert!(known.young.len() + known.old.len() <= KNOWN_MAX);
        assert!(known.get(0).is_none());
        assert_eq!(known.get(KNOWN_MAX as u128 * 2 - 1).map(|k| k.newest), Some(KNOWN_MAX as i64 * 2 - 1));
    }
}
