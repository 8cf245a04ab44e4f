//! Repositories on disk, good and hostile, fetched by the real program.

use super::{
    command::{CommandError, Git},
    fetch::{FetchError, fetch, fetch_with, head},
    *,
};
use axum::{
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// Runs `git` as an author would.
fn git(folder: &Path, args: &[&str]) {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@b.test", "-c", "init.defaultBranch=main"];
    let done = Command::new("git")
        .args(identity)
        .args(["-c", "protocol.file.allow=always", "-c", "commit.gpgSign=false"])
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A repository with one commit of these files.
fn upstream(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet", "."]);
    commit(folder.path(), files);
    folder
}

fn commit(folder: &Path, files: &[(&str, &[u8])]) {
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    git(folder, &["add", "--all", "."]);
    git(folder, &["commit", "--quiet", "--allow-empty", "-m", "x"]);
}

fn repository(folder: &Path, more: &str) -> Repository {
    let text = format!("[{{git: {{url: '{}', name: r, poll_interval: 5s{more}}}}}]", folder.display());
    let sources: Vec<RuleSource> = daemon::config::parse_yaml(&text, "f").unwrap();
    split(&sources).unwrap().1.remove(0)
}

fn fetched(folder: &Path, more: &str) -> Result<(String, Files), FetchError> {
    let scratch = tempfile::tempdir().unwrap();
    fetch(&repository(folder, more), &scratch.path().join("s"), &AtomicBool::new(false))
}

const GOOD: &[u8] = b"groups: [{name: g, interval: 1h, rules: [{alert: A, expr: 'vector(1)'}]}]\n";

#[test]
fn rule_files_of_a_branch_and_a_folder_are_read() {
    let up = upstream(&[
        ("rules/a.yml", GOOD),
        ("rules/deep/b.yaml", b"groups: []\n"),
        ("rules/a.test.yml", b"tests: []\n"),
        ("rules/.hidden/c.yml", b"x"),
        ("other.yml", b"not rules"),
        ("README.md", b"x"),
    ]);
    let (id, files) = fetched(up.path(), ", subfolder: rules").unwrap();
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names, files[0].1.as_bytes()), (vec!["a.yml", "deep/b.yaml"], GOOD));
    let scratch = tempfile::tempdir().unwrap();
    let at = |more: &str| head(&repository(up.path(), more), scratch.path(), &AtomicBool::new(false));
    assert_eq!(at("").unwrap(), id);
    assert_eq!(at(", branch: main").unwrap(), id);
    assert!(matches!(at(", branch: other"), Err(FetchError::NoBranch(_))));
    git(up.path(), &["checkout", "--quiet", "-b", "other"]);
    commit(up.path(), &[("rules/only.yml", GOOD)]);
    assert_eq!(fetched(up.path(), ", subfolder: rules, branch: other").unwrap().1.len(), 3);
    assert_eq!(fetched(up.path(), ", subfolder: rules, branch: main").unwrap().1.len(), 2);
}

