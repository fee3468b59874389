//! Who may have read a variable of a known family that changed and that directories do not depend on: the programs
//! that name it, and those that may run a file that does (decision 85).
//!
//! On a CI service some of these variables change with every run. So what programs and packages from
//! outside hold is remembered by their content, and looked for once.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{LookError, View};
use crate::base::digest::Digest;
use crate::base::regular;
use crate::base::tree::{Node, Tree};
use crate::observe::affected;
use crate::observe::cargo_layout::{Layout, Unit};
use crate::observe::identity::{Mentions, Text, is_of_services};
use crate::observe::sources::{Lockfile, SourceState, Where};

/// What was looked through, by its content.
pub(super) type Memory = BTreeMap<Digest, Mentions>;

/// Files of more bytes together are not looked through: they count as naming everything.
const LIMIT: u64 = 256 << 20;

/// What the services themselves read of a checkout, and editors and shells: no build runs it.
const OF_SERVICES: [&str; 28] = [
    ".appveyor.yml",
    ".azure-pipelines",
    ".build.yml",
    ".builds",
    ".buildkite",
    ".circleci",
    ".cirrus.yml",
    ".devcontainer",
    ".drone.yml",
    ".envrc",
    ".forgejo",
    ".gitea",
    ".github/actions",
    ".github/workflows",
    ".gitlab-ci.yml",
    ".gitlab/ci",
    ".idea",
    ".semaphore",
    ".teamcity",
    ".travis.yml",
    ".vscode",
    ".woodpecker",
    ".woodpecker.yaml",
    ".woodpecker.yml",
    ".zed",
    "appveyor.yml",
    "bitbucket-pipelines.yml",
    "buildspec.yml",
];

/// Where one looks.
pub(super) struct Callers<'a> {
    pub layout: &'a Layout,
    /// What is in the target directory.
    pub tree: &'a Tree,
    pub state: &'a SourceState,
    pub local: &'a BTreeSet<String>,
    pub place: &'a Where,
    pub view: &'a View,
}

/// Who may have read what.
#[derive(Debug, Default)]
pub(super) struct NamedBy {
    /// Units, by their place in [`Layout::units`].
    pub units: BTreeSet<usize>,
    /// The variables that they may have read.
    pub names: BTreeSet<String>,
}

/// Where a text is, to be read if nobody remembers it.
struct Source<'a> {
    digest: Digest,
    place: PathBuf,
    /// What a package from outside holds; nothing for a program.
    tree: Option<&'a Tree>,
}

impl Source<'_> {
    /// Reads all of it.
    fn mentions(&self) -> Mentions {
        let Some(tree) = self.tree else { return mentions_in(&self.place, Text::Program) };
        let files: Vec<PathBuf> = files_in(tree).map(|(path, _)| self.place.join(path)).collect();
        let parts: Vec<Mentions> =
            files.par_iter().map(|file| mentions_in(file, Text::File)).collect();
        let mut mentions = Mentions::default();
        mentions.extend(parts);
        mentions
    }
}

