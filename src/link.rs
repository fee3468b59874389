//! The name `target` in the sources: a mount point while a command runs, a symlink afterwards.
//!
//! larder takes this name only where nothing is, where an empty directory is, or where a symlink
//! of its own is. Anything else is somebody's work and is never touched.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::evict::{self, EvictError};
use crate::fault;
use crate::names::{ProjectName, ToolchainId};

/// A `target` that larder cannot take.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Something else is there.
    #[error("{} was not made by larder; move it away or remove it, then try again", .0.display())]
    Occupied(PathBuf),
    /// The name could not be made.
    #[error("cannot make {}", path.display())]
    Io {
        /// The name.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An old symlink could not be removed.
    #[error(transparent)]
    Evict(#[from] EvictError),
}

/// Checks that larder may take the name, and changes nothing.
pub fn check(place: &Path) -> Result<(), LinkError> {
    let metadata = match fs::symlink_metadata(place) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(LinkError::Io { path: place.to_owned(), source });
        }
    };
    let is_empty = || fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_none());
    if (metadata.is_symlink() && is_own(place)) || (metadata.is_dir() && is_empty()) {
        Ok(())
    } else {
        Err(LinkError::Occupied(place.to_owned()))
    }
}

/// Leaves an empty directory at the name, to mount on.
pub fn make_mount_point(place: &Path) -> Result<(), LinkError> {
    check(place)?;
    evict_symlink(place)?;
    fault::point("link.make");
    fs::create_dir_all(place).map_err(|source| LinkError::Io { path: place.to_owned(), source })
}

/// Leaves a symlink to the kept directory at the name.
pub fn make_link(place: &Path, target: &Path) -> Result<(), LinkError> {
    check(place)?;
    evict_symlink(place)?;
    evict::remove_empty_dir(place)?;
    let fail = |source| LinkError::Io { path: place.to_owned(), source };
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent).map_err(fail)?;
    }
    fault::point("link.symlink");
    symlink(target, place).map_err(fail)
}

fn evict_symlink(place: &Path) -> Result<(), LinkError> {
    if place.is_symlink() { Ok(evict::remove_symlink(place)?) } else { Ok(()) }
}

/// Whether a symlink leads to `projects/<project>/<toolchain id>/target` of some store, or to a cold
/// build beside it: this store, one that has moved, or one that is not mounted now.
fn is_own(link: &Path) -> bool {
    let Ok(target) = fs::read_link(link) else {
        return false;
    };
    let names: Vec<_> = target.iter().rev().take(4).map(|name| name.to_string_lossy()).collect();
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

    #[test]
    fn only_what_is_larders_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("target");
        let kept = dir.path().join("projects/p").join("0".repeat(64)).join("target");
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join("canary"), "alive").unwrap();
        make_mount_point(&place).unwrap();
        make_link(&place, &kept).unwrap();
        assert_eq!(fs::read_link(&place).unwrap(), kept);
        make_mount_point(&place).unwrap();
        assert!(!place.is_symlink() && place.is_dir() && kept.join("canary").exists());
        fs::write(place.join("theirs"), "").unwrap();
        assert!(matches!(make_mount_point(&place), Err(LinkError::Occupied(_))));
        assert!(matches!(make_link(&place, &kept), Err(LinkError::Occupied(_))));
        assert!(place.join("theirs").exists());
    }

    #[test]
    fn somebody_elses_symlink_or_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("target");
        symlink("/tmp", &place).unwrap();
        assert!(matches!(check(&place), Err(LinkError::Occupied(_))));
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(make_link(&file, dir.path()), Err(LinkError::Occupied(_))));
    }
}
