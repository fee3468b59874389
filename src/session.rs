//! One use of a target directory: opened, reconciled, attached, used, closed.

mod waiting;

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::waiting::wait_for_cargo;
use crate::attach::Mounts;
use crate::cargo_layout::{CargoLocks, Layout};
use crate::command::{self, CommandError, Ended};
use crate::evict::Trash;
use crate::home::{self, Home};
use crate::identity::{Answer, Identity, Way, compare, differences};
use crate::link;
use crate::output::{Output, Stopwatch};
use crate::project::Project;
use crate::reconcile::{self, Plan};
use crate::situation::{self, Findings, View};
use crate::sources::{self, Where};
use crate::store::{
    Claim, Closed, Guard, OpenEntry, Outcome, Store, Wait, atomic, restore_times, unshare,
};
use crate::sweep;
use crate::tree;
use crate::verify::Verdict;

/// Reasons for a new directory that are recorded; of the rest only the number.
const REASONS: usize = 8;

/// So many files may be read again at every use before the manifest is written anew for nothing
/// but their stamps: linking an artifact to where users take it changes its change time.
const FEW_STAMPS: usize = 16;

/// How a use came out.
pub struct Done {
    /// The command's own end.
    pub ended: Result<Ended, CommandError>,
    /// Whether it could be recorded.
    pub closed: Result<()>,
}

/// A build in an empty directory.
pub struct Cold {
    /// Where it is.
    pub dir: PathBuf,
    /// The command's exit code.
    pub code: i32,
}

/// One command on one locked target directory.
pub struct Use<'a> {
    store: &'a Store,
    output: Output,
    entry: OpenEntry,
    claim: Claim,
    guard: &'a Guard,
    downloads: Option<Guard>,
    /// Cargo's own locks, until the command needs them.
    cargo: Option<CargoLocks>,
    /// The name `target` in the sources, as seen from here.
    target: PathBuf,
    way: Way,
    home: Home,
    sources: Where,
    view: View,
    broken: Option<String>,
    wait: Wait,
}

impl<'a> Use<'a> {
    /// Locks and opens the directory that the answer asks for.
    pub fn open(
        store: &'a Store,
        guard: &'a Guard,
        project: &Project,
        answer: Answer,
        output: Output,
    ) -> Result<Self> {
        let Answer { identity, surroundings } = answer;
        if let Some((dir, by)) = surroundings.build_dir {
            bail!(
                "{by} sends what cargo builds to {}, where larder cannot vouch for it; unset it",
                dir.display()
            );
        }
        let outside = |path: &Path| project.place.outside(path, &project.source);
        let target = outside(&surroundings.target);
        link::check(&target)?;
        let home = Home::new(store, outside(&surroundings.cargo_home), project.way);
        let sources = Where {
            source: project.source.clone(),
            target: target.clone(),
            registry: home.registry(),
            git: home.git(),
            shared: home.is_shared(),
            root: project.place.root().to_owned(),
            vendor: surroundings.vendor.iter().map(|path| outside(path)).collect(),
            extra_roots: surroundings.extra_roots.iter().map(|path| outside(path)).collect(),
            source_date_epoch: surroundings.source_date_epoch,
            variables: surroundings.variables,
            home: surroundings.home,
            ..Where::default()
        };
        let source = project.place.inside(&project.source);
        let downloads = ["registry", "git"].map(|name| surroundings.cargo_home.join(name));
        let known = [source.clone(), surroundings.target].into_iter().chain(downloads).collect();
        let view = View { source, known };
        let lock = project.lock(store, identity.id(), output)?;
        let claim = project.claim(&target, output)?;
        link::check(&target)?;
        end_sweep(store, project, &identity, output)?;
        let (entry, broken) = OpenEntry::open(store, &project.name, identity, lock)?;
        if let Some(reason) = &broken {
            output.note(&format!(
                "the kept directory of {} was set aside, because {reason}; building cold",
                project.name
            ));
        }
        let (way, wait) = (project.way, project.settings.wait);
        let cargo = Some(wait_for_cargo(&entry.paths().target, wait, output)?);
        let downloads = home.is_shared().then(|| store.hold_downloads()).transpose()?;
        Ok(Self {
            store,
            output,
            entry,
            claim,
            guard,
            downloads,
            cargo,
            target,
            way,
            home,
            sources,
            view,
            broken,
            wait,
        })
    }

