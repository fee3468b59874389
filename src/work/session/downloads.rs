//! What Cargo downloaded, before it is used and after.
//!
//! Each kept directory has downloads of its own. Projects share archives alone, by the checksums of their lock files
//! (decision 106).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Session;
use crate::base::atomic;
use crate::base::path_error::At;
use crate::decide::reconcile::some_of;
use crate::host::home::Home;
use crate::observe::sources::{Lockfile, Package, SourceState, read_true};
use crate::output::one_line;
use crate::store::evict::Trash;
use crate::work::situation::{Begun, Seen};

impl Session<'_> {
    /// Takes from the directory's own downloads what Cargo did not put there, before anybody looks at them.
    pub(super) fn clear_misplaced(&self, trash: &mut Trash<'_>) -> Result<()> {
        let misplaced: Vec<PathBuf> = self.checkout.home.iter().flat_map(Home::misplaced).collect();
        self.take_downloads(&misplaced, trash)
    }

    /// Takes from them what is not as it was downloaded, so that Cargo unpacks or fetches it again, as it would in a
    /// cold build.
    pub(super) fn renew_downloads(&self, seen: &mut Seen, trash: &mut Trash<'_>) -> Result<()> {
        let Some((home, kept)) = self.kept_home() else { return Ok(()) };
        let packages = &mut seen.state.packages;
        let mut spoilt: Vec<PathBuf> = packages.spoilt().map(|name| kept.join(name)).collect();
        spoilt.extend(packages.spoilt().filter_map(|name| Some(kept.join(database_of(name)?))));
        if let Some(lock) =
            seen.state.lock.as_ref().filter(|_| !self.entry.record().last_succeeded())
        {
            let lacks = |package: &&Package| !packages.has(&package.id());
            let names = lock.packages.iter().filter(lacks).filter_map(Package::repository);
            spoilt.extend(databases(kept, &names.collect()));
        }
        spoilt.sort();
        spoilt.dedup();
        seen.state_is_recorded &= spoilt.is_empty();
        packages.forget_spoilt();
        if let Some(lock) = &seen.state.lock {
            let is_unpacked = |package: &Package| packages.has(&package.id());
            spoilt.extend(false_archives(&home.registry(), lock, is_unpacked));
        }
        self.take_downloads(&spoilt, trash)
    }

    /// Takes away all archives that are not what the lock file says: a cold build unpacks each of them.
    pub(super) fn renew_archives(&self) -> Result<()> {
        let Some((home, _)) = self.kept_home() else { return Ok(()) };
        let state = atomic::read_binary::<SourceState>(&self.entry.paths().state())?;
        let Some(lock) = state.and_then(|state| state.lock) else { return Ok(()) };
        let spoilt = false_archives(&home.registry(), &lock, |_| false);
        self.take_downloads(&spoilt, &mut Trash::new(self.store))
    }

    /// Gives the directory the archives of its lock file that other builds of the store downloaded. What cannot be had
    /// so Cargo downloads.
    pub(super) fn bring_archives(&self, begun: &Begun) {
        if let Err(error) = self.try_to_bring(begun) {
            let error = one_line(&error);
            self.output.warning(&format!("archives in the store are not used: {error}"));
        }
    }

    fn try_to_bring(&self, begun: &Begun) -> Result<()> {
        let Some(((home, _), lock)) = self.kept_home().zip(begun.state.lock.as_ref()) else {
            return Ok(());
        };
        let indexes = indexes(&home.registry());
        let mut trash = Trash::new(self.store);
        for (package, sum) in with_sums(lock) {
            let file = archive_of(package);
            if indexes.iter().any(|index| fs::symlink_metadata(index.join(&file)).is_ok()) {
                continue;
            }
            let Some((index, bytes)) = self.store.archive(&file, sum, &mut trash)? else {
                continue;
            };
            let dir = home.registry().join("cache").join(index);
            atomic::make_dir(&dir).at("make", &dir)?;
            atomic::write_copy(&dir.join(file), &bytes)?;
        }
        Ok(())
    }

    /// Gives the store what this directory downloaded, as far as its lock file vouches for it. That it cannot takes
    /// nothing from the build.
    pub(super) fn share_archives(&self, lock: Option<&Lockfile>) {
        if let Err(error) = self.try_to_share(lock) {
            let error = one_line(&error);
            self.output.warning(&format!("downloaded archives are not shared: {error}"));
        }
    }

    fn try_to_share(&self, lock: Option<&Lockfile>) -> Result<()> {
        let Some(((home, _), lock)) = self.kept_home().zip(lock) else { return Ok(()) };
        let mut trash = Trash::new(self.store);
        for index in indexes(&home.registry()) {
            let name: OsString = index.file_name().unwrap_or_default().to_owned();
            for (package, sum) in with_sums(lock) {
                let (file, own) = (archive_of(package), index.join(archive_of(package)));
                let Ok(metadata) = fs::symlink_metadata(&own) else { continue };
                if self.store.has_archive(&name, &file, metadata.len()) {
                    continue;
                }
                let Some(bytes) = read_true(&own, sum) else { continue };
                self.store.add_archive(&name, &file, &bytes, &mut trash)?;
            }
        }
        Ok(())
    }

    fn kept_home(&self) -> Option<(&Home, &Path)> {
        let home = self.checkout.home.as_ref()?;
        Some((home, home.kept()?))
    }

    fn take_downloads(&self, spoilt: &[PathBuf], trash: &mut Trash<'_>) -> Result<()> {
        if spoilt.is_empty() {
            return Ok(());
        }
        for path in spoilt {
            trash.take(path)?;
        }
        let dir = &self.entry.paths().dir;
        let name = |path: &PathBuf| path.strip_prefix(dir).unwrap_or(path).display().to_string();
        let names = some_of(spoilt.iter().map(name));
        self.output.note(&format!("not as it was downloaded, and got anew: {names}"));
        Ok(())
    }
}

