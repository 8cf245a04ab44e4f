//! Which series of a head have which labels.

use hashbrown::HashMap;
use model::LabelsRef;

/// Series of each label value; lists ascend because series are numbered as they come.
#[derive(Default)]
pub(super) struct LabelIndex {
    names: HashMap<Box<str>, HashMap<Box<str>, Vec<u32>>>,
}

impl LabelIndex {
    pub(super) fn add(&mut self, series: u32, labels: LabelsRef<'_>) {
        for (name, value) in labels.iter() {
            let values = match self.names.get_mut(name) {
                Some(values) => values,
                None => self.names.entry(name.into()).or_default(),
            };
            match values.get_mut(value) {
                Some(postings) => postings.push(series),
                None => {
                    values.insert(value.into(), vec![series]);
                }
            }
        }
    }

    pub(super) fn postings(&self, name: &str, value: &str) -> &[u32] {
        self.names.get(name).and_then(|values| values.get(value)).map_or(&[], Vec::as_slice)
    }

    /// Every value of a label with its series, in no order.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = (&str, &[u32])> {
        let values = self.names.get(name).into_iter().flatten();
        values.map(|(value, postings)| (&**value, postings.as_slice()))
    }
}
