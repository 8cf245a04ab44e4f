//! Characters and sets of them: `\n`, `\x{41}`, `\d`, `\p{Greek}`, `[^a-z[:digit:]]`.

use super::parse::{Parsed, Refusal};
use std::borrow::Cow;

/// A set without characters.
pub(super) const NOTHING: &str = r"[^\x{0}-\x{10FFFF}]";
const EVERYTHING: &str = r"[\x{0}-\x{10FFFF}]";

const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// Where the last `:]` of an expression is: bytes from there to the end.
#[derive(Clone, Copy)]
pub(super) struct PosixEnds(usize);

impl PosixEnds {
    pub(super) fn of(pattern: &str) -> Self {
        PosixEnds(pattern.rfind(":]").map_or(usize::MAX, |at| pattern.len() - at))
    }

    /// Whether there is one in the rest of the expression.
    fn are_in(self, rest: &str) -> bool {
        self.0 <= rest.len()
    }
}

/// A class in brackets at the start of `text`, which is all that is left of the expression, in Rust's
/// dialect, and what follows it.
pub(super) fn bracketed(text: &str, posix_ends: PosixEnds) -> Parsed<(String, &str)> {
    let inner = &text[1..];
    let (negation, mut rest) = inner.strip_prefix('^').map_or(("", inner), |rest| ("^", rest));
    let mut members = String::new();
    let mut is_first = true;
    loop {
        if let Some(after) = rest.strip_prefix(']').filter(|_| !is_first) {
            rest = after;
            break;
        }
        is_first = false;
        if let Some((set, after)) = posix(rest, posix_ends)? {
            members.push_str(set);
            rest = after;
        } else if let Some((set, after)) = escaped(rest)? {
            members.push_str(&set);
            rest = after;
        } else {
            let (low, high, after) = range(rest, text)?;
            push_range(&mut members, low, high);
            rest = after;
        }
    }
    let class = match (members.is_empty(), negation.is_empty()) {
        (true, true) => NOTHING.to_owned(),
        (true, false) => EVERYTHING.to_owned(),
        (false, _) => format!("[{negation}{members}]"),
    };
    Ok((class, rest))
}

/// `[:alpha:]` or `[:^alpha:]`.
fn posix(text: &str, ends: PosixEnds) -> Parsed<Option<(&str, &str)>> {
    let inner = text.strip_prefix("[:").filter(|inner| ends.are_in(inner));
    let Some(end) = inner.and_then(|inner| inner.find(":]")) else {
        return Ok(None);
    };
    let (name, (whole, rest)) = (&text[2..2 + end], text.split_at(end + 4));
    if POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Ok(Some((whole, rest)));
    }
    Err(Refusal::of_piece("invalid character class range", whole))
}

/// One character or two with a dash between, and what follows. `class` is all of the class.
fn range<'t>(text: &'t str, class: &str) -> Parsed<(u32, u32, &'t str)> {
    let (low, rest) = member(text, class)?;
    // A dash before the closing bracket is itself.
    let Some(upper) = rest.strip_prefix('-').filter(|upper| !upper.is_empty() && !upper.starts_with(']'))
    else {
        return Ok((low, low, rest));
    };
    let (high, rest) = member(upper, class)?;
    if high < low {
        let piece = &text[..text.len() - rest.len()];
        return Err(Refusal::of_piece("invalid character class range", piece));
    }
    Ok((low, high, rest))
}

fn member<'t>(text: &'t str, class: &str) -> Parsed<(u32, &'t str)> {
    match text.chars().next() {
        None => Err(Refusal::of_piece("missing closing ]", class)),
        Some('\\') => character(text),
        Some(c) => Ok((c.into(), &text[c.len_utf8()..])),
    }
}

/// Writes a range without the halves of surrogate pairs, which no text has and Rust refuses.
fn push_range(members: &mut String, low: u32, high: u32) {
    const SURROGATES: std::ops::RangeInclusive<u32> = 0xd800..=0xdfff;
    let low = if SURROGATES.contains(&low) { 0xe000 } else { low };
    let high = if SURROGATES.contains(&high) { 0xd7ff } else { high };
    let (Some(first), Some(last)) = (char::from_u32(low), char::from_u32(high)) else {
        return;
    };
    if first > last {
        return;
    }
    push_member(members, first);
    if first < last {
        members.push('-');
        push_member(members, last);
    }
}

fn push_member(members: &mut String, c: char) {
    // Among them what Rust takes for operations on sets.
    if r"\[]^-&~".contains(c) {
        members.push('\\');
    }
    members.push(c);
}

/// A set after a backslash, as `\d` or `\p{Greek}`, written as a member of a class; `None` when the
/// backslash begins a character.
pub(super) fn escaped(text: &str) -> Parsed<Option<(Cow<'static, str>, &str)>> {
    let Some(kind) = text.strip_prefix('\\').and_then(|rest| rest.chars().next()) else {
        return Ok(None);
    };
    let set = match kind {
        'd' => "0-9",
        'D' => "[^0-9]",
        's' => r"\t\n\f\r ",
        'S' => r"[^\t\n\f\r ]",
        'w' => "0-9A-Za-z_",
        'W' => "[^0-9A-Za-z_]",
        'p' | 'P' => return unicode(text).map(Some),
        _ => return Ok(None),
    };
    Ok(Some((set.into(), &text[2..])))
}

