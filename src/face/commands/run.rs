//! `larder run`: identify, lock, reconcile, attach, run, close.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{DONE, enter, open_store, room};
use crate::decide::verdict::Verdict;
use crate::face::cli::RunArgs;
use crate::host::command::{self, LARDER_FAILED};
use crate::observe::identity::Answer;
use crate::output::{self, Output, Progress, Stopwatch};
use crate::store::config::{StorePath, domains};
use crate::store::{Guard, Store, evict};
use crate::work::project::{Kept, Project};
use crate::work::session::{Done, Session, sharing};
use crate::work::verify::{self, NOTHING};

/// With the include for sources that nothing is written to the store is there.
const NO_BUILD_DIRECTORY: &str = "the image has no build directory, so nothing is kept of what is built in it; set BuildDirectory= for it, or make mkosi.builddir";

pub(super) fn run(store: Option<PathBuf>, arguments: RunArgs, output: Output) -> Result<u8> {
    let mut watch = Stopwatch::default();
    if let Err(missing) = command::find(&arguments.command) {
        let code = missing.code();
        output.error(&missing.into(), code);
        return Ok(code);
    }
    let kept = Kept::find(arguments.source.as_deref(), &arguments.with, &arguments.command)?;
    if kept.with.is_empty() {
        if arguments.require_store {
            open(store, &arguments, output)?;
        }
        return Ok(run_as_it_is(&kept.source, &arguments.command, output));
    }
    let (store, guard) = open(store, &arguments, output)?;
    let project = project(&store, kept, arguments, output)?;
    watch.step("prepare");
    let answer = identify(&project, &store, output)?;
    watch.step("identify");
    let mut warm = Session::open(&store, &guard, &project, answer, output)?;
    watch.step("open");
    room::make(&store, output);
    watch.step("make room");
    let built = build(&mut warm, &project, &mut watch, output);
    if warm.is_throwaway() || built.as_ref().is_ok_and(|built| built.is_for_nothing) {
        let discarded = warm.discard();
        empty_scraps(&store, output);
        output.detail(&watch.summary());
        // Where the build itself failed that is to be said; what cannot be removed now, a collection removes.
        let code = built?.code;
        return discarded.map(|()| code);
    }
    let code = built?.code;
    room::make(&store, output);
    watch.step("make room");
    let share = if code == DONE { sharing::configured(&store, output) } else { None };
    let captured = share.as_ref().and_then(|share| warm.capture(share, output));
    drop(warm);
    if let Some(captured) = captured {
        sharing::publish(&store, captured, output);
        watch.step("push");
    }
    empty_scraps(&store, output);
    watch.step("empty trash");
    output.detail(&watch.summary());
    Ok(code)
}

/// Opens the store; where it is required it is not made, but by who is told of one that the next build may find removed.
pub(super) fn open(
    store: Option<PathBuf>,
    arguments: &RunArgs,
    output: Output,
) -> Result<(Store, Guard)> {
    let path = StorePath::find(store.clone());
    let is_led_to = StorePath::leads_to(path.path()).is_some();
    if is_led_to && !path.path().parent().is_some_and(Path::is_dir) {
        if arguments.require_store {
            bail!("{NO_BUILD_DIRECTORY}");
        }
        output.warning(NO_BUILD_DIRECTORY);
    }
    if is_led_to || !arguments.require_store {
        return open_store(store, arguments.wait, output);
    }
    enter(|| Store::open_writable(path.path()), arguments.wait, output)
}

/// Becomes a command of which nothing can be kept; says so, and what to do.
fn run_as_it_is(source: &Path, command: &[OsString], output: Output) -> u8 {
    let source = source.display();
    output.note(&format!("no Cargo.toml and no go.mod in {source}, so nothing is kept of this command; name the project's directory with --source, or what is kept with --with"));
    let error = command::become_it(command);
    let code = error.code();
    output.error(&error.into(), code);
    code
}

/// What came of a command, and of the comparison that was due after it.
struct Built {
    code: u8,
    /// Whether a directory was made, and nothing built in it.
    is_for_nothing: bool,
}

/// Runs the command, and compares what it left with a cold build, if that is due.
fn build(
    warm: &mut Session<'_>,
    project: &Project,
    watch: &mut Stopwatch,
    output: Output,
) -> Result<Built> {
    let command = project.words();
    let is_due = warm.is_due(project.settings.verify_every) && copy_sources(warm, output);
    let done = warm.carry_out(&command, watch);
    let is_for_nothing = done.as_ref().is_ok_and(|done| done.is_for_nothing);
    let code = done.and_then(|done| exit_code(done, output));
    let is_compared = is_due && matches!(code, Ok(DONE)) && !warm.is_given_up();
    if is_due && !is_compared {
        // What went wrong is to be said; what cannot be removed now, a collection removes.
        let _ = warm.clear_cold();
    }
    let mut code = code?;
    if is_for_nothing {
        say_where(project, output);
    }
    if is_compared {
        code = verify_by_itself(warm, &command, project, output)?;
        watch.step("verify");
    }
    Ok(Built { code, is_for_nothing })
}

