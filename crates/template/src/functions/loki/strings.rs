//! Text: cases, trimming, cutting, padding, replacing.

use crate::{
    Value,
    format::text_of_bytes,
    functions::{Call, Functions, text},
};

pub(super) fn add(set: &mut Functions) {
    for (names, convert) in [
        (["ToLower", "lower"], text::to_lower as fn(&str) -> String),
        (["ToUpper", "upper"], text::to_upper),
        (["TrimSpace", "trim"], |text| text.trim().to_owned()),
    ] {
        for name in names {
            text::add_text(set, name, convert);
        }
    }
    text::add_text(set, "title", text::title);
    add_trimming(set);
    add_cutting(set);
    text::add_regex_replace(set, "regexReplaceAll", false, 1, 2);
    text::add_regex_replace(set, "regexReplaceAllLiteral", true, 1, 2);
    set.add("count", 2, |call| {
        let text = call.str(1)?;
        text::with_regex(call.str(0)?, |regex| Value::Int(regex.find_iter(text).count() as i64))
    });
    set.add("contains", 2, |call| Ok(Value::Bool(call.str(1)?.contains(call.str(0)?))));
    set.add("hasPrefix", 2, |call| Ok(Value::Bool(call.str(1)?.starts_with(call.str(0)?))));
    set.add("hasSuffix", 2, |call| Ok(Value::Bool(call.str(1)?.ends_with(call.str(0)?))));
    set.add("replace", 3, |call| bounded(call, call.str(2)?.replace(call.str(0)?, call.str(1)?)));
    set.add("Replace", 4, |call| {
        let (text, old, new) = (call.str(0)?, call.str(1)?, call.str(2)?);
        let replaced = match usize::try_from(call.int(3)?) {
            Ok(count) => text.replacen(old, new, count),
            Err(_) => text.replace(old, new),
        };
        bounded(call, replaced)
    });
    set.add("repeat", 2, |call| {
        let (count, text) = (usize::try_from(call.int(0)?).unwrap_or(0), call.str(1)?);
        if text.len().saturating_mul(count) > call.text_bytes_max() {
            return Err("result is too long".to_owned());
        }
        Ok(Value::from(text.repeat(count)))
    });
}

fn bounded(call: &Call<'_>, text: String) -> Result<Value, String> {
    if text.len() > call.text_bytes_max() {
        return Err("result is too long".to_owned());
    }
    Ok(Value::from(text))
}

/// Loki's functions take the text first, sprig's take it last.
fn add_trimming(set: &mut Functions) {
    type Cut = fn(&str, &str) -> String;
    let cuts: [(&str, &[&str], Cut); 5] = [
        ("Trim", &["trimAll"], |text, set| text.trim_matches(|c| set.contains(c)).to_owned()),
        ("TrimLeft", &[], |text, set| text.trim_start_matches(|c| set.contains(c)).to_owned()),
        ("TrimRight", &[], |text, set| text.trim_end_matches(|c| set.contains(c)).to_owned()),
        ("TrimPrefix", &["trimPrefix"], |text, prefix| text.strip_prefix(prefix).unwrap_or(text).to_owned()),
        ("TrimSuffix", &["trimSuffix"], |text, suffix| text.strip_suffix(suffix).unwrap_or(text).to_owned()),
    ];
    for (text_first, text_last, cut) in cuts {
        set.add(text_first, 2, move |call| Ok(Value::from(cut(call.str(0)?, call.str(1)?))));
        for name in text_last {
            set.add(name, 2, move |call| Ok(Value::from(cut(call.str(1)?, call.str(0)?))));
        }
    }
}

fn add_cutting(set: &mut Functions) {
    set.add("trunc", 2, |call| {
        let (count, bytes) = (call.int(0)?, call.str(1)?.as_bytes());
        let length = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX).min(bytes.len());
        let kept = if count < 0 { &bytes[bytes.len() - length..] } else { &bytes[..length] };
        Ok(Value::from(text_of_bytes(kept)))
    });
    set.add("substr", 3, |call| {
        let bytes = call.str(2)?.as_bytes();
        let from = usize::try_from(call.int(0)?).unwrap_or(0);
        let to = usize::try_from(call.int(1)?).map_or(bytes.len(), |to| to.min(bytes.len()));
        let kept = bytes.get(from..to).ok_or_else(|| format!("slice bounds out of range [{from}:{to}]"))?;
        Ok(Value::from(text_of_bytes(kept)))
    });
    set.add("alignLeft", 2, |call| align(call, false));
    set.add("alignRight", 2, |call| align(call, true));
    set.add("indent", 2, |call| indent(call, ""));
    set.add("nindent", 2, |call| indent(call, "\n"));
}

/// Cuts or pads to a number of characters; aligned right, the end is kept.
fn align(call: &Call<'_>, right: bool) -> Result<Value, String> {
    let text = call.str(1)?;
    let Ok(width) = usize::try_from(call.int(0)?) else {
        return Ok(Value::from(text));
    };
    if width > call.text_bytes_max() {
        return Err("result is too long".to_owned());
    }
    let length = text.chars().count();
    Ok(Value::from(match (length >= width, right) {
        (true, false) => text.chars().take(width).collect::<String>(),
        (true, true) => text.chars().skip(length - width).collect(),
        (false, false) => format!("{text:<width$}"),
        (false, true) => format!("{text:>width$}"),
    }))
}

fn indent(call: &Call<'_>, before: &str) -> Result<Value, String> {
    let (width, text) = (usize::try_from(call.int(0)?).unwrap_or(0), call.str(1)?);
    let lines = text.matches('\n').count() + 1;
    if lines.saturating_mul(width) > call.text_bytes_max() {
        return Err("result is too long".to_owned());
    }
    let padding = " ".repeat(width);
    Ok(Value::from(format!("{before}{padding}{}", text.replace('\n', &format!("\n{padding}")))))
}
