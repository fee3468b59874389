//! `larder rm`: removes target directories that somebody names.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Serialize;

use super::{DONE, FAILED, open_store};
use crate::cli::RmArgs;
use crate::collect::{self, Fate};
use crate::evict::{self, Trash};
use crate::names::{ProjectName, ToolchainId};
use crate::output::{self, Output, Report};
use crate::policy::Usage;
use crate::store::{Row, Store, Wait};

#[derive(Serialize)]
struct Removed {
    project: ProjectName,
    directories: Vec<Directory>,
}

#[derive(Serialize)]
struct Directory {
    toolchain: ToolchainId,
    usage: Usage,
    #[serde(flatten)]
    fate: Fate,
}

pub fn rm(store: Option<PathBuf>, arguments: &RmArgs, output: Output) -> Result<u8> {
    let (store, _guard) = open_store(store, Wait::Forever, output)?;
    let rows = named(&store, &arguments.project, &arguments.ids)?;
    if let Some(row) = rows.iter().find(|row| row.pinned) {
        let (project, id) = (&arguments.project, row.toolchain.short());
        bail!("{project} {id} is pinned; `larder unpin {project} {id}` first");
    }
    let mut trash = Trash::new(&store);
    let mut directories = Vec::new();
    for row in rows {
        let usage = row.record.as_ref().map(crate::store::EntryRecord::usage).unwrap_or_default();
        let fate = collect::take_directory(&store, &row.project, row.toolchain, None, &mut trash)?;
        directories.push(Directory { toolchain: row.toolchain, usage, fate });
    }
    let report = Removed { project: arguments.project.clone(), directories };
    output.report(&report, arguments.json)?;
    for error in evict::empty_trash(&store) {
        output.warning(&output::one_line(&error.into()));
    }
    let all = report.directories.iter().all(|directory| directory.fate == Fate::Gone);
    Ok(if all { DONE } else { FAILED })
}

/// The directories of a project whose ids begin with the texts; all if there are none.
pub fn named(store: &Store, project: &ProjectName, ids: &[String]) -> Result<Vec<Row>> {
    let rows = store.rows(project)?;
    if rows.is_empty() {
        let root = store.root().display();
        bail!("no directory of {project} in {root}; `larder status` lists those there are");
    }
    if ids.is_empty() {
        return Ok(rows);
    }
    let mut chosen: Vec<Row> = Vec::new();
    for text in ids {
        let id = find(rows.iter().map(|row| row.toolchain), text)?;
        let row = rows.iter().find(|row| row.toolchain == id).cloned();
        chosen
            .extend(row.filter(|row| chosen.iter().all(|other| other.toolchain != row.toolchain)));
    }
    Ok(chosen)
}

/// The one id that begins with a text.
pub fn find(ids: impl Iterator<Item = ToolchainId>, text: &str) -> Result<ToolchainId> {
    let found: Vec<ToolchainId> =
        ids.filter(|id| !text.is_empty() && id.to_string().starts_with(text)).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => bail!(
            "no directory of this project has an id that begins with {text}; see `larder status`"
        ),
        more => {
            bail!("{} directories have ids that begin with {text}; give more of it", more.len())
        }
    }
}

impl Report for Removed {
    fn text(&self) -> String {
        let line = |directory: &Directory| {
            let (project, id) = (&self.project, directory.toolchain.short());
            match &directory.fate {
                Fate::Gone => {
                    format!("removed {project} {id}, {}\n", output::size(directory.usage.bytes))
                }
                Fate::Stays { because } => format!("{project} {id} stays: {because}\n"),
                Fate::Failed { error } => format!("{project} {id} stays: {error}\n"),
            }
        };
        self.directories.iter().map(line).collect()
    }
}
