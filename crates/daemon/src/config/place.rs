//! Where a setting stands in a file.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// Line and column of the value at `path`, of keys and of numbers in lists; of what leads there when
/// it goes no further.
pub fn place_of(text: &str, path: &[&str]) -> Option<(usize, usize)> {
    let (lines_before, document) =
        super::documents(text).into_iter().find(|(_, document)| !super::is_blank(document))?;
    (1..=path.len()).rev().find_map(|length| {
        let found = serde_saphyr::with_deserializer_from_str(document, |deserializer| {
            At { path: &path[..length] }.deserialize(deserializer)
        });
        found.ok().flatten().map(|(line, column)| (lines_before + line, column))
    })
}

/// Goes on along a path that is not empty.
struct At<'p> {
    path: &'p [&'p str],
}

type Found = Option<(usize, usize)>;

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

fn of<T>(value: &Spanned<T>) -> Found {
    let at = value.referenced;
    Some((at.line() as usize, at.column() as usize))
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            match self.path {
                [last] if *last == key => found = of(&map.next_value::<Spanned<IgnoredAny>>()?),
                [first, rest @ ..] if *first == key => found = map.next_value_seed(At { path: rest })?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        let (mut found, mut index) = (None, 0);
        loop {
            let is_it = self.path[0] == index.to_string();
            let more = match self.path {
                [_] if is_it => list.next_element::<Spanned<IgnoredAny>>()?.map(|value| of(&value)),
                [_, rest @ ..] if is_it => list.next_element_seed(At { path: rest })?,
                _ => list.next_element::<IgnoredAny>()?.map(|_| None),
            };
            let Some(this) = more else { return Ok(found) };
            found = found.or(this);
            index += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found() {
        let text = "# x\n---\na:\n  b: 1\n  c:\n  - d\n  - {e: f}\ng: [1, 2]\n";
        for (path, expected) in [
            (&["a", "b"][..], Some((4, 6))),
            (&["a", "c", "1", "e"], Some((7, 9))),
            (&["g", "1"], Some((8, 8))),
            (&["g", "7"], Some((8, 4))),
            (&["x"], None),
        ] {
            assert_eq!(place_of(text, path), expected, "{path:?}");
        }
    }
}
