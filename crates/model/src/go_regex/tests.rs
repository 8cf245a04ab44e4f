use super::*;

#[test]
fn only_some_patterns_may_be_large() {
    let large = r"\pL{500}";
    let mut count = PatternCount::default();
    (0..16).for_each(|_| count.add(large).unwrap());
    assert!(count.add(large).unwrap_err().contains("simplify"));
    (17..1000).for_each(|_| count.add("a.*b").unwrap());
    assert!(count.add("a").is_err());
}

#[test]
fn replacements_have_an_end() {
    let regex = compile_anchored("(.*)", Dot::Any).unwrap();
    let text = "x".repeat(1000);
    let expanded = |replacement: &str| expand(&regex.captures(&text).unwrap(), replacement);
    assert_eq!(expanded("a-${1}$2").unwrap(), format!("a-{text}"));
    assert!(expanded(&"$1".repeat(1000)).is_some() && expanded(&"$1".repeat(1100)).is_none());
}

#[test]
fn alternatives_are_expressions_by_themselves() {
    let check = |patterns: &[&str], text: &str| {
        Regex::new(&translate_any(patterns.iter().copied()).unwrap()).unwrap().is_match(text)
    };
    for (text, expected) in [("a.b", true), ("c", true), ("axb", false), (")|(?:c", false)] {
        assert_eq!(check(&[r"\Qa.b", "^c$"], text), expected, "{text}");
    }
    assert!(check(&["(?i)a", "b"], "A") && !check(&["(?i)a", "b"], "B"));
    assert!(check(&["(?P<x>a)", "(?P<x>b)"], "b"), "names may be given again");
    assert_eq!(translate_any(["a", "(b"]).unwrap_err(), translate("(b").unwrap_err());
}

#[test]
fn dialect_differences() {
    for (pattern, text, expected) in [
        (r"^\d+$", "12", true),
        (r"^\d+$", "१२", false),
        (r"^\w+$", "é", false),
        (r"^[\w.]+$", "a.b", true),
        (r"^[\D]$", "7", false),
        (r"\bfoo\b", "a foo b", true),
        (r"\Qa.b\E", "a.b", true),
        (r"\Qa.b\E", "axb", false),
        (r"^[]a]$", "]", true),
        (r"^[[:alpha:]]$", "x", true),
        (r"^[a&&b]$", "&", true),
        (r"^[a[b]$", "[", true),
        (r"(?i)ERROR", "an error", true),
        (r"a.c", "a\nc", false),
        (r#"{"a":\d{1,3}}"#, r#"{"a":12}"#, true),
        (r"a{,5}", "a{,5}", true),
        (r"^a{2}$", "aa", true),
        (r"\<b\>", "a <b> c", true),
        (r"^[\w-.]+$", "a-b.c", true),
        (r"^[\w-]+$", "a-b", true),
        (r"^\101\x42$", "AB", true),
        (r"^\p{^Greek}$", "x", true),
        (r"^\P{^Greek}$", "x", false),
        (r"^\pN$", "4", true),
        (r"^\p{Han}+\x{41}$", "接続A", true),
        (r"^(?U)a+", "aaa", true),
        (r"^(?P<n>a+?)b*?$", "aab", true),
        (r"\Qab\E+$", "abbb", true),
        (r"^.\z", "é", true),
    ] {
        assert_eq!(compile(pattern).unwrap().is_match(text), expected, "{pattern} on {text}");
    }
}

#[test]
fn large_patterns_are_told() {
    assert!(!is_large(r"(?i)(error|warn)[^\n]{0,80}\d+"));
    assert!(is_large(r"\pL{500}") && !is_large("("));
}

#[test]
fn bad_patterns_name_themselves() {
    assert!(compile("(").unwrap_err().contains("`(`"));
    for (pattern, reason) in [
        ("a**", "invalid nested repetition operator: `**`"),
        ("a+?*", "invalid nested repetition operator: `+?*`"),
        ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        (r"\C", "error parsing regexp"),
        (r"(a)\1", "error parsing regexp"),
        ("(?=a)", "error parsing regexp"),
        ("{2}", "error parsing regexp"),
    ] {
        let error = compile(pattern).unwrap_err();
        assert!(error.contains(reason), "{pattern}: {error}");
    }
    assert!(compile(r"\w{1000}{1000}").is_err());
}

/// What Prometheus 2.42 says of random patterns: one a line, with its error, or with texts and what
/// `label_replace(…, "<$1>", …)` makes of each of them. `␤` and `␉` stand for a newline and a tab.
#[test]
fn recorded_verdicts_of_go_are_given() {
    let plain = |text: &str| text.replace('␤', "\n").replace('␉', "\t");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/go_regex.tsv");
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let (pattern, verdict) = line.split_once('\t').unwrap();
        let pattern = plain(pattern);
        let ours = compile_anchored(&pattern, Dot::NotNewline);
        if let Some(error) = verdict.strip_prefix("error\t") {
            assert_eq!(ours.unwrap_err(), plain(error), "{pattern}");
            continue;
        }
        let regex = ours.unwrap_or_else(|error| panic!("{pattern}: {error}"));
        let fields: Vec<_> = verdict.split('\t').skip(1).map(plain).collect();
        for pair in fields.chunks(2) {
            let got = regex.captures(&pair[0]).map_or("no".to_owned(), |captures| {
                format!("<{}>", captures.get(1).map_or("", |group| group.as_str()))
            });
            assert_eq!(got, pair[1], "{pattern} on {}", pair[0]);
        }
    }
}

