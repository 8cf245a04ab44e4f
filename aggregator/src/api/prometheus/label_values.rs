//! `GET /api/v1/label/NAME/values`: values of a label.

use super::{
    answer::{ApiError, Success},
    labels::list,
    params::Params,
};
use crate::{app::AppState, query};
use axum::extract::{Path, State};

pub(super) async fn label_values(
    State(app): State<AppState>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Success, ApiError> {
    let name = unescape(&name);
    if name.is_empty() {
        return Err(ApiError::bad_data(format!("invalid label name: {name:?}")));
    }
    let limit = params.limit()?;
    let range = params.range()?;
    let selectors = params.selectors();
    let metrics = app.metrics.clone();
    query::list(&app, selectors.are_simple(), move |context| {
        Ok(list(&*metrics.label_values(&name, &selectors.parse()?, range, context)?, limit))
    })
    .await?
}

/// Undoes the escaping by which names with other characters travel in a path: `U__` in front, `__`
/// for an underscore, `_HEX_` for a character. A name that is not so escaped stays as it is.
fn unescape(name: &str) -> String {
    let Some(mut rest) = name.strip_prefix("U__") else { return name.to_owned() };
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once('_') {
        out.push_str(before);
        if let Some(tail) = after.strip_prefix('_') {
            out.push('_');
            rest = tail;
            continue;
        }
        let character = after.split_once('_').and_then(|(hex, tail)| {
            let code = u32::from_str_radix(hex, 16).ok()?;
            Some((char::from_u32(code)?, tail))
        });
        let Some((character, tail)) = character else { return name.to_owned() };
        out.push(character);
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_are_read() {
        for (escaped, expected) in [
            ("job", "job"),
            ("U__http_2e_status_3a_sum", "http.status:sum"),
            ("U__a__b", "a_b"),
            ("U__bad_zz_", "U__bad_zz_"),
            ("U___e9_", "é"),
        ] {
            assert_eq!(unescape(escaped), expected);
        }
    }
}
