//! Who may have read a variable that changed and that directories do not depend on: the programs
//! that name it, and those that may run a file that does.
//!
//! On a CI service some of these variables change with every run. So what programs and packages from
//! outside hold is remembered by their content, and looked for once.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{LookError, View};
use crate::affected;
use crate::cargo_layout::{Layout, Unit};
use crate::digest::Digest;
use crate::identity::{Mentions, Text, is_of_services};
use crate::sources::{Lockfile, SourceState, Where};
use crate::tree::{Node, Tree};

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

/// Where a text is, to be read if nobody remembers it.
struct Source {
    digest: Digest,
    files: Vec<PathBuf>,
    kind: Text,
}

impl Source {
    fn is_in(&self, directory: &Path) -> bool {
        self.files.iter().any(|file| file.starts_with(directory))
    }
}

impl Callers<'_> {
    /// The units that may have read one of the variables, by their place in [`Layout::units`].
    pub fn of(
        &self,
        variables: &[String],
        memory: &mut Memory,
    ) -> Result<BTreeSet<usize>, LookError> {
        if variables.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut callers = self.by_program(variables, memory)?;
        let variables: Vec<String> =
            variables.iter().filter(|name| is_of_services(name)).cloned().collect();
        if !variables.is_empty() {
            let packages = self.by_file(&variables, memory);
            let units = self.layout.units().enumerate();
            let units = units.filter(|(_, unit)| packages.contains(&unit.package));
            callers.extend(units.map(|(index, _)| index));
        }
        Ok(callers)
    }

    /// Everything that is to be remembered of what is there now, with the help of what is.
    pub fn remember(&self, known: &Memory) -> Result<Memory, LookError> {
        let mut sources = Vec::new();
        for unit in self.layout.units() {
            sources.extend(self.programs(unit)?);
        }
        if let Some(lock) = &self.state.lock {
            let open = affected::open(self.layout, lock);
            sources.extend(self.foreign(lock, &open).flat_map(|(_, sources)| sources));
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
    ) -> Result<BTreeSet<usize>, LookError> {
        let mut programs = Vec::new();
        for (index, unit) in self.layout.units().enumerate() {
            programs.extend(self.programs(unit)?.into_iter().map(|source| (index, source)));
        }
        look_through(programs.iter().map(|(_, source)| source), memory);
        let named = programs.iter().filter(|(_, source)| name(memory, source, variables));
        Ok(named.map(|(index, _)| *index).collect())
    }

    /// Packages that may run something that names one.
    fn by_file(&self, variables: &[String], memory: &mut Memory) -> BTreeSet<String> {
        let Some(lock) = &self.state.lock else {
            return self.local.clone();
        };
        let open = affected::open(self.layout, lock);
        let mut packages: BTreeSet<String> = BTreeSet::new();
        let local: BTreeSet<String> = self.local.intersection(&open).cloned().collect();
        let foreign: Vec<(String, Vec<Source>)> = self.foreign(lock, &open).collect();
        look_through(foreign.iter().flat_map(|(_, sources)| sources), memory);
        let mut reaches_local = false;
        for (package, sources) in foreign {
            if sources.iter().any(|source| name(memory, source, variables)) {
                packages.insert(package);
                // Vendored: who has a build script in the checkout can run that too.
                reaches_local |= sources.iter().any(|source| source.is_in(&self.place.source));
            }
        }
        let reaches_local =
            || reaches_local || self.command_names(variables) || self.sources_name(variables);
        if !local.is_empty() && reaches_local() {
            packages.extend(local);
        }
        packages
    }

    /// A unit's programs. One that is not as it was seen is damage, and goes for that.
    fn programs(&self, unit: &Unit) -> Result<Vec<Source>, LookError> {
        let programs = self.layout.programs(unit)?.into_iter();
        let source = |path: PathBuf| match self.tree.get(&path)?.node {
            Node::File(digest) => {
                let files = vec![self.layout.absolute(&path)];
                Some(Source { digest, files, kind: Text::Program })
            }
            _ => None,
        };
        Ok(programs.filter_map(source).collect())
    }

    /// The packages from outside that may run what they bring, and where that is.
    fn foreign<'b>(
        &'b self,
        lock: &'b Lockfile,
        open: &'b BTreeSet<String>,
    ) -> impl Iterator<Item = (String, Vec<Source>)> + 'b {
        let all = lock.packages.iter().filter(|package| package.source.is_some());
        let built: BTreeSet<&str> = self.layout.units().map(|unit| unit.package.as_str()).collect();
        let all = all.filter(move |package| {
            open.contains(&package.name) && built.contains(package.name.as_str())
        });
        all.map(|package| {
            let id = package.id();
            let places = self.state.packages.places_of(&id);
            let sources = places.map(|(name, tree)| {
                let root = self.place.place_of_package(&name);
                Source { digest: tree.digest(), files: files(&root, tree), kind: Text::File }
            });
            (package.name.clone(), sources.collect())
        })
    }

    /// Whether a file of the checkout, or of what belongs to it, names one; what packages from outside
    /// brought is left to them.
    fn sources_name(&self, variables: &[String]) -> bool {
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
            return true;
        }
        all.par_iter().any(|(file, _)| {
            let mentions = mentions_in(file, Text::File);
            variables.iter().any(|variable| mentions.name(variable))
        })
    }

    /// Whether the command, or a script that it names, names one: it may hand it on by another name.
    fn command_names(&self, variables: &[String]) -> bool {
        let names = |mentions: &Mentions| variables.iter().any(|variable| mentions.name(variable));
        self.view.command.iter().any(|word| {
            let is_script = |file: &PathBuf| {
                word.starts_with('/') && file.is_file() && !is_executable_format(file)
            };
            let file = Some(self.place.real_of_compiler(Path::new(word))).filter(is_script);
            names(&Mentions::of(word.as_bytes(), Text::File))
                || file.is_some_and(|file| names(&mentions_in(&file, Text::File)))
        })
    }
}

