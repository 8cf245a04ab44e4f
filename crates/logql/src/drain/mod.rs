//! Patterns mined from lines, in the manner of Drain (He et al., 2017): lines of equally many
//! pieces that agree in most of them belong together, and where they differ the pattern has `<_>`.
//!
//! Invariant: every line counted under a pattern matches it as a `|>` filter. Bound:
//! [`CLUSTERS_MAX`] patterns; when there are more, the rarer half is given up and counted as such.

mod tokens;

use hashbrown::HashMap;
use std::{cmp::Reverse, collections::BTreeMap};
use tokens::{Token, tokenize};

/// Most patterns held.
const CLUSTERS_MAX: usize = 1000;
/// Most patterns that a line is compared with.
const COMPARED_MAX: usize = 64;
/// The share of its pieces in which a line must agree with a pattern.
const SIMILARITY_MIN: f64 = 0.6;
/// The variable part of a pattern.
const VARIABLE: &str = "<_>";

/// A pattern and its lines.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) level: String,
    template: Vec<Option<Box<str>>>,
    pub(crate) lines: u64,
    /// Lines by bucket.
    pub(crate) buckets: BTreeMap<i64, u64>,
}

/// Where lines that may belong together are looked for: the level, the number of pieces, and the
/// first one.
type Shape = (String, usize, String);

/// See the module.
#[derive(Default)]
pub(crate) struct Drain {
    clusters: Vec<Cluster>,
    by_shape: HashMap<Shape, Vec<usize>>,
    /// Lines whose pattern was given up.
    pub(crate) lines_lost: u64,
}

impl Drain {
    /// Counts a line in a bucket.
    pub(crate) fn line(&mut self, line: &str, level: &str, bucket: i64, weight: u64) {
        let mut pieces = Vec::new();
        tokenize(line, &mut pieces);
        if pieces.is_empty() {
            return;
        }
        let index = self.cluster_of(&pieces, level);
        let cluster = &mut self.clusters[index];
        cluster.lines += weight;
        *cluster.buckets.entry(bucket).or_default() += weight;
    }

    /// Takes over what another has found.
    pub(crate) fn merge(&mut self, other: Drain) {
        self.lines_lost += other.lines_lost;
        for cluster in other.clusters {
            let pieces: Vec<Token<'_>> = cluster.template.iter().map(Option::as_deref).collect();
            let index = self.cluster_of(&pieces, &cluster.level);
            let into = &mut self.clusters[index];
            into.lines += cluster.lines;
            for (bucket, lines) in cluster.buckets {
                *into.buckets.entry(bucket).or_default() += lines;
            }
        }
    }

    /// The patterns, the most frequent first.
    pub(crate) fn finish(self) -> Vec<(String, Cluster)> {
        let mut by_text: BTreeMap<(String, String), Cluster> = BTreeMap::new();
        for cluster in self.clusters {
            let key = (print(&cluster.template), cluster.level.clone());
            match by_text.get_mut(&key) {
                None => {
                    by_text.insert(key, cluster);
                }
                Some(into) => {
                    into.lines += cluster.lines;
                    for (bucket, lines) in cluster.buckets {
                        *into.buckets.entry(bucket).or_default() += lines;
                    }
                }
            }
        }
        let mut found: Vec<_> = by_text.into_iter().map(|((text, _), cluster)| (text, cluster)).collect();
        found.sort_by_key(|(_, cluster)| Reverse(cluster.lines));
        found
    }

