//! Measures again what the records say, and mends them.

use std::sync::{Mutex, PoisonError};

use super::{COLLECTOR, CollectError};
use crate::base::{atomic, usage};
use crate::output::{Output, Progress};
use crate::store::{EntryPaths, EntryRecord, Lock, Row, Store, StoreError};

/// Directories that are measured at a time: each has few directories at its top, which are waited
/// for one after the other.
const AT_ONCE: usize = 4;

/// Measures every directory that nobody uses, and the downloads. Says which could not be.
pub(crate) fn rescan(store: &Store, output: Output) -> Result<Vec<String>, CollectError> {
    let rows = store.all_rows()?;
    let progress = Progress::directories(output, "measuring", rows.len());
    let (rows, errors) = (Mutex::new(rows.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(row) = next(&rows) {
                    progress.add(1);
                    if let Err(error) = measure(store, &row, output) {
                        let error = crate::output::one_line(&error.into());
                        let text = format!("{} {}: {error}", row.project, row.toolchain.short());
                        errors.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                    }
                }
            });
        }
    });
    store.measure_downloads(true).map_err(StoreError::from)?;
    Ok(errors.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn next(rows: &Mutex<impl Iterator<Item = Row>>) -> Option<Row> {
    rows.lock().unwrap_or_else(PoisonError::into_inner).next()
}

fn measure(store: &Store, row: &Row, output: Output) -> Result<(), CollectError> {
    let paths = store.entry(&row.project, row.toolchain);
    let Some(_lock) = Lock::try_acquire(&paths.lock(), COLLECTOR)? else {
        if paths.dir.exists() {
            let name = format!("{} {}", row.project, row.toolchain.short());
            output.note(&format!("{name} is in use, and not measured"));
        }
        return Ok(());
    };
    // What is recorded may have changed since the row was read.
    Ok(mend(&paths, store.row(&row.project, row.toolchain, false).record)?)
}

/// Measures a directory whose lock is held, and mends its record, if it has one.
pub(crate) fn mend(
    paths: &EntryPaths,
    record: Result<EntryRecord, String>,
) -> Result<(), StoreError> {
    let Ok(record) = record else {
        return Ok(());
    };
    let usage = usage::measure(&paths.dir);
    if usage != record.usage() {
        let record = EntryRecord { size: usage.bytes, inodes: usage.inodes, ..record };
        atomic::write_json(&paths.record(), &record)?;
    }
    Ok(())
}
