//! Never stale: one input changes between two builds, and the second build's bytes are those of a
//! cold one.
//!
//! Each case runs with real cargo, real rustc and real cc, in a mount namespace of its own. First
//! build, change, second build; then a cold build of the same inputs at the same paths, without
//! larder, says what is right; then a third build must find nothing to do.
//!
//! ```text
//! cargo test --test staleness                          with larder: nothing may be stale
//! LARDER_STALENESS_TOOL=cargo cargo test --test staleness    plain cargo: what must be stale, is
//! LARDER_STALENESS_TOOL=/a/script …                         another tool, which is only counted
//! LARDER_STALENESS_EVERY=4 …                                every fourth case
//! LARDER_STALENESS=new-layout cargo test --test staleness    Cargo's layout from 1.100 on
//! LARDER_STALENESS=seeded …                                 another directory after the change, which is seeded
//! LARDER_STALENESS=seeded-before …                          the same before the change
//! LARDER_STALENESS_TABLE=FILE …                        appends a line of JSON for each case
//! LARDER_SUDO=1 …                                      as root through sudo, as make calls it
//! ```
//!
//! A plain user's `cargo test` leaves them out, as it does everything that takes root, and says so.
//!
//! A case that cannot fail is no case: each says what plain cargo makes of it, and the run with
//! plain cargo holds it to that.

#![expect(clippy::too_many_lines, reason = "the cases are lists")]
#![expect(clippy::semicolon_if_nothing_returned, reason = "a change is one expression")]
#![expect(clippy::disallowed_methods, reason = "tests remove what they made, and damage things")]

mod cases;
mod lab;
mod world;

use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use rustix::thread::UnshareFlags;
use serde::Serialize;

use cases::{Case, Plain};
use lab::{Built, Lab, Tool};
use world::{Seeds, World};

/// How a build after a change came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// The bytes of a cold build, or its failure.
    Right,
    /// Other bytes, or success where a cold build fails: what differs.
    Stale(String),
    /// A failure where a cold build succeeds: its last words.
    Error(String),
}

/// A line of the table.
#[derive(Serialize)]
struct Line<'a> {
    class: &'a str,
    name: &'a str,
    tool: &'a str,
    verdict: &'a Verdict,
    /// How many crates the build after the change compiled.
    compiled: usize,
    /// Whether a cold build gives the bytes that were there before the change.
    same: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(None)).exit_code();
    }
    if !rustix::process::geteuid().is_root() {
        return if std::env::var_os("LARDER_SUDO").is_some() {
            as_root()
        } else {
            as_a_plain_user(&arguments)
        };
    }
    let world = Arc::new(World::new());
    libtest_mimic::run(&arguments, trials(Some(&world))).exit_code()
}

/// Mounts over `/usr` need root: in a namespace it is enough to be root there, but files of the
/// machine's root cannot be changed under such an overlay.
fn as_root() -> ExitCode {
    let binary = std::env::current_exe().unwrap();
    let done = Command::new("sudo").arg("-E").arg(binary).args(std::env::args().skip(1)).status();
    match done {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("cannot run sudo ({error}); {NEEDS_ROOT}"));
            ExitCode::FAILURE
        }
    }
}

/// Nobody is asked for a password: the cases are ignored, or fail where they are asked for.
fn as_a_plain_user(arguments: &Arguments) -> ExitCode {
    say(&format!("{NEEDS_ROOT}: make staleness"));
    if arguments.ignored || arguments.include_ignored {
        return ExitCode::FAILURE;
    }
    let ignored = trials(None).into_iter().map(|trial| trial.with_ignored_flag(true));
    libtest_mimic::run(arguments, ignored.collect()).exit_code()
}

const NEEDS_ROOT: &str = "the cases replace compilers and headers below overlays of their own, for which they \
                          must run as root";

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "staleness: {line}");
}

fn trials(world: Option<&Arc<World>>) -> Vec<Trial> {
    let tool = Tool::asked_for();
    let every = std::env::var("LARDER_STALENESS_EVERY");
    let every: usize = every.map_or(1, |count| count.parse().expect("a number above 0"));
    let trial = |(number, case): (usize, Case)| {
        let world = world.cloned();
        let name = format!("{}: {}", case.class, case.name);
        Trial::test(name, move || in_namespace(&world.unwrap(), &case, number, tool))
    };
    cases::all().into_iter().enumerate().step_by(every).map(trial).collect()
}

