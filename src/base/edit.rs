//! The only room that changes files of an image repository: each in one step, with its mode and its
//! owner, so that a build that runs meanwhile reads the old script or the new one.

#![expect(clippy::disallowed_methods, reason = "changes files of an image repository")]

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid};

use crate::base::fault;
use crate::base::path_error::{At, PathError};

/// Puts another text in place of a file's. A symlink stays, what it leads to is changed.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), PathError> {
    let path = &fs::canonicalize(path).at("find", path)?;
    let like = fs::metadata(path).at("read", path)?;
    put(path, text, &like, like.permissions().mode()).at("change", path)
}

/// Adds a file where none is, for the owner of its directory.
pub(crate) fn add(path: &Path, text: &str) -> Result<(), PathError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let like = fs::metadata(parent).at("read", parent)?;
    put(path, text, &like, 0o644).at("add", path)
}

fn put(path: &Path, text: &str, owner: &fs::Metadata, mode: u32) -> io::Result<()> {
    let (parent, new) = (path.parent().unwrap_or(Path::new(".")), half(path));
    fault::point("edit.create");
    let mut options = File::options();
    // One that a crash left is written anew.
    options.write(true).create(true).truncate(true).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(&new)?;
    fault::point("edit.write");
    file.write_all(text.as_bytes())?;
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (owner.uid(), owner.gid()) {
        let (uid, gid) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
        rustix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
    fault::point("edit.sync");
    file.sync_all()?;
    fault::point("edit.rename");
    fs::rename(&new, path)?;
    fault::point("edit.sync-directory");
    File::open(parent)?.sync_all()
}

/// Where a file's new text is until it is whole.
pub(crate) fn half(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.larder-new"))
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
