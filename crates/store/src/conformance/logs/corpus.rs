//! Lines of the shapes that real logs have, and needles cut out of them.

use super::super::random::Random;
use super::*;

const WORDS: [&str; 20] = [
    "connection",
    "refused",
    "GET",
    "user",
    "Login",
    "error",
    "timeout",
    "ERROR",
    "disk",
    "sda1",
    "retry",
    "über",
    "naïve",
    "日本",
    "cache_miss",
    "x",
    "upstream",
    "closed",
    "0x7f",
    "OutOfMemory",
];
const LEVELS: [&str; 4] = ["info", "warn", "error", "debug"];
/// Nanoseconds between the first and the last line, about.
pub(super) const SPAN_NS: i64 = 3_600_000_000_000;

/// `count` lines of a few streams within an hour of [`NOW_NS`], in random order of time.
pub(super) fn lines(seed: u64, count: usize) -> Vec<Line> {
    let mut random = Random::new(seed);
    let mut lines: Vec<Line> = (0..count).map(|i| one(&mut random, i)).collect();
    lines.extend(odd_lines());
    // Equal in everything would be a repeat, which brute force must not count twice.
    lines.sort();
    lines.dedup();
    random.shuffle(&mut lines);
    lines
}

fn one(random: &mut Random, i: usize) -> Line {
    let app = random.pick(&["web", "db", "cron"]);
    let host = random.pick(&["alpha", "beta"]);
    let level = random.pick(&LEVELS);
    let mut metadata = vec![("detected_level", level.to_owned())];
    if random.below(4) == 0 {
        metadata.push(("trace_id", format!("{:032x}", u128::from(random.next()) << 40)));
    }
    Line {
        labels: Labels::from_pairs([("app", app), ("host", host)]),
        timestamp_ns: NOW_NS + random.between(0, SPAN_NS),
        line: text(random, i, level),
        metadata: Labels::from_pairs(metadata),
    }
}

fn text(random: &mut Random, i: usize, level: &str) -> String {
    let words: Vec<&str> = (0..=random.below(8)).map(|_| random.pick(&WORDS)).collect();
    let number = random.next();
    let ip = format!("10.{}.{}.{}", random.below(256), random.below(256), random.below(256));
    match random.below(5) {
        0 => format!("level={level} msg=\"{}\" n={i} dur={}ms", words.join(" "), number % 10_000),
        1 => format!("{{\"level\":\"{level}\",\"id\":\"{number:016x}\",\"msg\":\"{}\"}}", words.join("-")),
        2 => format!("{ip} - - \"GET /api/v{}/{} HTTP/1.1\" {} {}", i % 3, words[0], 200 + i % 4, number),
        3 => format!("[{}] blk_{number} {}", words[0], words.join(" ")),
        _ => words.join(" "),
    }
}

/// Lines that break habits.
fn odd_lines() -> Vec<Line> {
    let texts = [
        String::new(),
        " ".to_owned(),
        "\u{0}\u{1}\t".to_owned(),
        "first\nsecond\r\nthird".to_owned(),
        "\u{1b}[31mred\u{1b}[0m".to_owned(),
        "🦀".repeat(50),
        "a".repeat(300),
        "needle in a long line ".repeat(700),
        format!("{}END", "0123456789abcdef".repeat(200)),
    ];
    let labels = Labels::from_pairs([("app", "odd")]);
    texts.iter().enumerate().map(|(i, text)| line(&labels, NOW_NS + i as i64 * 1_000_000_000, text)).collect()
}

/// A needle cut out of a random line at random byte offsets, not minding characters.
pub(super) fn cut(random: &mut Random, lines: &[Line]) -> Vec<u8> {
    let bytes = lines[random.below(lines.len())].line.as_bytes();
    let length = (1 + random.below(24)).min(bytes.len());
    let start = random.below(bytes.len() - length + 1);
    let mut needle = bytes[start..start + length].to_vec();
    match random.below(8) {
        0 => needle.make_ascii_uppercase(),
        1 => needle.push(b'Q'),
        _ => {}
    }
    needle
}
