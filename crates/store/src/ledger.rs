//! Which batches of which senders have been taken, so that a retry is stored once.
//!
//! A sender numbers its batches 1, 2, 3… within a boot and has few in flight, so a window of the
//! last [`WINDOW`] numbers below the highest one tells repeats exactly; anything further back is
//! taken for a repeat. A boot older than the sender's newest is held to its own window.
//!
//! Bounds: [`AGENTS_MAX`] senders, the longest silent one is forgotten first; 2 boots a sender.

use model::BatchId;
use std::collections::HashMap;

/// How far behind the highest number a batch may still be new.
const WINDOW: u64 = 64;
/// Most senders remembered.
const AGENTS_MAX: usize = 100_000;
/// Boots remembered for a sender: the running one and the one before.
const BOOTS_MAX: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Boot {
    boot: u64,
    highest: u64,
    /// Bit i: `highest - i` has been taken.
    taken: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Agent {
    boots: Vec<Boot>,
    /// Value of the ledger's clock when the sender last wrote.
    used: u64,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchLedger {
    agents: HashMap<String, Agent>,
    clock: u64,
}

impl BatchLedger {
    /// Whether the batch was recorded before.
    pub fn contains(&self, id: &BatchId) -> bool {
        let Some(boot) = self.agents.get(&id.agent).and_then(|agent| find(&agent.boots, id.boot)) else {
            return false;
        };
        match boot.highest.checked_sub(id.sequence) {
            None => false,
            Some(behind) if behind < WINDOW => boot.taken & (1 << behind) != 0,
            Some(_) => true,
        }
    }

    /// Records the batch; returns whether it is new.
    pub fn record(&mut self, id: &BatchId) -> bool {
        if self.contains(id) {
            return false;
        }
        let boots = self.boots_of(&id.agent);
        match boots.iter_mut().find(|boot| boot.boot == id.boot) {
            Some(boot) => advance(boot, id.sequence),
            None => add_boot(boots, Boot { boot: id.boot, highest: id.sequence, taken: 1 }),
        }
        true
    }

    fn forget_longest_silent(&mut self) {
        let oldest = self.agents.iter().min_by_key(|(_, agent)| agent.used).map(|(name, _)| name.clone());
        if let Some(name) = oldest {
            self.agents.remove(&name);
        }
    }

    /// The ledger as bytes, for a store's checkpoint: per boot a line of
    /// `agent <tab> boot <tab> highest <tab> taken`.
    pub fn encode(&self) -> Vec<u8> {
        let mut agents: Vec<_> = self.agents.iter().collect();
        agents.sort_unstable_by_key(|(_, agent)| agent.used);
        let mut out = String::new();
        for (name, agent) in agents {
            for boot in &agent.boots {
                let name = name.replace(['\t', '\n'], " ");
                out.push_str(&format!("{name}\t{}\t{}\t{}\n", boot.boot, boot.highest, boot.taken));
            }
        }
        out.into_bytes()
    }

    /// Reads [`BatchLedger::encode`]'s bytes; `None` when they are damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut ledger = BatchLedger::default();
        ledger.merge(bytes).then_some(ledger)
    }

    /// Takes over [`BatchLedger::encode`]'s bytes, or some lines of them, as later than what is
    /// known. Returns whether all could be read; those before a damaged one are taken over.
    pub fn merge(&mut self, bytes: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        text.lines().all(|line| self.merge_line(line).is_some())
    }

    fn merge_line(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split('\t');
        let name = fields.next()?;
        let mut number = || fields.next()?.parse::<u64>().ok();
        let boot = Boot { boot: number()?, highest: number()?, taken: number()? };
        let boots = self.boots_of(name);
        match boots.iter_mut().find(|known| known.boot == boot.boot) {
            Some(known) => *known = boot,
            None => add_boot(boots, boot),
        }
        Some(())
    }

    /// The boots of a sender that has just been heard of.
    fn boots_of(&mut self, name: &str) -> &mut Vec<Boot> {
        self.clock += 1;
        if !self.agents.contains_key(name) && self.agents.len() >= AGENTS_MAX {
            self.forget_longest_silent();
        }
        let agent = self.agents.entry(name.to_owned()).or_default();
        agent.used = self.clock;
        &mut agent.boots
    }
}

/// Forgets the oldest when there are too many.
fn add_boot(boots: &mut Vec<Boot>, boot: Boot) {
    boots.push(boot);
    boots.sort_unstable_by_key(|boot| boot.boot);
    if boots.len() > BOOTS_MAX {
        boots.remove(0);
    }
}

fn find(boots: &[Boot], boot: u64) -> Option<&Boot> {
    boots.iter().find(|candidate| candidate.boot == boot)
}

fn advance(boot: &mut Boot, sequence: u64) {
    if sequence > boot.highest {
        let by = sequence - boot.highest;
        boot.taken = if by < WINDOW { boot.taken << by } else { 0 };
        boot.highest = sequence;
    }
    boot.taken |= 1 << (boot.highest - sequence).min(WINDOW - 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(boot: u64, sequence: u64) -> BatchId {
        BatchId { agent: "a".into(), boot, sequence }
    }

    #[test]
    fn repeats_are_told_from_late_batches() {
        let mut ledger = BatchLedger::default();
        assert!(ledger.record(&id(1, 1)) && !ledger.record(&id(1, 1)));
        assert!(ledger.record(&id(1, 5)) && ledger.record(&id(1, 3)) && !ledger.record(&id(1, 3)));
        assert!(ledger.record(&id(2, 1)), "a new boot starts again");
        assert!(ledger.contains(&id(1, 5)) && !ledger.contains(&id(1, 4)));
        assert!(ledger.record(&id(2, 200)));
        assert!(!ledger.record(&id(2, 100)), "too far behind counts as taken");
        let again = BatchLedger::decode(&ledger.encode()).unwrap();
        assert!(again.contains(&id(2, 200)) && !again.contains(&id(2, 199)) && again.contains(&id(1, 3)));
    }

    #[test]
    fn lines_are_merged_as_later_than_what_is_known() {
        let mut later = BatchLedger::default();
        for (boot, sequence) in [(1, 1), (1, 2), (2, 1)] {
            assert!(later.record(&id(boot, sequence)));
        }
        let mut ledger = BatchLedger::default();
        assert!(ledger.record(&id(1, 1)) && ledger.record(&BatchId { agent: "b".into(), ..id(7, 7) }));
        for line in later.encode().split_inclusive(|&byte| byte == b'\n') {
            assert!(ledger.merge(line));
        }
        assert!(ledger.contains(&id(1, 2)) && ledger.contains(&id(2, 1)) && !ledger.contains(&id(2, 2)));
        assert!(ledger.contains(&BatchId { agent: "b".into(), ..id(7, 7) }));
    }

    #[test]
    fn damaged_bytes_are_refused() {
        assert!(BatchLedger::decode(b"a\t1\t2").is_none());
        assert!(BatchLedger::decode(b"\xff").is_none());
    }
}
