//! What an error message shows of something that was refused.

/// Longest example kept with a refusal, in bytes: a stream with the longest labels that Loki takes,
/// and one label again.
pub const EXAMPLE_BYTES_MAX: usize = 8 << 10;

/// Cuts `example` to [`EXAMPLE_BYTES_MAX`] at a character's edge.
pub fn shorten_example(example: &mut String) {
    if example.len() > EXAMPLE_BYTES_MAX {
        example.truncate(example.floor_char_boundary(EXAMPLE_BYTES_MAX));
        example.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_examples_are_cut_between_characters() {
        let longest = "x".repeat(EXAMPLE_BYTES_MAX);
        let uneven = format!("x{}", "ä".repeat(EXAMPLE_BYTES_MAX / 2));
        for (example, expected) in [
            ("short", "short".to_owned()),
            (&longest, longest.clone()),
            (&format!("{longest}y"), format!("{longest}…")),
            (&uneven, format!("{}…", &uneven[..EXAMPLE_BYTES_MAX - 1])),
        ] {
            let mut found = example.to_owned();
            shorten_example(&mut found);
            assert_eq!(found, expected);
        }
    }
}
