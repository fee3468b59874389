//! Other programs, none of which is trusted to end, or to say little. The only room that starts any, but for the
//! user's command and for trials of the kernel.
//!
//! Each is the leader of a process group of its own, which is ended as a whole when the time is up, and in any
//! case when its leader has ended. It dies with larder.

#![expect(
    clippy::disallowed_methods,
    reason = "starts programs, and makes room for what they leave"
)]

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

/// So much of what a program complains about is kept, the end of it.
const COMPLAINT: usize = 16 * 1024;

/// So often a program may say that it is going to try the same thing once more.
const TIMES: u32 = 4;

/// How long a program may take that is asked something: some read much on a cold disk, or fetch what they need.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// So much a program may answer.
const ANSWER: u64 = 256 * 1024 * 1024;

/// A directory into which a program may write, whoever it runs as. It is removed with what is returned.
pub(crate) fn open_scratch() -> io::Result<tempfile::TempDir> {
    let dir = tempfile::Builder::new().prefix("larder-").tempdir()?;
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    Ok(dir)
}

/// How a program ended.
pub(crate) struct Ended {
    pub status: ExitStatus,
    /// The end of what it wrote to stderr.
    pub complaint: String,
}

/// A program that is called for something.
pub(crate) struct Call<'a> {
    /// The program and its arguments.
    pub command: Command,
    /// Its name, for messages.
    pub program: &'a str,
    /// What it does, for messages: `listing snapshots`.
    pub doing: &'a str,
    pub input: Option<&'a [u8]>,
    /// How long it may take.
    pub limit: Duration,
    /// What follows in a line of its stderr on something that it is going to try once more, if it says that.
    pub retries: Option<&'static str>,
    /// Whether it may ask the user on the terminal: then it stays in larder's own process group.
    pub may_ask_user: bool,
}

/// What a program answered.
pub(crate) struct Answer {
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub text: Vec<u8>,
    /// The end of what it wrote to stderr.
    pub complaint: String,
}

/// A program that gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not there.
    #[error("there is no {program}; install it, or put it on PATH")]
    Missing { program: String },
    /// It could not be started, or not be read.
    #[error("{program} failed {doing}: {why}; try it by hand")]
    Failed {
        program: String,
        /// What it was doing.
        doing: String,
        /// What the system said.
        why: String,
    },
    /// It did not end.
    #[error("{program} did not end {doing} within {} s; try it by hand", limit.as_secs())]
    Stalled {
        program: String,
        /// What it was doing.
        doing: String,
        /// How long it was waited for.
        limit: Duration,
    },
}

/// Asks a program that reads nothing, and waits for its answer.
pub(crate) fn ask(command: Command, doing: &str) -> Result<Answer, ProgramError> {
    let program = command.get_program().to_string_lossy().into_owned();
    Call::new(command, &program, doing).ask()
}

/// Has a program die with the thread that starts it.
fn die_with_us(command: &mut Command) {
    let die = || Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: `die` makes one system call; it neither allocates nor locks.
    unsafe { command.pre_exec(die) };
}

impl<'a> Call<'a> {
    /// For a program that reads nothing and asks nobody.
    pub(crate) fn new(command: Command, program: &'a str, doing: &'a str) -> Self {
        let (input, limit, retries, may_ask_user) = (None, PATIENCE, None, false);
        Self { command, program, doing, input, limit, retries, may_ask_user }
    }

    /// Runs the program, and takes whole what it says.
    pub(crate) fn ask(self) -> Result<Answer, ProgramError> {
        let (program, doing) = (self.program.to_owned(), self.doing.to_owned());
        let (text, ended) = self.run(|stream| {
            let failed = |why: String| ProgramError::Failed { program, doing, why };
            match read_at_most(stream, ANSWER) {
                Ok(Some(text)) => Ok(text),
                Ok(None) => Err(failed("it says too much".to_owned())),
                Err(error) => Err(failed(error.to_string())),
            }
        })?;
        Ok(Answer { status: ended.status, text, complaint: ended.complaint })
    }

    /// Runs the program. What it writes to stdout is read by `read`, to its end or to an error, which ends the
    /// program.
    pub(crate) fn run<T, E: From<ProgramError>>(
        self,
        read: impl FnOnce(&mut ChildStdout) -> Result<T, E>,
    ) -> Result<(T, Ended), E> {
        let Self { mut command, program, doing, input, limit, retries, may_ask_user } = self;
        let end = move |pid: Pid| end(pid, !may_ask_user);
        let failed = |why: String| ProgramError::Failed {
            program: program.to_owned(),
            doing: doing.to_owned(),
            why,
        };
        command
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if !may_ask_user {
            // Signals of a terminal do not reach it then, and all that it starts can be ended.
            command.process_group(0);
        }
        die_with_us(&mut command);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ProgramError::Missing { program: program.to_owned() },
            _ => failed(error.to_string()),
        })?;
        let pid = Pid::from_child(&child);
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let expired = AtomicBool::new(false);
        let (read, complaint) = thread::scope(|scope| {
            let (over, waiting) = mpsc::channel::<()>();
            let expired = &expired;
            scope.spawn(move || {
                if waiting.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                    expired.store(true, Ordering::SeqCst);
                    end(pid);
                }
            });
            scope.spawn(move || {
                if let (Some(mut stdin), Some(input)) = (stdin, input) {
                    // Who does not want to read it says so otherwise.
                    let _ = stdin.write_all(input);
                }
            });
            let give_up = move || end(pid);
            let complaint = scope
                .spawn(move || stderr.map(|it| last_of(it, retries, &give_up)).unwrap_or_default());
            let mut stdout = stdout;
            let read = stdout.as_mut().map(read);
            if !matches!(read, Some(Ok(_))) {
                end(pid);
            }
            drop(stdout);
            wait_without_reaping(pid);
            drop(over);
            // The leader is not reaped yet, so that its group is still its own.
            end(pid);
            (read, complaint.join().unwrap_or_default())
        });
        let status = child.wait().map_err(|error| failed(error.to_string()))?;
        if expired.load(Ordering::SeqCst) {
            let (program, doing) = (program.to_owned(), doing.to_owned());
            return Err(ProgramError::Stalled { program, doing, limit }.into());
        }
        let read = read.unwrap_or_else(|| Err(failed("it has no output".to_owned()).into()))?;
        Ok((read, Ended { status, complaint }))
    }
}

