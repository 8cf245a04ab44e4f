//! From a repository to the texts of its rule files at one revision.
//!
//! Nothing is ever checked out: a shallow, bare copy of one branch is fetched into a scratch
//! folder, the tree is listed, and the blobs of rule files are read. So symbolic links, hooks,
//! submodules, filters and odd paths have nothing to act on, and a force-push is a revision like
//! any other.
//!
//! Bounds: those of [`super::command`]; [`FILES_MAX`] files of [`FILE_BYTES_MAX`] each and
//! [`TOTAL_BYTES_MAX`] together; [`LISTING_BYTES_MAX`] of names.

use super::{
    command::{CommandError, Git},
    config::Repository,
};
use alerting::{Problem, Problems};
use std::{path::Path, sync::atomic::AtomicBool};

/// Most rule files of one repository.
const FILES_MAX: usize = 2_000;
/// Largest rule file.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// All rule files together.
const TOTAL_BYTES_MAX: u64 = 32 << 20;
/// Longest list of a repository's files.
const LISTING_BYTES_MAX: u64 = 32 << 20;
/// Longest answer about references.
const REFERENCES_BYTES_MAX: u64 = 1 << 20;
/// The branch's name in the scratch copy.
const FETCHED: &str = "refs/heads/fetched";

/// Why there is no new revision.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub(super) enum FetchError {
    /// The repository could not be had; the next look tries again.
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("the repository has no branch `{0}`")]
    NoBranch(String),
    #[error("failed to use the scratch folder: {0}")]
    Scratch(std::io::Error),
    #[error("`git` gave an answer that cannot be read")]
    Answer,
    /// The revision is there and cannot be used.
    #[error("{problems}")]
    Unusable { id: String, problems: Problems },
}

/// Rule files of one revision: path and text.
pub(super) type Files = Vec<(String, String)>;

/// The id of the branch's revision now.
pub(super) fn head(repository: &Repository, scratch: &Path, stop: &AtomicBool) -> Result<String, FetchError> {
    let git = Git::new(repository, scratch, stop);
    let reference = reference(repository);
    let found =
        git.run(&["ls-remote", "--", &repository.url, &reference], Vec::new(), REFERENCES_BYTES_MAX)?;
    let text = String::from_utf8(found).map_err(|_| FetchError::Answer)?;
    let mut lines = text.lines().filter_map(|line| line.split_once('\t'));
    let id = lines.find(|(_, name)| *name == reference).map(|(id, _)| id.to_owned());
    let id = id.ok_or_else(|| FetchError::NoBranch(repository.branch.clone().unwrap_or("HEAD".into())))?;
    if is_id(&id) { Ok(id) } else { Err(FetchError::Answer) }
}

fn reference(repository: &Repository) -> String {
    repository.branch.as_ref().map_or_else(|| "HEAD".to_owned(), |branch| format!("refs/heads/{branch}"))
}

fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Fetches the branch into `scratch`, which must not exist yet, and reads its rule files.
pub(super) fn fetch(
    repository: &Repository,
    scratch: &Path,
    stop: &AtomicBool,
) -> Result<(String, Files), FetchError> {
    std::fs::create_dir_all(scratch).map_err(FetchError::Scratch)?;
    fetch_with(&Git::new(repository, scratch, stop))
}

pub(super) fn fetch_with(git: &Git<'_>) -> Result<(String, Files), FetchError> {
    let repository = git.repository;
    git.run(&["init", "--quiet", "--bare", "--template="], Vec::new(), REFERENCES_BYTES_MAX)?;
    let refspec = format!("+{}:{FETCHED}", reference(repository));
    let filter = format!("--filter=blob:limit={}", FILE_BYTES_MAX + 1);
    let fetch = ["fetch", "--quiet", "--depth=1", "--no-tags", &filter, "--", &repository.url, &refspec];
    git.run(&fetch, Vec::new(), REFERENCES_BYTES_MAX)?;
    let commit = format!("{FETCHED}^{{commit}}");
    let id =
        git.run(&["rev-parse", "--verify", "--end-of-options", &commit], Vec::new(), REFERENCES_BYTES_MAX)?;
    let id = String::from_utf8(id).map_err(|_| FetchError::Answer)?.trim().to_owned();
    if !is_id(&id) {
        return Err(FetchError::Answer);
    }
    let mut problems = Vec::new();
    let files = read(git, &mut problems)?;
    if problems.is_empty() {
        Ok((id, files))
    } else {
        Err(FetchError::Unusable { id, problems: Problems(problems) })
    }
}

/// A rule file in the tree.
struct Entry {
    path: String,
    blob: String,
}

