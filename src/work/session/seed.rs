//! A directory that begins with what of the nearest one holds for it (decision 129).
//!
//! Of another identity's directory nothing is believed but what somebody vouches for: what went for today's sources,
//! and what looked at something that is another today, stays behind. Where nothing of the system is another for any
//! unit, the directory is handed over as it is, and nothing is copied.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use super::new_toolchain;
use super::origin::{Origin, Part};
use super::sharing::is_unused;
use crate::decide::reconcile;
use crate::observe::cargo_layout::CargoLocks;
use crate::observe::identity::{Drift, IdentityRecord, Way, differences};
use crate::observe::sources::Where;
use crate::observe::trace::cached_directories;
use crate::output::{Output, Progress, Stopwatch, one_line, seconds};
use crate::store::{BegunWith, EntryPaths, EntryRecord, Lock, Sign, Store};
use crate::work::project::Project;
use crate::work::situation::{self, View};

/// So many bytes a second are copied at least where nothing can be shared: what takes longer to copy than to compile is
/// not taken.
const COPIED: f64 = 200e6;

/// A directory that may be of use, and how its identity differs.
struct Candidate {
    identity: IdentityRecord,
    drift: Drift,
    origin: Origin,
}

/// Where the sources are, and how the compiler sees them.
pub(super) struct Sight<'a> {
    pub sources: &'a Where,
    pub view: &'a View,
}

/// Has a directory in which nothing was built yet, and which is locked, begin with what fits of the nearest one. That
/// nothing could be taken fails no build.
pub(super) fn seed(
    store: &Store,
    project: &Project,
    identity: &IdentityRecord,
    lock: &Lock,
    sight: &Sight<'_>,
    output: Output,
) {
    let paths = store.entry(&project.name, identity.id());
    if project.way != Way::Bind || project.is_throwaway() || !is_unused(&paths) {
        return;
    }
    let started = Instant::now();
    for candidate in candidates(store, project, identity) {
        match candidate.give(store, identity, (&paths, lock), sight, output) {
            Ok(None) => {}
            Ok(Some(begun)) => {
                let (name, from) = (&project.name, begun.from.short());
                let what = match begun.units {
                    None => "all".to_owned(),
                    Some((taken, of)) => format!("{taken} of {of} units"),
                };
                let time = seconds(started.elapsed().as_secs_f64());
                output.note(&format!("{name} begins with {what} of {from}, in {time}"));
                return;
            }
            Err(error) => {
                let (name, from) = (&project.name, candidate.identity.id().short());
                output.warning(&format!(
                    "{name} does not begin with what {from} holds: {}",
                    one_line(&error)
                ));
                return;
            }
        }
    }
}

/// The directories that may be of use, the nearest first.
fn candidates(store: &Store, project: &Project, identity: &IdentityRecord) -> Vec<Candidate> {
    let has_plain_script = project.has_plain_script();
    let of = |id| {
        let theirs = store.identity(&project.name, id)?;
        let drift = theirs.drift_to(identity, has_plain_script)?;
        let origin = Origin { paths: store.entry(&project.name, id) };
        Some(Candidate { identity: theirs, drift, origin })
    };
    let mut all: Vec<Candidate> =
        store.lately(&project.name, identity.id()).into_iter().filter_map(of).collect();
    // The order of use stays among those that are as near.
    all.sort_by_key(|candidate| {
        (candidate.drift.command, differences(&candidate.identity, identity).len())
    });
    all
}

impl Candidate {
    /// Looks what of it would stay, and takes that.
    fn give(
        &self,
        store: &Store,
        identity: &IdentityRecord,
        (to, lock): (&EntryPaths, &Lock),
        sight: &Sight<'_>,
        output: Output,
    ) -> Result<Option<BegunWith>> {
        let paths = &self.origin.paths;
        // Nobody waits for one directory with another in hand.
        let Some(_theirs) = Lock::try_acquire(&paths.lock(), "larder run")? else {
            return Ok(None);
        };
        let (Some(record), false) = (self.origin.record(), Sign::is_shown(&paths.alive())?) else {
            return Ok(None);
        };
        let loaders = || BTreeSet::from([cached_directories(sight.sources)]);
        let may_be_handed_over = self.drift.variables.is_empty() && !is_pinned(paths);
        let may_be_copied = is_worth_copying(&record);
        if (self.drift.system && record.loaders != loaders())
            || !(may_be_handed_over || may_be_copied)
        {
            return Ok(None);
        }
        let Some(_cargo) = CargoLocks::try_hold(&paths.target())? else {
            return Ok(None);
        };
        let _progress = Progress::step(output, "looking at what is kept beside");
        let mut sources = sight.sources.clone();
        // What was unpacked for it is with it, and comes along.
        sources.downloads.relocate(&to.cargo(), &paths.cargo());
        let (succeeded, watch) = (record.last_succeeded(), &mut Stopwatch::default());
        let seen = situation::look(paths, &mut sources, sight.view, succeeded, &self.drift, watch)?;
        let plan = reconcile::plan(&seen.situation());
        let (taken, of) = seen.staying(&plan);
        let Some(manifest) = seen.manifest_without(&plan).filter(|_| taken > 0) else {
            return Ok(None);
        };
        let is_handed_over = seen.holds() && may_be_handed_over;
        if !is_handed_over && !may_be_copied {
            return Ok(None);
        }
        let units = (!is_handed_over).then_some((taken, of));
        let from = self.identity.id();
        let begun = BegunWith { from, units, why: new_toolchain(&self.identity, identity) };
        let begins = EntryRecord { begun: Some(begun.clone()), ..record.begun_from(identity) };
        if is_handed_over {
            store.hand_over(paths, to, (identity, &begins), lock)?;
        } else {
            let part = Part { left_out: plan.paths, manifest };
            self.origin.copy(store, to, (identity, &begins), Some(&part), lock)?;
        }
        Ok(Some(begun))
    }
}

/// Whether to copy all of a directory takes no longer than its cold build took.
fn is_worth_copying(record: &EntryRecord) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let copying = record.size as f64 / COPIED;
    record.cold_seconds.is_none_or(|cold| copying <= cold)
}

fn is_pinned(paths: &EntryPaths) -> bool {
    Path::symlink_metadata(&paths.pin()).is_ok()
}
