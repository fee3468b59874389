//! What is known of one process: whose it is, and how it sees the files.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::observe::trace::Who;

/// How a process sees the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// As larder does.
    Here,
    /// As the compiler does.
    Compilers,
    /// From a root below that of the compiler, as the compiler sees it.
    Below(PathBuf),
    /// It is about to get another root, or has: to be looked at with each call.
    Changing,
    /// From a root that has no name here.
    Unknown,
}

/// One process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub leader: u32,
    /// For whom it looks up; for nobody where it is of the command and makes no unit.
    pub who: Option<Who>,
    pub view: View,
    /// By which is known that its number is still its own.
    life: Arc<OwnedFd>,
    /// When that was seen last, in nanoseconds of the clock.
    seen: Arc<AtomicU64>,
}

/// So long a number cannot have been given again: not before all others were, 32,768 at least.
const NOT_AGAIN: u64 = 500_000_000;

impl Process {
    /// Takes hold of a process.
    pub(super) fn open(leader: u32, who: Option<Who>, root: &Path) -> Option<Self> {
        let pid = libc::pid_t::try_from(leader).ok()?;
        // SAFETY: two integers; the kernel makes a descriptor for the caller.
        let made = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let made = i32::try_from(made).ok().filter(|made| *made >= 0)?;
        // SAFETY: the kernel has just made this descriptor for the caller.
        let life = Arc::new(unsafe { OwnedFd::from_raw_fd(made) });
        let seen = Arc::new(AtomicU64::new(now()));
        Some(Self { leader, who, view: view(leader, root), life, seen })
    }

    pub(super) fn with_who(&self, who: Option<Who>) -> Self {
        Self { who, ..self.clone() }
    }

    pub(super) fn with_view(&self, view: View) -> Self {
        Self { view, ..self.clone() }
    }

    /// Whether a thread is one of this process.
    pub(super) fn is_still(&self, thread: u32) -> bool {
        let now = now();
        if now.saturating_sub(self.seen.load(Ordering::Relaxed)) < NOT_AGAIN {
            return true;
        }
        let is_still = self.has_thread(thread);
        if is_still {
            self.seen.store(now, Ordering::Relaxed);
        }
        is_still
    }

    /// The same, asked of the kernel.
    pub(super) fn has_thread(&self, thread: u32) -> bool {
        self.lives() && (thread == self.leader || self.has(thread))
    }

    fn lives(&self) -> bool {
        let none = std::ptr::null::<libc::c_void>();
        // SAFETY: signal 0 is none; nothing is read.
        let lives = unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.life.as_raw_fd(), 0, none, 0)
        };
        lives == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
    }

    fn has(&self, thread: u32) -> bool {
        // SAFETY: three integers; signal 0 is none.
        unsafe { libc::syscall(libc::SYS_tgkill, self.leader, thread, 0) == 0 }
    }

    /// Whether larder may read its memory.
    pub(super) fn is_readable(thread: u32) -> bool {
        std::fs::read_link(format!("/proc/{thread}/exe")).is_ok()
    }

    /// Whether it has the descriptor that a path is relative to: without it the call fails.
    pub(super) fn is_open(thread: u32, base: Option<i32>) -> bool {
        let place = base.map(|base| format!("/proc/{thread}/fd/{base}"));
        place.is_none_or(|place| Path::new(&place).symlink_metadata().is_ok())
    }

    /// How it sees the files now.
    pub(super) fn view(&self, thread: u32, root: &Path) -> View {
        if self.view == View::Changing { view(thread, root) } else { self.view.clone() }
    }

    /// A path of a call, from the root that the process has.
    pub(super) fn absolute(thread: u32, base: Option<i32>, path: &[u8]) -> Option<Vec<u8>> {
        if path.starts_with(b"/") {
            return Some(path.to_vec());
        }
        let base = match base {
            Some(base) => std::fs::read_link(format!("/proc/{thread}/fd/{base}")).ok()?,
            None => std::fs::read_link(format!("/proc/{thread}/cwd")).ok()?,
        };
        // From here a directory in a root of its own has that root in its name, if it can be reached.
        let root = std::fs::read_link(format!("/proc/{thread}/root")).ok()?;
        let base =
            if root == Path::new("/") { &base } else { base.strip_prefix(&root).unwrap_or(&base) };
        let base = Path::new("/").join(base);
        let whole = if path.is_empty() { base } else { base.join(OsStr::from_bytes(path)) };
        Some(whole.into_os_string().into_vec())
    }
}

fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// How a process sees the files: by its root's device and inode, and by the name that the root has here.
fn view(pid: u32, root: &Path) -> View {
    let place = PathBuf::from(format!("/proc/{pid}/root"));
    let Ok(theirs) = std::fs::metadata(&place) else { return View::Unknown };
    let is = |other: &Path| {
        std::fs::metadata(other)
            .is_ok_and(|other| (other.dev(), other.ino()) == (theirs.dev(), theirs.ino()))
    };
    if is(root) {
        return View::Compilers;
    }
    if is(Path::new("/")) {
        return View::Here;
    }
    let named = std::fs::read_link(&place).ok().filter(|named| named != Path::new("/"));
    match named.filter(|named| is(named)) {
        Some(named) => match named.strip_prefix(root) {
            Ok(inside) => View::Below(Path::new("/").join(inside)),
            Err(_) => View::Unknown,
        },
        None => View::Unknown,
    }
}

/// The leader and the parent of a thread's process.
pub(super) fn lineage(thread: u32) -> Option<(u32, u32)> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    Some((number("Tgid:")?, number("PPid:")?))
}

/// For whom a process looks up whose parent is larder: the command itself has none of Cargo's variables; what lost its
/// parent may be anybody's.
pub(super) fn adopted(thread: u32) -> Option<Who> {
    let variables = std::fs::read(format!("/proc/{thread}/environ")).unwrap_or_default();
    let is_cargos = |variable: &[u8]| variable.starts_with(b"CARGO_PKG_NAME=");
    let of_cargo = variables.split(|byte| *byte == 0).any(is_cargos);
    of_cargo.then_some(Who::Anybody)
}
