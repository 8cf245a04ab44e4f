//! One signal that everything long-lived waits for.
//!
//! Clones share the signal. Triggering is idempotent and never undone. Parts end in the order in
//! which `main` joins them, not in the order in which they hear of it.

use tokio::sync::watch;

/// See the module.
#[derive(Clone, Debug)]
pub struct Shutdown {
    sender: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A signal that only [`Shutdown::trigger`] sets off.
    pub fn new() -> Self {
        Shutdown { sender: watch::Sender::new(false) }
    }

    /// A signal that SIGINT or SIGTERM sets off. A second signal ends the process at once, for
    /// the operator who will not wait.
    pub fn on_signals() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let shutdown = Self::new();
        let triggered = shutdown.clone();
        tokio::spawn(async move {
            let mut first = true;
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if !first {
                    std::process::exit(130);
                }
                first = false;
                // First of all: whatever comes of the log line, the process ends.
                triggered.trigger();
                tracing::info!("stopping; a second signal ends the process at once");
            }
        });
        Ok(shutdown)
    }

    /// Sets the signal off.
    pub fn trigger(&self) {
        self.sender.send_replace(true);
    }

    /// Whether it has been set off.
    pub fn is_triggered(&self) -> bool {
        *self.sender.borrow()
    }

    /// Completes once it has been set off.
    pub async fn wait(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives in `self`, so the channel cannot close while we wait.
        while !*receiver.borrow_and_update() {
            if receiver.changed().await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everyone_hears_it_early_or_late() {
        let shutdown = Shutdown::new();
        let early = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.wait().await }
        });
        tokio::task::yield_now().await;
        assert!(!shutdown.is_triggered());
        shutdown.trigger();
        early.await.unwrap();
        shutdown.clone().wait().await;
        assert!(shutdown.is_triggered());
    }

    /// A log that cannot be written to in the worst way.
    struct Broken;

    impl std::io::Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            panic!("the log is broken");
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_log_that_fails_keeps_nobody_from_stopping() {
        let log = tracing_subscriber::fmt().with_writer(|| Broken).finish();
        let _guard = tracing::subscriber::set_default(log);
        let shutdown = Shutdown::on_signals().unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
        let patience = std::time::Duration::from_secs(10);
        tokio::time::timeout(patience, shutdown.wait()).await.expect("the signal is heard");
    }
}
