//! Measures again what the records say, and mends them.

use super::{COLLECTOR, CollectError};
use crate::output::{Output, Progress};
use crate::store::{EntryRecord, Lock, Row, Store, atomic};
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
            Ok(false) => output.note(&format!("{name} is in use, and not measured")),
            Err(error) => {
                errors.push(format!("{name}: {}", crate::output::one_line(&error.into())));
            }
        }
    }
    store.measure_downloads(true).map_err(crate::store::StoreError::from)?;
    Ok(errors)
}

fn measure(store: &Store, row: &Row) -> Result<bool, CollectError> {
    let paths = store.entry(&row.project, row.toolchain);
    let Some(_lock) = Lock::try_acquire(&paths.lock, COLLECTOR)? else {
        return Ok(false);
    };
    // What is recorded may have changed since the row was read.
    let Ok(record) = store.row(&row.project, row.toolchain, false).record else {
        return Ok(true);
    };
    let usage = usage::measure(&paths.dir);
    if usage != record.usage() {
        let record = EntryRecord { size: usage.bytes, inodes: usage.inodes, ..record };
        atomic::write_json(&paths.record, &record).map_err(crate::store::StoreError::from)?;
    }
    Ok(true)
}
