//! Parameters of a URL, decoded, in order.

/// Name and value of every parameter; names may repeat.
pub(crate) fn pairs(query: Option<&str>) -> Vec<(String, String)> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
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
