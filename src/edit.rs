//! The only room that changes files of an image repository: each in one step, with its mode and its
//! owner, so that a build that runs meanwhile reads the old script or the new one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid};

use crate::fault;

/// A file that could not be changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}", path.display())]
pub struct EditError {
    verb: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl EditError {
    fn new(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { verb, path, source }
    }
}

/// Puts another text in place of a file's. A symlink stays, what it leads to is changed.
pub fn replace(path: &Path, text: &str) -> Result<(), EditError> {
    let path = &fs::canonicalize(path).map_err(EditError::new("find", path))?;
    let like = fs::metadata(path).map_err(EditError::new("read", path))?;
    put(path, text, &like, like.permissions().mode()).map_err(EditError::new("change", path))
}

/// Adds a file where none is, for the owner of its directory.
pub fn add(path: &Path, text: &str) -> Result<(), EditError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let like = fs::metadata(parent).map_err(EditError::new("read", parent))?;
    put(path, text, &like, 0o644).map_err(EditError::new("add", path))
}

fn put(path: &Path, text: &str, owner: &fs::Metadata, mode: u32) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fault::point("edit.create");
    let mut file = tempfile::Builder::new().prefix(".larder-new-").tempfile_in(parent)?;
    fault::point("edit.write");
    file.write_all(text.as_bytes())?;
    let made = file.as_file().metadata()?;
    if (made.uid(), made.gid()) != (owner.uid(), owner.gid()) {
        let (uid, gid) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
        rustix::fs::fchown(file.as_file().as_fd(), Some(uid), Some(gid))?;
    }
    file.as_file().set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
    fault::point("edit.sync");
    file.as_file().sync_all()?;
    fault::point("edit.rename");
    file.persist(path).map_err(|error| error.error)?;
    fault::point("edit.sync-directory");
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_keeps_its_mode_and_a_symlink_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o751)).unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        replace(&link, "new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o751);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert!(replace(&dir.path().join("none"), "x").is_err());
    }
}
