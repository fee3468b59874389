//! Whose files may name programs that larder starts.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::environment;

/// Whether all of these are the caller's own, root's, or theirs who became root by sudo: git judges in the same way
/// (`setup.c`, `ensure_valid_ownership`, git 2.39). Nobody is trusted with what cannot be looked at.
pub(crate) fn is_trusted(paths: &[&Path]) -> bool {
    let caller = rustix::process::geteuid();
    let before = if caller.is_root() { environment::text("SUDO_UID") } else { None };
    let before = before.and_then(|uid| uid.parse().ok());
    let is_ours = |metadata: Metadata| {
        let owner = metadata.uid();
        owner == caller.as_raw() || owner == 0 || Some(owner) == before
    };
    paths.iter().all(|path| path.symlink_metadata().is_ok_and(is_ours))
}
