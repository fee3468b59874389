//! One file per verb; each only puts the rooms in sequence.

mod doctor;
mod emit;
mod explain;
mod gc;
mod history;
mod init;
mod man;
mod moving;
mod named;
mod pin;
mod probe;
mod prometheus;
mod provision;
mod pull;
mod push;
mod report;
mod rm;
mod room;
mod run;
mod share;
mod status;
#[cfg(test)]
mod tests;
mod verify;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser};

use crate::base::environment;
use crate::face::cli::{Cli, Global, Verb};
use crate::host::command::{self, LARDER_FAILED};
use crate::output::Output;
use crate::store::config::{self, StorePath};
use crate::store::{Guard, Store, StoreError, Wait};

/// Done.
pub(crate) const DONE: u8 = 0;
/// Failed.
pub(crate) const FAILED: u8 = 1;
/// The command line was wrong.
pub(crate) const USAGE: u8 = 2;
/// `verify`: artifacts differ.
pub(crate) const DIFFERENT: u8 = 3;
/// `gc`: nothing failed, but a budget does not hold.
pub(crate) const UNMET: u8 = 3;

/// Runs the verb that the arguments ask for.
pub fn main(arguments: &[OsString]) -> ExitCode {
    command::close_to_others();
    let wraps = wraps_a_command(arguments);
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let wrong = if wraps { LARDER_FAILED } else { USAGE };
            let code = if error.use_stderr() { wrong } else { DONE };
            Output::of_wrong(arguments).usage(&error, Cli::command().render_help(), code);
            return ExitCode::from(code);
        }
    };
    let Global { verbose, quiet, log_format, color, .. } = cli.global;
    let output = Output::new(verbose, quiet, log_format, color);
    let done = match cli.verb {
        Verb::Init(arguments) => init::init(cli.global.store, &arguments, output),
        Verb::Provision(arguments) => provision::provision(cli.global.store, &arguments, output),
        Verb::Run(arguments) => run::run(cli.global.store, arguments, output),
        Verb::Verify(arguments) => verify::verify(cli.global.store, arguments, output),
        Verb::Status(arguments) => status::status(cli.global.store, &arguments, output),
        Verb::Explain(arguments) => explain::explain(cli.global.store, &arguments, output),
        Verb::Doctor(arguments) => doctor::doctor(cli.global.store, &arguments, output),
        Verb::Emit(arguments) => emit::emit(cli.global.store, &arguments, output),
        Verb::History(arguments) => history::history(cli.global.store, &arguments, output),
        Verb::Report(arguments) => report::report(cli.global.store, &arguments, output),
        Verb::Gc(arguments) => gc::gc(cli.global.store, &arguments, output),
        Verb::Pin(arguments) => pin::pin(cli.global.store, &arguments, output),
        Verb::Unpin(arguments) => pin::unpin(cli.global.store, &arguments, output),
        Verb::Rm(arguments) => rm::rm(cli.global.store, &arguments, output),
        Verb::Move(arguments) => moving::relocate(cli.global.store, &arguments, output),
        Verb::Push(arguments) => push::push(cli.global.store, &arguments, output),
        Verb::Pull(arguments) => pull::pull(cli.global.store, &arguments, output),
        Verb::Share(arguments) => share::share(cli.global.store, &arguments, output),
        Verb::Man(arguments) => man::man(&arguments),
        Verb::Probe => probe::probe(),
    };
    ExitCode::from(done.unwrap_or_else(|error| {
        let code = if wraps { LARDER_FAILED } else { FAILED };
        output.error(&error, code);
        code
    }))
}

/// Opens the store to work in it; a store that somebody named must be there, the default one is made.
fn open_store(
    named: Option<PathBuf>,
    wait: Option<Wait>,
    output: Output,
) -> Result<(Store, Guard)> {
    match StorePath::find(named) {
        StorePath::Named(path) if !may_make(&path) => {
            enter(|| Store::open_writable(&path), wait, output)
        }
        StorePath::Named(path) | StorePath::Default(path) => {
            let is_new = !path.exists();
            let made = make_store(&path, wait, output)?;
            if is_new {
                say_made(&made.0, output)?;
            }
            Ok(made)
        }
    }
}

/// Whether a store that somebody named may be made where there is none: beside what is there, and not inside of
/// an image's build, where it would be thrown away with the sandbox.
fn may_make(path: &Path) -> bool {
    let above = path.parent().is_some_and(Path::is_dir);
    above && !path.exists() && environment::get("BUILDROOT").is_none()
}

fn say_made(store: &Store, output: Output) -> Result<()> {
    let policy = config::budgets(store)?;
    let root = store.root().display();
    let budget = policy.in_words();
    output.note(&format!(
        "made the store {root}, {budget}; larder.toml in it says how much it may take"
    ));
    Ok(())
}

/// Opens a store that is there, to work in it.
fn existing_store(named: Option<PathBuf>, output: Output) -> Result<(Store, Guard)> {
    let path = StorePath::find(named);
    enter(|| Store::open_writable(path.path()), None, output)
}

/// Opens the store at a path to work in it, and makes it where there is none.
fn make_store(path: &Path, wait: Option<Wait>, output: Output) -> Result<(Store, Guard)> {
    let path = std::path::absolute(path)?;
    let create = || {
        let store = Store::create(&path)?;
        StorePath::leads_to(&path).map_or(Ok(()), |dir| store.take_policy(&dir))?;
        Ok(store)
    };
    enter(create, wait, output)
}

/// Opens a store and keeps it where it is. One that is moved away meanwhile is opened again. Who names no time to
/// wait waits as long as the store's policy says.
fn enter(
    open: impl Fn() -> Result<Store, StoreError>,
    wait: Option<Wait>,
    output: Output,
) -> Result<(Store, Guard)> {
    loop {
        let store = open()?;
        let wait = wait.unwrap_or_else(|| config::wait(&store));
        let announce = |holder: &str| {
            let root = store.root().display();
            output.note(&format!("waiting for the store {root}: in use by {holder}"));
        };
        if let Some(guard) = store.hold(wait, announce)? {
            return Ok((store, guard));
        }
    }
}

/// Whether the verb passes on the exit code of another command, so that its own failures must not
/// be taken for that.
fn wraps_a_command(arguments: &[OsString]) -> bool {
    let mut words = arguments.iter().skip(1);
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--store" | "--color" | "--log-format") => drop(words.next()),
            Some(option) if option.starts_with('-') => {}
            verb => return matches!(verb, Some("run" | "verify")),
        }
    }
    false
}
