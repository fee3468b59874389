//! `larder man`: writes the manual pages into a directory.

use anyhow::{Context, Result};

use super::DONE;
use crate::base::atomic;
use crate::face::cli::ManArgs;
use crate::face::manual;

pub(super) fn man(arguments: &ManArgs) -> Result<u8> {
    let dir = &arguments.directory;
    atomic::make_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for page in manual::pages() {
        atomic::write_for_user(&dir.join(page.name), page.text.as_bytes())?;
    }
    Ok(DONE)
}
