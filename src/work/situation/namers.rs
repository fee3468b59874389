//! Who may have read a variable that changed and that no directory is named by (decision 95).
//!
//! A compiler reads no such variable, nor do linkers and git. Whoever is started besides may, and so may build scripts
//! and macros that are linked with something in whose sources the words of its name are. Of whom it is not known that
//! they did not, they count as if they did.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::LookError;
use super::callers::NamedBy;
use crate::base::regular;
use crate::base::tree::Node;
use crate::observe::cargo_layout::{Layout, Unit, UnitKind};
use crate::observe::identity::lists_variables;
use crate::observe::sources::{SourceState, Where};
use crate::observe::trace::{Traces, is_installed, writes_dates};

/// How programs in Rust ask for all variables there are.
const ASKING_FOR_ALL: [&[u8]; 4] = [b"vars(", b"vars_os", b"env::vars", b"environ"];

/// Of this package it is known which it asks for: those of compilers (`cc` 1.2 and 1.11).
const KNOWN: &str = "cc";

/// This one only declares what programs ask for all by: who does so has the word himself (`libc` 0.2).
const DECLARING: &str = "libc";

/// What a package's users do not build.
const ASIDE: [&str; 3] = ["tests", "benches", "examples"];

/// What is written for people, at the top of a package: the words of any name may be in it.
const FOR_PEOPLE: [&str; 8] =
    ["LICENSE", "LICENCE", "UNLICENSE", "COPYING", "COPYRIGHT", "NOTICE", "CHANGELOG", "README"];

/// What Cargo writes into a package.
const OF_CARGO: [&str; 2] = [".cargo_vcs_info.json", "Cargo.lock"];

/// A longer text is not looked through: it may name anything.
const LONGEST: u64 = 64 << 20;

/// The variable by which everybody knows when something was made.
const DATE: &str = "SOURCE_DATE_EPOCH";

/// Where one looks.
pub(super) struct Namers<'a> {
    pub layout: &'a Layout,
    pub traces: &'a Traces,
    pub place: &'a Where,
    pub state: &'a SourceState,
    /// The words of the command.
    pub command: &'a [String],
}

/// A variable, and what a text may put its name together from, in small letters.
struct Words<'v> {
    variable: &'v str,
    /// `app_` of `APP_SOURCE_REVISION`.
    start: Vec<u8>,
    /// `_source_revision` and `_revision`.
    ends: Vec<Vec<u8>>,
    all: Vec<Vec<u8>>,
}

/// What was found of the words of each variable: a bit for each word, and [`NAMED`].
type Found = Vec<u64>;

const NAMED: u64 = 1 << 63;

/// What is in a file.
struct Looked {
    bits: Found,
    /// Whether it asks for all variables there are.
    asks_for_all: bool,
}

