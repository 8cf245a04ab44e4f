//! The language, its functions, its errors and its limits.

use super::*;
use crate::{Map, functions};

fn data() -> Value {
    Value::from(Map::of_values([
        ("name", Value::from("bell")),
        ("count", Value::Int(3)),
        ("ratio", Value::Float(42.5)),
        ("items", Value::list(["a", "b", "c"].map(Value::from))),
        ("labels", Value::from(Map::of_strings([("job", "api"), ("zone", "eu")]))),
        ("html", Value::from("<b>&")),
    ]))
}

fn run_with(functions: &Functions, text: &str) -> Result<String, String> {
    let template = Template::parse("t", text, functions).map_err(|error| error.to_string())?;
    template.execute(&data()).map_err(|error| error.to_string())
}

fn check(text: &str, expected: &str) {
    assert_eq!(run_with(&functions::prometheus(), text).as_deref(), Ok(expected), "{text}");
}

fn check_error(text: &str, expected: &str) {
    assert_eq!(run_with(&functions::prometheus(), text).unwrap_err(), expected, "{text}");
}

#[test]
fn text_and_trimming() {
    check("plain", "plain");
    check("a {{- 1 -}} b", "a1b");
    check("a {{/* gone */}} b", "a  b");
    check("{{- /* gone */ -}} x {{- \"y\" -}} z", "xyz");
    check("a\n{{- 3 }}", "a3");
    check("{{`raw \"x\"`}} {{\"\\u00e9\\n\"}}", "raw \"x\" é\n");
    check("{{ -3 }} {{ 'a' }} {{ 0x10 }} {{ 1_000 }} {{ 1e3 }}", "-3 97 16 1000 1000");
}

#[test]
fn control() {
    check("{{ if .name }}yes{{ else }}no{{ end }}", "yes");
    check("{{ if eq .count 1 }}1{{ else if eq .count 3 }}3{{ else }}?{{ end }}", "3");
    check("{{ with .nothing }}x{{ else with .name }}{{ . }}{{ else }}none{{ end }}", "bell");
    check("{{ range $i, $x := .items }}{{ if $i }},{{ end }}{{ $x }}{{ end }}", "a,b,c");
    check("{{ range .items }}{{ if eq . \"b\" }}{{ continue }}{{ end }}{{ . }}{{ end }}", "ac");
    check("{{ range .items }}{{ if eq . \"b\" }}{{ break }}{{ end }}{{ . }}{{ end }}", "a");
    check("{{ range .nothing }}x{{ else }}none{{ end }}", "none");
    check("{{ range $k, $v := .labels }}{{ $k }}={{ $v }};{{ end }}", "job=api;zone=eu;");
    check("{{ range 3 }}{{ . }}{{ end }}", "012");
    check("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $x := 3 }}{{ end }}{{ $x }}", "2");
    check("{{ range .items }}{{ $.name }}{{ end }}", "bellbellbell");
}

#[test]
fn templates() {
    check(
        "{{ define \"g\" }}[{{ .arg0 }} {{ .arg1 }}]{{ end }}{{ template \"g\" (args \"hello\" 5) }}",
        "[hello 5]",
    );
    check("{{ block \"b\" .name }}block {{ . }}{{ end }}", "block bell");
    check("{{ define \"g\" }}<{{ . }}>{{ end }}{{ tmpl \"g\" .name }}", "<bell>");
    check_error(
        "{{ template \"none\" }}",
        "template: t:1:3: executing \"t\" at <none>: template \"none\" not defined",
    );
    let mut definitions = Definitions::default();
    definitions.add("file", "{{ define \"x\" }}from file{{ end }}", &functions::go_builtin()).unwrap();
    let template =
        Template::parse_with("t", "{{ template \"x\" }}", &functions::go_builtin(), definitions).unwrap();
    assert_eq!(template.execute(&Value::Nil).unwrap(), "from file");
}

