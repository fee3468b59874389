//! Measures again what the records say, and mends them.

use super::{COLLECTOR, CollectError};
use crate::output::{Output, Progress};
use crate::store::{EntryPaths, EntryRecord, Lock, Row, Store, StoreError, atomic};
use crate::usage;

/// Measures every directory that nobody uses, and the downloads. Says which could not be.
pub fn rescan(store: &Store, output: Output) -> Result<Vec<String>, CollectError> {
    let mut errors = Vec::new();
    let rows = store.all_rows()?;
    let progress = Progress::directories(output, "measuring", rows.len());
    for row in rows {
        progress.add(1);
        let name = format!("{} {}", row.project, row.toolchain.short());
        match measure(store, &row) {
            Ok(true) => {}
            Ok(false) if !is_there(store, &row) => {}
            Ok(false) => output.note(&format!("{name} is in use, and not measured")),
            Err(error) => {
                errors.push(format!("{name}: {}", crate::output::one_line(&error.into())));
            }
        }
    }
    store.measure_downloads(true).map_err(StoreError::from)?;
    Ok(errors)
}

fn is_there(store: &Store, row: &Row) -> bool {
    store.entry(&row.project, row.toolchain).dir.exists()
}

fn measure(store: &Store, row: &Row) -> Result<bool, CollectError> {
    let paths = store.entry(&row.project, row.toolchain);
    let Some(_lock) = Lock::try_acquire(&paths.lock, COLLECTOR)? else {
        return Ok(false);
    };
    // What is recorded may have changed since the row was read.
    mend(&paths, store.row(&row.project, row.toolchain, false).record)?;
    Ok(true)
}

/// Measures a directory whose lock is held, and mends its record, if it has one.
pub fn mend(paths: &EntryPaths, record: Result<EntryRecord, String>) -> Result<(), StoreError> {
    let Ok(record) = record else {
        return Ok(());
    };
    let usage = usage::measure(&paths.dir);
    if usage != record.usage() {
        let record = EntryRecord { size: usage.bytes, inodes: usage.inodes, ..record };
        atomic::write_json(&paths.record, &record)?;
    }
    Ok(())
}
