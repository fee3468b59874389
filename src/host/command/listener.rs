//! Takes the kernel's questions, one after the other, and hands on what is answered.
//!
//! What is answered is somebody else's: this room knows the protocol of `seccomp_unotify(2)` alone. A
//! process that is gone before its answer is no error.

use std::io;
use std::os::fd::OwnedFd;
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

/// A thread that answers until nobody is left who could ask, or it is dropped.
#[derive(Debug)]
pub(super) struct Listener {
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
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
    /// Answers from now on.
    pub(super) fn start(
        listener: OwnedFd,
        mut answer: impl FnMut(&Question<'_>) -> Answer + Send + 'static,
    ) -> io::Result<Self> {
        let (stopped, stop) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let work = move || {
            while is_asked(&listener, &stopped) {
                // A process that ended in between leaves no question, or nobody to be answered.
                let _ = take(&listener, &mut answer);
            }
        };
        let thread = Builder::new().name("answers".to_owned()).spawn(work)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
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

fn take(listener: &OwnedFd, answer: &mut impl FnMut(&Question<'_>) -> Answer) -> io::Result<()> {
    // SAFETY: integers only, for which zero is valid; the kernel wants it zero.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    control(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, &mut call)?;
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
