//! Measures trees: allocated blocks and inodes, each inode once. No symlink is followed, no mount is
//! entered, and what vanishes meanwhile or cannot be read takes nothing.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use crate::base::quantity::Usage;
use crate::base::tree::below;
use crate::base::tree::descend::{self, Dir, Item, Then, Visitor};

/// How a name in a directory looks.
struct Look {
    /// The filesystem, and the mount where the system tells.
    place: (u64, Option<u64>),
    ino: u64,
    links: u64,
    bytes: u64,
    is_dir: bool,
}

/// Of each filesystem the inodes that have several names, and were counted.
type Linked = Mutex<HashMap<u64, HashSet<u64>>>;

/// A tree while it is measured.
struct Measuring<'a> {
    place: (u64, Option<u64>),
    bytes: AtomicU64,
    inodes: AtomicU64,
    linked: &'a Linked,
}

/// What a directory and everything below it takes.
pub(crate) fn measure(dir: &Path) -> Usage {
    Counter::default().count(dir)
}

/// Counts several files and directories, and what they have in common once.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    linked: Linked,
}

impl Counter {
    /// What a path and everything below it takes that was not counted before.
    pub(crate) fn count(&mut self, path: &Path) -> Usage {
        let name = CString::new(path.as_os_str().as_bytes()).ok();
        let Some(look) = name.and_then(|name| Look::at(CWD, &name)) else {
            return Usage::default();
        };
        let measuring = Measuring {
            place: look.place,
            bytes: AtomicU64::new(0),
            inodes: AtomicU64::new(0),
            linked: &self.linked,
        };
        measuring.add([look].into_iter());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(top) = rustix::fs::open(path, flags, Mode::empty()) {
            descend::descend(top, &measuring);
        }
        Usage { bytes: measuring.bytes.into_inner(), inodes: measuring.inodes.into_inner() }
    }
}

impl Measuring<'_> {
    fn add(&self, looks: impl Iterator<Item = Look>) {
        let (mut bytes, mut inodes) = (0, 0);
        for look in looks {
            if look.is_dir || look.links < 2 || self.is_first(&look) {
                bytes += look.bytes;
                inodes += 1;
            }
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.inodes.fetch_add(inodes, Ordering::Relaxed);
    }

    fn is_first(&self, look: &Look) -> bool {
        // A lock is poisoned only if a thread panicked, and then rayon panics in the end.
        let mut linked = self.linked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        linked.entry(look.place.0).or_default().insert(look.ino)
    }

    /// Adds what a piece of a directory's names takes; says which of them are directories.
    fn take_in(&self, dir: BorrowedFd<'_>, names: Vec<Item>) -> Vec<CString> {
        let mut below = Vec::new();
        let looks = names.into_iter().filter_map(|found| {
            let look = Look::at(dir, &found.name).filter(|look| look.is_at(self.place))?;
            if look.is_dir {
                below.push(found.name);
            }
            Some(look)
        });
        self.add(looks);
        below
    }

    /// A whole directory at once; only those below it are kept by name.
    fn level(&self, dir: &OwnedFd) -> Level {
        let id = rustix::fs::fstat(dir).map(|stat| (stat.st_dev, stat.st_ino)).ok();
        let mut level = Level { id, below: Vec::new() };
        let mut buffer = Vec::with_capacity(32 * 1024);
        loop {
            let (names, has_ended) = descend::piece(dir, &mut buffer);
            level.below.extend(self.take_in(dir.as_fd(), names));
            if has_ended {
                return level;
            }
        }
    }
}

/// A directory on the way down to a deep one.
struct Level {
    id: Option<(u64, u64)>,
    below: Vec<CString>,
}

impl Visitor for Measuring<'_> {
    fn visit(&self, dir: &Dir, names: Vec<Item>) -> Vec<CString> {
        self.take_in(dir.fd.as_fd(), names)
    }

    fn open(&self, dir: &Dir, name: &CStr) -> Option<OwnedFd> {
        below::open_dir(&dir.fd, name).ok()
    }

    /// One directory after the other with a single descriptor, coming back by `..`.
    fn too_deep(&self, dir: &Dir, name: &CStr) {
        let Ok(mut here) = below::open_dir(&dir.fd, name) else { return };
        let mut levels = vec![self.level(&here)];
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.below.pop() {
                if let Ok(below) = below::open_dir(&here, &name) {
                    here = below;
                    levels.push(self.level(&here));
                }
                continue;
            }
            levels.pop();
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let above = rustix::fs::openat(&here, c"..", flags, Mode::empty());
            let (Some(level), Ok(above)) = (levels.last(), above) else { return };
            let id = rustix::fs::fstat(&above).map(|stat| (stat.st_dev, stat.st_ino)).ok();
            if id != level.id {
                // It was moved away meanwhile.
                return;
            }
            here = above;
        }
    }

    fn done(&self, _: &Dir) -> Then {
        Then::Leave
    }
}

