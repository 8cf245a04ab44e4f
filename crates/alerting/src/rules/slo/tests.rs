use crate::{
    Problem,
    querier::{ExpressionError, Querier, QueryFailure, Reading, Source},
    rules::{GroupDefinition, LoadedRules, RuleKind, parse_rules},
};

/// Finds every expression good but those with `bad!` in them.
struct Checker;

impl Querier for Checker {
    fn instant(&self, _: Source, _: &str, _: i64) -> Result<Reading, QueryFailure> {
        Ok(Reading::Vector(Vec::new()))
    }

    fn check(&self, _: Source, expr: &str) -> Result<(), ExpressionError> {
        match expr.find("bad!") {
            Some(at) => {
                Err(ExpressionError { line: 1, column: at + 1, message: "unexpected `!`".to_owned() })
            }
            None => Ok(()),
        }
    }
}

fn load(text: &str) -> (Vec<GroupDefinition>, Vec<String>) {
    let (mut loaded, mut problems) = (LoadedRules::default(), Vec::new());
    parse_rules("f.yml", text, &Checker, &mut loaded, &mut problems);
    (loaded.groups, problems.iter().map(Problem::to_string).collect())
}

fn one(text: &str) -> [GroupDefinition; 3] {
    let (groups, problems) = load(text);
    assert_eq!(problems, [""; 0]);
    groups.try_into().expect("one objective is three groups")
}

const CHECKOUT: &str = "slos:
- name: checkout
  objective: 99.9
  bad: errs
  total: all
  labels: {team: shop}
";

