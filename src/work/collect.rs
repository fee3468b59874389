//! Collection: looks at a store, has the policy decide, and carries out what it decided.
//!
//! Looking takes one small read for each target directory and no lock. Whatever is to go is looked
//! at once more under its lock, which is never waited for: who came first keeps it.

pub(crate) mod rescan;
pub(crate) mod tidy;
mod units;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::base::names::{ProjectName, ToolchainId};
use crate::base::quantity::Usage;
use crate::decide::policy::{
    self, Candidate, Disk, Headroom, Plan, Policy, Step, StoreView, Unmet, What,
};
use crate::observe::cargo_layout::{CargoLocks, LayoutError};
use crate::store::evict::{self, EvictError, Trash};
use crate::store::history::{Collection, Collector, Gone};
use crate::store::{EntryPaths, EntryRecord, Lock, LockError, Row, Store, StoreError};
use crate::work::sweep::SweepError;

/// Who holds a lock while what it covers is collected.
const COLLECTOR: &str = "larder gc";

/// Why a directory cannot be used that was to be thrown away.
const DISCARDED: &str = "it is of a use with --discard";

/// A collection that could not be decided, or a step of it that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A lock could not be tried.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Something could not be removed.
    #[error(transparent)]
    Evict(#[from] EvictError),
    /// Units could not be swept.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// A target directory could not be looked into.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The filesystem could not be asked.
    #[error("cannot find out what is free at {}", path.display())]
    Disk {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub(crate) enum Fate {
    /// It is gone from where builds look, and lies in the trash.
    Gone,
    /// It stays: somebody came first.
    Stays { because: String },
    /// It stays: it could not be removed.
    Failed { error: String },
}

/// A step of a plan, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Taken {
    #[serde(flatten)]
    pub step: Step,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What became of the steps of a plan, for the store's history. Nothing if `larder run` had nothing to do.
pub(crate) fn event(by: Collector, taken: &[Taken], unmet: &[Unmet]) -> Option<Collection> {
    let gone = taken.iter().filter(|taken| taken.fate == Fate::Gone).map(|taken| &taken.step);
    Collection::new(
        by,
        gone.map(gone_of).collect(),
        unmet.iter().map(ToString::to_string).collect(),
    )
}

fn gone_of(step: &Step) -> Gone {
    let project = match &step.what {
        What::Directory { project, .. } | What::Units { project, .. } => Some(project.clone()),
        What::Trash { .. } | What::Downloads => None,
    };
    let (what, why) = (step.what.to_string(), step.why.to_string());
    Gone { project, what, why, bytes: step.frees.bytes }
}

/// Looks at a store: its records, its trash and its downloads.
pub(crate) fn observe(store: &Store) -> Result<StoreView, CollectError> {
    let candidates = store.map_all_rows(|row| candidate(store, row))?;
    let (trashed, trash) = evict::in_trash(store);
    Ok(StoreView {
        candidates,
        trash,
        trashed,
        downloads: store.downloads(),
        downloads_in_use: false,
    })
}

fn candidate(store: &Store, row: Row) -> Candidate {
    // What is closed may be in use all the same; whatever is to go is asked for that once more.
    let is_open =
        |record: &EntryRecord| record.last.as_ref().is_some_and(|last| last.closed.is_none());
    let in_use = row.record.as_ref().is_ok_and(is_open) && row.in_use_by(store).is_some();
    let (broken, record) = match row.record {
        // Of a use that was cut off; whoever is about to remove it has its lock.
        Ok(record) if record.throwaway => (Some(DISCARDED.to_owned()), Some(record)),
        Ok(record) => (None, Some(record)),
        Err(problem) => (Some(problem), None),
    };
    let last_use = record.as_ref().map_or(UNIX_EPOCH, EntryRecord::last_use);
    let usage = record.as_ref().map(EntryRecord::usage).unwrap_or_default();
    let successes = record.as_ref().map_or(0, |record| record.successes);
    let unused = record.map(|record| record.unused).unwrap_or_default();
    Candidate {
        project: row.project,
        toolchain: row.toolchain,
        broken,
        usage,
        last_use,
        successes,
        unused,
        in_use,
        pinned: row.pinned,
    }
}

/// The filesystem that a store is on.
pub(crate) fn disk(store: &Store) -> Result<Disk, CollectError> {
    let path = store.root();
    let stat = rustix::fs::statvfs(path)
        .map_err(|error| CollectError::Disk { path: path.to_owned(), source: error.into() })?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(Disk {
        total: Usage { bytes: bytes(stat.f_blocks), inodes: stat.f_files },
        free: Usage { bytes: bytes(stat.f_bavail), inodes: stat.f_favail },
    })
}

/// Decides what goes. What the policy would take is looked at for somebody who uses it, until it takes
/// nothing of that kind.
pub(crate) fn decide(
    store: &Store,
    observed: &mut StoreView,
    policy: &Policy,
    headroom: Headroom,
    now: SystemTime,
) -> Result<Plan, CollectError> {
    let disk = disk(store)?;
    loop {
        let plan = policy::plan(observed, policy, &disk, headroom, now);
        if !mark_in_use(store, observed, &plan)? {
            return Ok(plan);
        }
    }
}

/// The budgets that do not hold as things are.
pub(crate) fn unmet(
    store: &Store,
    observed: &StoreView,
    policy: &Policy,
    now: SystemTime,
) -> Result<Vec<Unmet>, CollectError> {
    let disk = disk(store)?;
    Ok(policy::plan(&observed.held(), policy, &disk, Headroom::Exact, now).unmet)
}

/// Marks what is in use of what a plan would take; says whether there was any.
fn mark_in_use(store: &Store, observed: &mut StoreView, plan: &Plan) -> Result<bool, CollectError> {
    let mut wanted: BTreeSet<(&ProjectName, ToolchainId)> = BTreeSet::new();
    let mut downloads = false;
    for step in &plan.steps {
        match &step.what {
            What::Directory { project, toolchain } | What::Units { project, toolchain, .. } => {
                wanted.insert((project, *toolchain));
            }
            What::Downloads => downloads = true,
            What::Trash { .. } => {}
        }
    }
    let mut found = false;
    for candidate in &mut observed.candidates {
        if wanted.contains(&(&candidate.project, candidate.toolchain))
            && is_in_use(store, &candidate.project, candidate.toolchain)?
        {
            candidate.in_use = true;
            found = true;
        }
    }
    if downloads && store.try_downloads()?.is_none() {
        observed.downloads_in_use = true;
        found = true;
    }
    Ok(found)
}

fn is_in_use(
    store: &Store,
    project: &ProjectName,
    toolchain: ToolchainId,
) -> Result<bool, CollectError> {
    let paths = store.entry(project, toolchain);
    Ok(Lock::holder(&paths.lock()).is_some() || CargoLocks::try_hold(&paths.target())?.is_none())
}

/// Who works in a directory although no larder does, in words: a Cargo that larder did not start, or what is left of a
/// command.
pub(crate) fn used_by_others(store: &Store) -> Result<Option<String>, CollectError> {
    if let Some((project, id)) = store.first_alive()? {
        return Ok(Some(format!(
            "the command of an earlier use still runs in {project} {}",
            id.short()
        )));
    }
    for row in store.all_rows()? {
        let paths = store.entry(&row.project, row.toolchain);
        if CargoLocks::try_hold(&paths.target())?.is_none() {
            let (project, id) = (row.project, row.toolchain.short());
            return Ok(Some(format!("a cargo that larder did not start builds in {project} {id}")));
        }
    }
    Ok(None)
}

/// Carries a plan out, but for the trash, which is left to whoever has time: what a plan takes is
/// renamed there, and costs nobody anything.
pub(crate) fn carry_out(store: &Store, observed: &StoreView, plan: &Plan) -> Vec<Taken> {
    let mut trash = Trash::new(store);
    let steps = plan.steps.iter().filter(|step| !matches!(step.what, What::Trash { .. }));
    steps
        .map(|step| {
            let fate = take(store, observed, step, &mut trash).unwrap_or_else(|error| {
                Fate::Failed { error: crate::output::one_line(&error.into()) }
            });
            Taken { step: step.clone(), fate }
        })
        .collect()
}

fn take(
    store: &Store,
    observed: &StoreView,
    step: &Step,
    trash: &mut Trash<'_>,
) -> Result<Fate, CollectError> {
    let seen = |project: &ProjectName, toolchain: ToolchainId| {
        let mut seen = observed.candidates.iter();
        seen.find(|seen| seen.project == *project && seen.toolchain == toolchain)
    };
    match &step.what {
        What::Directory { project, toolchain } => {
            take_directory(store, project, *toolchain, seen(project, *toolchain), trash)
        }
        What::Units { project, toolchain, until } => match seen(project, *toolchain) {
            Some(seen) => units::take_units(store, &store.entry(project, *toolchain), seen, *until),
            None => Ok(stays("nobody looked at it".to_owned())),
        },
        What::Downloads => take_downloads(store, trash),
        What::Trash { .. } => Ok(Fate::Gone),
    }
}

/// Moves a whole directory into the trash if nobody uses it, and if it is still what was `seen` when
/// that was decided.
pub(crate) fn take_directory(
    store: &Store,
    project: &ProjectName,
    toolchain: ToolchainId,
    seen: Option<&Candidate>,
    trash: &mut Trash<'_>,
) -> Result<Fate, CollectError> {
    let paths = store.entry(project, toolchain);
    let Some(lock) = Lock::try_acquire(&paths.lock(), COLLECTOR)? else {
        if !paths.dir.exists() {
            return Ok(Fate::Gone);
        }
        return Ok(in_use(&paths));
    };
    let _cargo = match let_go(&paths)? {
        Ok(cargo) => cargo,
        Err(stays) => return Ok(stays),
    };
    if let Some(seen) = seen {
        let now = candidate(store, store.row(project, toolchain, false));
        if now.last_use != seen.last_use || now.broken.is_some() != seen.broken.is_some() {
            return Ok(stays("it was used meanwhile".to_owned()));
        }
    }
    trash.take(&paths.dir)?;
    evict::remove_lock(store, &paths.lock(), lock)?;
    Ok(Fate::Gone)
}

/// What becomes of a directory whose lock somebody else has.
fn in_use(paths: &EntryPaths) -> Fate {
    let holder = Lock::holder(&paths.lock()).unwrap_or_else(|| "another process".to_owned());
    stays(format!("in use by {holder}"))
}

/// Cargo's own locks of a directory whose lock is held, or why nothing of it may go.
fn let_go(paths: &EntryPaths) -> Result<Result<CargoLocks, Fate>, CollectError> {
    let Some(cargo) = CargoLocks::try_hold(&paths.target())? else {
        return Ok(Err(stays("a cargo that larder did not start builds in it".to_owned())));
    };
    if paths.pin().exists() {
        return Ok(Err(stays("it was pinned meanwhile".to_owned())));
    }
    Ok(Ok(cargo))
}

fn stays(because: String) -> Fate {
    Fate::Stays { because }
}

/// Moves the shared downloads into the trash if no build uses them, and no Cargo.
fn take_downloads(store: &Store, trash: &mut Trash<'_>) -> Result<Fate, CollectError> {
    let Some(_alone) = store.try_downloads()? else {
        return Ok(stays("builds use them".to_owned()));
    };
    let home = store.cargo_home();
    for cache in ["registry", "git"] {
        trash.take(&home.join(cache))?;
    }
    Ok(Fate::Gone)
}