    /// The pattern that the pieces belong to, widened or made anew.
    fn cluster_of(&mut self, pieces: &[Token<'_>], level: &str) -> usize {
        let first = pieces.first().copied().flatten().unwrap_or(VARIABLE);
        let shape = (level.to_owned(), pieces.len(), first.to_owned());
        if let Some(index) = self.most_similar(&shape, pieces) {
            widen(&mut self.clusters[index].template, pieces);
            return index;
        }
        if self.clusters.len() >= CLUSTERS_MAX {
            self.give_up_half();
        }
        let template = pieces.iter().map(|piece| piece.map(Box::from)).collect();
        self.clusters.push(Cluster { level: level.to_owned(), template, lines: 0, buckets: BTreeMap::new() });
        let index = self.clusters.len() - 1;
        self.by_shape.entry(shape).or_default().push(index);
        index
    }

    fn most_similar(&self, shape: &Shape, pieces: &[Token<'_>]) -> Option<usize> {
        let candidates = self.by_shape.get(shape)?;
        let full = candidates.len() >= COMPARED_MAX;
        // The newest patterns are likelier to go on.
        let compared = candidates.iter().rev().take(COMPARED_MAX);
        let similar = compared.map(|index| (agreement(&self.clusters[*index].template, pieces), *index));
        let (agreement, index) = similar.max_by_key(|(agreement, _)| *agreement)?;
        let enough = agreement as f64 >= SIMILARITY_MIN * pieces.len() as f64;
        // With too many patterns of a shape it takes less to belong to one.
        (enough || full).then_some(index)
    }

    fn give_up_half(&mut self) {
        let mut clusters = std::mem::take(&mut self.clusters);
        clusters.sort_by_key(|cluster| Reverse(cluster.lines));
        let rarer = clusters.split_off(CLUSTERS_MAX / 2);
        self.lines_lost += rarer.iter().map(|cluster| cluster.lines).sum::<u64>();
        self.by_shape.clear();
        for (index, cluster) in clusters.iter().enumerate() {
            let first = cluster.template.first().and_then(Option::as_deref).unwrap_or(VARIABLE);
            let shape = (cluster.level.clone(), cluster.template.len(), first.to_owned());
            self.by_shape.entry(shape).or_default().push(index);
        }
        self.clusters = clusters;
    }
}

/// In how many pieces a line agrees with a pattern.
fn agreement(template: &[Option<Box<str>>], pieces: &[Token<'_>]) -> usize {
    template.iter().zip(pieces).filter(|(known, piece)| known.as_deref() == **piece).count()
}

fn widen(template: &mut [Option<Box<str>>], pieces: &[Token<'_>]) {
    for (known, piece) in template.iter_mut().zip(pieces) {
        if known.as_deref() != *piece {
            *known = None;
        }
    }
}

/// The pattern as a `|>` filter reads it: variables side by side are one.
fn print(template: &[Option<Box<str>>]) -> String {
    let mut out = String::new();
    let mut after_variable = false;
    for piece in template {
        match piece {
            Some(text) => out.push_str(text),
            None if after_variable => {}
            None => out.push_str(VARIABLE),
        }
        after_variable = piece.is_none();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::pattern_matches;
    use proptest::prelude::*;

    fn mine(lines: &[&str]) -> Vec<(String, u64)> {
        let mut drain = Drain::default();
        for line in lines {
            drain.line(line, "info", 0, 1);
        }
        drain.finish().into_iter().map(|(text, cluster)| (text, cluster.lines)).collect()
    }

    #[test]
    fn lines_that_differ_in_few_pieces_share_a_pattern() {
        let found = mine(&[
            "login failed for user ana from 10.0.0.1",
            "login failed for user bob from 10.0.0.2",
            "login failed for user root from 192.168.7.9",
            "disk /dev/sda is 91% full",
            "disk /dev/sdb is 97% full",
            "started",
        ]);
        assert_eq!(
            found,
            [
                ("login failed for user <_> from <_>".to_owned(), 3),
                ("disk <_> is <_> full".to_owned(), 2),
                ("started".to_owned(), 1)
            ]
        );
    }

    #[test]
    fn structured_lines_keep_their_keys() {
        let found =
            mine(&[r#"{"level":"info","took":12,"path":"/a"}"#, r#"{"level":"info","took":7,"path":"/b"}"#]);
        assert_eq!(found, [(r#"{"level":"info","took":<_>,"path":"<_>"}"#.to_owned(), 2)]);
    }

    #[test]
    fn patterns_are_bounded_and_what_is_lost_is_counted() {
        let mut drain = Drain::default();
        for n in 0..5000u32 {
            // No two of these share a shape.
            let word: String = n.to_string().bytes().map(|digit| char::from(b'a' + digit - b'0')).collect();
            drain.line(&word, "", 0, 1);
        }
        let lost = drain.lines_lost;
        let found = drain.finish();
        assert!(found.len() <= CLUSTERS_MAX);
        assert_eq!(lost + found.iter().map(|(_, cluster)| cluster.lines).sum::<u64>(), 5000);
    }

    #[test]
    fn merged_drains_count_what_each_has_counted() {
        let (mut a, mut b) = (Drain::default(), Drain::default());
        a.line("job one done in 5 ms", "info", 0, 2);
        b.line("job two done in 9 ms", "info", 60, 3);
        a.merge(b);
        let found = a.finish();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "job <_> done in <_> ms");
        assert_eq!(found[0].1.buckets, BTreeMap::from([(0, 2), (60, 3)]));
    }

    proptest! {
        #[test]
        fn every_line_matches_its_pattern(
            lines in proptest::collection::vec("[ab1 =<>\"_\\-]{1,24}", 1..40),
            hostile in proptest::collection::vec("\\PC{1,40}", 0..10),
        ) {
            let mut drain = Drain::default();
            let all: Vec<&String> = lines.iter().chain(&hostile).collect();
            for line in &all {
                drain.line(line, "", 0, 1);
            }
            let found = drain.finish();
            for line in all {
                let matches = found.iter().any(|(text, _)| pattern_matches(text, line).unwrap());
                prop_assert!(matches, "{line:?} matches none of {:?}", found.iter().map(|(text, _)| text).collect::<Vec<_>>());
            }
        }
    }
}
