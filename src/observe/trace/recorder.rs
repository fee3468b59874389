//! Puts traces together while a command runs, from what several threads come by.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::found::{EXECUTABLE, Glass, Thing};
use super::programs::{Kind, StartsBy, is_acquainted, is_installed, kind_of, starts_by};
use super::{Gap, How};
use crate::base::moment::Moment;
use crate::base::tree::{Node, Stamp, Tree};
use crate::observe::cargo_layout::is_build_script;
use crate::observe::sources::{Where, plain};

/// What is nobody's input: the kernel's own files; and what is looked at otherwise: where the loader finds which library is
/// a part of the identity, and its cache another one with each package.
const APART: [&str; 4] = ["/proc", "/sys", "/dev", "/etc/ld.so.cache"];

/// Interpreters of interpreters, as many as the kernel follows (`fs/exec.c`).
const INTERPRETERS: usize = 5;

/// A path of more directories is not followed: each of them may be a link, and is asked for.
const DEEPEST: usize = 256;

/// Files of anybody's among the devices.
const SHARED_MEMORY: &str = "/dev/shm";

/// For whom something was looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// The unit with that hash.
    Unit(String),
    /// The unit of that crate, whose files have no hash in their names.
    Crate(String),
    /// Cargo.
    Cargo,
    /// A shell that the command starts for no unit.
    Shell,
    /// Nobody knows: it counts for all units that are made.
    Anybody,
}

/// What somebody did with a path.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is added to the others when a path is seen again"
)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub how: How,
    /// It was opened to be read.
    pub read: bool,
    /// It was made, emptied, replaced or opened to be written.
    pub wrote: bool,
    /// It was executed.
    pub ran: bool,
    /// Its stamp is about to become another, and its content is not.
    pub linked: bool,
}

/// What was there when a path was looked up for the first time by somebody.
#[derive(Clone, Debug)]
pub(super) enum Before {
    Nothing,
    File(Stamp),
    Other(Thing),
}

#[derive(Clone, Debug)]
pub(super) struct Lookup {
    pub seen: Seen,
    pub before: Before,
    /// The names in it, if it was a directory and somebody asked for them.
    pub names: Option<Vec<OsString>>,
    /// Where it is without links and dots on the way, as seen from here: by that it is the same.
    pub real: PathBuf,
    /// It only leads to what is looked at otherwise, and may be made for that alone: Cargo's home, for one.
    pub leads: bool,
}

/// Everything that was taken down.
#[derive(Default)]
pub(super) struct Book {
    paths: HashMap<Box<[u8]>, u32>,
    by_number: Vec<Box<[u8]>>,
    pub lookups: HashMap<Who, HashMap<u32, Lookup>>,
    pub git: HashSet<Who>,
    /// Who started a program of which it is not known what it reads besides files, or read variables as a file.
    pub strangers: HashSet<Who>,
    pub gaps: HashMap<Who, BTreeSet<Gap>>,
    /// Of which version of its package somebody is.
    pub versions: HashMap<Who, String>,
    /// Files that may be somebody else's: whose, and who wrote them, by their hashes.
    pub trespasses: BTreeMap<PathBuf, (String, String)>,
}

/// Takes down who looked up what.
pub(crate) struct Recorder {
    pub(super) place: Where,
    /// Where units are made, as the compiler sees it.
    pub(super) target: PathBuf,
    /// What is not looked at here, as the compiler sees it.
    passed_over: Vec<PathBuf>,
    /// Where git's answers stand for the files, as the compiler sees it.
    git: Vec<PathBuf>,
    /// The checkout before the command.
    checkout: Tree,
    began: Moment,
    book: Mutex<Book>,
}

impl Recorder {
    /// For a build at a place; `known` are directories whose content is known otherwise, and `git` those of
    /// repositories whose state is, as the compiler sees them.
    pub(crate) fn new(place: &Where, known: &[PathBuf], git: Vec<PathBuf>, checkout: Tree) -> Self {
        let built = [Some(&place.built.target), place.built.results.as_ref()];
        let built = built.into_iter().flatten().map(|path| place.seen_by_compiler(path));
        let passed_over = APART.iter().map(PathBuf::from).chain(built).chain(known.iter().cloned());
        let passed_over = passed_over.collect();
        let (target, place) = (place.seen_by_compiler(&place.built.target), place.clone());
        let (began, book) = (Moment::now(), Mutex::default());
        Self { place, target, passed_over, git, checkout, began, book }
    }

    /// What the compiler has as `/`, as seen from here.
    pub(crate) fn root(&self) -> &Path {
        &self.place.root
    }

