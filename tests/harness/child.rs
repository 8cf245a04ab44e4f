//! The product's binaries as child processes.

use crate::{Client, eventually};
use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Once,
    time::Duration,
};
use tempfile::TempDir;

/// The repository's root.
pub fn repository_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a folder of the repository")
        .to_owned()
}

/// A port that nothing listens on right now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// The path of a product binary of this build profile, built if it is not up to date: of the whole
/// workspace, so that crates are compiled with the features that the tests were compiled with.
fn binary(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let mut folder = std::env::current_exe().expect("a test knows its own path");
    // target/PROFILE/deps/all-HASH
    folder.pop();
    folder.pop();
    BUILT.call_once(|| {
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.current_dir(repository_root()).args([
            "build",
            "--quiet",
            "-p",
            "bellwether",
            "-p",
            "bellwether-agent",
        ]);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        let status = build.status().expect("cargo can be started");
        assert!(status.success(), "the product's binaries do not build");
    });
    folder.join(name)
}

/// A process that is killed when dropped.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn spawn(name: &str, args: &[String], log: PathBuf) -> Self {
        let output = File::options().create(true).append(true).open(&log).expect("the log can be opened");
        let child = Command::new(binary(name))
            .args(args)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file handle can be cloned"))
            .stderr(output)
            .spawn()
            .expect("the product's binary can be started");
        Process { child, log }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the child is alive");
    }

    fn kill_hard(&mut self) {
        // An error means that it has ended already.
        if self.child.kill().is_ok() {
            self.child.wait().expect("a killed child can be waited for");
        }
    }

    /// Asks it to stop and waits; returns whether it ended well.
    fn stop(&mut self, patience: Duration) -> bool {
        self.signal(rustix::process::Signal::TERM);
        let deadline = std::time::Instant::now() + patience;
        while std::time::Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_hard();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.output());
        }
    }
}

/// A running `bellwether serve` or `bellwether demo`.
pub struct Aggregator {
    process: Option<Process>,
    command: &'static str,
    args: Vec<String>,
    folder: TempDir,
    /// The port it listens on, the same after a restart.
    pub port: u16,
}

impl Aggregator {
    /// Starts `bellwether serve` on a fresh folder with further arguments and waits until ready.
    pub async fn start(args: &[&str]) -> Self {
        Self::start_with(args, |_| Vec::new()).await
    }

    /// Starts `bellwether demo` on a fresh folder and waits until ready.
    pub async fn demo(args: &[&str]) -> Self {
        Self::launch("demo", args, |_| Vec::new()).await
    }

    /// Like [`Aggregator::start`], with arguments that need the folder's path.
    pub async fn start_with(args: &[&str], more: impl FnOnce(&Path) -> Vec<String>) -> Self {
        Self::launch("serve", args, more).await
    }

    async fn launch(command: &'static str, args: &[&str], more: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = TempDir::with_prefix("bellwether-test-").expect("a temporary folder can be made");
        let mut args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        args.extend(more(folder.path()));
        let mut aggregator = Aggregator { process: None, command, args, folder, port: free_port() };
        aggregator.restart().await;
        aggregator
    }

    /// Starts it (again) on the same folder and port and waits until ready.
    pub async fn restart(&mut self) {
        self.spawn();
        self.wait_ready().await;
    }

    /// Starts it without waiting.
    pub fn spawn(&mut self) {
        let mut args = vec![self.command.to_owned()];
        args.extend(["--data-dir".to_owned(), self.data_dir().display().to_string()]);
        args.extend(["--listen".to_owned(), format!("127.0.0.1:{}", self.port)]);
        args.extend(self.args.iter().cloned());
        self.process = Some(Process::spawn("bellwether", &args, self.folder.path().join("aggregator.log")));
    }

    /// Waits until it is ready.
    pub async fn wait_ready(&self) {
        let client = self.client();
        eventually(Duration::from_secs(30), "the aggregator is ready", || async {
            client.get_status("/-/ready").await == Some(200)
        })
        .await;
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// SIGTERM, and wait; returns whether it ended with status 0.
    pub fn stop(&mut self) -> bool {
        self.process.take().is_some_and(|mut process| process.stop(Duration::from_secs(20)))
    }

    /// Its process id, for measurements.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.child.id())
    }

    /// What it printed so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("aggregator.log")).unwrap_or_default()
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(&self.url())
    }

    /// The temporary folder it lives in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

/// A running `bellwether-agent`.
pub struct Agent {
    process: Option<Process>,
    args: Vec<String>,
    folder: TempDir,
}

impl Agent {
    /// Starts the agent with a configuration text, in which `{dir}` stands for its own temporary
    /// folder, and further arguments.
    pub fn start(config: &str, args: &[&str]) -> Self {
        let folder = TempDir::with_prefix("bellwether-agent-test-").expect("a temporary folder can be made");
        let path = folder.path().join("agent.yaml");
        std::fs::write(&path, config.replace("{dir}", &folder.path().display().to_string()))
            .expect("the folder can be written");
        let mut all = vec!["--config".to_owned(), path.display().to_string()];
        all.extend(args.iter().map(|&arg| arg.to_owned()));
        let mut agent = Agent { process: None, args: all, folder };
        agent.restart();
        agent
    }

    /// Starts it (again) on the same folder.
    pub fn restart(&mut self) {
        let log = self.folder.path().join("agent.log");
        self.process = Some(Process::spawn("bellwether-agent", &self.args, log));
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// SIGTERM, and wait; returns whether it ended with status 0.
    pub fn stop(&mut self) -> bool {
        self.process.take().is_some_and(|mut process| process.stop(Duration::from_secs(20)))
    }

    /// Its temporary folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process id, for measurements.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.child.id())
    }
}

/// Runs a product binary to its end: (exit code, standard output, standard error).
pub fn run_binary(name: &str, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(binary(name))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the binary can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// A process that goes on until it is ended, at the latest when this is dropped.
pub struct Spawned(pub Child);

impl Spawned {
    /// SIGTERM.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the child is alive");
    }

    /// Whether it has ended, and if so, well.
    pub fn ended(&mut self) -> Option<bool> {
        self.0.try_wait().expect("a child can be waited for").map(|status| status.success())
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        // An error means that it has ended already.
        if self.0.kill().is_ok() {
            self.0.wait().expect("a killed child can be waited for");
        }
    }
}

/// Starts a binary that goes on until it is ended.
pub fn spawn_binary(
    name: &str,
    args: &[&str],
    output: impl Into<Stdio>,
    errors: impl Into<Stdio>,
) -> Spawned {
    let child = Command::new(binary(name))
        .args(args)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .expect("the binary can be started");
    Spawned(child)
}