#[test]
fn what_cannot_be_used_is_named_and_not_followed() {
    let up = upstream(&[("rules/a.yml", GOOD), ("rules/binary.yml", b"\xff\xfe")]);
    std::os::unix::fs::symlink("/etc/passwd", up.path().join("rules/link.yml")).unwrap();
    std::fs::write(up.path().join("rules/large.yml"), vec![b'#'; 5 << 20]).unwrap();
    std::fs::write(up.path().join(".gitattributes"), "*.yml filter=evil\n").unwrap();
    commit(up.path(), &[]);
    let Err(FetchError::Unusable { problems, .. }) = fetched(up.path(), ", subfolder: rules") else {
        panic!("it is used");
    };
    let text = problems.to_string();
    for expected in [
        "git:r/link.yml:0:0: a symbolic link",
        "git:r/large.yml:0:0: larger",
        "git:r/binary.yml:0:0: the file is not UTF-8",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(!text.contains("root:"), "{text}");
    let missing = fetched(up.path(), ", subfolder: nowhere").unwrap_err().to_string();
    assert!(missing.contains("git:r/nowhere:0:0: the repository has no such folder"), "{missing}");
}

#[test]
fn submodules_and_hooks_have_nothing_to_act_on() {
    let inner = upstream(&[("x.yml", GOOD)]);
    let up = upstream(&[("a.yml", GOOD)]);
    git(up.path(), &["submodule", "--quiet", "add", &inner.path().display().to_string(), "sub"]);
    let marker = up.path().join("ran");
    let hook = up.path().join(".git/hooks/post-upload-pack");
    std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", marker.display())).unwrap();
    commit(up.path(), &[]);
    let (_, files) = fetched(up.path(), "").unwrap();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(!marker.try_exists().unwrap());
}

#[test]
fn size_time_and_absence_are_bounded() {
    let up = upstream(&[("a.yml", GOOD)]);
    // Incompressible, so that it is as large on the way.
    let mut noise = vec![0u8; 8 << 20];
    let mut state = 1u64;
    for byte in &mut noise {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        *byte = (state >> 56) as u8;
    }
    commit(up.path(), &[("huge.bin", &noise)]);
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(up.path(), "");
    let stop = AtomicBool::new(false);
    let run = |change: fn(&mut Git<'_>), name: &str| {
        let scratch = folder.path().join(name);
        std::fs::create_dir_all(&scratch).unwrap();
        let mut git = Git::new(&repository, &scratch, &stop);
        change(&mut git);
        fetch_with(&git).unwrap_err()
    };
    let slow = run(|git| git.time_max = Duration::ZERO, "slow");
    assert!(matches!(slow, FetchError::Command(CommandError::TooSlow(_))), "{slow}");
    let scratch = folder.path().join("stopped");
    let stopped = fetch(&repository, &scratch, &AtomicBool::new(true)).unwrap_err();
    assert!(matches!(stopped, FetchError::Command(CommandError::Stopped)), "{stopped}");
    let gone = fetched(&up.path().join("nowhere"), "").unwrap_err().to_string();
    assert!(gone.contains("`git fetch` failed"), "{gone}");
}

/// Serves the repositories below `root` to those who show `authorization`.
async fn git_server(root: &Path, authorization: &'static str) -> String {
    let root = root.display().to_string();
    let serve = move |request: Request| serve_git(root.clone(), authorization, request);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(serve)).await });
    format!("http://{address}")
}

/// One request, answered by git's own program as a git server has it do.
async fn serve_git(root: String, authorization: &'static str, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
    if header("authorization") != authorization {
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=git")]).into_response();
    }
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    backend.stdin.take().unwrap().write_all(&body).unwrap();
    let answer = backend.wait_with_output().unwrap().stdout;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let lines = String::from_utf8_lossy(&answer[..end]).into_owned();
    let kind = lines.lines().find_map(|line| line.strip_prefix("Content-Type: ")).unwrap().to_owned();
    ([("content-type", kind)], answer[end + 4..].to_vec()).into_response()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_behind_a_token_is_fetched_by_http() {
    let up = upstream(&[("rules/a.yml", GOOD)]);
    // `me:t0ken`
    let url = git_server(up.path(), "Basic bWU6dDBrZW4=").await;
    let fetched = |more: &'static str| {
        let url = url.clone();
        async move {
            let fetch = move || fetched(Path::new(&format!("{url}/.git")), more);
            tokio::task::spawn_blocking(fetch).await.unwrap()
        }
    };
    let (_, files) = fetched(", subfolder: rules, username: me, token: t0ken").await.unwrap();
    assert_eq!(files, [("a.yml".to_owned(), String::from_utf8(GOOD.to_vec()).unwrap())]);
    for more in ["", ", username: me, token: s3cret"] {
        let refused = fetched(more).await.unwrap_err().to_string();
        assert!(refused.contains("`git fetch` failed") && !refused.contains("s3cret"), "{refused}");
    }
}

