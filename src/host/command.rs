//! The user's command: started with the mounts in place, signalled, waited for, and outlived.
//!
//! larder becomes the reaper of everything the command starts. When the command has ended,
//! whatever of it still runs is killed, because an orphaned linker could write into a later
//! build's output. If larder itself is killed, the command dies with it, and its descendants keep
//! what shows that they run, so that nobody takes the directory from under them (decisions 10 and 102).

#![expect(clippy::disallowed_methods, reason = "starts the user's command")]

mod answers;
mod filter;
mod listener;
mod removal;
mod signals;
mod tracer;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use rustix::io::{Errno, FdFlags};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use crate::base::environment;
use crate::base::fault;
use crate::host::attach::{Mounts, try_mount_and};
use crate::observe::trace::Recorder;
use crate::output::Output;

use answers::{Answering, Asking, answer};
use filter::Filter;
use listener::Listener;
use removal::Removals;
use signals::{FORWARDED, RECEIVER, forward_signals, is_ignored};
use tracer::Tracer;

/// Descriptors handed to the command begin here, out of the way of scripts that number their own.
const HIGH_DESCRIPTOR: i32 = 200;

/// A command that did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// There is no such program. Exit code 127.
    #[error(
        "cannot run {0}: command not found; install it where the command runs, or correct its name"
    )]
    NotFound(String),
    /// The program cannot be executed. Exit code 126.
    #[error("cannot run {program}; it has to be executable, and made for this machine")]
    NotExecutable {
        program: String,
        #[source]
        source: io::Error,
    },
    /// The mounts could not be made. Exit code 125.
    #[error("cannot attach the target directory; `larder doctor` says what mounting needs here")]
    Attach(#[source] io::Error),
    /// The command could not be started or waited for, for reasons of the system. Exit code 125.
    #[error("cannot supervise the command")]
    Supervise(#[source] io::Error),
}

/// `run` and `verify`: larder itself failed, before or after the command.
pub(crate) const LARDER_FAILED: u8 = 125;
/// `run` and `verify`: the command cannot be executed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// `run` and `verify`: the command was not found.
pub(crate) const NOT_FOUND: u8 = 127;

impl CommandError {
    /// The exit code that says so.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::NotFound(_) => NOT_FOUND,
            Self::NotExecutable { .. } => NOT_EXECUTABLE,
            Self::Attach(_) | Self::Supervise(_) => LARDER_FAILED,
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// Its exit code; 128 and the signal's number if it died of one.
    pub code: i32,
    /// How long it ran.
    pub duration: Duration,
    /// So many processes of it go on, because they may not be ended.
    pub survivors: usize,
}

/// Whether nothing of a command runs any more.
pub(crate) fn is_over(ended: &Result<Ended, CommandError>) -> bool {
    match ended {
        Ok(ended) => ended.survivors == 0,
        Err(CommandError::Supervise(_)) => false,
        Err(_) => true,
    }
}

/// Runs a command to its end, and ends what it left behind.
///
/// Every process of it inherits the `signs`. What it looks up the recorder is told, if there is one.
pub(crate) fn run(
    command: &[OsString],
    mounts: Mounts,
    signs: &[BorrowedFd<'_>],
    recorder: Option<Arc<Recorder>>,
    output: Output,
) -> Result<Ended, CommandError> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| CommandError::Supervise(error.into()))?;
    let started = Instant::now();
    let receiving = forward_signals().map_err(CommandError::Supervise)?;
    let tracer = recorder.map(Tracer::new);
    let (child, listener) = start(command, mounts, signs, tracer, output)?;
    RECEIVER.is(child.as_raw_nonzero().get());
    let code = wait_for(child).map_err(|error| CommandError::Supervise(error.into()))?;
    drop(receiving);
    let duration = started.elapsed();
    let survivors = end_orphans();
    drop(listener);
    if survivors > 0 {
        output.warning(&format!(
            "{survivors} processes that the command left belong to another user and go on, and the directory stays in use; end them as that user"
        ));
    }
    Ok(Ended { code, duration, survivors })
}

/// Becomes the command, which then is as it would be if larder had not been asked; returns only where it cannot be started.
pub(crate) fn become_it(command: &[OsString]) -> CommandError {
    restore_mask();
    let error = Command::new(&command[0]).args(&command[1..]).exec();
    explain(&command[0], error, true)
}

/// Looks whether there is the program that a command starts, as `execvp(3)` would find it.
pub(crate) fn find(command: &[OsString]) -> Result<(), CommandError> {
    let program = command.first().map(PathBuf::from).unwrap_or_default();
    let is_file = |path: &Path| std::fs::metadata(path).is_ok_and(|file| file.is_file());
    let path = environment::get("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let found = if program.components().count() > 1 || program.is_absolute() {
        program.exists()
    } else {
        std::env::split_paths(&path).any(|dir| is_file(&dir.join(&program)))
    };
    let shown = || program.display().to_string();
    if found { Ok(()) } else { Err(CommandError::NotFound(shown())) }
}

/// Where descriptors that are handed on begin: as high as it may be where only few are allowed (`getrlimit(2)`).
fn first_descriptor() -> i32 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| i32::try_from(limit).ok()).unwrap_or(i32::MAX);
    HIGH_DESCRIPTOR.min(limit / 2)
}

/// What the command may not leave open to others, which is the caller's own choice (`umask(2)`).
static OWN_MASK: AtomicU32 = AtomicU32::new(NO_MASK);

/// No mask has as many bits.
const NO_MASK: u32 = u32::MAX;

/// From now on nobody but the caller and his group may write what larder makes. The command gets the caller's own mask.
pub(crate) fn close_to_others() {
    let own = rustix::process::umask(Mode::WOTH);
    rustix::process::umask(own | Mode::WOTH);
    OWN_MASK.store(own.bits(), Ordering::SeqCst);
}

