//! Named templates shared by many texts, as Alertmanager's template files define them.

use crate::{Functions, ParseError, parse, tree::Tree};
use std::{collections::BTreeMap, sync::Arc};

/// The templates that `{{ template "name" }}` finds. Cheap to clone.
#[derive(Clone, Default)]
pub struct Definitions {
    trees: Arc<BTreeMap<String, Arc<Tree>>>,
}

impl Definitions {
    /// Adds every `define` and `block` of `text`, and `text` itself as `name`. A later definition
    /// replaces an earlier one of the same name, unless it is empty.
    ///
    /// # Errors
    /// When the text does not parse; nothing is added then.
    pub fn add(&mut self, name: &str, text: &str, functions: &Functions) -> Result<(), ParseError> {
        let parsed = parse::parse(name, text, functions)?;
        self.extend(parsed.definitions.into_iter().chain([parsed.main]));
        Ok(())
    }

    pub(crate) fn extend(&mut self, added: impl IntoIterator<Item = Tree>) {
        let mut added = added.into_iter().peekable();
        if added.peek().is_none() {
            return;
        }
        let trees = Arc::make_mut(&mut self.trees);
        for tree in added {
            let replaces = !tree.is_blank() || !trees.contains_key(&tree.name);
            if replaces {
                trees.insert(tree.name.clone(), Arc::new(tree));
            }
        }
    }

    /// The names, in ascending order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.trees.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Tree>> {
        self.trees.get(name)
    }
}
