//! `larder emit`: prints configuration, changes nothing.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::CommandFactory;
use clap_complete::Shell;

use super::DONE;
use crate::face::cli::{Cli, Consumer, EmitArgs};
use crate::image::emit::container::{self, Shared};
use crate::image::emit::timer::{Job, Manager};
use crate::image::emit::{self, LIMA};
use crate::image::mkosi::Include;
use crate::output::{self, Output};
use crate::store::config::{SYSTEM_STORE, StorePath};

pub(super) fn emit(store: Option<PathBuf>, arguments: &EmitArgs, output: Output) -> Result<u8> {
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
        Consumer::Podman => flags("podman", &shared(store)?.podman()?, output)?,
        Consumer::Docker => flags("docker", &shared(store)?.docker()?, output)?,
        Consumer::Compose => output::print(&shared(store)?.compose()?)?,
        Consumer::Lima => output::print(LIMA)?,
        Consumer::GithubActions => {
            let named = store.map(std::path::absolute).transpose()?;
            output::print(&emit::github_actions(named.as_deref())?)?;
        }
        Consumer::Bash => completions(Shell::Bash)?,
        Consumer::Zsh => completions(Shell::Zsh)?,
        Consumer::Fish => completions(Shell::Fish)?,
    }
    Ok(DONE)
}

/// Flags have no comments: what is to be said goes to stderr.
fn flags(consumer: &str, flags: &str, output: Output) -> Result<()> {
    for note in container::notes(consumer) {
        output.note(&note);
    }
    Ok(output::print(flags)?)
}

/// The store with its owner; one that is not there yet will belong to whoever asks.
fn shared(store: Option<PathBuf>) -> Result<Shared> {
    let store = store_path(store)?;
    let own = || {
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        (user.as_raw(), group.as_raw())
    };
    let owner = std::fs::metadata(&store).map(|metadata| (metadata.uid(), metadata.gid()));
    let is_there = |name: &&str| store.join(name).exists();
    let fixed = ["bin", "larder.sh"].into_iter().filter(is_there).collect();
    Ok(Shared { owner: owner.unwrap_or_else(|_| own()), store, fixed })
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
    if std::fs::canonicalize(&binary).is_ok_and(|binary| binary.starts_with(&store)) {
        bail!(
            "{} is in the store, where a build may replace what the timer would start; install larder elsewhere, and name it with --binary",
            binary.display()
        );
    }
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
