//! Lines in, samples out.

use super::*;
use proptest::prelude::*;

const NOW_MS: i64 = 99;

fn decode_text(text: &str, precision: Precision) -> (Vec<String>, DecodeReport) {
    let mut batch = MetricBatch::default();
    let report = decode(text.as_bytes(), precision, NOW_MS, &mut batch).unwrap();
    let show = |series: model::SeriesView<'_>| {
        let labels: Vec<String> =
            series.labels().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let sample = series.samples()[0];
        format!("{} {} {}", labels.join(","), sample.timestamp_ms, sample.value)
    };
    (batch.series().map(show).collect(), report)
}

/// Decodes nanoseconds and compares the samples; nothing may be refused.
fn check(text: &str, expected: &[&str]) {
    let (samples, report) = decode_text(text, Precision::Nanoseconds);
    assert_eq!(samples, expected, "{text}");
    assert_eq!(
        (report.samples, report.rejected.as_slice()),
        (expected.len() as u64, [].as_slice()),
        "{text}"
    );
}

/// Decodes and compares what was refused, as `reason count example`.
fn check_refused(text: &str, kept: u64, expected: &[(&str, u64, &str)]) {
    let (_, report) = decode_text(text, Precision::Nanoseconds);
    let found: Vec<_> = report
        .rejected
        .iter()
        .map(|rejected| (rejected.reason.as_str(), rejected.count, rejected.example.as_str()))
        .collect();
    assert_eq!((report.samples, found.as_slice()), (kept, expected), "{text}");
}

#[test]
fn fields_become_metrics_and_tags_labels() {
    check("cpu,host=a usage_idle=97.5 1500000", &["__name__=cpu_usage_idle,host=a 1 97.5"]);
    check("up value=1", &["__name__=up 99 1"]);
    check(
        "m,z=1,B=2 i=-3i,u=18446744073709551615u,t=T,f=false,e=1e3 -1",
        &[
            "B=2,__name__=m_i,z=1 -1 -3",
            "B=2,__name__=m_u,z=1 -1 18446744073709552000",
            "B=2,__name__=m_t,z=1 -1 1",
            "B=2,__name__=m_f,z=1 -1 0",
            "B=2,__name__=m_e,z=1 -1 1000",
        ],
    );
    check("# comment\n\na value=1 1000000\r\n  b value=2 2000000", &["__name__=a 1 1", "__name__=b 2 2"]);
}

#[test]
fn escapes_and_names_that_need_quoting() {
    check(
        r"disk\ io\,x,pa\=th=/my\ data\,1,dir=c:\temp free.bytes=1",
        &[r"__name__=disk_io_x_free_bytes,dir=c:\temp,pa_th=/my data,1 99 1"],
    );
    check("9lives,1a=b é:x=1", &["_1a=b,__name__=_9lives___:x 99 1"]);
}

#[test]
fn precisions() {
    for (name, timestamp, expected) in [
        ("", 1_500_000, 1),
        ("n", -1, -1),
        ("us", 1_500, 1),
        ("u", 1_500, 1),
        ("ms", 7, 7),
        ("s", 7, 7_000),
        ("m", 7, 420_000),
        ("h", 7, 25_200_000),
    ] {
        let precision = Precision::from_param(name).unwrap();
        let (samples, _) = decode_text(&format!("a value=1 {timestamp}"), precision);
        assert_eq!(samples, [format!("__name__=a {expected} 1")], "{name}");
    }
    assert_eq!(Precision::from_param("fortnight"), None);
    let (samples, report) = decode_text("a value=1 9223372036854775807", Precision::Hours);
    assert_eq!((samples.len(), report.rejected_count()), (0, 1));
}

#[test]
fn strings_are_skipped_and_counted() {
    check_refused(
        "a s=\"x, y=\\\"2\\\"\nstill\",n=1\nb t=\"\"",
        1,
        &[("string_field", 2, "line 1: field `s`")],
    );
    // The newline inside the quotes counts as a line.
    check_refused(
        "a s=\"\n\",n=1\nb n=x",
        1,
        &[
            ("string_field", 1, "line 1: field `s`"),
            ("unreadable_line", 1, "line 3: invalid value `x` of field `n`"),
        ],
    );
}

#[test]
fn a_bad_line_costs_only_itself() {
    for (line, problem) in [
        (",a=b value=1", "missing measurement"),
        ("a", "missing fields"),
        ("a,b=c", "missing fields"),
        ("a,b value=1", "missing value of tag `b`"),
        ("a,b= value=1", "missing value of tag `b`"),
        ("a,=c value=1", "missing tag name"),
        ("a,b=c=d value=1", "unescaped `=` in the value of tag `b`"),
        ("a value", "missing value of field `value`"),
        ("a =1", "missing field name"),
        ("a value=", "invalid value `` of field `value`"),
        ("a value=1.5i", "invalid value `1.5i` of field `value`"),
        ("a value=-1u", "invalid value `-1u` of field `value`"),
        ("a value=NaN", "invalid value `NaN` of field `value`"),
        ("a value=1,b=oops", "invalid value `oops` of field `b`"),
        ("a value=1 now", "invalid timestamp `now`"),
        ("a value=1 1 2", "invalid timestamp `1 2`"),
        ("a s=\"x", "unclosed quote in field `s`"),
    ] {
        let example = format!("line 2: {problem}");
        check_refused(&format!("ok value=1\n{line}\nok value=2"), 2, &[("unreadable_line", 1, &example)]);
    }
    check_refused(
        "a\nb\nc x=1",
        1,
        &[("unreadable_line", 2, "line 1: missing fields; line 2: missing fields")],
    );
}

#[test]
fn tags_that_become_one_label_refuse_the_samples() {
    let (samples, report) = decode_text("a,x-y=1,x_y=2 value=1", Precision::Nanoseconds);
    assert_eq!((samples.len(), report.rejected[0].reason), (0, Refusal::DuplicateLabel));
}

#[test]
fn many_fields_with_many_tags_are_bounded() {
    let tags: String = (0..60).map(|i| format!(",t{i}={}", "x".repeat(2_000))).collect();
    let fields: Vec<String> = (0..5_000).map(|i| format!("f{i}=1")).collect();
    let body = format!("a{tags} {}", fields.join(","));
    let error = decode(body.as_bytes(), Precision::Seconds, 0, &mut MetricBatch::default()).unwrap_err();
    assert!(error.is_too_large(), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_are_read_without_panic(text in r#"[a-c,= "\\\n\r1iuté#.-]{0,80}"#) {
        let mut batch = MetricBatch::default();
        let report = decode(text.as_bytes(), Precision::Seconds, 0, &mut batch).unwrap();
        prop_assert_eq!(report.samples as usize, batch.sample_count());
    }
}
