//! A dispatcher whose receivers take everything at once and that nobody hears: what would be
//! told, to whom and when, for tests of rules and routes and for questions of the form "what if".

use super::{Dispatcher, Effect, Finished, PostError};
use crate::{
    alert::Alert,
    config::Config,
    notify::Message,
    silence::{Silence, SilenceError},
};
use std::sync::Arc;

/// A notification that would have been sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// When.
    pub at_ms: i64,
    /// The kind of integration, such as `webhook`.
    pub integration: &'static str,
    /// What, to which receiver and for which group.
    pub message: Message,
}

/// See the module. Times given to it never go back.
pub struct Rehearsal {
    dispatcher: Dispatcher,
    now_ms: i64,
    told: Vec<Told>,
}

impl Rehearsal {
    /// Begins at `now_ms` with nothing known.
    pub fn new(config: Arc<Config>, now_ms: i64) -> Self {
        Rehearsal { dispatcher: Dispatcher::new(config, now_ms), now_ms, told: Vec::new() }
    }

    /// Takes an alert.
    ///
    /// # Errors
    /// When there are too many.
    pub fn post(&mut self, alert: Alert, now_ms: i64) -> Result<(), PostError> {
        self.advance(now_ms.saturating_sub(1));
        self.dispatcher.post(alert, now_ms)
    }

    /// Creates a silence.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn set_silence(&mut self, silence: Silence, id: String, now_ms: i64) -> Result<String, SilenceError> {
        self.dispatcher.set_silence(silence, id, now_ms)
    }

    /// Lets time pass, every flush at its own moment.
    pub fn advance(&mut self, to_ms: i64) {
        loop {
            let due_ms = self.dispatcher.next_wakeup_ms().max(self.now_ms);
            if due_ms >= to_ms {
                break;
            }
            self.tick(due_ms);
            // Whatever a flush asks for next comes later: no moment is visited for ever.
            self.now_ms = due_ms + 1;
        }
        if to_ms >= self.now_ms {
            self.now_ms = to_ms;
            self.tick(to_ms);
        }
    }

    fn tick(&mut self, at_ms: i64) {
        self.dispatcher.tick(at_ms);
        loop {
            let (_, effects) = self.dispatcher.take();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                if let Effect::Deliver(delivery, receiver, at) = effect {
                    let integration = receiver.integrations[at].kind();
                    let id = delivery.id;
                    self.told.push(Told { at_ms, integration, message: delivery.message.clone() });
                    self.dispatcher.finished(id, &Finished::Delivered, at_ms);
                }
            }
        }
    }

    /// What was told since the last call, in order.
    pub fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Annotations, timestamp::Written};
    use model::Labels;
    use std::path::Path;

    const CONFIG: &str = "
route: {receiver: r, group_by: [alertname], group_wait: 30s, group_interval: 5m, repeat_interval: 1h}
receivers: [{name: r, webhook_configs: [{url: 'http://sink.test/'}]}]
";

    fn alert(starts_at_ms: i64, ends_at_ms: i64, updated_at_ms: i64) -> Alert {
        Alert {
            labels: Labels::from_pairs([("alertname", "A")]),
            annotations: Annotations::empty(),
            starts_at_ms,
            ends_at_ms,
            starts_written: Written::default(),
            ends_written: Written::default(),
            updated_at_ms,
            generator_url: String::new(),
            timeout: false,
            held: true,
            rendered: crate::Rendered::default(),
            measure: None,
        }
    }

    #[test]
    fn every_flush_happens_at_its_own_moment() {
        let config = Arc::new(Config::parse("f", CONFIG, Path::new(".")).unwrap());
        let mut stage = Rehearsal::new(config, 0);
        stage.post(alert(60_000, 600_000, 60_000), 60_000).unwrap();
        stage.advance(4_000_000);
        stage.post(alert(60_000, 4_000_000, 4_000_000), 4_000_000).unwrap();
        stage.advance(5_000_000);
        let told = stage.take_told();
        let times: Vec<_> = told.iter().map(|told| (told.at_ms, told.message.status())).collect();
        assert_eq!(times, [(90_000, "firing"), (3_990_000, "firing"), (4_290_000, "resolved")]);
        assert!(stage.take_told().is_empty());
    }
}
