//! Removal of terminal colours and other ANSI escape sequences.

/// Copies the line without its escape sequences (ECMA-48: CSI, OSC and two-byte escapes).
pub(super) fn decolorize(line: &str, out: &mut String) {
    let mut rest = line;
    while let Some(escape) = rest.find(['\x1b', '\u{9b}']) {
        out.push_str(&rest[..escape]);
        rest = &rest[escape..];
        match sequence_length(rest) {
            Some(length) => rest = &rest[length..],
            None => {
                let length = rest.chars().next().map_or(1, char::len_utf8);
                out.push_str(&rest[..length]);
                rest = &rest[length..];
            }
        }
    }
    out.push_str(rest);
}

/// Length of the escape sequence at the start of `text`, if one is there.
fn sequence_length(text: &str) -> Option<usize> {
    let body = match text.strip_prefix("\x1b[") {
        Some(body) => body,
        None => text.strip_prefix('\u{9b}')?,
    };
    let parameters = body
        .bytes()
        .take_while(|byte| matches!(byte, b'0'..=b'9' | b';' | b'?' | b'#' | b'(' | b')'))
        .count();
    let last = *body.as_bytes().get(parameters)?;
    let is_final = last.is_ascii_alphabetic() || matches!(last, b'~' | b'=' | b'>' | b'<' | b'@');
    is_final.then(|| text.len() - body.len() + parameters + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_text_stays() {
        for (line, expected) in [
            ("\x1b[31mred\x1b[0m text", "red text"),
            ("\x1b[1;38;5;208mx\x1b[m", "x"),
            ("plain", "plain"),
            ("half \x1b[", "half \x1b["),
        ] {
            let mut out = String::new();
            decolorize(line, &mut out);
            assert_eq!(out, expected);
        }
    }
}
