//! What compiles here: everything that decides the bytes of a build, that Cargo itself does not
//! track, and that does not change with every commit.
//!
//! Identification runs in the very place where the compiler will run: in this process on a plain
//! host, through one `mkosi-chroot larder probe` inside mkosi. So it always looks at `/`, and at
//! nothing of the host that the compiler would not see.
//!
//! The answer is canonical JSON (sorted keys, no floats); the BLAKE3 over it is the toolchain id. Beside the directory
//! a record of it is kept ([`IdentityRecord`]), so that two can be compared ([`compare`]), without what is nobody's
//! business ([`Veil`]).
//!
//! Not in it: the number of jobs, the host's name, the kernel. Bytes that depend on those nobody
//! else could reproduce either.

mod ask;
mod cargo_config;
mod ccache;
mod choices;
pub(crate) mod compare;
mod cpu;
mod directories;
mod drift;
mod environment;
mod error;
mod go;
mod inputs;
mod libraries;
mod named;
mod packages;
mod places;
mod plain_command;
mod plain_script;
mod record;
mod rust;
mod scripts;
mod search;
mod seldom;
mod services;
mod strangers;
mod surroundings;
mod toolchains;
mod tools;
mod veil;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::toolchains::Questions;
use crate::base::digest::Digest;
use crate::base::tree::{ObserveError, Tree};

pub(crate) use ccache::{CAREFUL, CcachePlace};
pub(crate) use choices::{CacheKind, Fidelity, PackageMode};
pub(crate) use compare::{Difference, differences};
pub(crate) use drift::Drift;
pub(crate) use environment::{is_of_services, is_seldom};
pub(crate) use error::{CanonicalError, IdentifyError};
pub(crate) use go::GoPlace;
pub(crate) use inputs::Identity;
use inputs::Inputs;
pub(crate) use inputs::THROWAWAY;
pub(crate) use libraries::library_directories;
pub(crate) use packages::owners;
pub(crate) use plain_script::is_plain_script;
pub(crate) use record::IdentityRecord;
pub(crate) use scripts::{is_shell, is_shells, lists_variables};
pub(crate) use seldom::{Mentions, Text};
pub(crate) use veil::Veil;
pub(crate) use words::words;

/// A directory with more files than this is refused, because it would be read at every build (decision 17).
const TOO_MANY: usize = 50_000;

/// Raised whenever the same inputs would be described otherwise.
const FORMAT: u32 = 8;

/// How the target directory reaches the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    /// A bind mount: every path is the one that a cold build has.
    Bind,
    /// A symlink: programs that resolve it see the store's path.
    Symlink,
}

/// What is asked of the place where the compiler will run. Paths are as the compiler sees them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The directory with the project's `Cargo.toml` or `go.mod`.
    pub source: PathBuf,
    pub with: BTreeSet<CacheKind>,
    /// The command that will run, as bytes.
    pub command: Vec<Vec<u8>>,
    /// Where it is started, if that is known: Cargo looks for its configuration from there.
    pub directory: Option<PathBuf>,
    /// How the target directory is attached.
    pub way: Way,
    /// The store: nothing in it is an input; with [`Way::Symlink`] its path is in the bytes.
    pub store: PathBuf,
    /// The file that keeps what was observed the last time.
    pub observed: PathBuf,
    pub packages: PackageMode,
    /// How far the build may be from a cold one: what `cargo` leaves, `exact` never uses.
    pub fidelity: Fidelity,
    /// The image's `BuildPackages=`.
    pub build_packages: Vec<String>,
    /// Variables that no build depends on; a trailing `*` matches any ending.
    pub ignore_env: Vec<String>,
    pub salt: String,
    /// For whom it is built: a domain's name, empty for the default one; with `!` and a number, one use of it
    /// that is thrown away.
    pub domain: String,
}

