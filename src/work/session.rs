//! One use of a target directory: opened, reconciled, attached, used, closed.

mod cold;
mod copies;
mod copy;
mod downloads;
mod links;
mod opening;
mod origin;
mod seed;
pub(crate) mod sharing;
mod start;
mod supervised;
mod unkept;
mod waiting;
mod watching;

pub(crate) use self::cold::Cold;
use self::copies::Beside;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};

use crate::base::moment::Moment;
use crate::base::{atomic, tree};
use crate::decide::reconcile::{self, Removals};
use crate::host::attach::Mounts;
use crate::host::command::{CommandError, Ended};
use crate::host::home::Home;
use crate::host::link;
use crate::observe::cargo_layout::{CargoLocks, Layout};
use crate::observe::identity::{Drift, IdentityRecord, Way, compare, differences};
use crate::observe::sources::{Lockfile, Where};
use crate::observe::trace::{Recorder, cached_directories};
use crate::output::{Output, Progress, Stopwatch};
use crate::store::evict::Trash;
use crate::store::history::{self, Event};
use crate::store::{
    BegunWith, Claim, Closed, Guard, OpenEntry, Outcome, Store, restore_times, rewrite, unshare,
};
use crate::work::caches::{CacheFindings, Caches};
use crate::work::situation::{self, Aftermath, Begun, Refresh, Seen, View};

/// Reasons for a new directory that are recorded; of the rest only the number.
const REASONS: usize = 8;

/// So many files may be read again at every use before the manifest is written anew for nothing
/// but their stamps: linking an artifact to where users take it changes its change time.
const FEW_STAMPS: usize = 16;

/// How a use came out.
pub(crate) struct Done {
    /// The command's own end.
    pub ended: Result<Ended, CommandError>,
    /// Whether it could be recorded.
    pub closed: Result<()>,
    /// Whether it made a directory and then failed before it built anything.
    pub is_for_nothing: bool,
}

/// How the command ran.
struct Ran {
    outcome: Outcome,
    seconds: f64,
    started: Moment,
    /// What was seen of it.
    recorder: Option<Arc<Recorder>>,
    /// Where it failed before it started a unit, and all is as it was: whether the use before succeeded.
    untouched: Option<bool>,
}

/// One command on one locked target directory.
pub(crate) struct Session<'a> {
    store: &'a Store,
    output: Output,
    entry: OpenEntry,
    held: Held<'a>,
    checkout: Checkout,
    caches: Caches,
    /// Why the directory was set aside that was there before, if so.
    broken: Option<String>,
    /// What cold builds have copies of, outside of the sources.
    beside: Vec<Beside>,
    /// Whether what the command left is not kept.
    is_given_up: bool,
}

/// What is locked besides the directory itself.
struct Held<'a> {
    _claim: Claim,
    _guard: &'a Guard,
    _downloads: Option<Guard>,
    /// Cargo's own locks, until the command needs them.
    cargo: Option<CargoLocks>,
}

/// The sources, and what is attached there.
struct Checkout {
    /// The name `target` in the sources, as seen from here, if Cargo's directory is attached.
    target: Option<PathBuf>,
    way: Way,
    /// The directory that is claimed: the one above `target`.
    place: PathBuf,
    /// Cargo's home, if that is attached.
    home: Option<Home>,
    sources: Where,
    view: View,
}

