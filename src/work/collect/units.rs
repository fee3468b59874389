//! Dead units: looked at once more under the locks, then swept.

use super::{COLLECTOR, CollectError, Fate, candidate, in_use, let_go, stays};
use crate::decide::policy::Candidate;
use crate::store::{EntryPaths, Lock, Store};
use crate::work::sweep;

/// Sweeps units out of a directory if nobody uses it, and if it is still what was `seen` when that was
/// decided.
pub(super) fn take_units(
    store: &Store,
    paths: &EntryPaths,
    seen: &Candidate,
    until: u64,
) -> Result<Fate, CollectError> {
    let Some(_lock) = Lock::try_acquire(&paths.lock(), COLLECTOR)? else {
        return Ok(in_use(paths));
    };
    let _cargo = match let_go(paths)? {
        Ok(cargo) => cargo,
        Err(stays) => return Ok(stays),
    };
    if sweep::is_pending(paths) {
        sweep::finish(store, paths)?;
    }
    let row = store.row(&seen.project, seen.toolchain, false);
    let Ok(record) = row.record.clone() else {
        return Ok(stays("it cannot be used".to_owned()));
    };
    let now = candidate(store, row);
    if (now.last_use, now.successes) != (seen.last_use, seen.successes) {
        return Ok(stays("it was used meanwhile".to_owned()));
    }
    Ok(match sweep::sweep(store, paths, &record, until)? {
        Some(_) => Fate::Gone,
        None => stays("there is nothing of it any more".to_owned()),
    })
}
