//! Parameters of a URL, decoded, in order.

/// Name and value of every parameter; names may repeat.
pub(crate) fn pairs(query: Option<&str>) -> Vec<(String, String)> {
    let Some(query) = query else { return Vec::new() };
    // Only a whole URL can be parsed; everything before the query is of no account.
    reqwest::Url::parse(&format!("http://localhost/?{query}"))
        .map(|url| url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_repeat_and_values_are_decoded() {
        let found = pairs(Some("filter=a%3D%22b+c%22&filter=d!~%22e%22&x"));
        let expected = [("filter", "a=\"b c\""), ("filter", "d!~\"e\""), ("x", "")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(pairs(None).is_empty());
    }
}
