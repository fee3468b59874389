//! `larder run`: identify, lock, reconcile, attach, run, close.

use std::path::PathBuf;

use anyhow::Result;

use super::DONE;
use crate::cli::RunArgs;
use crate::command::LARDER_FAILED;
use crate::config::StorePath;
use crate::evict;
use crate::output::{self, Output, Stopwatch};
use crate::project::Project;
use crate::session::{Done, Use};
use crate::store::Store;

pub fn run(store: Option<PathBuf>, arguments: RunArgs, output: Output) -> Result<u8> {
    let mut watch = Stopwatch::default();
    let store = open_store(store)?;
    let mut project =
        Project::find(&store, arguments.project, arguments.source, &arguments.command)?;
    project.settings.packages = arguments.packages.unwrap_or(project.settings.packages);
    project.settings.wait = arguments.wait.unwrap_or(project.settings.wait);
    project.announce_symlink(output);
    watch.step("prepare");
    let answer = project.identify(&store)?;
    watch.step("identify");
    let use_ = Use::open(&store, &project, answer, output)?;
    watch.step("open");
    let done = use_.carry_out(&arguments.command, &mut watch);
    for error in evict::empty_trash(&store) {
        output.warning(&output::one_line(&error.into()));
    }
    watch.step("empty trash");
    output.detail(&watch.summary());
    exit_code(done?, output)
}

/// The command's own exit code if it failed, whatever became of the records: larder's trouble must
/// not hide it.
fn exit_code(done: Done, output: Output) -> Result<u8> {
    let code = match done.ended {
        Ok(ended) => u8::try_from(ended.code).unwrap_or(LARDER_FAILED),
        Err(error) => {
            let code = error.code();
            output.error(&error.into());
            code
        }
    };
    match done.closed {
        Err(error) if code == DONE => Err(error),
        Err(error) => {
            output.error(&error);
            Ok(code)
        }
        Ok(()) => Ok(code),
    }
}

/// A store that somebody named must be there; the default one is made.
fn open_store(named: Option<PathBuf>) -> Result<Store> {
    Ok(match StorePath::find(named) {
        StorePath::Named(path) => Store::open_writable(&path)?,
        StorePath::Default(path) => Store::create(&path)?,
    })
}
