use super::*;
use crate::{bytes::Damaged, part::section::SectionBytes, tokens};
use memchr::memmem;
use proptest::prelude::*;

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "(error|GET|user|blk_|é|日本|_|host|ms|\\x1b\\[0m|\\x00|\n|\u{10ffff})",
        3 => "[0-9]{1,3}",
        1 => "[0-9]{1,25}",
        1 => "0{1,3}[0-9]{1,4}",
        1 => "[0-9a-f]{8}",
        1 => "[0-9A-F]{7}",
        1 => "[0-9a-fA-F]{1,6}",
        1 => "(host|x)[0-9]{1,2}(ms|s|)",
        1 => "18446744073709551615|9999999999999999999|00000000000000000000",
        1 => "[+-][0-9]{1,4}",
        1 => ".{0,6}",
    ]
}

/// Lines of few shapes, so that templates have rows.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let shape = prop::collection::vec((word(), "( |:|=|\"|\n|-|)"), 0..6);
    (
        prop::collection::vec(shape, 1..4),
        prop::collection::vec((0usize..4, any::<u32>(), any::<u64>()), 0..60),
    )
        .prop_map(|(shapes, rows)| {
            rows.into_iter()
                .map(|(shape, small, large)| fill(&shapes[shape % shapes.len()], small, large))
                .collect()
        })
}

/// A shape's text with some of its digits drawn anew.
fn fill(shape: &[(String, String)], small: u32, large: u64) -> String {
    let (mut text, mut digits) = (String::new(), large);
    for (index, (word, gap)) in shape.iter().enumerate() {
        for letter in word.chars() {
            let is_redrawn = letter.is_ascii_digit() && small >> index & 1 == 1;
            text.push(if is_redrawn { char::from(b'0' + (digits % 10) as u8) } else { letter });
            if is_redrawn {
                digits = digits.rotate_right(5) ^ 0x5bd1;
            }
        }
        text.push_str(gap);
    }
    text
}

fn open(lines: &[String], rows: Range<usize>) -> (EncodedLines, Vec<u8>) {
    let text = lines.concat().into_bytes();
    let lengths: Vec<u32> = lines.iter().map(|line| line.len() as u32).collect();
    let mut parsed = Parsed::default();
    parsed.parse(&text, &lengths);
    let frame = encode(&parsed, &text, rows.clone());
    (coded(&frame, rows.len()).unwrap(), frame.dense)
}

fn coded(frame: &EncodedFrame, rows: usize) -> Result<EncodedLines, Damaged> {
    FrameHead::open(SectionBytes::Own(frame.head()))?.coded(
        SectionBytes::Own(frame.codes.clone()),
        rows,
        frame.dense.len(),
    )
}

/// The rows that may have the text, after a look at the head alone.
fn candidates(lines: &EncodedLines, wanted: &Wanted) -> Vec<(u32, Verdict)> {
    let judgement = lines.head.judge(std::slice::from_ref(wanted));
    let found = judgement.rows(lines, 0..lines.rows());
    assert_eq!(judgement.is_hopeless(), found.is_empty());
    if judgement.is_certain() {
        let middle = lines.rows() / 2;
        let halves = judgement.count(lines, 0..middle) + judgement.count(lines, middle..lines.rows());
        assert_eq!(halves, found.len() as u64);
    }
    found
}

fn read(lines: EncodedLines, dense: Vec<u8>) -> Vec<String> {
    let ready = lines.ready(dense).unwrap();
    let mut line = Vec::new();
    (0..ready.rows())
        .map(|row| {
            line.clear();
            ready.put(row, &mut line);
            String::from_utf8(line.clone()).unwrap()
        })
        .collect()
}

