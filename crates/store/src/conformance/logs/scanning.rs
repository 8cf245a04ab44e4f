//! `scan`, its units, order and ids.

use super::*;
use MatchOp::{Equal, NotEqual, NotRegex, Regex};
use std::sync::Mutex;

pub(super) fn ranges_are_half_open(subject: &mut LogSubject<'_>) {
    let lines: Vec<_> = (0..10).map(|i| line(&stream("a"), NOW_NS + i * 10, &i.to_string())).collect();
    store_all(&**subject, &lines);
    subject.settle();
    for (from, to, count) in [
        (0, 100, 10),
        (0, 90, 9),
        (0, 91, 10),
        (20, 40, 2),
        (21, 41, 2),
        (20, 20, 0),
        (40, 20, 0),
        (95, 99, 0),
    ] {
        let request = LogRequest { range: TimeRange::new(NOW_NS + from, NOW_NS + to), ..everything() };
        assert_eq!(brute_force(&lines, &request).len(), count, "the table itself, {from} to {to}");
        expect_brute_force(&**subject, &lines, &request);
    }
}

pub(super) fn every_kind_of_matcher_selects(subject: &mut LogSubject<'_>) {
    let sets: [&[(&str, &str)]; 4] = [
        &[("id", "a"), ("env", "prod"), ("code", "200")],
        &[("id", "b"), ("env", "dev")],
        &[("id", "c"), ("code", "500")],
        &[("id", "d"), ("env", "new\nline")],
    ];
    let lines = sets.map(|set| line(&Labels::from_pairs(set.iter().copied()), NOW_NS, "text"));
    store_all(&**subject, &lines);
    subject.settle();
    for (matchers, expected) in [
        (&[][..], "abcd"),
        (&[("env", Equal, "prod")], "a"),
        (&[("env", Equal, "")], "c"),
        (&[("env", NotEqual, "prod")], "bcd"),
        (&[("env", NotEqual, "")], "abd"),
        (&[("env", Regex, "pro")], ""),
        (&[("env", Regex, "pro.|dev")], "ab"),
        (&[("env", Regex, ".*")], "abcd"),
        (&[("env", Regex, ".+")], "abd"),
        (&[("env", Regex, "new.line")], "d"),
        (&[("env", NotRegex, "prod|dev")], "cd"),
        (&[("env", NotRegex, ".+")], "c"),
        (&[("absent", Equal, "")], "abcd"),
        (&[("absent", NotEqual, "")], ""),
        (&[("code", NotEqual, ""), ("env", Equal, "")], "c"),
    ] {
        let matchers = matchers.iter().map(|(name, op, value)| matcher(name, *op, value)).collect();
        let request = LogRequest { matchers, ..everything() };
        let mut found: Vec<_> =
            scan(&**subject, &request).iter().map(|(_, line)| line.labels.value("id").to_owned()).collect();
        found.sort();
        assert_eq!(found.concat(), expected, "{:?}", request.matchers);
    }
}

pub(super) fn lines_of_one_instant_keep_their_order_of_arrival(subject: &mut LogSubject<'_>) {
    let burst: Vec<_> = (0..50).map(|i| line(&stream("a"), NOW_NS, &format!("{}", (i * 37) % 50))).collect();
    let before = line(&stream("a"), NOW_NS - 1, "before");
    let after = line(&stream("a"), NOW_NS + 1, "after");
    store_all(&**subject, std::slice::from_ref(&after));
    for part in burst.chunks(25) {
        store_all(&**subject, part);
    }
    store_all(&**subject, std::slice::from_ref(&before));
    subject.settle();
    let mut expected: Vec<Line> = [&[before], &burst[..], &[after]].concat();
    for direction in [Direction::Forward, Direction::Backward] {
        let request = LogRequest { direction, ..everything() };
        let mut found: Vec<Line> = scan(&**subject, &request).into_iter().map(|(_, line)| line).collect();
        // Units may overlap in time; a stable sort merges them as an engine does.
        match direction {
            Direction::Forward => found.sort_by_key(|line| line.timestamp_ns),
            Direction::Backward => found.sort_by_key(|line| std::cmp::Reverse(line.timestamp_ns)),
        }
        assert_eq!(found, expected, "{direction:?}");
        expected.reverse();
    }
}

