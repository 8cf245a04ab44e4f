//! Whatever is thrown at parser and pipelines, they answer.

use crate::{
    ast::{Expr, Stage},
    parse,
    pipeline::{Pipeline, Scratch},
};
use model::{Labels, LabelsRef};
use proptest::prelude::*;
use store::StreamId;

/// Pieces that queries are made of, so that random joins get far into the parser.
const PIECES: [&str; 40] = [
    "{",
    "}",
    "(",
    ")",
    "app",
    "=",
    "!=",
    "=~",
    "|=",
    "|~",
    "|>",
    "!>",
    "\"x\"",
    "`y`",
    "|",
    "json",
    "logfmt",
    "unwrap",
    "label_format",
    "line_format",
    "drop",
    "keep",
    "rate",
    "sum",
    "by",
    "topk",
    "5",
    "5m",
    "[5m]",
    "1KB",
    "offset",
    ",",
    "and",
    "or",
    "+",
    "-",
    "ip",
    "bool",
    "on",
    "{app=\"x\"}",
];

const STAGES: [&str; 9] = [
    "| json",
    "| json a=\"b.c[0]\", d",
    "| logfmt",
    "| logfmt --strict --keep-empty a, b",
    "| pattern \"<a> <_> [<b>]\"",
    "| regexp \"(?P<a>\\\\w+)=(?P<b>.*)\"",
    "| unpack",
    "| decolorize",
    "| line_format \"{{.a}} {{__line__}}\" | label_format c=a | a > 5 or b=ip(\"10.0.0.0/8\") | drop a | keep b",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_parses_or_is_refused(text in "\\PC{0,60}") {
        drop(parse(&text));
    }

    #[test]
    fn joined_pieces_parse_or_are_refused(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..25)) {
        let text = pieces.join(" ");
        if let Ok(expr) = parse(&text) {
            // What prints must be read back as the same query.
            let printed = expr.to_string();
            prop_assert_eq!(parse(&printed).map(|again| again.to_string()), Ok(printed));
        }
    }

    #[test]
    fn stages_take_any_line(stage in prop::sample::select(&STAGES[..]), line in "[\\PC\n\t\"{}:,=\\[\\]\\\\]{0,80}") {
        let Ok(Expr::Log(log)) = parse(&format!("{{app=\"x\"}} {stage}")) else {
            return Err(TestCaseError::fail("the stage is well formed"));
        };
        let stages: Vec<Stage> = log.stages;
        let pipeline = Pipeline::compile(&stages).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let mut scratch = Scratch::default();
        let stream = Labels::from_pairs([("app", "x")]);
        pipeline.load(&mut scratch, StreamId(0), &stream, LabelsRef::from_trusted_bytes(&[]));
        pipeline.run(&mut scratch, 0, &line);
        let mut names: Vec<_> = scratch.labels.iter().map(|(name, _, _)| name.to_owned()).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), count, "a name occurs once");
    }
}
