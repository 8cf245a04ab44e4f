//! How text is cut into tokens, for the index and for needles alike.
//!
//! Token bytes are `A-Z a-z 0-9 _` and every byte from 0x80 up; all others delimit. Two kinds of
//! piece are indexed:
//! * **runs**: maximal sequences of token bytes that are no digits (digits delimit them too);
//! * **ids**: maximal sequences of token bytes with at least one digit among them.
//!
//! Invariant: writer and reader of an index use this one table. UTF-8 is only ever cut at ASCII,
//! so every piece of valid UTF-8 is valid UTF-8.

/// What a byte is to the tokenizer.
const DELIMITER: u8 = 0;
const LETTER: u8 = 1;
const DIGIT: u8 = 2;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [DELIMITER; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_digit() {
            table[byte] = DIGIT;
        } else if b.is_ascii_alphabetic() || b == b'_' || b >= 0x80 {
            table[byte] = LETTER;
        }
        byte += 1;
    }
    table
}

/// Whether the byte belongs to a run.
pub(crate) fn is_letter(byte: u8) -> bool {
    CLASS[usize::from(byte)] == LETTER
}

/// Whether the byte belongs to a token.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    CLASS[usize::from(byte)] != DELIMITER
}

/// Visits every id of `text`: its first byte and the one behind its last.
#[inline]
pub(crate) fn for_each_id(text: &[u8], mut visit: impl FnMut(usize, usize)) {
    let mut at = 0;
    while at < text.len() {
        if CLASS[usize::from(text[at])] == DELIMITER {
            at += 1;
            continue;
        }
        let start = at;
        let mut classes = 0;
        while at < text.len() && CLASS[usize::from(text[at])] != DELIMITER {
            classes |= CLASS[usize::from(text[at])];
            at += 1;
        }
        if classes & DIGIT != 0 {
            visit(start, at);
        }
    }
}

/// Visits every run of `text`.
#[inline]
pub(crate) fn for_each_run(text: &[u8], mut visit: impl FnMut(&[u8])) {
    let mut at = 0;
    while at < text.len() {
        let start = at;
        while at < text.len() && CLASS[usize::from(text[at])] == LETTER {
            at += 1;
        }
        if at > start {
            visit(&text[start..at]);
        }
        at += 1;
    }
}

/// Folds case as `(?i)` does for what an index holds: ASCII, and the two characters beyond ASCII
/// that Unicode folds onto ASCII letters (U+017F `ſ` onto `s`, U+212A the Kelvin sign onto `k`).
pub(crate) fn fold(piece: &[u8], out: &mut Vec<u8>) {
    let mut rest = piece;
    while let Some((&byte, tail)) = rest.split_first() {
        if let Some(tail) = rest.strip_prefix("\u{17f}".as_bytes()) {
            out.push(b's');
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix("\u{212a}".as_bytes()) {
            out.push(b'k');
            rest = tail;
        } else {
            out.push(byte.to_ascii_lowercase());
            rest = tail;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_split_runs_and_join_ids() {
        for (text, runs, ids) in [
            ("", &[][..], &[][..]),
            ("error500: é_x blk_-16", &["error", "é_x", "blk_"][..], &["error500", "16"][..]),
            ("10.0.0.1", &[], &["10", "0", "0", "1"]),
            ("a1b2 9", &["a", "b"], &["a1b2", "9"]),
        ] {
            let (mut found_runs, mut found_ids) = (Vec::new(), Vec::new());
            for_each_run(text.as_bytes(), |run| found_runs.push(String::from_utf8(run.to_vec()).unwrap()));
            for_each_id(text.as_bytes(), |start, end| found_ids.push(&text[start..end]));
            assert_eq!(found_runs, runs, "{text}");
            assert_eq!(found_ids, ids, "{text}");
        }
    }

    #[test]
    fn folding_reaches_the_two_odd_letters() {
        let mut out = Vec::new();
        fold("ABſ\u{212a}é".as_bytes(), &mut out);
        assert_eq!(out, "abské".as_bytes());
    }
}
