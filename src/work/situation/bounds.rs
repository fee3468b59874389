//! Whether what a build left can be kept: what Cargo would fail on, or wait for, is not (decision 104).

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::LookError;
use crate::base::tree::{Node, Tree};
use crate::observe::cargo_layout::Layout;

/// Looks for what nothing of Cargo's is: a FIFO in the place of a fingerprint is waited for by every cargo, and a link
/// there leads to what may be endless.
pub(super) fn check(layout: &Layout, tree: &Tree) -> Result<(), LookError> {
    let odd = |path: &Path, what| LookError::Odd { path: layout.absolute(path), what };
    if let Some(path) = layout.misplaced() {
        return Err(odd(path, "not what cargo makes there"));
    }
    let is_link = |node: &Node| matches!(node, Node::Special | Node::Symlink(_));
    let mut found = tree.select(|_, entry| is_link(&entry.node)).peekable();
    if found.peek().is_none() {
        return Ok(());
    }
    let free = free(layout);
    let is_free = |path: &Path| path.ancestors().any(|above| free.contains(above));
    match found.find(|(path, _)| !is_free(path)) {
        None => Ok(()),
        Some((path, entry)) if entry.node == Node::Special => {
            Err(odd(&path, "a FIFO, a socket or a device where cargo reads"))
        }
        Some((path, _)) => Err(odd(&path, "a symbolic link where cargo reads")),
    }
}

/// Where a build may leave what it likes: nobody but itself reads it, or it goes before the next one.
fn free(layout: &Layout) -> HashSet<&Path> {
    let of_profiles = layout.profiles.iter().flat_map(|profile| {
        let out_dirs = profile.units.iter().filter_map(|unit| unit.out_dir.as_ref());
        let passing = profile.uplifted.iter().chain(&profile.strays);
        out_dirs.chain(&profile.orphan_out_dirs).chain(passing)
    });
    let beside = layout.beside().filter(|path| !Layout::is_at_top(path));
    of_profiles.chain(beside).map(PathBuf::as_path).collect()
}
