//! `larder init --undo`: takes back what was done for the repository, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Serialize;

use super::files::Site;
use super::record::{self, Change, Record};
use super::search;
use crate::base::digest::Digest;
use crate::base::{edit, regular};
use crate::face::commands::{DONE, FAILED, existing_store};
use crate::image::script;
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
    let users = users(&record);
    restore(&store, &mut record, &mut report, &users)?;
    remove_includes(&store, &record, &mut report)?;
    if users.is_empty() {
        remove_added(&mut record, &mut report)?;
        record.remove(&store)?;
    } else {
        // What takes the rest back is asked for once more.
        record.includes.clear();
        record.write(&store)?;
        report.left.extend(users);
    }
    output.report(&report, json)?;
    Ok(if report.left.is_empty() { DONE } else { FAILED })
}

/// What would still use larder.sh if all that was changed were taken back, by the lines as they will be.
fn users(record: &Record) -> Vec<Site> {
    let mut texts: BTreeMap<PathBuf, String> =
        search::scripts(&record.repository).scripts.into_iter().collect();
    let mut sourcing: BTreeSet<String> = BTreeSet::new();
    for Change { file, hunks } in record.changes.iter().rev() {
        let path = record.repository.join(file);
        let Some(text) = texts.get(&path).cloned().or_else(|| regular::text(&path).ok()) else {
            continue;
        };
        // Lines that only source it stay while they are needed, and need nothing themselves.
        let (own, calls): (Vec<Hunk>, Vec<Hunk>) = hunks.iter().cloned().partition(is_sourcing);
        sourcing.extend(own.into_iter().flat_map(|hunk| hunk.after));
        texts.insert(path, patch::revert(&text, &calls).0);
    }
    let mut sites = Vec::new();
    for (path, text) in &texts {
        let file = path.strip_prefix(&record.repository).unwrap_or(path);
        let is_changed = record.changes.iter().any(|change| change.file == file);
        if record.added.is_empty() && !is_changed {
            // The larder.sh that it uses is not to go.
            continue;
        }
        let is_ours = |line: &usize| {
            is_changed
                && patch::lines(text).get(line - 1).is_some_and(|line| sourcing.contains(*line))
        };
        let lines = script::uses_of_larder(text).into_iter().filter(|line| !is_ours(line));
        sites.extend(lines.map(|line| Site {
            file: file.to_owned(),
            line,
            why: "this uses larder.sh, which stays with what sources it; take it out, and give `larder init --undo` again".to_owned(),
        }));
    }
    sites
}

/// Whether a change only adds the line that sources larder.sh.
fn is_sourcing(hunk: &Hunk) -> bool {
    hunk.before.is_empty()
}

/// The last change of each file first. While anybody uses larder.sh, the lines that source it stay.
fn restore(store: &Store, record: &mut Record, report: &mut Undone, users: &[Site]) -> Result<()> {
    let repository = record.repository.clone();
    let mut kept: Vec<Change> = Vec::new();
    while let Some(Change { file, hunks }) = record.changes.pop() {
        let path = repository.join(&file);
        evict::remove_half_edit(&path)?;
        let Ok(text) = regular::text(&path) else { continue };
        let stays = |hunk: &Hunk| !users.is_empty() && is_sourcing(hunk);
        let (sourcing, hunks): (Vec<Hunk>, Vec<Hunk>) = hunks.into_iter().partition(stays);
        if !sourcing.is_empty() {
            kept.insert(0, Change { file: file.clone(), hunks: sourcing });
        }
        let (restored, lost) = patch::revert(&text, &hunks);
        if restored == text && lost.iter().all(|hunk| hunk.before.is_empty()) {
            // It was recorded, and never made.
            continue;
        }
        if users.iter().all(|site| site.file != file) {
            report.left.extend(lost.into_iter().map(|hunk| place(&file, hunk)));
        }
        if restored != text {
            edit::replace(&path, &restored)?;
            // What is taken back is not looked for again after a crash.
            let changes = [record.changes.clone(), kept.clone()].concat();
            Record { changes, ..record.clone() }.write(store)?;
            if !report.restored.contains(&file) {
                report.restored.push(file);
            }
        }
    }
    record.changes = kept;
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
