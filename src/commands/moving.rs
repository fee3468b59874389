//! `larder move`: another place for the whole store.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use serde::Serialize;

use super::DONE;
use crate::cli::MoveArgs;
use crate::collect;
use crate::config::StorePath;
use crate::output::{Output, Progress, Report};
use crate::policy::Usage;
use crate::relocate;
use crate::store::{Store, Wait};

#[derive(Serialize)]
struct Moved {
    from: PathBuf,
    to: PathBuf,
    usage: Usage,
}

pub fn relocate(store: Option<PathBuf>, arguments: &MoveArgs, output: Output) -> Result<u8> {
    let store = Store::open_writable(StorePath::find(store).path())?;
    let wait = arguments.wait.unwrap_or(Wait::AtMost(Duration::ZERO));
    let root = store.root().display();
    let announce = |holder: &str| {
        output.note(&format!("waiting for the store {root}: in use by {holder}"));
    };
    let Some(_alone) = store.hold_alone(wait, announce)? else {
        bail!("the store {root} was moved away meanwhile");
    };
    if let Some((project, id)) = collect::built_by_others(&store)? {
        bail!(
            "a cargo that larder did not start builds in {project} {}; try again later",
            id.short()
        );
    }
    let usage = collect::observe(&store)?.usage();
    let progress = Progress::bytes(output, "moving", usage.bytes);
    let moved = relocate::relocate(&store, &arguments.directory, &|bytes| progress.add(bytes))?;
    drop(progress);
    let (from, to) = (store.root().to_owned(), moved.root().to_owned());
    output.report(&Moved { from, to, usage }, arguments.json)?;
    Ok(DONE)
}

impl Report for Moved {
    fn text(&self) -> String {
        let (from, to) = (self.from.display(), self.to.display());
        format!("{} moved from {from} to {to}\n", crate::output::size(self.usage.bytes))
    }
}
