use super::*;
use crate::policy::{Amount, Check, CheckKind, Direction, Fallback, Guard, Limit, Per, Select, Step, Target};
use proptest::prelude::*;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;

fn target(per: Per, target: f64) -> Check {
    let kind = CheckKind::Target { per, target, tolerance: 0.1, activation: 0.0 };
    Check { name: "load".into(), query: "load".into(), kind, max_age_ms: 90 * SECOND, fail_on_no_data: false }
}

fn queue() -> Check {
    let step = |from, to, add| Step { from, to, add };
    let steps = vec![step(100.0, Some(1000.0), Amount::Count(2)), step(1000.0, None, Amount::Percent(50.0))];
    Check { name: "queue".into(), kind: CheckKind::Step(steps), ..target(Per::Total, 1.0) }
}

fn policy(checks: Vec<Check>) -> Policy {
    let direction = |stabilization_ms, cooldown_ms, limits, select| Direction {
        stabilization_ms,
        cooldown_ms,
        limits,
        select,
    };
    let limit = |amount| Limit { amount, period_ms: MINUTE };
    let out = vec![limit(Amount::Percent(100.0)), limit(Amount::Count(4))];
    Policy {
        name: "web".into(),
        uid: "web".into(),
        file: "f".into(),
        mode: Mode::Enforce,
        target: Target {
            receiver: "r".into(),
            kind: "generic".into(),
            id: "asg/web".into(),
            current: "size".into(),
        },
        min: 2,
        max: 20,
        interval_ms: 15 * SECOND,
        checks,
        scale_out: direction(0, 0, out, Select::Max),
        scale_in: direction(5 * MINUTE, MINUTE, vec![limit(Amount::Count(2))], Select::Min),
        schedules: Vec::new(),
        fallback: Some(Fallback { after_ms: 5 * MINUTE, replicas: 8 }),
        guards: vec![Guard { alert: "Deploy".into(), effect: Mode::PausedIn }],
        annotations: Default::default(),
    }
}

fn value(value: f64) -> Measured {
    Measured::Value { value, age_ms: 0 }
}

fn none() -> Measured {
    Measured::NoData("empty".into())
}

/// Runs a policy with a target that follows at once.
struct Loop {
    policy: Policy,
    state: State,
    size: u32,
    now_ms: i64,
    alerts: BTreeSet<String>,
}

impl Loop {
    fn new(policy: Policy, size: u32) -> Self {
        Loop { policy, state: State::default(), size, now_ms: 1_000 * MINUTE, alerts: BTreeSet::new() }
    }

    fn step(&mut self, checks: &[Measured]) -> Decision {
        self.now_ms += self.policy.interval_ms;
        let inputs = Inputs {
            now_ms: self.now_ms,
            current: value(self.size.into()),
            checks: checks.to_vec(),
            firing_alerts: self.alerts.clone(),
        };
        let (decision, state) = decide(&self.policy, &self.state, &inputs);
        self.state = state;
        self.size = decision.desired.unwrap();
        decision
    }

    fn run(&mut self, minutes: i64, checks: &[Measured]) -> Vec<u32> {
        let steps = minutes * MINUTE / self.policy.interval_ms;
        let mut sizes: Vec<_> = (0..steps).map(|_| self.step(checks).desired.unwrap()).collect();
        sizes.dedup();
        sizes
    }
}

#[test]
fn growing_is_quick_and_shrinking_slow() {
    let mut web = Loop::new(policy(vec![target(Per::Total, 150.0)]), 4);
    assert_eq!(web.run(6, &[value(1350.0)]), [8, 9]);
    assert_eq!(web.run(5, &[value(450.0)]), [9], "the window still holds the peak");
    assert_eq!(web.run(4, &[value(450.0)]), [7, 5, 3]);
}

#[test]
fn small_deviations_change_nothing() {
    let mut web = Loop::new(policy(vec![target(Per::Total, 100.0)]), 10);
    assert_eq!(web.run(10, &[value(1090.0)]), [10]);
    assert_eq!(web.run(10, &[value(910.0)]), [10]);
    assert_eq!(web.step(&[value(1110.0)]).desired, Some(12));
}

