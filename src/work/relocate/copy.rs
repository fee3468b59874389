//! A copy of a whole store on another filesystem.

#![expect(clippy::disallowed_methods, reason = "copies a store")]

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use filetime::FileTime;
use walkdir::WalkDir;

use super::{MoveError, beside, sync_parent};
use crate::base::path_error::{At, PathError};
use crate::base::{copy, fault, regular};
use crate::store::moving::{MOVING, Moving, ORIGIN, Origin};
use crate::store::{Store, TAG, evict};
use crate::work::collect::rescan;

/// Copies the store beside its new place, brings the copy to disk, and gives it its name.
pub(super) fn copy_beside(moving: &Moving, progress: &dyn Fn(u64)) -> Result<(), MoveError> {
    let Moving { from, to, token } = moving;
    let staging = beside(to, "new");
    evict::remove_staging(&staging)?;
    make_dir(&staging)?;
    give(&staging, &fs::metadata(from).at("read", from)?)?;
    let aside = beside(from, "old");
    Origin { from: from.clone(), aside, token: token.clone() }.begin(&staging)?;
    Copy { from, to: &staging, links: HashMap::new(), progress }.run()?;
    sync_all(&staging)?;
    measure(&Store::of_copy(staging.clone()))?;
    // Last: what is copied half is no store.
    copy_file(&from.join(TAG), &staging.join(TAG), progress)?;
    sync_all(&staging)?;
    fault::point("relocate.rename");
    fs::rename(&staging, to).at("move", &staging)?;
    Ok(sync_parent(to)?)
}

/// Brings everything to disk on the filesystem of the copy, which allocates some of it only then.
fn sync_all(staging: &Path) -> Result<(), PathError> {
    let directory = fs::File::open(staging).at("open", staging)?;
    fault::point("relocate.sync");
    rustix::fs::syncfs(&directory).at("sync", staging)
}

/// The same files take another size on another filesystem.
fn measure(copy: &Store) -> Result<(), MoveError> {
    for row in copy.all_rows()? {
        rescan::mend(&copy.entry(&row.project, row.toolchain), row.record)?;
    }
    copy.measure_downloads(true)?;
    Ok(())
}

fn make_dir(place: &Path) -> Result<(), PathError> {
    fault::point("relocate.make");
    fs::create_dir(place).at("make", place)
}

/// A copy that is being made.
struct Copy<'a> {
    from: &'a Path,
    to: &'a Path,
    /// Where files with several names were copied to, by inode.
    links: HashMap<u64, PathBuf>,
    progress: &'a dyn Fn(u64),
}

impl Copy<'_> {
    fn run(mut self) -> Result<(), MoveError> {
        let mut directories = Vec::new();
        let walk = WalkDir::new(self.from).min_depth(1).same_file_system(true).sort_by_file_name();
        let trash = self.from.join("trash");
        let wanted = |item: &walkdir::DirEntry| item.depth() != 1 || item.path() != trash;
        for item in walk.into_iter().filter_entry(wanted) {
            let item = item.map_err(|error| {
                let path = error.path().unwrap_or(self.from).to_owned();
                PathError::new("read", &path, error)
            })?;
            let place = self.place(item.path());
            let metadata = item.metadata().at("read", item.path())?;
            if [TAG, ORIGIN, MOVING].iter().any(|mark| item.path() == self.from.join(mark)) {
                continue;
            }
            if metadata.is_dir() {
                make_dir(&place)?;
                directories.push((place, metadata));
            } else {
                self.copy(item.path(), &place, &metadata)?;
            }
        }
        // Times last: what is put into a directory changes them.
        for (place, metadata) in directories.iter().rev() {
            give(place, metadata)?;
        }
        Ok(make_dir(&self.to.join("trash"))?)
    }

    fn place(&self, path: &Path) -> PathBuf {
        self.to.join(path.strip_prefix(self.from).unwrap_or(path))
    }

    fn copy(&mut self, from: &Path, to: &Path, metadata: &fs::Metadata) -> Result<(), MoveError> {
        if metadata.is_symlink() {
            fault::point("relocate.copy");
            let target = fs::read_link(from).at("read", from)?;
            symlink(target, to).at("make", to)?;
            return Ok(give(to, metadata)?);
        }
        if !metadata.is_file() {
            // A socket or a FIFO means nothing without the process that made it.
            return Ok(());
        }
        if metadata.nlink() > 1 {
            if let Some(first) = self.links.get(&metadata.ino()) {
                fault::point("relocate.copy");
                return Ok(fs::hard_link(first, to).at("make", to)?);
            }
            self.links.insert(metadata.ino(), to.to_owned());
        }
        Ok(copy_file(from, to, self.progress)?)
    }
}

/// One regular file, with its mode and its time.
fn copy_file(from: &Path, to: &Path, progress: &dyn Fn(u64)) -> Result<(), PathError> {
    let metadata = fs::symlink_metadata(from).at("read", from)?;
    fault::point("relocate.copy");
    let done =
        regular::open_own(from).and_then(|source| copy::fill(&source, &copy::make(to)?, progress));
    done.at("copy", from)?;
    give(to, &metadata)
}

/// Gives a copy the mode and the modification time of what it was copied from.
fn give(place: &Path, metadata: &fs::Metadata) -> Result<(), PathError> {
    if !metadata.is_symlink() {
        fs::set_permissions(place, metadata.permissions()).at("copy", place)?;
    }
    let (accessed, modified) = (
        FileTime::from_last_access_time(metadata),
        FileTime::from_last_modification_time(metadata),
    );
    filetime::set_symlink_file_times(place, accessed, modified).at("set the time of", place)
}