/// What the caller needs to know besides, and what is not part of the identity.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Surroundings {
    /// Cargo's home, as the compiler sees it.
    pub cargo_home: PathBuf,
    /// Directories that configuration names as package sources (`cargo vendor`).
    pub vendor: Vec<PathBuf>,
    /// Directories that configuration names as path dependencies.
    pub extra_roots: Vec<PathBuf>,
    /// The directory with Cargo's units, `target/` by default; nothing where it builds another workspace.
    pub target: Option<PathBuf>,
    /// The directory in which its artifacts go, if that is another one; it is left alone.
    pub results: Option<PathBuf>,
    /// Where it puts copies of them besides.
    #[serde(default)]
    pub artifacts: Option<PathBuf>,
    /// What is to be said about these.
    pub note: Option<String>,
    /// `SOURCE_DATE_EPOCH`: it belongs to the state of the sources.
    pub source_date_epoch: Option<String>,
    /// Variables that count only for programs that name them; so do these.
    pub variables: BTreeMap<String, Digest>,
    pub home: Option<PathBuf>,
    /// Where Go keeps what, if its caches are attached.
    pub go: Option<GoPlace>,
    /// Where ccache keeps what, if its cache is attached.
    pub ccache: Option<CcachePlace>,
}

/// The answer of the place where the compiler will run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// What decides the bytes.
    pub identity: Identity,
    /// What the caller needs besides.
    pub surroundings: Surroundings,
}

/// What was observed the last time, by stamp: without it everything is read again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct IdentityCache {
    packages: Option<packages::PackageCache>,
    places: places::PlacesCache,
    versions: Option<rust::Versions>,
    trees: BTreeMap<Vec<u8>, Tree>,
}

/// Environment variables, as they are.
pub(crate) type Environment = BTreeMap<OsString, OsString>;

impl Request {
    /// The store's path, where it is in the bytes.
    fn store_in_bytes(&self) -> Option<String> {
        (self.way == Way::Symlink).then(|| shown_path(&self.store))
    }

    /// The variables that count for everybody, and those that do for who may have read them.
    fn split(
        &self,
        counting: &Environment,
        config: &cargo_config::CargoConfig,
        search: &search::Search,
    ) -> (Environment, Environment) {
        let script =
            scripts::script(&self.command, self.directory.as_ref().unwrap_or(&self.source));
        let texts = [Some(config.text.as_bytes()), script.as_deref()].into_iter().flatten();
        let said = self.command.iter().map(Vec::as_slice).chain(texts);
        environment::split(counting, said, self.is_watched(script.is_some(), search))
    }

    /// Whether nothing else is kept than Cargo's: of other caches nobody looks which object was made by what.
    fn is_cargo_alone(&self) -> bool {
        self.with.iter().all(|kind| *kind == CacheKind::Cargo)
    }

    /// Whether units are going to be watched, and get the environment that is seen here: from Cargo itself, or through
    /// a shell, of which it is known by its script what it adds (decision 126).
    fn is_watched(&self, is_script: bool, search: &search::Search) -> bool {
        let cargo = words::cargo(&self.command).filter(|_| words::is_compilation(&self.command));
        let cargo = cargo.or_else(|| is_script.then(|| PathBuf::from("cargo")));
        self.fidelity == Fidelity::Exact
            && self.is_cargo_alone()
            && cargo.is_some_and(|cargo| search.finds_binary(&cargo))
    }
}

/// Looks at everything that decides the bytes of a build in this very place.
pub(crate) fn identify(
    request: &Request,
    environment: &Environment,
    before: &IdentityCache,
) -> Result<(Answer, IdentityCache), IdentifyError> {
    if !request.source.is_dir() {
        return Err(IdentifyError::NoSource(request.source.clone()));
    }
    let cargo_home = cargo_config::home(environment);
    let said = directories::said(&request.command);
    let config = read_config(request, &said, &cargo_home, environment)?;
    let counting = environment::counting(environment, &request.ignore_env);
    let search = search::Search::new(environment);
    let (mut for_all, others) = request.split(&counting, &config, &search);
    for_all.extend(environment::in_part(environment, request.is_cargo_alone()));
    let asked = Questions::ask(request, environment, &config, &search)?;
    let directories = directories::find(request, &said, &config, environment, &search);
    let limits = named::Limits::new(&request.source, &cargo_home, &directories);
    let mut looker = Looker { before: &before.trees, after: BTreeMap::new() };
    let around = || look_around(request, &search, before);
    let look_at_tools = || {
        let tools = tools::observe(&search, &counting, &config, &limits, &mut looker)?;
        let named = named::observe(request, &counting, &config, &limits, &mut looker)?;
        let known = before.versions.as_ref();
        let toolchains = asked.observe(request, &search, &tools, known, &mut looker)?;
        Ok::<_, IdentifyError>((tools, named, toolchains))
    };
    let (around, looked_at) = rayon::join(around, look_at_tools);
    let ((packages, package_cache), places) = around?;
    let (tools, named_paths, toolchains) = looked_at?;
    let ((go, go_place), (ccache, ccache_place)) =
        (toolchains.go.unzip(), toolchains.ccache.unzip());
    let identity = Inputs {
        format: FORMAT,
        salt: request.salt.clone(),
        way: request.way,
        fidelity: request.fidelity,
        with: request.with.clone(),
        source: shown_path(&request.source),
        cargo_home: shown_path(&cargo_home),
        store: request.store_in_bytes(),
        command: words::deciding(&request.command).into_iter().map(shown).collect(),
        rust: toolchains.rust,
        go,
        ccache,
        distribution: distribution(),
        package_manager: packages.manager,
        package_mode: request.packages,
        packages: packages.tracked,
        tools,
        libraries: toolchains.libraries,
        places: places.digests,
        named_paths,
        environment: environment::shown(&for_all),
        cargo_config: config.digests.clone(),
        cpu: cpu::native(&counting, &request.command, &config),
        domain: request.domain.clone(),
    };
    let surroundings = Surroundings::new(cargo_home, directories, config, environment, &others);
    let surroundings = Surroundings { go: go_place, ccache: ccache_place, ..surroundings };
    let versions = toolchains.versions.or_else(|| before.versions.clone());
    let (packages, places, trees) = (Some(package_cache), places.cache, looker.after);
    let observed = IdentityCache { packages, places, versions, trees };
    Ok((Answer { identity: Identity::of(identity)?, surroundings }, observed))
}