/// `\pN`, `\p{Greek}`, `\P{^Greek}`.
fn unicode(text: &str) -> Parsed<(Cow<'static, str>, &str)> {
    let invalid = |piece: &str| Err(Refusal::of_piece("invalid character class range", piece));
    let end = match text[2..].chars().next() {
        None => return invalid(text),
        Some('{') => match text.find('}') {
            None => return invalid(text),
            Some(end) => end + 1,
        },
        Some(letter) => 2 + letter.len_utf8(),
    };
    let (piece, rest) = text.split_at(end);
    let name = piece[2..].trim_start_matches('{').trim_end_matches('}');
    let mut is_negated = piece.starts_with(r"\P");
    let name = match name.strip_prefix('^') {
        Some(name) => {
            is_negated = !is_negated;
            name
        }
        None => name,
    };
    let Some(set) = property(name) else {
        return invalid(piece);
    };
    let set = match (set.as_str(), is_negated) {
        (NOTHING, false) => NOTHING.into(),
        (NOTHING, true) => EVERYTHING.into(),
        (set, false) => format!(r"\p{{{set}}}").into(),
        (set, true) => format!(r"\P{{{set}}}").into(),
    };
    Ok((set, rest))
}

/// Scripts whose own name has four letters, as all their short names have, which Go does not know.
const SHORT_SCRIPTS: [&str; 8] = ["ahom", "cham", "kawi", "lisu", "modi", "newa", "thai", "toto"];

/// The property that a general category or a script is in Rust, or [`NOTHING`]. Go (since 1.25) knows
/// no others, and reads names without regard to case, blanks, dashes and underscores.
fn property(name: &str) -> Option<String> {
    let plain: String =
        name.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).map(|c| c.to_ascii_lowercase()).collect();
    let is_word = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_word || plain.starts_with("is") {
        return None;
    }
    if matches!(plain.as_str(), "cs" | "surrogate") {
        return Some(NOTHING.to_owned());
    }
    let is_known = |property: &String| regex_syntax::parse(&format!(r"\p{{{property}}}")).is_ok();
    let category = format!("gc={plain}");
    if is_known(&category) {
        return Some(category);
    }
    let is_short_name = plain.len() == 4 && !SHORT_SCRIPTS.contains(&plain.as_str());
    Some(format!("sc={plain}")).filter(|script| !is_short_name && is_known(script))
}

/// The character that an escape stands for, and what follows it.
pub(super) fn character(text: &str) -> Parsed<(u32, &str)> {
    let mut chars = text[1..].chars();
    let Some(kind) = chars.next() else {
        return Err(Refusal::of_piece("trailing backslash at end of expression", ""));
    };
    let rest = chars.as_str();
    let code = match kind {
        'a' => 0x07,
        'f' => 0x0c,
        'n' => 0x0a,
        'r' => 0x0d,
        't' => 0x09,
        'v' => 0x0b,
        'x' => return hexadecimal(text, rest),
        // A single digit would be a reference back, which Go does not have.
        '0' => return Ok(octal(&text[1..])),
        '1'..='7' if rest.starts_with(|c| ('0'..='7').contains(&c)) => return Ok(octal(&text[1..])),
        other if other.is_ascii() && !other.is_ascii_alphanumeric() => other.into(),
        _ => return Err(invalid_escape(text, rest)),
    };
    Ok((code, rest))
}

fn invalid_escape(text: &str, rest: &str) -> Refusal {
    Refusal::of_piece("invalid escape sequence", &text[..text.len() - rest.len()])
}

/// Up to three digits.
fn octal(text: &str) -> (u32, &str) {
    let end = text.bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
    let (digits, rest) = text.split_at(end);
    (digits.bytes().fold(0, |code, digit| code * 8 + u32::from(digit - b'0')), rest)
}

/// `41` or `{41}`; `text` begins at the backslash.
fn hexadecimal<'t>(text: &'t str, digits: &'t str) -> Parsed<(u32, &'t str)> {
    let mut chars = digits.chars();
    let mut code = 0;
    if digits.starts_with('{') {
        chars.next();
        let mut count = 0;
        while let Some(c) = chars.next() {
            match c.to_digit(16) {
                None if c == '}' && count > 0 => return Ok((code, chars.as_str())),
                None => break,
                Some(digit) => code = code * 16 + digit,
            }
            if code > u32::from(char::MAX) {
                break;
            }
            count += 1;
        }
        return Err(invalid_escape(text, chars.as_str()));
    }
    let two = [chars.next(), chars.next()];
    for digit in two {
        let Some(digit) = digit.and_then(|c| c.to_digit(16)) else {
            return Err(invalid_escape(text, chars.as_str()));
        };
        code = code * 16 + digit;
    }
    Ok((code, chars.as_str()))
}
