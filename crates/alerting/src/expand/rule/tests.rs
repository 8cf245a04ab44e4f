use super::*;
use crate::{
    querier::{ExpressionError, QueryFailure, SampleSink},
    rules::DEFAULT_INTERVAL_MS,
};
use model::MetricBatch;

/// `query` finds two elements, unless the expression is `none`.
struct World;

impl Querier for World {
    fn instant(&self, _: Source, expr: &str, at_ms: i64) -> Result<Reading, QueryFailure> {
        let element = |instance: &str, value: f64| VectorSample {
            labels: Labels::from_pairs([("instance", instance)]),
            timestamp_ms: at_ms,
            value: model::Value::Float(value),
        };
        match expr {
            "none" => Ok(Reading::Vector(Vec::new())),
            "fails" => Err(QueryFailure("timed out".to_owned())),
            "scalar" => Ok(Reading::Scalar(3.0)),
            _ => Ok(Reading::Vector(vec![element("b", 2.0), element("a", at_ms as f64)])),
        }
    }

    fn check(&self, _: Source, _: &str) -> Result<(), ExpressionError> {
        Ok(())
    }
}

impl SampleSink for World {
    fn append(&self, _: &MetricBatch) -> Result<(), QueryFailure> {
        Ok(())
    }
}

fn expanded(text: &str) -> String {
    let world = Arc::new(World);
    let environment = Environment {
        querier: world.clone(),
        sink: world,
        external_url: "http://bw/prefix".to_owned(),
        external_labels: Labels::from_pairs([("dc", "x")]),
    };
    let group = GroupDefinition {
        file: "f".into(),
        name: "g".into(),
        interval_ms: DEFAULT_INTERVAL_MS,
        query_offset_ms: 1000,
        limit: 0,
        source: Source::Metrics,
        rules: Vec::new(),
    };
    let rule = RuleDefinition {
        expr: "up".into(),
        labels: Vec::new(),
        kind: RuleKind::Alert {
            name: "Down".into(),
            for_ms: 0,
            keep_firing_for_ms: 0,
            no_data: crate::rules::NoData::Ok,
            annotations: vec![("text".into(), text.into())],
        },
    };
    let element = VectorSample {
        labels: Labels::from_pairs([("__name__", "up"), ("instance", "host:9100")]),
        timestamp_ms: 0,
        value: model::Value::Float(1_234_567.0),
    };
    let data = RuleData { element: &element, group: &group, environment: &environment, at_ms: 5000 };
    RuleTemplates::of(&rule).annotations(&data).remove(0).1
}

#[test]
fn rules_texts() {
    for (text, expected) in [
        ("plain $labels", "plain $labels"),
        ("{{ $labels.instance }} {{ .Labels.instance }}", "host:9100 host:9100"),
        ("[{{ $labels.absent }}]", "[]"),
        ("{{ $labels }}", "map[__name__:up instance:host:9100]"),
        ("{{ $value }} {{ $value | humanize }}", "1.234567e+06 1.235M"),
        (
            "{{ $externalLabels.dc }} {{ $externalURL }} {{ externalURL }} {{ pathPrefix }}",
            "x http://bw/prefix http://bw/prefix /prefix",
        ),
        (
            "{{ range query \"x\" | sortByLabel \"instance\" }}{{ .Labels.instance }}={{ .Value }} {{ end }}",
            "a=4000 b=2 ",
        ),
        ("{{ with query \"none\" }}some{{ else }}nothing{{ end }}", "nothing"),
        ("{{ query \"scalar\" | first | value }}", "3"),
        ("{{ stripPort $labels.instance }}", "host"),
        ("{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" $labels.instance }}", "<host:9100>"),
    ] {
        assert_eq!(expanded(text), expected, "{text}");
    }
}

#[test]
fn a_text_that_fails_says_so_in_its_place() {
    for text in ["{{ query \"none\" | first }}", "{{ query \"fails\" }}", "{{ template \"missing\" }}"] {
        let found = expanded(text);
        assert!(found.starts_with("<error expanding template: "), "{text}: {found}");
    }
    assert!(expanded("{{ query \"fails\" }}").contains("timed out"));
}

#[test]
fn links_are_escaped_as_go_does() {
    assert_eq!(
        graph_link("http://bw", "up{a=\"b\"} == 0"),
        "http://bw/graph?g0.expr=up%7Ba%3D%22b%22%7D+%3D%3D+0&g0.tab=1"
    );
}
