//! Signals that larder gets: the command's while there is one, and larder's own end otherwise (decision 100).

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

/// Signals that are passed on to the command.
pub(super) const FORWARDED: [i32; 6] =
    [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2];

/// To whom signals are passed on, and the one that came before it was there.
pub(super) struct Receiver {
    pid: AtomicI32,
    pending: AtomicI32,
}

/// Signal handlers know nothing else.
pub(super) static RECEIVER: Receiver =
    Receiver { pid: AtomicI32::new(Receiver::NOBODY), pending: AtomicI32::new(0) };

/// While it lives, signals wait for a command or are passed on to it; then they end larder.
pub(super) struct Receiving;

impl Drop for Receiving {
    fn drop(&mut self) {
        RECEIVER.is(Receiver::NOBODY);
    }
}

impl Receiver {
    const NOBODY: i32 = -1;
    const COMING: i32 = 0;

    /// From now on it is this process, or nobody, or one that is being started.
    pub(super) fn is(&self, pid: i32) {
        self.pid.store(pid, Ordering::SeqCst);
        self.deliver();
    }

    /// Async-signal-safe.
    fn take(&self, signal: i32, info: &libc::siginfo_t) {
        if self.pid.load(Ordering::SeqCst) == Self::NOBODY {
            end_by(signal);
        } else if info.si_code != libc::SI_KERNEL {
            // What the terminal sends it sends to the whole group.
            self.pass_on(signal);
        }
    }

    fn pass_on(&self, signal: i32) {
        self.pending.store(signal, Ordering::SeqCst);
        self.deliver();
    }

    /// Whichever of the two comes second finds what the other left.
    fn deliver(&self) {
        let pid = self.pid.load(Ordering::SeqCst);
        if pid > 0 {
            let signal = self.pending.swap(0, Ordering::SeqCst);
            if signal > 0 {
                // SAFETY: `kill` is async-signal-safe and takes no pointers.
                unsafe { libc::kill(pid, signal) };
            }
        }
    }
}

/// Ends larder as the signal would have, were it not taken; from its handler. What is half done is put right by the next
/// use, as after a crash. Signals that a user gives a meaning of his own have none here.
fn end_by(signal: i32) {
    if ![libc::SIGUSR1, libc::SIGUSR2].contains(&signal) {
        // SAFETY: both calls are async-signal-safe and take no pointers; the signal is blocked until the handler returns.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
}

/// Passes signals on from now on.
pub(super) fn forward_signals() -> io::Result<Receiving> {
    static TAKEN: OnceLock<()> = OnceLock::new();
    RECEIVER.pending.store(0, Ordering::SeqCst);
    RECEIVER.is(Receiver::COMING);
    let receiving = Receiving;
    if TAKEN.set(()).is_ok() {
        for signal in FORWARDED.into_iter().filter(|signal| !is_ignored(*signal)) {
            let take = move |info: &libc::siginfo_t| RECEIVER.take(signal, info);
            // SAFETY: the action uses atomics and calls `kill`, `signal` and `raise`, all async-signal-safe.
            unsafe { signal_hook_registry::register_sigaction(signal, take)? };
        }
    }
    Ok(receiving)
}

/// A signal that larder was started to ignore (`nohup`) stays ignored, for the command too.
pub(super) fn is_ignored(signal: i32) -> bool {
    // SAFETY: an all-zero `sigaction` is valid, and with a null new action the call only reads.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}
