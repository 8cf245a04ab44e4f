//! Rows by their shape against the rows themselves.

use super::model::{Line, Step, question, rows, run, run_shaped, shape, step};
use model::{Labels, LabelsRef};
use proptest::prelude::*;
use std::ops::ControlFlow;
use store::{
    LogRequest, LogStore, QueryContext, Row, RowSink, Shape, ShapeSink, Shaped, ShapedRow, WantedValues,
};

/// Puts lines together again from texts and values; takes every third shape, and every fifth row of the
/// others, by line.
#[derive(Default)]
struct Assembled {
    rows: Vec<(Labels, i64, String, Labels)>,
    shapes: Vec<Vec<String>>,
    asked: usize,
    shaped: usize,
}

impl Assembled {
    fn push(&mut self, labels: &Labels, timestamp_ns: i64, line: String, metadata: LabelsRef<'_>) {
        self.rows.push((labels.clone(), timestamp_ns, line, metadata.to_owned()));
    }
}

impl RowSink for Assembled {
    fn row(&mut self, row: Row<'_>) -> ControlFlow<()> {
        self.push(row.labels, row.timestamp_ns, row.line.to_owned(), row.metadata);
        ControlFlow::Continue(())
    }
}

impl ShapeSink for Assembled {
    fn shape(&mut self, shape: Shape<'_>) -> Option<WantedValues> {
        self.asked += 1;
        if self.asked.is_multiple_of(3) {
            return None;
        }
        self.shapes.push(shape.texts.iter().map(|&text| text.to_owned()).collect());
        Some(WantedValues { shape: self.shapes.len() - 1, places: (0..shape.texts.len() - 1).collect() })
    }

    fn shaped(&mut self, shape: usize, row: ShapedRow<'_>) -> Shaped {
        self.shaped += 1;
        if self.shaped.is_multiple_of(5) {
            return Shaped::WantsLine;
        }
        let texts = &self.shapes[shape];
        assert_eq!(row.ends.len() + 1, texts.len(), "every value was wanted");
        let mut line = texts[0].clone();
        for (index, text) in texts[1..].iter().enumerate() {
            let value = row.value(index);
            assert!(value.bytes().any(|byte| byte.is_ascii_digit()), "{value:?}");
            line.push_str(value);
            line.push_str(text);
        }
        self.push(row.labels, row.timestamp_ns, line, row.metadata);
        Shaped::Taken
    }
}

fn assembled(store: &dyn LogStore, request: &LogRequest) -> Assembled {
    let context = QueryContext::default();
    let scan = store.scan(request, &context).unwrap();
    let mut sink = Assembled::default();
    for unit in 0..scan.units().len() {
        scan.read_shaped(unit, &context, &mut sink).unwrap();
    }
    sink.rows.sort();
    sink
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn lines_are_their_texts_and_values(
        steps in prop::collection::vec(step(), 1..14),
        questions in prop::collection::vec(question(), 12),
        shape in shape(),
    ) {
        let (_dir, store, _reference, lines) = run_shaped(&steps, shape);
        for question in questions.iter().filter(|_| !lines.is_empty()) {
            let request = question.request(&lines);
            prop_assert_eq!(assembled(&store, &request).rows, rows(&store, &request), "{:?}", request);
        }
    }
}

#[test]
fn rows_of_a_template_come_by_their_shape() {
    let line = |n: u8| Line::new(n % 2, i64::from(n), format!("GET /{n} took {n}ms"), 0);
    let (_dir, store, _reference, _lines) = run(&[Step::Append((0..40).map(line).collect()), Step::Flush]);
    let request = LogRequest {
        matchers: Vec::new(),
        range: model::TimeRange::ALL,
        filters: Vec::new(),
        metadata_hints: Vec::new(),
        direction: store::Direction::Forward,
    };
    let found = assembled(&store, &request);
    assert_eq!(found.rows.len(), 40);
    assert!(found.shaped > 20, "{} of 40", found.shaped);
}
