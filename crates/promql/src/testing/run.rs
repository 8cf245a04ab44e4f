//! Executes the commands of a script.

use super::{
    command::{Eval, Kind, Text, When, parse_script},
    compare, guise,
    load::{Backend, Loaded},
};
use crate::{Answer, EvalOptions, Expr, ParseOptions, QueryValue, instant, parse, range};
use store::{MetricStore, QueryContext};

/// What became of a script's evaluations.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) passed: usize,
    pub(super) failures: Vec<String>,
}

pub(super) fn run(text: &str, experimental: bool, backend: Backend) -> Report {
    let mut report = Report::default();
    let commands = match parse_script(text) {
        Ok(commands) => commands,
        Err(message) => {
            report.failures.push(message);
            return report;
        }
    };
    let mut loaded = Loaded::default();
    let mut store: Option<Box<dyn MetricStore>> = None;
    for command in &commands {
        let result = match &command.kind {
            Kind::Clear => {
                loaded.clear();
                store = None;
                continue;
            }
            Kind::Load { step_ms, with_histograms, lines } => {
                store = None;
                loaded.load(*step_ms, lines, *with_histograms).err().map(|message| (String::new(), message))
            }
            Kind::Eval(eval) => {
                if store.is_none() {
                    let made = loaded.store(backend);
                    store = made.inspect_err(|error| report.failures.push(error.clone())).ok();
                }
                let Some(store) = &store else { continue };
                match check(eval, store.as_ref(), experimental) {
                    Ok(()) => {
                        report.passed += 1;
                        None
                    }
                    Err(message) => Some((eval.query.clone(), message)),
                }
            }
        };
        if let Some((query, message)) = result {
            report.failures.push(format!("line {}: {query}\n  {message}", command.line));
        }
    }
    report
}

/// Evaluates and renders the error as the API would show it, without a position.
pub(super) fn evaluate(
    expr: &Expr,
    when: When,
    store: &dyn MetricStore,
    experimental: bool,
) -> Result<Answer, String> {
    let options = EvalOptions { experimental, ..EvalOptions::default() };
    let context = QueryContext::default_for_tests();
    let answer = match when {
        When::Instant { at_ms } => instant(expr, at_ms, store, &options, &context),
        When::Range { start_ms, end_ms, step_ms } => {
            range(expr, start_ms, end_ms, step_ms, store, &options, &context)
        }
    };
    let result = answer.map_err(|error| error.to_string());
    let usage = context.usage();
    assert_eq!((usage.samples_held, usage.memory_bytes), (0, 0), "held for ever by {expr}");
    result
}

/// A context with the default limits.
trait TestContext {
    fn default_for_tests() -> QueryContext;
}

impl TestContext for QueryContext {
    fn default_for_tests() -> QueryContext {
        QueryContext::new(store::Limits::default())
    }
}

fn check(eval: &Eval, store: &dyn MetricStore, experimental: bool) -> Result<(), String> {
    let parsed = parse(&eval.query, &ParseOptions { experimental: true });
    let when = match (eval.when, eval.range_vector) {
        (When::Instant { .. }, Some((_, end_ms, _))) => When::Instant { at_ms: end_ms },
        (when, _) => when,
    };
    let answer = match parsed {
        Ok(ref expr) => evaluate(expr, when, store, experimental),
        Err(ref error) => Err(error.message.clone()),
    };
    match (&eval.fails, answer) {
        (Some(text), Err(message)) if text.matches(&message) => return Ok(()),
        (Some(text), Err(message)) => {
            return Err(format!("should fail with {text:?}, fails with: {message}"));
        }
        (Some(_), Ok(answer)) => return Err(format!("should fail, answers {:?}", answer.value)),
        (None, Err(message)) => return Err(format!("fails: {message}")),
        (None, Ok(answer)) => {
            check_value(eval, when, &answer.value)?;
            check_annotations(eval, &answer)?;
        }
    }
    let Ok(expr) = parsed else { return Ok(()) };
    guise::check(eval, &expr, store, experimental)
}

pub(super) fn check_value(eval: &Eval, when: When, value: &QueryValue) -> Result<(), String> {
    if let Some(expected) = &eval.string {
        return match value {
            QueryValue::String { value, .. } if value == expected => Ok(()),
            other => Err(format!("expected {expected:?}, found {other:?}")),
        };
    }
    if let Some(expected) = eval.scalar {
        return compare::scalar(value, expected);
    }
    match (value, when, eval.range_vector) {
        (QueryValue::Vector(found), ..) => compare::vector(found, &eval.series, eval.ordered),
        (QueryValue::Matrix(found), _, Some((start_ms, _, step_ms)))
        | (QueryValue::Matrix(found), When::Range { start_ms, step_ms, .. }, None) => {
            compare::matrix(found, &eval.series, start_ms, step_ms)
        }
        (other, ..) => Err(format!("unexpected {other:?}")),
    }
}

fn check_annotations(eval: &Eval, answer: &Answer) -> Result<(), String> {
    let (warnings, infos) = (answer.annotations.warnings(), answer.annotations.infos());
    check_messages(&eval.warns, eval.no_warn, &warnings, "warning")?;
    check_messages(&eval.infos, eval.no_info, &infos, "info")
}

fn check_messages(expected: &[Text], none: bool, found: &[String], what: &str) -> Result<(), String> {
    if none && !found.is_empty() {
        return Err(format!("unexpected {what}: {found:?}"));
    }
    if let Some(text) = expected.iter().find(|text| !found.iter().any(|message| text.matches(message))) {
        return Err(format!("missing {what} {text:?} in {found:?}"));
    }
    let unexpected = found.iter().find(|message| !expected.iter().any(|text| text.matches(message)));
    match unexpected {
        Some(message) if !expected.is_empty() => Err(format!("unexpected {what}: {message}")),
        _ => Ok(()),
    }
}
