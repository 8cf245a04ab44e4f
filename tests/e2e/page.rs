//! The page in a real browser: Debian's headless Chromium, driven by the scripts in `page/`, which
//! make the assertions and print one line of JSON for each.

use std::{
    ffi::OsStr,
    path::PathBuf,
    process::{Command, Output, Stdio},
};
use tests::{Aggregator, find_tool, repository_root, skip};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_view_works_in_a_browser() {
    let Some(browser) = Browser::find() else { return };
    let server = Aggregator::demo(&[]).await;
    let pictures = tempfile::tempdir().expect("a temporary folder can be made");
    let log = server.data_dir().join("demo/shop.log");
    browser.run("drive.mjs", &[server.url().as_ref(), log.as_ref(), pictures.path().as_ref()]);
    for theme in ["dark.png", "light.png"] {
        let size = std::fs::metadata(pictures.path().join(theme)).map_or(0, |file| file.len());
        assert!(size > 10_000, "{theme} has {size} bytes");
    }
}

const TOKENS: &str = r#"
auth:
  mode: always
  tokens:
    - {name: agents, role: agent, token: agent-token-0123456789}
    - {name: people, role: operator, token: people-token-0123456789}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_as_password_opens_the_page_and_its_live_tail() {
    let Some(browser) = Browser::find() else { return };
    let server = Aggregator::start_with(&[], |folder| {
        let path = folder.join("bellwether.yaml");
        std::fs::write(&path, TOKENS).expect("the test's folder can be written");
        vec!["--config".into(), path.display().to_string()]
    })
    .await;
    let url = server.url();
    browser.run(
        "guarded.mjs",
        &[url.as_ref(), "people-token-0123456789".as_ref(), "agent-token-0123456789".as_ref()],
    );
}

/// What it takes to drive the page.
struct Browser {
    node: PathBuf,
    chromium: PathBuf,
    modules: PathBuf,
}

impl Browser {
    /// `None`, visibly, on a machine that lacks a part.
    fn find() -> Option<Self> {
        let (Some(node), Some(chromium)) = (find_tool("node"), find_tool("chromium")) else {
            skip("`node` and `chromium` are needed to drive the page");
            return None;
        };
        let modules = std::env::var_os("BELLWETHER_TEST_NODE_MODULES").map(PathBuf::from);
        let Some(modules) = modules.filter(|folder| folder.join("playwright-core").is_dir()) else {
            skip("$BELLWETHER_TEST_NODE_MODULES does not name a folder with playwright-core");
            return None;
        };
        Some(Browser { node, chromium, modules })
    }

    fn run(&self, script: &str, args: &[&OsStr]) {
        let output = Command::new(&self.node)
            .arg(repository_root().join("tests/e2e/page").join(script))
            .args(args)
            .env("BELLWETHER_TEST_NODE_MODULES", &self.modules)
            .env("BELLWETHER_TEST_CHROMIUM", &self.chromium)
            .stdin(Stdio::null())
            .output()
            .expect("node can be started");
        judge(&output);
    }
}

/// A script that ended early must not pass for one that found nothing wrong: its last line says
/// that it came to its end.
fn judge(output: &Output) {
    let checks = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    eprintln!("{checks}{errors}");
    let is_complete = checks.lines().last().is_some_and(|line| line.contains(r#""done":true"#));
    assert!(output.status.success() && is_complete, "the page does not do what it should");
}