pub(super) fn ids_are_unique_and_stay(subject: &mut LogSubject<'_>) {
    let lines: Vec<_> = (0..200)
        .map(|i| line(&stream(["a", "b"][i % 2]), NOW_NS + (i / 4) as i64, &format!("line {}", i / 3)))
        .collect();
    store_all(&**subject, &lines[..100]);
    let sorted = |store: &dyn LogStore| {
        let mut rows = scan(store, &everything());
        rows.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
        rows
    };
    let before = sorted(&**subject);
    subject.settle();
    assert_eq!(sorted(&**subject), before, "ids outlive flush and restart");
    store_all(&**subject, &lines[100..]);
    subject.settle();
    subject.settle();
    let after = sorted(&**subject);
    assert!(before.iter().all(|row| after.contains(row)), "ids outlive later writes and merges");
    assert_eq!(after.len(), brute_force(&lines, &everything()).len());
}

pub(super) fn a_scan_shows_nothing_that_came_later(subject: &mut LogSubject<'_>) {
    let first: Vec<_> = (0..20).map(|i| line(&stream("a"), NOW_NS + i, "first")).collect();
    store_all(&**subject, &first);
    subject.settle();
    let request = everything();
    let snapshot = subject.scan(&request, &QueryContext::default()).expect("a scan works");
    let later = [line(&stream("a"), NOW_NS + 5, "later"), line(&stream("b"), NOW_NS, "later")];
    store_all(&**subject, &later);
    subject.flush().expect("a flush works");
    subject.maintain(NOW_NS + 86_400_000_000_000, NOW_NS + 86_400_000_000_000).expect("maintenance works");
    let found: Vec<_> = read_scan(&*snapshot, &request).into_iter().map(|(_, line)| line).collect();
    assert_eq!(brute_force(&found, &request), brute_force(&first, &request));
    expect_lines(&**subject, &[&first[..], &later].concat());
}

pub(super) fn a_sink_ends_a_unit_early(subject: &mut LogSubject<'_>) {
    let lines: Vec<_> = (0..100).map(|i| line(&stream("a"), NOW_NS + i, "text")).collect();
    store_all(&**subject, &lines);
    subject.settle();
    let context = QueryContext::default();
    let scan = subject.scan(&everything(), &context).expect("a scan works");
    let mut seen = 0;
    let mut sink = |_: Row<'_>| {
        seen += 1;
        assert!(seen <= 3, "no row comes after a break");
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let fullest = (0..scan.units().len()).max_by_key(|index| scan.units()[*index].rows_max);
    scan.read(fullest.expect("there is a unit"), &context, &mut sink).expect("an early end is success");
    assert!(seen > 0, "a unit of this scan has rows");
}

pub(super) fn units_can_be_read_at_once(subject: &mut LogSubject<'_>) {
    let lines = super::corpus::lines(21, 4000);
    for chunk in lines.chunks(1000) {
        store_all(&**subject, chunk);
    }
    subject.settle();
    let context = QueryContext::default();
    let scan = subject.scan(&everything(), &context).expect("a scan works");
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let (scan, context, found) = (&scan, &context, &found);
            scope.spawn(move || {
                for index in (0..scan.units().len()).filter(|index| index % 3 == worker) {
                    let mut rows = Vec::new();
                    let mut sink = |row: Row<'_>| {
                        rows.push(owned(&row));
                        ControlFlow::Continue(())
                    };
                    scan.read(index, context, &mut sink).expect("a unit can be read");
                    found.lock().expect("no reader panicked").extend(rows);
                }
            });
        }
    });
    let found = found.into_inner().expect("no reader panicked");
    assert_eq!(found.len(), lines.len());
    assert_eq!(brute_force(&found, &everything()), brute_force(&lines, &everything()));
}

pub(super) fn writers_and_readers_work_at_once(subject: &mut LogSubject<'_>) {
    const BATCHES: i64 = 30;
    let store: &dyn LogStore = &**subject;
    let lines_of = |writer: i64, i: i64| {
        let own = stream(&format!("w{writer}"));
        [
            line(&own, NOW_NS + i, &format!("own {i}")),
            line(&stream("shared"), NOW_NS + i, &format!("by {writer}")),
        ]
    };
    std::thread::scope(|scope| {
        for writer in 0..3 {
            scope.spawn(move || {
                for i in 0..BATCHES {
                    store_all(store, &lines_of(writer, i));
                    let mine =
                        LogRequest { matchers: vec![equal("app", &format!("w{writer}"))], ..everything() };
                    let seen = scan(store, &mine).len() as i64;
                    assert_eq!(seen, i + 1, "what was acknowledged is readable");
                }
            });
        }
    });
    subject.settle();
    let written: Vec<Line> =
        (0..3).flat_map(|writer| (0..BATCHES).flat_map(move |i| lines_of(writer, i))).collect();
    expect_lines(&**subject, &written);
}
