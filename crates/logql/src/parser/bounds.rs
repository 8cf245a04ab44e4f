//! Bounds on what a query's parts cost together, told before any of them is built: a regular
//! expression of a few bytes may compile to megabytes.

use crate::{
    ParseError,
    lexer::{Kind, Token},
};
use model::go_regex;

/// Stages of one query, line filters included: each is run for each line.
const STAGES_MAX: usize = 1000;
/// Regular expressions of one query.
const PATTERNS_MAX: usize = 1000;
/// Regular expressions that take more than [`go_regex::SMALL_PROGRAM_BYTES_MAX`] when compiled.
const LARGE_PATTERNS_MAX: usize = 16;

pub(super) fn check(tokens: &[Token]) -> Result<(), ParseError> {
    let stages = tokens.iter().filter(|token| begins_stage(&token.kind)).count();
    if stages > STAGES_MAX {
        return Err(ParseError::new(format!("{stages} stages, more than {STAGES_MAX}")));
    }
    let patterns: Vec<&str> = patterns(tokens).collect();
    if patterns.len() > PATTERNS_MAX {
        let count = patterns.len();
        return Err(ParseError::new(format!("{count} regular expressions, more than {PATTERNS_MAX}")));
    }
    let may_be_large = patterns.len() > LARGE_PATTERNS_MAX;
    if may_be_large
        && patterns.iter().filter(|pattern| go_regex::is_large(pattern)).count() > LARGE_PATTERNS_MAX
    {
        let message = format!("more than {LARGE_PATTERNS_MAX} large regular expressions; simplify some");
        return Err(ParseError::new(message));
    }
    Ok(())
}

/// Whether a stage begins here.
fn begins_stage(kind: &Kind) -> bool {
    matches!(kind, Kind::Sign("|" | "|=" | "|~" | "|>"))
}

/// Texts that will be compiled as regular expressions.
fn patterns(tokens: &[Token]) -> impl Iterator<Item = &str> {
    let is_pattern = |before: &Kind| match before {
        Kind::Sign(sign) => matches!(*sign, "=~" | "!~" | "|~"),
        Kind::Identifier(word) => matches!(word.as_str(), "or" | "regexp"),
        _ => false,
    };
    let of_stages = tokens.windows(2).filter_map(move |pair| match &pair[1].kind {
        Kind::String(text) if is_pattern(&pair[0].kind) => Some(text.as_str()),
        _ => None,
    });
    // The last argument of `label_replace`, which nothing else with a text before `)` has.
    let of_calls =
        tokens.windows(3).filter_map(|three| match [&three[0].kind, &three[1].kind, &three[2].kind] {
            [Kind::Sign(","), Kind::String(text), Kind::Sign(")")] => Some(text.as_str()),
            _ => None,
        });
    of_stages.chain(of_calls)
}