impl Namers<'_> {
    /// The units that may have read one of the variables.
    pub(super) fn of(&self, variables: &[String]) -> Result<NamedBy, LookError> {
        let words: Vec<Words<'_>> = variables.iter().map(|name| Words::of(name)).collect();
        if words.is_empty() {
            return Ok(NamedBy::default());
        }
        self.of_words(&words)
    }

    /// The units that may have been made with the date of `SOURCE_DATE_EPOCH`: besides who reads that, compilers do, and
    /// what writes programs for other systems. Local ones count in any case; and so do those in which somebody took part of
    /// whom nothing is known, where a build script left files or variables.
    pub(super) fn of_date(&self, local: &BTreeSet<String>) -> Result<BTreeSet<usize>, LookError> {
        let named = self.of_words(&[Words::of_date()])?.units;
        let compilers = self.programs_that_date();
        let mut dated = BTreeSet::new();
        for (index, unit) in self.layout.units().enumerate() {
            let trace = self.traces.of(unit).filter(|_| self.is_known(unit));
            let counts = if let Some(trace) = trace {
                let is_for_linux = is_for_linux(unit);
                let dates = |input| compilers.get(input).is_some_and(|all| *all || !is_for_linux);
                named.contains(&index) || trace.inputs.iter().any(dates)
            } else {
                let out = self.layout.out_dir(unit)?;
                out.is_some_and(|out| out.filled || out.sets_env)
            };
            if counts || local.contains(&unit.package) {
                dated.insert(index);
            }
        }
        Ok(dated)
    }

    /// Of what units looked up, the programs that may write dates; and whether they do so for any system.
    fn programs_that_date(&self) -> BTreeMap<u32, bool> {
        let inputs = self.traces.inputs.iter().enumerate();
        let dating = inputs.filter_map(|(index, input)| {
            let path = input.path();
            if !may_be_program(path) {
                return None;
            }
            let real = std::fs::canonicalize(self.place.real_of_compiler(path));
            let places = [Some(path.to_owned()), real.ok()];
            let is =
                |for_linux| places.iter().flatten().any(|place| writes_dates(place, for_linux));
            let index = u32::try_from(index).ok()?;
            (is(true) || is(false)).then(|| (index, is(true)))
        });
        dating.collect()
    }

    /// The same of variables that are looked for otherwise, as far as the command may have given them to Cargo.
    pub(super) fn of_command(&self, variables: &[String]) -> NamedBy {
        let words: Vec<Words<'_>> = variables.iter().map(|name| Words::of(name)).collect();
        let names = if words.is_empty() { BTreeSet::new() } else { self.handed_on(&words) };
        let count = if names.is_empty() { 0 } else { self.layout.units().count() };
        NamedBy { units: (0..count).collect(), names }
    }

    fn of_words(&self, words: &[Words<'_>]) -> Result<NamedBy, LookError> {
        let names: BTreeSet<String> = words.iter().map(|it| it.variable.to_owned()).collect();
        let naming = self.naming(words)?;
        let handed_on = self.handed_on(words);
        let mut packages: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for unit in self.layout.units() {
            let package = unit.package.as_str();
            let is_open =
                unit.is(UnitKind::BuildScriptRun) || !self.layout.programs(unit)?.is_empty();
            let named = if self.is_known(unit) {
                self.named(package, is_open, &naming, &names)
            } else {
                names.clone()
            };
            packages.entry(package).or_default().extend(named);
            packages.entry(package).or_default().extend(handed_on.iter().cloned());
        }
        let mut found = NamedBy::default();
        for (index, unit) in self.layout.units().enumerate() {
            let named = packages.get(unit.package.as_str()).filter(|named| !named.is_empty());
            found.names.extend(named.into_iter().flatten().cloned());
            found.units.extend(named.map(|_| index));
        }
        Ok(found)
    }

    /// The variables that the command may have given to Cargo by another name: those that it names, or that a script of its
    /// does, or all where one asks for all.
    fn handed_on(&self, words: &[Words<'_>]) -> BTreeSet<String> {
        let files =
            self.traces.common_inputs().map(|input| self.place.real_of_compiler(input.path()));
        let files = files.filter(|file| !self.is_installed(file));
        let texts =
            files.filter_map(|file| Some((is_script(&file), regular::read(&file, LONGEST).ok()?)));
        let said = self.command.iter().map(|word| (false, word.as_bytes().to_vec()));
        let texts: Vec<(bool, Vec<u8>)> = texts.chain(said).collect();
        let names = |variable: &str| {
            let is_whole = |text: &[u8], at: usize| {
                let behind = text.get(at + variable.len());
                is_apart(text, at)
                    && behind.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
            };
            let is_named = |text: &[u8]| {
                memchr::memmem::find_iter(text, variable.as_bytes()).any(|at| is_whole(text, at))
            };
            texts
                .iter()
                .any(|(is_script, text)| is_named(text) || (*is_script && lists_variables(text)))
        };
        let named = words.iter().map(|words| words.variable).filter(|name| names(name));
        named.map(str::to_owned).collect()
    }

    /// Whether nobody took part in it of whom it is not known what he reads.
    fn is_known(&self, unit: &Unit) -> bool {
        self.traces.observe(unit) && self.traces.of(unit).is_some_and(|trace| !trace.strangers)
    }

    /// What a package names, and, where it runs something at build time, what it is linked with.
    fn named(
        &self,
        package: &str,
        is_open: bool,
        naming: &BTreeMap<String, BTreeSet<String>>,
        names: &BTreeSet<String>,
    ) -> BTreeSet<String> {
        let linked = match &self.state.lock {
            _ if !is_open => BTreeSet::from([package.to_owned()]),
            Some(lock) => lock.dependencies_closure(package),
            None => return names.clone(),
        };
        linked.iter().filter_map(|package| naming.get(package)).flatten().cloned().collect()
    }

    /// The packages in whose files variables are named.
    fn naming(&self, words: &[Words<'_>]) -> Result<BTreeMap<String, BTreeSet<String>>, LookError> {
        let mut files: BTreeMap<PathBuf, BTreeSet<&str>> = BTreeMap::new();
        let mut read: BTreeMap<&Path, BTreeSet<&str>> = BTreeMap::new();
        for unit in self.layout.units() {
            let trace = self.traces.of(unit);
            for input in trace.into_iter().flat_map(|trace| self.traces.inputs_of(trace)) {
                read.entry(input.path()).or_default().insert(&unit.package);
            }
            for program in self.layout.programs(unit)? {
                let file = self.layout.absolute(&program);
                files.entry(file).or_default().insert(&unit.package);
            }
        }
        // Many units read the same: where it is, is looked up once.
        for (path, packages) in read {
            let file = self.place.real_of_compiler(path);
            if !self.is_installed(&file) {
                files.entry(file).or_default().extend(packages);
            }
        }
        let outside = self.state.lock.iter().flat_map(|lock| &lock.packages);
        for package in outside.filter(|package| package.name != KNOWN || package.source.is_none()) {
            for (name, tree) in self.state.packages.places_of(&package.id()) {
                let place = self.place.place_of_package(&name);
                let inside = tree.select(|_, entry| matches!(entry.node, Node::File(_)));
                for (path, _) in inside.filter(|(path, _)| !is_aside(path)) {
                    files.entry(place.join(path)).or_default().insert(&package.name);
                }
            }
        }
        let files: Vec<(PathBuf, BTreeSet<&str>)> = files.into_iter().collect();
        let looked = files.par_iter().map(|(file, packages)| (packages, look(file, words)));
        let mut packages_of_others = self.state.lock.iter().flat_map(|lock| &lock.packages);
        let only_declares =
            packages_of_others.any(|it| it.name == DECLARING && it.source.is_some());
        let mut found: BTreeMap<&str, Found> = BTreeMap::new();
        for (packages, Looked { bits, asks_for_all }) in looked.collect::<Vec<_>>() {
            for package in packages {
                let asks = asks_for_all && !(only_declares && *package == DECLARING);
                let all = found.entry(package).or_insert_with(|| vec![0; words.len()]);
                let bits = bits.iter().map(|bits| if asks { NAMED } else { *bits });
                all.iter_mut().zip(bits).for_each(|(all, bits)| *all |= bits);
            }
        }
        let named =
            found.into_iter().map(|(package, bits)| (package.to_owned(), named(&bits, words)));
        Ok(named.collect())
    }

    fn is_installed(&self, file: &Path) -> bool {
        let real = std::fs::canonicalize(file);
        real.is_ok_and(|real| is_installed(&self.place.seen_by_compiler(&real), &real))
    }
}

/// Whether a file that all of a build depends on is a shell's, and not Cargo's.
fn is_script(file: &Path) -> bool {
    file.extension().is_none_or(|extension| extension != "toml")
}

/// Whether a path may be that of a program: of those that units look up, most are libraries, sources, or headers.
fn may_be_program(path: &Path) -> bool {
    path.extension().is_none_or(|extension| extension.to_string_lossy().parse::<u32>().is_ok())
}

/// Whether what a unit makes is for Linux, by the directory of its target. What build scripts make may be for any system.
fn is_for_linux(unit: &Unit) -> bool {
    let other = |path: &PathBuf| {
        let top = path.iter().next().unwrap_or_default().to_string_lossy();
        ["windows", "uefi", "cygwin"].iter().any(|system| top.contains(system))
    };
    !unit.is(UnitKind::BuildScriptRun) && !unit.paths.iter().any(other)
}

/// Whether nobody builds from a file of a package.
fn is_aside(path: &Path) -> bool {
    let name = path.to_string_lossy();
    let is_at_top = path.components().count() == 1;
    ASIDE.iter().any(|aside| path.starts_with(aside))
        || (is_at_top
            && FOR_PEOPLE.iter().any(|start| name.to_ascii_uppercase().starts_with(start)))
        || OF_CARGO.contains(&&*name)
}

impl<'v> Words<'v> {
    fn of(variable: &'v str) -> Self {
        let small = variable.to_ascii_lowercase();
        let all: Vec<Vec<u8>> =
            small.split('_').filter(|word| !word.is_empty()).map(Into::into).collect();
        let start = [all.first().map_or(&b""[..], Vec::as_slice), b"_"].concat();
        let tail = |from: usize| [&b"_"[..], &all[from..].join(&b'_')].concat();
        let ends = match all.len() {
            0 | 1 => vec![tail(0)],
            count => (1..count).map(tail).collect(),
        };
        Self { variable, start, ends, all: all.into_iter().take(62).collect() }
    }

    /// Of that name everybody knows the whole, and its words stand everywhere.
    fn of_date() -> Words<'static> {
        let whole = DATE.to_ascii_lowercase().into_bytes();
        Words {
            variable: DATE,
            start: b"source_date".into(),
            ends: vec![b"_epoch".into(), b"_date_epoch".into()],
            all: vec![whole],
        }
    }

    fn every_word(&self) -> u64 {
        (1 << self.all.len()) - 1
    }

    /// What of it a file has, which is in small letters. In a program single words stand everywhere.
    fn found_in(&self, text: &[u8], is_text: bool) -> u64 {
        let has =
            |piece: &[u8]| memchr::memmem::find_iter(text, piece).any(|at| is_apart(text, at));
        let whole = self.variable.to_ascii_lowercase();
        if has(&self.start)
            || self.ends.iter().any(|end| has(end))
            || memchr::memmem::find(text, whole.as_bytes()).is_some()
        {
            return NAMED;
        }
        let words = self.all.iter().enumerate().filter(|_| is_text);
        let words = words.filter(|(_, word)| memchr::memmem::find(text, word).is_some());
        words.fold(0, |bits, (index, _)| bits | 1 << index)
    }
}

/// The variables that are named whole or by a piece, or all words of which are somewhere.
fn named(found: &[u64], words: &[Words<'_>]) -> BTreeSet<String> {
    let named = found.iter().zip(words).filter(|(bits, words)| {
        **bits & NAMED != 0 || **bits & words.every_word() == words.every_word()
    });
    named.map(|(_, words)| words.variable.to_owned()).collect()
}

/// Whether a word begins there.
fn is_apart(text: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).map(|last| text[last]);
    before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && byte != b'_')
}

