//! What a delete request selects: a selector and conditions that a store decides by itself.

use crate::{
    ParseError,
    ast::{Expr, LogExpr},
    parse,
    pipeline::Pipeline,
};
use model::Matcher;
use store::LineFilter;

/// Reads the query of a delete request.
///
/// # Errors
/// When it does not parse, or has a stage other than filters on text and expressions.
pub fn parse_deletion(text: &str) -> Result<(Vec<Matcher>, Vec<LineFilter>), ParseError> {
    let refused =
        || ParseError::new("only a selector with text and regular-expression line filters can be deleted");
    let Expr::Log(LogExpr { matchers, stages }) = parse(text)? else {
        return Err(refused());
    };
    let pipeline = Pipeline::compile_with(&stages, Default::default(), true)?;
    if !pipeline.is_left_to_store() {
        return Err(refused());
    }
    Ok((matchers, pipeline.store_filters().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_store_decides_is_deleted() {
        let (matchers, filters) = parse_deletion(r#"{app="x"} |= "a" !~ "b""#).unwrap();
        assert_eq!((matchers.len(), filters.len()), (1, 2));
        for bad in [
            r#"{app="x"} | json"#,
            r#"{app="x"} |= ip("::1")"#,
            r#"{app="x"} |> "a<_>""#,
            r#"rate({app="x"}[5m])"#,
            "{}",
        ] {
            assert!(parse_deletion(bad).is_err(), "{bad}");
        }
    }
}
