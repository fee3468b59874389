//! Whether a git checkout is what its commit says: the hash of what is there, as git computes it.
//!
//! Nothing that lies in a repository is believed: what git says of a commit has to have the commit's hash, and the
//! tree that it names has to be the hash of the files (`gitformat-pack(5)`, `git-hash-object(1)`).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha1::{Digest as _, Sha1};

use super::command::WorkTree;
use crate::base::digest::Digest;
use crate::base::encoding::hexadecimal;
use crate::base::regular;
use crate::base::tree::{Entry, Node, Tree};

/// SHA-1, as git names objects by it.
type Name = [u8; 20];

/// No file of a checkout is read that has more bytes: it counts as another one.
const LARGEST: u64 = 1 << 30;

/// What is known of a checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::observe::sources) enum Checked {
    /// It holds what the commit says, and nothing else.
    Same,
    /// It does not, or nothing tells.
    Other,
    /// There is no git to ask.
    Unknown,
}

/// Names in one directory: what git sorts them by, and the line in the object.
type Lines = BTreeMap<Vec<u8>, Vec<u8>>;

/// Compares what was seen in a checkout with a commit, in hexadecimal digits. `mark` is a file at the top of
/// it, and of submodules, that is not git's.
pub(in crate::observe::sources) fn check(
    tree: &Tree,
    here: &Path,
    commit: &str,
    mark: &str,
) -> Checked {
    let Some(git) = repository(here) else { return Checked::Other };
    match top(tree, mark, here).and_then(|top| named(here, commit, &top)) {
        Some(name) if hexadecimal(&name) == commit => Checked::Same,
        None if git.ask(here, &["version"]).is_none() => Checked::Unknown,
        _ => Checked::Other,
    }
}

/// The name of a commit of a repository, if it is of this tree.
fn named(here: &Path, commit: &str, tree: &Name) -> Option<Name> {
    let text = repository(here)?.ask(here, &["cat-file", "commit", commit])?;
    let line = format!("tree {}\n", hexadecimal(tree));
    text.starts_with(line.as_bytes()).then(|| object("commit", &text))
}

fn repository(here: &Path) -> Option<WorkTree<'_>> {
    let git_dir = here.join(".git");
    WorkTree::of(here, &git_dir, &git_dir)
}

/// The name of a whole checkout's tree.
fn top(tree: &Tree, mark: &str, here: &Path) -> Option<Name> {
    let mut open: BTreeMap<PathBuf, Lines> = BTreeMap::new();
    let mut repositories: BTreeSet<PathBuf> = BTreeSet::new();
    let seen: Vec<(PathBuf, &Entry)> = tree.iter().collect();
    // What is in a directory comes before it.
    for (path, entry) in seen.into_iter().rev() {
        let above = path.parent()?.to_owned();
        let file = path.file_name()?;
        if file == ".git" {
            repositories.insert(above);
            continue;
        }
        let is_gits = path.components().any(|part| part.as_os_str() == ".git");
        // Cargo has its mark in submodules too.
        let is_top = above.as_os_str().is_empty() || repositories.contains(&above);
        if is_gits || (is_top && file == mark) {
            continue;
        }
        let full = here.join(&path);
        let (mode, name) = match &entry.node {
            Node::File(content) => {
                let mode = if entry.mode & 0o100 == 0 { "100644" } else { "100755" };
                let is_plain = entry.mode & 0o7000 == 0 && entry.mode & 0o400 != 0;
                (mode, file_name(&full, *content).filter(|_| is_plain)?)
            }
            Node::Symlink(target) => ("120000", object("blob", target)),
            Node::Directory => {
                // git knows no empty directories.
                let inside = directory(&open.remove(&path)?);
                if repositories.contains(&path) {
                    ("160000", named(&full, "HEAD", &inside)?)
                } else {
                    ("40000", inside)
                }
            }
            Node::Unreadable | Node::Special => return None,
        };
        let line = [mode.as_bytes(), b" ", file.as_bytes(), b"\0", &name].concat();
        open.entry(above).or_default().insert(order(file, mode), line);
    }
    Some(directory(&open.remove(Path::new("")).unwrap_or_default()))
}

/// git sorts directories as if their names ended with a slash.
fn order(file: &OsStr, mode: &str) -> Vec<u8> {
    let end: &[u8] = if mode == "40000" { b"/" } else { b"" };
    [file.as_bytes(), end].concat()
}

fn directory(lines: &Lines) -> Name {
    object("tree", &lines.values().flatten().copied().collect::<Vec<u8>>())
}

/// The name of a file's content, which has to be what was seen.
fn file_name(path: &Path, seen: Digest) -> Option<Name> {
    let bytes = regular::read_own(path, LARGEST).ok()?;
    (Digest::of(&bytes) == seen).then(|| object("blob", &bytes))
}

fn object(kind: &str, content: &[u8]) -> Name {
    let mut hasher = Sha1::new();
    hasher.update(format!("{kind} {}\0", content.len()));
    hasher.update(content);
    hasher.finalize().into()
}