/// Looks through what nobody remembers.
fn look_through<'a>(sources: impl IntoIterator<Item = &'a Source>, memory: &mut Memory) {
    let unknown: BTreeMap<Digest, &Source> = sources
        .into_iter()
        .filter(|source| !memory.contains_key(&source.digest))
        .map(|source| (source.digest, source))
        .collect();
    let look = |(digest, source): (Digest, &Source)| {
        let parts = source.files.par_iter().map(|file| mentions_in(file, source.kind));
        let all = parts.reduce(Mentions::default, |mut all, more| {
            all.extend(more);
            all
        });
        (digest, all)
    };
    let seen: Vec<(Digest, Mentions)> = unknown.into_par_iter().map(look).collect();
    memory.extend(seen);
}

fn name(memory: &Memory, source: &Source, variables: &[String]) -> bool {
    let mentions = memory.get(&source.digest);
    mentions.is_some_and(|mentions| variables.iter().any(|variable| mentions.name(variable)))
}

/// What a file names. One that cannot be read nobody runs.
fn mentions_in(file: &Path, kind: Text) -> Mentions {
    std::fs::read(file).map(|text| Mentions::of(&text, kind)).unwrap_or_default()
}

/// A compiled program is not looked through: whoever runs the build names it, and Cargo itself is one.
fn is_executable_format(file: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 4];
    let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == *b"\x7fELF"
}

/// The files of a tree that a program may run or read.
fn files(root: &Path, tree: &Tree) -> Vec<PathBuf> {
    files_in(tree).map(|(path, _)| root.join(path)).collect()
}

fn files_in(tree: &Tree) -> impl Iterator<Item = (PathBuf, u64)> {
    let all = tree.select(|_, entry| matches!(entry.node, Node::File(_)));
    let all = all.filter(|(path, _)| !is_of_somebody_else(path));
    all.map(|(path, entry)| (path, entry.stamp.size))
}

/// Whether a file is read by a service itself, or by people alone.
fn is_of_somebody_else(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let begins = |start: &[u8]| bytes.starts_with(start);
    path.extension() == Some(OsStr::new("md"))
        || OF_SERVICES.iter().any(|place| path.starts_with(place))
        || begins(b"Jenkinsfile")
        || begins(b"azure-pipelines")
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
        ] {
            assert!(is_of_somebody_else(Path::new(path)), "{path}");
        }
        for path in [".github/scripts/version.sh", "Makefile", "ci/build", "build.rs", "mdfile"] {
            assert!(!is_of_somebody_else(Path::new(path)), "{path}");
        }
    }
}