/// A cargo that was started beside the sources finds none: this is said by nobody else.
fn say_where(project: &Project, output: Output) {
    let Ok(here) = std::env::current_dir() else { return };
    let is_cargo = project.words().first().is_some_and(|word| word == "cargo");
    if is_cargo && !here.starts_with(&project.source) {
        let (here, source) = (here.display(), project.source.display());
        output.note(&format!("cargo ran in {here}, and the sources are in {source}; change there first, or give cargo --manifest-path"));
    }
}

/// The project that the arguments name, with what they override.
pub(super) fn project(
    store: &Store,
    kept: Kept,
    arguments: RunArgs,
    output: Output,
) -> Result<Project> {
    let domains = domains(store, arguments.domain, arguments.from)?;
    let mut project = Project::find(store, arguments.project, kept, &arguments.command, domains)?;
    if arguments.discard {
        project.discard();
    }
    project.settings.packages = arguments.packages.unwrap_or(project.settings.packages);
    project.settings.fidelity = arguments.fidelity.unwrap_or(project.settings.fidelity);
    project.settings.wait = arguments.wait.unwrap_or(project.settings.wait);
    project.announce_symlink(output);
    Ok(project)
}

/// Asks the place where the compiler will run. The first time all of the toolchain is read.
pub(super) fn identify(project: &Project, store: &Store, output: Output) -> Result<Answer> {
    let _progress = Progress::step(output, "looking at the toolchain");
    project.identify(store)
}

/// Deletes what builds took from their own directories; whole ones are left to `larder gc`.
pub(super) fn empty_scraps(store: &Store, output: Output) {
    let _progress = Progress::step(output, "deleting what was set aside");
    for error in evict::empty_scraps(store) {
        output.warning(&output::one_line(&error.into()));
    }
}

/// Copies the sources for a verification that is due. A build does not fail because that cannot be done.
fn copy_sources(warm: &mut Session<'_>, output: Output) -> bool {
    let copied = warm.copy_sources();
    if let Err(error) = &copied {
        output.warning(&format!("this use is not verified: {}", output::one_line(error)));
        // What cannot be removed now, a collection removes.
        let _ = warm.clear_cold();
    }
    copied.is_ok()
}

/// The verification that the policy asks for. A stale build must not pass as a good one.
fn verify_by_itself(
    warm: &mut Session<'_>,
    command: &[OsString],
    project: &Project,
    output: Output,
) -> Result<u8> {
    command::yield_to_others();
    let name = &project.name;
    let Some(comparison) = verify::compare(warm, command)? else {
        output.note(&format!("{name} is not verified: {NOTHING}"));
        return Ok(DONE);
    };
    let unit = comparison.first_unit.unwrap_or_else(|| "no unit of its own".to_owned());
    match (comparison.verdict, comparison.failed_cold) {
        (Verdict::Same, _) => output.note(&format!("verified {name}: warm and cold are the same")),
        (Verdict::NotReproducible, None) => {
            output.note(&format!("{name} is not reproducible: {unit} differs in two cold builds"));
        }
        (Verdict::NotReproducible, Some(code)) => output.note(&format!(
            "{name} is not reproducible: the command failed in a cold build, with code {code}"
        )),
        (Verdict::Stale, None) => {
            bail!("{name} was stale ({unit}); its directory was set aside, run the build again")
        }
        (Verdict::Stale, Some(code)) => bail!(
            "{name} was stale (the command failed in a cold build, with code {code}); its directory was set aside, run the build again"
        ),
    }
    Ok(DONE)
}

/// The command's own exit code if it failed, whatever became of the records: larder's trouble must
/// not hide it.
pub(super) fn exit_code(done: Done, output: Output) -> Result<u8> {
    let code = match done.ended {
        Ok(ended) => u8::try_from(ended.code).unwrap_or(LARDER_FAILED),
        Err(error) => {
            let code = error.code();
            output.error(&error.into(), code);
            code
        }
    };
    match done.closed {
        Err(error) if code == DONE => Err(error),
        Err(error) => {
            output.error(&error, code);
            Ok(code)
        }
        Ok(()) => Ok(code),
    }
}