/// Gives the command the mask that larder was started with.
fn restore_mask() {
    let mask = OWN_MASK.load(Ordering::SeqCst);
    if mask != NO_MASK {
        rustix::process::umask(Mode::from_bits_retain(mask));
    }
}

/// Leaves processor and disk to others from now on, for what nobody waits for.
pub(crate) fn yield_to_others() {
    // ioprio_set(2): who = this process, class = idle. Neither failure is worth a word.
    const PROCESS: libc::c_int = 1;
    const IDLE: libc::c_int = 3 << 13;
    let _ = rustix::process::nice(19);
    // SAFETY: the call takes three integers and touches no memory.
    unsafe { libc::syscall(libc::SYS_ioprio_set, PROCESS, 0, IDLE) };
}

fn start(
    command: &[OsString],
    mounts: Mounts,
    signs: &[BorrowedFd<'_>],
    tracer: Option<Tracer>,
    output: Output,
) -> Result<(Pid, Option<Listener>), CommandError> {
    let (ready, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
        .map_err(|error| CommandError::Supervise(error.into()))?;
    let first = first_descriptor();
    let inherit = |sign: &BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(sign, first);
    let inherited: Result<Vec<OwnedFd>, Errno> = signs.iter().map(inherit).collect();
    let inherited = inherited.map_err(|error| CommandError::Supervise(error.into()))?;
    let removals = Removals::of(mounts.sources());
    let asking = Asking::of(&mounts, tracer.is_some()).map_err(CommandError::Supervise)?;
    let (asking, answers) =
        asking.map_or((None, None), |(ours, theirs)| (Some(theirs), Some(ours)));
    let mut process = Command::new(&command[0]);
    process.args(&command[1..]);
    // SAFETY: `prepare` makes system calls only; it neither allocates nor locks.
    unsafe { process.pre_exec(move || prepare(&mounts, asking.as_ref(), &inherited, &writer)) };
    // The child's own `exec` is asked about already, so somebody has to answer before it is done.
    let answering =
        answers.map(|answers| thread::spawn(move || answer(&answers, removals, tracer)));
    let spawned = process.spawn();
    // Without the child's end, who waits for a filter that never came waits no longer.
    drop(process);
    let answering =
        answering.map(|thread| thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())));
    match (spawned, answering.transpose()) {
        (Ok(child), Ok(answering)) => {
            let listener = answering.and_then(|answering| match answering {
                Answering::By(listener) => Some(listener),
                Answering::Refused(error) => {
                    output.note(&format!("what the command looks up cannot be seen ({error}), so its inputs are guessed; `larder doctor` says more"));
                    None
                }
            });
            Ok((Pid::from_child(&child), listener))
        }
        (Ok(mut child), Err(error)) => {
            // Its calls would fail, because nobody answers.
            let _ = child.kill();
            let _ = child.wait();
            Err(CommandError::Supervise(error))
        }
        (Err(error), _) => {
            let attached = File::from(ready).read(&mut [0]).is_ok_and(|count| count == 1);
            Err(explain(&command[0], error, attached))
        }
    }
}

/// Finds out, in a process that ends at once, whether the command could remove what is attached.
pub(crate) fn try_removal(dir: &std::path::Path) -> io::Result<()> {
    let filter = Filter::of_directories().ok_or(io::ErrorKind::Unsupported)?;
    let (way, ours) = filter::way()?;
    try_mount_and(dir, move || filter.enter(&way))?;
    filter::receive(&ours)?.map(drop)
}

/// In the child, before `exec`.
fn prepare(
    mounts: &Mounts,
    asking: Option<&Asking>,
    inherited: &[OwnedFd],
    writer: &OwnedFd,
) -> io::Result<()> {
    let passed_on = FORWARDED.into_iter().filter(|signal| !is_ignored(*signal));
    for signal in passed_on {
        // SAFETY: `signal` is async-signal-safe. Until `exec`, larder's own actions would be in force.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    mounts.enter()?;
    if let Some(asking) = asking {
        asking.filter.enter(&asking.way)?;
    }
    restore_mask();
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    for sign in inherited {
        rustix::io::fcntl_setfd(sign, FdFlags::empty())?;
    }
    fault::point_after_fork("command.exec");
    rustix::io::write(writer, b"+")?;
    Ok(())
}

fn explain(program: &OsString, error: io::Error, attached: bool) -> CommandError {
    let program = program.to_string_lossy().into_owned();
    match error.kind() {
        _ if !attached => CommandError::Attach(error),
        io::ErrorKind::NotFound => CommandError::NotFound(program),
        _ => CommandError::NotExecutable { program, source: error },
    }
}

/// Waits for the command, reaping orphans of it that end meanwhile.
fn wait_for(child: Pid) -> Result<i32, Errno> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => return Ok(exit_code(status)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn exit_code(status: WaitStatus) -> i32 {
    let signalled = status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or(signalled).unwrap_or(125)
}

/// Kills children until there are none, or only such that may not be killed; says how many those are.
fn end_orphans() -> usize {
    loop {
        let children = children();
        let killed = children
            .iter()
            .filter(|pid| rustix::process::kill_process(**pid, Signal::KILL) != Err(Errno::PERM))
            .count();
        if killed == 0 {
            return children.len();
        }
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return 0,
        }
    }
}

/// The processes whose parent is larder: what it reaped by adoption too.
fn children() -> Vec<Pid> {
    let own = std::process::id();
    let Ok(threads) = std::fs::read_dir(format!("/proc/{own}/task")) else {
        return Vec::new();
    };
    let lists = threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let text = lists.collect::<Vec<_>>().join(" ");
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).filter_map(Pid::from_raw).collect()
}
