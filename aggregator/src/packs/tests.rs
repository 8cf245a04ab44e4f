use super::*;
use model::{Labels, METRIC_NAME, MetricBatch};
use store::MemMetricStore;

const HOUR_MS: i64 = 3_600_000;
const START_MS: i64 = 1_800_000_000_000;

const FILES: &[(&str, &str)] = &[
    ("core", "# The core. More words.\n# Evaluated always.\ngroups: []\n"),
    (
        "db",
        "# Databases.\n# Evaluated when: db_up{kind=\"x\"}\ngroups:\n- rules:\n  - alert: A\n  - alert: A\n",
    ),
    ("unsaid", "# Says nothing.\ngroups: []\n"),
];

fn packs(modes: &[(&'static str, PackMode)], shipped_rules: bool) -> Packs {
    let mode = |name: &str| modes.iter().find(|(known, _)| *known == name).map(|(_, mode)| *mode);
    Packs::of(FILES.to_vec(), mode, shipped_rules)
}

fn on(packs: &Packs) -> Vec<&'static str> {
    packs.views().iter().filter(|view| view.on).map(|view| view.name).collect()
}

/// A sample of the series that switches `db` on.
fn put(store: &MemMetricStore, at_ms: i64) {
    let mut batch = MetricBatch::default();
    let labels = Labels::from_pairs([(METRIC_NAME, "db_up"), ("kind", "x"), ("instance", "i")]);
    batch.begin_with(labels.as_ref());
    batch.sample(at_ms, 0, 1.0);
    store.append(&batch, None, at_ms).unwrap();
}

#[test]
fn a_pack_goes_on_with_its_metrics_and_off_a_day_after_them() {
    let (store, packs) = (MemMetricStore::new(), packs(&[], true));
    assert!(packs.look(&store, START_MS));
    assert_eq!(on(&packs), ["core"]);
    assert!(!packs.look(&store, START_MS + 1), "nothing changes without a reason");

    put(&store, START_MS + HOUR_MS);
    assert!(packs.look(&store, START_MS + HOUR_MS));
    assert_eq!(on(&packs), ["core", "db"]);
    assert_eq!(packs.rules()[1], ("shipped:db.yml".to_owned(), FILES[1].1.to_owned()));

    // An outage of the exporter is no reason to forget what fires.
    assert!(!packs.look(&store, START_MS + 24 * HOUR_MS));
    assert!(packs.look(&store, START_MS + 26 * HOUR_MS));
    assert_eq!(on(&packs), ["core"]);

    put(&store, START_MS + 30 * HOUR_MS);
    assert!(packs.look(&store, START_MS + 30 * HOUR_MS));
    assert_eq!(on(&packs), ["core", "db"]);
}

#[test]
fn a_restart_during_an_outage_leaves_a_pack_on() {
    let store = MemMetricStore::new();
    put(&store, START_MS);
    let restarted = packs(&[], true);
    restarted.look(&store, START_MS + 20 * HOUR_MS);
    assert_eq!(on(&restarted), ["core", "db"]);
    let long_after = packs(&[], true);
    long_after.look(&store, START_MS + 25 * HOUR_MS);
    assert_eq!(on(&long_after), ["core"]);
}

#[test]
fn the_configuration_has_the_last_word() {
    let store = MemMetricStore::new();
    for (modes, shipped_rules, expected) in [
        (vec![("db", PackMode::On)], true, vec!["core", "db"]),
        (vec![("core", PackMode::Off)], true, vec![]),
        (vec![], false, vec![]),
        (vec![("db", PackMode::On)], false, vec!["db"]),
        (vec![("core", PackMode::Auto)], false, vec!["core"]),
    ] {
        let packs = packs(&modes, shipped_rules);
        packs.look(&store, START_MS);
        assert_eq!(on(&packs), expected, "{modes:?} {shipped_rules}");
    }
    put(&store, START_MS);
    let packs = packs(&[("db", PackMode::Off)], true);
    packs.look(&store, START_MS);
    assert_eq!(on(&packs), ["core"]);
}

#[test]
fn views_say_what_a_pack_waits_for() {
    let (store, packs) = (MemMetricStore::new(), packs(&[], true));
    put(&store, START_MS);
    packs.look(&store, START_MS);
    let expected = PackView {
        name: "db",
        title: "Databases",
        mode: PackMode::Auto,
        on: true,
        when: Some("db_up{kind=\"x\"}"),
        last_seen_ms: Some(START_MS),
        alerts: 2,
    };
    assert_eq!(packs.views()[1], expected);
}
