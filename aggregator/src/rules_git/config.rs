//! Where rules come from, as configured.

use crate::config::Duration;
use daemon::{Secret, SecretError};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, path::PathBuf};

/// One entry of `alerting.rules`: a file or folder, or a git repository.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum RuleSource {
    /// A rule file, or a folder of them.
    Path(PathBuf),
    /// A repository.
    Git {
        /// Its settings.
        git: Box<GitSource>,
    },
}

/// A git repository of rule files.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitSource {
    /// `https://…`, `ssh://…`, `user@host:path`, `file://…` or a path.
    #[serde(serialize_with = "write_shown")]
    pub url: String,
    /// Its name in messages and on the page; the last part of `url` when left out.
    #[serde(default)]
    pub name: Option<String>,
    /// The branch; the repository's default when left out.
    #[serde(default)]
    pub branch: Option<String>,
    /// The folder within the repository that holds the rules; all of it when left out.
    #[serde(default)]
    pub subfolder: Option<String>,
    /// Between two looks.
    #[serde(default = "default_poll_interval")]
    pub poll_interval: Duration,
    /// The user's name for `token` over HTTPS; most servers take any.
    #[serde(default)]
    pub username: Option<String>,
    /// A token or password for HTTPS.
    #[serde(default)]
    pub token: Option<Secret>,
    /// A file with the token.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// The private key for SSH.
    #[serde(default)]
    pub ssh_key_file: Option<PathBuf>,
    /// The host keys to trust for SSH; the user's own when left out.
    #[serde(default)]
    pub ssh_known_hosts_file: Option<PathBuf>,
    /// The secret that webhooks of the git server are signed with.
    #[serde(default)]
    pub webhook_secret: Option<Secret>,
    /// A file with the secret.
    #[serde(default)]
    pub webhook_secret_file: Option<PathBuf>,
}

fn default_poll_interval() -> Duration {
    Duration(60_000)
}

impl From<PathBuf> for RuleSource {
    fn from(path: PathBuf) -> Self {
        RuleSource::Path(path)
    }
}

impl<'de> Deserialize<'de> for RuleSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Map {
            git: Box<GitSource>,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = RuleSource;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, or `git:` with the settings of a repository")
            }
            fn visit_str<E: de::Error>(self, path: &str) -> Result<RuleSource, E> {
                Ok(RuleSource::Path(path.into()))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RuleSource, A::Error> {
                let Map { git } = Map::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(RuleSource::Git { git })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Why a repository's settings are refused.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub(crate) enum GitSourceError {
    #[error(
        "rules from git: `{0}` is not an address that may be fetched from; use https, ssh, file or a path"
    )]
    Url(String),
    #[error("rules from git: the name `{0}` may hold letters, digits, `.`, `_` and `-`; set `name`")]
    Name(String),
    #[error("rules from git: two repositories are called `{0}`; set `name`")]
    Twice(String),
    #[error("rules from git: `{0}` is not the name of a branch")]
    Branch(String),
    #[error("rules from git: subfolder `{0}` must be a path within the repository")]
    Subfolder(String),
    #[error("rules from git: poll_interval must be at least 5s")]
    PollInterval,
    #[error("rules from git: {0}")]
    Secret(#[from] SecretError),
}

/// A repository with its settings checked and its secrets read.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) branch: Option<String>,
    /// Without slashes at the ends; empty for all of it.
    pub(crate) subfolder: String,
    pub(crate) poll_interval_ms: u64,
    pub(crate) username: String,
    pub(crate) token: Option<Secret>,
    pub(crate) ssh_key_file: Option<PathBuf>,
    pub(crate) ssh_known_hosts_file: Option<PathBuf>,
    pub(crate) webhook_secret: Option<Secret>,
}

/// The folders and the repositories among `sources`.
///
/// # Errors
/// The first setting that is wrong.
pub(crate) fn split(sources: &[RuleSource]) -> Result<(Vec<PathBuf>, Vec<Repository>), GitSourceError> {
    let (mut paths, mut repositories) = (Vec::new(), Vec::<Repository>::new());
    for source in sources {
        match source {
            RuleSource::Path(path) => paths.push(path.clone()),
            RuleSource::Git { git } => {
                let repository = git.resolve()?;
                if repositories.iter().any(|other| other.name == repository.name) {
                    return Err(GitSourceError::Twice(repository.name));
                }
                repositories.push(repository);
            }
        }
    }
    Ok((paths, repositories))
}