/// Cargo's configuration, where Cargo is attached.
fn read_config(
    request: &Request,
    said: &words::Said,
    cargo_home: &Path,
    environment: &Environment,
) -> Result<cargo_config::CargoConfig, IdentifyError> {
    if request.with.contains(&CacheKind::Cargo) {
        let base = said.base(request);
        let (source, configs) = (&request.source, &said.configs);
        let config = cargo_config::read(source, &base, configs, cargo_home, environment)?;
        strangers::refuse(&[source, &base], &config, environment)?;
        Ok(config)
    } else {
        Ok(cargo_config::CargoConfig::default())
    }
}

type Around = ((packages::Packages, packages::PackageCache), places::SeenPlaces);

/// The packages, and the places in which they may have put something.
fn look_around(
    request: &Request,
    search: &search::Search,
    before: &IdentityCache,
) -> Result<Around, IdentifyError> {
    let (root, packages) = (Path::new("/"), before.packages.as_ref());
    let found = packages::observe(root, request.packages, &request.build_packages, packages)?;
    let foreign = &found.0.foreign;
    let places = places::observe(root, search.directories(), foreign, Some(&before.places))?;
    Ok((found, places))
}

/// Observes files and trees, each only once, with the help of what was seen the last time.
struct Looker<'a> {
    before: &'a BTreeMap<Vec<u8>, Tree>,
    after: BTreeMap<Vec<u8>, Tree>,
}

impl Looker<'_> {
    /// The digest of a file's content, or of a whole tree; nothing if it does not exist.
    fn look(
        &mut self,
        path: &Path,
        wanted: impl Fn(&Path, bool) -> bool + Sync,
    ) -> Result<Option<Digest>, ObserveError> {
        let key = path.as_os_str().as_bytes().to_vec();
        if !self.after.contains_key(&key) {
            let tree = Tree::observe(path, self.before.get(&key), wanted)?;
            self.after.insert(key.clone(), tree);
        }
        Ok(self.after.get(&key).filter(|tree| !tree.is_empty()).map(Tree::digest))
    }

    /// The same for everything at a path whose symlinks are resolved first.
    fn look_at_real(&mut self, path: &Path) -> Result<Option<Digest>, ObserveError> {
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        self.look(&real, |_, _| true)
    }
}

/// The code name of the distribution, or its id, from `os-release(5)`.
fn distribution() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim_matches('"').to_owned())
    };
    value("VERSION_CODENAME=").or_else(|| value("ID=")).unwrap_or_default()
}

/// Bytes as text that stands for these bytes alone: what is not UTF-8, and the escape itself, is
/// escaped.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\u{fffd}') => text.to_owned(),
        _ => format!("\u{fffd}{}", bytes.escape_ascii()),
    }
}

fn shown_path(path: &Path) -> String {
    shown(path.as_os_str().as_bytes())
}

/// The unique parts of a list, for maps that are kept small.
fn unique<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    items.into_iter().collect()
}
