//! Who this agent is, over restarts.
//!
//! `agent-id` is random and written once. `boot` is a number that grows with every start. Together
//! with a sequence number they name a batch, by which a receiver knows a repetition.

use disk::Dir;
use std::io;

const ID_NAME: &str = "agent-id";
const BOOT_NAME: &str = "boot";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) agent: String,
    pub(crate) boot: u64,
}

impl Identity {
    /// Reads the id, or makes one; writes the number of this start.
    pub(crate) fn next_boot(dir: &Dir) -> io::Result<Self> {
        let agent = match read(dir, ID_NAME)?.filter(|id| is_valid(id)) {
            Some(agent) => agent,
            None => {
                let agent = format!("{:032x}", rand::random::<u128>());
                dir.write_atomic(ID_NAME, agent.as_bytes())?;
                agent
            }
        };
        let last: u64 = read(dir, BOOT_NAME)?.and_then(|text| text.parse().ok()).unwrap_or(0);
        let boot = last + 1;
        dir.write_atomic(BOOT_NAME, boot.to_string().as_bytes())?;
        Ok(Identity { agent, boot })
    }
}

fn read(dir: &Dir, name: &str) -> io::Result<Option<String>> {
    match dir.read(name) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_valid(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::Faults;

    #[test]
    fn the_id_stays_and_the_boot_grows() {
        let dir = Dir::simulated(3, Faults::default());
        let first = Identity::next_boot(&dir).unwrap();
        let second = Identity::next_boot(&dir).unwrap();
        assert_eq!((first.boot, second.boot), (1, 2));
        assert_eq!(first.agent, second.agent);
        dir.write_atomic(ID_NAME, b"\n").unwrap();
        assert_ne!(Identity::next_boot(&dir).unwrap().agent, first.agent);
    }
}
