//! Stages, one line at a time.

use super::*;
use crate::{ast::Expr, parse};

/// Runs one line of `{app="x", env="prod"}` with metadata `trace="7"` through the stages and shows
/// what comes out: the line, then the labels that were not there before.
fn run(stages: &str, line: &str) -> Option<String> {
    let Expr::Log(log) = parse(&format!("{{app=\"x\"}} {stages}")).unwrap() else {
        panic!("a log query");
    };
    let pipeline = Pipeline::compile(&log.stages).unwrap();
    let stream = Labels::from_pairs([("app", "x"), ("env", "prod")]);
    let metadata = Labels::from_pairs([("trace", "7")]);
    let mut scratch = Scratch::default();
    pipeline.load(&mut scratch, StreamId(1), &stream, metadata.as_ref());
    if !pipeline.run(&mut scratch, 1_000_000_000, line) {
        return None;
    }
    let before = [("app", "x"), ("env", "prod"), ("trace", "7")];
    let mut labels: Vec<_> = scratch
        .labels
        .iter()
        .filter(|(name, value, _)| !before.contains(&(*name, *value)) && *name != "__error_details__")
        .map(|(name, value, _)| format!("{name}={value}"))
        .collect();
    labels.sort();
    let mut parts = vec![scratch.line(line).to_owned()];
    parts.append(&mut labels);
    Some(parts.join(" | "))
}

fn check(stages: &str, line: &str, expected: Option<&str>) {
    assert_eq!(run(stages, line).as_deref(), expected, "{stages} on {line}");
}

#[test]
fn line_filters() {
    for (stages, passes) in [
        (r#"|= "GET""#, true),
        (r#"|= "get""#, false),
        (r#"|~ "(?i)get""#, true),
        (r#"!~ "GET|PUT""#, false),
        (r#"!= "a" or "b""#, true),
        (r#"!= "a" or "G""#, false),
        (r#"|= "nope" or "GET""#, true),
        (r#"|> "GET <_> 200""#, true),
        (r#"!> "GET <_> 200""#, false),
        (r#"|= ip("10.0.0.0/8")"#, true),
        (r#"!= ip("10.0.0.0/8")"#, false),
    ] {
        check(stages, "GET /10.1.2.3 200", passes.then_some("GET /10.1.2.3 200"));
    }
}

/// As the store decides them: what one leaves open ends with it.
#[test]
fn alternatives_of_a_line_filter_are_expressions_by_themselves() {
    for (stages, line, passes) in [
        (r"|~ `\QGET /` or `^x$`", "GET /", true),
        (r"|~ `\QGET /` or `^x$`", "x", true),
        (r"!~ `\QGET /` or `^x$`", "x", false),
        (r"|~ `(?i)a` or `b`", "B", false),
        (r"|~ `(?P<n>a)` or `(?P<n>b)`", "b", true),
    ] {
        let Expr::Log(log) = parse(&format!("{{app=\"x\"}} {stages}")).unwrap() else {
            panic!("a log query");
        };
        check(stages, line, passes.then_some(line));
        let pipeline = Pipeline::compile_with(&log.stages, Hints::default(), true).unwrap();
        let [filter] = pipeline.store_filters.as_slice() else { panic!("one filter for the store") };
        assert_eq!(filter.passes(line.as_bytes()), passes, "{stages} on {line}");
    }
}

#[test]
fn parsers() {
    let json = r#"{"a":{"b":1},"app":"y","n":null,"l":[1],"s":"x\"y","t":true}"#;
    check("| json", json, Some(&format!("{json} | a_b=1 | app_extracted=y | s=x\"y | t=true")));
    check(r#"| json v="a.b", w="l[0]""#, json, Some(&format!("{json} | v=1 | w=1")));
    check("| json", "no", Some("no | __error__=JSONParserErr"));
    check("| logfmt", "a=1 b=\"two words\" c", Some("a=1 b=\"two words\" c | a=1 | b=two words"));
    check("| logfmt --strict", "a=1 =x", Some("a=1 =x | __error__=LogfmtParserErr | a=1"));
    check(r#"| regexp "(?P<m>\\w+) (?P<p>\\S+)""#, "GET /", Some("GET / | m=GET | p=/"));
    check(r#"| pattern "<m> <_> <s>""#, "GET / 200", Some("GET / 200 | m=GET | s=200"));
    check("| unpack", r#"{"_entry":"inner","pod":"p"}"#, Some("inner | pod=p"));
}

#[test]
fn label_filters() {
    let line = "status=500 took=1.5s size=2KiB";
    for (filter, passes) in [
        ("status=500", true),
        ("status>=400 and status<500", false),
        ("took>1s, size>=2KiB", true),
        ("status=200 or took>1s", true),
        ("(status=200 or took>1s) size<1KB", false),
        (r#"status=~"5..""#, true),
        (r#"nosuch="""#, true),
        ("nosuch>1", false),
        (r#"trace="7""#, true),
    ] {
        assert_eq!(run(&format!("| logfmt | {filter}"), line).is_some(), passes, "{filter}");
    }
    check("| app > 5", "x", Some("x | __error__=LabelFilterErr"));
    check(r#"| app > 5 | __error__="""#, "x", None);
}

#[test]
fn formats_and_labels() {
    check(r#"| line_format "{{.app}}-{{__line__ | upper}}""#, "a", Some("x-A"));
    check(r#"| label_format svc=app, copy=`{{.env}}!`"#, "a", Some("a | copy=prod! | svc=x"));
    check(r#"| line_format "{{ div 1 0 }}""#, "a", Some("a | __error__=TemplateFormatErr"));
    check("| json | drop __error__", "no", Some("no"));
    check("| logfmt | keep a", "a=1 b=2", Some("a=1 b=2 | a=1"));
    check("| decolorize", "\x1b[31mred\x1b[0m", Some("red"));
}

#[test]
fn line_filters_run_first_unless_the_line_changes() {
    check(r#"| line_format "changed" |= "only""#, "only", None);
    check(r#"| label_format a="b" |= "only""#, "only", Some("only | a=b"));
    check(r#"| unpack |= "_entry""#, r#"{"_entry":"x"}"#, None);
}

#[test]
fn a_row_leaves_nothing_to_the_next() {
    let pipeline =
        Pipeline::compile(&[Stage::Logfmt { strict: true, keep_empty: false, extractions: vec![] }]).unwrap();
    let stream = Labels::from_pairs([("app", "x")]);
    let mut scratch = Scratch::default();
    for (line, expected) in [("a=1 =", 4), ("b=2", 2), ("", 1)] {
        pipeline.load(&mut scratch, StreamId(1), &stream, LabelsRef::from_trusted_bytes(&[]));
        assert!(pipeline.run(&mut scratch, 0, line));
        assert_eq!(scratch.labels.iter().count(), expected, "{line}");
    }
}

#[test]
fn scripted_lines() {
    let script = include_str!("../../testdata/stages.test");
    let mut cases = 0;
    let lines: Vec<&str> = script.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    for case in lines.chunks(3) {
        let [stages, line, expected] = case else { panic!("three lines a case: {case:?}") };
        let expected = expected.strip_prefix("> ").expect("the third line begins with `> `");
        let line = line.replace("\\e", "\x1b");
        check(stages, &line, (expected != "-").then_some(expected));
        cases += 1;
    }
    assert!(cases > 50, "{cases} cases");
}
