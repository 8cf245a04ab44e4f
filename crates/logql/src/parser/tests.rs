//! What parses, how it prints, and what is refused.

use super::*;

fn check(query: &str, printed: &str) {
    assert_eq!(parse(query).map(|expr| expr.to_string()).as_deref(), Ok(printed), "{query}");
}

fn check_error(query: &str, expected: &str) {
    assert_eq!(parse(query).unwrap_err().to_string(), expected, "{query}");
}

#[test]
fn queries_print_in_their_canonical_form() {
    for (query, printed) in [
        (r#"{ app = "x" ,b=~"y" }"#, r#"{app="x", b=~"y"}"#),
        (r#"{app="x"} |= "a" or "b" != `c` |~ "d""#, r#"{app="x"} |= "a" or "b" != "c" |~ "d""#),
        (
            r#"{app="x"} |= ip("10.0.0.0/8") | json a="b.c", d"#,
            r#"{app="x"} |= ip("10.0.0.0/8") | json a="b.c",d="d""#,
        ),
        (r#"{app="x"}|logfmt --strict --keep-empty a"#, r#"{app="x"} | logfmt --strict --keep-empty a="a""#),
        (r#"{app="x"} | a=1 or b>5s and c<=1KB"#, r#"{app="x"} | ( a=1 or ( b>5s , c<=1.0kB ) )"#),
        (
            r#"{app="x"} | drop e,f="g" | keep h | decolorize | unpack"#,
            r#"{app="x"} | drop e,f="g" | keep h | decolorize | unpack"#,
        ),
        (
            r#"{app="x"} | label_format a=b, c=`{{.d}}` | line_format "x""#,
            r#"{app="x"} | label_format a=b,c="{{.d}}" | line_format "x""#,
        ),
        (r#"sum by(a)(rate({app="x"}|="y"[5m]))"#, r#"sum by (a)(rate({app="x"} |= "y"[5m]))"#),
        (r#"sum(rate({app="x"}[5m]))by(a)"#, r#"sum by (a)(rate({app="x"}[5m]))"#),
        (r#"rate({app="x"}[1h30m] offset 5m |= "z")"#, r#"rate({app="x"} |= "z"[1h30m] offset 5m0s)"#),
        (
            r#"quantile_over_time(0.99,{app="x"}|unwrap duration(a)|__error__=""[5m])by(b)"#,
            r#"quantile_over_time(0.99,{app="x"} | unwrap duration(a) | __error__=""[5m]) by (b)"#,
        ),
        (r#"topk(3, rate({app="x"}[1d]))"#, r#"topk(3,rate({app="x"}[1d]))"#),
        ("1 + 2 * 3 ^ 2", "19"),
        ("-1", "-1"),
        (
            r#"(rate({a="x"}[5m]) > bool 1) and on(a) group_left(b) rate({a="y"}[5m])"#,
            r#"((rate({a="x"}[5m]) > bool 1) and on (a) group_left (b) rate({a="y"}[5m]))"#,
        ),
        (
            r#"label_replace(rate({a="x"}[5m]),"a","$1","b","(.*)")"#,
            r#"label_replace(rate({a="x"}[5m]),"a","$1","b","(.*)")"#,
        ),
        ("# comment\n{a=\"b\"} # more", r#"{a="b"}"#),
    ] {
        check(query, printed);
        check(printed, printed);
    }
}

#[test]
fn operators_bind_as_in_prometheus() {
    check(
        r#"vector(1) - vector(2) - vector(3)"#,
        "((vector(1.000000) - vector(2.000000)) - vector(3.000000))",
    );
    check(
        r#"vector(1) or vector(2) and vector(3)"#,
        "(vector(1.000000) or (vector(2.000000) and vector(3.000000)))",
    );
    check(
        r#"vector(1) + vector(2) > vector(3)"#,
        "((vector(1.000000) + vector(2.000000)) > vector(3.000000))",
    );
}

#[test]
fn mistakes_have_places() {
    for (query, expected) in [
        ("", "parse error : syntax error: unexpected $end"),
        ("{", "parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }"),
        (r#"{app="x"} "y""#, "parse error at line 1, col 11: syntax error: unexpected STRING"),
        ("{app=x}", "parse error at line 1, col 6: syntax error: unexpected IDENTIFIER, expecting STRING"),
        (r#"{app="x"} | unwrap a"#, "parse error at line 1, col 13: syntax error: unexpected unwrap"),
        (r#"sum({app="x"})"#, "parse error at line 1, col 14: syntax error: unexpected )"),
        (
            "{a=\"b\"}\n|= c",
            "parse error at line 2, col 4: syntax error: unexpected IDENTIFIER, expecting STRING or ip",
        ),
        (
            r#"rate({app="x"}[5m] offset)"#,
            "parse error at line 1, col 26: syntax error: unexpected ), expecting DURATION",
        ),
        ("+", "parse error at line 1, col 2: syntax error: unexpected $end, expecting NUMBER"),
    ] {
        check_error(query, expected);
    }
}

#[test]
fn queries_must_make_sense() {
    for (query, expected) in [
        (
            r#"{app=~".*"}"#,
            "parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will",
        ),
        (r#"avg_over_time({app="x"}[5m])"#, "parse error : invalid aggregation avg_over_time without unwrap"),
        (
            r#"count_over_time({app="x"}|unwrap a[5m])"#,
            "parse error : invalid aggregation count_over_time with unwrap",
        ),
        (
            r#"sum_over_time({app="x"}|unwrap a[5m]) by (b)"#,
            "parse error : grouping not allowed for sum_over_time aggregation",
        ),
        (r#"topk(rate({app="x"}[5m]))"#, "parse error : parameter required for operation topk"),
        (
            r#"topk(0, rate({app="x"}[5m]))"#,
            "parse error : invalid parameter (must be greater than 0) topk(0",
        ),
        (
            r#"{app="x"} and {app="y"}"#,
            "parse error : unexpected type for left leg of binary operation (and): *syntax.MatchersExpr",
        ),
        (
            r#"{app="x"} | label_format a=b, a=c"#,
            "parse error : stage '| label_format a=b,a=c' : multiple label name 'a' not allowed in a single format operation",
        ),
        (
            r#"{app="x"} |= ip("999.1.1.1")"#,
            "parse error : stage '|= ip(\"999.1.1.1\")' : ip: invalid pattern: \"999.1.1.1\"",
        ),
    ] {
        check_error(query, expected);
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = format!("{}1{}", "(".repeat(5000), ")".repeat(5000));
    check_error(&deep, "parse error at line 1, col 101: query nests too deeply");
    let long = format!("{{a=\"{}\"}}", "x".repeat(QUERY_BYTES_MAX));
    assert!(parse(&long).unwrap_err().to_string().contains("max query length exceeded"));
}

#[test]
fn hostile_queries_are_refused_before_they_cost_anything() {
    let repeated = |head: &str, part: &str, count: usize| format!("{head}{}", part.repeat(count));
    for (query, expected) in [
        (repeated("vector(1)", "+vector(1)", 5000), "more than 300 operators"),
        (repeated("{a=\"b\"}|a=1", " a=1", 10_000), "more than 300 conditions"),
        (repeated("vector(1)", "+sum(rate({a=\"b\"}|json[1m]))", 400), "more than 300 operators"),
        (repeated("{a=\"b\"}", "|a=1", 10_000), "10000 stages, more than 1000"),
        (repeated("{a=\"b\"}", "|json", 10_000), "10000 stages, more than 1000"),
        (repeated("{a=\"b\"}", "|~\"x\" or \"y\"", 600), "1200 regular expressions, more than 1000"),
        (repeated("{a=\"b\"}", "|~`\\pL{900}`", 100), "large regular expressions"),
        (repeated("{a=\"b\"}", "|a=~`\\pL{900}`", 100), "large regular expressions"),
        (
            repeated("", "label_replace(", 100)
                + "rate({a=\"b\"}[1m])"
                + &repeated("", ",`a`,``,`b`,`\\pL{500}`)", 100),
            "large regular expressions",
        ),
        (repeated("{a=\"b\"}|~`", "(", 60_000) + "`", "error parsing regexp"),
        (repeated("{a=\"b\"}|~`", "(x{1000}){1000}", 1) + "`", "stage"),
        (repeated("{a=\"b\"}|line_format `", "{{if .a}}", 10_000) + "`", "line_format"),
        (repeated("{a=\"b\"}|line_format `{{", "(", 50_000) + "`", "line_format"),
        (repeated("", "sum(", 30_000), "nests too deeply"),
        (repeated("{a=\"b\"}|", "(", 100_000), "nests too deeply"),
        (repeated("{a=\"b\"}|json x=`", "[0]", 40_000) + "`", ""),
    ] {
        let shown: String = query.chars().take(40).collect();
        match parse(&query) {
            Err(error) => assert!(error.to_string().contains(expected), "{shown}: {error:.200}"),
            Ok(_) => assert_eq!(expected, "", "{shown}"),
        }
    }
}

#[test]
fn long_but_honest_queries_are_parsed_and_printed() {
    let repeated = |head: &str, part: &str, count: usize| format!("{head}{}", part.repeat(count));
    for query in [
        repeated("{a=\"b\"}", "|a=1", 900),
        repeated("{a=\"b\"}|a=1", " or a=1", 299),
        repeated("vector(1)", "+vector(1)", 300),
        repeated("{a=\"b\"}|=`x`", " or `y`", 900),
        repeated("{a=~`x", "|alternative", 9_000) + "`}",
    ] {
        let expr = parse(&query).unwrap();
        assert!(expr.to_string().len() > 1000);
    }
}

#[test]
fn selectors_alone_may_be_empty() {
    assert_eq!(parse_matchers("{}").unwrap(), []);
    assert_eq!(parse_matchers(r#"{a="b"}"#).unwrap().len(), 1);
    assert!(parse_matchers(r#"{a="b"} |= "c""#).is_err());
}
