//! Takes the kernel's questions, and hands on what is answered.
//!
//! What is answered is somebody else's: this room knows the protocol of `seccomp_unotify(2)` alone. A
//! process that is gone before its answer is no error.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use super::filter::control;

/// What a call comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The kernel does it.
    Proceed,
    /// It succeeded, although nothing was done.
    Done,
    /// It fails so, although the kernel would say something else.
    Fails(i32),
}

/// Threads that answer until nobody is left who could ask, or it is dropped.
#[derive(Debug)]
pub(super) struct Listener {
    stop: Option<OwnedFd>,
    threads: Vec<JoinHandle<()>>,
}

/// A question, and whether it is still asked: what was read of a process counts only if it is.
pub(super) struct Question<'a> {
    pub call: libc::seccomp_notif,
    listener: &'a OwnedFd,
}

impl Question<'_> {
    /// Whether the process still waits, so that its number has been its own all the time.
    pub(super) fn is_valid(&self) -> bool {
        let mut id = self.call.id;
        control(self.listener, libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &mut id).is_ok()
    }
}

impl Listener {
    /// Answers from now on, so many questions at once.
    pub(super) fn start(
        listener: OwnedFd,
        threads: usize,
        answer: impl Fn(&Question<'_>) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (stopped, stop) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        wake_on_this_processor(&listener);
        let shared = Arc::new((listener, stopped, Mutex::new(()), answer));
        let mut this = Self { stop: Some(stop), threads: Vec::new() };
        for _ in 0..threads {
            let shared = Arc::clone(&shared);
            let work = move || {
                let (listener, stopped, turn, answer) = &*shared;
                while let Some(call) = next(listener, stopped, turn) {
                    // A process that ended in between leaves no question, or nobody to be answered.
                    let _ = call.and_then(|call| reply(listener, call, answer));
                }
            };
            this.threads.push(Builder::new().name("answers".to_owned()).spawn(work)?);
        }
        Ok(this)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Who asks and who answers are never busy at once: Linux 6.6 can wake the one where the other runs.
fn wake_on_this_processor(listener: &OwnedFd) {
    // `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` and `SECCOMP_IOCTL_NOTIF_SET_FLAGS`, `linux/seccomp.h`.
    const SYNC_WAKE_UP: u64 = 1;
    const SET_FLAGS: libc::Ioctl = 0x4008_2104;
    // SAFETY: the request takes its flags by value and touches no memory.
    unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) };
}

/// The next question, one thread at a time: what one has seen coming no other takes. None if there will be none,
/// or none is to be answered any more.
fn next(
    listener: &OwnedFd,
    stopped: &OwnedFd,
    turn: &Mutex<()>,
) -> Option<io::Result<libc::seccomp_notif>> {
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_asked(listener, stopped) {
        return None;
    }
    // SAFETY: integers only, for which zero is valid; the kernel wants it zero.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    Some(control(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, &mut call).map(|()| call))
}

/// Waits for a question; no if there will be none, or none is to be answered any more.
fn is_asked(listener: &OwnedFd, stopped: &OwnedFd) -> bool {
    loop {
        let mut both = [PollFd::new(listener, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match rustix::event::poll(&mut both, None) {
            Err(Errno::INTR) => {}
            Err(_) => return false,
            Ok(_) if !both[1].revents().is_empty() => return false,
            Ok(_) => return both[0].revents().contains(PollFlags::IN),
        }
    }
}

fn reply(
    listener: &OwnedFd,
    call: libc::seccomp_notif,
    answer: &impl Fn(&Question<'_>) -> Answer,
) -> io::Result<()> {
    let id = call.id;
    let proceed = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1);
    let (flags, error) = match answer(&Question { call, listener }) {
        Answer::Proceed => (proceed, 0),
        Answer::Done => (0, 0),
        Answer::Fails(error) => (0, -error),
    };
    let mut response = libc::seccomp_notif_resp { id, val: 0, error, flags };
    control(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &mut response)
}
