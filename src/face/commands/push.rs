//! `larder push`: the data of a directory, and a signed manifest of it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::named::named;
use super::run::empty_scraps;
use super::{DONE, existing_store};
use crate::face::cli::PushArgs;
use crate::observe::identity::IdentityRecord;
use crate::output::{Output, Report, seconds, size};
use crate::store::config::Settings;
use crate::store::{EntryRecord, Lock, Row, Store, history};
use crate::work::share::{Pushed, Share};

pub(super) fn push(store: Option<PathBuf>, arguments: &PushArgs, output: Output) -> Result<u8> {
    let (store, _guard) = existing_store(store, output)?;
    let share = Share::needed(&store, output)?;
    let rows = named(&store, &arguments.project, arguments.toolchain.as_slice())?;
    let last_use = |row: &Row| row.record.as_ref().ok().map(EntryRecord::last_use);
    let Some(row) = rows.into_iter().max_by_key(last_use) else {
        bail!("there is no directory of {}; build it with `larder run` first", arguments.project);
    };
    let pushed = push_row(&store, &share, &row, output);
    empty_scraps(&store, output);
    let pushed = pushed?;
    history::remember(&store, pushed.event(), output);
    output.report(&pushed, arguments.json)?;
    Ok(DONE)
}

fn push_row(store: &Store, share: &Share<'_>, row: &Row, output: Output) -> Result<Pushed> {
    let identity: IdentityRecord = store
        .identity(&row.project, row.toolchain)
        .filter(|identity| identity.id() == row.toolchain)
        .context("its identity.json cannot be read; build once more")?;
    let pushing = share.begin_push(&row.project, &identity)?;
    let paths = store.entry(&row.project, row.toolchain);
    let announce = |holder: &str| {
        let (project, id) = (&row.project, row.toolchain.short());
        output.note(&format!("waiting for {project} {id}: in use by {holder}"));
    };
    let wait = Settings::of(store, &row.project)?.wait;
    let lock = Lock::acquire(&paths.lock(), "larder push", wait, announce)?;
    let captured = pushing.capture(&paths, &lock)?;
    drop(lock);
    Ok(captured.publish()?)
}

impl Report for Pushed {
    fn text(&self) -> String {
        let Self { project, toolchain, counter, bytes_added, bytes_total, .. } = self;
        let (added, total) = (size(*bytes_added), size(*bytes_total));
        let (id, time) = (toolchain.short(), seconds(self.seconds));
        let left_out = self.left_out().map(|text| format!("{text}\n")).unwrap_or_default();
        format!(
            "pushed {project} {id}: push {counter}, {added} sent for {total}, {time}\n{left_out}"
        )
    }
}
