//! Files of other programs, and rules that lack their frame: what they look like and what to do,
//! where the reader of our own configuration would only say that it does not know their first key.

/// A key by which such a file is known, and what to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lookalike {
    pub(super) key: String,
    pub(super) message: String,
}

const PROMETHEUS: &str = "this looks like the configuration of Prometheus itself, which Bellwether does not read: \
     check the files that its `rule_files` name, and let Prometheus go on scraping and send here with \
     `remote_write` (docs/guides/migrating.md)";
const PROMTAIL: &str = "this looks like the configuration of Promtail, which Bellwether does not read: give its \
     `clients` this server's address, or follow the files with bellwether-agent (docs/guides/migrating.md)";
const LOKI: &str = "this looks like the configuration of Loki or Mimir itself, which Bellwether does not read: its \
     own is described in docs/guides/configuration.md; rules of their rulers are read, each in a file with `groups:`";
const AGENT: &str = "this looks like the configuration of bellwether-agent, which it checks itself: \
     `bellwether-agent check --config FILE`";
const NO_GROUPS: &str = "this looks like rules without the frame of a rule file: put them below \
     `groups: [{name: …, rules: […]}]`";
const NAMESPACE: &str = "`namespace` is of Mimir's and Loki's tools, and this looks like a file for their rulers: take \
     the line out, for a rule file has no namespace here; groups over logs need `source: logs`";

/// What the file with these keys at its top looks like, when it is none of ours.
pub(super) fn lookalike(keys: &[String]) -> Option<Lookalike> {
    let has = |names: &[&str]| keys.iter().find(|key| names.contains(&key.as_str())).cloned();
    let found = |key: String, message: &str| Some(Lookalike { key, message: message.to_owned() });
    if has(&["tests"]).is_some() {
        return None;
    }
    if let Some(key) = has(&["namespace"]).filter(|_| has(&["groups", "rules"]).is_some()) {
        return found(key, NAMESPACE);
    }
    if has(&["groups", "slos"]).is_some() {
        return None;
    }
    let scrapes = has(&["scrape_configs", "scrape_config_files"]);
    if scrapes.is_some() && has(&["clients", "positions"]).is_some() {
        return found(scrapes?, PROMTAIL);
    }
    let is_alertmanager = has(&["route", "receivers", "inhibit_rules", "templates"]).is_some();
    let sends = has(&["alerting", "remote_write", "remote_read", "otlp"]);
    let prometheus = scrapes
        .or_else(|| has(&["global"]).filter(|_| !is_alertmanager))
        .or_else(|| has(&["rule_files"]).filter(|_| sends.is_some()));
    if let Some(key) = prometheus {
        return found(key, PROMETHEUS);
    }
    if let Some(key) = has(&["auth_enabled", "schema_config", "limits_config", "blocks_storage", "ruler"]) {
        return found(key, LOKI);
    }
    // `logs` alone could be Loki's; these are the agent's and nobody else's.
    if let Some(key) = has(&["destinations", "collectors", "spool"]) {
        return found(key, AGENT);
    }
    // A list at the top has no keys: these are the beginnings of its lines.
    let rules = has(&["rules", "record", "alert", "- record", "- alert"]);
    let rules = rules.or_else(|| has(&["- name"]).filter(|_| has(&["  rules"]).is_some()));
    rules.and_then(|key| found(key, NO_GROUPS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_programs_are_known() {
        for (text, expected) in [
            ("global: {scrape_interval: 15s}\nrule_files: [a]\nscrape_configs: []\n", Some(PROMETHEUS)),
            ("global: {evaluation_interval: 15s}\n", Some(PROMETHEUS)),
            ("rule_files: [a]\nremote_write: []\n", Some(PROMETHEUS)),
            ("clients: []\npositions: {}\nscrape_configs: []\n", Some(PROMTAIL)),
            ("auth_enabled: false\nschema_config: {}\n", Some(LOKI)),
            ("data_dir: d\ndestinations: [{url: 'http://x'}]\n", Some(AGENT)),
            ("interval: 5s\ncollectors: {}\n", Some(AGENT)),
            ("- alert: A\n  expr: up\n", Some(NO_GROUPS)),
            ("- name: g\n  rules:\n  - record: a\n", Some(NO_GROUPS)),
            ("name: g\nrules: [{record: a, expr: up}]\n", Some(NO_GROUPS)),
            ("global: {}\nroute: {receiver: a}\n", None),
            ("rule_files: [a]\ntests: []\n", None),
            ("rule_files: [a]\n", None),
            ("groups: []\n", None),
            ("alerting: {}\nremote_write: []\n", None),
            ("listen: :9390\n", None),
            ("", None),
        ] {
            let found = lookalike(&daemon::config::top_level_keys(text)).map(|it| it.message);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        let ruler = lookalike(&daemon::config::top_level_keys("namespace: n\ngroups: []\n")).unwrap();
        assert!(ruler.key == "namespace" && ruler.message.contains("`source: logs`"), "{ruler:?}");
    }
}
