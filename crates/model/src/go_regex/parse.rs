//! Reads Go's syntax piece by piece and writes the same expression in the dialect of `regex`.
//!
//! Every piece is understood before it is written, so that what Go refuses is refused, in its
//! words, and what means something else in Rust (sets within classes, `\<`, `\u0041`) is written
//! as what it means in Go.

use super::{Dot, class};
use std::collections::HashSet;

/// Largest count of a repetition, and of repetitions within repetitions multiplied.
const REPEAT_MAX: u64 = 1000;
/// Repetitions of one piece with only flags between them, as in `a*(?i)*`.
const STACKED_MAX: usize = 100;
/// Bytes that stacked repetitions may write again, in all of an expression.
const REWRITTEN_BYTES_MAX: usize = 1 << 20;
/// Groups within groups. Rust takes fewer, but counts only once all of them are written.
const NESTED_MAX: usize = 250;
/// Sets such as `\pL`, which have hundreds of ranges.
const PROPERTIES_MAX: usize = 1000;

/// An expression in Rust's dialect.
#[derive(Debug)]
pub(super) struct Translation {
    pub(super) text: String,
    /// A name that several groups have, of which only the first keeps it: Rust refuses the others.
    pub(super) repeated_name: Option<String>,
}

/// Why Go refuses an expression.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    /// The piece at fault; without one it is the whole expression.
    pub(super) piece: Option<String>,
}

impl Refusal {
    pub(super) fn of_piece(reason: &'static str, piece: &str) -> Self {
        Refusal { reason, piece: Some(piece.to_owned()) }
    }

    pub(super) fn of_whole(reason: &'static str) -> Self {
        Refusal { reason, piece: None }
    }
}

pub(super) type Parsed<T> = Result<T, Refusal>;

/// The same expression in Rust's dialect, for where `.` is `dot`. It takes time in proportion to the
/// length, whatever the expression.
pub(super) fn translate(pattern: &str, dot: Dot) -> Parsed<Translation> {
    translate_beside(&mut HashSet::new(), pattern, dot)
}

/// The same of one that stands beside others, whose groups have `names` already.
pub(super) fn translate_beside<'p>(
    names: &mut HashSet<&'p str>,
    pattern: &'p str,
    dot: Dot,
) -> Parsed<Translation> {
    let mut parser = Parser { names: std::mem::take(names), ..Parser::new(pattern, dot) };
    while let Some(c) = parser.rest.chars().next() {
        parser.piece(c)?;
    }
    if !parser.groups.is_empty() {
        return Err(Refusal::of_whole("missing closing )"));
    }
    *names = parser.names;
    Ok(Translation { text: parser.out, repeated_name: parser.repeated_name })
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_newline: bool,
    swap_greed: bool,
}

impl Flags {
    fn set(&mut self, flag: char, on: bool) -> bool {
        match flag {
            'i' => self.fold_case = on,
            'm' => self.multi_line = on,
            's' => self.dot_newline = on,
            'U' => self.swap_greed = on,
            _ => return false,
        }
        true
    }

    fn letters(self) -> [(char, bool); 4] {
        [('i', self.fold_case), ('m', self.multi_line), ('s', self.dot_newline), ('U', self.swap_greed)]
    }

    /// What must be written to come from `before` to these, such as `i-s`.
    fn changes_from(self, before: Flags) -> String {
        let changed = self.letters().into_iter().zip(before.letters()).filter(|(new, old)| new != old);
        let (on, off): (Vec<_>, Vec<_>) = changed.map(|(new, _)| new).partition(|(_, is_on)| *is_on);
        let mut text: String = on.into_iter().map(|(letter, _)| letter).collect();
        if !off.is_empty() {
            text.push('-');
            text.extend(off.into_iter().map(|(letter, _)| letter));
        }
        text
    }
}

/// What a repetition would repeat: a part of what has been written.
#[derive(Clone, Copy)]
struct Item {
    start: usize,
    end: usize,
    /// The largest product of counts within.
    counts: u64,
    /// Repetitions around it.
    stacked: usize,
}

/// A group that is open.
struct Group {
    start: usize,
    flags: Flags,
    /// The largest product of counts before it in the group around it.
    counts: u64,
}

struct Parser<'p> {
    rest: &'p str,
    out: String,
    flags: Flags,
    groups: Vec<Group>,
    counts: u64,
    last: Option<Item>,
    /// The rest at the repetition that has just ended.
    repetition: Option<&'p str>,
    names: HashSet<&'p str>,
    repeated_name: Option<String>,
    rewritten_bytes: usize,
    properties: usize,
    /// Whether `[:` may begin a named class is known without looking for its end again and again.
    posix: class::PosixEnds,
}

impl<'p> Parser<'p> {
    fn new(pattern: &'p str, dot: Dot) -> Self {
        Parser {
            rest: pattern,
            out: String::with_capacity(pattern.len() + 8),
            flags: Flags { dot_newline: dot == Dot::Any, ..Flags::default() },
            groups: Vec::new(),
            counts: 1,
            last: None,
            repetition: None,
            names: HashSet::new(),
            repeated_name: None,
            rewritten_bytes: 0,
            properties: 0,
            posix: class::PosixEnds::of(pattern),
        }
    }

