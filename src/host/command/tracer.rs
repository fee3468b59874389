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
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::calls::{Arguments, Call, Lookup};
use self::process::{Process, Role, View};
use super::listener::Question;
use crate::observe::trace::{Gap, Recorder, Who};

pub(super) use self::calls::{ASKED, WITH_A_PATH};
pub(super) use self::memory::Memory;

/// So many processes are remembered before those that ended are looked for.
const MANY: usize = 200;

/// What is known of the processes of one command.
pub(super) struct Tracer {
    recorder: Arc<Recorder>,
    /// What the compiler has as `/`, as seen from here.
    root: PathBuf,
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
    pub(super) fn new(recorder: Arc<Recorder>, root: PathBuf) -> Self {
        Self { recorder, root, first: AtomicU32::new(0), processes: Mutex::default() }
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
        match call {
            Call::Paths(first, second) => {
                let Some(who) = process.role.who() else { return };
                for lookup in [Some(first), second].into_iter().flatten() {
                    self.look_up(question, &process, who, &lookup);
                }
            }
            Call::Start(lookup, arguments) => self.start(question, &process, &lookup, arguments),
            Call::NewRoot => self.learn(thread, process.with_view(View::Changing)),
            Call::Mount => {
                if let Some(who) = process.role.who() {
                    self.recorder.missed(who, Gap::OtherRoot);
                }
            }
            Call::Connect(address, len) => {
                let memory = Memory::of(thread);
                if let (Some(who), true) = (process.role.who(), memory.is_service(address, len)) {
                    self.recorder.missed(who, Gap::Network);
                }
            }
            Call::Blind => {
                if let Some(who) = process.role.who() {
                    self.recorder.missed(who, Gap::WithoutPath);
                }
            }
        }
    }

    /// Whether a call tells nothing that is not taken down.
    pub(super) fn knows(&self, question: &Question<'_>) -> bool {
        let Some(Call::Paths(lookup, None)) = Call::of(&question.call.data) else { return false };
        let thread = question.call.pid;
        let known = self.processes().by_thread.get(&thread).cloned();
        let Some(process) = known.filter(|known| known.is_still(thread)) else { return false };
        let Some(who) = process.role.who() else { return true };
        let is_plain = match process.view {
            View::Compilers => true,
            View::Here => self.root == Path::new("/"),
            _ => false,
        };
        is_plain
            && Memory::of(thread).path(lookup.path).is_ok_and(|text| {
                let path = Process::absolute(thread, lookup.base, &text);
                path.is_some_and(|path| self.recorder.is_known(who, &path, lookup.seen))
            })
    }

    /// A program is about to be started: from now on the process may be a unit's.
    fn start(
        &self,
        question: &Question<'_>,
        process: &Arc<Process>,
        lookup: &Lookup,
        arguments: Arguments,
    ) {
        let thread = question.call.pid;
        let mut process = Arc::clone(process);
        if !matches!(process.role, Role::Of(_)) || process.role == Role::Of(Who::Cargo) {
            let role = Memory::of(thread).role(lookup.path, arguments);
            if let (Some(who), Some(version)) = (role.who(), Memory::of(thread).version(arguments))
            {
                self.recorder.is_of_version(who, version);
            }
            if role != process.role {
                // Once it is started, the program has the number of the leader, whichever thread starts it.
                self.learn(process.leader, process.with_role(role.clone()));
                self.learn(thread, process.with_role(role.clone()));
                process = Arc::new(process.with_role(role));
            }
        }
        if let Some(who) = process.role.who() {
            self.look_up(question, &process, who, lookup);
        }
    }

    fn look_up(&self, question: &Question<'_>, process: &Process, who: &Who, lookup: &Lookup) {
        let thread = question.call.pid;
        let Ok(text) = Memory::of(thread).path(lookup.path) else {
            // An address that is not there fails in the kernel too; one that may not be read does not.
            if !Process::is_readable(thread) && question.is_valid() {
                self.recorder.missed(who, Gap::Unreadable);
            }
            return;
        };
        if text.is_empty() && lookup.base.is_none() {
            return;
        }
        let Some(path) = Process::absolute(thread, lookup.base, &text) else {
            if question.is_valid() && Process::is_open(thread, lookup.base) {
                self.recorder.missed(who, Gap::Unreadable);
            }
            return;
        };
        match process.view(thread, &self.root) {
            View::Compilers => self.recorder.saw(who, &path, lookup.seen),
            View::Here if self.root == Path::new("/") => self.recorder.saw(who, &path, lookup.seen),
            View::Here => {
                let here = Path::new(OsStr::from_bytes(&path));
                let theirs =
                    here.strip_prefix(&self.root).map(|inside| Path::new("/").join(inside));
                let theirs = theirs.unwrap_or_else(|_| here.to_owned());
                self.recorder.saw(who, theirs.as_os_str().as_bytes(), lookup.seen);
            }
            View::Below(place) => {
                let inside = path.strip_prefix(b"/").unwrap_or(&path);
                let path = place.join(OsStr::from_bytes(inside));
                self.recorder.saw(who, path.as_os_str().as_bytes(), lookup.seen);
            }
            View::Unknown | View::Changing => self.recorder.missed(who, Gap::OtherRoot),
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
        let role = match inherited {
            _ if leader == self.first.load(Ordering::Relaxed) => Role::Outside,
            _ if leader == thread && parent == std::process::id() => process::adopted(thread),
            0 => Role::Of(Who::Anybody),
            parent => self.process(parent)?.role.clone(),
        };
        let process = Process::open(leader, role, &self.root)?;
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
