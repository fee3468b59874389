//! The inputs of all units, each once, as they are written down after the build.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::found::{Found, Glass, Thing, digest_of};
use super::recorder::{Before, Book, Lookup, Recorder, Who};
use super::{Gap, How, Input, Trace, Traces};
use crate::base::moment::Moment;
use crate::base::tree::Stamp;
use crate::observe::cargo_layout::Unit;
use crate::observe::sources::Where;

impl Recorder {
    /// Whether anybody was seen at all.
    pub(crate) fn has_seen_anybody(&self) -> bool {
        self.book().lookups.keys().any(|who| *who != Who::Shell)
    }

    /// Whether somebody was seen who made a unit.
    pub(crate) fn has_seen(&self, unit: &Unit) -> bool {
        !self.book().makers_of(unit).is_empty()
    }

    /// The traces of the units that were made since `started`.
    pub(crate) fn finish<'u>(
        &self,
        units: impl Iterator<Item = &'u Unit>,
        started: Moment,
    ) -> Traces {
        let book = self.book();
        let mut table = Table::of(&self.place, self);
        let mut traces = BTreeMap::new();
        for unit in units {
            let Some(at) = unit.started.filter(|at| *at >= started && unit.finished.is_some())
            else {
                continue;
            };
            let mut whose = book.makers_of(unit);
            if whose.is_empty() {
                continue;
            }
            whose.push(Who::Anybody);
            table.until = unit.finished.map_or(Moment::MAX, |done| done.at);
            let mut trace = table.trace(&book, &whose, at);
            // What it gave to Cargo every unit got.
            trace.strangers |= book.strangers.contains(&Who::Shell);
            traces.insert(unit.hash.clone(), trace);
        }
        table.until = Moment::MAX;
        let common = table.trace(&book, &[Who::Cargo, Who::Shell], Moment::MIN).inputs;
        Traces { inputs: table.inputs, units: traces, common }
    }
}

impl Book {
    /// As whom a unit was made, if anybody was seen who did.
    fn makers_of(&self, unit: &Unit) -> Vec<Who> {
        let own = Who::Unit(unit.hash.clone());
        if self.lookups.contains_key(&own) {
            return vec![own];
        }
        let crates = unit.crates.iter().cloned().map(Who::Crate);
        crates.filter(|who| self.lookups.contains_key(who)).collect()
    }
}

/// The inputs of all units, each once.
pub(super) struct Table<'a> {
    glass: Glass<'a>,
    recorder: &'a Recorder,
    pub inputs: Vec<Input>,
    /// Where each is, by all but its stamp.
    places: HashMap<Input, u32>,
    /// What is at a path now, with its stamp.
    looked: HashMap<PathBuf, Option<(Stamp, Thing)>>,
    /// When the unit was done: what was written later it did not see.
    until: Moment,
}

impl<'a> Table<'a> {
    pub(super) fn of(place: &'a Where, recorder: &'a Recorder) -> Self {
        Self {
            glass: Glass::plain(place),
            recorder,
            inputs: Vec::new(),
            places: HashMap::new(),
            looked: HashMap::new(),
            until: Moment::MAX,
        }
    }

    pub(super) fn trace(&mut self, book: &Book, whose: &[Who], started: Moment) -> Trace {
        let mut trace = Trace { started, ..Trace::default() };
        let own = Own::of(book, whose);
        for who in whose {
            trace.version = trace.version.or_else(|| book.versions.get(who).cloned());
            trace.git |= book.git.contains(who);
            trace.strangers |= book.strangers.contains(who);
            trace.gaps.extend(book.gaps.get(who).into_iter().flatten());
            let lookups = book.lookups.get(who).into_iter().flatten();
            // In the same order each time, so that the same traces are equal. By text: as paths, `a` and `a/.` are one.
            let mut lookups: Vec<(&Path, &Lookup)> =
                lookups.map(|(number, lookup)| (book.path(*number), lookup)).collect();
            lookups.sort_unstable_by_key(|(path, _)| path.as_os_str());
            for (path, lookup) in lookups {
                if lookup.leads && !lookup.seen.how.names {
                    continue;
                }
                if lookup.real.ancestors().any(|above| own.made.contains(above)) {
                    trace.inputs.extend(self.left(path, lookup));
                    continue;
                }
                if own.wrote.contains(&*lookup.real) && self.changed(path, lookup) {
                    if lookup.seen.read && !matches!(lookup.before, Before::Nothing) {
                        trace.gaps.insert(Gap::ReadAndWrote);
                    }
                    continue;
                }
                let place = self.input(path, lookup, &own);
                trace.inputs.extend(place);
            }
        }
        trace
    }

