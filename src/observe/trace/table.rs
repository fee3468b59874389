//! The inputs of all units, each once, as they are written down after the build.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::found::{Found, Glass, Thing};
use super::programs::{StartsBy, starts_by};
use super::recorder::{Before, Book, Lookup, Recorder, Seen, Who};
use super::{Gap, How, Input, Trace, Traces};
use crate::base::moment::Moment;
use crate::base::tree::Stamp;
use crate::observe::cargo_layout::Unit;
use crate::observe::sources::Where;

/// Interpreters of interpreters, as many as the kernel follows (`fs/exec.c`).
const INTERPRETERS: usize = 5;

impl Recorder {
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
            let own = Who::Unit(unit.hash.clone());
            let mut whose: Vec<Who> = vec![own.clone()];
            if !book.lookups.contains_key(&own) {
                whose.extend(unit.crates.iter().cloned().map(Who::Crate));
            }
            if !whose.iter().any(|who| book.lookups.contains_key(who)) {
                continue;
            }
            whose.push(Who::Anybody);
            traces.insert(unit.hash.clone(), table.trace(&book, &whose, at));
        }
        let common = table.trace(&book, &[Who::Cargo], Moment::MIN).inputs;
        Traces { inputs: table.inputs, units: traces, common }
    }
}

/// The inputs of all units, each once.
pub(super) struct Table<'a> {
    glass: Glass<'a>,
    recorder: &'a Recorder,
    pub inputs: Vec<Input>,
    places: HashMap<(Vec<u8>, How, Option<Found>), u32>,
    /// What is at a path now, with its stamp.
    looked: HashMap<PathBuf, Option<(Stamp, Thing)>>,
}

impl<'a> Table<'a> {
    pub(super) fn of(place: &'a Where, recorder: &'a Recorder) -> Self {
        Self {
            glass: Glass::plain(place),
            recorder,
            inputs: Vec::new(),
            places: HashMap::new(),
            looked: HashMap::new(),
        }
    }

    pub(super) fn trace(&mut self, book: &Book, whose: &[Who], started: Moment) -> Trace {
        let mut trace = Trace { started, ..Trace::default() };
        let own = Own::of(book, whose);
        for who in whose {
            trace.version = trace.version.or_else(|| book.versions.get(who).cloned());
            trace.git |= book.git.contains(who);
            trace.gaps.extend(book.gaps.get(who).into_iter().flatten());
            let lookups = book.lookups.get(who).into_iter().flatten();
            let lookups = lookups.map(|(number, lookup)| (book.path(*number), lookup));
            // In the same order each time, so that the same traces are equal.
            let lookups: BTreeMap<&Path, &Lookup> = lookups.collect();
            for (path, lookup) in lookups {
                if lookup.real.ancestors().any(|above| own.made.contains(above)) {
                    continue;
                }
                if own.wrote.contains(&*lookup.real) {
                    if lookup.seen.read && self.changed(path, lookup) {
                        trace.gaps.insert(Gap::ReadAndWrote);
                    }
                    continue;
                }
                let place = self.input(path, lookup);
                trace.inputs.extend(place);
                if lookup.seen.ran {
                    self.interpreters(path, &mut trace);
                }
            }
        }
        trace
    }

    /// The place of an input in the table.
    fn input(&mut self, path: &Path, lookup: &Lookup) -> Option<u32> {
        let how = lookup.seen.how;
        let mut stamp = None;
        let node = match (&lookup.before, &lookup.names) {
            (Before::Nothing, _) => Some(Thing::Absent),
            (Before::Other(_), Some(names)) => Some(names.clone()),
            (Before::Other(thing), None) => Some(thing.clone()),
            (Before::File(before), _) => {
                let now = self.now(path).filter(|(now, _)| now == before);
                let now = now.or_else(|| Some((*before, self.recorder.known(path, *before)?)));
                stamp = now.as_ref().and_then(|(now, _)| self.glass.vouch(*now));
                now.map(|(_, thing)| thing)
            }
        };
        let link = if how.link { self.glass.link(path) } else { None };
        let found = node.map(|node| Found { node, link });
        let bytes = path.as_os_str().as_bytes().to_vec();
        let next = u32::try_from(self.inputs.len()).ok()?;
        match self.places.entry((bytes.clone(), how, found.clone())) {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(place) => {
                self.inputs.push(Input { path: bytes, how, found, stamp });
                Some(*place.insert(next))
            }
        }
    }

    /// Whether a file is another one than when it was looked up first.
    fn changed(&self, path: &Path, lookup: &Lookup) -> bool {
        let Before::File(before) = lookup.before else { return false };
        self.glass.stamp(path) != Some(before)
    }

    /// What is at a path now; read once.
    fn now(&mut self, path: &Path) -> Option<(Stamp, Thing)> {
        if let Some(known) = self.looked.get(path) {
            return known.clone();
        }
        let stamp = self.glass.stamp(path);
        let thing = self.glass.look(path, How::default()).ok().map(|found| found.node);
        let now = stamp.zip(thing);
        self.looked.insert(path.to_owned(), now.clone());
        now
    }

    /// What the kernel opens by itself when it starts a program: the interpreter of a script, the loader of an
    /// executable (execve(2)).
    fn interpreters(&mut self, program: &Path, trace: &mut Trace) {
        let mut program = program.to_owned();
        for _ in 0..INTERPRETERS {
            let next = match starts_by(&self.glass.real(&program)) {
                StartsBy::Itself => return,
                StartsBy::Foreign => {
                    trace.gaps.insert(Gap::Foreign);
                    return;
                }
                StartsBy::Another(next) => next,
            };
            if self.recorder.passes_over(&next) {
                return;
            }
            let before = self.glass.stamp(&next).map_or(Before::Nothing, Before::File);
            let real = self.glass.place_of(&next);
            let lookup = Lookup { seen: Seen::default(), before, names: None, real };
            let place = self.input(&next, &lookup);
            trace.inputs.extend(place);
            program = next;
        }
    }
}

/// What somebody wrote, by where it is.
struct Own<'b> {
    /// What was not there before, so that it tells nothing of what was there.
    made: HashSet<&'b Path>,
    wrote: HashSet<&'b Path>,
}

impl<'b> Own<'b> {
    fn of(book: &'b Book, whose: &[Who]) -> Self {
        let all = whose.iter().filter_map(|who| book.lookups.get(who)).flatten();
        let wrote: Vec<&Lookup> =
            all.map(|(_, lookup)| lookup).filter(|lookup| lookup.seen.wrote).collect();
        let made = wrote.iter().filter(|lookup| matches!(lookup.before, Before::Nothing));
        Self {
            made: made.map(|lookup| &*lookup.real).collect(),
            wrote: wrote.iter().map(|lookup| &*lookup.real).collect(),
        }
    }
}