#[test]
fn a_mean_per_replica_scales_by_its_ratio() {
    let mut web = Loop::new(policy(vec![target(Per::Replica, 50.0)]), 4);
    assert_eq!(web.step(&[value(75.0)]).desired, Some(6));
}

#[test]
fn a_step_check_that_abstains_does_not_veto() {
    let mut web = Loop::new(policy(vec![target(Per::Total, 100.0), queue()]), 6);
    assert_eq!(web.run(8, &[value(300.0), value(5.0)]).last(), Some(&3));
    assert_eq!(web.step(&[value(300.0), value(500.0)]).desired, Some(5));
    let only_steps = &mut Loop::new(policy(vec![queue()]), 6);
    assert_eq!(only_steps.run(20, &[value(5.0)]), [6], "all abstain: keep");
}

#[test]
fn no_data_holds_then_falls_back_and_never_shrinks() {
    let mut web = Loop::new(policy(vec![target(Per::Total, 100.0)]), 6);
    let held = web.step(&[none()]);
    assert_eq!((held.desired, held.reason), (Some(6), Reason::NoDataHold));
    assert_eq!(web.run(10, &[none()]), [6, 8]);
    let mut large = Loop::new(policy(vec![target(Per::Total, 100.0)]), 15);
    for bad in
        [none(), value(f64::NAN), value(f64::INFINITY), Measured::Value { value: 1.0, age_ms: 91 * SECOND }]
    {
        assert_eq!(large.run(10, &[bad]), [15]);
    }
}

#[test]
fn partial_data_may_grow_but_not_shrink() {
    let mut web = Loop::new(policy(vec![target(Per::Total, 100.0), target(Per::Total, 10.0)]), 6);
    assert_eq!(web.run(20, &[value(100.0), none()]), [6]);
    assert_eq!(web.step(&[value(900.0), none()]).desired, Some(9));
}

#[test]
fn an_unknown_size_holds_and_one_below_the_floor_moves_up() {
    let web = policy(vec![target(Per::Total, 100.0)]);
    let inputs =
        |current| Inputs { now_ms: 0, current, checks: vec![none()], firing_alerts: BTreeSet::new() };
    let (decision, _) = decide(&web, &State::default(), &inputs(none()));
    assert_eq!(
        (decision.desired, decision.action, decision.reason),
        (None, Action::None, Reason::CurrentUnknown)
    );
    let (decision, _) = decide(&web, &State::default(), &inputs(value(1.0)));
    assert_eq!((decision.desired, decision.reason), (Some(2), Reason::BelowMin));
    let (decision, _) = decide(&web, &State::default(), &inputs(value(30.0)));
    assert_eq!(decision.desired, Some(30), "moving down to the ceiling needs data");
}

#[test]
fn modes_and_guards_pause() {
    let mut web = Loop::new(policy(vec![target(Per::Total, 100.0)]), 6);
    web.alerts.insert("Deploy".into());
    assert_eq!(web.run(20, &[value(300.0)]), [6]);
    assert_eq!(web.step(&[value(300.0)]).limited_by, Some(Reason::PausedIn));
    assert_eq!(web.step(&[value(800.0)]).desired, Some(8));
    web.policy.mode = Mode::Paused;
    assert_eq!(web.step(&[value(1900.0)]).limited_by, Some(Reason::Paused));
}

#[test]
fn a_gap_asks_for_a_full_window_before_shrinking() {
    let mut web = Loop::new(policy(vec![target(Per::Total, 100.0)]), 6);
    web.run(10, &[value(600.0)]);
    web.now_ms += 30 * MINUTE;
    assert_eq!(web.run(5, &[value(300.0)]), [6]);
    assert_eq!(web.run(3, &[value(300.0)]).last(), Some(&3));
}