#[test]
fn an_objective_becomes_recordings_and_two_alerts() {
    let [events, burning, budget] = one(CHECKOUT);
    let names = [&events, &burning, &budget].map(|group| group.name.as_str());
    assert_eq!(names, ["slo:checkout:events", "slo:checkout", "slo:checkout:budget"]);
    let rates: Vec<_> = events.rules.iter().map(|rule| (rule.name(), rule.expr.as_str())).collect();
    assert_eq!(rates, [("slo:events:rate", "all"), ("slo:errors:rate", "(errs) or (all) * 0")]);
    let label = |rule: usize, name: &str| {
        burning.rules[rule].labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let windows: Vec<_> = (0..7).filter_map(|rule| label(rule, "window")).collect();
    assert_eq!(windows, ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]);
    assert_eq!(
        burning.rules[2].expr,
        r#"avg_over_time(slo:errors:rate{slo="checkout"}[1h]) / avg_over_time(slo:events:rate{slo="checkout"}[1h])"#
    );
    assert_eq!((label(7, "severity"), label(7, "team")), (Some("critical".into()), Some("shop".into())));
    assert_eq!(
        burning.rules[7].expr,
        "max without (window) (\
         (slo:error_ratio{slo=\"checkout\",window=\"1h\"} > 0.0144 and ignoring (window) \
         slo:error_ratio{slo=\"checkout\",window=\"5m\"} > 0.0144) or \
         (slo:error_ratio{slo=\"checkout\",window=\"6h\"} > 0.006 and ignoring (window) \
         slo:error_ratio{slo=\"checkout\",window=\"30m\"} > 0.006))"
    );
    assert!(burning.rules[8].expr.contains("window=\"3d\"} > 0.001 and"), "{}", burning.rules[8].expr);
    let RuleKind::Alert { annotations, .. } = &burning.rules[8].kind else { panic!("an alert") };
    assert_eq!(
        annotations[0].1,
        "{{ $value | humanizePercentage }} of the events fail; over 30d it may be 0.1 %."
    );
    assert_eq!(budget.rules[1].expr, r#"1 - slo:error_ratio{slo="checkout",window="30d"} / 0.001"#);
}

#[test]
fn windows_scale_with_the_objective() {
    let [_, week, _] = one(&CHECKOUT.replace("  bad:", "  window: 7d\n  bad:"));
    let window =
        |rule: usize| week.rules[rule].labels.iter().find(|(name, _)| name == "window").unwrap().1.clone();
    assert_eq!(
        (0..7).map(window).collect::<Vec<_>>(),
        ["2m", "7m", "14m", "28m", "1h24m", "5h36m", "16h48m"]
    );
}

/// A limit is a burn rate times what may fail, and a burn rate the share of the budget that a long
/// window may use, times how often that window fits into the objective's: worked out here from the
/// shares, and read from the expressions.
#[test]
fn limits_are_the_shares_of_the_budget_that_they_stand_for() {
    // Alert, share of the budget, long and short window of 30 days, in minutes.
    let burns =
        [(7, 0.02, 60.0, 5.0), (7, 0.05, 360.0, 30.0), (8, 0.10, 1440.0, 120.0), (8, 0.10, 4320.0, 360.0)];
    for (objective, days) in [("99.9", 30.0_f64), ("99", 30.0), ("99.95", 7.0), ("95", 90.0), ("50", 14.0)] {
        let text =
            CHECKOUT.replace("99.9", objective).replace("  bad:", &format!("  window: {days}d\n  bad:"));
        let [_, burning, _] = one(&text);
        let may_fail = 1.0 - objective.parse::<f64>().unwrap() / 100.0;
        for (at, burn) in burns.iter().enumerate() {
            let (rule, share, long, short) = *burn;
            let scale = days / 30.0;
            let burn_rate = share * days * 1440.0 / (long * scale);
            let conditions: Vec<_> = burning.rules[rule].expr.split(" or ").collect();
            let parts: Vec<_> = conditions[at % 2].split("window=\"").skip(1).collect();
            for (part, minutes) in parts.iter().zip([long, short]) {
                let (window, rest) = part.split_once("\"} > ").unwrap();
                let window_ms = model::parse_duration_ms(window).unwrap() as f64;
                // In whole minutes, and no shorter than two.
                let expected_ms = ((minutes * scale).round() * 60_000.0).max(120_000.0);
                assert!((window_ms - expected_ms).abs() <= 60_000.0, "{objective} over {days} d: {part}");
                let limit: f64 = rest.split([' ', ')']).next().unwrap().parse().unwrap();
                assert!(
                    (limit / (burn_rate * may_fail) - 1.0).abs() < 1e-9,
                    "{objective} over {days} d: {part}"
                );
            }
            assert_eq!(parts.len(), 2, "{conditions:?}");
        }
    }
}

#[test]
fn events_are_counted_in_three_ways() {
    let events = |text: &str| one(text)[0].rules.iter().map(|rule| rule.expr.clone()).collect::<Vec<_>>();
    let good = CHECKOUT.replace("bad: errs", "good: fine");
    assert_eq!(events(&good), ["all", "(all) - ((fine) or (all) * 0)"]);
    let ratio = CHECKOUT.replace("bad: errs\n  total: all", "error_ratio: 1 - avg(probe_success)");
    assert_eq!(events(&ratio), ["(1 - avg(probe_success)) * 0 + 1", "1 - avg(probe_success)"]);
    let logs = one(&CHECKOUT.replace("  bad:", "  source: logs\n  bad:"));
    assert_eq!(logs.map(|group| group.source), [Source::Logs, Source::Metrics, Source::Metrics]);
}

#[test]
fn few_errors_can_be_left_alone() {
    let [_, burning, _] = one(&CHECKOUT.replace("  bad:", "  errors_min: 10\n  bad:"));
    let guard = "window=\"5m\"} > 0.0144 and ignoring (window) \
                 sum_over_time(slo:errors:rate{slo=\"checkout\"}[1h]) * 60 >= 10)";
    assert!(burning.rules[7].expr.contains(guard), "{}", burning.rules[7].expr);
}

#[test]
fn annotations_of_the_objective_go_before_those_of_the_expansion() {
    let [_, burning, _] =
        one(&CHECKOUT.replace("  bad:", "  annotations: {runbook_url: 'https://wiki'}\n  bad:"));
    let RuleKind::Alert { annotations, .. } = &burning.rules[7].kind else { panic!("an alert") };
    assert_eq!(annotations[1], ("runbook_url".to_owned(), "https://wiki".to_owned()));
}

#[test]
fn every_problem_has_its_place() {
    for (from, to, expected) in [
        ("name: checkout", "name: ''", "f.yml:2:3: slo name must not be empty"),
        (
            "99.9",
            "100",
            "f.yml:3:14: slo \"checkout\": objective must be a percentage between 0 and 100, such as 99.9",
        ),
        ("99.9", "0.999", "f.yml:3:14: slo \"checkout\": objective is a percentage; did you mean 99.9?"),
        ("  bad:", "  window: 1d\n  bad:", "f.yml:4:11: slo \"checkout\": window must be between 7d and 90d"),
        ("errs", "bad!", "f.yml:4:8: slo \"checkout\": could not parse expression: 1:1: unexpected `!`"),
        (
            "total: all",
            "good: x",
            "f.yml:2:3: slo \"checkout\": give `total` with one of `good` and `bad`, or `error_ratio` alone",
        ),
        ("team: shop", "slo: x", "f.yml:6:17: slo \"checkout\": label `slo` is set by the expansion"),
        ("total: all", "total: all\n  objektive: 3", "f.yml:6:3: "),
    ] {
        let (groups, problems) = load(&CHECKOUT.replace(from, to));
        assert!(groups.is_empty(), "{to}");
        assert!(problems.len() == 1 && problems[0].starts_with(expected), "{to}: {problems:?}");
    }
    let twice = format!("{CHECKOUT}{}", CHECKOUT.replace("slos:\n", ""));
    assert_eq!(load(&twice).1, ["f.yml:7:3: slo name `checkout` is repeated in the file"]);
}