impl Session<'_> {
    /// Runs the command with the directory attached, and records what came of it. Fails only
    /// before the command; what happens from then on is in the outcome.
    pub(crate) fn carry_out(&mut self, words: &[OsString], watch: &mut Stopwatch) -> Result<Done> {
        let started = Moment::now();
        let led_to = self.checkout.target.as_deref().and_then(link::leads_to);
        // What was removed meanwhile leads nowhere any more.
        let led_to = led_to.filter(|dir| dir.is_dir());
        let mut trash = Trash::new(self.store);
        let (begun, found) = match self.reconcile(&mut trash, watch) {
            Err(error) if self.is_of_kept(&error) => {
                self.set_aside(&error)?;
                trash = Trash::new(self.store);
                self.reconcile(&mut trash, watch)?
            }
            other => other?,
        };
        self.bring_archives(&begun);
        let mut mounts = self.attach(&self.entry.paths().target())?;
        self.caches.attach(&mut mounts)?;
        watch.step("attach");
        self.held.cargo = None;
        let recorder = self.recorder(&begun);
        let ended = self.supervise(words, mounts, recorder.clone())?;
        watch.step("command");
        let (code, seconds) = match &ended {
            Ok(ended) => (ended.code, ended.duration.as_secs_f64()),
            Err(error) => (error.code().into(), 0.0),
        };
        let outcome = if code == 0 { Outcome::Succeeded } else { Outcome::Failed(code) };
        let untouched = self.undo(outcome, &begun, started, &mut trash);
        let ran = Ran { outcome, seconds, started, recorder, untouched };
        let closed = match self.close(&ran, &begun, &found, led_to.as_deref()) {
            Err(error) if self.is_of_kept(&error) => {
                self.give_up(&ran, &error, led_to.as_deref()).map(|()| false)
            }
            other => other,
        };
        watch.step("close");
        let is_for_nothing = closed.as_ref().is_ok_and(|is_for_nothing| *is_for_nothing);
        Ok(Done { ended, closed: closed.map(drop), is_for_nothing })
    }

    /// Decides what may stay, records that, and carries it out, durably, before the compiler (decision 15).
    fn reconcile(
        &mut self,
        trash: &mut Trash<'_>,
        watch: &mut Stopwatch,
    ) -> Result<(Begun, CacheFindings)> {
        let _progress = Progress::step(self.output, "looking at the sources and what is kept");
        let succeeded = self.entry.record().last_succeeded();
        self.clear_misplaced(trash)?;
        let mut seen = situation::look(
            self.entry.paths(),
            &mut self.checkout.sources,
            &self.checkout.view,
            succeeded,
            &Drift::default(),
            watch,
        )?;
        self.renew_downloads(&mut seen, trash)?;
        let plan = if self.entry.is_new() {
            Removals::default()
        } else if self.entry.identity().is_exact() {
            reconcile::plan(&seen.situation())
        } else {
            reconcile::lenient(&seen.situation())
        };
        let found = self.caches.look(&self.checkout.sources, &seen)?;
        watch.step("caches");
        let (cold, why) = self.reasons(&seen, &plan, &found);
        if plan.everything {
            self.entry.remake(self.store)?;
        }
        // Decision 15: the start of the use, then what goes, then the new state, each durable.
        self.entry.begin(cold, why, seen.remade(&plan, &self.checkout.sources))?;
        self.remove(&seen, &plan, trash)?;
        self.caches.prepare(self.store, &found)?;
        let refresh = self.refresh(&seen, &plan)?;
        if !seen.state_is_recorded || plan.everything {
            atomic::write_binary(&self.entry.paths().state(), &seen.state)?;
        }
        let begun = seen.begin(&plan, &refresh)?;
        watch.step("reconcile");
        Ok((begun, found))
    }

    fn reasons(&self, seen: &Seen, plan: &Removals, found: &CacheFindings) -> (bool, Vec<String>) {
        if !self.entry.is_new() {
            let is_cold = plan.everything || (seen.is_empty() && found.is_cold);
            let begun = self.entry.record().begun.iter().filter(|_| self.entry.record().uses == 0);
            let begun = begun.flat_map(BegunWith::in_words);
            let why = begun.chain(plan.why.iter().chain(&found.why).cloned()).collect();
            return (is_cold, why);
        }
        if let Some(broken) = &self.broken {
            return (true, vec![format!("set aside: {broken}")]);
        }
        let record = self.entry.record();
        let identity = self.entry.identity();
        let why = match self.store.nearest_sibling(&record.project, identity) {
            Some((_, sibling)) => new_toolchain(&sibling, identity),
            None => vec!["first build of this project".to_owned()],
        };
        (true, why)
    }

    fn remove(&self, seen: &Seen, plan: &Removals, trash: &mut Trash<'_>) -> Result<()> {
        if plan.everything {
            return Ok(());
        }
        let target = &self.entry.paths().target();
        for path in &plan.paths {
            trash.take(&target.join(path))?;
        }
        let stays = |(path, _): &(PathBuf, _)| target.join(path).symlink_metadata().is_ok();
        let times: Vec<_> = seen.drifted().into_iter().filter(stays).collect();
        Ok(restore_times(target, &times)?)
    }

    /// Has Cargo find fresh what is, whatever the times of the sources are (decision 75); says which times it set.
    fn refresh(&self, seen: &Seen, plan: &Removals) -> Result<Refresh> {
        if plan.everything {
            return Ok(Refresh::default());
        }
        let target = &self.entry.paths().target();
        let refresh = seen.refresh(plan, &self.checkout.sources, &self.checkout.view)?;
        // What is written from now on has to be newer than all of these times.
        if let Some(newest) = refresh.times.iter().map(|(_, time)| *time).max() {
            tree::wait_until_past(newest);
        }
        let mut trash = Trash::new(self.store);
        for note in &refresh.notes {
            trash.take(&target.join(note))?;
        }
        rewrite(target, &refresh.rewrites)?;
        restore_times(target, &refresh.times)?;
        Ok(refresh)
    }

    fn attach(&self, kept: &Path) -> Result<Mounts> {
        let mut mounts = Mounts::default();
        match (&self.checkout.target, self.checkout.way) {
            (Some(target), Way::Symlink) => link::make_whole_link(target, kept)?,
            (Some(target), Way::Bind) => {
                link::make_mount_point(target)?;
                mounts.bind(kept, target)?;
            }
            (None, _) => {}
        }
        if self.checkout.way == Way::Bind {
            self.checkout.home.iter().try_for_each(|home| home.attach(&mut mounts))?;
        }
        Ok(mounts)
    }

    /// Records what the command left, and leaves the way to it behind, or where the command built nothing,
    /// the way of before. Says whether all of it was for nothing.
    fn close(
        &mut self,
        ran: &Ran,
        begun: &Begun,
        found: &CacheFindings,
        led_to: Option<&Path>,
    ) -> Result<bool> {
        let Ran { outcome, seconds, started, untouched, .. } = *ran;
        let _progress = Progress::step(self.output, "recording what the command left");
        if let Some(path) = begun.hidden(&self.checkout.sources)? {
            bail!(
                "{} changed while the command ran, and the sources have times in the future, so that cargo \
                 may not have seen it; give them times that are past, or run it again",
                path.display()
            );
        }
        let paths = self.entry.paths().clone();
        let layout = Layout::scan(&paths.target())?;
        let after = self.look_after(&layout, ran, begun)?;
        if untouched.is_none() {
            let lock = self.learn(begun, &after, started)?;
            self.share_archives(lock.as_ref());
        }
        let before = begun.manifest.as_ref();
        let outdated = before.and_then(|before| after.manifest.outdated_in(before));
        let changed = outdated.is_none();
        let mut fresh = if changed { after.manifest.fresh_since(before) } else { Vec::new() };
        if begun.restamped || outdated.is_none_or(|outdated| outdated > FEW_STAMPS) {
            atomic::write_binary(&paths.manifest(), &after.manifest)?;
        }
        let left = self.caches.close(found, &self.checkout.sources, begun)?;
        fresh.extend(left.fresh);
        let changed = changed || left.changed;
        let to_measure = changed || !self.entry.is_measured() || begun.had_leftovers;
        let held = || situation::held(&paths.dir, &layout, &after.manifest.needed);
        let measured = to_measure.then(held);
        let compiled = after.compiled;
        let built_nothing = outcome != Outcome::Succeeded && compiled == 0;
        let way = self.leave_links(led_to.filter(|_| built_nothing), &layout);
        if changed {
            self.entry.note_loader(cached_directories(&self.checkout.sources));
        }
        self.entry.close(Closed { outcome, seconds, compiled, untouched }, measured, &fresh)?;
        if let Some(used) = history::UseEvent::of(self.entry.record()) {
            history::remember(self.store, Event::Use(used), self.output);
        }
        if self.checkout.home.as_ref().is_some_and(|home| home.kept().is_some()) {
            self.store.measure_downloads(false)?;
        }
        self.say_elsewhere(outcome, &after);
        way.map(|()| built_nothing && self.entry.is_new() && self.caches.is_empty())
    }

    /// Cargo may have built, and not here.
    fn say_elsewhere(&self, outcome: Outcome, after: &Aftermath) {
        let target = self.checkout.target.as_deref().filter(|_| !after.has_units);
        if let (Outcome::Succeeded, Some(target)) = (outcome, target) {
            self.output.note(&format!(
                "the command built nothing with cargo in {}, so nothing of it is kept; name the workspace's top with --source, or set CARGO_TARGET_DIR before larder where it builds elsewhere",
                target.display()
            ));
        }
    }

    /// Looks at what the command left, once what users take has inodes of its own.
    fn look_after(&self, layout: &Layout, ran: &Ran, begun: &Begun) -> Result<Aftermath> {
        let Checkout { sources, view, .. } = &self.checkout;
        let uplifted = situation::uplifted(layout);
        let number = self.entry.record().successes + 1;
        let number = (ran.outcome == Outcome::Succeeded).then_some(number);
        let needed = situation::needed(layout, begun, ran.started, number)?;
        for path in &uplifted.shared {
            unshare(path, &self.entry.paths().dir)?;
        }
        let results = sources.built.results.as_deref();
        rewrite(&layout.target, &situation::dep_infos_for_users(layout, results))?;
        let extras = &uplifted.extras;
        let recorder = ran.recorder.as_deref();
        // Where the kernel refuses to ask, or the command has others compile, nobody is seen.
        let witness = recorder.filter(|recorder| recorder.has_seen_anybody());
        let started = ran.started;
        let mut after =
            situation::look_after(layout, extras, begun, view, sources, started, witness)?;
        after.manifest.needed = needed;
        let recorder = recorder.filter(|_| ran.untouched.is_none());
        after.manifest.traces = situation::traces(layout, begun, recorder, ran.started);
        for trespass in recorder.iter().flat_map(|recorder| recorder.trespasses(layout)) {
            self.warn_of(&trespass);
            after.manifest.tampered.insert(trespass.package);
        }
        Ok(after)
    }

    /// Whether what the command leaves is thrown away.
    pub(crate) fn is_throwaway(&self) -> bool {
        self.entry.identity().is_throwaway()
    }

    /// Takes back a directory in which nothing was built (decision 80), or that is of this use alone.
    pub(crate) fn discard(self) -> Result<()> {
        Ok(self.entry.discard(self.store)?)
    }

    /// Takes in what the build brought by itself; returns the lock file as it is now.
    fn learn(
        &mut self,
        begun: &Begun,
        after: &Aftermath,
        started: Moment,
    ) -> Result<Option<Lockfile>> {
        let path = &self.entry.paths().state();
        let mut state = begun.state.clone();
        if situation::learn(
            &mut state,
            &mut self.checkout.sources,
            &self.checkout.view,
            after,
            started,
        )? {
            atomic::write_binary(path, &state)?;
        }
        Ok(state.lock)
    }
}

fn new_toolchain(old: &IdentityRecord, new: &IdentityRecord) -> Vec<String> {
    let lines = compare::lines(&differences(old, new), REASONS);
    lines.into_iter().map(|line| format!("new toolchain: {line}")).collect()
}