#[test]
fn pipelines_and_functions() {
    check("{{ .name | toUpper | printf \"%s-%s\" \"x\" }}", "x-BELL");
    check("{{ (index .items 1) }}{{ len .items }}{{ slice .name 1 3 }}", "b3el");
    check("{{ and .name .nothing }}|{{ or \"\" \"d\" }}|{{ not true }}", "<no value>|d|false");
    check("{{ or .name (index .items 99) }}", "bell");
    check("{{ .labels.missing }}|{{ .labels }}", "|map[job:api zone:eu]");
    check("{{ eq .count 1 2 3 }} {{ lt 1.5 .ratio }} {{ ne .name \"x\" }}", "true true true");
    check("{{ print 1 2 \"a\" 3 }}|{{ println \"x\" 1 }}", "1 2a3|x 1\n");
    check("{{ html .html }} {{ urlquery \"a b&c\" }}", "&lt;b&gt;&amp; a+b%26c");
    check("{{ .nothing }}", "<no value>");
}

#[test]
fn prometheus_functions() {
    check(
        "{{ humanize 0 }}|{{ humanize 1234567 }}|{{ humanize 0.00123 }}|{{ humanize -12345.678 }}|{{ \"12e3\" | humanize }}",
        "0|1.235M|1.23m|-12.35k|12k",
    );
    check("{{ humanize1024 1048576 }}|{{ humanize1024 1536 }}|{{ humanize1024 0.5 }}", "1Mi|1.5ki|0.5");
    check(
        "{{ humanizeDuration 0 }}|{{ humanizeDuration 0.0015 }}|{{ humanizeDuration 59.5 }}|{{ humanizeDuration 3661 }}|{{ humanizeDuration 90061 }}|{{ humanizeDuration -75 }}",
        "0s|1.5ms|59.5s|1h 1m 1s|1d 1h 1m 1s|-1m 15s",
    );
    check("{{ humanizePercentage 0.1234567 }}|{{ humanizePercentage 1 }}", "12.35%|100%");
    check("{{ humanizeTimestamp 1643114203.25 }}", "2022-01-25 12:36:43.249 +0000 UTC");
    check("{{ parseDuration \"1h30m\" }}|{{ (toTime 0).Year }}", "5400|1970");
    check("{{ title \"hello world\" }}|{{ toUpper \"é\" }}|{{ toLower \"ABC\" }}", "Hello World|É|abc");
    check(
        "{{ stripPort \"[::1]:80\" }}|{{ stripPort \"h:80\" }}|{{ stripDomain \"a.b.c:80\" }}|{{ stripDomain \"10.0.0.1:80\" }}",
        "::1|h|a:80|10.0.0.1:80",
    );
    check(
        "{{ reReplaceAll \"([a-z]+)-([0-9]+)\" \"${2}_$1\" \"web-12\" }}|{{ match \"^w.*\" \"web\" }}",
        "12_web|true",
    );
    check("{{ graphLink \"up == 0\" }}", "/graph?g0.expr=up+%3D%3D+0&g0.tab=0");
}

#[test]
fn functions_are_bound_at_execution() {
    let template = Template::parse(
        "t",
        "{{ query \"list\" | first | label \"i\" }} {{ range query \"list\" | sortByLabel \"i\" }}{{ .Labels.i }}={{ .Value }};{{ end }}",
        &functions::prometheus(),
    )
    .unwrap();
    let mut options = Options::default();
    options.functions.add("query", 1, |call| {
        assert_eq!(call.str(0)?, "list");
        let sample = |i: &str, value| functions::sample(&model::Labels::from_pairs([("i", i)]), value);
        Ok(Value::list([sample("b", 2.0), sample("a", 1500.0)]))
    });
    assert_eq!(template.execute_with(&Value::Nil, &options).unwrap(), "b a=1500;b=2;");
}

#[test]
fn parse_errors_have_gos_words() {
    for (text, expected) in [
        ("{{ nosuch .a }}", "template: t:1: function \"nosuch\" not defined"),
        ("\n{{ $x }}", "template: t:2: undefined variable \"$x\""),
        ("{{ if .a }}", "template: t:1: unexpected EOF"),
        ("{{ $value", "template: t:1: undefined variable \"$value\""),
        ("{{ .a", "template: t:1: unclosed action"),
        ("{{ }}", "template: t:1: missing value for command"),
        ("{{ .a | }}", "template: t:1: missing value for command"),
        ("{{ .a | 3 }}", "template: t:1: non executable command in pipeline stage 2"),
        ("{{ end }}", "template: t:1: unexpected {{end}}"),
        ("{{ break }}", "template: t:1: {{break}} outside {{range}}"),
        ("{{ \"x }}", "template: t:1: unterminated quoted string"),
        ("{{ (.a }}", "template: t:1: unclosed left paren"),
        ("{{ .a ! }}", "template: t:1: unrecognized character in action: U+0021 '!'"),
        ("{{ 3x }}", "template: t:1: bad number syntax: \"3x\""),
    ] {
        check_error(text, expected);
    }
}

