//! The build scripts of a repository: found, read, and what is to be changed in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Serialize;

use super::record::{Change, Record};
use crate::base::digest::Digest;
use crate::base::{edit, regular};
use crate::image::mkosi::{SNIPPET, Summary};
use crate::image::script::patch::{self, Hunk};
use crate::image::script::{self, Surroundings};
use crate::observe::sources;
use crate::store::Store;

/// What the scripts of a repository need.
#[derive(Debug, Default)]
pub(super) struct Work {
    repository: PathBuf,
    changes: Vec<FileChange>,
    /// The snippet, if it is not where scripts find it yet.
    snippet: Option<PathBuf>,
    /// What stays as it is, with its reason.
    pub left: Vec<Site>,
    /// Commands that larder runs already.
    pub done: usize,
}

#[derive(Debug)]
struct FileChange {
    file: PathBuf,
    text: String,
    hunks: Vec<Hunk>,
}

/// A line that somebody has to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Site {
    /// The file, relative to the repository if it is inside.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    pub why: String,
}

impl Work {
    /// Reads the scripts of an image, and the files that they source.
    pub(super) fn find(repository: &Path, summary: &Summary) -> Self {
        let mut work = Self { repository: repository.to_owned(), ..Self::default() };
        let Some((shared, seen_as)) = summary.shared_directory(repository) else {
            if !summary.scripts().is_empty() {
                let why = "no build source of the image is in the repository, so that scripts find no larder.sh; add BuildSources=.";
                let file = PathBuf::from("mkosi.conf");
                work.left.push(Site { file, line: 1, why: why.to_owned() });
            }
            return work;
        };
        let surroundings =
            Surroundings { snippet: format!("{seen_as}/larder.sh"), name: start_name(&shared) };
        let root = if seen_as == "$SRCDIR" { &shared } else { repository };
        let mut waiting: Vec<PathBuf> = summary.scripts();
        let mut seen = BTreeSet::new();
        while !waiting.is_empty() {
            let path = waiting.remove(0);
            let path = fs::canonicalize(&path).unwrap_or(path);
            if seen.insert(path.clone()) {
                let sourced = work.read(&path, &surroundings);
                waiting.extend(sourced.iter().map(|file| root.join(file)));
            }
        }
        let snippet = shared.join("larder.sh");
        if (work.done > 0 || !work.changes.is_empty()) && !snippet.exists() {
            work.snippet = snippet.strip_prefix(repository).ok().map(Path::to_owned);
        }
        work
    }

    /// Takes another image of the same repository in.
    pub(super) fn merge(&mut self, other: Self) {
        for change in other.changes {
            if self.changes.iter().all(|own| own.file != change.file) {
                self.changes.push(change);
            }
        }
        for place in other.left {
            if !self.left.contains(&place) {
                self.left.push(place);
            }
        }
        self.repository = other.repository;
        self.snippet = self.snippet.take().or(other.snippet);
        self.done = self.done.max(other.done);
    }

    fn read(&mut self, path: &Path, surroundings: &Surroundings) -> Vec<PathBuf> {
        // A program that was compiled is no script, nor is what is no file.
        let Ok(text) = regular::text(path) else { return Vec::new() };
        if text == SNIPPET {
            return Vec::new();
        }
        let plan = script::plan(&text, surroundings);
        let inside = path.strip_prefix(&self.repository).ok();
        let file = inside.unwrap_or(path).to_owned();
        let place =
            |left: script::Left| Site { file: file.clone(), line: left.line, why: left.why };
        self.left.extend(plan.left.into_iter().map(place));
        self.done += plan.done;
        match plan.hunks.iter().find(|hunk| !hunk.before.is_empty()) {
            Some(first) if inside.is_none() => {
                let why = "it is outside of the repository; change it by hand".to_owned();
                self.left.push(Site { file, line: first.line + 1, why });
            }
            Some(_) => self.changes.push(FileChange { file, text, hunks: plan.hunks }),
            None => {}
        }
        plan.sourced
    }

    /// Whether nothing has to be changed.
    pub(super) fn is_done(&self) -> bool {
        self.changes.is_empty() && self.snippet.is_none()
    }

    /// Whether no script compiles anything that larder knows.
    pub(super) fn is_idle(&self) -> bool {
        self.is_done() && self.done == 0 && self.left.is_empty()
    }

    /// The changes as a diff.
    pub(super) fn diff(&self) -> String {
        let name = |path: &Path| path.to_string_lossy().into_owned();
        let change =
            |change: &FileChange| patch::diff(&name(&change.file), &change.text, &change.hunks);
        let mut text: String = self.changes.iter().map(change).collect();
        if let Some(snippet) = &self.snippet {
            text.push_str(&patch::addition(&name(snippet), SNIPPET));
        }
        text
    }

    /// Makes the changes; says which files they are in. What is made is recorded before.
    pub(super) fn apply(
        &self,
        store: &Store,
        record: &mut Record,
        force: bool,
    ) -> Result<Vec<PathBuf>> {
        if !force {
            self.refuse_uncommitted()?;
        }
        for FileChange { file, text, hunks } in &self.changes {
            // What was recorded for it before and never made is forgotten.
            let was_made = |change: &Change| patch::revert(text, &change.hunks).0 != *text;
            record.changes.retain(|change| change.file != *file || was_made(change));
            record.changes.push(Change { file: file.clone(), hunks: hunks.clone() });
        }
        if let Some(snippet) = &self.snippet {
            let digest = Digest::of(SNIPPET.as_bytes()).to_string();
            record.added.retain(|(file, _)| file != snippet);
            record.added.push((snippet.clone(), digest));
        }
        record.write(store)?;
        let mut files = Vec::new();
        if let Some(snippet) = &self.snippet {
            // First: a script that sources it may be started at any moment.
            edit::add(&self.repository.join(snippet), SNIPPET)?;
            files.push(snippet.clone());
        }
        for change in &self.changes {
            let text = patch::apply(&change.text, &change.hunks);
            edit::replace(&self.repository.join(&change.file), &text)?;
            files.push(change.file.clone());
        }
        Ok(files)
    }

    /// What nobody committed could not be told from larder's changes by a look at `git diff`.
    fn refuse_uncommitted(&self) -> Result<()> {
        let files: Vec<&Path> = self.changes.iter().map(|change| change.file.as_path()).collect();
        if files.is_empty() || !self.repository.ancestors().any(|dir| dir.join(".git").exists()) {
            return Ok(());
        }
        let Some(text) = sources::uncommitted(&self.repository, &files) else {
            bail!(
                "git does not say whether the build scripts are committed, and is not asked in a \
                 repository of another user; look yourself, and give --force"
            )
        };
        let text = String::from_utf8_lossy(&text);
        match text.lines().next() {
            None => Ok(()),
            Some(line) => bail!(
                "{} has changes that are not committed; commit or stash them first, or give --force",
                line.get(3..).unwrap_or(line)
            ),
        }
    }
}

/// The project's name where scripts compile in the directory that they start in: that of its package,
/// or of the directory.
fn start_name(dir: &Path) -> Option<String> {
    let manifest = regular::text(&dir.join("Cargo.toml")).ok();
    let package = manifest.and_then(|text| {
        let table: toml::Table = text.parse().ok()?;
        Some(table.get("package")?.get("name")?.as_str()?.to_owned())
    });
    let compiles = dir.join("Cargo.toml").exists() || dir.join("go.mod").exists();
    let own = || script::project_name(dir).filter(|_| compiles);
    package.and_then(|name| script::project_name(Path::new(&name))).or_else(own)
}