/// Runs a case in a thread with a mount namespace of its own.
fn in_namespace(world: &Arc<World>, case: &Case, number: usize, tool: Tool) -> Result<(), Failed> {
    let dir = world.dir.join(number.to_string());
    let run = || {
        #[expect(deprecated, reason = "no descriptor is unshared")]
        rustix::thread::unshare(UnshareFlags::FS | UnshareFlags::NEWNS).unwrap();
        let private = Command::new("mount").args(["--make-rprivate", "/"]).status().unwrap();
        assert!(private.success());
        let lab = Lab::new(world, dir.clone(), tool);
        case.run(&lab)
    };
    let done = std::thread::scope(|scope| {
        scope.spawn(|| catch_unwind(AssertUnwindSafe(run))).join().unwrap()
    });
    if std::env::var_os("LARDER_STALENESS_KEEP").is_none() {
        let _ = fs::remove_dir_all(&dir);
    }
    match done {
        Ok(outcome) => outcome.map_err(Failed::from),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Err(Failed::from(text.unwrap_or_else(|| "panicked".to_owned())))
        }
    }
}

impl Case {
    fn run(&self, lab: &Lab<'_>) -> Result<(), String> {
        (self.prepare)(lab);
        let first = lab.build();
        if first.code != 0 {
            return Err(format!("the first build failed: {}", first.text));
        }
        if lab.ask_otherwise(Seeds::Before) {
            self.note_seed(&lab.build());
        }
        (self.change)(lab);
        let is_other = lab.ask_otherwise(Seeds::After);
        let pristine = lab.copy_sources();
        let built = lab.build();
        if is_other {
            self.note_seed(&built);
        }
        let cold = lab.cold(&pristine);
        let verdict = judge(&built, &cold);
        let same = cold.artifacts == first.artifacts;
        self.note(&verdict, built.compiled, same);
        match lab.tool() {
            Tool::Cargo => return self.plain.holds(&verdict),
            // It is only counted.
            Tool::Peer => return Ok(()),
            Tool::Larder => {}
        }
        if verdict != Verdict::Right {
            return Err(format!("{verdict:?}\nwarm: {}\ncold: {}", built.text, cold.text));
        }
        if self.nothing_to_do && built.compiled > 0 && !is_other {
            return Err(format!("needless rebuild: {}", built.text));
        }
        if built.code == 0 {
            if self.settles {
                lab.build();
            }
            let again = lab.build();
            if (again.compiled > 0) != self.never_settles || again.code != 0 {
                return Err(format!("nothing changed, and yet: {}", again.text));
            }
            if again.artifacts != built.artifacts {
                return Err("nothing changed, and yet the artifacts did".to_owned());
            }
        }
        Ok(())
    }

    /// Where nothing stays, nothing is taken; how often that is so is told.
    fn note_seed(&self, built: &Built) {
        if !built.text.contains("begins with") {
            say(&format!("not seeded: {}: {}", self.class, self.name));
        }
    }

    fn note(&self, verdict: &Verdict, compiled: usize, same: bool) {
        let Some(table) = std::env::var_os("LARDER_STALENESS_TABLE").map(PathBuf::from) else {
            return;
        };
        let tool = std::env::var("LARDER_STALENESS_TOOL").unwrap_or_else(|_| "larder".to_owned());
        let line =
            Line { class: self.class, name: self.name, tool: &tool, verdict, compiled, same };
        let text = serde_json::to_string(&line).unwrap() + "\n";
        let mut file = fs::File::options().append(true).create(true).open(table).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
}

fn judge(built: &Built, cold: &Built) -> Verdict {
    if cold.code != 0 && built.code != 0 {
        let left = built.artifacts.keys().find(|name| !cold.artifacts.contains_key(*name));
        return left.map_or(Verdict::Right, |name| Verdict::Stale(format!("{name} is left")));
    }
    if cold.code != 0 {
        return Verdict::Stale("a cold build fails".to_owned());
    }
    if built.code != 0 {
        let line = built.text.lines().find(|line| line.contains("error"));
        return Verdict::Error(line.unwrap_or("it said nothing").to_owned());
    }
    let names = built.artifacts.keys().chain(cold.artifacts.keys());
    let differs = |name: &&String| built.artifacts.get(*name) != cold.artifacts.get(*name);
    match names.into_iter().find(differs) {
        Some(name) => Verdict::Stale(name.clone()),
        None => Verdict::Right,
    }
}

impl Plain {
    /// Whether plain cargo did what the case says of it.
    fn holds(self, verdict: &Verdict) -> Result<(), String> {
        let as_said = match self {
            Self::Stale => matches!(verdict, Verdict::Stale(_)),
            Self::Right => *verdict == Verdict::Right,
            Self::Any => true,
        };
        if as_said { Ok(()) } else { Err(format!("said to be {self:?}, and is {verdict:?}")) }
    }
}
