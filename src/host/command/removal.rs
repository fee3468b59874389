//! A directory that is attached can be removed by the command, as without larder.
//!
//! The kernel removes no mount point ("Device or resource busy"), so that `rm -rf target` and `cargo
//! clean` would fail when everything in it is gone already. larder says "done" in the kernel's place:
//! the directory stays, empty, and whoever makes it again finds it. All other calls the kernel does (decision 84).

use std::ffi::{CStr, CString};
use std::fs::Metadata;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, Dir, Mode, OFlags, StatxFlags};

use super::listener::{Answer, Question};
use super::tracer::Memory;

/// `STATX_ATTR_MOUNT_ROOT`, Linux 5.8.
const MOUNT_ROOT: u64 = 0x2000;

/// An attached directory, by what the kernel knows it by.
#[derive(Debug)]
struct Attached {
    device: (u32, u32),
    inode: u64,
    /// Said to be removed, and not made again since.
    is_removed: bool,
}

/// What is answered.
#[derive(Debug)]
pub(super) struct Removals(Vec<Attached>);

/// Whether a call may remove a directory or make one.
pub(super) fn is_about(question: &Question<'_>) -> bool {
    Call::of(&question.call.data).is_some()
}

/// The call, and where its path and what that is relative to are.
struct Call {
    removes: bool,
    base: Option<i32>,
    path: u64,
}

impl Removals {
    /// For these directories, which are there already.
    pub(super) fn of<'a>(sources: impl Iterator<Item = &'a Path>) -> Self {
        let known = sources.filter_map(|path| path.metadata().ok());
        Self(known.filter(Metadata::is_dir).map(|found| Attached::of(&found)).collect())
    }

    /// What a plain directory there would give, for an attached one; the kernel's business otherwise.
    pub(super) fn answer(&mut self, question: &Question<'_>) -> Answer {
        self.decide(question).unwrap_or(Answer::Proceed)
    }

    fn decide(&mut self, question: &Question<'_>) -> io::Result<Answer> {
        let Some(call) = Call::of(&question.call.data) else { return Ok(Answer::Proceed) };
        if !call.removes && !self.0.iter().any(|attached| attached.is_removed) {
            return Ok(Answer::Proceed);
        }
        let pid = question.call.pid;
        let memory = Memory::of(pid);
        let path = memory.path(call.path)?;
        let Some((parent, name)) = split(&path) else { return Ok(Answer::Proceed) };
        let name = CString::new(name)?;
        let parent = memory.open(call.base, parent, OFlags::PATH | OFlags::DIRECTORY)?;
        if !question.is_valid() || !acts_as_we(pid)? {
            return Ok(Answer::Proceed);
        }
        let Some(attached) = self.found(&parent, &name)? else { return Ok(Answer::Proceed) };
        rustix::fs::accessat(&parent, c".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?;
        let is_empty = is_empty(&parent, &name)?;
        let was_removed = std::mem::replace(&mut attached.is_removed, is_empty && call.removes);
        Ok(match (call.removes, is_empty) {
            (true, true) => Answer::Done,
            (true, false) => Answer::Fails(libc::ENOTEMPTY),
            (false, true) if was_removed => Answer::Done,
            (false, _) => Answer::Proceed,
        })
    }

    /// Which of them has its mount point there.
    fn found(&mut self, parent: &OwnedFd, name: &CStr) -> io::Result<Option<&mut Attached>> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let found = rustix::fs::statx(parent, name, flags, StatxFlags::INO)?;
        if found.stx_attributes.bits() & MOUNT_ROOT == 0 {
            return Ok(None);
        }
        let device = (found.stx_dev_major, found.stx_dev_minor);
        let same = |it: &&mut Attached| it.device == device && it.inode == found.stx_ino;
        Ok(self.0.iter_mut().find(same))
    }
}

impl Attached {
    fn of(found: &Metadata) -> Self {
        let device = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
        Self { device, inode: found.ino(), is_removed: false }
    }
}

impl Call {
    fn of(data: &libc::seccomp_data) -> Option<Self> {
        let [first, second, ..] = data.args;
        #[expect(clippy::cast_possible_truncation, reason = "the kernel takes the lower half too")]
        let base = Some(first as i32).filter(|base| *base != libc::AT_FDCWD);
        match libc::c_long::from(data.nr) {
            libc::SYS_unlinkat => Some(Self { removes: true, base, path: second }),
            libc::SYS_mkdirat => Some(Self { removes: false, base, path: second }),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_rmdir => Some(Self { removes: true, base: None, path: first }),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_mkdir => Some(Self { removes: false, base: None, path: first }),
            _ => None,
        }
    }
}

/// The path's directory and last name; none where it has no name that could be removed.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = path.iter().rposition(|byte| *byte != b'/')? + 1;
    let start = path[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let name = &path[start..end];
    (name != b"." && name != b"..").then_some((&path[..start], name))
}

/// Whether the process has larder's rights to files: only then is known what the kernel would say.
fn acts_as_we(pid: u32) -> io::Result<bool> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let own = rustix::process::geteuid().as_raw().to_string();
    Ok(line.and_then(|ids| ids.split_whitespace().nth(3)) == Some(own.as_str()))
}

fn is_empty(parent: &OwnedFd, name: &CStr) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = Dir::new(rustix::fs::openat(parent, name, flags, Mode::empty())?)?;
    for entry in dir {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_name_is_what_goes() {
        let split = |path: &'static str| split(path.as_bytes());
        assert_eq!(split("target"), Some((&b""[..], &b"target"[..])));
        assert_eq!(split("a//target///"), Some((&b"a//"[..], &b"target"[..])));
        assert_eq!(split("/target"), Some((&b"/"[..], &b"target"[..])));
        for none in ["", "/", "//", ".", "..", "target/.", "target/..", "./"] {
            assert_eq!(split(none), None, "{none}");
        }
    }
}