impl Look {
    fn at(dir: impl AsFd, name: &CStr) -> Option<Self> {
        let wanted = StatxFlags::TYPE
            | StatxFlags::INO
            | StatxFlags::NLINK
            | StatxFlags::BLOCKS
            | StatxFlags::MNT_ID;
        match rustix::fs::statx(&dir, name, AtFlags::SYMLINK_NOFOLLOW, wanted) {
            Ok(stat) => {
                let has_mount = stat.stx_mask & StatxFlags::MNT_ID.bits() != 0;
                let device = rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor);
                Some(Self {
                    place: (device, has_mount.then_some(stat.stx_mnt_id)),
                    ino: stat.stx_ino,
                    links: u64::from(stat.stx_nlink),
                    bytes: stat.stx_blocks.saturating_mul(512),
                    is_dir: FileType::from_raw_mode(u32::from(stat.stx_mode)).is_dir(),
                })
            }
            Err(Errno::NOSYS | Errno::PERM) => Self::of_old(dir, name),
            Err(_) => None,
        }
    }

    /// Where the system has no `statx`, or a filter refuses it.
    fn of_old(dir: impl AsFd, name: &CStr) -> Option<Self> {
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(Self {
            place: (stat.st_dev, None),
            ino: stat.st_ino,
            #[allow(clippy::useless_conversion, reason = "32 bits on some machines")]
            links: u64::from(stat.st_nlink),
            bytes: u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512),
            is_dir: FileType::from_raw_mode(stat.st_mode).is_dir(),
        })
    }

    /// Whether it is on a mount; on a filesystem, where the system does not tell the mount.
    fn is_at(&self, place: (u64, Option<u64>)) -> bool {
        match (self.place.1, place.1) {
            (Some(here), Some(there)) => here == there,
            _ => self.place.0 == place.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    /// The same in the plainest way.
    fn simply(dir: &Path) -> Usage {
        let mut seen = HashSet::new();
        let walk = walkdir::WalkDir::new(dir).into_iter().map(|item| item.unwrap());
        let each = walk.map(|item| item.metadata().unwrap());
        let once = each.filter(|metadata| seen.insert(metadata.ino()));
        once.fold(Usage::default(), |sum, metadata| {
            sum.plus(Usage { bytes: metadata.blocks() * 512, inodes: 1 })
        })
    }

    #[test]
    fn hard_links_count_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), vec![1; 100_000]).unwrap();
        let one = measure(dir.path());
        fs::hard_link(dir.path().join("a"), dir.path().join("b")).unwrap();
        assert_eq!(measure(dir.path()), one);
        assert!((100_000..140_000).contains(&one.bytes), "{one:?}");
        assert_eq!(one.inodes, 2);
    }

    #[test]
    fn trees_of_all_shapes_are_measured_as_simply_as_can_be() {
        let dir = tempfile::tempdir().unwrap();
        let mut deep = dir.path().join("deep");
        for depth in 0..90 {
            deep.push(format!("{depth}"));
            fs::create_dir_all(deep.join("side/er")).unwrap();
            fs::write(deep.join("side/er/file"), vec![1; depth * 100]).unwrap();
        }
        for number in 0..1500 {
            let one = dir.path().join(format!("wide/{number}"));
            fs::create_dir_all(&one).unwrap();
            fs::write(one.join("file\n\u{fffd}"), "x").unwrap();
            fs::hard_link(one.join("file\n\u{fffd}"), one.join("again")).unwrap();
            symlink("/", one.join("link")).unwrap();
        }
        assert_eq!(measure(dir.path()), simply(dir.path()));
        assert_eq!(measure(&dir.path().join("wide/7/again")).inodes, 1);
        assert_eq!(measure(&dir.path().join("wide/7/link")).inodes, 1);
        assert_eq!(measure(&dir.path().join("gone")), Usage::default());
    }
}
