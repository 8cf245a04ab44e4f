//! Parts of a date, in UTC. Without an argument they tell about the moment of evaluation.

use super::super::{
    EvalResult, Evaluator, Grid, Series, Sink,
    column::{Column, Sample},
};
use crate::ast::Expr;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use model::{Labels, Value};

/// A part of a date, as a number. The second argument says how many cycles of the calendar later it is.
pub(super) type DatePart = fn(DateTime, f64) -> f64;

pub(super) fn find(name: &str) -> Option<DatePart> {
    Some(match name {
        "day_of_month" => |at, _| f64::from(at.day()),
        "day_of_week" => |at, _| f64::from(at.weekday().to_sunday_zero_offset()),
        "day_of_year" => |at, _| f64::from(at.day_of_year()),
        "days_in_month" => |at, _| f64::from(at.days_in_month()),
        "hour" => |at, _| f64::from(at.hour()),
        "minute" => |at, _| f64::from(at.minute()),
        "month" => |at, _| f64::from(at.month()),
        "year" => |at, cycles| f64::from(at.year()) + cycles * CYCLE_YEARS,
        _ => return None,
    })
}

impl<'q> Evaluator<'q> {
    pub(super) fn date(
        &self,
        part: DatePart,
        arg: Option<&Expr>,
        grid: Grid,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let Some(arg) = arg else {
            let values = (0..grid.count).map(|step| part_of(part, grid.time_ms(step) as f64 / 1000.0));
            let column = Column::of(values.collect(), self.context)?;
            return sink(Series { labels: Labels::empty(), drop_name: false, column });
        };
        self.map(arg, grid, sink, |column| {
            column.map(|_, sample| match sample {
                Sample::Float(seconds) => Some(Value::Float(part_of(part, seconds))),
                Sample::Histogram(_) => None,
            });
        })
    }
}

/// After so many seconds the Gregorian calendar repeats itself, days of the week too: 400 years.
const CYCLE_SECONDS: i64 = 146_097 * 86_400;
const CYCLE_YEARS: f64 = 400.0;

/// NaN where there is no moment. Parts are read within the cycle that begins in 1970, as `jiff` knows
/// few thousand years.
fn part_of(part: DatePart, seconds: f64) -> f64 {
    if !seconds.is_finite() {
        return f64::NAN;
    }
    let seconds = seconds.trunc() as i64;
    let (cycles, within) = (seconds.div_euclid(CYCLE_SECONDS), seconds.rem_euclid(CYCLE_SECONDS));
    match Timestamp::from_second(within) {
        Ok(timestamp) => part(TimeZone::UTC.to_datetime(timestamp), cycles as f64),
        Err(_) => f64::NAN,
    }
}
