//! Puts results in the order of their labels.

use model::Labels;

/// Sorts by labels: as [`Labels`] compare, with their text side by side in memory, because there may
/// be tens of thousands that each lie elsewhere.
pub(super) fn sort_by_labels<T>(items: &mut Vec<T>, labels: impl Fn(&T) -> &Labels) {
    let mut text = Vec::new();
    let mut ends = Vec::with_capacity(items.len());
    let mut has_separator = false;
    for item in items.iter() {
        for (name, value) in labels(item).iter() {
            has_separator |= name.contains('\0') || value.contains('\0');
            text.extend_from_slice(name.as_bytes());
            text.push(0);
            text.extend_from_slice(value.as_bytes());
            text.push(0);
        }
        ends.push(text.len());
    }
    if has_separator {
        return items.sort_by(|a, b| labels(a).cmp(labels(b)));
    }
    // Fields end in the least byte, so a field that another begins with comes before it, and so does
    // a set of fewer labels.
    let key = |item: usize| &text[item.checked_sub(1).map_or(0, |before| ends[before])..ends[item]];
    let mut order: Vec<usize> = (0..items.len()).collect();
    // A stable sort takes stretches that are in order already as they are.
    order.sort_by(|a, b| key(*a).cmp(key(*b)));
    let mut taken: Vec<Option<T>> = items.drain(..).map(Some).collect();
    items.extend(order.into_iter().filter_map(|item| taken[item].take()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_labels() {
        let sets: &[&[(&str, &str)]] = &[
            &[("b", "1")],
            &[("a", "2"), ("b", "1")],
            &[("a", "2")],
            &[],
            &[("a", "10")],
            &[("ab", "0")],
            &[("a", "2"), ("c", "0")],
            &[("a", "\u{1}")],
            &[("a", "2\u{7f}é")],
            &[("a", "2")],
        ];
        for extra in [None, Some(Labels::from_pairs([("a", "2\0x")]))] {
            let mut items: Vec<(Labels, usize)> = sets
                .iter()
                .enumerate()
                .map(|(n, set)| (Labels::from_pairs(set.iter().copied()), n))
                .collect();
            items.extend(extra.map(|labels| (labels, 99)));
            let mut expected = items.clone();
            expected.sort_by(|a, b| a.0.cmp(&b.0));
            sort_by_labels(&mut items, |item| &item.0);
            assert_eq!(items, expected);
        }
    }
}
