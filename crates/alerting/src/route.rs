//! Routes: which receiver an alert goes to, in what company, and when.
//!
//! The tree is walked depth first. The first child that matches takes the alert, unless it says
//! `continue`; a route itself takes what none of its children took.

use crate::matchers::{all_match, written};
use model::{Labels, Matcher};

/// Index of a route in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub usize);

/// All routes; the first is the root.
#[derive(Clone, Debug)]
pub struct RouteTree {
    routes: Vec<Route>,
}

/// One route, with everything inherited filled in.
#[derive(Clone, Debug)]
pub struct Route {
    /// Who is told.
    pub receiver: String,
    /// How alerts are put together.
    pub group_by: GroupBy,
    /// From a group's first alert to its first notification.
    pub group_wait_ms: i64,
    /// Between notifications of a group that changes.
    pub group_interval_ms: i64,
    /// Between notifications of a group that does not.
    pub repeat_interval_ms: i64,
    /// Names of intervals in which nothing is told.
    pub mute_time_intervals: Vec<String>,
    /// Names of intervals outside which nothing is told; empty for always.
    pub active_time_intervals: Vec<String>,
    /// What leads here from the parent.
    pub matchers: Vec<Matcher>,
    /// Whether later siblings may take the alert too.
    pub continues: bool,
    /// Identity over reloads: the matchers from the root to here.
    pub key: String,
    pub(crate) parent: Option<RouteId>,
    pub(crate) children: Vec<RouteId>,
}

/// Which labels make a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// `...`: every alert is a group of its own.
    All,
    /// These; none for one group per route.
    Labels(Vec<String>),
}

impl RouteTree {
    pub(crate) fn new(routes: Vec<Route>) -> Self {
        assert!(!routes.is_empty(), "a tree has a root");
        RouteTree { routes }
    }

    /// The route of an id of this tree.
    pub fn get(&self, id: RouteId) -> &Route {
        &self.routes[id.0]
    }

    /// Every route, the root first.
    pub fn iter(&self) -> impl Iterator<Item = (RouteId, &Route)> {
        self.routes.iter().enumerate().map(|(index, route)| (RouteId(index), route))
    }

    /// The routes from the root to this one.
    pub fn path(&self, id: RouteId) -> Vec<RouteId> {
        let mut path: Vec<_> = std::iter::successors(Some(id), |id| self.get(*id).parent).collect();
        path.reverse();
        path
    }

    /// The routes that take an alert; never empty, because the root takes what is left.
    pub fn matching(&self, labels: &Labels) -> Vec<RouteId> {
        let mut found = Vec::new();
        self.walk(RouteId(0), labels, &mut found);
        found
    }

    fn walk(&self, id: RouteId, labels: &Labels, found: &mut Vec<RouteId>) -> bool {
        let route = self.get(id);
        if !all_match(&route.matchers, labels) {
            return false;
        }
        let before = found.len();
        for child in &route.children {
            if self.walk(*child, labels, found) && !self.get(*child).continues {
                break;
            }
        }
        if found.len() == before {
            found.push(id);
        }
        true
    }
}

impl Route {
    /// The labels that name the group of an alert.
    pub fn group_labels(&self, labels: &Labels) -> Labels {
        match &self.group_by {
            GroupBy::All => labels.clone(),
            GroupBy::Labels(names) => labels.keep(&names.iter().map(String::as_str).collect::<Vec<_>>()),
        }
    }

    /// Alertmanager's name of a group: the way to the route, and the group's labels.
    pub fn group_key(&self, group_labels: &Labels) -> String {
        format!("{}:{group_labels}", self.key)
    }
}

/// `{a="b",c=~"d"}`, the matchers in order of name.
pub(crate) fn key_of(matchers: &[Matcher]) -> String {
    let mut sorted: Vec<_> = matchers.iter().collect();
    sorted.sort_by(|a, b| (a.name(), a.value()).cmp(&(b.name(), b.value())));
    let texts: Vec<_> = sorted.into_iter().map(|it| written(it.name(), it.op(), it.value())).collect();
    format!("{{{}}}", texts.join(","))
}

#[cfg(test)]
mod tests {
    use super::GroupBy;
    use crate::config::Config;
    use model::Labels;
    use std::path::Path;

    const TREE: &str = r#"
route:
  receiver: root
  group_by: [alertname]
  routes:
  - {matchers: [team="db"], receiver: db, continue: true, routes: [{matchers: ['severity =~ "warn|crit"'], receiver: page}]}
  - {match_re: {team: 'db|web'}, receiver: all, group_by: ['...'], group_wait: 5s, routes: [{matchers: [team=all], group_by: []}]}
receivers: [{name: root}, {name: db}, {name: page}, {name: all}]
"#;

    fn receivers(labels: &[(&str, &str)]) -> Vec<String> {
        let config = Config::parse("f", TREE, Path::new(".")).unwrap();
        let labels = Labels::from_pairs(labels.iter().copied());
        config.routes.matching(&labels).into_iter().map(|id| config.routes.get(id).receiver.clone()).collect()
    }

    #[test]
    fn alerts_find_their_routes() {
        for (labels, expected) in [
            (&[("team", "db"), ("severity", "crit")][..], &["page", "all"][..]),
            (&[("team", "db")], &["db", "all"]),
            (&[("team", "web")], &["all"]),
            (&[("team", "x")], &["root"]),
        ] {
            assert_eq!(receivers(labels), expected, "{labels:?}");
        }
    }

    #[test]
    fn keys_and_inheritance_are_those_of_alertmanager() {
        let config = Config::parse("f", TREE, Path::new(".")).unwrap();
        let labels = Labels::from_pairs([("alertname", "T"), ("team", "db"), ("severity", "crit")]);
        let matching = config.routes.matching(&labels);
        let page = config.routes.get(matching[0]);
        let group = page.group_labels(&labels);
        assert_eq!(page.group_key(&group), r#"{}/{team="db"}/{severity=~"warn|crit"}:{alertname="T"}"#);
        let all = config.routes.get(matching[1]);
        assert_eq!(all.key, r#"{}/{team=~"^(?:db|web)$"}"#);
        assert_eq!((all.group_wait_ms, all.group_interval_ms), (5_000, 300_000));
        assert_eq!(all.group_labels(&labels), labels);
        let below = config.routes.get(all.children[0]);
        assert_eq!(below.group_by, GroupBy::All, "an empty list says nothing");
    }
}
