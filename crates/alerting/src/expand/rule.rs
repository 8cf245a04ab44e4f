//! Templates of rules: labels and annotations, expanded once for each element of a result.
//!
//! A template that fails does not fail its rule: its error stands in place of the text, so that
//! the alert reaches someone.

use crate::{
    querier::{Querier, Reading, Source},
    rules::{Environment, GroupDefinition, RuleDefinition, RuleKind},
};
use model::{Labels, VectorSample};
use std::sync::Arc;
use template::{Functions, Object, Options, Template, Value, functions};

/// What Prometheus puts before every template, so that it may say `$labels`.
const VARIABLES: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}\
                         {{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// Whether `text` parses as a template of a rule.
pub(crate) fn check_rule_template(text: &str) -> Result<(), String> {
    parse("", text).map(|_| ())
}

fn parse(name: &str, text: &str) -> Result<Option<Template>, String> {
    if !text.contains("{{") {
        return Ok(None);
    }
    let full = format!("{VARIABLES}{text}");
    Template::parse(name, &full, &functions::prometheus()).map(Some).map_err(|error| error.to_string())
}

/// One text of a rule: constant, or a template, or what is wrong with it.
enum Text {
    Constant(String),
    Template(Box<Template>),
    Broken(String),
}

/// The labels and annotations of an alerting rule, parsed once.
pub(crate) struct RuleTemplates {
    labels: Vec<(String, Text)>,
    annotations: Vec<(String, Text)>,
}

impl RuleTemplates {
    pub(crate) fn of(rule: &RuleDefinition) -> Self {
        let RuleKind::Alert { name, annotations, .. } = &rule.kind else {
            return RuleTemplates { labels: Vec::new(), annotations: Vec::new() };
        };
        let name = format!("__alert_{name}");
        let parsed = |(key, text): &(String, String)| (key.clone(), Text::of(&name, text));
        RuleTemplates {
            labels: rule.labels.iter().map(parsed).collect(),
            annotations: annotations.iter().map(parsed).collect(),
        }
    }

    /// Name and expanded text of every label.
    pub(crate) fn labels(&self, data: &RuleData<'_>) -> Vec<(String, String)> {
        data.expand(&self.labels)
    }

    /// Name and expanded text of every annotation.
    pub(crate) fn annotations(&self, data: &RuleData<'_>) -> Vec<(String, String)> {
        data.expand(&self.annotations)
    }
}

impl Text {
    fn of(name: &str, text: &str) -> Self {
        match parse(name, text) {
            Ok(None) => Text::Constant(text.to_owned()),
            Ok(Some(template)) => Text::Template(Box::new(template)),
            Err(error) => Text::Broken(error),
        }
    }
}

/// What a rule's templates see: one element of the result, and the world.
pub(crate) struct RuleData<'a> {
    pub(crate) element: &'a VectorSample,
    pub(crate) group: &'a GroupDefinition,
    pub(crate) environment: &'a Environment,
    pub(crate) at_ms: i64,
}

impl RuleData<'_> {
    fn expand(&self, texts: &[(String, Text)]) -> Vec<(String, String)> {
        if texts.is_empty() {
            return Vec::new();
        }
        let data = Value::object(ElementObject {
            labels: self.element.labels.clone(),
            value: self.element.value.clone(),
            external_labels: self.environment.external_labels.clone(),
            external_url: self.environment.external_url.clone(),
        });
        let options = Options {
            now_ns: self.at_ms.saturating_mul(1_000_000),
            functions: bound_functions(self.environment, self.group, self.at_ms),
            ..Options::default()
        };
        texts.iter().map(|(name, text)| (name.clone(), expand(text, &data, &options))).collect()
    }
}

fn expand(text: &Text, data: &Value, options: &Options) -> String {
    let failed = |error: &str| format!("<error expanding template: {error}>");
    match text {
        Text::Constant(text) => text.clone(),
        Text::Template(template) => {
            template.execute_with(data, options).unwrap_or_else(|error| failed(&error.to_string()))
        }
        Text::Broken(error) => failed(error),
    }
}

struct ElementObject {
    labels: Labels,
    value: model::Value,
    external_labels: Labels,
    external_url: String,
}

impl Object for ElementObject {
    fn type_name(&self) -> &str {
        "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }"
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Labels" => Value::labels(&self.labels),
            "ExternalLabels" => Value::labels(&self.external_labels),
            "ExternalURL" => Value::from(self.external_url.as_str()),
            "Value" => match &self.value {
                model::Value::Float(value) => Value::Float(*value),
                model::Value::Histogram(histogram) => {
                    Value::from(format!("{{count:{}, sum:{}}}", histogram.count, histogram.sum))
                }
            },
            _ => return None,
        })
    }
}

/// The functions that need more than their arguments, bound to one evaluation.
fn bound_functions(environment: &Environment, group: &GroupDefinition, at_ms: i64) -> Functions {
    let mut bound = Functions::none();
    let querier = environment.querier.clone();
    let (source, query_ms) = (group.source, at_ms - group.query_offset_ms);
    bound.add("query", 1, move |call| query(&querier, source, call.str(0)?, query_ms));
    let url = environment.external_url.clone();
    bound.add("externalURL", 0, move |_| Ok(Value::from(url.as_str())));
    let path =
        reqwest::Url::parse(&environment.external_url).map(|url| url.path().trim_end_matches('/').to_owned());
    let path = path.unwrap_or_default();
    bound.add("pathPrefix", 0, move |_| Ok(Value::from(path.as_str())));
    bound
}

fn query(querier: &Arc<dyn Querier>, source: Source, expr: &str, at_ms: i64) -> Result<Value, String> {
    let elements = match querier.instant(source, expr, at_ms).map_err(|error| error.to_string())? {
        Reading::Vector(elements) => elements,
        Reading::Scalar(value) => {
            vec![VectorSample {
                labels: Labels::empty(),
                timestamp_ms: at_ms,
                value: model::Value::Float(value),
            }]
        }
    };
    let sample = |element: VectorSample| functions::sample(&element.labels, element.value.as_float());
    Ok(Value::list(elements.into_iter().map(sample)))
}

/// A link to an expression's graph on this server, as Prometheus writes it.
pub(crate) fn graph_link(external_url: &str, expr: &str) -> String {
    let mut query = String::new();
    for byte in expr.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                query.push(char::from(byte))
            }
            b' ' => query.push('+'),
            other => query.push_str(&format!("%{other:02X}")),
        }
    }
    format!("{external_url}/graph?g0.expr={query}&g0.tab=1")
}

#[cfg(test)]
mod tests;
