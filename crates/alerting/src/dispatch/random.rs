//! Random alerts, silences, inhibitors, edits, crashes, outages and lost answers against what receivers
//! must know in the end.
//! A run follows from its seed, which a failure names.

use super::incidents::IncidentBounds;
use super::tests::{config_for, given_up};
use super::*;
use crate::silence::SilenceMatcher;

/// Two runs each, of some 80 ms of a debug build; many thousand have passed.
const SEEDS: std::ops::Range<u64> = 0..60;
/// They once failed: beginnings in doubt were merged and parted again; an end under way was told while an
/// edit moved its alert, which another group had told, too; a beginning was taken, and its answer lost;
/// an end was at the receiver while an edit moved its alert to where another fired.
const SEEDS_THAT_FAILED: [u64; 6] = [1879, 6365, 100_686, 69, 11_197, 103_876];
const STEPS: u64 = 60;
/// So small that few alerts meet them.
const BOUNDS: IncidentBounds = IncidentBounds { shared_max: 2, closed_at_once_max: 2 };
/// What stands before a slash is the group.
const ALERTS: [&str; 6] = ["1/a", "1/b", "2/a", "2/c", "d", INHIBITOR];
/// While it fires, some others are muted.
const INHIBITOR: &str = "i";
const INHIBITED: [&str; 2] = ["1/a", "2/c"];
const ROUTE: &str = "group_by: [group], group_wait: 1s, group_interval: 2s, repeat_interval: 1d";
const RECEIVERS: &str = "- {name: pair, pagerduty_configs: [{routing_key: sink}, {routing_key: second}]}\n\
     - {name: second, pagerduty_configs: [{routing_key: second}]}\n\
     inhibit_rules: [{source_matchers: [alertname=i], target_matchers: ['alertname=~\"1/a|2/c\"']}]\n";

/// Splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn of<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len() as u64) as usize]
    }
}

/// What a receiver, known by its address, takes an alert to be.
type Known = BTreeMap<(String, Fingerprint), Belief>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Belief {
    fires: bool,
    /// When it was told last.
    at_ms: i64,
    /// Since it was told of the beginning, the alert was kept from this address by an edit: whoever
    /// moves an alert elsewhere closes it by hand.
    abandoned: bool,
}

struct World {
    random: Random,
    configs: Vec<Arc<Config>>,
    dispatcher: Dispatcher,
    journal: Journal,
    _folder: tempfile::TempDir,
    unwritten: Vec<Change>,
    now_ms: i64,
    /// Deliveries whose next attempt waits.
    waiting: BTreeMap<u64, Delivery>,
    /// Those whose attempt was taken, which is not known yet.
    taken: BTreeMap<u64, Delivery>,
    /// Whether attempts may be taken, or taken in part, without an answer.
    loses_answers: bool,
    /// Deliveries of which one may have been.
    unanswered: BTreeSet<u64>,
    /// Addresses that answer nothing.
    away: BTreeSet<String>,
    known: Known,
    fires: BTreeMap<Fingerprint, (Labels, bool)>,
    /// When the configuration changed last.
    edited_at_ms: i64,
    /// When a silence ended or will end, or an inhibitor ended.
    silenced: BTreeMap<Fingerprint, i64>,
    /// Addresses of which a crash or a lost answer has left it open what they were told.
    unsure: BTreeSet<String>,
    /// Alerts by address of whose end a crash has left it open whether it was told, which it was not.
    doubted: BTreeSet<(String, Fingerprint)>,
    /// Groups of an integration that was told of an end which closes more incidents than one notification.
    partly_ended: BTreeSet<(String, String)>,
    story: Vec<String>,
    /// One alert may go to one address by two routes.
    may_repeat: bool,
    /// Open incidents by address.
    incidents: BTreeMap<String, BTreeSet<String>>,
    /// Alerts that were told to have begun in an open incident, by address and incident.
    begun: BTreeMap<(String, String), BTreeSet<Fingerprint>>,
    /// Open incidents in which one had begun that an edit then kept from the address.
    abandoned: BTreeSet<(String, String)>,
}

fn labels_of(name: &str) -> Labels {
    let group = name.split_once('/').map_or("", |(group, _)| group);
    Labels::from_pairs([("alertname", name), ("group", group)].into_iter().filter(|(_, v)| !v.is_empty()))
}

