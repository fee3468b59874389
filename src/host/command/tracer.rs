//! Watches what the command's processes look up, and for which unit they do it.
//!
//! The kernel asks before each call that takes a path; the answer is always to go on. What is read of a process
//! is read while it waits. A program that is made to deceive (another thread that changes a path meanwhile) is
//! not seen through: that is no wall.
//!
//! A unit begins where a program is started with a compiler's arguments for one crate, or with Cargo's variables
//! of a build script's run (`core/compiler/mod.rs` and `custom_build.rs`, Cargo 1.95); all that descends from it
//! belongs to it. A process whose parent is gone before it looked up anything belongs to nobody, and what it
//! looks up counts for all units.

mod calls;
mod memory;
mod process;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::calls::{Arguments, Call, Lookup};
use self::memory::Maker;
use self::process::{Process, View};
use super::listener::Question;
use crate::observe::trace::{Gap, Recorder, Who};

pub(super) use self::calls::{ASKED, OLD, WITH_A_PATH};
pub(super) use self::memory::Memory;

/// So many processes are remembered before those that ended are looked for.
const MANY: usize = 200;

/// What is known of the processes of one command.
pub(super) struct Tracer {
    recorder: Arc<Recorder>,
    /// The command's own process.
    first: AtomicU32,
    processes: Mutex<Processes>,
}

#[derive(Default)]
struct Processes {
    by_thread: HashMap<u32, Arc<Process>>,
    /// How many there were when those that ended were last forgotten.
    swept: usize,
}

impl Tracer {
    pub(super) fn new(recorder: Arc<Recorder>) -> Self {
        Self { recorder, first: AtomicU32::new(0), processes: Mutex::default() }
    }

    /// Takes down what a call looks up.
    pub(super) fn watch(&self, question: &Question<'_>) {
        let Some(call) = Call::of(&question.call.data) else { return };
        let thread = question.call.pid;
        // The command is who asks first, with its own start: what it looks up is for no unit.
        let _ = self.first.compare_exchange(0, thread, Ordering::Relaxed, Ordering::Relaxed);
        let Some(process) = self.process(thread) else {
            // Of one that waits nothing is known: it may be anybody's. Of one that is gone nothing comes.
            if question.is_valid() {
                self.recorder.missed(&Who::Anybody, Gap::Unreadable);
            }
            return;
        };
        let gap = match call {
            Call::Start(lookup, arguments) => {
                return self.start(question, &process, &lookup, arguments);
            }
            Call::NewRoot => return self.learn(thread, process.with_view(View::Changing)),
            Call::Paths(first, second) => {
                let lookups = [Some(first), second].into_iter().flatten();
                return lookups.for_each(|lookup| self.look_up(question, &process, &lookup));
            }
            Call::Mount => Gap::OtherRoot,
            Call::Blind => Gap::WithoutPath,
            Call::Connect(address, len) if Memory::of(thread).is_service(address, len) => {
                Gap::Network
            }
            Call::Connect(..) => return,
        };
        if let Some(who) = &process.who {
            self.recorder.missed(who, gap);
        }
    }

    /// Whether a call tells nothing that is not taken down.
    pub(super) fn knows(&self, question: &Question<'_>) -> bool {
        let Some(Call::Paths(lookup, None)) = Call::of(&question.call.data) else { return false };
        let thread = question.call.pid;
        let known = self.processes().by_thread.get(&thread).cloned();
        let Some(process) = known.filter(|known| known.is_still(thread)) else { return false };
        let Some(who) = &process.who else { return true };
        let path = self.path(question, &process, &lookup);
        let is_known = |path: &Vec<u8>| self.recorder.is_known(who, path, lookup.seen);
        !lookup.seen.wrote && path.is_ok_and(|path| is_known(&path))
    }

    /// A program is about to be started: from now on the process may be a unit's.
    fn start(
        &self,
        question: &Question<'_>,
        process: &Process,
        lookup: &Lookup,
        arguments: Arguments,
    ) {
        let (thread, memory) = (question.call.pid, Memory::of(question.call.pid));
        let makes_one = |who: &&Who| !matches!(who, Who::Cargo | Who::Shell);
        if process.who.as_ref().is_some_and(|who| makes_one(&who)) {
            return self.look_up(question, process, lookup);
        }
        let maker = memory.maker(lookup.path, arguments);
        let maker = maker.filter(|maker| self.is_for_us(thread, process, maker));
        let who = maker.map(|maker| maker.who);
        let is_unit = who.as_ref().is_some_and(|who| makes_one(&who));
        let is_shell = !is_unit && self.starts_shell(question, process, lookup);
        let process = process.with_who(if is_shell { Some(Who::Shell) } else { who });
        let unit = process.who.as_ref().filter(makes_one);
        let version = unit.and_then(|unit| Some((unit, memory.version(arguments)?)));
        if let Some((unit, version)) = version {
            self.recorder.is_of_version(unit, version);
        }
        self.look_up(question, &process, lookup);
        // Once it is started, the program has the number of the leader, whichever thread starts it.
        self.learn(process.leader, process.clone());
        self.learn(thread, process);
    }