    /// What the command inherits, so that nobody takes from it what it uses, even if larder is killed.
    fn locks(&self) -> Vec<BorrowedFd<'_>> {
        let own = [self.entry.lock().as_fd(), self.claim.as_fd(), self.guard.as_fd()];
        own.into_iter().chain(self.downloads.as_ref().map(AsFd::as_fd)).collect()
    }

    /// Runs the command with the directory attached, and records what came of it. Fails only
    /// before the command; what happens from then on is in the outcome.
    pub fn carry_out(&mut self, words: &[OsString], watch: &mut Stopwatch) -> Result<Done> {
        let started = tree::now();
        let findings = self.reconcile(watch)?;
        let mounts = self.attach(&self.entry.paths().target)?;
        watch.step("attach");
        self.cargo = None;
        let ended = command::run(words, mounts, &self.locks());
        watch.step("command");
        let (code, seconds) = match &ended {
            Ok(ended) => (ended.code, ended.duration.as_secs_f64()),
            Err(error) => (error.code().into(), 0.0),
        };
        let outcome = if code == 0 { Outcome::Succeeded } else { Outcome::Failed(code) };
        let closed = self.close(outcome, seconds, &findings, started);
        watch.step("close");
        Ok(Done { ended, closed })
    }

    /// Decides what may stay, records that, and carries it out, durably, before the compiler.
    fn reconcile(&mut self, watch: &mut Stopwatch) -> Result<Findings> {
        let succeeded = self.entry.record().last_succeeded();
        let mut findings =
            situation::look(self.entry.paths(), &mut self.sources, &self.view, succeeded, watch)?;
        self.renew_downloads(&mut findings)?;
        for error in &findings.normalised.failed {
            self.output.detail(&error.to_string());
        }
        let plan = if self.entry.is_new() {
            Plan::default()
        } else if self.entry.identity().is_exact() {
            reconcile::plan(&findings.situation())
        } else {
            reconcile::lenient(&findings.situation())
        };
        let (cold, why) = self.reasons(&findings, &plan);
        if plan.everything {
            self.entry.remake(self.store)?;
        }
        self.entry.begin(cold, why)?;
        self.remove(&findings, &plan)?;
        if !self.entry.identity().is_exact() {
            for error in sources::renew(&self.sources.source, &findings.changed_files()) {
                self.output.warning(&error.to_string());
            }
        }
        if !findings.state_is_recorded || plan.everything {
            atomic::write_binary(&self.entry.paths().state, &findings.state)?;
            findings.state_is_recorded = true;
        }
        if plan.everything {
            findings.forget_directory();
        }
        findings.begin_watch(&plan)?;
        watch.step("reconcile");
        Ok(findings)
    }

    /// Whether the policy wants this use to be verified.
    pub fn is_due(&self, every: u64) -> bool {
        every > 0 && self.entry.identity().is_exact() && self.entry.record().uses % every == 0
    }

    /// The target directory as it was left.
    pub fn kept(&self) -> PathBuf {
        self.entry.paths().target.clone()
    }

    /// Runs the command with an empty directory in place of the kept one.
    pub fn build_cold(&self, words: &[OsString], number: u32) -> Result<Cold> {
        let dir = self.entry.paths().cold(number);
        let mut trash = Trash::new(self.store);
        trash.take(&dir)?;
        crate::fault::point("session.make");
        std::fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let mounts = self.attach(&dir)?;
        let ended = command::run(words, mounts, &self.locks())?;
        Ok(Cold { dir, code: ended.code })
    }

    /// Records what the cold builds told, and removes them; a stale directory goes with them.
    pub fn end_cold(&mut self, verdict: Verdict) -> Result<()> {
        let mut trash = Trash::new(self.store);
        for number in [1, 2] {
            trash.take(&self.entry.paths().cold(number))?;
        }
        if verdict == Verdict::Stale {
            self.entry.remake(self.store)?;
        }
        link::make_link(&self.target, &self.entry.paths().target)?;
        Ok(self.entry.verified(verdict)?)
    }

    /// Takes from the shared downloads what is not as it was downloaded, so that Cargo unpacks or
    /// fetches it again, as it would in a cold build.
    fn renew_downloads(&self, findings: &mut Findings) -> Result<()> {
        if !self.home.is_shared() {
            return Ok(());
        }
        let home = self.store.cargo_home();
        let mut spoilt = findings.state.packages.spoilt();
        for name in &spoilt {
            findings.state.packages.forget(name);
        }
        for path in &mut spoilt {
            *path = home.join(&path);
        }
        if let Some(lock) = &findings.state.lock {
            if findings.state.packages.lacks_some() || !spoilt.is_empty() {
                spoilt.extend(home::false_archives(&self.home.registry(), lock)?);
            }
        }
        if spoilt.is_empty() {
            return Ok(());
        }
        findings.state_is_recorded = false;
        let lock = self.home.lock();
        let busy = || {
            let lock = lock.display();
            self.output.note(&format!("waiting for {lock}: other builds use the downloads"));
        };
        let _alone = Claim::acquire(&lock, self.wait, busy)?;
        let mut trash = Trash::new(self.store);
        for path in &spoilt {
            self.output.detail(&format!("not as it was downloaded: {}", path.display()));
            trash.take(path)?;
        }
        Ok(())
    }

    fn reasons(&self, findings: &Findings, plan: &Plan) -> (bool, Vec<String>) {
        if !self.entry.is_new() {
            return (plan.everything || findings.is_empty(), plan.why.clone());
        }
        if let Some(broken) = &self.broken {
            return (true, vec![format!("set aside: {broken}")]);
        }
        let record = self.entry.record();
        let why = match self.store.latest_sibling(&record.project, record.toolchain) {
            Some(sibling) => new_toolchain(&sibling, self.entry.identity()),
            None => vec!["first build of this project".to_owned()],
        };
        (true, why)
    }

    fn remove(&self, findings: &Findings, plan: &Plan) -> Result<()> {
        if plan.everything {
            return Ok(());
        }
        let target = &self.entry.paths().target;
        let mut trash = Trash::new(self.store);
        for path in &plan.paths {
            trash.take(&target.join(path))?;
        }
        let stays = |(path, _): &&(PathBuf, _)| target.join(path).symlink_metadata().is_ok();
        let times: Vec<_> = findings.times.iter().filter(stays).cloned().collect();
        Ok(restore_times(target, &times)?)
    }

    fn attach(&self, kept: &Path) -> Result<Mounts> {
        let mut mounts = Mounts::default();
        match self.way {
            Way::Symlink => link::make_link(&self.target, kept)?,
            Way::Bind => {
                link::make_mount_point(&self.target)?;
                mounts.bind(kept, &self.target)?;
                self.home.attach(&mut mounts)?;
            }
        }
        Ok(mounts)
    }

    /// Records what the command left, and leaves the symlink behind.
    fn close(
        &mut self,
        outcome: Outcome,
        seconds: f64,
        findings: &Findings,
        started: tree::Nanoseconds,
    ) -> Result<()> {
        let paths = self.entry.paths().clone();
        let layout = Layout::scan(&paths.target)?;
        let uplifted = situation::uplifted(&layout);
        let number = self.entry.record().successes + 1;
        let number = (outcome == Outcome::Succeeded).then_some(number);
        let needed = situation::needed(&layout, findings, started, number)?;
        for path in &uplifted.shared {
            unshare(path, &paths.dir)?;
        }
        let mut after = situation::look_after(
            &layout,
            &uplifted.extras,
            findings,
            &self.view,
            &self.sources,
            started,
        )?;
        after.manifest.needed = needed;
        self.learn(findings, &after, started)?;
        let before = findings.manifest.as_ref();
        let outdated = before.and_then(|before| after.manifest.outdated_in(before));
        let changed = outdated.is_none();
        let fresh = if changed { after.manifest.fresh_since(before) } else { Vec::new() };
        if outdated.is_none_or(|outdated| outdated > FEW_STAMPS) {
            atomic::write_binary(&paths.manifest, &after.manifest)?;
        }
        let to_measure = changed || !self.entry.is_measured() || findings.had_leftovers;
        let held = || situation::held(&paths.dir, &layout, &after.manifest.needed);
        let measured = to_measure.then(held);
        link::make_link(&self.target, &paths.target)?;
        let compiled = after.compiled;
        self.entry.close(Closed { outcome, seconds, compiled }, measured, &fresh)?;
        if self.home.is_shared() {
            self.store.measure_downloads(false)?;
        }
        if outcome == Outcome::Succeeded && !after.has_units {
            self.output.note("the command built nothing with cargo in this target directory");
        }
        Ok(())
    }

    fn learn(
        &mut self,
        findings: &Findings,
        after: &situation::Aftermath,
        started: tree::Nanoseconds,
    ) -> Result<()> {
        let path = &self.entry.paths().state;
        let mut state = findings.state.clone();
        if situation::learn(&mut state, &mut self.sources, &self.view, after, started)? {
            atomic::write_binary(path, &state)?;
        }
        Ok(())
    }
}

/// Ends a sweep that was cut off: only then is the directory what its records say.
fn end_sweep(store: &Store, project: &Project, identity: &Identity, output: Output) -> Result<()> {
    let kept = store.entry(&project.name, identity.id());
    if sweep::is_pending(&kept) {
        let _cargo = wait_for_cargo(&kept.target, project.settings.wait, output)?;
        sweep::finish(store, &kept)?;
    }
    Ok(())
}

fn new_toolchain(old: &Identity, new: &Identity) -> Vec<String> {
    let lines = compare::lines(&differences(old, new), REASONS);
    lines.into_iter().map(|line| format!("new toolchain: {line}")).collect()
}
