//! The `unpack` parser: a JSON object whose `_entry` is the line and whose other strings are labels.

use super::{
    RowState,
    json::{JSON_ERROR, Raw, Scanner, Stop, text_of, unescape},
    labels::Hints,
    sanitized,
};
use std::ops::ControlFlow;

/// The member that holds the line.
const ENTRY: &str = "_entry";

pub(super) fn unpack(row: &mut RowState<'_>, hints: &Hints) {
    if row.line().is_empty() {
        return;
    }
    let mut entry = None;
    let mut found: Vec<(String, String)> = Vec::new();
    let result = Scanner::new(row.line()).object(&mut |key, value| {
        if let Raw::String(raw) = value {
            let key = unescape(key);
            if key == ENTRY {
                entry = Some(text_of(raw).into_owned());
            } else {
                let mut name = String::new();
                sanitized(&key, &mut name);
                found.push((name, text_of(raw).into_owned()));
            }
        }
        ControlFlow::Continue(())
    });
    if let Err(Stop::Bad(details)) = result {
        row.scratch.labels.set_error(JSON_ERROR, &details);
        return;
    }
    let Some(entry) = entry else {
        return;
    };
    for (name, value) in found {
        row.scratch.labels.extract(&name, &value, hints);
    }
    row.set_line(|_, out| out.push_str(&entry));
}
