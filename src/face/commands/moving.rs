//! `larder move`: another place for the whole store.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;

use super::DONE;
use crate::base::quantity::Usage;
use crate::face::cli::MoveArgs;
use crate::output::{Output, Progress, Report, size};
use crate::store::config::StorePath;
use crate::store::{Guard, Store, StoreError, Wait};
use crate::work::{collect, relocate};

/// Between two looks whether a cargo that larder did not start still builds.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Serialize)]
struct Moved {
    from: PathBuf,
    to: PathBuf,
    usage: Usage,
}

pub(super) fn relocate(store: Option<PathBuf>, arguments: &MoveArgs, output: Output) -> Result<u8> {
    let path = StorePath::find(store);
    let store = match Store::open_writable(path.path()) {
        Err(error @ (StoreError::Missing(_) | StoreError::NotAStore(_))) => {
            return resume(path.path(), arguments, output, error);
        }
        other => other?,
    };
    let wait = arguments.wait.unwrap_or(Wait::AtMost(Duration::ZERO));
    let _alone = hold_unused(&store, wait, output)?;
    let usage = collect::observe(&store)?.usage();
    let what = format!("moving {} from {}", size(usage.bytes), store.root().display());
    let progress = Progress::bytes(output, what, usage.bytes);
    let moved = relocate::relocate(&store, &arguments.directory, &|bytes| progress.add(bytes))?;
    drop(progress);
    let (from, to) = (store.root().to_owned(), moved.root().to_owned());
    output.report(&Moved { from, to, usage }, arguments.json)?;
    Ok(DONE)
}

/// Has the store alone, when also no cargo builds in it that larder did not start. Such a cargo holds
/// up nobody else: in between, the store is free.
fn hold_unused(store: &Store, wait: Wait, output: Output) -> Result<Guard> {
    let root = store.root().display();
    let announced = Cell::new(false);
    let announce = |holder: &str| {
        if !announced.replace(true) {
            output.note(&format!("waiting for the store {root}: in use by {holder}"));
        }
    };
    let since = Instant::now();
    loop {
        let left = match wait {
            Wait::Forever => wait,
            Wait::AtMost(limit) => Wait::AtMost(limit.saturating_sub(since.elapsed())),
        };
        let Some(alone) = store.hold_alone(left, announce)? else {
            bail!(
                "the store {root} was moved away meanwhile; name its new place with --store to move it again"
            );
        };
        let Some(others) = collect::used_by_others(store)? else { return Ok(alone) };
        drop(alone);
        if left == Wait::AtMost(Duration::ZERO) {
            bail!(
                "the store {root} is in use: {others}; try again later, or allow more time with --wait"
            );
        }
        if !announced.replace(true) {
            output.note(&format!("waiting for the store {root}: {others}"));
        }
        thread::sleep(PAUSE);
    }
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