impl World {
    fn new(seed: u64, loses_answers: bool) -> Self {
        let with = |routes: &str| config_for("r", &format!("{ROUTE}, routes: [{routes}]"), RECEIVERS);
        let mut configs = vec![
            config_for("r", ROUTE, RECEIVERS),
            config_for("other", ROUTE, RECEIVERS),
            config_for("r", &ROUTE.replace("[group]", "[alertname]"), RECEIVERS),
            config_for("pair", ROUTE, RECEIVERS),
            with("{receiver: other, matchers: ['group=~\"1|x\"']}"),
            with("{receiver: other, matchers: [alertname=1/a]}"),
            with("{receiver: r, matchers: ['alertname=~\"1/a|d\"'], group_by: []}"),
            with("{receiver: pair, matchers: ['group=~\"1|2\"']}"),
        ];
        let extent = seed % 3;
        let may_repeat = extent == 2;
        if extent > 0 {
            configs.push(with("{receiver: second, matchers: [group=1]}"));
        }
        if may_repeat {
            configs.push(with("{receiver: other, matchers: [group=1], continue: true}, {receiver: r}"));
        }
        let folder = tempfile::tempdir().unwrap();
        let mut dispatcher = Dispatcher::new(configs[0].clone(), 0);
        dispatcher.incident_bounds = BOUNDS;
        World {
            random: Random(seed),
            dispatcher,
            configs,
            journal: Journal::open(folder.path()).unwrap(),
            _folder: folder,
            unwritten: Vec::new(),
            now_ms: 0,
            waiting: BTreeMap::new(),
            taken: BTreeMap::new(),
            loses_answers,
            unanswered: BTreeSet::new(),
            away: BTreeSet::new(),
            known: BTreeMap::new(),
            fires: BTreeMap::new(),
            edited_at_ms: 0,
            silenced: BTreeMap::new(),
            unsure: BTreeSet::new(),
            doubted: BTreeSet::new(),
            partly_ended: BTreeSet::new(),
            story: Vec::new(),
            may_repeat,
            incidents: BTreeMap::new(),
            begun: BTreeMap::new(),
            abandoned: BTreeSet::new(),
        }
    }

