//! A project at the place where it will be compiled: what is asked there, and what is locked.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::base::moment::Moment;
use crate::base::names::{DomainName, ProjectName, ToolchainId};
use crate::base::{atomic, environment};
use crate::host::attach;
use crate::host::place::Place;
use crate::observe::identity::{self, Answer, CacheKind, Request, THROWAWAY, Veil, Way};
use crate::output::Output;
use crate::store::config::{Domains, Settings};
use crate::store::{Claim, Lock, Store};

/// A project at the place where it will be compiled.
pub(crate) struct Project {
    pub name: ProjectName,
    /// What the user wants for it.
    pub settings: Settings,
    /// For whom it is built.
    pub domains: Domains,
    /// The number of this use, where what it leaves is thrown away.
    throwaway: Option<String>,
    /// The directory with its `Cargo.toml` or `go.mod`, as seen from here.
    pub source: PathBuf,
    /// What is kept warm for it.
    pub with: BTreeSet<CacheKind>,
    /// Where the compiler will run.
    pub place: Place,
    /// How the target directory can be attached here.
    pub way: Way,
    cannot_mount: Option<String>,
    command: Vec<Vec<u8>>,
}

/// Sources, and what is kept warm for them.
pub(crate) struct Kept {
    /// The directory, as seen from here.
    pub source: PathBuf,
    /// Nothing, where neither the user nor the directory says it.
    pub with: BTreeSet<CacheKind>,
}

impl Kept {
    /// What is kept for a command in `source`, or in the current directory: what the user says, or else what is found.
    pub(crate) fn find(
        source: Option<&Path>,
        with: &[CacheKind],
        command: &[OsString],
    ) -> Result<Self> {
        let source = source.unwrap_or(Path::new("."));
        let source = match std::fs::canonicalize(source) {
            Ok(source) if source.is_dir() => source,
            Ok(_) => {
                bail!("the source {} is not a directory; name it with --source", source.display())
            }
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("no source directory {}; name it with --source", source.display())
                });
            }
        };
        let found = || CacheKind::of_sources(&source, command);
        let with = if with.is_empty() { found() } else { with.iter().copied().collect() };
        Ok(Self { source, with })
    }
}

impl Project {
    /// The project of that name.
    pub(crate) fn find(
        store: &Store,
        name: ProjectName,
        kept: Kept,
        command: &[OsString],
        domains: Domains,
    ) -> Result<Self> {
        let settings = Settings::of(store, &name)?;
        let Kept { source, with } = kept;
        let first = command.first().map_or(OsStr::new(""), OsString::as_os_str);
        let place = Place::detect(environment::get("BUILDROOT"), first, &source);
        let cannot_mount = attach::try_mount(store.root()).err().map(|error| error.to_string());
        let way = if cannot_mount.is_none() { Way::Bind } else { Way::Symlink };
        let command = command.iter().map(|word| word.as_bytes().to_vec()).collect();
        let throwaway = None;
        Ok(Self {
            name,
            settings,
            domains,
            throwaway,
            source,
            with,
            place,
            way,
            cannot_mount,
            command,
        })
    }

    /// Has a directory of this use alone, which is thrown away.
    pub(crate) fn discard(&mut self) {
        let now = Moment::now();
        self.throwaway = Some(format!("{}-{}", std::process::id(), now.0));
    }

    /// Whether what this use leaves is thrown away.
    pub(crate) fn is_throwaway(&self) -> bool {
        self.throwaway.is_some()
    }

    /// The domain of its directory, as the identity names it.
    fn domain(&self) -> String {
        let own = in_identity(&self.domains.own);
        self.throwaway.iter().fold(own, |own, number| format!("{own}{THROWAWAY}{number}"))
    }

    /// The domains whose directories a new one may begin from, as identities name them, the nearest first. What
    /// is thrown away begins from its own.
    pub(crate) fn begins_from(&self) -> Vec<&DomainName> {
        let own = self.throwaway.as_ref().map(|_| &self.domains.own);
        own.into_iter().chain(&self.domains.from).collect()
    }

