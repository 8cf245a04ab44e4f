//! Line filters: the indexed answer is the brute-force answer.

use super::super::random::Random;
use super::*;
use regex::bytes::Regex;

const LINES: usize = 900;

fn write(subject: &mut LogSubject<'_>, seed: u64) -> Vec<Line> {
    let lines = corpus::lines(seed, LINES);
    let (old, new) = lines.split_at(lines.len() * 3 / 4);
    for chunk in old.chunks(250) {
        store_all(&**subject, chunk);
    }
    subject.settle();
    // Some lines are always young, so that both halves of a store answer together.
    store_all(&**subject, new);
    lines
}

fn matching(pattern: &str) -> LineFilter {
    LineFilter::Matches { pattern: pattern.to_owned(), regex: compile(pattern) }
}

fn not_matching(pattern: &str) -> LineFilter {
    LineFilter::MatchesNot { pattern: pattern.to_owned(), regex: compile(pattern) }
}

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the suite's patterns compile")
}

#[track_caller]
fn expect_filters(subject: &LogSubject<'_>, lines: &[Line], filters: Vec<LineFilter>) {
    expect_brute_force(&**subject, lines, &LogRequest { filters, ..everything() });
}

pub(super) fn needles_cut_anywhere_equal_brute_force(subject: &mut LogSubject<'_>) {
    let lines = write(subject, 31);
    let mut random = Random::new(32);
    for _ in 0..40 {
        let needle = corpus::cut(&mut random, &lines);
        expect_filters(subject, &lines, vec![LineFilter::ContainsAny(vec![needle.clone()])]);
        expect_filters(subject, &lines, vec![LineFilter::ContainsNone(vec![needle])]);
    }
    let fixed: [&[u8]; 8] =
        [b"", b" ", b"\n", b"\0", b"needle", b"END", "\u{e9}".as_bytes(), b"nowhere at all in the corpus"];
    for needle in fixed {
        expect_filters(subject, &lines, vec![LineFilter::ContainsAny(vec![needle.to_vec()])]);
    }
}

pub(super) fn regular_expressions_equal_brute_force(subject: &mut LogSubject<'_>) {
    let lines = write(subject, 33);
    for pattern in [
        "",
        ".*",
        "error",
        "(?i)error",
        "(?i)ÜBER",
        "conn.*refused",
        "refused|timeout|日本",
        "(error|warn).*(disk|cache_miss)",
        "^level=(info|debug)",
        "[0-9]{3,}ms$",
        r"\bdisk\b",
        r"blk_\d+9 ",
        r"(?-u:\xf0\x9f)",
        "^$",
        "[^ -~]",
        "(?s)first.second",
        "(?m)^second",
        "x?y?z?",
        "nowhere(at)?all",
        "sda1|$^",
        r"10\.\d+\.\d+\.1\d",
        "(disk )+disk",
    ] {
        expect_filters(subject, &lines, vec![matching(pattern)]);
        expect_filters(subject, &lines, vec![not_matching(pattern)]);
    }
}

pub(super) fn combined_filters_equal_brute_force(subject: &mut LogSubject<'_>) {
    let lines = write(subject, 34);
    let mut random = Random::new(35);
    for _ in 0..30 {
        let mut filters = Vec::new();
        for _ in 0..=random.below(3) {
            let needles = (0..=random.below(2)).map(|_| corpus::cut(&mut random, &lines)).collect();
            filters.push(match random.below(5) {
                0 => LineFilter::ContainsNone(needles),
                1 => matching(random.pick(&["(?i)err", "user|GET", "[a-f0-9]{16}", "level="])),
                2 => not_matching(random.pick(&["retry", "^.{0,20}$", r"\d+"])),
                _ => LineFilter::ContainsAny(needles),
            });
        }
        let start = NOW_NS + random.between(0, corpus::SPAN_NS);
        let part = TimeRange::new(start, start + random.between(0, corpus::SPAN_NS));
        let range = random.pick(&[TimeRange::ALL, part]);
        let matchers = match random.below(3) {
            0 => vec![equal("app", "web")],
            1 => vec![matcher("host", MatchOp::NotRegex, "alp.*")],
            _ => Vec::new(),
        };
        expect_brute_force(&**subject, &lines, &LogRequest { matchers, range, filters, ..everything() });
    }
}

pub(super) fn rare_identifiers_are_found(subject: &mut LogSubject<'_>) {
    let lines = write(subject, 36);
    let mut random = Random::new(37);
    for _ in 0..15 {
        let text = &lines[random.below(lines.len())].line;
        let tokens: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|t| t.len() > 5).collect();
        let Some(token) = tokens.last() else { continue };
        expect_filters(subject, &lines, vec![contains(token)]);
        // Part of an identifier, and an identifier that no line has.
        expect_filters(subject, &lines, vec![LineFilter::ContainsAny(vec![token.as_bytes()[1..].to_vec()])]);
        expect_filters(subject, &lines, vec![contains(&format!("{token}{token}"))]);
    }
}

pub(super) fn metadata_hints_lose_no_rows(subject: &mut LogSubject<'_>) {
    let lines = write(subject, 38);
    let traces: Vec<&Line> = lines.iter().filter(|line| line.metadata.get("trace_id").is_some()).collect();
    let mut hints = vec![("detected_level", "warn"), ("trace_id", "absent"), ("absent", "x")];
    hints.extend(traces.iter().take(5).map(|line| ("trace_id", line.metadata.value("trace_id"))));
    for (name, value) in hints {
        let request =
            LogRequest { metadata_hints: vec![(name.to_owned(), value.to_owned())], ..everything() };
        let has = |line: &Line| line.metadata.get(name) == Some(value);
        let found = scan(&**subject, &request).iter().filter(|(_, line)| has(line)).count();
        assert_eq!(found, lines.iter().filter(|line| has(line)).count(), "{name}={value}");
    }
}
