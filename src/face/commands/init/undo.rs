//! `larder init --undo`: takes back what was done for the repository, and nothing else.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Serialize;

use super::files::Site;
use super::record::{self, Record};
use crate::base::digest::Digest;
use crate::base::{edit, regular};
use crate::face::commands::{DONE, FAILED, existing_store};
use crate::image::script::patch::{self, Hunk};
use crate::output::{Output, Report};
use crate::store::{Store, evict};

#[derive(Serialize)]
struct Undone {
    store: PathBuf,
    restored: Vec<PathBuf>,
    removed: Vec<PathBuf>,
    /// Include files that other repositories use.
    kept: Vec<PathBuf>,
    left: Vec<Site>,
    projects: Vec<String>,
}

pub(super) fn undo(store: PathBuf, repository: &Path, json: bool, output: Output) -> Result<u8> {
    let (store, _guard) = existing_store(Some(store), output)?;
    if !Record::exists(&store, repository) {
        bail!(
            "the store {} knows nothing of {}; name the store that `larder init` used with --store",
            store.root().display(),
            repository.display()
        );
    }
    let mut record = Record::read(&store, repository)?;
    let mut report = Undone {
        store: store.root().to_owned(),
        restored: Vec::new(),
        removed: Vec::new(),
        kept: Vec::new(),
        left: Vec::new(),
        projects: store.projects()?.iter().map(ToString::to_string).collect(),
    };
    restore(&store, &mut record, &mut report)?;
    remove_added(&mut record, &mut report)?;
    remove_includes(&store, &record, &mut report)?;
    record.remove(&store)?;
    output.report(&report, json)?;
    Ok(if report.left.is_empty() { DONE } else { FAILED })
}

/// The last change of each file first.
fn restore(store: &Store, record: &mut Record, report: &mut Undone) -> Result<()> {
    let repository = record.repository.clone();
    while let Some(change) = record.changes.pop() {
        let path = repository.join(&change.file);
        evict::remove_half_edit(&path)?;
        let Ok(text) = regular::text(&path) else { continue };
        let (restored, lost) = patch::revert(&text, &change.hunks);
        if restored == text && lost.iter().all(|hunk| hunk.before.is_empty()) {
            // It was recorded, and never made.
            continue;
        }
        report.left.extend(lost.into_iter().map(|hunk| place(&change.file, hunk)));
        if restored != text {
            edit::replace(&path, &restored)?;
            // What is taken back is not looked for again after a crash.
            record.write(store)?;
            if !report.restored.contains(&change.file) {
                report.restored.push(change.file);
            }
        }
    }
    Ok(())
}

fn place(file: &Path, hunk: &Hunk) -> Site {
    let line = hunk.after.first().map(|line| line.trim().to_owned()).unwrap_or_default();
    let why = format!("this line was changed since, and stays: {line}");
    Site { file: file.to_owned(), line: hunk.line + 1, why }
}

/// A file that was added goes if it is as it was written.
fn remove_added(record: &mut Record, report: &mut Undone) -> Result<()> {
    for (file, digest) in std::mem::take(&mut record.added) {
        let path = record.repository.join(&file);
        evict::remove_half_edit(&path)?;
        match regular::read(&path, regular::TEXT) {
            Ok(bytes) if Digest::of(&bytes).to_string() == digest => {
                evict::remove_unchanged(&path, &bytes)?;
                report.removed.push(path);
            }
            Ok(_) => {
                let why = "it was changed since it was added, and stays".to_owned();
                report.left.push(Site { file, line: 1, why });
            }
            Err(_) => {}
        }
    }
    Ok(())
}

fn remove_includes(store: &Store, record: &Record, report: &mut Undone) -> Result<()> {
    let others: Vec<Record> = record::all(store)?
        .into_iter()
        .filter(|other| other.repository != record.repository && other.repository.exists())
        .collect();
    for include in &record.includes {
        let path = include.path(store.root());
        if others.iter().any(|other| other.includes.contains(include)) {
            report.kept.push(path);
        } else if path.exists() {
            evict::remove_include(store, &path)?;
            report.removed.push(path);
        }
    }
    Ok(())
}

impl Report for Undone {
    fn text(&self) -> String {
        let mut lines = Vec::new();
        let mut say = |what: &str, paths: &[PathBuf]| {
            lines.extend(paths.iter().map(|path| format!("{what}  {}", path.display())));
        };
        say("restored", &self.restored);
        say("removed ", &self.removed);
        say("kept    ", &self.kept);
        if !self.kept.is_empty() {
            lines.push("          (other image repositories use it)".to_owned());
        }
        let left = |place: &Site| format!("{}:{}: {}", place.file.display(), place.line, place.why);
        lines.extend(self.left.iter().map(left));
        let store = self.store.display();
        lines.push(format!("\nThe store {store} stays, with what it keeps warm."));
        lines
            .extend(self.projects.iter().map(|name| format!("  larder --store {store} rm {name}")));
        lines.push(format!("To remove all of it: rm -r {store}\n"));
        lines.join("\n")
    }
}