/// Recorded from Go by way of amtool 0.25.
#[test]
fn numbers_are_read_as_in_go() {
    for (text, expected) in [
        ("017", "15 int"),
        ("-017", "-15 int"),
        ("0o17", "15 int"),
        ("0B11", "3 int"),
        ("1_000", "1000 int"),
        ("0_17", "15 int"),
        ("0x_ff", "255 int"),
        ("0x1e", "30 int"),
        ("00", "0 int"),
        ("-0", "0 int"),
        ("9223372036854775807", "9223372036854775807 int"),
        ("0x1p-2", "0.25 float64"),
        ("0x1.8p1", "3 float64"),
        ("0X1P+2", "4 float64"),
        ("-0x1p4", "-16 float64"),
        ("0x.8p1", "1 float64"),
        ("1E3", "1000 float64"),
        ("1_0.5_0e1_0", "1.05e+11 float64"),
        (".5e1", "5 float64"),
        ("+.5", "0.5 float64"),
        ("5.", "5 float64"),
        ("09.5", "9.5 float64"),
        ("'a'", "97 int"),
        (r"'\n'", "10 int"),
        (r"'\x41'", "65 int"),
        (r"'\u00e9'", "233 int"),
        (r"'\101'", "65 int"),
        (r"'\xff'", "255 int"),
        (r"'\''", "39 int"),
        ("'é'", "233 int"),
    ] {
        check(&format!("{{{{ print ({text}) }}}} {{{{ printf \"%T\" ({text}) }}}}"), expected);
    }
    for (text, expected) in [
        ("08", "integer overflow: \"08\""),
        ("18446744073709551616", "integer overflow: \"18446744073709551616\""),
        ("9223372036854775808", "9223372036854775808 overflows int"),
        ("0x1.8", "illegal number syntax: \"0x1.8\""),
        ("1__0", "illegal number syntax: \"1__0\""),
        ("1_", "illegal number syntax: \"1_\""),
        ("1e", "illegal number syntax: \"1e\""),
        ("1e400", "illegal number syntax: \"1e400\""),
        ("0x1_p1", "illegal number syntax: \"0x1_p1\""),
        ("0b1.1", "illegal number syntax: \"0b1.1\""),
        ("0x", "illegal number syntax: \"0x\""),
        ("0b12", "bad number syntax: \"0b12\""),
        ("0xg", "bad number syntax: \"0xg\""),
        ("1abc", "bad number syntax: \"1a\""),
        ("0o1e1", "bad number syntax: \"0o1e\""),
        (r#"'\"'"#, "invalid syntax"),
        (r#""\'""#, "invalid syntax"),
        ("'ab'", "malformed character constant: 'ab'"),
        ("''", "invalid syntax"),
    ] {
        check_error(&format!("{{{{ print {text} }}}}"), &format!("template: t:1: {expected}"));
    }
}

#[test]
fn execution_errors_say_where() {
    check_error(
        "{{ .name.deeper }}",
        "template: t:1:3: executing \"t\" at <.name.deeper>: can't evaluate field deeper in type string",
    );
    check_error(
        "{{ lt .name 1 }}",
        "template: t:1:3: executing \"t\" at <lt .name 1>: error calling lt: incompatible types for comparison",
    );
    check_error(
        "{{ toUpper 1 }}",
        "template: t:1:3: executing \"t\" at <toUpper 1>: error calling toUpper: wrong type for value; expected string; got int",
    );
    check_error(
        "{{ toUpper }}",
        "template: t:1:3: executing \"t\" at <toUpper>: wrong number of args for toUpper: want 1 got 0",
    );
    check_error(
        "{{ .name 1 }}",
        "template: t:1:3: executing \"t\" at <.name>: name has arguments but cannot be invoked as function",
    );
}

#[test]
fn limits_hold() {
    let endless = "{{ define \"x\" }}{{ template \"x\" }}{{ end }}{{ template \"x\" }}";
    assert!(
        run_with(&functions::go_builtin(), endless).unwrap_err().contains("exceeded maximum template depth")
    );
    let long = "{{ range 1000 }}{{ range 1000 }}{{ range 1000 }}{{ end }}{{ end }}{{ end }}";
    assert!(run_with(&functions::go_builtin(), long).unwrap_err().contains("runs for too long"));
    let much =
        "{{ range 20000 }}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{{ end }}";
    assert!(run_with(&functions::go_builtin(), much).unwrap_err().contains("writes too much"));
    assert!(run_with(&functions::loki(), "{{ repeat 9999999 .name }}").unwrap_err().contains("too long"));
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(200), ")".repeat(200));
    assert!(run_with(&functions::go_builtin(), &deep).unwrap_err().contains("max expression depth"));
}

#[test]
fn html_mode_escapes_what_is_not_marked() {
    let functions = functions::alertmanager();
    let template = Template::parse("t", "<p>{{ .html }}{{ safeHtml .html }}", &functions).unwrap();
    let options = Options { html: true, ..Options::default() };
    assert_eq!(template.execute_with(&data(), &options).unwrap(), "<p>&lt;b&gt;&amp;<b>&");
}

#[test]
fn alertmanager_functions() {
    let run = |text: &str| run_with(&functions::alertmanager(), text).unwrap();
    assert_eq!(run("{{ join \",\" .items }}|{{ title \"hELLO big\" }}"), "a,b,c|Hello Big");
    assert_eq!(run("{{ toJson .labels }}|{{ (dict \"a\" 1).a }}"), "{\"job\":\"api\",\"zone\":\"eu\"}|1");
    assert_eq!(run("{{ (toDate \"2006-01-02\" \"2026-11-20\").Format \"Jan 2\" }}"), "Nov 20");
    assert_eq!(run("{{ len (append (list 1 2) 3) }}|{{ base64encode \"hi\" | base64decode }}"), "3|hi");
}

#[test]
fn loki_functions() {
    let run = |text: &str| run_with(&functions::loki(), text).unwrap();
    for (text, expected) in [
        ("{{ TrimLeft \"xxa\" \"x\" }}{{ trimAll \"-\" \"-b-\" }}", "ab"),
        (
            "{{ substr 2 -1 \"abcdef\" }}|{{ substr -1 3 \"abcdef\" }}|{{ trunc -3 \"abcdef\" }}",
            "cdef|abc|def",
        ),
        ("{{ trunc 4 \"Grüß\" }}", "Grü"),
        ("{{ alignRight 5 \"ab\" }}|{{ alignRight 3 \"日本語文字\" }}", "   ab|語文字"),
        ("{{ nindent 2 \"a\\nb\" }}", "\n  a\n  b"),
        (
            "{{ int \"1.9\" }} {{ add \"3\" 4 }} {{ subf 5 1.25 }} {{ round 3.14159 2 }} {{ mod 7 4 }}",
            "1 7 3.75 3.14 3",
        ),
        ("{{ bytes \"1.5 MiB\" }} {{ duration \"250ms\" }}", "1.572864e+06 0.25"),
        ("{{ b64dec \"aGVsbG8\" }} {{ b64dec \"!!\" }}", "hello illegal base64 data at input byte 0"),
        (
            "{{ fromJson \"{\\\"a\\\":{\\\"b\\\":1.5}}\" }} {{ (fromJson \"[1,2]\") }}",
            "map[a:map[b:1.5]] [1 2]",
        ),
        ("{{ default \"d\" \"\" }}{{ count \"[aeiou]\" \"the line\" }}", "d3"),
        ("{{ unixToTime \"1795168800123456\" | unixEpochNanos }}", "1795168800123456000"),
        ("{{ toDate \"2006-01-02\" \"junk\" }}", "0001-01-01 00:00:00 +0000 UTC"),
    ] {
        assert_eq!(run(text), expected, "{text}");
    }
}
