//! `statfs` with a deadline for each mount.
//!
//! A system call cannot be cancelled, so the thread that makes it is left behind when it does not
//! return in time. Bounds: [`STUCK_MAX`] threads left behind, beyond which further mounts are
//! called stuck without being asked; a mount whose call has not returned is not asked again.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

/// A healthy network filesystem answers within milliseconds.
const MOUNT_DEADLINE: Duration = Duration::from_millis(500);
/// Threads that may hang at once.
const STUCK_MAX: usize = 16;
/// Paths are few hundred bytes and `statfs` needs next to no stack.
const STACK_BYTES: usize = 64 << 10;

/// Space and inodes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Usage {
    pub(super) size_bytes: f64,
    pub(super) free_bytes: f64,
    pub(super) avail_bytes: f64,
    pub(super) files: f64,
    pub(super) files_free: f64,
}

/// What a mount said.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Usage(Usage),
    Failed(String),
    Stuck,
}

impl Answer {
    /// The `device_error` label.
    pub(super) fn error(&self) -> &str {
        match self {
            Answer::Usage(_) => "",
            Answer::Failed(message) => message,
            Answer::Stuck => "stuck",
        }
    }
}

type Statfs = fn(&Path) -> Result<Usage, String>;

struct Worker {
    requests: SyncSender<PathBuf>,
    answers: Receiver<Result<Usage, String>>,
}

/// See the module.
pub(super) struct StatfsWorkers {
    statfs: Statfs,
    deadline: Duration,
    worker: Option<Worker>,
    /// Mounts whose call has not returned; the thread that hangs removes its own.
    stuck: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Default for StatfsWorkers {
    fn default() -> Self {
        Self::new(statfs, MOUNT_DEADLINE)
    }
}

impl StatfsWorkers {
    fn new(statfs: Statfs, deadline: Duration) -> Self {
        StatfsWorkers { statfs, deadline, worker: None, stuck: Arc::default() }
    }

    /// Asks every mount, one after another.
    pub(super) fn ask(&mut self, paths: Vec<PathBuf>) -> Vec<Answer> {
        paths.into_iter().map(|path| self.ask_one(path)).collect()
    }

    fn ask_one(&mut self, path: PathBuf) -> Answer {
        {
            let stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
            if stuck.contains(&path) || stuck.len() >= STUCK_MAX {
                return Answer::Stuck;
            }
        }
        let worker = match self.worker.take().map_or_else(|| self.start(), Ok) {
            Ok(worker) => worker,
            Err(error) => return Answer::Failed(error.to_string()),
        };
        if worker.requests.send(path.clone()).is_err() {
            return Answer::Failed("helper thread ended".to_owned());
        }
        match worker.answers.recv_timeout(self.deadline) {
            Ok(answer) => {
                self.worker = Some(worker);
                answer.map_or_else(Answer::Failed, Answer::Usage)
            }
            Err(RecvTimeoutError::Timeout) => {
                self.stuck.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone());
                // The answer may have come between the timeout and the insertion.
                if worker.answers.try_recv().is_ok() {
                    self.stuck.lock().unwrap_or_else(PoisonError::into_inner).remove(&path);
                }
                tracing::warn!(mount = %path.display(), "filesystem does not answer");
                Answer::Stuck
            }
            Err(RecvTimeoutError::Disconnected) => Answer::Failed("helper thread ended".to_owned()),
        }
    }

    fn start(&self) -> std::io::Result<Worker> {
        let (requests, inbox) = sync_channel::<PathBuf>(1);
        let (outbox, answers) = sync_channel(1);
        let (statfs, stuck) = (self.statfs, self.stuck.clone());
        let serve = move || {
            for path in inbox {
                let answer = statfs(&path);
                // The slot is free: one request is made at a time. A failed send means that the
                // collector has given up on this thread.
                let given_up = outbox.send(answer).is_err();
                let was_stuck = stuck.lock().unwrap_or_else(PoisonError::into_inner).remove(&path);
                if given_up || was_stuck {
                    return;
                }
            }
        };
        thread::Builder::new().name("statfs".to_owned()).stack_size(STACK_BYTES).spawn(serve)?;
        Ok(Worker { requests, answers })
    }
}

fn statfs(path: &Path) -> Result<Usage, String> {
    let usage = rustix::fs::statvfs(path).map_err(|error| {
        let text = std::io::Error::from(error).to_string();
        text.split(" (os error").next().unwrap_or(&text).to_owned()
    })?;
    let block_bytes = usage.f_frsize as f64;
    Ok(Usage {
        size_bytes: usage.f_blocks as f64 * block_bytes,
        free_bytes: usage.f_bfree as f64 * block_bytes,
        avail_bytes: usage.f_bavail as f64 * block_bytes,
        files: usage.f_files as f64,
        files_free: usage.f_ffree as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Usage =
        Usage { size_bytes: 1.0, free_bytes: 1.0, avail_bytes: 1.0, files: 1.0, files_free: 1.0 };

    #[test]
    fn a_hung_mount_costs_one_deadline_and_no_other_mount() {
        let slow_once: Statfs = |path| {
            if path.ends_with("hung") {
                thread::sleep(Duration::from_millis(200));
            }
            Ok(FINE)
        };
        let mut workers = StatfsWorkers::new(slow_once, Duration::from_millis(40));
        let paths = || vec![PathBuf::from("/a"), PathBuf::from("/hung"), PathBuf::from("/b")];
        let fine = Answer::Usage(FINE);
        assert_eq!(workers.ask(paths()), [fine.clone(), Answer::Stuck, fine.clone()]);
        assert_eq!(
            workers.ask(paths()),
            [fine.clone(), Answer::Stuck, fine.clone()],
            "not asked again while it hangs"
        );
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while !workers.stuck.lock().unwrap().is_empty() {
            assert!(std::time::Instant::now() < deadline, "the thread that came back clears its mount");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn hung_threads_are_bounded() {
        let hang: Statfs = |_| {
            thread::sleep(Duration::from_millis(500));
            Ok(FINE)
        };
        let mut workers = StatfsWorkers::new(hang, Duration::from_millis(1));
        let answers = workers.ask((0..STUCK_MAX + 10).map(|i| PathBuf::from(format!("/{i}"))).collect());
        assert!(answers.iter().all(|answer| *answer == Answer::Stuck));
        assert_eq!(workers.stuck.lock().unwrap().len(), STUCK_MAX);
    }

    #[test]
    fn the_root_has_space() {
        let answers = StatfsWorkers::default().ask(vec![PathBuf::from("/")]);
        assert!(matches!(&answers[0], Answer::Usage(usage) if usage.size_bytes > 0.0), "{answers:?}");
    }
}
