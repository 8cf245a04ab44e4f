//! The kernel's random number pool, from `/proc/sys/kernel/random`.

use super::{CollectError, Collector, KeptFile, Roots, Sink};

pub(crate) struct Entropy {
    available: KeptFile,
    pool: KeptFile,
}

impl Entropy {
    pub(crate) fn new(roots: &Roots) -> Self {
        Entropy {
            available: roots.proc("sys/kernel/random/entropy_avail"),
            pool: roots.proc("sys/kernel/random/poolsize"),
        }
    }
}

impl Collector for Entropy {
    fn name(&self) -> &'static str {
        "entropy"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let available = self.available.read_number()?;
        out.gauge("node_entropy_available_bits", "Bits of entropy at hand.").value(available);
        let pool = self.pool.read_number()?;
        out.gauge("node_entropy_pool_size_bits", "Bits of entropy that the pool can hold.").value(pool);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, lines};
    use super::*;

    #[test]
    fn two_numbers() {
        let fixture = Fixture::new();
        fixture.proc("sys/kernel/random/entropy_avail", "256\n");
        fixture.proc("sys/kernel/random/poolsize", "4096\n");
        assert_eq!(
            lines(&mut Entropy::new(&fixture.roots())),
            ["node_entropy_available_bits{} 256", "node_entropy_pool_size_bits{} 4096"]
        );
    }
}