    fn piece(&mut self, c: char) -> Parsed<()> {
        if matches!(c, '*' | '+' | '?' | '{')
            && let Some(counts) = self.take_repetition(c)?
        {
            return self.repeat(counts);
        }
        self.repetition = None;
        match c {
            '(' if self.rest.starts_with("(?") => self.perl_group(),
            '(' => {
                self.open("(")?;
                self.skip(1);
                Ok(())
            }
            ')' => self.close(),
            '|' => {
                self.out.push('|');
                self.last = None;
                self.skip(1);
                Ok(())
            }
            '^' | '$' | '.' => {
                let text = &self.rest[..1];
                self.skip(1);
                self.item(text);
                Ok(())
            }
            '[' => {
                let (text, rest) = class::bracketed(self.rest, self.posix)?;
                self.take_set(rest, &text)
            }
            '\\' => self.escape(),
            other => {
                self.skip(other.len_utf8());
                self.literal(other);
                Ok(())
            }
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    /// Writes a piece that a repetition behind it repeats.
    fn item(&mut self, text: &str) {
        let start = self.out.len();
        self.out.push_str(text);
        self.last = Some(Item { start, end: self.out.len(), counts: 1, stacked: 0 });
    }

    fn literal(&mut self, c: char) {
        let start = self.out.len();
        if r"\.+*?()|[]{}^$".contains(c) {
            self.out.push('\\');
        }
        self.out.push(c);
        self.last = Some(Item { start, end: self.out.len(), counts: 1, stacked: 0 });
    }

    /// Takes `*`, `+`, `?` or counts in braces; `None` when the brace is a literal. The count is what
    /// products of counts are made of.
    fn take_repetition(&mut self, c: char) -> Parsed<Option<Repetition<'p>>> {
        let before = self.rest;
        let mut repetition = Repetition { before, operator: &before[..1], factor: None };
        if c == '{' {
            let Some((least, most, length)) = counts(before) else {
                return Ok(None);
            };
            repetition.operator = &before[..length];
            let most = most.unwrap_or(Some(least));
            if least > REPEAT_MAX || most.is_some_and(|most| most > REPEAT_MAX || least > most) {
                return Err(Refusal::of_piece("invalid repeat count", repetition.operator));
            }
            repetition.factor = Some((least, most));
        }
        self.skip(repetition.operator.len());
        Ok(Some(repetition))
    }

    fn repeat(&mut self, repetition: Repetition<'p>) -> Parsed<()> {
        let Repetition { before, operator, factor } = repetition;
        let is_lazy = self.rest.starts_with('?');
        if is_lazy {
            self.skip(1);
        }
        let read = |from: &'p str| &from[..from.len() - self.rest.len()];
        if let Some(first) = self.repetition {
            return Err(Refusal::of_piece("invalid nested repetition operator", read(first)));
        }
        let Some(mut item) = self.last else {
            return Err(Refusal::of_piece("missing argument to repetition operator", read(before)));
        };
        if let Some((least, most)) = factor {
            // Go counts what may be empty, and what has no end, as the least that it takes.
            item.counts = match most {
                Some(0) => 1,
                Some(most) => item.counts * most,
                None => item.counts * least.max(1),
            };
            let is_expanded = least >= 2 || most.is_some_and(|most| most >= 2);
            if is_expanded && item.counts > REPEAT_MAX {
                return Err(Refusal::of_piece("invalid repeat count", read(before)));
            }
        }
        self.rewritten_bytes += if item.stacked > 0 { self.out.len() - item.start } else { 0 };
        if item.stacked == STACKED_MAX || self.rewritten_bytes > REWRITTEN_BYTES_MAX {
            return Err(Refusal::of_whole("expression nests too deeply"));
        }
        let suffix = if is_lazy { format!("{operator}?") } else { operator.to_owned() };
        if item.stacked == 0 {
            self.out.insert_str(item.end, &suffix);
            item.end += suffix.len();
        } else {
            let repeated = format!("(?:{}){suffix}", &self.out[item.start..item.end]);
            self.out.replace_range(item.start..item.end, &repeated);
            item.end = item.start + repeated.len();
        }
        item.stacked += 1;
        self.counts = self.counts.max(item.counts);
        self.last = Some(item);
        self.repetition = Some(before);
        Ok(())
    }

    fn open(&mut self, text: &str) -> Parsed<()> {
        if self.groups.len() == NESTED_MAX {
            return Err(Refusal::of_whole("expression nests too deeply"));
        }
        self.groups.push(Group { start: self.out.len(), flags: self.flags, counts: self.counts });
        self.out.push_str(text);
        self.counts = 1;
        self.last = None;
        Ok(())
    }

    fn close(&mut self) -> Parsed<()> {
        let Some(group) = self.groups.pop() else {
            return Err(Refusal::of_whole("unexpected )"));
        };
        self.out.push(')');
        self.skip(1);
        self.last = Some(Item { start: group.start, end: self.out.len(), counts: self.counts, stacked: 0 });
        self.counts = self.counts.max(group.counts);
        self.flags = group.flags;
        Ok(())
    }

    /// `(?P<name>`, `(?<name>`, `(?flags)` or `(?flags:`.
    fn perl_group(&mut self) -> Parsed<()> {
        for opening in ["(?P<", "(?<"] {
            if let Some(inner) = self.rest.strip_prefix(opening).filter(|inner| !inner.is_empty()) {
                return self.named_group(inner);
            }
        }
        let before = self.flags;
        let mut flags = before;
        let (mut is_off, mut saw_flag) = (false, false);
        for (at, c) in self.rest.char_indices().skip(2) {
            match c {
                _ if flags.set(c, !is_off) => saw_flag = true,
                '-' if !is_off => (is_off, saw_flag) = (true, false),
                ':' | ')' if saw_flag || !is_off => {
                    let changes = flags.changes_from(before);
                    if c == ':' {
                        self.open(&format!("(?{changes}:"))?;
                    } else if !changes.is_empty() {
                        self.out.push_str(&format!("(?{changes})"));
                    }
                    self.flags = flags;
                    self.skip(at + 1);
                    return Ok(());
                }
                other => {
                    let piece = &self.rest[..at + other.len_utf8()];
                    return Err(Refusal::of_piece("invalid or unsupported Perl syntax", piece));
                }
            }
        }
        Err(Refusal::of_whole("missing closing )"))
    }

    fn named_group(&mut self, inner: &'p str) -> Parsed<()> {
        let invalid = |piece: &str| Err(Refusal::of_piece("invalid named capture", piece));
        let Some((name, rest)) = inner.split_once('>') else {
            return invalid(self.rest);
        };
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_word) {
            return invalid(&self.rest[..self.rest.len() - rest.len()]);
        }
        self.rest = rest;
        if !self.names.insert(name) {
            self.repeated_name.get_or_insert_with(|| name.to_owned());
            self.open("(")
        } else if name.starts_with(|c: char| c.is_ascii_digit()) {
            // Rust has no such names.
            self.open("(")
        } else {
            self.open(&format!("(?P<{name}>"))
        }
    }

