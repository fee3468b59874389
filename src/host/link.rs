//! The name `target` in the sources: a mount point while a command runs, and afterwards a directory with a
//! symlink for each profile that leads to the kept one (decision 79).
//!
//! larder takes the name where nothing is, or a directory, whatever is in it: a mount hides that, and takes
//! nothing away. Of what is in it only symlinks of larder's own are ever removed.

#![expect(clippy::disallowed_methods, reason = "makes the name `target`, and what it leads to")]

mod left;

pub(crate) use self::left::leave_copies;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use filetime::FileTime;

use crate::base::atomic::RecordError;
use crate::base::digest::Digest;
use crate::base::names::{ProjectName, ToolchainId};
use crate::base::path_error::{At, PathError};
use crate::base::{copy, fault, regular};
use crate::store::evict::{self, EvictError};

/// A `target` that larder cannot take.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// Something else is there.
    #[error("{} was not made by larder; move it away or remove it, then try again", .0.display())]
    Occupied(PathBuf),
    /// What says which copies are larder's could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The name could not be made.
    #[error(transparent)]
    Path(#[from] PathError),
    /// An old symlink could not be removed.
    #[error(transparent)]
    Evict(#[from] EvictError),
}

/// Checks that something can be mounted at the name, and changes nothing.
pub(crate) fn check(place: &Path) -> Result<(), LinkError> {
    match fs::symlink_metadata(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(PathError::new("make", place, error).into()),
        Ok(_) if whole_link(place).is_some() || place.is_dir() => Ok(()),
        Ok(_) => Err(LinkError::Occupied(place.to_owned())),
    }
}

/// Leaves a directory at the name, to mount on; what is in it is hidden meanwhile.
pub(crate) fn make_mount_point(place: &Path) -> Result<(), LinkError> {
    check(place)?;
    evict_whole_link(place)?;
    if place.is_dir() {
        return Ok(());
    }
    fault::point("link.make");
    Ok(fs::create_dir_all(place).at("make", place)?)
}

/// Leaves a symlink to the kept directory at the name, for a command where nothing can be mounted. Only where
/// nothing else is than what larder left.
pub(crate) fn make_whole_link(place: &Path, kept: &Path) -> Result<(), LinkError> {
    check(place)?;
    evict_whole_link(place)?;
    left::take_back(place)?;
    if place.is_symlink() {
        return Err(LinkError::Occupied(place.to_owned()));
    }
    if place.is_dir() {
        let names = names_in(place)?;
        if names.iter().any(|name| own_link(&place.join(name)).is_none()) {
            return Err(LinkError::Occupied(place.to_owned()));
        }
        names.iter().try_for_each(|name| evict::remove_symlink(&place.join(name)))?;
        evict::remove_empty_dir(place)?;
    }
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent).at("make", parent)?;
    }
    fault::point("link.symlink");
    Ok(symlink(kept, place).at("make", place)?)
}

/// The kept directory that the name leads to.
pub(crate) fn leads_to(place: &Path) -> Option<PathBuf> {
    let inside = || names_in(place).ok()?.iter().find_map(|name| own_link(&place.join(name)));
    whole_link(place).or_else(inside)
}

/// Leaves a directory at the name in which each thing of the kept directory has a symlink to it. What somebody
/// else put there stays; the names of the kept directory that it stands in the way of are returned.
///
/// A directory, because `target/` in a `.gitignore` is no symlink, and because a cargo or an editor beside the
/// command then finds a place of its own for what larder does not keep.
pub(crate) fn leave(place: &Path, kept: &Path) -> Result<Vec<OsString>, LinkError> {
    make_mount_point(place)?;
    left::take_back(place)?;
    let theirs = names_in(place)?;
    let kept_names: Vec<OsString> =
        names_in(kept)?.into_iter().filter(|name| is_shown(name)).collect();
    for name in &theirs {
        let link = place.join(name);
        let is_outdated = own_link(&link).is_some_and(|leads| leads != kept)
            || (own_link(&link).is_some() && !kept_names.contains(name));
        if is_outdated {
            evict::remove_symlink(&link)?;
        }
    }
    let mut hidden = Vec::new();
    for name in kept_names {
        let link = place.join(&name);
        if own_link(&link).is_some() {
            continue;
        }
        if link.symlink_metadata().is_ok() {
            hidden.push(name);
            continue;
        }
        fault::point("link.symlink");
        symlink(kept.join(&name), &link).at("make", &link)?;
    }
    Ok(hidden)
}

