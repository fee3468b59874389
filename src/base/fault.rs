//! Points at which a test has larder killed, before something in the store or in the sources changes.
//!
//! Only in builds with debug assertions; in a release build a point is nothing. `LARDER_FAULT` says
//! where, and is read once:
//!
//! - `7`: at the seventh point that is passed;
//! - `store.rename`, `store.rename:3`: at the first, or the third, pass of that point;
//! - `log:FILE`: nowhere; the names of the points passed are appended to the file.
//!
//! What the child passes between `fork` and `exec` counts with the rest, and kills larder too (decision 41).

#![expect(clippy::disallowed_methods, reason = "notes passed points in the file that a test names")]

use std::fs::File;
use std::io::IoSlice;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::environment;

use rustix::process::{Pid, Signal};

/// The variable that says where.
const VARIABLE: &str = "LARDER_FAULT";

/// What is to happen at the points of this process.
struct Orders {
    /// The process that read it: its children between `fork` and `exec` are others.
    owner: Pid,
    act: Act,
    /// How many points were passed that count; in memory that children share.
    passed: &'static AtomicU64,
}

#[derive(Debug)]
enum Act {
    /// Die at this pass of a point with this name, or of any.
    Kill { name: Option<String>, at: u64 },
    /// Write the name down.
    Log(File),
}

static PLAN: OnceLock<Option<Orders>> = OnceLock::new();

/// Something is about to change. The name is `room.verb`.
#[inline]
pub(crate) fn point(name: &'static str) {
    if cfg!(debug_assertions) {
        if let Some(plan) = PLAN.get_or_init(Orders::read) {
            plan.pass(name);
        }
    }
}

/// The same between `fork` and `exec`: async-signal-safe, and nothing unless a point was passed before
/// the fork.
#[inline]
pub(crate) fn point_after_fork(name: &'static str) {
    if cfg!(debug_assertions) {
        if let Some(Some(plan)) = PLAN.get() {
            plan.pass(name);
        }
    }
}

impl Orders {
    fn read() -> Option<Self> {
        let act = parse(&environment::text(VARIABLE)?)?;
        let passed = shared_counter()?;
        Some(Self { owner: rustix::process::getpid(), act, passed })
    }

    /// Makes system calls only; neither allocates nor locks.
    fn pass(&self, name: &str) {
        match &self.act {
            Act::Log(file) => {
                // In one call, so that lines of several threads and processes stay whole.
                let line = [IoSlice::new(name.as_bytes()), IoSlice::new(b"\n")];
                let _ = rustix::io::writev(file, &line);
            }
            Act::Kill { name: wanted, at } if wanted.as_deref().is_none_or(|it| it == name) => {
                if self.passed.fetch_add(1, Ordering::SeqCst) + 1 == *at {
                    self.die();
                }
            }
            Act::Kill { .. } => {}
        }
    }

    fn die(&self) {
        let own = rustix::process::getpid();
        if own != self.owner {
            let _ = rustix::process::kill_process(self.owner, Signal::KILL);
        }
        let _ = rustix::process::kill_process(own, Signal::KILL);
    }
}

fn parse(text: &str) -> Option<Act> {
    if let Some(path) = text.strip_prefix("log:") {
        return File::options().append(true).create(true).open(path).ok().map(Act::Log);
    }
    if let Ok(at) = text.parse() {
        return Some(Act::Kill { name: None, at });
    }
    let (name, at) = text.split_once(':').unwrap_or((text, "1"));
    Some(Act::Kill { name: Some(name.to_owned()), at: at.parse().ok()? })
}

/// A number that stays one number across `fork`.
fn shared_counter() -> Option<&'static AtomicU64> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: the kernel chooses the place of a new mapping; nothing that exists is touched.
    let place = unsafe {
        let flags = flags | libc::MAP_ANONYMOUS;
        libc::mmap(ptr::null_mut(), size_of::<AtomicU64>(), protection, flags, -1, 0)
    };
    if place == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: a mapping begins on a page, is zero, which is a valid AtomicU64, and is never unmapped.
    Some(unsafe { &*place.cast::<AtomicU64>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_names_a_number_a_point_or_a_file() {
        let kill = |text: &str| match parse(text) {
            Some(Act::Kill { name, at }) => (name, at),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(kill("12"), (None, 12));
        assert_eq!(kill("store.rename"), (Some("store.rename".to_owned()), 1));
        assert_eq!(kill("store.rename:3"), (Some("store.rename".to_owned()), 3));
        assert!(parse("store.rename:soon").is_none());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert!(matches!(parse(&format!("log:{}", path.display())), Some(Act::Log(_))));
        assert!(path.exists());
    }
}