/// Looks through a file; what cannot be read nobody reads.
fn look(file: &Path, words: &[Words<'_>]) -> Looked {
    const HEAD: usize = 4096;
    let mut text = Vec::new();
    let read = regular::open(file).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut text));
    let of_all = |bits| Looked { bits: vec![bits; words.len()], asks_for_all: false };
    if read.is_err() {
        return of_all(0);
    }
    if text.len() as u64 > LONGEST {
        return of_all(NAMED);
    }
    let is_text = !text[..text.len().min(HEAD)].contains(&0);
    text.make_ascii_lowercase();
    // `environ` is one; "the environment" is not.
    let ends = |at: usize, asking: &[u8]| {
        let behind = text.get(at + asking.len());
        asking.ends_with(b"(") || behind.is_none_or(|byte| !byte.is_ascii_alphanumeric())
    };
    let asks = |asking: &&[u8]| {
        let mut found = memchr::memmem::find_iter(&text, *asking);
        found.any(|at| is_apart(&text, at) && ends(at, asking))
    };
    let asks_for_all = is_text && ASKING_FOR_ALL.iter().any(asks);
    let bits = words.iter().map(|words| words.found_in(&text, is_text)).collect();
    Looked { bits, asks_for_all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_whole_by_pieces_and_by_its_words() {
        let words = [Words::of("APP_SOURCE_REVISION")];
        for (texts, is_named) in [
            (&["env!(\"APP_SOURCE_REVISION\")"][..], true),
            (&["format!(\"APP_{name}\")"], true),
            (&["format!(\"{}_REVISION\", name)"], true),
            (&["\"app\", \"source\"", "\"revision\""], true),
            (&["App", "Source of the Revision"], true),
            (&["app source"], false),
            (&["my_app_name", "GIT_REVISION"], false),
            (&["for (name, value) in env::vars() {"], true),
            (&["use std::env::vars_os;"], true),
            (&["let all = std::env::vars;"], true),
            (&["extern char **environ;"], true),
            (&["format!(\"{package}_SOURCE_REVISION\")"], true),
            (&["how the environment is told"], false),
            (&["nothing"], false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let bits = texts.iter().enumerate().map(|(index, text)| {
                let file = dir.path().join(index.to_string());
                std::fs::write(&file, text).unwrap();
                let found = look(&file, &words);
                if found.asks_for_all { NAMED } else { found.bits[0] }
            });
            let found = vec![bits.fold(0, |all, bits| all | bits)];
            assert_eq!(!named(&found, &words).is_empty(), is_named, "{texts:?}");
        }
        assert_eq!(look(Path::new("/nowhere"), &words).bits, [0]);
    }
}
