//! The packages of the place where the compiler runs, as far as they can reach a compilation.
//!
//! A package manager's database is fast to read and explains well: it says that `libssl-dev`
//! went from one version to another. It is not trusted for content: what really lies in the
//! places where compilers look counts besides ([`super::places`]).

mod dpkg;
mod owner;
mod pacman;
mod rpm;

pub(crate) use self::owner::owners;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::digest::{Digest, DigestBuilder};
use crate::base::tree::Stamp;
use crate::observe::identity::PackageMode;

/// The packages that count, and the files of those that do not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Packages {
    /// `dpkg`, `rpm`, `pacman` or `none`.
    pub manager: String,
    /// Version and digest of the manager's checksums, by name and architecture.
    pub tracked: BTreeMap<String, String>,
    /// Files in the places where compilers look that belong to packages which do not count;
    /// as bytes.
    pub foreign: BTreeSet<Vec<u8>>,
}

/// What was found the last time, and by what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PackageCache {
    key: Digest,
    packages: Packages,
}

/// A package database that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the package database {}", path.display())]
pub(crate) struct PackagesError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl PackagesError {
    fn new(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { path, source }
    }
}

/// What is asked of a database.
struct Question<'a> {
    root: &'a Path,
    mode: PackageMode,
    build_packages: &'a [String],
}

/// Looks into the package database below `root`; `cache` is believed while the database is the
/// same.
pub(super) fn observe(
    root: &Path,
    mode: PackageMode,
    build_packages: &[String],
    cache: Option<&PackageCache>,
) -> Result<(Packages, PackageCache), PackagesError> {
    let question = Question { root, mode, build_packages };
    let key = question.key()?;
    if let Some(known) = cache.filter(|known| known.key == key) {
        return Ok((known.packages.clone(), known.clone()));
    }
    let packages = if root.join(dpkg::STATUS).exists() {
        dpkg::observe(&question)?
    } else if let Some(packages) = rpm::observe(root)? {
        packages
    } else if root.join(pacman::LOCAL).is_dir() {
        pacman::observe(root)?
    } else {
        Packages { manager: "none".to_owned(), ..Packages::default() }
    };
    Ok((packages.clone(), PackageCache { key, packages }))
}

impl Question<'_> {
    /// A digest of everything that the answer depends on, cheap to compute.
    ///
    /// The time of a directory does not stand for what is in it: rpm writes into its files, and
    /// in mkosi 25.3 the info directory has the base image's time while the layer below it
    /// changes. `status` goes by content, because mkosi writes it anew in every build.
    fn key(&self) -> Result<Digest, PackagesError> {
        let mut builder = DigestBuilder::default();
        builder.field(format!("{:?} {:?}", self.mode, self.build_packages).as_bytes());
        for database in
            [dpkg::STATUS, dpkg::INFO, pacman::LOCAL, rpm::DATABASES[0], rpm::DATABASES[1]]
        {
            let path = self.root.join(database);
            let Ok(metadata) = std::fs::metadata(&path) else { continue };
            if metadata.is_file() {
                let digest = Digest::of_file(&path).map_err(PackagesError::new(&path))?;
                builder.field(digest.as_bytes());
                continue;
            }
            builder.field(database.as_bytes());
            add_stamps(&mut builder, &path)?;
        }
        Ok(builder.finish())
    }
}

/// Adds the names and stamps of what a database directory holds. Asking rpm makes files anew that
/// say nothing; of dpkg's, only those count that are read.
fn add_stamps(builder: &mut DigestBuilder, dir: &Path) -> Result<(), PackagesError> {
    let passing =
        |name: &str| name.starts_with('.') || name.starts_with("__db.") || name.ends_with("-shm");
    let info = dir.ends_with(dpkg::INFO);
    let read = |name: &str| matches!(name.rsplit_once('.'), Some((_, "list" | "md5sums")));
    for name in listing(dir)?.iter().filter(|name| !passing(name) && (!info || read(name))) {
        let Ok(metadata) = std::fs::symlink_metadata(dir.join(name)) else { continue };
        let Stamp { ino, size, mtime, ctime } = Stamp::of(&metadata);
        builder.field(name.as_bytes());
        builder.field(&ino.to_le_bytes()).field(&size.to_le_bytes());
        builder.field(&mtime.0.to_le_bytes()).field(&ctime.0.to_le_bytes());
    }
    Ok(())
}

/// The names in a directory, sorted; none if there is no such directory.
fn listing(dir: &Path) -> Result<Vec<String>, PackagesError> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(PackagesError::new(dir))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The first half of a digest: enough to tell two packages apart.
fn short(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()[..16].to_owned()
}
