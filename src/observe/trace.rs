//! What units looked up outside of the target directory while they were made, and what was there.
//!
//! A [`Trace`] is of one unit and of all processes that it started. Its inputs are paths as the compiler sees
//! them, each with what was found: content, a directory's names, a link's text, or nothing at all. What a unit
//! looked up and did not find decides its bytes as much as what it read: a header that would come first, a
//! configuration that is not there.
//!
//! Who watches is somebody else's business (`host/command`); here is what a trace is, how it is put
//! together ([`Recorder`]), and how it is compared with what is there now.

mod found;
mod links;
mod loader;
mod programs;
mod recorder;
mod table;
#[cfg(test)]
mod tests;
mod trespass;

pub(crate) use self::found::{Found, Glass};
pub(crate) use self::loader::cached_directories;
pub(crate) use self::programs::{is_installed, writes_dates};
pub(crate) use self::recorder::{Recorder, Seen, Who};
pub(crate) use self::trespass::Trespass;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::base::moment::Moment;
use crate::base::tree::Stamp;
use crate::observe::cargo_layout::Unit;

/// What somebody wanted to know of a path.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(crate) struct How {
    /// The names in it, if it is a directory.
    pub names: bool,
    /// Where it leads to, if it is a symlink.
    pub link: bool,
}

/// One path that was looked up, and what was there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Input {
    /// As the compiler sees it; absolute, as bytes.
    pub path: Vec<u8>,
    pub how: How,
    /// What was there; nothing where it changed while the unit was made, so that nobody knows.
    pub found: Option<Found>,
    /// What the unit itself left where nothing was, if it read that: the next time it may find the one or the other.
    pub left: Option<Found>,
    /// The stamp of the file that was found, if it alone can vouch for its content the next time.
    pub stamp: Option<Stamp>,
}

impl Input {
    /// As the compiler sees it.
    pub(crate) fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }

    /// What was there, for people.
    pub(crate) fn in_words(&self) -> String {
        let found = self.found.as_ref();
        found.map_or_else(|| "changed meanwhile".to_owned(), ToString::to_string)
    }
}

/// What one unit looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trace {
    /// Places in [`Traces::inputs`].
    pub inputs: BTreeSet<u32>,
    /// Whether it looked into a `.git`: git's answers count then, in place of the files.
    pub git: bool,
    /// Whether a program ran of which it is not known what it reads besides files: variables, for one.
    pub strangers: bool,
    /// Why the inputs may not be all, if so.
    pub gaps: BTreeSet<Gap>,
    /// The version of the package that it is of, as Cargo said it.
    pub version: Option<String>,
    /// When the unit was started to which this belongs (its `invoked.timestamp`).
    pub started: Moment,
}

/// What a trace cannot see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Gap {
    /// A process whose memory may not be read, or whose calls could not be understood.
    Unreadable,
    /// Files opened without a path: `io_uring`, or by handle.
    WithoutPath,
    /// Something came over the network, or from a service.
    Network,
    /// A program of another architecture, whose calls are not asked about.
    Foreign,
    /// A root of its own that has no name here.
    OtherRoot,
    /// It read and changed a file that was there before.
    ReadAndWrote,
    /// A path of more directories than are followed.
    Deep,
}

impl Gap {
    /// For people.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Unreadable => "a process could not be looked into",
            Self::WithoutPath => "files were opened without a path",
            Self::Network => "something came over the network",
            Self::Foreign => "a program of another architecture ran",
            Self::OtherRoot => "a process had a root of its own",
            Self::ReadAndWrote => "a file was read and changed",
            Self::Deep => "a path had too many directories",
        }
    }
}

/// The traces of all units of a target directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Traces {
    /// Everything that any of them looked up, once.
    pub inputs: Vec<Input>,
    /// By the unit's hash.
    pub units: BTreeMap<String, Trace>,
    /// What Cargo itself was configured by, and the scripts that the command ran, which counts for all units.
    pub common: BTreeSet<u32>,
}

/// What of the traces is not as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stale {
    /// By the unit's hash, what it looked up and is another now.
    pub units: BTreeMap<String, BTreeSet<PathBuf>>,
    /// The same of what counts for all.
    pub common: BTreeSet<PathBuf>,
}

impl Traces {
    /// Whether of a finished unit everything is known that it looked up.
    pub(crate) fn observe(&self, unit: &Unit) -> bool {
        unit.finished.is_some() && self.of(unit).is_some_and(|trace| trace.gaps.is_empty())
    }

    /// The trace of a unit, as far as it is one of what is there.
    pub(crate) fn of(&self, unit: &Unit) -> Option<&Trace> {
        self.units.get(&unit.hash).filter(|trace| unit.started == Some(trace.started))
    }

