//! `larder pin` and `larder unpin`: what is never collected.

use std::path::PathBuf;

use anyhow::Result;

use super::named::named;
use super::{DONE, existing_store};
use crate::base::atomic;
use crate::face::cli::PinArgs;
use crate::output::Output;
use crate::store::evict;

pub(super) fn pin(store: Option<PathBuf>, arguments: &PinArgs, output: Output) -> Result<u8> {
    let (store, _guard) = existing_store(store, output)?;
    for row in named(&store, &arguments.project, &arguments.ids)? {
        atomic::write(&store.entry(&row.project, row.toolchain).pin(), b"", 0o644)?;
        output.note(&format!("{} {} is pinned", row.project, row.toolchain.short()));
    }
    Ok(DONE)
}

pub(super) fn unpin(store: Option<PathBuf>, arguments: &PinArgs, output: Output) -> Result<u8> {
    let (store, _guard) = existing_store(store, output)?;
    for row in named(&store, &arguments.project, &arguments.ids)? {
        evict::remove_pin(&store, &store.entry(&row.project, row.toolchain).pin())?;
        output.note(&format!("{} {} is not pinned", row.project, row.toolchain.short()));
    }
    Ok(DONE)
}