impl Callers<'_> {
    /// The units that may have read one of the variables.
    pub(super) fn of(
        &self,
        variables: &[String],
        memory: &mut Memory,
    ) -> Result<NamedBy, LookError> {
        let mut found = NamedBy::default();
        if variables.is_empty() {
            return Ok(found);
        }
        self.by_program(variables, memory, &mut found)?;
        let variables: Vec<String> =
            variables.iter().filter(|name| is_of_services(name)).cloned().collect();
        if !variables.is_empty() {
            let packages = self.by_file(&variables, memory, &mut found);
            let units = self.layout.units().enumerate();
            let units = units.filter(|(_, unit)| packages.contains(&unit.package));
            found.units.extend(units.map(|(index, _)| index));
        }
        Ok(found)
    }

    /// Everything that is to be remembered of what is there now, with the help of what is.
    pub(super) fn remember(&self, known: &Memory) -> Result<Memory, LookError> {
        let mut sources = Vec::new();
        for unit in self.layout.units() {
            sources.extend(self.programs(unit)?);
        }
        if let Some(lock) = &self.state.lock {
            let open = affected::open(self.layout, lock);
            sources.extend(self.foreign(lock, &open).into_iter().flat_map(|(_, sources)| sources));
        }
        let mut memory = Memory::new();
        for source in &sources {
            let known = known.get(&source.digest).cloned();
            memory.extend(known.map(|mentions| (source.digest, mentions)));
        }
        look_through(&sources, &mut memory);
        Ok(memory)
    }

    /// Units whose own program names one.
    fn by_program(
        &self,
        variables: &[String],
        memory: &mut Memory,
        found: &mut NamedBy,
    ) -> Result<(), LookError> {
        let mut programs = Vec::new();
        for (index, unit) in self.layout.units().enumerate() {
            programs.extend(self.programs(unit)?.into_iter().map(|source| (index, source)));
        }
        look_through(programs.iter().map(|(_, source)| source), memory);
        for (index, source) in programs {
            if found.note(memory.get(&source.digest), variables) {
                found.units.insert(index);
            }
        }
        Ok(())
    }

    /// Packages that may run something that names one.
    fn by_file(
        &self,
        variables: &[String],
        memory: &mut Memory,
        found: &mut NamedBy,
    ) -> BTreeSet<String> {
        let Some(lock) = &self.state.lock else {
            found.names.extend(variables.iter().cloned());
            return self.local.clone();
        };
        let open = affected::open(self.layout, lock);
        let foreign = self.foreign(lock, &open);
        look_through(foreign.iter().flat_map(|(_, sources)| sources), memory);
        let mut packages: BTreeSet<String> = BTreeSet::new();
        let mut reaches_local = false;
        for (package, sources) in foreign {
            for source in sources {
                if found.note(memory.get(&source.digest), variables) {
                    packages.insert(package.clone());
                    // Vendored: who has a build script in the checkout can run that too.
                    reaches_local |= source.place.starts_with(&self.place.source);
                }
            }
        }
        let mut local = self.local.intersection(&open).cloned().peekable();
        if local.peek().is_some() {
            let named = self.named_in_sources(variables);
            if reaches_local || !named.is_empty() {
                packages.extend(local);
            }
            found.names.extend(named);
        }
        packages
    }

    /// A unit's programs. One that is not as it was seen is damage, and goes for that.
    fn programs(&self, unit: &Unit) -> Result<Vec<Source<'_>>, LookError> {
        let programs = self.layout.programs(unit)?.into_iter();
        let source = |path: PathBuf| match self.tree.get(&path)?.node {
            Node::File(digest) => {
                Some(Source { digest, place: self.layout.absolute(&path), tree: None })
            }
            _ => None,
        };
        Ok(programs.filter_map(source).collect())
    }

    /// The packages from outside that may run what they bring, and where that is.
    fn foreign(&self, lock: &Lockfile, open: &BTreeSet<String>) -> Vec<(String, Vec<Source<'_>>)> {
        let built: BTreeSet<&str> = self.layout.units().map(|unit| unit.package.as_str()).collect();
        let counts = |name: &str| open.contains(name) && built.contains(name);
        let all = lock.packages.iter().filter(|package| package.source.is_some());
        let all = all.filter(|package| counts(&package.name)).map(|package| {
            let id = package.id();
            let sources = self.state.packages.places_of(&id).map(|(name, tree)| {
                let place = self.place.place_of_package(&name);
                Source { digest: tree.digest(), place, tree: Some(tree) }
            });
            (package.name.clone(), sources.collect())
        });
        all.collect()
    }

    /// The variables that the command names, or a file of the checkout or of what belongs to it;
    /// what packages from outside brought is left to them.
    fn named_in_sources(&self, variables: &[String]) -> BTreeSet<String> {
        let vendored = self.state.vendored();
        let is_own = |path: &Path| !path.ancestors().any(|above| vendored.contains(above));
        let inside = files_in(&self.state.checkout).filter(|(path, _)| is_own(path));
        let inside = inside.map(|(path, size)| (self.place.source.join(path), size));
        let outside = self.state.outside.trees().flat_map(|(name, tree)| {
            let root = self.place.real_of_compiler(name);
            files_in(tree).map(move |(path, size)| (root.join(path), size))
        });
        let all: Vec<(PathBuf, u64)> = inside.chain(outside).collect();
        if all.iter().map(|(_, size)| size).sum::<u64>() > LIMIT {
            return variables.iter().cloned().collect();
        }
        let mentions = all.par_iter().map(|(file, _)| mentions_in(file, Text::File));
        let named = mentions.map(|mentions| mentions.named(variables));
        let in_command = self.named_in_command(variables);
        named.reduce(|| in_command.clone(), |one, other| &one | &other)
    }

    /// The variables that the command, or a script that it names, names: it may hand them on by
    /// another name.
    fn named_in_command(&self, variables: &[String]) -> BTreeSet<String> {
        let is_script = |file: &PathBuf| file.is_file() && !is_executable_format(file);
        let mut mentions = Mentions::default();
        for word in &self.view.command {
            mentions.extend([Mentions::of(word.as_bytes(), Text::File)]);
            let file = Some(word).filter(|word| word.starts_with('/'));
            let file = file.map(|word| self.place.real_of_compiler(Path::new(word)));
            mentions.extend(file.filter(is_script).map(|file| mentions_in(&file, Text::File)));
        }
        mentions.named(variables)
    }
}

