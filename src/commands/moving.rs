//! `larder move`: another place for the whole store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use serde::Serialize;

use super::DONE;
use crate::cli::MoveArgs;
use crate::collect;
use crate::config::StorePath;
use crate::output::{Output, Progress, Report, size};
use crate::policy::Usage;
use crate::relocate;
use crate::store::{Store, StoreError, Wait};

#[derive(Serialize)]
struct Moved {
    from: PathBuf,
    to: PathBuf,
    usage: Usage,
}

pub fn relocate(store: Option<PathBuf>, arguments: &MoveArgs, output: Output) -> Result<u8> {
    let path = StorePath::find(store);
    let store = match Store::open_writable(path.path()) {
        Err(error @ (StoreError::Missing(_) | StoreError::NotAStore(_))) => {
            return resume(path.path(), arguments, output, error);
        }
        other => other?,
    };
    let wait = arguments.wait.unwrap_or(Wait::AtMost(Duration::ZERO));
    let root = store.root().display();
    let announce = |holder: &str| {
        output.note(&format!("waiting for the store {root}: in use by {holder}"));
    };
    let Some(_alone) = store.hold_alone(wait, announce)? else {
        bail!(
            "the store {root} was moved away meanwhile; name its new place with --store to move it again"
        );
    };
    if let Some((project, id)) = collect::built_by_others(&store)? {
        bail!(
            "a cargo that larder did not start builds in {project} {}; try again later",
            id.short()
        );
    }
    let usage = collect::observe(&store)?.usage();
    let what = format!("moving {} from {root}", size(usage.bytes));
    let progress = Progress::bytes(output, what, usage.bytes);
    let moved = relocate::relocate(&store, &arguments.directory, &|bytes| progress.add(bytes))?;
    drop(progress);
    let (from, to) = (store.root().to_owned(), moved.root().to_owned());
    output.report(&Moved { from, to, usage }, arguments.json)?;
    Ok(DONE)
}

/// Where there is no store any more, a move that was cut off may have to be gone on with.
fn resume(from: &Path, arguments: &MoveArgs, output: Output, error: StoreError) -> Result<u8> {
    let Some(moved) = relocate::resume(from, &arguments.directory)? else { bail!(error) };
    let usage = collect::observe(&moved)?.usage();
    let (from, to) = (from.to_owned(), moved.root().to_owned());
    output.report(&Moved { from, to, usage }, arguments.json)?;
    Ok(DONE)
}

impl Report for Moved {
    fn text(&self) -> String {
        let (from, to) = (self.from.display(), self.to.display());
        let size = size(self.usage.bytes);
        if self.from == self.to {
            format!("{size} in {to}, where the store is already\n")
        } else {
            format!("{size} moved from {from} to {to}\n")
        }
    }
}
