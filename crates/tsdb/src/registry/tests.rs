//! The registry against plain label sets.

use super::*;
use crate::part::OrderKey;
use model::{Labels, MatchOp};
use proptest::prelude::*;

fn label_sets() -> impl Strategy<Value = Vec<Labels>> {
    let name = prop::sample::select(vec!["__name__", "a", "b", "job", "le"]);
    let value = prop_oneof!["[ab]{1,3}", "[a-c]{120,130}", "é|ü"];
    let labels = prop::collection::vec((name, value), 1..4).prop_map(Labels::from_pairs);
    prop::collection::hash_set(labels, 1..60).prop_map(|sets| sets.into_iter().collect())
}

fn registry_of(sets: &[Labels]) -> Registry {
    let registry = Registry::default();
    for labels in sets {
        registry.write().add(labels.as_ref());
    }
    registry
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn series_are_kept_found_and_ordered(sets in label_sets()) {
        let registry = registry_of(&sets);
        let state = registry.read();
        for (series, labels) in (0..).zip(&sets) {
            let mut bytes = Vec::new();
            state.put_labels(series, &mut bytes);
            prop_assert_eq!(bytes.as_slice(), labels.as_bytes());
            prop_assert_eq!(state.find(labels.as_ref()), Some(series));
            prop_assert!(state.is_labels(series, labels.as_ref()));
        }
        prop_assert_eq!(state.find(Labels::from_pairs([("a", "none")]).as_ref()), None);
        let mut expected: Vec<u32> = (0..sets.len() as u32).collect();
        expected.sort_by_key(|&series| OrderKey::new(sets[series as usize].as_ref()));
        let mut by_labels: Vec<u32> = (0..sets.len() as u32).collect();
        state.sort_by_labels(&mut by_labels, &QueryContext::default()).unwrap();
        let sorted = by_labels.iter().map(|&series| &sets[series as usize]);
        prop_assert!(sorted.is_sorted());
        drop(state);
        prop_assert_eq!(registry.in_order(), expected);
    }

    #[test]
    fn matchers_find_what_a_scan_finds(sets in label_sets(), wanted in "[ab]{1,2}") {
        let registry = registry_of(&sets);
        let state = registry.read();
        let of = |name: &str, op, value: &str| Matcher::new(name, op, value).unwrap();
        for matchers in [
            vec![of("a", MatchOp::Equal, &wanted)],
            vec![of("a", MatchOp::Equal, &wanted), of("b", MatchOp::NotEqual, "a")],
            vec![of("job", MatchOp::Regex, "a.*"), of("a", MatchOp::NotRegex, ".*b")],
            vec![of("le", MatchOp::Equal, "")],
            vec![of("none", MatchOp::Regex, ".+")],
            vec![],
        ] {
            let is_match = |labels: &Labels| matchers.iter().all(|m| m.matches(labels.value(m.name())));
            let expected: Vec<u32> =
                (0..).zip(&sets).filter(|(_, labels)| is_match(labels)).map(|(series, _)| series).collect();
            prop_assert_eq!(state.matching_any(&[matchers], &QueryContext::default()), Ok(expected));
        }
    }
}
