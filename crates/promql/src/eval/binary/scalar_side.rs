//! A vector and a scalar: every series is computed on its own.

use super::{
    super::{
        EvalResult, Evaluator, Grid, Series, Sink,
        column::{Column, Sample, is_absent},
    },
    operate::{Notes, Outcome, arithmetic, operate},
};
use crate::ast::{Binary, BinaryOp};
use model::Value;

impl<'q> Evaluator<'q> {
    /// `scalar_left` says on which side the scalar stands.
    pub(super) fn with_scalar(
        &self,
        binary: &Binary,
        scalar_left: bool,
        grid: Grid,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let (scalar, vector) = match scalar_left {
            true => (&binary.left, &binary.right),
            false => (&binary.right, &binary.left),
        };
        let scalars = self.scalar(scalar, grid)?;
        let op = binary.op;
        self.stream(vector, grid, &mut |mut series| {
            let is_plain = !series.column.has_histograms() && arithmetic(op, 0.0, 1.0).is_some();
            if is_plain {
                compute_floats(&mut series.column, &scalars, op, scalar_left);
            } else {
                self.compute_any(binary, &mut series.column, &scalars, scalar_left);
            }
            if series.column.is_empty() {
                return Ok(());
            }
            let keeps_name = op.is_comparison() && !binary.return_bool || op.is_trim();
            let drop_name = series.drop_name || !keeps_name;
            sink(Series { drop_name, ..series })
        })
    }

    fn compute_any(&self, binary: &Binary, column: &mut Column<'_>, scalars: &[f64], scalar_left: bool) {
        let op = binary.op;
        column.map(|step, sample| {
            let scalar = Sample::Float(scalars[step]);
            let (left, right) = if scalar_left { (scalar, sample) } else { (sample, scalar) };
            match operate(op, left, right, &mut Notes::default()) {
                Outcome::Value(value) => Some(value),
                Outcome::Truth(holds) if binary.return_bool => Some(Value::Float(f64::from(u8::from(holds)))),
                Outcome::Truth(holds) => holds.then(|| sample.to_value()),
                Outcome::Incompatible | Outcome::MixedSchemas => {
                    self.note_incompatible(binary, left, right);
                    None
                }
            }
        });
    }

    /// Remarks that the operator does not go with these kinds of values.
    pub(super) fn note_incompatible(&self, binary: &Binary, left: Sample<'_>, right: Sample<'_>) {
        let kind = |sample: Sample<'_>| match sample {
            Sample::Float(_) => "float",
            Sample::Histogram(_) => "histogram",
        };
        let (op, left, right) = (binary.op.as_str(), kind(left), kind(right));
        let message = format!(
            "incompatible sample types encountered for binary operator \"{op}\": {left} {op} {right}"
        );
        self.info(binary.span.start, &message);
    }
}

fn compute_floats(column: &mut Column<'_>, scalars: &[f64], op: BinaryOp, scalar_left: bool) {
    for (value, scalar) in column.floats.iter_mut().zip(scalars) {
        if is_absent(*value) {
            continue;
        }
        let (left, right) = if scalar_left { (*scalar, *value) } else { (*value, *scalar) };
        if let Some(result) = arithmetic(op, left, right) {
            *value = result;
        }
    }
}
