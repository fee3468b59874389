//! `larder emit`: prints configuration, changes nothing.

use std::path::PathBuf;

use anyhow::Result;

use super::DONE;
use crate::cli::{Consumer, EmitArgs};
use crate::config::StorePath;
use crate::mkosi;
use crate::output;

pub fn emit(store: Option<PathBuf>, arguments: &EmitArgs) -> Result<u8> {
    let path = StorePath::find(store);
    let path = std::path::absolute(path.path())?;
    let path = std::fs::canonicalize(&path).unwrap_or(path);
    match arguments.consumer {
        Consumer::Mkosi => output::print(&mkosi::include(&path, true)?)?,
    }
    Ok(DONE)
}
