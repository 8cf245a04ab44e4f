//! `route`: from the tree as written to one with everything inherited filled in.

use super::{Context, Receiver};
use crate::{
    matchers::{matcher, parse_matchers},
    problem::Place,
    route::{GroupBy, Route, RouteId, RouteTree, key_of},
    time_interval::TimeInterval,
};
use model::{MatchOp, Matcher};
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const GROUP_WAIT_MS: i64 = 30_000;
const GROUP_INTERVAL_MS: i64 = 5 * 60_000;
const REPEAT_INTERVAL_MS: i64 = 4 * 3_600_000;
/// Deepest tree; one that is deeper is a mistake or an attack.
const DEPTH_MAX: usize = 64;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteYaml {
    receiver: Option<Spanned<String>>,
    group_by: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    r#continue: bool,
    #[serde(default, deserialize_with = "crate::config::or_default", rename = "match")]
    equal: BTreeMap<String, Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default", rename = "match_re")]
    regex: BTreeMap<String, Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    matchers: Vec<Spanned<String>>,
    group_wait: Option<Spanned<String>>,
    group_interval: Option<Spanned<String>>,
    repeat_interval: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    mute_time_intervals: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    active_time_intervals: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    routes: Vec<Spanned<RouteYaml>>,
}

struct Builder<'a, 'b> {
    context: &'a mut Context<'b>,
    receivers: &'a BTreeMap<String, Arc<Receiver>>,
    time_intervals: &'a BTreeMap<String, TimeInterval>,
    routes: Vec<Route>,
}

/// The tree, or `None` and problems.
pub(super) fn build(
    context: &mut Context<'_>,
    root: &Spanned<RouteYaml>,
    receivers: &BTreeMap<String, Arc<Receiver>>,
    time_intervals: &BTreeMap<String, TimeInterval>,
) -> Option<RouteTree> {
    check_root(context, root);
    let before = context.problems.len();
    let mut builder = Builder { context, receivers, time_intervals, routes: Vec::new() };
    builder.add(root, None, 0);
    let routes = builder.routes;
    (context.problems.len() == before).then(|| RouteTree::new(routes))
}

fn check_root(context: &mut Context<'_>, root: &Spanned<RouteYaml>) {
    let place = Place::of(root);
    let root = &root.value;
    if root.receiver.is_none() {
        context.report(place, "root route must specify a default receiver");
    }
    if !root.equal.is_empty() || !root.regex.is_empty() || !root.matchers.is_empty() {
        context.report(place, "root route must not have any matchers");
    }
    if !root.mute_time_intervals.is_empty() || !root.active_time_intervals.is_empty() {
        context.report(place, "root route must not have any mute or active time intervals");
    }
    if root.r#continue {
        context.report(place, "cannot have continue in root route");
    }
}

impl Builder<'_, '_> {
    fn add(&mut self, written: &Spanned<RouteYaml>, parent: Option<RouteId>, depth: usize) {
        if depth > DEPTH_MAX {
            self.context.report(Place::of(written), format!("routes are nested deeper than {DEPTH_MAX}"));
            return;
        }
        let route = self.route(written, parent);
        let id = RouteId(self.routes.len());
        self.routes.push(route);
        if let Some(parent) = parent {
            self.routes[parent.0].children.push(id);
        }
        for child in &written.value.routes {
            self.add(child, Some(id), depth + 1);
        }
    }

    fn route(&mut self, written: &Spanned<RouteYaml>, parent: Option<RouteId>) -> Route {
        let place = Place::of(written);
        let written = &written.value;
        let inherited = parent.map(|parent| self.routes[parent.0].clone());
        let matchers = self.matchers(written);
        let own_key = key_of(&matchers);
        let wait = inherited.as_ref().map_or(GROUP_WAIT_MS, |route| route.group_wait_ms);
        let interval = inherited.as_ref().map_or(GROUP_INTERVAL_MS, |route| route.group_interval_ms);
        let repeat = inherited.as_ref().map_or(REPEAT_INTERVAL_MS, |route| route.repeat_interval_ms);
        Route {
            receiver: self.receiver(written, inherited.as_ref()),
            group_by: self.group_by(written, inherited.as_ref()),
            group_wait_ms: self.context.duration("group_wait", written.group_wait.as_ref(), wait),
            group_interval_ms: self.positive(
                place,
                "group_interval",
                written.group_interval.as_ref(),
                interval,
            ),
            repeat_interval_ms: self.positive(
                place,
                "repeat_interval",
                written.repeat_interval.as_ref(),
                repeat,
            ),
            mute_time_intervals: self.interval_names(&written.mute_time_intervals),
            active_time_intervals: self.interval_names(&written.active_time_intervals),
            matchers,
            continues: written.r#continue,
            key: inherited.map_or(own_key.clone(), |route| format!("{}/{own_key}", route.key)),
            parent,
            children: Vec::new(),
        }
    }

