//! What may stay inside a target directory: pure, from what was observed to what must go and why.
//!
//! The rule is *normalise and delete*. Cargo's own tests see modification times; whatever they
//! cannot see is made visible by deleting the units that could depend on it:
//!
//! 1. the checkout, git or a path dependency changed, the last attempt failed, or what it wrote
//!    into the sources is not there: every unit of every local package, or, after a success, of those
//!    that the change can have reached (see [`crate::observe::affected`]);
//! 2. the content of a package from outside changed: its units;
//! 3. an absolute input changed: the units that named it;
//! 4. a variable changed that directories do not depend on: the units whose programs, or files that
//!    they may run, name it;
//! 5. `SOURCE_DATE_EPOCH` changed: units that may have been made with it;
//! 6. a file is not what the last close left: its unit; and units of which it knew nothing, alone;
//! 7. an extra, a file that is not Cargo's, stays while nothing goes that may have made it.
//!
//! With a package go all that depend on it, by `Cargo.lock`. Cargo would rebuild them anyway, but
//! would run their build scripts into an `OUT_DIR` that is not empty (decision 5).
//!
//! Always removed: uplifted files, so that what is there afterwards is what this build made (decision 6);
//! `incremental/`, because an incremental compilation's bytes depend on its history (decision 3); an `OUT_DIR`
//! without a finished run, and files of no unit.

mod damage;
mod extras;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::base::tree::Change;
use crate::observe::cargo_layout::{Layout, Version};
use crate::observe::sources::{Lockfile, SourceChanges};

/// The names that a reason lists before it counts.
const NAMED: usize = 3;

/// What is known when a directory is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation<'a> {
    /// What is in the target directory.
    pub layout: &'a Layout,
    /// Today's `Cargo.lock`.
    pub lock: Option<&'a Lockfile>,
    /// What is otherwise than the last attempt found or left it.
    pub difference: &'a Difference,
    /// Whom that can have reached.
    pub suspects: &'a Suspects,
}

/// What is otherwise than the last attempt found or left it.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// How the sources differ from those of the last attempt; `None` if nothing tells.
    pub changes: Option<SourceChanges>,
    /// How the directory differs from what the last close left; `None` if nothing tells.
    pub damage: Option<Vec<Change>>,
    /// Whether the last attempt's command succeeded.
    pub succeeded: bool,
    /// What the last build wrote into its sources, and what is not there as it wrote it.
    pub unmade: Vec<PathBuf>,
    /// Extras that were not pulled with the rest, and the packages that may have made them.
    pub unsent: BTreeMap<PathBuf, BTreeSet<String>>,
    /// Packages of which the last build changed an artifact in place after Cargo finished it.
    pub tampered: BTreeSet<String>,
}

/// Whom a difference can have reached. Units are numbered by their place in [`Layout::units`].
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    /// The local packages, of the last attempt's sources and of today's.
    pub local: BTreeSet<String>,
    /// Those of them of which it is not known of each unit what it looked up.
    pub blind: BTreeSet<String>,
    /// Those of them that changes of the checkout or of git can have reached; `None` for all.
    pub affected: Option<BTreeSet<String>>,
    /// Packages from outside that name something of the checkout, or of its repository, that changed.
    pub outsiders: BTreeSet<String>,
    /// Packages from outside whose content differs or was not known, and of which units may be there.
    pub repacked: BTreeSet<String>,
    /// Units that Cargo compares with something newer, changed or gone of which nothing else is known, and with
    /// what.
    pub outdated: BTreeMap<usize, PathBuf>,
    /// Whether Cargo would make some documentation anew.
    pub docs_are_outdated: bool,
    /// Units that name an input that changed.
    pub readers: BTreeSet<usize>,
    /// Units that looked up something that is not what they found then.
    pub lookers: BTreeSet<usize>,
    /// What that is, but for changes of the checkout, which are told of already.
    pub looked_up: BTreeSet<PathBuf>,
    /// Units of which nobody knows whether they would be the same under the identity that they are to serve now.
    pub strange: BTreeSet<usize>,
    /// What else Cargo is configured by now.
    pub configured: BTreeSet<PathBuf>,
    /// Units that may have read a variable that changed: their programs name it, or a file that they may run.
    pub callers: BTreeSet<usize>,
    /// The names of these variables.
    pub named: BTreeSet<String>,
    /// Units that may have been made with `SOURCE_DATE_EPOCH`, where that changed.
    pub dated: BTreeSet<usize>,
    /// What is beside Cargo's files, and the packages that may have made it; none for what the command itself made.
    pub extras: BTreeMap<PathBuf, BTreeSet<String>>,
}

