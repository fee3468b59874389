//! `larder emit`: prints configuration, changes nothing.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use super::DONE;
use crate::cli::{Cli, Consumer, EmitArgs};
use crate::config::{SYSTEM_STORE, StorePath};
use crate::mkosi::Include;
use crate::output;
use crate::timer::{Job, Manager};

pub fn emit(store: Option<PathBuf>, arguments: &EmitArgs) -> Result<u8> {
    let job = |store| job(store, arguments.binary.as_deref());
    match arguments.consumer {
        Consumer::Mkosi => output::print(&Include::default().text(&store_path(store)?)?)?,
        Consumer::Systemd => {
            let job = job(store)?;
            output::print(&format!("{}\n{}", job.service()?, job.timer()))?;
        }
        Consumer::SystemdService => output::print(&job(store)?.service()?)?,
        Consumer::SystemdTimer => output::print(&job(store)?.timer())?,
        Consumer::Cron => output::print(&job(store)?.cron()?)?,
        Consumer::Bash => completions(Shell::Bash)?,
        Consumer::Zsh => completions(Shell::Zsh)?,
        Consumer::Fish => completions(Shell::Fish)?,
    }
    Ok(DONE)
}

fn store_path(store: Option<PathBuf>) -> Result<PathBuf> {
    let path = std::path::absolute(StorePath::find(store).path())?;
    Ok(std::fs::canonicalize(&path).unwrap_or(path))
}

fn job(store: Option<PathBuf>, binary: Option<&Path>) -> Result<Job> {
    let store = store_path(store)?;
    let binary = match binary {
        Some(binary) => std::path::absolute(binary)?,
        None => std::env::current_exe()?,
    };
    Ok(Job { manager: manager(&store), binary, store })
}

/// Only its owner can collect a store. One that is not there yet will belong to whoever asks, but
/// for the system's own.
fn manager(store: &Path) -> Manager {
    let there = std::fs::metadata(store).map(|metadata| metadata.uid() == 0);
    let is_roots = there.unwrap_or_else(|_| rustix::process::geteuid().is_root());
    if is_roots || store == Path::new(SYSTEM_STORE) { Manager::System } else { Manager::User }
}

fn completions(shell: Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "larder", &mut text);
    Ok(output::print(&String::from_utf8_lossy(&text))?)
}
