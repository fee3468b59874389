//! `larder explain`: why a build was cold, what it rebuilt, or how two directories differ. Reads
//! only.

mod units;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::{DONE, named};
use crate::base::names::{ProjectName, ToolchainId};
use crate::decide::remade::Remade;
use crate::face::cli::ExplainArgs;
use crate::observe::identity::{Difference, IdentityRecord, differences};
use crate::output::{Output, Report, Screen, wrapped};
use crate::store::config::StorePath;
use crate::store::{EntryRecord, Outcome, Store, UseRecord};

/// What became of the last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Told {
    /// A new directory, or one that was begun anew.
    Cold,
    /// Something had to go.
    Rebuilt,
    /// Nothing had to go.
    Unchanged,
    /// Two directories are compared, whatever their use.
    Compared,
}

#[derive(Serialize)]
pub(super) struct Explanation {
    pub(super) project: ProjectName,
    pub(super) toolchain: ToolchainId,
    pub(super) summary: String,
    pub(super) kind: Told,
    /// Packages that were compiled, if the use came to its end.
    pub(super) compiled: Option<usize>,
    /// With which code the command failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<i32>,
    /// What was recorded when the use began.
    pub(super) why: Vec<String>,
    /// What went for that, and which inputs it was.
    #[serde(skip_serializing_if = "Remade::is_nothing")]
    pub(super) remade: Remade,
    /// The directory that a new one, or the one asked for, is compared with.
    pub(super) compared_with: Option<ToolchainId>,
    /// Every part of the identity in which the two differ.
    pub(super) differences: Vec<Difference>,
}

pub(super) fn explain(
    store: Option<PathBuf>,
    arguments: &ExplainArgs,
    output: Output,
) -> Result<u8> {
    let store = Store::open(StorePath::find(store).path())?;
    let rows = store.rows(&arguments.project)?;
    let records: Vec<EntryRecord> = rows.into_iter().filter_map(|row| row.record.ok()).collect();
    if let Some(package) = &arguments.unit {
        let record = last_used(&records, &arguments.project)?;
        output.report(&units::of(&store, record, package)?, arguments.json)?;
        return Ok(DONE);
    }
    let explanation = match arguments.between.as_slice() {
        [one, other] => between(&store, find(&records, one)?, find(&records, other)?)?,
        _ => last_use(&store, &records, &arguments.project)?,
    };
    output.report(&explanation, arguments.json)?;
    Ok(DONE)
}

/// The record whose id begins with a text.
fn find<'a>(records: &'a [EntryRecord], text: &str) -> Result<&'a EntryRecord> {
    let id = named::find(records.iter().map(|record| record.toolchain), text)?;
    let found = records.iter().find(|record| record.toolchain == id);
    found.with_context(|| {
        format!("the record of {} cannot be read; its next build makes it anew", id.short())
    })
}

fn between(store: &Store, old: &EntryRecord, new: &EntryRecord) -> Result<Explanation> {
    Ok(Explanation {
        kind: Told::Compared,
        why: Vec::new(),
        remade: Remade::default(),
        compiled: None,
        failed: None,
        compared_with: Some(old.toolchain),
        differences: differences(&identity(store, old)?, &identity(store, new)?),
        ..of(new)
    })
}

fn identity(store: &Store, record: &EntryRecord) -> Result<IdentityRecord> {
    store.identity(&record.project, record.toolchain).with_context(|| {
        let id = record.toolchain.short();
        format!(
            "the identity of {} {id} cannot be read; its next build makes it anew",
            record.project
        )
    })
}

fn of(record: &EntryRecord) -> Explanation {
    let last = record.last.as_ref();
    let closed = last.and_then(|last| last.closed.as_ref());
    Explanation {
        project: record.project.clone(),
        toolchain: record.toolchain,
        summary: record.summary.clone(),
        kind: last.map_or(Told::Unchanged, kind),
        compiled: closed.filter(|_| record.compiles_with_cargo()).map(|closed| closed.compiled),
        failed: closed.and_then(|closed| match closed.outcome {
            Outcome::Succeeded => None,
            Outcome::Failed(code) => Some(code),
        }),
        why: last.map(|last| last.why.clone()).unwrap_or_default(),
        remade: last.map(|last| last.remade.clone()).unwrap_or_default(),
        compared_with: None,
        differences: Vec::new(),
    }
}

fn kind(last: &UseRecord) -> Told {
    match (last.cold, last.why.is_empty()) {
        (true, _) => Told::Cold,
        (false, false) => Told::Rebuilt,
        (false, true) => Told::Unchanged,
    }
}

fn last_used<'a>(records: &'a [EntryRecord], project: &ProjectName) -> Result<&'a EntryRecord> {
    let used = records.iter().filter(|record| record.last.is_some());
    match used.max_by_key(|record| record.last_use()) {
        Some(record) => Ok(record),
        None => bail!("nothing was built for {project} yet; `larder status` lists what there is"),
    }
}

fn last_use(store: &Store, records: &[EntryRecord], project: &ProjectName) -> Result<Explanation> {
    let record = last_used(records, project)?;
    let mut explanation = of(record);
    // A directory that is used for the first time is compared with the one that differs least.
    if record.uses <= 1 && records.len() > 1 {
        let own = identity(store, record)?;
        if let Some((id, nearest)) = store.nearest_sibling(project, &own) {
            explanation.compared_with = Some(id);
            explanation.differences = differences(&nearest, &own);
        }
    }
    Ok(explanation)
}

impl Report for Explanation {
    fn text(&self) -> String {
        self.text_for(Screen::PLAIN)
    }

    fn text_for(&self, screen: Screen) -> String {
        let head = format!("{} {} ({})", self.project, self.toolchain.short(), self.summary);
        let mut compiled = match self.compiled {
            Some(1) => ", 1 package compiled".to_owned(),
            Some(count) => format!(", {count} packages compiled"),
            None => String::new(),
        };
        compiled.extend(self.failed.map(|code| format!(", failed with code {code}")));
        let with = self.compared_with.map(|id| format!("compared with {}", id.short()));
        let mut text = match (self.kind, with) {
            (Told::Compared, Some(with)) if self.differences.is_empty() => {
                format!("{head}, {with}: no difference")
            }
            (Told::Compared, with) => format!("{head}, {}:", with.unwrap_or_default()),
            (Told::Cold, None) => format!("{head}: cold{compiled}"),
            (Told::Cold, Some(with)) => format!("{head}: cold{compiled}, {with}"),
            (Told::Rebuilt, _) if self.remade.is_all() => format!("{head}: all anew{compiled}"),
            (Told::Rebuilt, _) => format!("{head}: warm{compiled}"),
            (Told::Unchanged, _) => format!("{head}: warm{compiled}, nothing changed"),
        };
        let differences: Vec<String> = self.differences.iter().map(ToString::to_string).collect();
        let lines = if differences.is_empty() { &self.why } else { &differences };
        let remade = self.remade.lines();
        text.extend(lines.iter().chain(&remade).map(|line| format!("\n  {line}")));
        wrapped(&text, 2, screen)
    }
}
