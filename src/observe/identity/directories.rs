//! In which directories Cargo puts what it builds, as far as that can be seen before it runs.
//!
//! What decides, first to last, in Cargo 1.95: `--target-dir`, `CARGO_TARGET_DIR`, `--config`,
//! `CARGO_BUILD_TARGET_DIR`, the files nearest to the working directory, Cargo's home; for `build.build-dir`
//! the same without the first two (`util/context/mod.rs`, `target_dir` and `build_dir`). Where a build directory
//! is set, units are there and only finished artifacts in the target directory.
//!
//! Sources are looked for in `--source`. Where the command builds another workspace, nothing vouches for what is
//! kept, so that all of it would be built again each time; then nothing is attached, and Cargo alone decides (decision 87).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::ask::Caller;
use super::cargo_config::CargoConfig;
use super::search::Search;
use super::words::{self, Said};
use super::{Environment, Request};
use crate::base::regular;
use crate::observe::sources::plain;

/// Where Cargo puts what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directories {
    /// Where its units are: this is attached. Nothing where it builds another workspace.
    pub units: Option<PathBuf>,
    /// Where its artifacts go, if elsewhere: this is left alone.
    pub results: Option<PathBuf>,
    /// Where copies of its artifacts go besides (`--artifact-dir`).
    pub artifacts: Option<PathBuf>,
    /// Why a directory that it was told to use is not attached.
    pub note: Option<String>,
}

/// How long Cargo may read manifests: of a member that is a FIFO it waits for what nobody writes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What `cargo metadata` says of a workspace; `build_directory` from 1.91 on.
#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
    build_directory: Option<PathBuf>,
}

/// Finds them. Cargo itself is asked only where a build directory is set (whether it heeds that, and what a
/// template in it stands for, it knows), or where it may be another workspace's.
pub(super) fn find(
    request: &Request,
    said: &Said,
    config: &CargoConfig,
    environment: &Environment,
    search: &Search,
) -> Directories {
    let get = |name: &str| environment.get(OsStr::new(name)).filter(|value| !value.is_empty());
    let base = said.base(request);
    let variable = |name: &str| get(name).map(|value| base.join(value));
    let told = said.target_dir.as_ref().map(|dir| base.join(dir));
    let told = told.or_else(|| variable("CARGO_TARGET_DIR"));
    let told = told.or_else(|| config.target_dir().map(Path::to_owned));
    let told = told.map(|dir| plain(&dir));
    let is_asked = config.build_dir().is_some() || may_be_another(said, &base, request);
    let metadata = is_asked.then(|| ask(said, &base, environment, search)).flatten();
    if let Some(metadata) =
        metadata.as_ref().filter(|metadata| metadata.is_of_another(said, request))
    {
        let results = told.unwrap_or_else(|| plain(&metadata.target_directory));
        let (units, results, note) = (None, Some(results), Some(metadata.note()));
        return Directories { units, results, artifacts: None, note };
    }
    let default = || request.source.join("target");
    let artifacts = said.artifact_dir.as_ref().map(|dir| base.join(dir));
    let artifacts = artifacts.or_else(|| config.artifact_dir().map(Path::to_owned));
    let artifacts = artifacts.map(|dir| plain(&dir));
    let target = told.unwrap_or_else(default);
    let builds = metadata.and_then(|metadata| metadata.builds()).filter(|builds| *builds != target);
    let (units, results, note) = match builds {
        Some(units) => match unfit(&units, request) {
            None => (units, Some(target), None),
            // Then nothing of Cargo's is attached but what finished artifacts are.
            Some(note) => (target, None, Some(note)),
        },
        None => match unfit(&target, request) {
            None => (target, None, None),
            Some(note) => (default(), Some(target), Some(note)),
        },
    };
    let units = Some(units);
    Directories { units, results, artifacts, note }
}

/// Whether the command may build another workspace than that of the sources: its manifest is not theirs, or
/// theirs may belong to a workspace above. Of what is no build of Cargo's own nothing is known.
fn may_be_another(said: &Said, base: &Path, request: &Request) -> bool {
    let manifest = said.manifest.as_ref().map(|manifest| plain(&base.join(manifest)));
    let from = manifest.as_deref().and_then(Path::parent).unwrap_or(base);
    let mut manifests = from.ancestors().filter(|dir| dir.join("Cargo.toml").is_file());
    said.compiles && (manifests.next() != Some(&request.source) || manifests.next().is_some())
}

impl Metadata {
    /// Whether it is that of a workspace whose top the sources are not.
    fn is_of_another(&self, said: &Said, request: &Request) -> bool {
        let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| plain(path));
        said.compiles && real(&self.workspace_root) != real(&request.source)
    }

    fn note(&self) -> String {
        let root = self.workspace_root.display();
        format!(
            "cargo builds the workspace {root}, and --source names another directory; what it builds is left alone"
        )
    }

    /// The build directory, if it is not the target directory.
    fn builds(&self) -> Option<PathBuf> {
        let differs = |dir: &&PathBuf| **dir != self.target_directory;
        self.build_directory.as_ref().filter(differs).map(|dir| plain(dir))
    }
}

/// Why a directory cannot be attached.
fn unfit(dir: &Path, request: &Request) -> Option<String> {
    let shown = dir.display();
    if request.source.starts_with(dir) {
        Some(format!("{shown} holds the sources; what cargo builds there is left alone"))
    } else if dir.starts_with(&request.store) {
        Some(format!("{shown} is inside of the store; what cargo builds there is left alone"))
    } else {
        None
    }
}

/// What Cargo itself says; nothing where it does not tell.
fn ask(said: &Said, base: &Path, environment: &Environment, search: &Search) -> Option<Metadata> {
    let cargo = search.find(&said.program)?;
    let mut arguments: Vec<String> = said.toolchain.iter().cloned().collect();
    for config in &said.configs {
        arguments.extend(["--config".to_owned(), config.clone()]);
    }
    arguments
        .extend(["metadata", "--no-deps", "--offline", "--format-version=1"].map(str::to_owned));
    if let Some(manifest) = &said.manifest {
        arguments.extend(["--manifest-path".to_owned(), manifest.to_string_lossy().into_owned()]);
    }
    let caller = Caller { dir: base.to_owned(), environment: environment.clone() };
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = caller.ask_for(PATIENCE, &cargo, &arguments).answer().ok()?;
    serde_json::from_str(&answer).ok()
}

/// Whether a directory is one that Cargo made for what it builds: such a one is never an input as a whole.
pub(super) fn is_cargos(dir: &Path) -> bool {
    let tag = regular::read(&dir.join("CACHEDIR.TAG"), regular::TEXT).unwrap_or_default();
    tag.starts_with(b"Signature: 8a477f597d28d172789f06886806bc55")
        && dir.join(".rustc_info.json").is_file()
}

impl Said {
    /// The directory from which Cargo looks, as the compiler sees it.
    pub(super) fn base(&self, request: &Request) -> PathBuf {
        let from = request.directory.as_ref().unwrap_or(&request.source);
        from.join(&self.directory)
    }
}

/// What the command says to Cargo of directories and configuration; nothing where it is not Cargo itself.
pub(super) fn said(command: &[Vec<u8>]) -> Said {
    let mut said = words::said(command);
    if said.program.as_os_str().is_empty() {
        said.program = PathBuf::from("cargo");
    }
    said
}
