//! Series in order: that of parts, by metric name, then by canonical label bytes; or that of label
//! sets, pair by pair.
//!
//! No pair's bytes begin another pair's, since both fields carry their lengths. So comparing the
//! pairs one by one, each by its rank among all pairs, is comparing the bytes of the whole sets.

use super::RegistryState;
use crate::{query::CHECK_EVERY, sort::sort_checked};
use hashbrown::HashMap;
use model::METRIC_NAME;
use store::{QueryContext, StopReason};

/// What to sort by: ranks instead of text.
pub(super) struct OrderKeys {
    /// For each series the rank of its metric name (0 without one), then those of its pairs.
    ranks: Vec<u32>,
    /// Where the ranks of each series end.
    ends: Vec<u32>,
}

impl RegistryState {
    pub(super) fn order_keys(&self) -> OrderKeys {
        let mut by_bytes: Vec<u32> = (0..self.pairs.len() as u32).collect();
        by_bytes.sort_unstable_by_key(|&pair| self.pairs.bytes(pair));
        let rank_of_pair = ranks(&by_bytes, self.pairs.len());
        let (metric, metrics) = self.pairs.with_name(METRIC_NAME).unzip();
        let mut by_value = metrics.unwrap_or_default().to_vec();
        by_value.sort_unstable_by_key(|&pair| self.pairs.value(pair));
        let rank_of_metric = ranks(&by_value, self.pairs.len());
        let mut keys = OrderKeys { ranks: Vec::new(), ends: Vec::with_capacity(self.len()) };
        let labels: usize = (0..self.len() as u32).map(|series| self.set(series).len() + 1).sum();
        keys.ranks.reserve_exact(labels);
        for series in 0..self.len() as u32 {
            let set = self.set(series);
            let name = set.iter().copied().find(|&pair| Some(self.pairs.name(pair)) == metric);
            keys.ranks.push(name.map_or(0, |pair| rank_of_metric[pair as usize]));
            keys.ranks.extend(set.iter().map(|&pair| rank_of_pair[pair as usize]));
            keys.ends.push(keys.ranks.len() as u32);
        }
        keys
    }
}

impl RegistryState {
    /// Sorts series as label sets are.
    ///
    /// # Errors
    /// When the context stops the query.
    pub(crate) fn sort_by_labels(
        &self,
        series: &mut [u32],
        context: &QueryContext,
    ) -> Result<(), StopReason> {
        // From pair to rank, for those that occur.
        let mut ranks: HashMap<u32, u32> = HashMap::new();
        for some in series.chunks(CHECK_EVERY) {
            context.check()?;
            for &pair in some.iter().flat_map(|&one| self.set(one)) {
                ranks.entry(pair).or_default();
            }
        }
        let mut pairs: Vec<u32> = ranks.keys().copied().collect();
        let text = |&pair: &u32| (self.pairs.name_text(pair), self.pairs.value(pair));
        sort_checked(&mut pairs, context, |a, b| text(a).cmp(&text(b)))?;
        for (rank, pair) in (1..).zip(&pairs) {
            ranks.insert(*pair, rank);
        }
        // As many ranks as fit into one number, which most often are all; 0 stands for no more pairs.
        let width = u32::BITS - (pairs.len() as u32).leading_zeros();
        let fit = (u128::BITS / width.max(1)) as usize;
        let key = |&one: &u32| {
            let set = self.set(one);
            let own = set.iter().map(|pair| u128::from(ranks[pair])).chain(std::iter::repeat(0));
            (own.take(fit).fold(0, |key, rank| key << width | rank), one)
        };
        let mut keys: Vec<(u128, u32)> = Vec::with_capacity(series.len());
        for some in series.chunks(CHECK_EVERY) {
            context.check()?;
            keys.extend(some.iter().map(key));
        }
        let rest = |one: u32| self.set(one).iter().skip(fit).map(|pair| ranks[pair]);
        sort_checked(&mut keys, context, |a, b| a.0.cmp(&b.0).then_with(|| rest(a.1).cmp(rest(b.1))))?;
        series.iter_mut().zip(keys).for_each(|(slot, (_, one))| *slot = one);
        Ok(())
    }
}

/// For each pair its place in `sorted`, counted from 1; 0 for those that are not there.
fn ranks(sorted: &[u32], pairs: usize) -> Vec<u32> {
    let mut ranks = vec![0; pairs];
    for (rank, &pair) in (1..).zip(sorted) {
        ranks[pair as usize] = rank;
    }
    ranks
}

impl OrderKeys {
    fn key(&self, series: u32) -> &[u32] {
        let start = if series == 0 { 0 } else { self.ends[series as usize - 1] };
        &self.ranks[start as usize..self.ends[series as usize] as usize]
    }

    pub(super) fn sorted(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.ends.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| self.key(a).cmp(self.key(b)));
        order
    }
}