    /// How the compiler sees a path of here.
    pub(crate) fn seen_by_compiler(&self, here: Vec<u8>) -> Vec<u8> {
        let here = PathBuf::from(OsString::from_vec(here));
        self.place.seen_by_compiler(&here).into_os_string().into_vec()
    }

    /// Whether a path of the compiler's is in one of the directories that are looked at otherwise.
    pub(crate) fn is_known_otherwise(&self, path: &[u8]) -> bool {
        let text = Path::new(OsStr::from_bytes(path));
        let real = Glass::plain(&self.place).place_of(text);
        self.passes_over(&plain(text)) || self.passes_over(&self.place.seen_by_compiler(&real))
    }

    /// Takes down that somebody looked up an absolute path of the compiler's.
    pub(crate) fn saw(&self, who: &Who, path: &[u8], seen: Seen) {
        if seen.wrote {
            self.note_trespass(who, path);
        }
        if self.is_known(who, path, seen) {
            return;
        }
        if memchr::memchr_iter(b'/', path).count() > DEEPEST {
            return self.missed(who, Gap::Deep);
        }
        let text = Path::new(OsStr::from_bytes(path));
        let flat = plain(text);
        if *who == Who::Cargo && !is_configuration(&flat) {
            return;
        }
        let glass = Glass::plain(&self.place);
        let real = glass.place_of(text);
        if seen.ran {
            self.started(who, text, &glass);
            self.links_to(who, text, &glass);
        }
        let place = self.place.seen_by_compiler(&real);
        if *who == Who::Shell && !self.is_of_script(&place, &real, seen, &glass) {
            return;
        }
        let is_here = || [&flat, &place].iter().any(|path| path.starts_with(&self.target));
        let is_own = || real.file_name().is_some_and(is_build_script) && is_here();
        // What is made here is not seen from here, because it is mounted for the command alone.
        let is_stranger = || is_here() || !is_acquainted(&place, &real);
        if is_environment(path) || (seen.ran && !is_own() && is_stranger()) {
            self.book().strangers.insert(who.clone());
        }
        if self.passes_over(&flat) || self.passes_over(&place) {
            return;
        }
        if self.is_gits(&flat) {
            self.book().git.insert(who.clone());
            return;
        }
        let looked = look(text, seen, &glass);
        let Ok((before, names)) = looked else { return self.missed(who, Gap::Unreadable) };
        let is_directory = matches!(before, Before::Other(Thing::Directory(_)));
        let leads = is_directory && self.leads_to_others(&flat) && glass.link(text).is_none();
        self.book().add(who, path, Lookup { seen, before, names, real, leads });
        if is_directory && !seen.how.link {
            self.links_on(who, text, &glass);
        }
    }

    /// What the kernel opens by itself when it starts a program: the interpreter of a script, the loader of an
    /// executable (execve(2)).
    fn started(&self, who: &Who, program: &Path, glass: &Glass<'_>) {
        let mut program = program.to_owned();
        for _ in 0..INTERPRETERS {
            match starts_by(&glass.real(&program)) {
                StartsBy::Itself => return,
                StartsBy::Foreign => return self.missed(who, Gap::Foreign),
                StartsBy::Another(next) => program = next,
            }
            self.saw(who, program.as_os_str().as_bytes(), Seen::default());
            self.links_to(who, &program, glass);
        }
    }

    /// Takes down that the command starts a program for no unit; says whether that is a shell.
    pub(crate) fn command_starts(&self, path: &[u8]) -> bool {
        let real = Glass::plain(&self.place).place_of(Path::new(OsStr::from_bytes(path)));
        if self.place.seen_by_compiler(&real).starts_with(&self.target) {
            self.book().strangers.insert(Who::Shell);
            return false;
        }
        // A shell tries each directory of the path.
        if !real.is_file() {
            return false;
        }
        let kind = kind_of(&self.place.seen_by_compiler(&real), &real);
        if kind == Kind::Stranger {
            self.book().strangers.insert(Who::Shell);
        }
        kind == Kind::Shell
    }

    /// Whether a shell looks up a part of its script: it opens nothing else to read it. What it wrote itself, and what the
    /// command made, follows from the script.
    fn is_of_script(&self, place: &Path, real: &Path, seen: Seen, glass: &Glass<'_>) -> bool {
        let is_old = |(is_file, stamp): (bool, Stamp)| is_file && stamp.ctime < self.began;
        seen.read
            && !seen.wrote
            && !is_installed(place, real)
            && glass.kind(place).ok().flatten().is_some_and(is_old)
    }

    /// Takes down of which version of its package somebody is.
    pub(crate) fn is_of_version(&self, who: &Who, version: String) {
        self.book().versions.insert(who.clone(), version);
    }

