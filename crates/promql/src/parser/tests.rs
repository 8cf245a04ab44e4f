use super::*;

fn options() -> ParseOptions {
    ParseOptions { experimental: true }
}

/// Parses and prints; printing what was printed changes nothing.
fn check_print(text: &str, expected: &str) {
    let printed = parse(text, &options()).unwrap_or_else(|error| panic!("{text}: {error}")).to_string();
    assert_eq!(printed, expected, "{text}");
    assert_eq!(parse(&printed, &options()).unwrap().to_string(), expected, "{printed}");
}

#[test]
fn regular_expressions_that_take_megabytes_are_few() {
    let query = |count: usize| {
        let matchers: Vec<_> = (0..count).map(|i| format!("l{i}=~\"\\\\pL{{100}}\"")).collect();
        format!("up{{{}}} or up", matchers.join(","))
    };
    assert!(parse(&query(16), &options()).is_ok());
    let refused = parse(&query(17), &options()).unwrap_err();
    assert!(refused.message.contains("simplify"), "{}", refused.message);
    let replaced = |count: usize| {
        let (open, close) = ("label_replace(".repeat(count), ", 'a', '', 'b', '\\\\pL{100}')".repeat(count));
        parse(&format!("{open}up{close}"), &options()).is_ok()
    };
    assert!(replaced(16) && !replaced(17));
    let mut patterns = PatternCount::default();
    let mut among =
        |count: usize| parse_selector_among(&query(count).replace(" or up", ""), &mut patterns).is_ok();
    assert!(among(10) && among(6) && !among(1), "several selectors of one request");
}

#[test]
fn expressions_print_as_they_parse() {
    for (text, expected) in [
        ("1+2*3", "1 + 2 * 3"),
        ("-2^2", "-2 ^ 2"),
        ("0x1F + 1e3", "31 + 1000"),
        ("inf ^ a * inf", "Inf ^ a * +Inf"),
        ("1e-9 / 1e22", "0.000000001 / 10000000000000000000000"),
        ("1h30m", "1h30m"),
        ("a:b{c='d'}", "a:b{c=\"d\"}"),
        ("{\"my.metric\", \"a b\"=\"c\"}", "{\"my.metric\",\"a b\"=\"c\"}"),
        ("up offset -5m", "up offset -5m"),
        ("rate(up[5m] offset 1m @ 10)", "rate(up[5m] @ 10.000 offset 1m)"),
        ("up @ end()", "up @ end()"),
        ("rate(up[5m])[1h:]", "rate(up[5m])[1h:]"),
        ("a[1h:5m] offset 1h", "a[1h:5m] offset 1h"),
        ("SUM(a) BY (b)", "sum by (b) (a)"),
        ("sum without () (a)", "sum without () (a)"),
        ("topk(5, a)", "topk(5, a)"),
        ("a / on (b) group_left (c) d", "a / on (b) group_left (c) d"),
        ("a + fill(0) b", "a + fill (0) b"),
        ("a > bool 1", "a > bool 1"),
        ("a[step() * 2]", "a[step() * 2s]"),
        ("sum_over_time(a[(1m + 30s):min_of(step(), 5)])", "sum_over_time(a[(1m + 30s):min_of(step(), 5s)])"),
        ("a offset (1h - 30m)", "a offset (1h - 30m)"),
        ("rate(a[1m] anchored)", "rate(a[1m] anchored)"),
        ("h </ 5", "h </ 5"),
        ("sum", "sum"),
        ("by + offset", "by + offset"),
        ("(a) and b or c unless d", "(a) and b or c unless d"),
        ("label_replace(a, \"x\", \"$1\", 'y', `(.*)`)", "label_replace(a, \"x\", \"$1\", \"y\", \"(.*)\")"),
    ] {
        check_print(text, expected);
    }
}

#[test]
fn precedence_and_grouping() {
    let shape = |text: &str| {
        fn show(expr: &Expr) -> String {
            match expr {
                Expr::Binary(node) => {
                    format!("({}{}{})", show(&node.left), node.op.as_str(), show(&node.right))
                }
                Expr::Unary(node) => format!("(-{})", show(&node.expr)),
                other => other.to_string(),
            }
        }
        show(&parse(text, &options()).unwrap())
    };
    for (text, expected) in [
        ("a-b-c", "((a-b)-c)"),
        ("a^b^c", "(a^(b^c))"),
        ("-a^b", "(-(a^b))"),
        ("-a*b", "((-a)*b)"),
        ("a*b%c", "((a*b)%c)"),
        ("a or b and c", "(a or(bandc))".replace(" or", "or").as_str()),
        ("a == bool b + c", "(a==(b+c))"),
        ("2/-2^---1*3+2", "(((2/(-(2^-1)))*3)+2)"),
        ("a offset 100 + 2", "(a offset 1m40s+2)"),
        ("a offset -2 ^ 2", "(a offset -2s^2)"),
    ] {
        assert_eq!(shape(text), expected, "{text}");
    }
}