    /// Whether the command starts a shell, where it sees the files as the compiler does: what runs beside mkosi's image only
    /// leads into it.
    fn starts_shell(&self, question: &Question<'_>, process: &Process, lookup: &Lookup) -> bool {
        let is_beside = process.view(question.call.pid, self.recorder.root()) == View::Here
            && self.recorder.root() != Path::new("/");
        let path = self.path(question, process, lookup).ok().filter(|_| !is_beside);
        path.is_some_and(|path| self.recorder.command_starts(&path))
    }

    fn look_up(&self, question: &Question<'_>, process: &Process, lookup: &Lookup) {
        let Some(who) = &process.who else { return };
        match self.path(question, process, lookup) {
            Ok(path) => self.recorder.saw(who, &path, lookup.seen),
            Err(Some(gap)) if question.is_valid() => self.recorder.missed(who, gap),
            Err(_) => {}
        }
    }

    /// Whether what somebody makes goes into a directory that is kept, as far as that can be told: a cargo with a target
    /// directory of its own makes units with the same hashes, of which nothing is kept.
    fn is_for_us(&self, thread: u32, process: &Process, maker: &Maker) -> bool {
        let Some(into) = &maker.into else { return true };
        let place = Process::absolute(thread, None, into);
        let place = place.and_then(|place| self.compilers(thread, process, place).ok());
        place.is_none_or(|place| self.recorder.is_known_otherwise(&place))
    }

    /// The path of a call as the compiler sees it. Fails with what is missed for that; with nothing where the call
    /// has no path, or is going to fail.
    fn path(
        &self,
        question: &Question<'_>,
        process: &Process,
        lookup: &Lookup,
    ) -> Result<Vec<u8>, Option<Gap>> {
        let thread = question.call.pid;
        // An address that is not there fails in the kernel too; one that may not be read does not.
        let text = Memory::of(thread).path(lookup.path);
        let text = text.map_err(|_| (!Process::is_readable(thread)).then_some(Gap::Unreadable))?;
        if text.is_empty() && lookup.base.is_none() {
            return Err(None);
        }
        let path = Process::absolute(thread, lookup.base, &text);
        let is_open = || Process::is_open(thread, lookup.base).then_some(Gap::Unreadable);
        self.compilers(thread, process, path.ok_or_else(is_open)?)
    }

    /// How the compiler sees a path of a process.
    fn compilers(
        &self,
        thread: u32,
        process: &Process,
        path: Vec<u8>,
    ) -> Result<Vec<u8>, Option<Gap>> {
        match process.view(thread, self.recorder.root()) {
            View::Compilers => Ok(path),
            View::Here => Ok(self.recorder.seen_by_compiler(path)),
            View::Below(place) => {
                let inside = path.strip_prefix(b"/").unwrap_or(&path);
                Ok(place.join(OsStr::from_bytes(inside)).into_os_string().into_vec())
            }
            View::Unknown | View::Changing => Err(Some(Gap::OtherRoot)),
        }
    }

    /// What is known of a thread's process; for a new one, what its parent is.
    fn process(&self, thread: u32) -> Option<Arc<Process>> {
        let known = self.processes().by_thread.get(&thread).cloned();
        if let Some(known) = known.filter(|known| known.is_still(thread)) {
            return Some(known);
        }
        let (leader, parent) = process::lineage(thread)?;
        let inherited = if leader == thread { parent } else { leader };
        let who = match inherited {
            _ if leader == self.first.load(Ordering::Relaxed) => None,
            _ if leader == thread && parent == std::process::id() => process::adopted(thread),
            0 => Some(Who::Anybody),
            parent => self.process(parent)?.who.clone(),
        };
        let process = Process::open(leader, who, self.recorder.root())?;
        self.learn(thread, process);
        self.processes().by_thread.get(&thread).cloned()
    }

    fn learn(&self, thread: u32, process: Process) {
        let mut all = self.processes();
        if all.by_thread.len() > all.swept + MANY {
            all.by_thread.retain(|thread, process| process.has_thread(*thread));
            all.swept = all.by_thread.len();
        }
        all.by_thread.insert(thread, Arc::new(process));
    }

    fn processes(&self) -> MutexGuard<'_, Processes> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
