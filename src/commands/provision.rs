//! `larder provision`: the store, and a project's target directory for the toolchain that is here.

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use super::DONE;
use super::run::Project;
use crate::cli::ProvisionArgs;
use crate::config::StorePath;
use crate::names::{ProjectName, ToolchainId};
use crate::output::{Output, Report};
use crate::store::{OpenEntry, Store};

#[derive(Serialize)]
struct Provisioned {
    store: PathBuf,
    project: ProjectName,
    toolchain: ToolchainId,
    summary: String,
    target: PathBuf,
    new: bool,
}

pub fn provision(store: Option<PathBuf>, arguments: ProvisionArgs, output: Output) -> Result<u8> {
    let store = Store::create(&std::path::absolute(StorePath::find(store).path())?)?;
    let project = Project::find(&store, arguments.project, arguments.source, &[])?;
    let answer = project.identify(&store)?;
    let lock = project.lock(&store, answer.identity.id(), output)?;
    let (entry, _) = OpenEntry::open(&store, &project.name, answer.identity, lock)?;
    let report = Provisioned {
        store: store.root().to_owned(),
        toolchain: entry.record().toolchain,
        summary: entry.record().identity.summary(),
        target: entry.paths().target.clone(),
        new: entry.is_new(),
        project: project.name,
    };
    output.report(&report, arguments.json)?;
    Ok(DONE)
}

impl Report for Provisioned {
    fn text(&self) -> String {
        let made = if self.new { "made" } else { "there already" };
        let (project, id) = (&self.project, self.toolchain.short());
        format!("{project} {id} ({}): {made}\n{}\n", self.summary, self.target.display())
    }
}