#[test]
fn mistakes_are_named_and_placed() {
    for (text, expected) in [
        ("", "1:1: parse error: no expression found in input"),
        ("# nothing", "1:1: parse error: no expression found in input"),
        ("sum(", "1:5: parse error: unclosed left parenthesis"),
        ("1 2", "1:3: parse error: unexpected number \"2\""),
        ("a +", "1:4: parse error: unexpected end of input"),
        ("a{b=1}", "1:5: parse error: unexpected character inside braces: '1'"),
        ("a{b}", "1:4: parse error: unexpected \"}\" in label matching, expected label matching operator"),
        ("a{b=c}", "1:5: parse error: unexpected identifier \"c\" in label matching, expected string"),
        ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ("a{__name__=\"b\"}", "1:1: parse error: metric name must not be set twice: \"a\" or \"b\""),
        (
            "foo[]",
            "1:5: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
        ),
        ("foo[5m", "1:7: parse error: unclosed left bracket"),
        ("foo offset 1m [5m]", "1:15: parse error: no offset modifiers allowed before range"),
        ("sum(a)[5m]", "1:7: parse error: ranges only allowed for vector selectors"),
        (
            "(a) offset 5m",
            "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        ("a offset 1m offset 2m", "1:1: parse error: offset may not be set multiple times"),
        (
            "rate(a)",
            "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
        ),
        ("rate(a[5m], 1)", "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 2"),
        ("nope(a)", "1:1: parse error: unknown function with name \"nope\""),
        ("1 > 2", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        ("(a) + bool (b)", "1:5: parse error: bool modifier can only be used on comparison operators"),
        (
            "a\n* on(b) group_left(b) c",
            "2:1: parse error: label \"b\" must not occur in ON and GROUP clause at once",
        ),
        ("temp)", "1:6: parse error: unexpected right parenthesis ')'"),
        ("a]", "1:2: parse error: unexpected right bracket ']'"),
        (
            "a > 1e400",
            "1:5: parse error: error parsing number: strconv.ParseFloat: parsing \"1e400\": value out of range",
        ),
        ("1 and a", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression"),
        ("a and on(b) group_left c", "1:1: parse error: no grouping allowed for \"and\" operation"),
        ("sum by a (b)", "1:8: parse error: unexpected identifier \"a\" in grouping opts, expected \"(\""),
        (
            "topk(a)",
            "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
        ),
        (
            "-\"a\"",
            "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
        ),
        ("a @ b", "1:5: parse error: unexpected identifier \"b\" in @, expected timestamp"),
        ("a{b=~\"(\"}", "1:3: parse error: error parsing regexp: missing closing ): `^(?s:()$`"),
        ("a{b=~\"a)\"}", "1:3: parse error: error parsing regexp: unexpected ): `^(?s:a))$`"),
        (
            "rate(\n  a\n)",
            "2:3: parse error: expected type range vector in call to function \"rate\", got instant vector",
        ),
        ("a[0s]", "1:3: parse error: duration must be greater than 0"),
    ] {
        let error = parse(text, &options()).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn experimental_parts_are_refused_unless_switched_on() {
    for (text, expected) in [
        ("limitk(1, a)", "limitk() is experimental and not enabled"),
        ("info(a)", "function \"info\" is not enabled"),
        ("a[1m + 1m]", "experimental duration expression is not enabled"),
        ("rate(a[1m] smoothed)", "smoothed modifier is experimental and not enabled"),
        ("a + fill(0) b", "binop fill modifiers are experimental and not enabled"),
    ] {
        assert!(parse(text, &options()).is_ok(), "{text}");
        assert_eq!(parse(text, &ParseOptions::default()).expect_err(text).message, expected);
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = format!("{}a{}", "(".repeat(10_000), ")".repeat(10_000));
    let message =
        "expression is nested too deeply: it may have 300 operators in a row, or 100 levels of brackets";
    assert_eq!(parse(&deep, &options()).unwrap_err().message, message);
    let chain = vec!["a"; 5_000].join("+");
    assert_eq!(parse(&chain, &options()).unwrap_err().message, message);
    assert!(parse(&vec!["a"; 200].join(" or "), &options()).is_ok());
}

#[test]
fn selectors_stand_alone() {
    assert_eq!(parse_selector("up{a=\"b\"}").unwrap().matchers.len(), 2);
    assert!(parse_selector("up[5m]").is_err());
    assert!(parse_selector("1").is_err());
    assert!(parse_selector("{a=\"\"}").is_err());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(512))]

    /// Whatever the text, parsing ends; and what parses prints as text with the same meaning.
    #[test]
    fn any_text_is_parsed_or_refused(words in proptest::collection::vec(
        proptest::sample::select(vec![
            "sum", "by", "(", ")", "a", "{", "}", "b=", "\"c\"", "=~", "[", "]", "5m", ":", "1", "offset", "@",
            "+", "-", "and", "on", "group_left", "rate", "é", "\\", "`", "\"", "0x", "1e", "_", ",", "</", "#",
            "start()", "step()", "bool", "==", "^", "inf", ".5", "anchored", "fill",
        ]), 0..14), spaced: bool) {
        let text = words.join(if spaced { " " } else { "" });
        if let Ok(expr) = parse(&text, &options()) {
            let printed = expr.to_string();
            let again = parse(&printed, &options()).map(|expr| expr.to_string());
            proptest::prop_assert_eq!(again.as_ref(), Ok(&printed), "{}", text);
        }
        let _error_or_selector = parse_selector(&text).is_ok();
    }
}