/// What must go, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removals {
    /// The directory cannot be used at all: begin anew.
    pub everything: bool,
    /// Packages all of whose units go.
    pub packages: BTreeSet<String>,
    /// Paths to be removed, relative to the target directory.
    pub paths: BTreeSet<PathBuf>,
    /// The reasons, in words that stay the same; empty when nothing changed.
    pub why: Vec<String>,
}

/// Decides what may stay.
pub(crate) fn plan(situation: &Situation<'_>) -> Removals {
    let Difference { changes, damage, .. } = situation.difference;
    let (Some(changes), Some(damage)) = (changes, damage) else {
        return Removals::everything("no record tells what the directory was made from");
    };
    let mut doomed = Doomed::default();
    situation.judge_sources(changes, &mut doomed);
    let loose = situation.judge_damage(damage, &mut doomed);
    if situation.layout.version == Version::Unknown && !doomed.why.is_empty() {
        let mut plan = Removals::everything("the directory has a layout that larder does not know");
        plan.why.splice(0..0, doomed.reasons());
        return plan;
    }
    let mut paths = situation.always();
    paths.extend(situation.judge_extras(changes, &mut doomed));
    paths.extend(loose.paths);
    let packages = &doomed.packages;
    if !packages.is_empty() || loose.docs || situation.suspects.docs_are_outdated {
        paths.extend(situation.docs());
    }
    let units = situation.layout.units().filter(|unit| packages.contains(&unit.package));
    paths.extend(units.flat_map(|unit| unit.paths.iter().cloned()));
    let packages = doomed.packages.clone();
    Removals { everything: false, packages, paths, why: doomed.reasons() }
}

/// Decides what may stay where Cargo's own judgement is enough: all that is recorded (decision 27). The reasons
/// tell what Cargo has to judge.
pub(crate) fn lenient(situation: &Situation<'_>) -> Removals {
    let plan = plan(situation);
    if plan.everything { plan } else { Removals { why: plan.why, ..Removals::default() } }
}

#[derive(Default)]
struct Doomed {
    packages: BTreeSet<String>,
    /// The reasons, and how many packages each takes.
    why: Vec<(usize, String)>,
}

impl Doomed {
    fn add(&mut self, packages: impl IntoIterator<Item = String>, why: impl AsRef<str>) {
        let packages: BTreeSet<String> = packages.into_iter().collect();
        // A reason is one line, whatever names are in it.
        self.why.push((packages.len(), why.as_ref().replace('\n', "\u{fffd}")));
        self.packages.extend(packages);
    }

    /// The reasons; what took most comes first, since lists of uses show one line.
    fn reasons(mut self) -> Vec<String> {
        self.why.sort_by_key(|(packages, _)| std::cmp::Reverse(*packages));
        self.why.into_iter().map(|(_, why)| why).collect()
    }
}

impl Removals {
    fn everything(why: &str) -> Self {
        Self { everything: true, why: vec![why.to_owned()], ..Self::default() }
    }
}