#[test]
fn a_repository_is_fetched_by_ssh() {
    let up = upstream(&[("a.yml", GOOD)]);
    // In the place of the program: notes how it is called, and is the other machine itself.
    let folder = tempfile::tempdir().unwrap();
    let (program, noted) = (folder.path().join("ssh"), folder.path().join("noted"));
    let script = format!(
        "#!/bin/sh\necho \"$@\" >>'{}'\nfor command; do :; done\nexec sh -c \"$command\"\n",
        noted.display()
    );
    std::fs::write(&program, script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, executable).unwrap();
    let url = format!("ssh://git@git.example.org:2222{}", up.path().display());
    let repository =
        repository(Path::new(&url), ", ssh_key_file: /keys/id, ssh_known_hosts_file: /keys/hosts");
    let scratch = folder.path().join("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let stop = AtomicBool::new(false);
    let program = program.display().to_string();
    let mut git = Git::new(&repository, &scratch, &stop);
    git.ssh = &program;
    let (_, files) = fetch_with(&git).unwrap();
    assert_eq!(files[0].0, "a.yml");
    let noted = std::fs::read_to_string(noted).unwrap();
    for expected in [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "-i /keys/id",
        "UserKnownHostsFile=/keys/hosts",
        "-p 2222 git@git.example.org",
        "git-upload-pack",
    ] {
        assert!(noted.contains(expected), "{expected}: {noted}");
    }
}

/// Alerting over rules from one repository.
struct Stage {
    alerting: Arc<Alerting>,
    repositories: RuleRepositories,
    shutdown: Shutdown,
}

impl Stage {
    async fn start(up: &Path, state: &Path) -> Stage {
        let metrics = Arc::new(store::MemMetricStore::new());
        let logs = Arc::new(store::MemLogStore::new());
        let (query, promql) = Default::default();
        let evaluator = Arc::new(crate::evaluate::Evaluator::new(metrics, logs, &query, &promql));
        let repositories = RuleRepositories::new(vec![repository(up, "")]);
        let settings = alerting::Settings {
            sources: repositories.names(),
            state_dir: state.join("alerting"),
            ..alerting::Settings::default()
        };
        let parts = alerting::Parts {
            querier: evaluator.clone(),
            sink: evaluator,
            events: None,
            client: daemon::http::client(&daemon::http::ClientOptions::default()).unwrap(),
            clock: clock::now_ms,
        };
        let own = daemon::metrics::Metrics::default();
        let alerting = Arc::new(Alerting::start(settings, parts, &own).await.unwrap());
        let shutdown = Shutdown::new();
        repositories.start(&alerting, &own, state.join("scratch"), &shutdown);
        Stage { alerting, repositories, shutdown }
    }

    fn rules(&self) -> Vec<String> {
        let groups = self.alerting.rules();
        let names =
            groups.iter().flat_map(|group| &group.rules).map(|rule| rule.definition.name().to_owned());
        names.collect()
    }

    async fn until(&self, what: &str, reached: impl Fn(&Status) -> bool) -> Status {
        for _ in 0..400 {
            let status = self.repositories.status().remove(0);
            if reached(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{what}: {:?}", self.repositories.status());
    }

    async fn stop(self) {
        self.shutdown.trigger();
        self.alerting.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_revision_is_taken_and_a_bad_one_refused_as_a_whole() {
    let up = upstream(&[("a.yml", GOOD)]);
    let state = tempfile::tempdir().unwrap();
    let stage = Stage::start(up.path(), state.path()).await;
    let first = stage.until("taken", |status| status.revision.is_some()).await;
    assert_eq!(stage.rules(), ["A"]);
    let since = stage.alerting.rules()[0].rules[0].active.iter().next().map(|alert| alert.active_at_ms);

    let more = b"groups: [{name: h, rules: [{alert: B, expr: 'sum('}]}]\n";
    commit(up.path(), &[("b.yml", more)]);
    stage.repositories.look_now("r");
    let refused = stage.until("refused", |status| !status.problems.is_empty()).await;
    assert_eq!((refused.revision.as_ref(), stage.rules()), (first.revision.as_ref(), vec!["A".to_owned()]));
    assert_ne!(refused.newest_revision, refused.revision);
    assert_eq!((refused.problems[0].file.as_str(), refused.problems[0].line), ("git:r/b.yml", 1));
    stage.stop().await;

    // The next start goes on with what was good, and so it does without the repository.
    let hidden = up.path().with_extension("hidden");
    #[allow(clippy::disallowed_methods, reason = "the repository disappears")]
    std::fs::rename(up.path(), &hidden).unwrap();
    let stage = Stage::start(up.path(), state.path()).await;
    assert_eq!(stage.rules(), ["A"]);
    let away = stage.until("away", |status| status.error.is_some()).await;
    assert_eq!(away.revision, first.revision);
    #[allow(clippy::disallowed_methods, reason = "the repository comes back")]
    std::fs::rename(&hidden, up.path()).unwrap();

    // A force-push is a revision like any other; what is deleted is deleted.
    git(up.path(), &["checkout", "--quiet", "--orphan", "fresh"]);
    commit(
        up.path(),
        &[("b.yml", b"groups: [{name: h, interval: 1h, rules: [{alert: B, expr: 'vector(1)'}]}]\n")],
    );
    git(up.path(), &["rm", "--quiet", "a.yml"]);
    commit(up.path(), &[]);
    git(up.path(), &["branch", "--quiet", "--force", "main", "fresh"]);
    git(up.path(), &["checkout", "--quiet", "main"]);
    stage.repositories.look_now("r");
    let forced = stage.until("forced", |status| status.revision != first.revision).await;
    assert!(forced.problems.is_empty() && forced.error.is_none(), "{forced:?}");
    assert_eq!(stage.rules(), ["B"]);
    assert!(since.is_none_or(|since| since > 0));
    stage.stop().await;
}