    /// The command's words, as the system takes them.
    pub(crate) fn words(&self) -> Vec<OsString> {
        identity::words(&self.command)
    }

    /// Whether the command is a shell with a plain script.
    pub(crate) fn has_plain_script(&self) -> bool {
        identity::is_plain_script(&self.command)
    }

    /// Where the command is started, as it sees it itself; not known where it enters a root of its own.
    fn directory(&self) -> Option<PathBuf> {
        let is_here = self.place == Place::Here;
        std::env::current_dir().ok().filter(|_| is_here)
    }

    /// Asks the place where the compiler will run.
    pub(crate) fn identify(&self, store: &Store) -> Result<Answer> {
        let request = Request {
            source: self.place.inside(&self.source),
            with: self.with.clone(),
            command: self.command.clone(),
            directory: self.directory(),
            way: self.way,
            store: store.root().to_owned(),
            observed: store.seed_observed(&self.name),
            packages: self.settings.packages,
            fidelity: self.settings.fidelity,
            build_packages: self.place.build_packages(),
            ignore_env: self.settings.ignore_env.clone(),
            salt: self.settings.salt.clone(),
            domain: self.domain(),
        };
        Ok(self.place.identify(&request)?)
    }

    /// What hides what nobody is to know.
    pub(crate) fn veil(&self, store: &Store) -> Result<Veil> {
        Ok(Veil::new(store.key()?, self.settings.show_env.clone()))
    }

    /// Takes the lock of a target directory, saying so if it has to wait.
    pub(crate) fn lock(&self, store: &Store, id: ToolchainId, output: Output) -> Result<Lock> {
        let image = environment::text("IMAGE_ID").filter(|id| !id.is_empty());
        let what = image.map_or_else(|| "larder run".to_owned(), |id| format!("image {id}"));
        let announce = |holder: &str| {
            output.note(&format!("waiting for {} {}: in use by {holder}", self.name, id.short()));
        };
        let path = store.entry(&self.name, id).lock();
        loop {
            store.make_project(&self.name)?;
            match Lock::acquire(&path, &what, self.settings.wait, announce) {
                // A collection has just removed the project's directory, which was empty.
                Err(error) if error.is_gone() => {}
                other => return Ok(other?),
            }
        }
    }

    /// Claims the directory that `target` is in, saying so if it has to wait; and which one that is.
    pub(crate) fn claim(&self, target: &Path, output: Output) -> Result<(PathBuf, Claim)> {
        let directory = target.parent().unwrap_or(Path::new("/"));
        atomic::make_dir(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let announce = |holder: &str| {
            let directory = directory.display();
            output.note(&format!("waiting for {directory}: in use by {holder}"));
        };
        let claim = Claim::acquire_checkout(directory, self.settings.wait, announce)?;
        Ok((directory.to_owned(), claim))
    }

    /// Whether Cargo's target directory is kept.
    pub(crate) fn keeps_cargo(&self) -> bool {
        self.with.contains(&CacheKind::Cargo)
    }

    /// Says that paths will differ, or that nothing is attached, if so.
    pub(crate) fn announce_symlink(&self, output: Output) {
        let Some(why) = &self.cannot_mount else { return };
        if self.keeps_cargo() {
            output.note(&format!(
                "{why}; target/ is a symlink instead, so paths in the artifacts may differ"
            ));
        }
        for kept in self.with.iter().filter(|kept| **kept != CacheKind::Cargo) {
            let name = kept.name();
            output.note(&format!("{why}; what {name} caches is not attached, and not kept"));
        }
    }
}

/// A domain as an identity names it: the default one adds nothing.
pub(crate) fn in_identity(domain: &DomainName) -> String {
    if domain.is_default() { String::new() } else { domain.to_string() }
}
