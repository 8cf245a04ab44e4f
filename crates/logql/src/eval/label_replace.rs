//! `label_replace`.

use super::{Evaluation, Table};
use crate::{EvalError, ast::LabelReplace};
use model::go_regex::{self, Dot};

impl Evaluation<'_> {
    pub(super) fn label_replace(&self, replace: &LabelReplace) -> Result<Table, EvalError> {
        let regex =
            go_regex::compile_anchored(&replace.regex, Dot::NotNewline).map_err(EvalError::Invalid)?;
        let mut rows = self.rows(&replace.inner)?;
        for row in &mut rows {
            let source = row.labels.value(&replace.source).to_owned();
            if let Some(captures) = regex.captures(&source) {
                let value = go_regex::expand(&captures, &replace.replacement).ok_or_else(|| {
                    let bytes = go_regex::EXPANDED_BYTES_MAX;
                    EvalError::Invalid(format!("label_replace() makes a label of more than {bytes} bytes"))
                })?;
                self.context.hold_memory(value.len() as u64)?;
                row.labels = row.labels.to_builder().set(&replace.destination, &value).build();
            }
        }
        Ok(Table::Rows(rows))
    }
}