use std::ops::Range;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn every_line_comes_back(lines in lines(), cut in 0usize..60) {
        let cut = cut.min(lines.len());
        for rows in [0..lines.len(), 0..cut, cut..lines.len()] {
            let (encoded, dense) = open(&lines, rows.clone());
            prop_assert_eq!(&read(encoded, dense)[..], &lines[rows]);
        }
    }

    #[test]
    fn no_row_with_the_text_is_ruled_out(lines in lines(), row in 0usize..60, at in 0usize..40, length in 1usize..9) {
        let (encoded, dense) = open(&lines, 0..lines.len());
        let Some(line) = lines.get(row) else { return Ok(()) };
        let at = at.min(line.len());
        let needle = &line.as_bytes()[at..(at + length).min(line.len())];
        let found = candidates(&encoded, &Wanted::new(needle, false));
        for (row, line) in lines.iter().enumerate() {
            let has = memmem::find(line.as_bytes(), needle).is_some();
            let verdict = found.iter().find(|(found, _)| *found as usize == row).map_or(Verdict::No, |found| found.1);
            match verdict {
                Verdict::Yes => prop_assert!(has, "{:?} in {:?}", needle, line),
                Verdict::No => prop_assert!(!has, "{:?} in {:?}", needle, line),
                Verdict::Maybe => {}
            }
        }
        let folded = |text: &[u8]| {
            let mut folded = Vec::new();
            tokens::fold(text, &mut folded);
            folded
        };
        let needle = folded(needle);
        let found = candidates(&encoded, &Wanted::new(&needle, true));
        for (row, line) in lines.iter().enumerate() {
            let is_found = found.iter().any(|(found, _)| *found as usize == row);
            let has = memmem::find(&folded(line.as_bytes()), &needle).is_some();
            prop_assert!(is_found || !has, "{:?} in {:?}", needle, line);
        }
        let needle = &line.as_bytes()[at..(at + length).min(line.len())];
        let wanted = Wanted::new(needle, false);
        let mut found = candidates(&encoded, &wanted);
        encoded.ready(dense).unwrap().narrow(&[wanted], &mut found);
        for (row, line) in lines.iter().enumerate() {
            let is_found = found.iter().any(|(found, _)| *found as usize == row);
            let has = memmem::find(line.as_bytes(), needle).is_some();
            prop_assert!(is_found || !has, "{:?} in {:?}", needle, line);
        }
    }

    #[test]
    fn damage_never_panics(lines in lines(), flips in prop::collection::vec((any::<u16>(), any::<u8>()), 1..4)) {
        let text = lines.concat().into_bytes();
        let lengths: Vec<u32> = lines.iter().map(|line| line.len() as u32).collect();
        let mut parsed = Parsed::default();
        parsed.parse(&text, &lengths);
        let frame = encode(&parsed, &text, 0..lines.len());
        let (mut head, mut codes) = (frame.head(), frame.codes.clone());
        for (at, byte) in flips {
            let at = usize::from(at) % (head.len() + codes.len());
            match at.checked_sub(head.len()) {
                Some(at) => codes[at] = byte,
                None => head[at] = byte,
            }
        }
        let damaged = FrameHead::open(SectionBytes::Own(head)).and_then(|head| {
            head.judge(&[Wanted::new(b"error", false), Wanted::new(b"7", true)]);
            head.coded(SectionBytes::Own(codes), lines.len(), frame.dense.len())?.ready(frame.dense.clone())
        });
        if let Ok(ready) = damaged {
            let mut line = Vec::new();
            (0..ready.rows()).for_each(|row| ready.put(row, &mut line));
        }
    }
}

#[test]
fn structure_is_found() {
    let lines: Vec<String> = (0..1000u64)
        .map(|n| {
            let id = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            format!(
                "at {:06} took {}ms id={id:016x} status={} host{}",
                n / 3,
                n * n % 1777,
                200 + n % 3,
                n % 7
            )
        })
        .collect();
    let text = lines.concat().into_bytes();
    let lengths: Vec<u32> = lines.iter().map(|line| line.len() as u32).collect();
    let mut parsed = Parsed::default();
    parsed.parse(&text, &lengths);
    assert_eq!(parsed.templates(), 1);
    let frame = encode(&parsed, &text, 0..lines.len());
    // The template and seven hosts; three codes a row; an id of 64, a time of 11, a step of 2 bits.
    assert!(frame.head().len() < 200, "{}", frame.head().len());
    assert_eq!(frame.codes.len(), 3000);
    assert!(frame.dense.len() <= 1000 * (64 + 11 + 2) / 8 + 3, "{}", frame.dense.len());
    let encoded = coded(&frame, 1000).unwrap();
    let verdict =
        |text: &str| candidates(&encoded, &Wanted::new(text.as_bytes(), false)).first().map(|found| found.1);
    assert_eq!(verdict("took"), Some(Verdict::Yes));
    assert_eq!(verdict("ms"), Some(Verdict::Maybe));
    assert_eq!(verdict("rror"), None);
    assert_eq!(verdict("ms i"), Some(Verdict::Maybe));
    assert_eq!(verdict("37"), Some(Verdict::Maybe));
    let id = |n: u64| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let wanted = Wanted::new(format!("ms id={} status", id(77)).as_bytes(), false);
    let mut found = candidates(&encoded, &wanted);
    assert_eq!(found.len(), 1000, "any row may have an id like it");
    encoded.ready(frame.dense.clone()).unwrap().narrow(&[wanted], &mut found);
    assert_eq!(found, [(77, Verdict::Maybe)]);
}
