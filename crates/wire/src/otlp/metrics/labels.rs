//! Attributes of a point as labels.

use super::{
    super::{any_value::key_value, names::label_name},
    resource::Resource,
};
use crate::{WireError, protobuf::Reader};
use model::{LABELS_MAX, METRIC_NAME};

/// The labels of one point, sorted, before the metric's name.
#[derive(Default)]
pub(super) struct PointLabels {
    /// Attribute key and value as text, as far as their number is allowed plus one.
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl PointLabels {
    /// Adds a `KeyValue`.
    pub(super) fn push(&mut self, message: Reader<'_>) -> Result<(), WireError> {
        let (key, value) = key_value(message)?;
        if self.attributes.len() <= LABELS_MAX {
            let mut text = Vec::new();
            value.text(&mut text)?;
            self.attributes.push((key.to_vec(), text));
        }
        Ok(())
    }

    /// Translates the names; call it once all attributes are there. Values whose names become the
    /// same are joined by `;` in the order of the attributes' keys.
    pub(super) fn finish(&mut self) {
        self.attributes.sort();
        let mut labels: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(self.attributes.len());
        for (key, value) in self.attributes.drain(..) {
            let mut name = Vec::with_capacity(key.len());
            label_name(&key, &mut name);
            if value.is_empty() {
                continue;
            }
            match labels.iter_mut().find(|(existing, _)| *existing == name) {
                Some((_, values)) => {
                    values.push(b';');
                    values.extend_from_slice(&value);
                }
                None => labels.push((name, value)),
            }
        }
        labels.sort();
        self.attributes = labels;
    }

    /// Hands out the labels in order, with the job and instance of the resource in place of
    /// attributes of these names. `__name__` belongs to the metric alone.
    pub(super) fn for_each(&self, resource: &Resource, mut take: impl FnMut(&[u8], &[u8])) {
        let identity = resource.identity();
        let is_free = |name: &[u8]| {
            name != METRIC_NAME.as_bytes() && !identity.iter().any(|(known, _)| known.as_bytes() == name)
        };
        let own = self.attributes.iter().filter(|(name, _)| is_free(name));
        let mut merged: Vec<(&[u8], &[u8])> = own.map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
        merged.extend(identity.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        merged.sort_unstable();
        for (name, value) in merged {
            take(name, value);
        }
    }
}