#[test]
fn newer_go_than_that_of_the_recordings() {
    assert_eq!(&compile(r"(?<day>\d+)").unwrap().captures("on 12").unwrap()["day"], "12");
    assert!(compile(r"^\p{greek}\p{Uppercase_Letter}\p{old-italic}$").unwrap().is_match("αB𐌀"));
    for pattern in [r"\p{Alphabetic}", r"\p{sc=Greek}", r"\p{Grek}", r"\p{IsGreek}", r"\p{gc!=L}"] {
        assert!(compile(pattern).unwrap_err().contains("invalid character class range"), "{pattern}");
    }
    assert!(compile(r"\p{Thai}\p{Cn}\P{Cs}").is_ok());
}

#[test]
fn odd_patterns_stay_small() {
    let stacked = format!("a{}", "*(?i)".repeat(1000));
    assert!(compile(&stacked).unwrap_err().contains("expression nests too deeply"));
    let nested = "(".repeat(2000) + &")".repeat(2000);
    assert!(compile(&nested).unwrap_err().contains("expression nests too deeply"));
}

#[test]
fn a_dot_may_stop_at_a_newline() {
    let matches = |pattern: &str, dot| compile_anchored(pattern, dot).unwrap().is_match("a\nb");
    assert!(matches("a.b", Dot::Any) && !matches("a.b", Dot::NotNewline));
    for dot in [Dot::Any, Dot::NotNewline] {
        assert!(matches("(?s)a.b", dot) && matches("(?-s)a(?s:.)b", dot));
        for pattern in ["(?-s)a.b", "(?-s:a.b)", "a(?-s:.)b", "(?i-s)a.b", "(?s)(?-s)a.b"] {
            assert!(!matches(pattern, dot), "{pattern}");
        }
    }
}

/// Each would take minutes, or gigabytes, in time that grows with the square of the length.
#[test]
fn long_patterns_cost_what_they_are_long() {
    let n = 50_000;
    for pattern in [
        "(".repeat(n) + "a" + &")*(?i)*".repeat(n),
        (0..n).map(|i| format!("(?P<a{i}>)")).collect(),
        format!("[{}", "[:".repeat(n)),
        format!("{}a", "[[:]".repeat(n)),
        format!("({}){}", "a".repeat(n), "*(?i)".repeat(90)),
        r"\pL".repeat(n),
        format!("[{}]", r"\PL".repeat(n)),
        "a(?i)(?-i)".repeat(n / 2),
        "x".repeat(2_000_000),
    ] {
        let began = std::time::Instant::now();
        let compiled = compile(&pattern);
        assert!(began.elapsed().as_secs() < 5, "{} took {:?}", &pattern[..40], began.elapsed());
        assert!(compiled.is_err() || pattern.len() < PATTERN_BYTES_MAX);
    }
    assert!(compile(&r"\pL".repeat(1001)).unwrap_err().contains("expression too large"));
    let hosts: Vec<String> = (0..3_000).map(|i| format!("host-{i:05}.example.org")).collect();
    assert!(compile(&hosts.join("|")).unwrap().is_match("host-02999.example.org"));
}
