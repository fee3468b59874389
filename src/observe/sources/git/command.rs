//! Asking git itself, where its files alone do not tell.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::base::program::{self, Answer, ProgramError};

/// Variables that would lead git to another repository than the one asked about.
const MISLEADING: [&str; 6] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
];

/// Runs git in a working tree.
///
/// It takes no lock for its own convenience, starts no file watcher, and does not mind who owns
/// the checkout.
pub(super) fn run<S: AsRef<OsStr>>(
    work_tree: &Path,
    arguments: &[S],
) -> Result<Answer, ProgramError> {
    let mut command = Command::new("git");
    command.args(["--no-optional-locks", "-c", "safe.directory=*", "-c", "core.fsmonitor=false"]);
    command.arg("-C").arg(work_tree).args(arguments);
    for variable in MISLEADING {
        command.env_remove(variable);
    }
    program::ask(command, "looking at the repository")
}

/// What git prints in a working tree; nothing if git is missing or fails.
pub(super) fn ask<S: AsRef<OsStr>>(work_tree: &Path, arguments: &[S]) -> Option<Vec<u8>> {
    let output = run(work_tree, arguments).ok()?;
    output.status.success().then_some(output.text)
}