    /// What a unit looked up.
    fn input(&mut self, path: &Path, lookup: &Lookup, own: &Own<'_>) -> Option<u32> {
        let is_file = matches!(lookup.before, Before::File(_));
        let how = How { names: lookup.seen.how.names && !is_file, ..lookup.seen.how };
        let mut stamp = None;
        let node = match (&lookup.before, &lookup.names) {
            (Before::Nothing, _) => Some(Thing::Absent),
            (Before::Other(_), Some(names)) => {
                Some(Thing::Directory(Some(digest_of(&own.settled(&lookup.real, names)))))
            }
            (Before::Other(thing), None) => Some(thing.clone()),
            (Before::File(before), _) => {
                let now = self.now(path).filter(|(now, _)| now == before);
                let is_later = || self.glass.stamp(path).is_some_and(|now| now.ctime > self.until);
                let known = || self.recorder.known(path, *before).filter(|_| is_later());
                let now = now.or_else(|| Some((*before, known()?)));
                stamp = now.as_ref().and_then(|(now, _)| self.glass.vouch(*now));
                now.map(|(_, thing)| thing)
            }
        };
        let link = if how.link { self.glass.link(path) } else { None };
        let found = node.map(|node| Found { node, link });
        let path = path.as_os_str().as_bytes().to_vec();
        self.place(Input { path, how, found, left: None, stamp })
    }

    /// What a unit made, read and left: the next time it finds that, if nobody took it away. What it only wrote it writes
    /// anew.
    fn left(&mut self, path: &Path, lookup: &Lookup) -> Option<u32> {
        if !lookup.seen.read && !lookup.seen.ran {
            return None;
        }
        let (now, thing) = self.now(path)?;
        let (node, stamp) = match thing {
            Thing::File(..) => (thing, self.glass.vouch(now)),
            Thing::Directory(_) if lookup.names.is_some() => {
                (Thing::Directory(Some(digest_of(&self.glass.names(path).ok()??))), None)
            }
            _ => return None,
        };
        let names = matches!(node, Thing::Directory(_));
        let how = How { names, ..lookup.seen.how };
        let link = if how.link { self.glass.link(path) } else { None };
        let found = Some(Found { node: Thing::Absent, link: None });
        let path = path.as_os_str().as_bytes().to_vec();
        self.place(Input { path, how, found, left: Some(Found { node, link }), stamp })
    }

    /// The place of an input in the table, which may be there already.
    fn place(&mut self, input: Input) -> Option<u32> {
        let next = u32::try_from(self.inputs.len()).ok()?;
        match self.places.entry(Input { stamp: None, ..input.clone() }) {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(place) => {
                self.inputs.push(input);
                Some(*place.insert(next))
            }
        }
    }

    /// Whether a file is another one than when it was looked up first, as far as that can be told.
    fn changed(&self, path: &Path, lookup: &Lookup) -> bool {
        match lookup.before {
            Before::File(before) => self.glass.stamp(path) != Some(before),
            Before::Other(Thing::File(..)) => true,
            // By another name it was there, and the unit took it away to make it anew.
            Before::Nothing => self.glass.stamp(path).is_some(),
            Before::Other(_) => false,
        }
    }

    /// What is at a path now; read once.
    fn now(&mut self, path: &Path) -> Option<(Stamp, Thing)> {
        if let Some(known) = self.looked.get(path) {
            return known.clone();
        }
        let stamp = self.glass.stamp(path);
        let thing = self.glass.look(path).ok();
        let now = stamp.zip(thing).filter(|(stamp, _)| self.glass.stamp(path) == Some(*stamp));
        self.looked.insert(path.to_owned(), now.clone());
        now
    }
}

/// What somebody wrote, by where it is.
struct Own<'b> {
    /// What was not there before, so that it tells nothing of what was there.
    made: HashSet<&'b Path>,
    wrote: HashSet<&'b Path>,
    /// What was there when it looked, by some name.
    there: HashSet<&'b Path>,
}

impl<'b> Own<'b> {
    fn of(book: &'b Book, whose: &[Who]) -> Self {
        let all = whose.iter().filter_map(|who| book.lookups.get(who)).flatten();
        let all: Vec<&Lookup> = all.map(|(_, lookup)| lookup).collect();
        let wrote: Vec<&&Lookup> = all.iter().filter(|lookup| lookup.seen.wrote).collect();
        let is_there = |lookup: &&&Lookup| !matches!(lookup.before, Before::Nothing);
        let made = wrote.iter().filter(|lookup| matches!(lookup.before, Before::Nothing));
        Self {
            made: made.map(|lookup| &*lookup.real).collect(),
            wrote: wrote.iter().map(|lookup| &*lookup.real).collect(),
            there: all.iter().filter(is_there).map(|lookup| &*lookup.real).collect(),
        }
    }

    /// The names that it found in a directory, without those that it made for a while, and with those that it took away
    /// to make them anew.
    fn settled(&self, directory: &Path, names: &[OsString]) -> Vec<OsString> {
        let own = self.wrote.iter().filter(|path| path.parent() == Some(directory));
        let (stay, pass): (Vec<&Path>, Vec<&Path>) =
            own.copied().partition(|path| path.symlink_metadata().is_ok());
        let name = |path: &&Path| path.file_name().unwrap_or_default().to_owned();
        let passing: BTreeSet<OsString> = pass.iter().map(name).collect();
        let remade = stay.iter().filter(|path| self.there.contains(**path)).map(name);
        let mut settled: BTreeSet<OsString> =
            names.iter().filter(|name| !passing.contains(*name)).cloned().collect();
        settled.extend(remade);
        settled.into_iter().collect()
    }
}
