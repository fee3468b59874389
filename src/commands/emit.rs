//! `larder emit`: prints configuration, changes nothing.

use std::path::PathBuf;

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use super::DONE;
use crate::cli::{Cli, Consumer, EmitArgs};
use crate::config::StorePath;
use crate::mkosi;
use crate::output;

pub fn emit(store: Option<PathBuf>, arguments: &EmitArgs) -> Result<u8> {
    match arguments.consumer {
        Consumer::Mkosi => {
            let path = std::path::absolute(StorePath::find(store).path())?;
            let path = std::fs::canonicalize(&path).unwrap_or(path);
            output::print(&mkosi::include(&path, true)?)?;
        }
        Consumer::Bash => completions(Shell::Bash)?,
        Consumer::Zsh => completions(Shell::Zsh)?,
        Consumer::Fish => completions(Shell::Fish)?,
    }
    Ok(DONE)
}

fn completions(shell: Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "larder", &mut text);
    Ok(output::print(&String::from_utf8_lossy(&text))?)
}