#[test]
fn a_slow_target_is_not_asked_twice() {
    let web = policy(vec![target(Per::Total, 100.0)]);
    let mut state = State::default();
    let mut desired = Vec::new();
    for step in 0..8 {
        let inputs = Inputs {
            now_ms: step * 15 * SECOND,
            current: value(4.0),
            checks: vec![value(700.0)],
            firing_alerts: BTreeSet::new(),
        };
        let (decision, after) = decide(&web, &state, &inputs);
        state = after;
        desired.push((decision.desired.unwrap(), decision.action));
    }
    assert_eq!(desired[0], (7, Action::Out));
    assert!(desired[1..].iter().all(|step| *step == (7, Action::None)), "{desired:?}");
    assert_eq!(state.sequence, 1);
}

#[test]
fn a_dry_run_counts_from_what_is_there_and_not_from_what_it_would_have_done() {
    let mut web = policy(vec![queue()]);
    web.mode = Mode::DryRun;
    let mut state = State::default();
    for step in 0..40 {
        let inputs = Inputs {
            now_ms: step * 15 * SECOND,
            current: value(4.0),
            checks: vec![value(500.0)],
            firing_alerts: BTreeSet::new(),
        };
        let (decision, after) = decide(&web, &state, &inputs);
        state = after;
        assert_eq!((decision.desired, decision.action), (Some(6), Action::Out), "step {step}");
    }
    assert_eq!(state.sequence, 0, "nothing was to be delivered");
    web.mode = Mode::Enforce;
    let inputs = Inputs {
        now_ms: 10 * MINUTE,
        current: value(4.0),
        checks: vec![value(500.0)],
        firing_alerts: BTreeSet::new(),
    };
    let (decision, state) = decide(&web, &state, &inputs);
    assert_eq!((decision.desired, state.sequence), (Some(6), 1), "enforced from one moment to the next");
}

fn measured() -> impl Strategy<Value = Measured> {
    prop_oneof![
        6 => (0.0..4000.0f64, 0..120_000i64).prop_map(|(value, age_ms)| Measured::Value { value, age_ms }),
        1 => Just(Measured::NoData("empty".into())),
        1 => Just(Measured::Value { value: f64::NAN, age_ms: 0 }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is measured: bounds hold, nothing shrinks without all data, no more than the
    /// limits allow changes in a minute.
    #[test]
    fn invariants(
        start in 0u32..30,
        steps in prop::collection::vec((measured(), measured(), any::<bool>(), 1u32..40), 1..150),
    ) {
        let web = policy(vec![target(Per::Total, 150.0), queue()]);
        let mut state = State::default();
        let mut size = start;
        let mut shrunk: Vec<(i64, u32)> = Vec::new();
        for (i, (load, depth, size_known, pause)) in steps.into_iter().enumerate() {
            let now_ms = i as i64 * 15 * SECOND + i64::from(pause);
            let current = if size_known { value(size.into()) } else { none() };
            let checks = vec![load, depth];
            let inputs = Inputs { now_ms, current, checks, firing_alerts: BTreeSet::new() };
            let (decision, after) = decide(&web, &state, &inputs);
            let Some(desired) = decision.desired else {
                prop_assert_eq!(decision.action, Action::None);
                state = after;
                continue;
            };
            let reference = state.reference(size, now_ms);
            let has_data = decision.checks.iter().all(|check| check.proposal != Proposal::NoData);
            prop_assert!(has_data || desired >= reference, "shrank without data: {decision:?}");
            if desired != reference {
                prop_assert!(desired >= web.min.min(reference) && desired <= web.max.max(reference));
                prop_assert_eq!(after.sequence, state.sequence + 1);
            }
            if desired < reference {
                shrunk.push((now_ms, reference - desired));
                let recent = shrunk.iter().filter(|(at_ms, _)| now_ms - at_ms < MINUTE);
                let total: u32 = recent.map(|(_, by)| by).sum();
                prop_assert!(total <= 2, "shrank by {total} within a minute");
            }
            size = desired;
            state = serde_json::from_str(&serde_json::to_string(&after).unwrap()).unwrap();
            prop_assert_eq!(&state, &after);
        }
    }
}
