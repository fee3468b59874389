//! `larder provision`: the store, and a project's target directory for the toolchain that is here.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Serialize;

use super::{DONE, make_store, run};
use crate::base::names::{ProjectName, ToolchainId};
use crate::face::cli::ProvisionArgs;
use crate::observe::identity::{CacheKind, Identity};
use crate::output::{Output, Report, Screen, Stopwatch, wrapped};
use crate::store::config::{StorePath, domains};
use crate::store::{OpenEntry, Store};
use crate::work::project::{Kept, Project};

#[derive(Serialize)]
pub(super) struct Provisioned {
    pub(super) store: PathBuf,
    pub(super) project: ProjectName,
    pub(super) summary: String,
    pub(super) entry: Option<Made>,
}

#[derive(Serialize)]
pub(super) struct Made {
    pub(super) toolchain: ToolchainId,
    pub(super) target: PathBuf,
    pub(super) new: bool,
}

pub(super) fn provision(
    store: Option<PathBuf>,
    arguments: &ProvisionArgs,
    output: Output,
) -> Result<u8> {
    let mut watch = Stopwatch::default();
    let ProvisionArgs { project, source, with, command, domain, .. } = arguments;
    let kept = kept(Kept::find(source.as_deref(), with, command)?, command)?;
    let (store, _guard) = make_store(StorePath::find(store).path(), None, output)?;
    let domains = domains(&store, domain.clone(), None)?;
    let project = Project::find(&store, project.clone(), kept, command, domains)?;
    watch.step("prepare");
    let answer = run::identify(&project, &store, output)?;
    watch.step("identify");
    store.make_project(&project.name)?;
    let summary = answer.identity.summary();
    let entry = match arguments.command.as_slice() {
        [] => None,
        _ => Some(make_entry(&store, &project, &answer.identity, output)?),
    };
    let store = store.root().to_owned();
    let report = Provisioned { store, project: project.name, summary, entry };
    output.report(&report, arguments.json)?;
    watch.step("open");
    output.detail(&watch.summary());
    Ok(DONE)
}

/// What is kept: a directory is made for a command of which something is. Where none is named, nothing but the
/// toolchain is looked at, and that is Rust's where nobody says otherwise.
fn kept(kept: Kept, command: &[OsString]) -> Result<Kept> {
    let Kept { source, with } = kept;
    if !with.is_empty() {
        return Ok(Kept { source, with });
    }
    if !command.is_empty() {
        let source = source.display();
        bail!(
            "no Cargo.toml and no go.mod in {source}, so `larder run` keeps nothing of this command; name the project's directory with --source, or what is kept with --with"
        );
    }
    Ok(Kept { source, with: BTreeSet::from([CacheKind::Cargo]) })
}

fn make_entry(
    store: &Store,
    project: &Project,
    identity: &Identity,
    output: Output,
) -> Result<Made> {
    let identity = identity.recorded(&project.veil(store)?)?;
    let lock = project.lock(store, identity.id(), output)?;
    let (entry, _) = OpenEntry::open(store, &project.name, identity, lock)?;
    Ok(Made {
        toolchain: entry.record().toolchain,
        target: entry.paths().target().clone(),
        new: entry.is_new(),
    })
}

impl Report for Provisioned {
    fn text(&self) -> String {
        self.text_for(Screen::PLAIN)
    }

    fn text_for(&self, screen: Screen) -> String {
        let (project, summary) = (&self.project, &self.summary);
        let store = self.store.display();
        let text = match &self.entry {
            None => format!("{project}: {summary} in {store}\n"),
            Some(Made { toolchain, target, new }) => {
                let made = if *new { "made" } else { "there already" };
                let (id, target) = (toolchain.short(), target.display());
                format!("{project} {id}: {summary}, {made}\n{target}\n")
            }
        };
        wrapped(&text, 2, screen)
    }
}
