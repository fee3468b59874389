//! What a command left: in `target/` all that users or later commands may take, and in the sources what it
//! wrote, changed or deleted. By content, kind and mode; times are nobody's result.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use walkdir::{DirEntry, WalkDir};

use crate::base::digest::Digest;
use crate::observe::cargo_layout::{Layout, NOTES};

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    /// A file with a mode; without content where it cannot be read.
    File(u32, Option<Digest>),
    /// A symlink and where it points.
    Symlink(PathBuf),
    /// A directory with a mode.
    Directory(u32),
    /// A device, FIFO or socket.
    Special,
}

/// What stands at paths.
pub(super) type Left = BTreeMap<PathBuf, Thing>;

/// What stands in `target/` where users take it: artifacts of all profiles, and what is not Cargo's. Dep-info
/// is Cargo's own.
pub(super) fn in_target(target: &Path) -> Result<Left> {
    let layout = Layout::scan(target)?;
    let mut left = Left::new();
    let uplifted = layout.profiles.iter().flat_map(|profile| &profile.uplifted);
    let taken = uplifted.filter(|path| path.extension() != Some(OsStr::new("d")));
    for path in taken.chain(layout.beside()).filter(|path| !is_notes(path)) {
        add(target, path, &|_| true, &mut left)?;
    }
    // That there is a directory says nothing: cargo makes some for whoever asks.
    left.retain(|_, thing| !matches!(thing, Thing::Directory(_)));
    Ok(left)
}

/// Everything below the top of the sources but every `.git`, and but the paths in `without`.
pub(super) fn in_sources(source: &Path, without: &[PathBuf]) -> Result<Left> {
    let is_git = |path: &Path| path.file_name().is_some_and(|name| name == ".git");
    let is_wanted = |path: &Path| !is_git(path) && !without.iter().any(|other| path == other);
    let mut left = Left::new();
    add(source, Path::new(""), &is_wanted, &mut left)?;
    // Sockets and their like are in no copy; the top itself is larder's.
    left.retain(|path, thing| *thing != Thing::Special && !path.as_os_str().is_empty());
    Ok(left)
}

/// What stands in a directory where Cargo puts finished artifacts and nothing else is its own; by paths below
/// `place`, where it belongs.
pub(super) fn in_results(dir: &Path, place: &Path) -> Result<Left> {
    let is_wanted = |path: &Path| {
        let is_dep_info = path.extension() == Some(OsStr::new("d"));
        let is_lock = path.extension() == Some(OsStr::new("lock")) && dir.join(path).is_file();
        !(is_dep_info || is_notes(path) || (is_lock && is_hidden(path)))
    };
    let mut left = Left::new();
    if dir.is_dir() {
        add(dir, Path::new(""), &is_wanted, &mut left)?;
    }
    left.retain(|_, thing| !matches!(thing, Thing::Directory(_) | Thing::Special));
    Ok(left.into_iter().map(|(path, thing)| (place.join(path), thing)).collect())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// The paths at which one has something else than the other.
pub(super) fn differing(one: &Left, other: &Left) -> Vec<PathBuf> {
    let mut names: Vec<&PathBuf> = one.keys().chain(other.keys()).collect();
    names.sort();
    names.dedup();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

fn is_notes(path: &Path) -> bool {
    NOTES.iter().any(|name| path == Path::new(name))
}

fn add(top: &Path, path: &Path, wanted: &dyn Fn(&Path) -> bool, left: &mut Left) -> Result<()> {
    let root = if path.as_os_str().is_empty() { top.to_owned() } else { top.join(path) };
    let relative = |item: &DirEntry| item.path().strip_prefix(top).unwrap_or(path).to_owned();
    let walk = WalkDir::new(&root).into_iter().filter_entry(|item| wanted(&relative(item)));
    for item in walk {
        let item = match item {
            Ok(item) => item,
            Err(error) if is_passed_over(error.io_error()) => continue,
            Err(error) => return Err(error).context("cannot read what the command left"),
        };
        match look(&item) {
            Ok(thing) => drop(left.insert(relative(&item), thing)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let place = item.path().display();
                return Err(error).with_context(|| format!("cannot read {place}"));
            }
        }
    }
    Ok(())
}

fn is_passed_over(error: Option<&io::Error>) -> bool {
    let kind = error.map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied))
}

fn look(item: &DirEntry) -> io::Result<Thing> {
    let metadata = item.metadata()?;
    let mode = metadata.permissions().mode() & 0o7777;
    Ok(if metadata.is_symlink() {
        Thing::Symlink(fs::read_link(item.path())?)
    } else if metadata.is_dir() {
        Thing::Directory(mode)
    } else if metadata.is_file() {
        match Digest::of_file(item.path()) {
            Ok(digest) => Thing::File(mode, Some(digest)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Thing::File(mode, None)
            }
            Err(error) => return Err(error),
        }
    } else {
        Thing::Special
    })
}
