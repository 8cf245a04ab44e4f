//! Whatever is thrown at the engine, it answers.

use crate::{Map, Template, Value, format_time, functions, parse_time, sprintf};
use proptest::prelude::*;

/// Pieces that templates are made of, so that random joins get far.
const PIECES: [&str; 34] = [
    "{{",
    "}}",
    "{{-",
    "-}}",
    " ",
    "if",
    "else",
    "end",
    "range",
    "with",
    ".a",
    ".b",
    "$",
    "$x",
    ":=",
    "=",
    "|",
    "(",
    ")",
    "printf",
    "\"%d %s\"",
    "index",
    "len",
    "eq",
    "1",
    "1.5",
    "\"text\"",
    "define",
    "template",
    "block",
    "break",
    "/*",
    "*/",
    "text",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_template_runs_or_is_refused(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..25)) {
        for text in [pieces.concat(), pieces.join(" "), format!("{{{{ {} }}}}", pieces.join(" "))] {
            if let Ok(template) = Template::parse("t", &text, &functions::loki()) {
                let data = Value::from(Map::of_values([("a", Value::from("x")), ("b", Value::list([Value::Int(1)]))]));
                drop(template.execute(&data));
            }
        }
    }

    #[test]
    fn any_format_prints(format in "[%a-zA-Z0-9#+ .*\\[\\]-]{0,20}", number in any::<i64>(), float in any::<f64>(), text in "\\PC{0,10}") {
        sprintf(&format, &[Value::Int(number), Value::Float(float), Value::from(text), Value::Nil]);
    }

    #[test]
    fn any_layout_formats_and_parses(layout in "\\PC{0,30}", text in "\\PC{0,30}", seconds in -60_000_000_000i64..200_000_000_000) {
        let time = jiff::Timestamp::from_second(seconds).unwrap().to_zoned_datetime(jiff::tz::TimeZone::UTC);
        format_time(&time, &layout);
        drop(parse_time(&layout, &text, &jiff::tz::TimeZone::UTC));
    }

    #[test]
    fn times_round_trip(seconds in 0i64..4_000_000_000) {
        let time = jiff::Timestamp::from_second(seconds).unwrap().to_zoned_datetime(jiff::tz::TimeZone::UTC);
        for layout in ["2006-01-02T15:04:05Z07:00", "Mon Jan _2 15:04:05 2006", "02 Jan 06 3:04:05PM -0700"] {
            let parsed = parse_time(layout, &format_time(&time, layout), &jiff::tz::TimeZone::UTC);
            let two_digit_year = !layout.contains("2006");
            if two_digit_year && !(1969..2069).contains(&time.year()) {
                continue;
            }
            prop_assert_eq!(parsed.map(|parsed| parsed.timestamp()), Ok(time.timestamp()), "{}", layout);
        }
    }
}