fn read(git: &Git<'_>, problems: &mut Vec<Problem>) -> Result<Files, FetchError> {
    let subfolder = &git.repository.subfolder;
    let mut report = |path: &str, message: String| {
        let file = format!("{}/{path}", git.repository.source());
        problems.push(Problem { file, line: 0, column: 0, message });
    };
    let tree = format!("{FETCHED}:{subfolder}");
    let listed = git.run(
        &["ls-tree", "-r", "-z", "--full-tree", "--end-of-options", &tree],
        Vec::new(),
        LISTING_BYTES_MAX,
    );
    let listing = match listed {
        Ok(listing) => listing,
        Err(CommandError::Failed { .. }) if !subfolder.is_empty() => {
            report(subfolder, "the repository has no such folder".to_owned());
            return Ok(Vec::new());
        }
        Err(CommandError::TooMuchOutput { .. }) => {
            report("", format!("more than {LISTING_BYTES_MAX} bytes of file names; name a `subfolder`"));
            return Ok(Vec::new());
        }
        Err(error) => return Err(error.into()),
    };
    let entries = rule_entries(&listing, &mut report);
    if entries.len() > FILES_MAX {
        report("", format!("{} rule files, at most {FILES_MAX} are read", entries.len()));
        return Ok(Vec::new());
    }
    let entries = of_bearable_size(git, entries, &mut report)?;
    texts(git, &entries, &mut report)
}

/// The rule files of a listing: `MODE TYPE ID\tPATH`, each ended by a zero byte.
fn rule_entries(listing: &[u8], report: &mut impl FnMut(&str, String)) -> Vec<Entry> {
    let mut entries = Vec::new();
    for line in listing.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let text = String::from_utf8_lossy(line);
        let Some((meta, path)) = text.split_once('\t') else { continue };
        if !alerting::rules::is_rule_path(Path::new(path)) {
            continue;
        }
        let mut fields = meta.split(' ');
        let (mode, kind, blob) = (fields.next(), fields.next(), fields.next());
        match (mode, kind, blob) {
            (Some("100644" | "100755"), Some("blob"), Some(blob)) if is_id(blob) => {
                if std::str::from_utf8(line).is_err() || path.contains(char::is_control) {
                    report(path, "the file's name is not plain text".to_owned());
                } else {
                    entries.push(Entry { path: path.to_owned(), blob: blob.to_owned() });
                }
            }
            (Some("120000"), ..) => {
                report(path, "a symbolic link is not followed; keep the file itself here".to_owned())
            }
            (Some("160000"), ..) => report(path, "a submodule is not fetched".to_owned()),
            _ => report(path, "not a regular file".to_owned()),
        }
    }
    entries
}

/// Leaves out what is too large, without reading it.
fn of_bearable_size(
    git: &Git<'_>,
    entries: Vec<Entry>,
    report: &mut impl FnMut(&str, String),
) -> Result<Vec<Entry>, FetchError> {
    let answer =
        git.run(&["cat-file", "--batch-check=%(objectsize)"], ids(&entries), REFERENCES_BYTES_MAX)?;
    let answer = String::from_utf8(answer).map_err(|_| FetchError::Answer)?;
    let (mut kept, mut total) = (Vec::new(), 0u64);
    let mut sizes = answer.lines();
    for entry in entries {
        // What the filter of the fetch held back is missing.
        let size = sizes.next().ok_or(FetchError::Answer)?.parse::<u64>().unwrap_or(u64::MAX);
        total = total.saturating_add(size.min(FILE_BYTES_MAX));
        if size > FILE_BYTES_MAX {
            report(&entry.path, format!("larger than {FILE_BYTES_MAX} bytes"));
        } else if total > TOTAL_BYTES_MAX {
            report(&entry.path, format!("the rule files are larger than {TOTAL_BYTES_MAX} bytes together"));
        } else {
            kept.push(entry);
        }
    }
    Ok(kept)
}

fn ids(entries: &[Entry]) -> Vec<u8> {
    entries.iter().flat_map(|entry| format!("{}\n", entry.blob).into_bytes()).collect()
}

fn texts(
    git: &Git<'_>,
    entries: &[Entry],
    report: &mut impl FnMut(&str, String),
) -> Result<Files, FetchError> {
    let limit = TOTAL_BYTES_MAX + entries.len() as u64 * 128 + 1;
    let answer = git.run(&["cat-file", "--batch=%(objectsize)"], ids(entries), limit)?;
    let (mut files, mut rest) = (Vec::new(), answer.as_slice());
    for entry in entries {
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(FetchError::Answer)?;
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|text| text.parse::<usize>().ok());
        let begin = end + 1;
        let size = size.filter(|size| begin + size < rest.len()).ok_or(FetchError::Answer)?;
        match std::str::from_utf8(&rest[begin..begin + size]) {
            Ok(text) => files.push((entry.path.clone(), text.to_owned())),
            Err(_) => report(&entry.path, "the file is not UTF-8 text".to_owned()),
        }
        rest = &rest[begin + size + 1..];
    }
    Ok(files)
}