    /// Takes down that not everything was seen of somebody.
    pub(crate) fn missed(&self, who: &Who, gap: Gap) {
        self.book().gaps.entry(who.clone()).or_default().insert(gap);
    }

    /// Whether this is taken down already, or need not be.
    pub(crate) fn is_known(&self, who: &Who, path: &[u8], seen: Seen) -> bool {
        let text = Path::new(OsStr::from_bytes(path));
        let is_flat = memchr::memmem::find(path, b"/.").is_none();
        if is_flat
            && !seen.ran
            && !is_environment(path)
            && (self.passes_over(text) || (*who == Who::Cargo && !is_configuration(text)))
        {
            return true;
        }
        let book = self.book();
        let number = book.paths.get(path);
        let known = number.and_then(|number| book.lookups.get(who)?.get(number));
        // What was not there may be started once it is made.
        let may_be_new = |known: &Lookup| seen.ran && matches!(known.before, Before::Nothing);
        known.is_some_and(|known| known.seen.covers(seen) && !may_be_new(known))
    }

    /// Whether a path is looked at otherwise, or not at all.
    pub(super) fn passes_over(&self, path: &Path) -> bool {
        self.passed_over.iter().any(|place| path.starts_with(place))
            && !path.starts_with(SHARED_MEMORY)
    }

    fn leads_to_others(&self, path: &Path) -> bool {
        self.passed_over.iter().any(|place| place.starts_with(path))
    }

    /// Whether git's answers stand for a path.
    fn is_gits(&self, path: &Path) -> bool {
        self.git.iter().any(|place| path.starts_with(place))
    }

    /// What was known of a file of the checkout that had this stamp, before somebody wrote it.
    pub(super) fn known(&self, path: &Path, stamp: Stamp) -> Option<Thing> {
        let inside = path.strip_prefix(self.place.seen_by_compiler(&self.place.source)).ok()?;
        let entry = self.checkout.get(inside).filter(|entry| entry.stamp == stamp)?;
        let Node::File(digest) = &entry.node else { return None };
        Some(Thing::File(*digest, entry.mode & EXECUTABLE != 0))
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Whether nothing new is in another one.
    fn covers(self, other: Self) -> bool {
        (self.how.names || !other.how.names)
            && (self.how.link || !other.how.link)
            && (self.read || !other.read)
            && (self.wrote || !other.wrote)
            && (self.ran || !other.ran)
            && (self.linked || !other.linked)
    }

    fn with(self, other: Self) -> Self {
        Self {
            how: How {
                names: self.how.names || other.how.names,
                link: self.how.link || other.how.link,
            },
            read: self.read || other.read,
            wrote: self.wrote || other.wrote,
            ran: self.ran || other.ran,
            linked: self.linked || other.linked,
        }
    }
}

impl Book {
    fn add(&mut self, who: &Who, path: &[u8], lookup: Lookup) {
        let known = self.paths.get(path).copied();
        let number = known.unwrap_or_else(|| {
            let number = u32::try_from(self.by_number.len()).unwrap_or(u32::MAX);
            self.paths.insert(path.into(), number);
            self.by_number.push(path.into());
            number
        });
        match self.lookups.entry(who.clone()).or_default().entry(number) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.seen = known.seen.with(lookup.seen);
                known.names = known.names.take().or(lookup.names);
                if lookup.seen.linked {
                    known.before = lookup.before;
                }
            }
            Entry::Vacant(place) => drop(place.insert(lookup)),
        }
    }

    pub(super) fn path(&self, number: u32) -> &Path {
        Path::new(OsStr::from_bytes(&self.by_number[number as usize]))
    }
}

/// What is at a path, and the names in it if it is a directory and somebody asks for them.
fn look(path: &Path, seen: Seen, glass: &Glass<'_>) -> io::Result<(Before, Option<Vec<OsString>>)> {
    let before = match glass.kind(path)? {
        None => Before::Nothing,
        Some((true, stamp)) if !seen.linked => Before::File(stamp),
        Some(_) => Before::Other(glass.look(path)?),
    };
    let is_listed = seen.how.names && matches!(before, Before::Other(Thing::Directory(_)));
    let names = if is_listed { glass.names(path)? } else { None };
    Ok((before, names))
}

/// Whether a file has the variables of a process.
fn is_environment(path: &[u8]) -> bool {
    path.starts_with(b"/proc/") && path.ends_with(b"/environ")
}

/// Whether Cargo, or rustup in its name, may be configured by a file of that name. Manifests and lock files are
/// Cargo's own to compare.
fn is_configuration(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let is_named =
        ["config", "config.toml", "rust-toolchain", "rust-toolchain.toml"].contains(&name);
    is_named || (path.extension() == Some(OsStr::new("toml")) && name != "Cargo.toml")
}
