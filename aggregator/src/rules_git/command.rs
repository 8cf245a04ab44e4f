//! Runs the `git` program on what strangers may have made: without their configuration, hooks,
//! prompts or helpers, and within bounds of time, output and disk.

use super::config::Repository;
use base64::{Engine, prelude::BASE64_STANDARD};
use std::{
    io::{Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Longest one command may take.
const TIME_MAX: Duration = Duration::from_secs(120);
/// Most bytes that a fetch may leave on disk.
const DISK_BYTES_MAX: u64 = 256 << 20;
/// Most bytes of errors that are kept.
const ERROR_BYTES_MAX: u64 = 16 << 10;
/// Between two looks at a running command.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a command came to.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub(super) enum CommandError {
    #[error("failed to run `git`: {0}; rules from git need the program")]
    Start(std::io::Error),
    #[error("`git {command}` failed: {message}")]
    Failed { command: String, message: String },
    #[error("`git {0}` took too long and was ended")]
    TooSlow(String),
    #[error("`git {0}` filled too much of the disk and was ended")]
    TooLarge(String),
    #[error("`git {command}` wrote more than {limit} bytes")]
    TooMuchOutput { command: String, limit: u64 },
    #[error("stopping")]
    Stopped,
    #[error("failed to talk to `git`: {0}")]
    Pipe(std::io::Error),
}

/// How commands are run for one repository.
pub(super) struct Git<'a> {
    pub(super) repository: &'a Repository,
    /// The bare repository; its size is bounded.
    pub(super) folder: &'a Path,
    /// Set when the process stops.
    pub(super) stop: &'a AtomicBool,
    pub(super) time_max: Duration,
    pub(super) disk_bytes_max: u64,
    /// The program that connects by SSH.
    pub(super) ssh: &'a str,
}

impl<'a> Git<'a> {
    pub(super) fn new(repository: &'a Repository, folder: &'a Path, stop: &'a AtomicBool) -> Self {
        Git { repository, folder, stop, time_max: TIME_MAX, disk_bytes_max: DISK_BYTES_MAX, ssh: "ssh" }
    }

    /// Runs `git ARGS` with `input` and returns what it wrote, at most `output_max` bytes.
    ///
    /// # Errors
    /// When it fails, or breaks a bound; it is killed then.
    pub(super) fn run(
        &self,
        args: &[&str],
        input: Vec<u8>,
        output_max: u64,
    ) -> Result<Vec<u8>, CommandError> {
        let name = args.first().copied().unwrap_or_default().to_owned();
        let mut command = Command::new("git");
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that helpers such as ssh end with it.
        command.process_group(0);
        self.environment(&mut command);
        let mut child = command.spawn().map_err(CommandError::Start)?;
        let pipes = Pipes::start(&mut child, input, output_max).map_err(CommandError::Pipe)?;
        let ended = self.wait(&mut child, &pipes, &name);
        if ended.is_err() {
            kill(&mut child);
        }
        let (output, errors) = pipes.join();
        if ended? {
            return Ok(output);
        }
        let message = String::from_utf8_lossy(&errors).trim().replace('\n', "; ");
        Err(CommandError::Failed { command: name, message: self.without_secrets(message) })
    }

