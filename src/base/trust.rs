//! Whose files may name programs that larder starts.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::environment;

/// The user who runs this, or who became root by sudo for it.
pub(crate) fn caller() -> u32 {
    before_sudo().unwrap_or_else(|| rustix::process::geteuid().as_raw())
}

/// Who became root by sudo, by number.
pub(crate) fn before_sudo() -> Option<u32> {
    let before = environment::text("SUDO_UID").filter(|_| rustix::process::geteuid().is_root());
    before.and_then(|uid| uid.parse().ok())
}

/// Whether all of these are the caller's own, root's, or theirs who became root by sudo: git judges in the same way
/// (`setup.c`, `ensure_valid_ownership`, git 2.39). Nobody is trusted with what cannot be looked at.
pub(crate) fn is_trusted(paths: &[&Path]) -> bool {
    let (runs, caller) = (rustix::process::geteuid().as_raw(), caller());
    let is_ours = |metadata: Metadata| [0, runs, caller].contains(&metadata.uid());
    paths.iter().all(|path| path.symlink_metadata().is_ok_and(is_ours))
}

/// Whether a file is a user's.
pub(crate) fn is_owner(user: u32, path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.uid() == user)
}

/// Whether a file is of a user who has no number here: of root, for one, in a user namespace (`user_namespaces(7)`).
pub(crate) fn is_unmapped(path: &Path) -> bool {
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let nobody = std::fs::read_to_string("/proc/sys/kernel/overflowuid");
    let nobody = nobody.ok().and_then(|text| number(&text)).unwrap_or(65534);
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    // The first namespace has them all.
    let has_all = map.split_whitespace().eq(["0", "0", "4294967295"]);
    !has_all && path.symlink_metadata().is_ok_and(|metadata| metadata.uid() == nobody)
}