/// Leaves a directory at the name with no way to the kept directory, for who may not go it.
pub(crate) fn leave_no_way(place: &Path) -> Result<(), LinkError> {
    make_mount_point(place)?;
    left::take_back(place)?;
    let own = names_in(place)?.into_iter().map(|name| place.join(name));
    let own = own.filter(|link| own_link(link).is_some());
    own.into_iter().try_for_each(|link| Ok(evict::remove_symlink(&link)?))
}

/// Puts copies of artifacts, by path relative to the kept directory, where users take them and where somebody
/// else's directory stands. Each in one step; what is the same already is left alone. What cannot be put there keeps
/// nothing else from it; the first error is told.
pub(crate) fn place_copies(
    place: &Path,
    kept: &Path,
    artifacts: &[PathBuf],
) -> Result<(), LinkError> {
    let mut first = Ok(());
    for path in artifacts {
        let placed = place_copy(&kept.join(path), &place.join(path));
        first = first.and(placed);
    }
    first
}

/// Whether something is in the place of an artifact, and not the artifact: users would take it for that.
pub(crate) fn is_another(place: &Path, kept: &Path, artifact: &Path) -> bool {
    let (from, to) = (kept.join(artifact), place.join(artifact));
    let is_file = fs::symlink_metadata(&from).is_ok_and(|from| from.is_file());
    is_file && to.symlink_metadata().is_ok() && !same_content(&from, &to).unwrap_or(false)
}

fn place_copy(from: &Path, to: &Path) -> Result<(), LinkError> {
    let metadata = fs::symlink_metadata(from).at("make", from)?;
    let time = FileTime::from_last_modification_time(&metadata);
    if !metadata.is_file() {
        return Ok(());
    }
    // Size and time alone would take what somebody else made within the same tick of the clock.
    let is_same = fs::symlink_metadata(to).is_ok_and(|there| {
        there.is_file()
            && there.len() == metadata.len()
            && FileTime::from_last_modification_time(&there) == time
    });
    if is_same && same_content(from, to).at("make", to)? {
        return Ok(());
    }
    let beside = to.parent().unwrap_or(Path::new("/"));
    fault::point("link.copy");
    fs::create_dir_all(beside).at("make", beside)?;
    let new = tempfile::Builder::new().prefix(".larder-").tempfile_in(beside);
    let new = new.at("make", to)?;
    let source = regular::open_own(from).at("make", to)?;
    copy::fill(&source, new.as_file(), &copy::unwatched).at("make", to)?;
    new.as_file().set_permissions(metadata.permissions()).at("make", to)?;
    filetime::set_file_mtime(new.path(), time).at("make", to)?;
    new.persist(to).at("make", to)?;
    Ok(())
}

fn same_content(from: &Path, to: &Path) -> io::Result<bool> {
    Ok(Digest::of_file(from)? == Digest::of_file(to)?)
}

/// What Cargo notes for itself at the top has no business outside of the command.
fn is_shown(name: &OsStr) -> bool {
    !name.as_bytes().starts_with(b".") && name != "CACHEDIR.TAG"
}

fn names_in(dir: &Path) -> Result<Vec<OsString>, LinkError> {
    let entries = fs::read_dir(dir).at("make", dir)?;
    let names: io::Result<Vec<OsString>> = entries.map(|entry| Ok(entry?.file_name())).collect();
    let mut names = names.at("make", dir)?;
    names.sort();
    Ok(names)
}

fn evict_whole_link(place: &Path) -> Result<(), LinkError> {
    if whole_link(place).is_some() { Ok(evict::remove_symlink(place)?) } else { Ok(()) }
}

/// The kept directory that a symlink in place of the whole name leads to.
fn whole_link(link: &Path) -> Option<PathBuf> {
    fs::read_link(link).ok().filter(|leads| is_kept(leads))
}

