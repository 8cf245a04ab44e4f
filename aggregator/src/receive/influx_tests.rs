//! Line protocol through the router.

use super::{
    counters::Protocol,
    tests::{packed, post, samples},
};
use crate::app::App;
use daemon::clock;
use wire::compression::Encoding;

#[tokio::test]
async fn lines_are_stored_in_the_precision_they_say() {
    let app = App::for_tests();
    let answer =
        post(&app, "/api/v2/write?org=o&bucket=b&precision=s", &[], b"up,host=a value=1 60".to_vec()).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (204, ""));
    let body = packed(Encoding::Gzip, b"cpu,host=a idle=2i,text=\"x\" 61000");
    let headers = [("content-encoding", "gzip"), ("content-type", "text/plain; charset=utf-8")];
    let answer = post(&app, "/write?db=telegraf&precision=ms", &headers, body).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (204, ""), "text fields are no failure");
    let stored = samples(&app);
    assert_eq!(stored.len(), 2, "{stored:?}");
    assert!(stored.iter().any(|line| line.contains("cpu_idle") && line.ends_with(" 61000 2")), "{stored:?}");
    assert!(stored.iter().any(|line| line.contains("up") && line.ends_with(" 60000 1")), "{stored:?}");
    let own = app.own.encode();
    let counted = r#"bellwether_receive_rejected_total{protocol="influx",reason="string_field"} 1"#;
    assert!(own.contains(counted), "{own}");
}

#[tokio::test]
async fn bad_lines_are_named_and_the_rest_is_stored() {
    let app = App::for_tests();
    let now_ns = clock::now_ns();
    let body = format!("ok value=1 {now_ns}\nbroken\nok value=oops");
    let problem = "partial write: 2 x unreadable_line: line 2: missing fields; \
                   line 3: invalid value `oops` of field `value`";
    let answer = post(&app, "/api/v2/write", &[], body.clone().into_bytes()).await;
    let expected = format!(r#"{{"code":"invalid","message":"{problem}"}}"#);
    assert_eq!((answer.status.as_u16(), answer.text()), (400, expected));
    assert_eq!(samples(&app).len(), 1);
    let answer = post(&app, "/write", &[], body.into_bytes()).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (400, format!(r#"{{"error":"{problem}"}}"#)));
    assert_eq!(samples(&app).len(), 1, "the same sample again is the same sample");
}

#[tokio::test]
async fn requests_that_cannot_be_read_are_refused() {
    let app = App::for_tests();
    for (path, headers, status) in [
        ("/write?precision=week", vec![], 400),
        ("/write", vec![("content-encoding", "brotli")], 415),
        ("/api/v2/write", vec![("content-encoding", "gzip")], 400),
    ] {
        let answer = post(&app, path, &headers, b"a value=1".to_vec()).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/json");
    }
    assert!(samples(&app).is_empty());
    let own = app.own.encode();
    for (reason, count) in [("malformed", 2), ("unsupported", 1)] {
        let counted = format!(r#"receive_failures_total{{protocol="influx",reason="{reason}"}} {count}"#);
        assert!(own.contains(&counted), "{counted}: {own}");
        assert_eq!(app.receivers.refusals.due(Protocol::Influx, reason), None, "the log has it already");
    }
}

#[tokio::test]
async fn refused_lines_are_told_in_the_log_and_text_fields_are_not() {
    let app = App::for_tests();
    post(&app, "/write", &[], b"ok value=1,text=\"x\"\nbroken".to_vec()).await;
    let refusals = &app.receivers.refusals;
    assert_eq!(refusals.due(Protocol::Influx, "unreadable_line"), None, "told");
    assert_eq!(refusals.due(Protocol::Influx, "string_field"), Some(1), "not told before");
}