    fn positive(
        &mut self,
        place: Place,
        field: &str,
        text: Option<&Spanned<String>>,
        default_ms: i64,
    ) -> i64 {
        let duration_ms = self.context.duration(field, text, default_ms);
        if duration_ms == 0 {
            self.context.report(text.map_or(place, Place::of), format!("`{field}` cannot be zero"));
        }
        duration_ms
    }

    fn receiver(&mut self, written: &RouteYaml, inherited: Option<&Route>) -> String {
        match &written.receiver {
            Some(receiver) if !receiver.value.is_empty() => {
                if !self.receivers.contains_key(&receiver.value) {
                    let message = format!("undefined receiver `{}` used in route", receiver.value);
                    self.context.report(Place::of(receiver), message);
                }
                receiver.value.clone()
            }
            _ => inherited.map(|route| route.receiver.clone()).unwrap_or_default(),
        }
    }

    fn group_by(&mut self, written: &RouteYaml, inherited: Option<&Route>) -> GroupBy {
        // As in Alertmanager, an empty list says no more than none.
        let Some(names) = written.group_by.as_ref().filter(|names| !names.is_empty()) else {
            return inherited.map_or(GroupBy::Labels(Vec::new()), |route| route.group_by.clone());
        };
        let mut seen = BTreeSet::new();
        for name in names {
            if name.value.is_empty() {
                self.context.report(Place::of(name), "invalid label name `` in `group_by`");
            }
            if !seen.insert(name.value.clone()) {
                self.context
                    .report(Place::of(name), format!("duplicated label `{}` in `group_by`", name.value));
            }
        }
        if !seen.contains("...") {
            return GroupBy::Labels(seen.into_iter().collect());
        }
        if let Some(other) = names.iter().find(|name| name.value != "...") {
            self.context.report(Place::of(other), "cannot have a wildcard and other labels in `group_by`");
        }
        GroupBy::All
    }

    fn interval_names(&mut self, names: &[Spanned<String>]) -> Vec<String> {
        for name in names {
            if !self.time_intervals.contains_key(&name.value) {
                let message = format!("undefined time interval `{}` used in route", name.value);
                self.context.report(Place::of(name), message);
            }
        }
        names.iter().map(|name| name.value.clone()).collect()
    }

    fn matchers(&mut self, written: &RouteYaml) -> Vec<Matcher> {
        let file = self.context.file;
        let built = matchers(file, &written.equal, &written.regex, &written.matchers);
        self.context.keep(built).unwrap_or_default()
    }
}

/// The three ways of writing matchers, together.
pub(crate) fn matchers(
    file: &str,
    equal: &BTreeMap<String, Spanned<String>>,
    regex: &BTreeMap<String, Spanned<String>>,
    texts: &[Spanned<String>],
) -> Result<Vec<Matcher>, crate::problem::Problem> {
    let mut matchers = Vec::new();
    let equal = equal.iter().map(|(name, value)| (name, MatchOp::Equal, value, value.value.clone()));
    // So Alertmanager reads the older form, and so it stands in the keys of groups.
    let regex = regex.iter().map(|(name, at)| (name, MatchOp::Regex, at, format!("^(?:{})$", at.value)));
    for (name, op, value, text) in equal.chain(regex) {
        let matcher = matcher(name, op, &text);
        matchers.push(matcher.map_err(|error| Place::of(value).problem(file, error.to_string()))?);
    }
    for text in texts {
        matchers.extend(parse_matchers(&text.value).map_err(|error| Place::of(text).problem(file, error))?);
    }
    Ok(matchers)
}