    fn note(&mut self, what: impl Into<String>) {
        self.story.push(format!("{:>7} {}", self.now_ms, what.into()));
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..30 => {
                let (name, fires) = (self.random.of(&ALERTS), self.random.chance(50));
                self.post(name, fires);
            }
            30..60 => {
                let ms = 100 * (1 + self.random.below(30) as i64);
                self.pass(ms);
            }
            60..72 => {
                let address = self.random.of(&["sink", "second"]);
                let target = self.target(address);
                if !self.away.remove(&target) {
                    self.away.insert(target);
                }
                self.note(format!("{address} away: {:?}", self.away));
            }
            72..84 => {
                let at = self.random.below(self.configs.len() as u64) as usize;
                self.note(format!("reload {at}"));
                self.dispatcher.reload(self.configs[at].clone(), self.now_ms);
                self.settle();
                self.note_edit();
            }
            84..92 => {
                let at = self.random.below(self.configs.len() as u64) as usize;
                let is_edited = self.random.chance(50);
                self.crash(is_edited.then_some(at));
            }
            92..96 => {
                let name = self.random.of(&ALERTS);
                let for_ms = 100 * self.random.below(80) as i64 + 100;
                self.silence(name, for_ms);
            }
            _ => self.give_up(),
        }
    }

    fn target(&self, address: &str) -> String {
        let at = usize::from(address == "second");
        self.configs[3].receivers["pair"].integrations[at].target()
    }

    fn post(&mut self, name: &str, fires: bool) {
        self.note(format!("{}{name}", if fires { '+' } else { '-' }));
        if name == INHIBITOR && !fires {
            INHIBITED.iter().for_each(|name| self.note_muted(name, self.now_ms));
        }
        let labels = labels_of(name);
        let alert = Alert {
            labels: labels.clone(),
            annotations: crate::Annotations::empty(),
            starts_at_ms: self.now_ms - 1,
            ends_at_ms: if fires { i64::MAX / 4 } else { self.now_ms },
            starts_written: Default::default(),
            ends_written: Default::default(),
            updated_at_ms: self.now_ms,
            generator_url: String::new(),
            timeout: false,
            held: false,
            rendered: crate::Rendered::default(),
            measure: None,
        };
        self.fires.insert(alert.fingerprint(), (labels, fires));
        self.dispatcher.post(alert, self.now_ms).unwrap();
        self.settle();
    }

    fn note_muted(&mut self, name: &str, until_ms: i64) {
        let muted = self.silenced.entry(Fingerprint::of(&labels_of(name))).or_insert(until_ms);
        *muted = until_ms.max(*muted);
    }

    fn silence(&mut self, name: &str, for_ms: i64) {
        self.note(format!("silence {name} for {for_ms}"));
        let matcher =
            SilenceMatcher { name: "alertname".into(), value: name.into(), is_regex: false, is_equal: true };
        let silence = Silence {
            id: String::new(),
            matchers: vec![matcher],
            starts_at_ms: self.now_ms,
            ends_at_ms: self.now_ms + for_ms,
            updated_at_ms: 0,
            created_by: String::new(),
            comment: String::new(),
            dormant: false,
        };
        self.note_muted(name, silence.ends_at_ms);
        let id = format!("s{}", self.story.len());
        self.dispatcher.set_silence(silence, id, self.now_ms).unwrap();
        self.settle();
    }

    fn give_up(&mut self) {
        let Some((id, delivery)) = self.waiting.pop_first() else { return };
        self.note(format!("given up {id} {}", delivery.integration));
        self.finish_untaken(id, given_up);
        self.settle();
    }

    /// Ends a delivery that no answer has said to be taken.
    fn finish_untaken(&mut self, id: u64, outcome: impl Fn(bool) -> Finished) {
        let may_be_taken = self.unanswered.remove(&id);
        self.dispatcher.finished(id, &outcome(may_be_taken), self.now_ms);
    }

    /// Whatever was taken without our knowing stays taken.
    fn crash(&mut self, config: Option<usize>) {
        self.note(format!("crash {config:?}"));
        let config = config.map_or_else(|| self.dispatcher.config().clone(), |at| self.configs[at].clone());
        self.unsure.extend(self.taken.values().map(|delivery| delivery.target.clone()));
        for delivery in std::mem::take(&mut self.waiting).into_values() {
            let ended = delivery.resolved.iter().map(|alert| (delivery.target.clone(), *alert));
            self.doubted.extend(ended);
        }
        self.taken.clear();
        self.unanswered.clear();
        self.journal.commit(&std::mem::take(&mut self.unwritten)).unwrap();
        self.dispatcher = Dispatcher::restored(config, &self.journal, self.now_ms).unwrap();
        self.dispatcher.incident_bounds = BOUNDS;
        self.settle();
        self.note_edit();
    }

    fn pass(&mut self, ms: i64) {
        let end_ms = self.now_ms + ms;
        while self.now_ms < end_ms {
            self.now_ms += 100;
            self.dispatcher.tick(self.now_ms);
            self.settle();
            self.attempt();
        }
    }

    /// Receivers that are there take what waits for them; that is known sooner or later.
    fn attempt(&mut self) {
        let expired = |delivery: &Delivery| delivery.expires_at_ms <= self.now_ms;
        let late: Vec<u64> = self.waiting.iter().filter(|(_, it)| expired(it)).map(|(id, _)| *id).collect();
        for id in late {
            self.waiting.remove(&id);
            self.note(format!("expired {id}"));
            self.finish_untaken(id, given_up);
        }
        for (id, delivery) in std::mem::take(&mut self.waiting) {
            let is_away = self.away.contains(&delivery.target) || self.random.chance(30);
            if self.loses_answers && self.random.chance(10) {
                self.note(format!("no answer to {id}"));
                self.fail_in_doubt(&delivery, is_away);
                self.waiting.insert(id, delivery);
            } else if is_away {
                self.waiting.insert(id, delivery);
            } else {
                self.take(&delivery);
                self.taken.insert(id, delivery);
            }
        }
        for id in self.taken.keys().copied().collect::<Vec<_>>() {
            if !self.random.chance(60) {
                continue;
            }
            let taken = self.taken.remove(&id);
            if self.loses_answers && self.random.chance(10) {
                self.note(format!("the answer to {id} is lost"));
                taken.into_iter().for_each(|delivery| self.lose_answer(delivery));
            } else {
                self.unanswered.remove(&id);
                self.dispatcher.finished(id, &Finished::Delivered, self.now_ms);
            }
        }
        self.settle();
    }

    /// An attempt without an answer. Of an end of several incidents the first may be closed.
    fn fail_in_doubt(&mut self, delivery: &Delivery, is_away: bool) {
        self.unsure.insert(delivery.target.clone());
        self.unanswered.insert(delivery.id);
        if let [closed, _, ..] = delivery.closes()
            && !is_away
        {
            self.note(format!("{closed} is closed"));
            self.incidents.entry(delivery.target.clone()).or_default().remove(closed);
            self.forget_closed(&delivery.target);
        }
    }

    /// A delivery that was told to stop while it was under way ends now; others are tried again.
    fn lose_answer(&mut self, delivery: Delivery) {
        let id = delivery.id;
        self.unsure.insert(delivery.target.clone());
        self.unanswered.insert(id);
        if self.dispatcher.outbox.get(id).is_some_and(|under_way| under_way.stopping) {
            self.finish_untaken(id, stopped);
        } else {
            self.waiting.insert(id, delivery);
        }
    }

    fn forget_closed(&mut self, target: &str) {
        let open = &self.incidents[target];
        self.begun.retain(|(of, incident), _| of != target || open.contains(incident));
        self.abandoned.retain(|at| self.begun.contains_key(at));
    }

    fn take(&mut self, delivery: &Delivery) {
        let incidents = self.incidents.entry(delivery.target.clone()).or_default();
        super::tests::note_incidents(incidents, &delivery.message);
        self.forget_closed(&delivery.target);
        if !delivery.firing.is_empty() {
            let named = delivery.message.incidents.iter().flatten().next();
            let incident = named.unwrap_or(&delivery.message.group_key).clone();
            self.begun.entry((delivery.target.clone(), incident)).or_default().extend(&delivery.firing);
        }
        let mut is_news = self.is_rest_of_end(delivery);
        let mut words = Vec::new();
        for alert in &delivery.message.alerts {
            let key = (delivery.target.clone(), alert.alert.fingerprint());
            let before = self.known.get(&key);
            let fired = before.is_some_and(|belief| belief.fires);
            // Beside others that fire, what began and ended between two looks is told as over. So is,
            // once more, what an edit has put beside them, where another receiver waits for its end.
            let changed_at_ms = alert.alert.updated_at_ms.max(self.edited_at_ms);
            let is_fresh = before.is_none_or(|belief| belief.at_ms <= changed_at_ms);
            // What a silence muted meanwhile is told again.
            let silenced_at_ms = self.silenced.get(&key.1);
            let was_silenced = before.zip(silenced_at_ms).is_some_and(|(told, at_ms)| told.at_ms <= *at_ms);
            let was_doubted = self.doubted.remove(&key);
            is_news |= fired == alert.resolved || alert.resolved && is_fresh || was_silenced || was_doubted;
            words.push(format!("{}{}", if alert.resolved { '-' } else { '+' }, alert.alert.name()));
            // The end of one alert is told although the beginning of another stands beside it.
            let abandoned = !self.targets(&alert.alert.labels).contains(&delivery.target);
            let belief = Belief { fires: !alert.resolved, at_ms: self.now_ms, abandoned };
            self.known.insert(key, belief);
        }
        self.note_abandoned();
        let reason = delivery.message.reason.as_str();
        let (integration, group) = (&delivery.integration, &delivery.message.group_key);
        let (id, words) = (delivery.id, words.join(" "));
        let about = delivery.message.incidents.as_ref().map_or_else(String::new, |it| format!(", {it:?}"));
        self.note(format!("{integration} takes {id} of {group}: {words} ({reason}{about})"));
        let is_sure = !self.unsure.contains(&delivery.target);
        assert!(is_news || !is_sure || self.may_repeat, "told twice");
    }

    /// The rest of an end that closes many incidents tells the same alerts.
    fn is_rest_of_end(&mut self, delivery: &Delivery) -> bool {
        let group = (delivery.integration.clone(), delivery.message.group_key.clone());
        let is_rest = self.partly_ended.remove(&group);
        if delivery.closes_more {
            self.partly_ended.insert(group);
        }
        is_rest
    }

    fn settle(&mut self) {
        loop {
            let (changes, effects) = self.dispatcher.take();
            self.unwritten.extend(changes);
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Deliver(delivery, ..) => {
                        drop(self.waiting.insert(delivery.id, (*delivery).clone()))
                    }
                    Effect::Stop(id) if self.waiting.remove(&id).is_some() => {
                        self.note(format!("stopped {id}"));
                        self.finish_untaken(id, stopped);
                    }
                    Effect::Stop(_) => {}
                }
            }
        }
    }

    /// The addresses that an alert is told to now.
    fn targets(&self, labels: &Labels) -> BTreeSet<String> {
        let config = self.dispatcher.config();
        let routes = config.routes.matching(labels).into_iter().map(|id| config.routes.get(id));
        let integrations = routes.flat_map(|route| &config.receivers[&route.receiver].integrations);
        integrations.map(|it| it.target()).collect()
    }

    fn note_edit(&mut self) {
        self.edited_at_ms = self.now_ms;
        for (fingerprint, (labels, _)) in self.fires.clone() {
            let targets = self.targets(&labels);
            for ((target, alert), belief) in &mut self.known {
                belief.abandoned |= *alert == fingerprint && !targets.contains(target);
            }
        }
        self.note_abandoned();
    }

    fn note_abandoned(&mut self) {
        for (at, alerts) in &self.begun {
            let is_abandoned = |alert: &Fingerprint| self.known[&(at.0.clone(), *alert)].abandoned;
            if alerts.iter().any(is_abandoned) {
                self.abandoned.insert(at.clone());
            }
        }
    }

    /// When all receivers are there and nothing is muted any more, they know what fires; when
    /// all is over, they know that.
    fn check(&mut self) {
        self.note("all are there");
        self.away.clear();
        self.post(INHIBITOR, false);
        self.pass(40_000);
        for (fingerprint, (labels, fires)) in &self.fires {
            for target in self.targets(labels) {
                let believed = self.known.get(&(target.clone(), *fingerprint)).is_some_and(|it| it.fires);
                assert!(!fires || believed, "{target} was not told that {labels} fires");
                let is_seen = |entry: &Entry| {
                    let open = &self.incidents[&target];
                    entry.target == target && entry.open_incidents().any(|incident| open.contains(incident))
                };
                let holders: Vec<_> = self.dispatcher.told.holders(*fingerprint).collect();
                let is_well = !fires || holders.iter().any(|(_, it)| is_seen(it));
                assert!(is_well, "{labels} has no incident at {target}: {holders:?}, {:?}", self.incidents);
            }
        }
        for name in ALERTS {
            self.post(name, false);
        }
        self.pass(100_000);
        for ((target, alert), belief) in &self.known {
            let labels = &self.fires[alert].0;
            assert!(!belief.fires || belief.abandoned, "{target} was not told that {labels} is over");
        }
        for (target, open) in &self.incidents {
            let is_abandoned =
                |incident: &&String| self.abandoned.contains(&(target.clone(), (*incident).clone()));
            let left: Vec<_> = open.iter().filter(|incident| !is_abandoned(incident)).collect();
            assert!(left.is_empty(), "{target} still has open: {left:?}");
        }
        assert!(self.waiting.is_empty() && self.taken.is_empty());
        let left = (self.dispatcher.alerts.len(), self.dispatcher.groups.len(), self.dispatcher.outbox.len());
        assert_eq!(left, (0, 0, 0), "alerts, groups and deliveries are forgotten");
    }
}

fn stopped(may_be_taken: bool) -> Finished {
    Finished::Stopped { may_be_taken }
}

/// Those of `SEEDS=from..to`, for runs by hand.
fn seeds() -> Vec<u64> {
    let wanted = std::env::var("SEEDS").ok();
    match wanted.as_deref().and_then(|range| range.split_once("..")) {
        Some((from, to)) => (from.parse().unwrap()..to.parse().unwrap()).collect(),
        None => SEEDS.chain(SEEDS_THAT_FAILED).collect(),
    }
}

#[test]
fn receivers_know_what_fires_and_what_is_over_whatever_happened() {
    for (seed, loses_answers) in seeds().into_iter().flat_map(|seed| [(seed, false), (seed, true)]) {
        let mut world = World::new(seed, loses_answers);
        let run = std::panic::AssertUnwindSafe(|| {
            (0..STEPS).for_each(|_| world.step());
            world.check();
        });
        if let Err(failure) = std::panic::catch_unwind(run) {
            println!("seed {seed}, loses answers: {loses_answers}:\n{}", world.story.join("\n"));
            std::panic::resume_unwind(failure);
        }
    }
}