/// The database from which a git checkout was made (`sources/git/source.rs`, Cargo 1.95): both are of one name. Where the
/// checkout is not what its commit says, or is gone, nothing tells that the database is.
fn database_of(checkout: &Path) -> Option<PathBuf> {
    let repository = checkout.strip_prefix("git/checkouts").ok()?.components().next()?;
    Some(Path::new("git/db").join(repository))
}

/// The databases of repositories by their names: those of checkouts that were to be made when the last attempt failed.
fn databases(kept: &Path, names: &BTreeSet<String>) -> Vec<PathBuf> {
    let found = fs::read_dir(kept.join("git/db")).into_iter().flatten().flatten();
    let is_one = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase());
        let name = name.as_deref().and_then(|name| name.rsplit_once('-'));
        name.is_some_and(|(name, _)| names.contains(name))
    };
    found.map(|entry| entry.path()).filter(is_one).collect()
}

fn with_sums(lock: &Lockfile) -> impl Iterator<Item = (&Package, &String)> {
    lock.packages.iter().filter_map(|package| Some((package, package.checksum.as_ref()?)))
}

/// The archives of a lock file's packages that are not what it says they are. Cargo checks a `.crate` only while it
/// downloads it (`sources/registry/download.rs`, Cargo 1.95), so of what is unpacked already only the kind counts.
fn false_archives(
    registry: &Path,
    lock: &Lockfile,
    is_unpacked: impl Fn(&Package) -> bool,
) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    let indexes = indexes(registry);
    for (package, sum) in with_sums(lock) {
        for archive in indexes.iter().map(|index| index.join(archive_of(package))) {
            let Ok(metadata) = fs::symlink_metadata(&archive) else { continue };
            let is_plain = metadata.is_file() && is_unpacked(package);
            if !is_plain && read_true(&archive, sum).is_none() {
                found.insert(archive);
            }
        }
    }
    found.into_iter().collect()
}

fn archive_of(package: &Package) -> String {
    format!("{}-{}.crate", package.name, package.version)
}

/// The directories with the archives of each registry.
fn indexes(registry: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(registry.join("cache")).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|it| it.is_dir()));
    directories.map(|entry| entry.path()).collect()
}