/// The kept directory of which a symlink leads to the thing of the same name.
fn own_link(link: &Path) -> Option<PathBuf> {
    let leads = fs::read_link(link).ok()?;
    let kept = leads.parent().filter(|kept| is_kept(kept))?;
    (leads.file_name() == link.file_name()).then(|| kept.to_owned())
}

/// Whether a path is `projects/<project>/<toolchain id>/target` of some store, or a cold build beside it: this
/// store, one that has moved, or one that is not mounted now.
fn is_kept(path: &Path) -> bool {
    let names: Vec<_> = path.iter().rev().take(4).map(|name| name.to_string_lossy()).collect();
    let [last, id, project, projects] = names.as_slice() else {
        return false;
    };
    (last == "target" || last.starts_with("cold-"))
        && projects == "projects"
        && id.parse::<ToolchainId>().is_ok()
        && project.parse::<ProjectName>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        _dir: tempfile::TempDir,
        place: PathBuf,
        kept: PathBuf,
    }

    fn scene() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("projects/p").join("0".repeat(64)).join("target");
        fs::create_dir_all(kept.join("release")).unwrap();
        fs::write(kept.join("release/app"), "new").unwrap();
        fs::write(kept.join("CACHEDIR.TAG"), "").unwrap();
        Scene { place: dir.path().join("target"), kept, _dir: dir }
    }

    #[test]
    fn a_directory_leads_to_what_is_kept() {
        let Scene { place, kept, _dir } = scene();
        make_mount_point(&place).unwrap();
        assert_eq!(leave(&place, &kept).unwrap(), Vec::<OsString>::new());
        assert!(!place.is_symlink());
        assert_eq!(names_in(&place).unwrap(), ["release"]);
        assert_eq!(fs::read_to_string(place.join("release/app")).unwrap(), "new");
        assert_eq!(leads_to(&place).unwrap(), kept);
        make_whole_link(&place, &kept).unwrap();
        assert_eq!(fs::read_link(&place).unwrap(), kept);
        leave(&place, &kept).unwrap();
        assert!(!place.is_symlink() && kept.join("release/app").exists());
    }

    #[test]
    fn what_is_not_kept_any_more_is_not_shown() {
        let Scene { place, kept, _dir } = scene();
        let other = kept.parent().unwrap().with_file_name("1".repeat(64)).join("target");
        fs::create_dir_all(other.join("debug")).unwrap();
        leave(&place, &kept).unwrap();
        leave(&place, &other).unwrap();
        assert_eq!(names_in(&place).unwrap(), ["debug"]);
        assert!(kept.join("release/app").exists());
    }

    #[test]
    fn what_somebody_else_put_there_stays_and_artifacts_are_copied_into_it() {
        let Scene { place, kept, _dir } = scene();
        fs::create_dir_all(place.join("release/deps")).unwrap();
        fs::write(place.join("release/deps/theirs"), "theirs").unwrap();
        fs::write(place.join("release/app"), "old").unwrap();
        let time = fs::metadata(kept.join("release/app")).unwrap().modified().unwrap();
        filetime::set_file_mtime(place.join("release/app"), time.into()).unwrap();
        symlink("/elsewhere", place.join("link")).unwrap();
        assert_eq!(leave(&place, &kept).unwrap(), ["release"]);
        place_copies(&place, &kept, &[PathBuf::from("release/app")]).unwrap();
        assert_eq!(fs::read_to_string(place.join("release/app")).unwrap(), "new");
        assert_eq!(fs::read_to_string(place.join("release/deps/theirs")).unwrap(), "theirs");
        assert_eq!(fs::read_link(place.join("link")).unwrap(), Path::new("/elsewhere"));
        assert!(matches!(make_whole_link(&place, &kept), Err(LinkError::Occupied(_))));
    }

    #[test]
    fn a_symlink_that_leads_nowhere_and_a_file_are_somebody_elses() {
        let Scene { place, kept, _dir } = scene();
        symlink("/nowhere/at/all", &place).unwrap();
        assert!(matches!(check(&place), Err(LinkError::Occupied(_))));
        let file = place.with_file_name("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(leave(&file, &kept), Err(LinkError::Occupied(_))));
    }
}