impl GitSource {
    fn resolve(&self) -> Result<Repository, GitSourceError> {
        // `ext::` and its like run commands; a leading dash would be an option.
        let scheme = self.url.split_once("://").map(|(scheme, _)| scheme);
        let is_known = scheme.is_none_or(|scheme| matches!(scheme, "https" | "http" | "ssh" | "file"));
        if !is_known || self.url.is_empty() || self.url.starts_with('-') || self.url.contains("::") {
            return Err(GitSourceError::Url(self.url.clone()));
        }
        let last = self.url.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
        let name = self.name.clone().unwrap_or_else(|| last.trim_end_matches(".git").to_owned());
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.starts_with('.') || name.len() > 64 || !name.chars().all(is_plain) {
            return Err(GitSourceError::Name(name));
        }
        if let Some(branch) = self.branch.as_ref().filter(|branch| !is_branch(branch)) {
            return Err(GitSourceError::Branch(branch.clone()));
        }
        let subfolder = self.subfolder.as_deref().unwrap_or_default().trim_matches('/').to_owned();
        if !subfolder.is_empty() && subfolder.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(GitSourceError::Subfolder(subfolder));
        }
        if self.poll_interval.0 < 5_000 {
            return Err(GitSourceError::PollInterval);
        }
        Ok(Repository {
            name,
            url: self.url.clone(),
            branch: self.branch.clone(),
            subfolder,
            poll_interval_ms: self.poll_interval.0,
            username: self.username.clone().unwrap_or_else(|| "git".to_owned()),
            token: Secret::resolve("token", self.token.as_ref(), self.token_file.as_deref())?,
            ssh_key_file: self.ssh_key_file.clone(),
            ssh_known_hosts_file: self.ssh_known_hosts_file.clone(),
            webhook_secret: Secret::resolve(
                "webhook_secret",
                self.webhook_secret.as_ref(),
                self.webhook_secret_file.as_deref(),
            )?,
        })
    }
}

fn is_branch(name: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    !name.is_empty()
        && !name.starts_with(['-', '/', '.'])
        && !name.ends_with(['/', '.'])
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(is_odd)
}

fn shown(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}/{path}")
        }
        None => url.to_owned(),
    }
}

/// The configuration is shown to whoever may look.
fn write_shown<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&shown(url))
}

impl Repository {
    /// The address without a name and a password in it.
    pub(crate) fn shown_url(&self) -> String {
        shown(&self.url)
    }

    /// How alerting and messages call the source.
    pub(crate) fn source(&self) -> String {
        format!("git:{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Vec<PathBuf>, Vec<Repository>), String> {
        let sources: Vec<RuleSource> = daemon::config::parse_yaml(text, "f").map_err(|e| e.to_string())?;
        split(&sources).map_err(|error| error.to_string())
    }

    #[test]
    fn paths_and_repositories_stand_side_by_side() {
        let (paths, repositories) =
            read("- rules/\n- git: {url: 'https://u:secret@git.test/team/alerts.git', branch: main, subfolder: /a/b/}\n").unwrap();
        assert_eq!(paths, [PathBuf::from("rules/")]);
        let it = &repositories[0];
        assert_eq!((it.name.as_str(), it.subfolder.as_str(), it.poll_interval_ms), ("alerts", "a/b", 60_000));
        assert_eq!(it.shown_url(), "https://git.test/team/alerts.git");
        assert_eq!(read("- git: {url: 'git@host:team/x.git'}").unwrap().1[0].name, "x");
    }

    #[test]
    fn hostile_settings_are_refused() {
        for (text, expected) in [
            ("- git: {url: 'ext::sh -c id'}", "not an address"),
            ("- git: {url: '--upload-pack=id'}", "not an address"),
            ("- git: {url: 'ftp://x/y'}", "not an address"),
            ("- git: {url: 'https://x/y', branch: '--x'}", "not the name of a branch"),
            ("- git: {url: 'https://x/y', subfolder: '../x'}", "within the repository"),
            ("- git: {url: 'https://x/y', name: '../x'}", "set `name`"),
            ("- git: {url: 'https://x/y'}\n- git: {url: 'https://z/y.git'}", "two repositories"),
            ("- git: {url: 'https://x/y', poll_interval: 1s}", "at least 5s"),
            ("- git: {url: 'https://x/y', brunch: main}", "did you mean `branch`"),
            ("- 5", "a path, or `git:`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
