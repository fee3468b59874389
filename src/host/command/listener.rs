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
    /// Answers from now on, so many questions at once. What `quick` has an answer for needs no second thread:
    /// waking one costs more than most answers.
    pub(super) fn start(
        listener: OwnedFd,
        threads: usize,
        quick: impl Fn(&Question<'_>) -> Option<Answer> + Send + Sync + 'static,
        answer: impl Fn(&Question<'_>) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (stopped, stop) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        wake_on_this_processor(&listener);
        let shared = Arc::new((listener, stopped, Mutex::new(()), quick, answer));
        let mut this = Self { stop: Some(stop), threads: Vec::new() };
        for _ in 0..threads {
            let shared = Arc::clone(&shared);
            let work = move || {
                let (listener, stopped, turn, quick, answer) = &*shared;
                while let Some(call) = next(listener, stopped, turn, quick) {
                    let question = Question { call, listener };
                    reply(&question, answer(&question));
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

/// The next question that is not answered at once, one thread at a time: what one has seen coming no other takes.
/// None if there will be none, or none is to be answered any more.
fn next(
    listener: &OwnedFd,
    stopped: &OwnedFd,
    turn: &Mutex<()>,
    quick: &impl Fn(&Question<'_>) -> Option<Answer>,
) -> Option<libc::seccomp_notif> {
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    while is_asked(listener, stopped) {
        // SAFETY: integers only, for which zero is valid; the kernel wants it zero.
        let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // A process that ended in between leaves no question.
        if control(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, &mut call).is_err() {
            continue;
        }
        let question = Question { call, listener };
        match quick(&question) {
            Some(answer) => reply(&question, answer),
            None => return Some(call),
        }
    }
    None
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

/// A process that ended in between is answered by nobody.
fn reply(question: &Question<'_>, answer: Answer) {
    let id = question.call.id;
    let proceed = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1);
    let (flags, error) = match answer {
        Answer::Proceed => (proceed, 0),
        Answer::Done => (0, 0),
        Answer::Fails(error) => (0, -error),
    };
    let mut response = libc::seccomp_notif_resp { id, val: 0, error, flags };
    let _ = control(question.listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &mut response);
}
