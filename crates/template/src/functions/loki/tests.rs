//! The functions of LogQL's templates, by their documented examples and the edges that Go, sprig
//! and Loki have between them.

use crate::{Functions, Map, Template, Value, functions};

fn check(functions: &Functions, text: &str, expected: Result<&str, &str>) {
    let template = Template::parse("t", text, functions).unwrap_or_else(|error| panic!("{text}: {error}"));
    let data = Value::from(Map::of_strings([("line", "  Level=WARN took 1.5s  "), ("empty", "")]));
    let found = template.execute(&data).map_err(|error| error.to_string());
    match (found, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
        (Err(found), Err(expected)) => assert!(found.contains(expected), "{text}: {found}"),
        (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
    }
}

const GOLDEN: &[(&str, &str)] = &[
    // Cases and trimming; Loki's take the text first, sprig's last.
    (r#"{{ ToLower "ABC" }}{{ "ABC" | lower }}"#, "abcabc"),
    (r#"{{ ToUpper "äbc" }}{{ "abc" | upper }}"#, "ÄBCABC"),
    (r#"{{ title "hello big world" }}"#, "Hello Big World"),
    (r#"[{{ TrimSpace .line }}]"#, "[Level=WARN took 1.5s]"),
    (r#"[{{ trim "  x " }}]"#, "[x]"),
    (r#"{{ Trim "--x--" "-" }} {{ TrimLeft "--x--" "-" }} {{ TrimRight "--x--" "-" }}"#, "x x-- --x"),
    (r#"{{ TrimPrefix "v1.2" "v" }} {{ TrimSuffix "a.log" ".log" }}"#, "1.2 a"),
    (
        r#"{{ trimAll "$" "$5.00$" }} {{ trimPrefix "-" "-hello" }} {{ trimSuffix "-" "hello-" }}"#,
        "5.00 hello hello",
    ),
    // Cutting and padding.
    (r#"{{ substr 0 5 "hello world" }}|{{ substr 6 -1 "hello world" }}"#, "hello|world"),
    (r#"{{ trunc 5 "hello world" }}|{{ trunc -5 "hello world" }}|{{ trunc 50 "x" }}"#, "hello|world|x"),
    (r#"[{{ alignLeft 5 "hi" }}] [{{ alignLeft 5 "hello world" }}]"#, "[hi   ] [hello]"),
    (r#"[{{ alignRight 5 "hi" }}] [{{ alignRight 5 "hello world" }}]"#, "[   hi] [world]"),
    (r#"[{{ indent 2 "a\nb" }}] [{{ nindent 1 "a" }}]"#, "[  a\n  b] [\n a]"),
    (r#"{{ repeat 3 "ab" }}[{{ repeat 0 "ab" }}]"#, "ababab[]"),
    // Replacing and finding.
    (r#"{{ Replace "a-b-c" "-" "+" 1 }} {{ Replace "a-b-c" "-" "+" -1 }}"#, "a+b-c a+b+c"),
    (r#"{{ "I Am Henry VIII" | replace " " "-" }}"#, "I-Am-Henry-VIII"),
    (r#"{{ regexReplaceAll "(a*)bc" "aabc xbc" "${1}a" }}"#, "aaa xa"),
    (r#"{{ regexReplaceAllLiteral "(ts=)" "ts=1" "timestamp=${1}" }}"#, "timestamp=${1}1"),
    (r#"{{ "a1b22" | count "[0-9]" }}"#, "3"),
    (
        r#"{{ contains "he" "hello" }} {{ hasPrefix "he" "hello" }} {{ hasSuffix "he" "hello" }}"#,
        "true true false",
    ),
    // Whole numbers.
    (r#"{{ add 3 2 5 }} {{ sub 5 2 }} {{ mul 5 2 3 }} {{ div 10 3 }} {{ mod 10 3 }}"#, "10 3 30 3 1"),
    (r#"{{ div -7 2 }} {{ mod -7 2 }}"#, "-3 -1"),
    (r#"{{ max 1 2 3 }} {{ min 1 2 3 }} {{ add "2" "x" }}"#, "3 1 2"),
    (r#"{{ int "3" }} {{ int 3.9 }} {{ int "nonsense" }} {{ int true }}"#, "3 3 0 1"),
    // Others: decimal, so that a tenth is a tenth.
    (r#"{{ addf 0.1 0.2 }} {{ subf 5.5 1.5 2 }} {{ mulf 5.5 2 2.5 }} {{ divf 10 2 4 }}"#, "0.3 2 27.5 1.25"),
    (r#"{{ maxf 1 2.5 1.3 }} {{ minf 1 2.5 0.3 }}"#, "2.5 0.3"),
    (r#"{{ ceil 123.001 }} {{ floor 123.9999 }}"#, "124 123"),
    (
        r#"{{ round 123.555555 3 }} {{ round 123.49999999 0 }} {{ round 123.2299999 2 0.3 }}"#,
        "123.556 123 123.23",
    ),
    (r#"{{ float64 "1.5" }} {{ float64 "x" }}"#, "1.5 0"),
    // Units.
    (r#"{{ bytes "2 KB" }} {{ bytes "1.5KiB" }} {{ bytes "512" }}"#, "2000 1536 512"),
    (r#"{{ duration "1h30m" }} {{ duration_seconds "250ms" }}"#, "5400 0.25"),
    // Encodings.
    (r#"{{ b64enc "héllo" }} {{ b64dec "aMOpbGxv" }} {{ "aGk" | b64dec }}"#, "aMOpbGxv héllo hi"),
    (r#"{{ b64dec "%%%" }}"#, "illegal base64 data at input byte 0"),
    (r#"{{ urlencode "a b&c=ä/" }} {{ urldecode "a+b%26c%3D%C3%A4%2F" }}"#, "a+b%26c%3D%C3%A4%2F a b&c=ä/"),
    (r#"{{ $x := fromJson "{\"a\":[1,{\"b\":\"c\"}]}" }}{{ index $x.a 0 }} {{ (index $x.a 1).b }}"#, "1 c"),
    (r#"{{ range fromJson "[{\"n\":\"x\"},{\"n\":\"y\"}]" }}{{ .n }};{{ end }}"#, "x;y;"),
    // Defaults.
    (
        r#"{{ default "-" .empty }} {{ default "-" "x" }} {{ .line | default "-" | trim | trunc 5 }}"#,
        "- x Level",
    ),
    (r#"{{ default 7 0 }} {{ default 7 3 }}"#, "7 3"),
    // Times.
    (r#"{{ toDate "2006-01-02" "2021-11-02" | unixEpoch }}"#, "1635811200"),
    (
        r#"{{ toDate "2006-01-02T15:04:05.999Z07:00" "2021-11-02T10:00:00.25+01:00" | unixEpochMillis }}"#,
        "1635843600250",
    ),
    (r#"{{ toDateInZone "2006-01-02 15:04" "Europe/Berlin" "2021-07-02 12:00" | unixEpoch }}"#, "1625220000"),
    (r#"{{ toDate "2006-01-02" "no date" | date "2006" }}"#, "0001"),
    (r#"{{ unixToTime "1679577215" | date "2006-01-02 15:04:05" }}"#, "2023-03-23 13:13:35"),
    (r#"{{ unixToTime "1679577215250" | unixEpochNanos }}"#, "1679577215250000000"),
    (r#"{{ date "Jan _2, 2006 3PM MST" (unixToTime "1679577215") }}"#, "Mar 23, 2023 1PM UTC"),
];

#[test]
fn every_function_answers_as_documented() {
    let functions = functions::loki();
    for (text, expected) in GOLDEN {
        check(&functions, text, Ok(*expected));
    }
}

#[test]
fn what_cannot_be_done_is_an_error() {
    let functions = functions::loki();
    for (text, expected) in [
        (r#"{{ div 1 0 }}"#, "divide by zero"),
        (r#"{{ divf 1 0 }}"#, "division by 0"),
        (r#"{{ bytes "2 parsecs" }}"#, "unhandled size name: parsecs"),
        (r#"{{ duration "soon" }}"#, "invalid duration"),
        (r#"{{ unixToTime "soon" }}"#, "unable to parse time"),
        (r#"{{ regexReplaceAll "(" "x" "y" }}"#, "regex"),
        (r#"{{ urldecode "%zz" }}"#, "invalid URL escape"),
        (r#"{{ substr 3 2 "hello" }}"#, "out of range"),
    ] {
        check(&functions, text, Err(expected));
    }
}

/// The table above leaves none out.
#[test]
fn every_function_has_an_example() {
    let examples: String = GOLDEN.iter().map(|(text, _)| *text).collect();
    let go = functions::go_builtin();
    let all = functions::loki();
    // Those of the row itself are tested where rows are.
    let of_rows = ["__line__", "__timestamp__", "now"];
    let own = all.names().into_iter().filter(|name| go.get(name).is_none() && !of_rows.contains(name));
    let missing: Vec<_> = own.filter(|name| !examples.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