    /// Whether a unit may be of this version of its package: where it is not known, it may.
    pub(crate) fn may_be_of(&self, unit: &Unit, version: &str) -> bool {
        let known = self.of(unit).and_then(|trace| trace.version.as_deref());
        known.is_none_or(|known| known == version)
    }

    /// What a trace of these has.
    pub(crate) fn inputs_of<'a>(&'a self, trace: &'a Trace) -> impl Iterator<Item = &'a Input> {
        trace.inputs.iter().filter_map(|index| self.inputs.get(*index as usize))
    }

    /// What counts for all units: by what Cargo was configured, and which scripts the command was.
    pub(crate) fn common_inputs(&self) -> impl Iterator<Item = &Input> {
        self.common.iter().filter_map(|index| self.inputs.get(*index as usize))
    }

    /// Looks at all inputs again. `git_changed` says whether git would answer anything differently.
    pub(crate) fn stale(&self, glass: &Glass<'_>, git_changed: bool) -> Stale {
        let changed = self.chosen(|input| !glass.is_same(input));
        let mut units = self.with(&changed);
        if git_changed {
            let asked = self.units.iter().filter(|(_, trace)| trace.git);
            for (hash, _) in asked {
                units.entry(hash.clone()).or_default().insert(PathBuf::from(".git"));
            }
        }
        let common = self.common.intersection(&changed).map(|index| self.path(*index).to_owned());
        Stale { units, common: common.collect() }
    }

    /// By the unit's hash, which of some files, which are here, it looked up.
    pub(crate) fn lookers(
        &self,
        glass: &Glass<'_>,
        files: &BTreeSet<PathBuf>,
    ) -> BTreeMap<String, BTreeSet<PathBuf>> {
        if files.is_empty() {
            return BTreeMap::new();
        }
        self.with(&self.chosen(|input| glass.is_one_of(input.path(), files)))
    }

    fn chosen(&self, is: impl Fn(&Input) -> bool + Sync) -> BTreeSet<u32> {
        let all = self.inputs.par_iter().enumerate().filter(|(_, input)| is(input));
        all.filter_map(|(index, _)| u32::try_from(index).ok()).collect()
    }

    /// The units that looked up some of these inputs, and which.
    fn with(&self, chosen: &BTreeSet<u32>) -> BTreeMap<String, BTreeSet<PathBuf>> {
        let units = self.units.iter().filter_map(|(hash, trace)| {
            let paths: BTreeSet<PathBuf> = trace
                .inputs
                .intersection(chosen)
                .map(|index| self.path(*index).to_owned())
                .collect();
            (!paths.is_empty()).then(|| (hash.clone(), paths))
        });
        units.collect()
    }

    /// Takes the traces of a use in: of units that were made by it, and what is left of the others.
    /// `alive` has the hash of each unit that is there, and when it was started.
    pub(crate) fn after(&self, new: &Self, alive: &BTreeMap<String, Option<Moment>>) -> Self {
        let mut all = Self::default();
        let mut places: HashMap<Input, u32> = HashMap::new();
        let mut take = |from: &Self, indices: &BTreeSet<u32>, into: &mut Self| -> BTreeSet<u32> {
            let mut taken = BTreeSet::new();
            for index in indices {
                let input = &from.inputs[*index as usize];
                let place = places.entry(Input { stamp: None, ..input.clone() });
                taken.insert(*place.or_insert_with(|| {
                    into.inputs.push(input.clone());
                    u32::try_from(into.inputs.len() - 1).unwrap_or(u32::MAX)
                }));
            }
            taken
        };
        for (hash, started) in alive {
            let is_of = |trace: &&Trace| Some(trace.started) == *started;
            let mine = new.units.get(hash).map(|trace| (new, trace));
            let kept = self.units.get(hash).filter(is_of).map(|trace| (self, trace));
            let Some((from, trace)) = mine.or(kept) else { continue };
            let inputs = take(from, &trace.inputs, &mut all);
            all.units.insert(hash.clone(), Trace { inputs, ..trace.clone() });
        }
        // Units of before were made with what configured Cargo then.
        let are_older = all.units.keys().any(|hash| !new.units.contains_key(hash));
        let mut common = take(new, &new.common, &mut all);
        if are_older || new.common.is_empty() {
            common.extend(take(self, &self.common, &mut all));
        }
        all.common = common;
        all
    }

    /// Makes them traces that were seen on another machine: no stamp of it vouches for any content here.
    pub(crate) fn unsettle(&mut self) {
        self.inputs.iter_mut().for_each(|input| input.stamp = None);
    }

    fn path(&self, index: u32) -> &Path {
        self.inputs[index as usize].path()
    }
}