    /// Nothing of the user's or the machine's configuration counts.
    fn environment(&self, command: &mut Command) {
        const KEPT: [&str; 12] = [
            "PATH",
            "HOME",
            "TMPDIR",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "http_proxy",
            "https_proxy",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "no_proxy",
            "NO_PROXY",
            "ALL_PROXY",
        ];
        command.env_clear();
        command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs([
            ("LC_ALL", "C"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", "true"),
            ("GIT_ALLOW_PROTOCOL", "https:http:ssh:file"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_LITERAL_PATHSPECS", "1"),
        ]);
        command.env("GIT_DIR", self.folder).env("GIT_SSH_COMMAND", self.ssh());
        let mut settings = vec![
            ("core.hooksPath", "/dev/null".to_owned()),
            ("core.bigFileThreshold", "1m".to_owned()),
            ("core.fsmonitor", "false".to_owned()),
            ("fetch.recurseSubmodules", "false".to_owned()),
            ("fetch.unpackLimit", "1".to_owned()),
            ("gc.auto", "0".to_owned()),
            ("pack.threads", "1".to_owned()),
            ("protocol.version", "2".to_owned()),
            ("safe.directory", "*".to_owned()),
            ("http.lowSpeedLimit", "100".to_owned()),
            ("http.lowSpeedTime", "30".to_owned()),
        ];
        if let Some(token) = &self.repository.token {
            let pair = BASE64_STANDARD.encode(format!("{}:{}", self.repository.username, token.expose()));
            settings.push(("http.extraHeader", format!("Authorization: Basic {pair}")));
            // The header would follow to wherever the server points.
            settings.push(("http.followRedirects", "false".to_owned()));
        }
        // By environment: arguments can be read by everybody on the machine.
        command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (index, (key, value)) in settings.into_iter().enumerate() {
            command
                .env(format!("GIT_CONFIG_KEY_{index}"), key)
                .env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
    }

    fn ssh(&self) -> String {
        let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
        let options = "-o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=20";
        let mut ssh = format!("{} {options}", self.ssh);
        if let Some(key) = &self.repository.ssh_key_file {
            ssh.push_str(&format!(" -o IdentitiesOnly=yes -i {}", quoted(key)));
        }
        if let Some(hosts) = &self.repository.ssh_known_hosts_file {
            ssh.push_str(&format!(" -o UserKnownHostsFile={}", quoted(hosts)));
        }
        ssh
    }

    /// Whether the command ended well.
    fn wait(&self, child: &mut Child, pipes: &Pipes, name: &str) -> Result<bool, CommandError> {
        let began = Instant::now();
        let mut looks = 0u32;
        loop {
            if let Some(status) = child.try_wait().map_err(CommandError::Pipe)? {
                if pipes.is_over.load(Ordering::Relaxed) {
                    break;
                }
                return Ok(status.success());
            }
            if pipes.is_over.load(Ordering::Relaxed) {
                break;
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(CommandError::Stopped);
            }
            if began.elapsed() > self.time_max {
                return Err(CommandError::TooSlow(name.to_owned()));
            }
            if looks.is_multiple_of(10) && bytes_in(self.folder) > self.disk_bytes_max {
                return Err(CommandError::TooLarge(name.to_owned()));
            }
            looks += 1;
            std::thread::sleep(LOOK_EVERY);
        }
        Err(CommandError::TooMuchOutput { command: name.to_owned(), limit: pipes.output_max })
    }

    /// Git repeats addresses in its messages, and they may hold a password.
    fn without_secrets(&self, message: String) -> String {
        message.replace(&self.repository.url, &self.repository.shown_url())
    }
}

/// Threads that feed and drain a command, so that it never waits for us.
struct Pipes {
    input: JoinHandle<()>,
    output: JoinHandle<Vec<u8>>,
    errors: JoinHandle<Vec<u8>>,
    is_over: Arc<AtomicBool>,
    output_max: u64,
}

impl Pipes {
    fn start(child: &mut Child, input: Vec<u8>, output_max: u64) -> std::io::Result<Self> {
        let missing = || std::io::Error::other("a pipe is missing");
        let mut to = child.stdin.take().ok_or_else(missing)?;
        let from = child.stdout.take().ok_or_else(missing)?;
        let errors = child.stderr.take().ok_or_else(missing)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        Ok(Pipes {
            // A command that ends early does not read everything; its status tells why.
            input: std::thread::spawn(move || drop(to.write_all(&input))),
            output: std::thread::spawn(move || {
                let read = bounded(from, output_max + 1);
                over.store(read.len() as u64 > output_max, Ordering::Relaxed);
                read
            }),
            errors: std::thread::spawn(move || bounded(errors, ERROR_BYTES_MAX)),
            is_over,
            output_max,
        })
    }

    fn join(self) -> (Vec<u8>, Vec<u8>) {
        if self.input.join().is_err() {
            tracing::error!("a thread that feeds git panicked");
        }
        (self.output.join().unwrap_or_default(), self.errors.join().unwrap_or_default())
    }
}

fn bounded(from: impl Read, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before an error counts; the command's status tells of the error.
    if let Err(error) = from.take(limit).read_to_end(&mut bytes) {
        tracing::debug!(%error, "a pipe from git broke");
    }
    bytes
}

fn kill(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw)
        && let Err(error) = rustix::process::kill_process_group(group, rustix::process::Signal::KILL)
    {
        tracing::debug!(%error, "git had ended before it was killed");
    }
    if let Err(error) = child.wait() {
        tracing::warn!(%error, "git could not be waited for");
    }
}

/// What a folder holds; what disappears while we look counts nothing.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(size).sum()
}
