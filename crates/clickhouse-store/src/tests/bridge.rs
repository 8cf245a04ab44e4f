//! A ClickHouse to test against: the server at `$BELLWETHER_CLICKHOUSE_URL`, or the engine as a Python
//! module behind `testdata/bridge.py`. Without either a test says that it is skipped, which is a
//! failure where `BELLWETHER_REQUIRE_TOOLS` is set.

use crate::{ClickHouse, OpenError, Options};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

pub(super) struct Bridge {
    pub(super) url: String,
    process: Option<Child>,
    _folder: Option<tempfile::TempDir>,
}

impl Bridge {
    /// `None` when there is nothing to test against.
    pub(super) fn start() -> Option<Self> {
        if let Ok(url) = std::env::var("BELLWETHER_CLICKHOUSE_URL") {
            return Some(Bridge { url, process: None, _folder: None });
        }
        let python = std::env::var("BELLWETHER_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let has_engine = Command::new(&python)
            .args(["-c", "import importlib.util as u, sys; sys.exit(u.find_spec('chdb') is None)"])
            .stderr(Stdio::null())
            .status();
        if !has_engine.is_ok_and(|status| status.success()) {
            skip(
                "`chdb` is not installed for Python; set BELLWETHER_TEST_PYTHON or BELLWETHER_CLICKHOUSE_URL",
            );
            return None;
        }
        // Each insert syncs its files; in memory that costs nothing, and nothing here outlives a crash.
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::tempdir_in(parent).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/bridge.py");
        let mut process = Command::new(python)
            .arg(script)
            .args(["0".as_ref(), folder.path().as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("ready ").expect("the bridge says when it is ready");
        Some(Bridge {
            url: format!("http://127.0.0.1:{port}"),
            process: Some(process),
            _folder: Some(folder),
        })
    }

    pub(super) fn options(&self, database: &str) -> Options {
        let setting = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        Options {
            url: self.url.clone(),
            database: database.to_owned(),
            user: setting("BELLWETHER_CLICKHOUSE_USER", "default"),
            password: setting("BELLWETHER_CLICKHOUSE_PASSWORD", ""),
        }
    }

    pub(super) fn open(&self, database: &Database) -> Result<ClickHouse, OpenError> {
        ClickHouse::open(&self.options(&database.name))
    }

    /// A database of its own, dropped at the end.
    pub(super) fn database(&self) -> Database {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bellwether_test_{}_{number}", std::process::id());
        Database { options: self.options(&name), name }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

pub(super) struct Database {
    pub(super) name: String,
    options: Options,
}

impl Drop for Database {
    fn drop(&mut self) {
        let client = crate::client::Client::new(&self.options).unwrap();
        client.execute_outside(&format!("DROP DATABASE IF EXISTS {} SYNC", self.name)).unwrap();
    }
}

fn skip(why: &str) {
    assert!(std::env::var_os("BELLWETHER_REQUIRE_TOOLS").is_none(), "this machine must not skip, but: {why}");
    eprintln!("SKIPPED: {why}");
}
