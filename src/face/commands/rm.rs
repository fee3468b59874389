//! `larder rm`: removes target directories that somebody names.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Serialize;

use super::named::named;
use super::{DONE, FAILED, existing_store};
use crate::base::names::{ProjectName, ToolchainId};
use crate::base::quantity::Usage;
use crate::face::cli::RmArgs;
use crate::output::{self, Output, Progress, Report, Screen};
use crate::store::EntryRecord;
use crate::store::evict::{self, Trash};
use crate::store::history::{self, Collection, Collector, Event, Gone};
use crate::work::collect::{self, Fate};

#[derive(Serialize)]
pub(super) struct Removed {
    pub(super) project: ProjectName,
    pub(super) directories: Vec<Unwanted>,
}

#[derive(Serialize)]
pub(super) struct Unwanted {
    pub(super) toolchain: ToolchainId,
    pub(super) usage: Usage,
    #[serde(flatten)]
    pub(super) fate: Fate,
}

pub(super) fn rm(store: Option<PathBuf>, arguments: &RmArgs, output: Output) -> Result<u8> {
    let (store, _guard) = existing_store(store, output)?;
    let rows = named(&store, &arguments.project, &arguments.ids)?;
    if let Some(row) = rows.iter().find(|row| row.pinned) {
        let (project, id) = (&arguments.project, row.toolchain.short());
        bail!("{project} {id} is pinned; `larder unpin {project} {id}` first");
    }
    let mut trash = Trash::new(&store);
    let mut directories = Vec::new();
    for row in rows {
        let usage = row.record.as_ref().map(EntryRecord::usage).unwrap_or_default();
        let fate = collect::take_directory(&store, &row.project, row.toolchain, None, &mut trash)?;
        directories.push(Unwanted { toolchain: row.toolchain, usage, fate });
    }
    let gone = directories.iter().filter(|directory| directory.fate == Fate::Gone);
    let gone = gone.map(|directory| Gone {
        project: Some(arguments.project.clone()),
        what: format!("{} {}", arguments.project, directory.toolchain.short()),
        why: "by larder rm".to_owned(),
        bytes: directory.usage.bytes,
    });
    if let Some(collection) = Collection::new(Collector::Rm, gone.collect(), Vec::new()) {
        history::remember(&store, Event::Collection(collection), output);
    }
    let report = Removed { project: arguments.project.clone(), directories };
    output.report(&report, arguments.json)?;
    let progress = Progress::files(output, "deleting");
    for error in evict::empty_trash(&store, &|gone| progress.add(gone)) {
        output.warning(&output::one_line(&error.into()));
    }
    let all = report.directories.iter().all(|directory| directory.fate == Fate::Gone);
    Ok(if all { DONE } else { FAILED })
}

impl Report for Removed {
    fn text(&self) -> String {
        self.text_for(Screen::PLAIN)
    }

    fn text_for(&self, screen: Screen) -> String {
        let line = |directory: &Unwanted| {
            let (project, id) = (&self.project, directory.toolchain.short());
            match &directory.fate {
                Fate::Gone => {
                    format!("removed {project} {id}, {}\n", output::size(directory.usage.bytes))
                }
                Fate::Stays { because } => format!("{project} {id} stays: {because}\n"),
                Fate::Failed { error } => format!("{project} {id} stays: {error}\n"),
            }
        };
        output::wrapped(&self.directories.iter().map(line).collect::<String>(), 2, screen)
    }
}
