//! The repositories of a checkout that is copied, and what their indexes note in the copy.
//!
//! git takes a file for unchanged where what `lstat` says of it is what the index noted. Copies have other
//! inodes and change times, so the notes are carried over: each number that is that of the file in the checkout
//! becomes that of its copy, and no other one does. So whoever asks an index finds clean in the copy what is
//! clean in the checkout, and nothing else, whichever of the numbers it compares (`match_stat_data` in git's
//! `read-cache.c`, `core.trustCtime`, `core.checkStat`). The index keeps its own time: by that git knows for
//! which files the numbers alone do not tell. An index that is not understood stays as it was copied.
//!
//! git itself is not asked: to refresh an index it runs filters, which a repository may choose (decision 88).

#![expect(clippy::disallowed_methods, reason = "writes the index of a copy of a checkout")]

use std::ffi::{CString, OsStr};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use filetime::FileTime;
use rustix::fs::{Mode, OFlags};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::index::{self, LARGEST};
use super::repository::{self, Home};
use crate::base::fault;
use crate::base::tree::below;
use crate::observe::sources::place::Where;

/// Directories of a git directory that are large, and that no working tree has to itself.
const SHARED: [&str; 4] = ["objects", "lfs", "modules", "worktrees"];

/// The numbers that an entry notes of its file, and where they are in it (`gitformat-index(5)`): change time
/// and modification time in two parts, device, inode, user, group, size. The mode between them is content.
const NOTED: [usize; 9] = [0, 4, 8, 12, 16, 20, 28, 32, 36];

/// What `lstat` says of a file, as an index notes it.
type Numbers = [u32; NOTED.len()];

/// A repository of a checkout that is copied.
pub(crate) struct Original {
    home: Home,
    source: PathBuf,
    git_dir: GitDir,
}

enum GitDir {
    /// Relative to the checkout: it is copied along.
    Inside(PathBuf),
    /// Outside of it.
    Elsewhere(PathBuf),
}

/// The repositories of a checkout, by every `.git` in it.
pub(crate) fn originals(place: &Where, dot_gits: &[PathBuf]) -> Vec<Original> {
    let homes = repository::find(place, dot_gits).into_iter();
    homes.filter_map(|home| Original::of(home, &place.source)).collect()
}

impl Original {
    fn of(home: Home, source: &Path) -> Option<Self> {
        let git_dir = fs::canonicalize(&home.git_dir).ok()?;
        let top = fs::canonicalize(source).ok()?;
        let git_dir = match git_dir.strip_prefix(&top) {
            Ok(inside) => GitDir::Inside(inside.to_owned()),
            Err(_) if top.starts_with(&git_dir) || !is_repository(&home) => return None,
            Err(_) => GitDir::Elsewhere(git_dir),
        };
        Some(Self { home, source: source.to_owned(), git_dir })
    }

    /// Its git directory, if that is outside of the checkout.
    pub(crate) fn elsewhere(&self) -> Option<&Path> {
        match &self.git_dir {
            GitDir::Inside(_) => None,
            GitDir::Elsewhere(path) => Some(path),
        }
    }

    /// Carries over what the index notes: `copy` is that of the checkout, `git_dir` that of a git directory
    /// outside of it.
    pub(crate) fn carry_over(&self, copy: &Path, git_dir: Option<&Path>) -> io::Result<()> {
        let (top, inside) = match (&self.git_dir, git_dir) {
            (GitDir::Inside(inside), _) => (copy, inside.as_path()),
            (GitDir::Elsewhere(_), Some(git_dir)) => (git_dir, Path::new("")),
            (GitDir::Elsewhere(_), None) => return Ok(()),
        };
        let Some((index, content)) = open(top, inside) else { return Ok(()) };
        let numbers = |name: &[u8]| {
            let file = self.home.work_tree.join(plain(name)?);
            let copied = copy.join(file.strip_prefix(&self.source).ok()?);
            Some((look(&file)?, look(&copied)?))
        };
        match carried_over(&content, self.home.oid(), numbers) {
            Some(new) => write(&index, &new),
            None => Ok(()),
        }
    }
}

