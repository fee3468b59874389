//! Directories of a project that somebody names by the beginnings of their ids.

use anyhow::{Result, bail};

use crate::base::names::{ProjectName, ToolchainId};
use crate::store::{Row, Store};

/// The directories of a project whose ids begin with the texts; all if there are none.
pub(super) fn named(store: &Store, project: &ProjectName, ids: &[String]) -> Result<Vec<Row>> {
    let rows = store.rows(project)?;
    if rows.is_empty() {
        let root = store.root().display();
        bail!("no directory of {project} in {root}; `larder status` lists those there are");
    }
    if ids.is_empty() {
        return Ok(rows);
    }
    let mut chosen: Vec<Row> = Vec::new();
    for text in ids {
        let id = find(rows.iter().map(|row| row.toolchain), text)?;
        let row = rows.iter().find(|row| row.toolchain == id).cloned();
        chosen
            .extend(row.filter(|row| chosen.iter().all(|other| other.toolchain != row.toolchain)));
    }
    Ok(chosen)
}

/// The one id that begins with a text.
pub(super) fn find(ids: impl Iterator<Item = ToolchainId>, text: &str) -> Result<ToolchainId> {
    let found: Vec<ToolchainId> =
        ids.filter(|id| !text.is_empty() && id.to_string().starts_with(text)).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => bail!(
            "no directory of this project has an id that begins with {text}; see `larder status`"
        ),
        more => {
            bail!("{} directories have ids that begin with {text}; give more of it", more.len())
        }
    }
}