    /// Writes a set of characters, behind which `rest` follows.
    fn take_set(&mut self, rest: &'p str, text: &str) -> Parsed<()> {
        let read = &self.rest[..self.rest.len() - rest.len()];
        self.properties += read.matches(r"\p").count() + read.matches(r"\P").count();
        if self.properties > PROPERTIES_MAX {
            return Err(Refusal::of_whole("expression too large"));
        }
        self.rest = rest;
        self.item(text);
        Ok(())
    }

    fn escape(&mut self) -> Parsed<()> {
        let kind = self.rest.chars().nth(1);
        let assertion = match kind {
            Some('A') => r"\A",
            Some('z') => r"\z",
            Some('b') => r"(?-u:\b)",
            Some('B') => r"(?-u:\B)",
            Some('Q') => {
                self.quoted();
                return Ok(());
            }
            _ => "",
        };
        if !assertion.is_empty() {
            self.skip(2);
            self.item(assertion);
            return Ok(());
        }
        if let Some((set, rest)) = class::escaped(self.rest)? {
            let stands_alone = ["[", r"\p", r"\P"].iter().any(|start| set.starts_with(start));
            let text = if stands_alone { set.into_owned() } else { format!("[{set}]") };
            return self.take_set(rest, &text);
        }
        let (code, rest) = class::character(self.rest)?;
        self.rest = rest;
        match char::from_u32(code) {
            Some(c) => self.literal(c),
            // Half a surrogate pair, which no text has.
            None => self.item(class::NOTHING),
        }
        Ok(())
    }

    /// `\Q…\E`, or to the end.
    fn quoted(&mut self) {
        let body = &self.rest[2..];
        let (quoted, rest) = body.split_once(r"\E").unwrap_or((body, ""));
        quoted.chars().for_each(|c| self.literal(c));
        self.rest = rest;
    }
}

struct Repetition<'p> {
    /// The rest where it begins.
    before: &'p str,
    operator: &'p str,
    /// The least and the most of counts in braces; `None` for no end.
    factor: Option<(u64, Option<u64>)>,
}

/// Reads `{2}`, `{2,}` or `{2,5}`: the least, the most where there is a comma, and the length.
#[expect(clippy::option_option, reason = "no comma and nothing behind the comma differ")]
fn counts(text: &str) -> Option<(u64, Option<Option<u64>>, usize)> {
    let (least, rest) = count(text.strip_prefix('{')?)?;
    let (most, rest) = match rest.strip_prefix(',') {
        None => (None, rest),
        Some(rest) if rest.starts_with('}') => (Some(None), rest),
        Some(rest) => count(rest).map(|(most, rest)| (Some(Some(most)), rest))?,
    };
    let rest = rest.strip_prefix('}')?;
    Some((least, most, text.len() - rest.len()))
}

/// A number without leading zeros.
fn count(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().unwrap_or(u64::MAX), rest))
}