/// What in a git directory is mounted in its copy instead of being copied.
pub(crate) fn shared(git_dir: &Path) -> Vec<PathBuf> {
    let is_there = |path: &PathBuf| path.symlink_metadata().is_ok_and(|it| it.is_dir());
    SHARED.iter().map(|name| git_dir.join(name)).filter(is_there).collect()
}

/// Whether git would take it for one (`is_git_directory`, `setup.c`).
fn is_repository(home: &Home) -> bool {
    ["objects", "refs"].iter().all(|name| home.common.join(name).is_dir())
}

/// A path that leads nowhere but down.
fn plain(name: &[u8]) -> Option<&Path> {
    let path = Path::new(OsStr::from_bytes(name));
    path.components().all(|part| matches!(part, Component::Normal(_))).then_some(path)
}

fn look(path: &Path) -> Option<Numbers> {
    fs::symlink_metadata(path).ok().map(|metadata| numbers(&metadata))
}

/// As git cuts them off (`munge_stat_data`): a size is the same in a copy, whatever is noted of it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as in the index")]
fn numbers(metadata: &Metadata) -> Numbers {
    [
        metadata.ctime() as u32,
        metadata.ctime_nsec() as u32,
        metadata.mtime() as u32,
        metadata.mtime_nsec() as u32,
        metadata.dev() as u32,
        metadata.ino() as u32,
        metadata.uid(),
        metadata.gid(),
        metadata.size() as u32,
    ]
}