impl Situation<'_> {
    fn judge_sources(&self, changes: &SourceChanges, doomed: &mut Doomed) {
        let local = || self.suspects.local.iter().cloned();
        let blind = || self.suspects.blind.iter().cloned();
        let reached = || {
            let Suspects { local, affected, outsiders, .. } = self.suspects;
            affected.as_ref().unwrap_or(local).iter().chain(outsiders).cloned()
        };
        if !changes.checkout.is_empty() {
            let names = changes.checkout.iter().map(|change| change.path.display().to_string());
            doomed.add(reached(), format!("checkout changed: {}", some_of(names)));
        }
        if !changes.dated.is_empty() {
            let names = changes.dated.iter().map(|path| path.display().to_string());
            doomed.add(reached(), format!("times that somebody set changed: {}", some_of(names)));
        }
        let (heads, rest): (Vec<&String>, Vec<&String>) =
            changes.git.iter().partition(|what| what.contains("HEAD is "));
        for what in heads {
            doomed.add(reached(), format!("git changed: {what}"));
        }
        if !rest.is_empty() {
            doomed.add(reached(), format!("git changed: {}", some_of(rest.into_iter().cloned())));
        }
        for place in &changes.outside {
            doomed.add(local(), format!("path dependency changed: {}", place.display()));
        }
        if !self.difference.unmade.is_empty() {
            let names = self.difference.unmade.iter().map(|path| path.display().to_string());
            let why = "written into the sources by the last build, and gone";
            doomed.add(local(), format!("{why}: {}", some_of(names)));
        }
        if !self.difference.succeeded && !self.suspects.blind.is_empty() {
            doomed.add(blind(), "the attempt before this one did not succeed");
        }
        if !self.suspects.repacked.is_empty() {
            let names = self.suspects.repacked.iter().cloned();
            let why = format!("sources of packages changed: {}", some_of(names.clone()));
            doomed.add(names, why);
        }
        self.judge_inputs(changes, doomed);
        if !self.suspects.strange.is_empty() {
            let strange = self.packages_of(&self.suspects.strange);
            doomed.add(
                strange,
                "nobody knows whether they would be the same for another command or toolchain",
            );
        }
        if !self.suspects.callers.is_empty() {
            let names = self.suspects.named.iter().cloned();
            doomed.add(
                self.packages_of(&self.suspects.callers),
                format!("environment changed: {}", some_of(names)),
            );
        }
        self.judge_outdated(doomed);
        if changes.source_date_epoch {
            let dated = self.packages_of(&self.suspects.dated);
            doomed.add(dated, "SOURCE_DATE_EPOCH changed");
        }
    }

    /// What units named as their inputs, and what they were seen to look up.
    fn judge_inputs(&self, changes: &SourceChanges, doomed: &mut Doomed) {
        let Suspects { readers, lookers, looked_up, configured, .. } = self.suspects;
        let mut names: BTreeSet<&PathBuf> = looked_up.iter().collect();
        if !readers.is_empty() {
            names.extend(&changes.inputs);
        }
        let packages = self.packages_of(&readers.union(lookers).copied().collect());
        if names.is_empty() {
            doomed.packages.extend(packages);
        } else {
            let names = names.iter().map(|path| path.display().to_string());
            doomed.add(packages, format!("inputs changed: {}", some_of(names)));
        }
        if !configured.is_empty() {
            let all = self.layout.units().map(|unit| unit.package.clone());
            let names = configured.iter().map(|path| path.display().to_string());
            doomed.add(all, format!("the build is configured otherwise: {}", some_of(names)));
        }
    }

    /// What Cargo would make anew goes, so that it does not find what it left there the last time.
    fn judge_outdated(&self, doomed: &mut Doomed) {
        let units = self.layout.units().enumerate();
        let outdated =
            units.filter_map(|(index, unit)| Some((unit, self.suspects.outdated.get(&index)?)));
        let others = outdated.filter(|(unit, _)| !doomed.packages.contains(&unit.package));
        let (packages, paths): (BTreeSet<String>, BTreeSet<&PathBuf>) =
            others.map(|(unit, path)| (unit.package.clone(), path)).unzip();
        if !packages.is_empty() {
            let names = paths.iter().map(|path| path.display().to_string());
            doomed.add(
                packages,
                format!("newer than what was made from it, or gone: {}", some_of(names)),
            );
        }
    }

    fn with_dependents(&self, packages: BTreeSet<String>) -> BTreeSet<String> {
        let Some(lock) = self.lock else {
            let all = self.layout.units().map(|unit| unit.package.clone());
            return if packages.is_empty() {
                packages
            } else {
                all.chain(packages.clone()).collect()
            };
        };
        let ids = lock.packages.iter().filter(|package| packages.contains(&package.name));
        let closure =
            lock.dependents_closure(&ids.map(crate::observe::sources::Package::id).collect());
        let names = lock.packages.iter().filter(|package| closure.contains(&package.id()));
        packages.into_iter().chain(names.map(|package| package.name.clone())).collect()
    }

    fn always(&self) -> BTreeSet<PathBuf> {
        let mut paths = BTreeSet::new();
        for profile in &self.layout.profiles {
            let uplifted =
                profile.uplifted.iter().filter(|path| !self.suspects.extras.contains_key(*path));
            paths.extend(uplifted.cloned());
            paths.extend(profile.incremental.iter().cloned());
            paths.extend(profile.orphan_out_dirs.iter().cloned());
            paths.extend(profile.strays.iter().cloned());
        }
        paths
    }

    fn packages_of(&self, units: &BTreeSet<usize>) -> BTreeSet<String> {
        let all = self.layout.units().enumerate();
        let chosen = all.filter(|(index, _)| units.contains(index));
        chosen.map(|(_, unit)| unit.package.clone()).collect()
    }
}

/// The first of some names, and how many there are besides.
pub(crate) fn some_of(names: impl IntoIterator<Item = String>) -> String {
    let names: Vec<String> = names.into_iter().collect();
    let shown = names[..names.len().min(NAMED)].join(", ");
    match names.len() - names.len().min(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
