//! A line cut into words and what stands between them.
//!
//! The pieces together are the line: what is printed from them matches it byte for byte.

/// Bytes of a line that are looked at; the rest is one variable.
const LINE_BYTES_MAX: usize = 4096;
/// Pieces of a line; the rest is one variable.
const TOKENS_MAX: usize = 128;

/// A piece that is the same in all lines of a pattern, or `None` for one that varies.
pub(super) type Token<'a> = Option<&'a str>;

/// Cuts a line up. Words with a digit vary: numbers, times, addresses, ids.
pub(super) fn tokenize<'a>(line: &'a str, tokens: &mut Vec<Token<'a>>) {
    tokens.clear();
    let mut rest = line;
    let mut budget = LINE_BYTES_MAX;
    while let Some(first) = rest.chars().next() {
        let length = piece_length(rest, first);
        if tokens.len() >= TOKENS_MAX || length > budget {
            tokens.push(None);
            return;
        }
        budget -= length;
        let (piece, tail) = rest.split_at(length);
        tokens.push(if varies(piece) { None } else { Some(piece) });
        rest = tail;
    }
}

/// Length of the word, the white space or the sign at the start of the text.
fn piece_length(text: &str, first: char) -> usize {
    if first.is_whitespace() {
        text.find(|c: char| !c.is_whitespace()).unwrap_or(text.len())
    } else if separates(first) || first == ':' {
        // A colon parts words only where it leads one: `12:30` is one word, `":5` is not.
        first.len_utf8()
    } else {
        text.find(|c: char| c.is_whitespace() || separates(c)).unwrap_or(text.len())
    }
}

fn separates(c: char) -> bool {
    matches!(
        c,
        '=' | ',' | ';' | '"' | '\'' | '`' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | '|' | '\\'
    )
}

/// A `<` varies too: in a pattern it would begin a capture.
fn varies(piece: &str) -> bool {
    piece == "<" || piece.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str]) {
        let mut tokens = Vec::new();
        tokenize(line, &mut tokens);
        let shown: Vec<_> = tokens.iter().map(|token| token.unwrap_or("*")).collect();
        assert_eq!(shown, expected, "{line}");
    }

    #[test]
    fn words_and_what_stands_between() {
        check("a  b=c7", &["a", "  ", "b", "=", "*"]);
        check(r#"{"k":"v w"}"#, &["{", "\"", "k", "\"", ":", "\"", "v", " ", "w", "\"", "}"]);
        check("<b>", &["*", "b", ">"]);
        check("", &[]);
    }

    #[test]
    fn long_lines_end_in_one_variable() {
        let mut tokens = Vec::new();
        let long = "word ".repeat(1000);
        tokenize(&long, &mut tokens);
        assert_eq!((tokens.len(), tokens.last()), (TOKENS_MAX + 1, Some(&None)));
        let blob = "x".repeat(10_000);
        tokenize(&blob, &mut tokens);
        assert_eq!(tokens, [None]);
    }
}