/// Opens the index of a copied git directory, if it is a plain file, and reads it. No symlink is followed.
fn open(top: &Path, inside: &Path) -> Option<(File, Vec<u8>)> {
    let mut dir: OwnedFd = File::open(top).ok()?.into();
    for part in inside.components() {
        dir = below::open_dir(&dir, &CString::new(part.as_os_str().as_bytes()).ok()?).ok()?;
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let index = rustix::fs::openat(&dir, c"index", flags, Mode::empty()).ok()?;
    let mut index = File::from(index);
    let metadata = index.metadata().ok()?;
    if !metadata.is_file() || metadata.nlink() != 1 || metadata.len() > LARGEST {
        return None;
    }
    let mut content = Vec::new();
    index.by_ref().take(LARGEST).read_to_end(&mut content).ok()?;
    Some((index, content))
}

fn write(index: &File, content: &[u8]) -> io::Result<()> {
    let metadata = index.metadata()?;
    fault::point("verify.index");
    index.write_all_at(content, 0)?;
    let accessed = FileTime::from_last_access_time(&metadata);
    let modified = FileTime::from_last_modification_time(&metadata);
    filetime::set_file_handle_times(index, Some(accessed), Some(modified))
}

/// An index for a copy; nothing if it is not understood. `numbers` gives those of a file and of its copy.
fn carried_over(
    content: &[u8],
    oid: usize,
    numbers: impl Fn(&[u8]) -> Option<(Numbers, Numbers)>,
) -> Option<Vec<u8>> {
    let body = content.len().checked_sub(oid)?;
    let mut new = content.to_vec();
    // All zeros stand for no checksum (`index.skipHash`).
    let is_summed = content[body..].iter().any(|byte| *byte != 0);
    if is_summed && checksum(&content[..body], oid) != content[body..] {
        return None;
    }
    index::each(content, oid, |entry| {
        let Some((file, copy)) = numbers(entry.name) else { return };
        for ((at, file), copy) in NOTED.iter().zip(file).zip(copy) {
            let at = entry.at + at;
            carry(&mut new[at..at + 4], file, copy);
        }
    })?;
    if is_summed {
        let sum = checksum(&new[..body], oid);
        new[body..].copy_from_slice(&sum);
    }
    Some(new)
}

/// What is noted is that of the copy afterwards if it was that of the file before, and only then.
fn carry(noted: &mut [u8], file: u32, copy: u32) {
    if file == copy {
        return;
    }
    if noted == file.to_be_bytes() {
        noted.copy_from_slice(&copy.to_be_bytes());
    } else if noted == copy.to_be_bytes() {
        noted.copy_from_slice(&file.to_be_bytes());
    }
}

fn checksum(body: &[u8], oid: usize) -> Vec<u8> {
    if oid == 32 { Sha256::digest(body).to_vec() } else { Sha1::digest(body).to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Numbers = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    const COPY: Numbers = [11, 12, 3, 4, 15, 16, 7, 8, 9];

    /// An index of version 2 with one entry `a` that notes these numbers.
    fn index(noted: Numbers, oid: usize) -> Vec<u8> {
        let mut content = b"DIRC\0\0\0\x02\0\0\0\x01".to_vec();
        let mut stat = [0; 40];
        for (at, number) in NOTED.iter().zip(noted) {
            stat[*at..at + 4].copy_from_slice(&number.to_be_bytes());
        }
        content.extend(stat);
        content.extend(vec![7; oid]);
        content.extend(b"\0\x01a");
        let used = content.len() - 12;
        content.extend(vec![0; 8 - used % 8]);
        let sum = checksum(&content, oid);
        content.extend(sum);
        content
    }

    #[test]
    fn what_was_noted_of_the_file_is_noted_of_its_copy() {
        for oid in [20, 32] {
            let both = |name: &[u8]| (name == b"a").then_some((FILE, COPY));
            assert_eq!(carried_over(&index(FILE, oid), oid, both), Some(index(COPY, oid)));
            let mut other = FILE;
            (other[0], other[5]) = (99, COPY[5]);
            let mut wanted = COPY;
            (wanted[0], wanted[5]) = (99, FILE[5]);
            assert_eq!(carried_over(&index(other, oid), oid, both), Some(index(wanted, oid)));
            let gone = |_: &[u8]| None;
            assert_eq!(carried_over(&index(FILE, oid), oid, gone), Some(index(FILE, oid)));
        }
    }

    #[test]
    fn a_checksum_that_is_left_out_stays_out_and_damage_stays() {
        let both = |_: &[u8]| Some((FILE, COPY));
        let bare = |numbers| {
            let mut content = index(numbers, 20);
            let body = content.len() - 20;
            content[body..].fill(0);
            content
        };
        assert_eq!(carried_over(&bare(FILE), 20, both), Some(bare(COPY)));
        let mut damaged = index(FILE, 20);
        damaged[60] ^= 1;
        assert_eq!(carried_over(&damaged, 20, both), None);
        for length in 0..damaged.len() {
            assert_eq!(carried_over(&index(FILE, 20)[..length], 20, both), None, "{length}");
        }
    }

    #[test]
    fn no_name_leads_out_and_no_link_is_written_through() {
        for name in [&b"/etc/passwd"[..], b"../x", b"a/../../x"] {
            assert_eq!(plain(name), None);
        }
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir_all(path("real/.git")).unwrap();
        fs::create_dir_all(path("copy")).unwrap();
        fs::write(path("real/.git/index"), "").unwrap();
        std::os::unix::fs::symlink(path("real/.git"), path("copy/.git")).unwrap();
        assert!(open(&path("real"), Path::new(".git")).is_some());
        assert!(open(&path("copy"), Path::new(".git")).is_none());
        std::os::unix::fs::symlink(path("real/.git/index"), path("copy/index")).unwrap();
        assert!(open(&path("copy"), Path::new("")).is_none());
        let made = std::process::Command::new("mkfifo").arg(path("real/index")).status().unwrap();
        assert!(made.success());
        assert!(open(&path("real"), Path::new("")).is_none());
    }
}