impl NamedBy {
    /// Takes in who else may have read what.
    pub(super) fn extend(&mut self, other: Self) {
        self.units.extend(other.units);
        self.names.extend(other.names);
    }

    /// Takes in what a text names of the variables; says whether it names one.
    fn note(&mut self, mentions: Option<&Mentions>, variables: &[String]) -> bool {
        let named = mentions.map(|mentions| mentions.named(variables)).unwrap_or_default();
        let names_some = !named.is_empty();
        self.names.extend(named);
        names_some
    }
}

/// Looks through what nobody remembers.
fn look_through<'a>(sources: impl IntoIterator<Item = &'a Source<'a>>, memory: &mut Memory) {
    let unknown: BTreeMap<Digest, &Source<'_>> = sources
        .into_iter()
        .filter(|source| !memory.contains_key(&source.digest))
        .map(|source| (source.digest, source))
        .collect();
    let look = |(digest, source): (Digest, &Source<'_>)| (digest, source.mentions());
    let seen: Vec<(Digest, Mentions)> = unknown.into_par_iter().map(look).collect();
    memory.extend(seen);
}

/// Programs with all that debuggers want to know of them are no larger.
const LARGEST: u64 = 1 << 31;

/// What a file names. One that cannot be read nobody runs.
fn mentions_in(file: &Path, kind: Text) -> Mentions {
    regular::read(file, LARGEST).map(|text| Mentions::of(&text, kind)).unwrap_or_default()
}

/// A compiled program is not looked through: whoever runs the build names it, and Cargo itself is one.
fn is_executable_format(file: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 4];
    let read = regular::open(file).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == *b"\x7fELF"
}

/// The files of a tree that a program may run or read, with their sizes.
fn files_in(tree: &Tree) -> impl Iterator<Item = (PathBuf, u64)> {
    let all = tree.select(|_, entry| matches!(entry.node, Node::File(_)));
    let all = all.filter(|(path, _)| !is_of_somebody_else(path));
    all.map(|(path, entry)| (path, entry.stamp.size))
}

/// Whether a file is read by a service itself, or by people alone. Packages bring the files of other
/// projects further down.
fn is_of_somebody_else(path: &Path) -> bool {
    let is_of_services = |from: &Path| {
        let start = from.iter().next().unwrap_or_default().as_bytes();
        OF_SERVICES.iter().any(|place| from.starts_with(place))
            || start.starts_with(b"Jenkinsfile")
            || start.starts_with(b"azure-pipelines")
    };
    let mut rest = path.components();
    while !rest.as_path().as_os_str().is_empty() {
        if is_of_services(rest.as_path()) {
            return true;
        }
        rest.next();
    }
    path.extension() == Some(OsStr::new("md"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_services_and_people_read_is_left_out() {
        for path in [
            ".github/workflows/ci.yml",
            ".gitlab-ci.yml",
            "Jenkinsfile",
            "Jenkinsfile.release",
            "azure-pipelines.yml",
            ".circleci/config.yml",
            ".woodpecker/build.yaml",
            "docs/ci.md",
            "vendor/grain/.github/workflows/ci.yml",
            "deps/c/.travis.yml",
        ] {
            assert!(is_of_somebody_else(Path::new(path)), "{path}");
        }
        for path in [".github/scripts/version.sh", "Makefile", "ci/build", "build.rs", "mdfile"] {
            assert!(!is_of_somebody_else(Path::new(path)), "{path}");
        }
    }
}
