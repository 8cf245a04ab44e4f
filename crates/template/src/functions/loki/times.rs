//! Instants: reading, writing, Unix epochs.

use super::numbers::to_int;
use crate::{Value, functions::Functions, go_time};
use jiff::tz::TimeZone;

pub(super) fn add(set: &mut Functions) {
    set.add("now", 0, |call| Ok(Value::from(call.now())));
    set.add("date", 2, |call| {
        let time = match &call.args[1] {
            Value::Time(time) => time.as_ref().clone(),
            Value::Int(seconds) => go_time::utc(i128::from(*seconds) * 1_000_000_000),
            _ => call.now(),
        };
        Ok(Value::from(go_time::format_time(&time, call.str(0)?)))
    });
    set.add("toDate", 2, |call| parse_or_zero(call.str(0)?, call.str(1)?, &TimeZone::UTC));
    set.add("toDateInZone", 3, |call| {
        let zone = TimeZone::get(call.str(1)?).unwrap_or(TimeZone::UTC);
        parse_or_zero(call.str(0)?, call.str(2)?, &zone)
    });
    set.add("unixEpoch", 1, |call| Ok(Value::from(call.time(0)?.timestamp().as_second().to_string())));
    set.add("unixEpochMillis", 1, |call| {
        Ok(Value::from(call.time(0)?.timestamp().as_millisecond().to_string()))
    });
    set.add("unixEpochNanos", 1, |call| {
        Ok(Value::from(call.time(0)?.timestamp().as_nanosecond().to_string()))
    });
    set.add("unixToTime", 1, |call| unix_to_time(call.str(0)?));
}

fn parse_or_zero(layout: &str, text: &str, zone: &TimeZone) -> Result<Value, String> {
    let zero = || go_time::parse_time("2006", "0001", &TimeZone::UTC);
    go_time::parse_time(layout, text, zone).or_else(|_| zero()).map(Value::from)
}

/// The number of digits tells the unit: days, seconds, milli-, micro- or nanoseconds.
fn unix_to_time(text: &str) -> Result<Value, String> {
    let failed = || format!("unable to parse time '{text}': invalid syntax");
    let number: i64 = text.parse().map_err(|_| failed())?;
    let unit_ns: i128 = match text.len() {
        5 => 86_400_000_000_000,
        10 => 1_000_000_000,
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ => return Err(failed()),
    };
    Ok(Value::from(go_time::utc(i128::from(to_int(&Value::Int(number))) * unit_ns)))
}
