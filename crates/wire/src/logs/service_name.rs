//! The `service_name` label, as Loki finds it.

/// The label to add.
pub(crate) const SERVICE_NAME: &str = "service_name";
/// Its value when no label tells.
pub(crate) const UNKNOWN_SERVICE: &str = "unknown_service";

/// Labels that may name the service, best first.
const CANDIDATES: [&str; 14] = [
    "service",
    "app",
    "application",
    "app_name",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
    // Not one of Loki's: what the agent calls the unit of a journal entry.
    "unit",
];

/// Watches the labels of a stream go by.
#[derive(Debug, Default)]
pub(crate) struct ServiceName {
    present: bool,
    /// Rank of the best candidate so far and its value.
    best: Option<usize>,
    value: Vec<u8>,
}

impl ServiceName {
    pub(crate) fn begin(&mut self) {
        self.present = false;
        self.best = None;
    }

    pub(crate) fn see(&mut self, name: &[u8], value: &[u8]) {
        if value.is_empty() {
            return;
        }
        self.present |= name == SERVICE_NAME.as_bytes();
        let rank = CANDIDATES.iter().position(|candidate| candidate.as_bytes() == name);
        if let Some(rank) = rank
            && self.best.is_none_or(|best| rank < best)
        {
            self.best = Some(rank);
            self.value.clear();
            self.value.extend_from_slice(value);
        }
    }

    /// The value to add, unless the stream has one.
    pub(crate) fn missing(&self) -> Option<&[u8]> {
        match (self.present, self.best) {
            (true, _) => None,
            (false, Some(_)) => Some(&self.value),
            (false, None) => Some(UNKNOWN_SERVICE.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_candidate_wins_whatever_the_order() {
        let check = |labels: &[(&str, &str)], expected: Option<&str>| {
            let mut service = ServiceName::default();
            service.begin();
            for (name, value) in labels {
                service.see(name.as_bytes(), value.as_bytes());
            }
            assert_eq!(service.missing(), expected.map(str::as_bytes), "{labels:?}");
        };
        check(&[("job", "j"), ("app", "a"), ("container", "c")], Some("a"));
        check(&[("app", ""), ("job", "j")], Some("j"));
        check(&[("host", "h")], Some("unknown_service"));
        check(&[("app", "a"), ("service_name", "s")], None);
    }
}