fn end(pid: Pid, leads_a_group: bool) {
    let _ = if leads_a_group {
        rustix::process::kill_process_group(pid, Signal::KILL)
    } else {
        rustix::process::kill_process(pid, Signal::KILL)
    };
}

fn wait_without_reaping(pid: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(rustix::process::waitid(WaitId::Pid(pid), options), Err(Errno::INTR)) {}
}

/// The end of a stream, read to its end. Calls `give_up` when it says that the same thing failed again and again:
/// a server that is not there is tried for a quarter of an hour otherwise.
fn last_of(mut stream: impl Read, retries: Option<&str>, give_up: &dyn Fn()) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    let (mut line, mut last, mut times) = (Vec::new(), Vec::new(), 0);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..count]);
        let surplus = kept.len().saturating_sub(COMPLAINT);
        kept.drain(..surplus);
        for byte in &buffer[..count] {
            if *byte != b'\n' {
                if line.len() < COMPLAINT {
                    line.push(*byte);
                }
                continue;
            }
            let found = retries.and_then(|it| memchr::memmem::find(&line, it.as_bytes()));
            if let Some(end) = found {
                line.truncate(end);
                times = if line == last { times + 1 } else { 1 };
                std::mem::swap(&mut last, &mut line);
                if times == TIMES {
                    give_up();
                }
            }
            line.clear();
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Everything that a stream holds, if it is not more than so many bytes.
pub(crate) fn read_at_most(stream: impl Read, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    stream.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// The last line of a text that says something.
pub(crate) fn last_line(text: &str) -> &str {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it did not say why")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: &str = " returned error, retrying after ";

    fn call<'a>(script: &str, input: Option<&'a [u8]>, limit: Duration) -> Call<'a> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Call { input, limit, retries: Some(RETRY), ..Call::new(command, "sh", "trying") }
    }

    #[expect(clippy::unnecessary_wraps, reason = "as a reader that can fail")]
    fn all(stream: &mut ChildStdout) -> Result<Vec<u8>, ProgramError> {
        Ok(read_at_most(stream, 1 << 20).unwrap().unwrap())
    }

    #[test]
    fn what_goes_in_comes_out_and_complaints_are_kept_apart() {
        let input = vec![b'x'; 300_000];
        let long = Duration::from_secs(60);
        let (read, ended) = call("cat; echo bad >&2; exit 3", Some(&input), long).run(all).unwrap();
        assert_eq!((read, ended.status.code()), (input, Some(3)));
        assert_eq!(last_line(&ended.complaint), "bad");
    }

    #[test]
    fn who_stalls_is_ended_with_all_it_started() {
        let limit = Duration::from_millis(300);
        for script in ["sleep 1000", "sleep 1000 & echo x", "exec >&- 2>&-; sleep 1000"] {
            let stalled = call(script, None, limit).run(all);
            assert!(matches!(stalled, Err(ProgramError::Stalled { .. })), "{script}");
        }
        let mut endless = call("yes", None, Duration::from_secs(60));
        endless.doing = "saying yes";
        let refused = endless.run(|stream| match read_at_most(stream, 1000).unwrap() {
            Some(_) => Ok(()),
            None => Err(ProgramError::Missing { program: "an end".to_owned() }),
        });
        assert!(matches!(refused, Err(ProgramError::Missing { .. })));
    }

    #[test]
    fn who_tries_the_same_again_and_again_is_ended() {
        let long = Duration::from_secs(60);
        let script = |what: &str| {
            format!(
                "for i in 1 2 3 4; do echo \"{what} returned error, retrying after 1s: x\" >&2; done; sleep 1; echo on"
            )
        };
        let (read, ended) = call(&script("Load($i)"), None, long).run(all).unwrap();
        assert_eq!((read.as_slice(), ended.status.success()), (b"on\n".as_slice(), true));
        let (read, ended) = call(&script("Load(1)"), None, long).run(all).unwrap();
        assert_eq!((read.as_slice(), ended.status.success()), (b"".as_slice(), false));
    }

    #[test]
    fn a_program_that_is_not_there_has_a_remedy() {
        let missing = ask(Command::new("/nowhere/restic"), "listing");
        assert!(
            matches!(missing, Err(ProgramError::Missing { program }) if program == "/nowhere/restic")
        );
    }
}
