//! Asking git itself, where its files alone do not tell: only in repositories of those whom larder trusts, and with all
//! disarmed by which a repository has git start other programs.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::base::environment;
use crate::base::program;
use crate::base::trust::is_trusted;

/// Variables that would lead git to another repository than the one asked about, or arm it.
const MISLEADING: [&str; 7] = [
    // What `git -c` hands on to what it starts, which would win.
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
];

/// By what a repository has git start a program that is only looked at, besides filters, and what disarms it
/// (`git-config(1)`).
const DISARMED: [(&str, &str); 2] = [("core.fsmonitor", "false"), ("core.hooksPath", "/dev/null")];

/// A working tree of which git may be asked: it belongs to the caller, to root, or to who became root by sudo, and so
/// does its git directory.
pub(super) struct WorkTree<'a> {
    top: &'a Path,
    git_dir: PathBuf,
}

impl<'a> WorkTree<'a> {
    /// The working tree, its git directory, and the one that it shares with others; nothing if one of them is a stranger's.
    pub(super) fn of(top: &'a Path, git_dir: &Path, common: &Path) -> Option<Self> {
        let dot_git = top.join(".git");
        let all = [top, &dot_git, git_dir, common, &common.join("config")];
        is_trusted(&all).then(|| Self { top, git_dir: git_dir.to_owned() })
    }

    /// What git prints in a directory of the working tree; nothing if git is missing or fails.
    pub(super) fn ask<S: AsRef<OsStr>>(&self, dir: &Path, arguments: &[S]) -> Option<Vec<u8>> {
        self.run(dir, arguments, &[])
    }

    /// The same where git looks at content, which it has filters for.
    pub(super) fn ask_of_content<S: AsRef<OsStr>>(
        &self,
        dir: &Path,
        arguments: &[S],
    ) -> Option<Vec<u8>> {
        self.run(dir, arguments, &self.filters()?)
    }

    /// The keys by which filters are configured, whoever configures them.
    fn filters(&self) -> Option<Vec<OsString>> {
        let words = ["config", "--null", "--name-only", "--list"];
        let text = self.run(self.top, &words, &[])?;
        let drivers = text.split(|byte| *byte == 0).filter_map(|key| {
            let end = key.iter().rposition(|byte| *byte == b'.')?;
            key.starts_with(b"filter.").then(|| &key[..end])
        });
        // A driver may be called by nothing: `filter.` and a key.
        let is_driver = |driver: &&[u8]| driver.starts_with(b"filter.");
        let drivers: BTreeSet<&[u8]> = drivers.filter(is_driver).collect();
        let keys = drivers.iter().flat_map(|driver| {
            let ends = [&b".clean"[..], b".smudge", b".process", b".required"];
            ends.map(|end| OsString::from_vec([*driver, end].concat()))
        });
        Some(keys.collect())
    }

    /// Runs git. It takes no lock for its own convenience, and fetches nothing that is missing.
    fn run<S: AsRef<OsStr>>(
        &self,
        dir: &Path,
        arguments: &[S],
        filters: &[OsString],
    ) -> Option<Vec<u8>> {
        let mut command = Command::new("git");
        command.args(["--no-optional-locks", "--no-pager"]);
        // Named, and not looked for: what is found between here and there may be another's.
        command.arg(joined("--git-dir=", &self.git_dir)).arg(joined("--work-tree=", self.top));
        command.arg("-C").arg(dir).args(arguments);
        for variable in MISLEADING {
            command.env_remove(variable);
        }
        command.env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "none");
        // By variables, since a name in an argument ends at its first `=`. The caller may have some already.
        let known = environment::text("GIT_CONFIG_COUNT").and_then(|count| count.parse().ok());
        let known: usize = known.unwrap_or_default();
        let disarmed = DISARMED.iter().map(|(key, value)| (OsStr::new(key), *value));
        let unfiltered = filters.iter().map(|key| {
            let is_required = key.as_bytes().ends_with(b".required");
            (key.as_os_str(), if is_required { "false" } else { "" })
        });
        let mut next = known;
        for (key, value) in disarmed.chain(unfiltered) {
            command.env(format!("GIT_CONFIG_KEY_{next}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{next}"), value);
            next += 1;
        }
        command.env("GIT_CONFIG_COUNT", next.to_string());
        let answer = program::ask(command, "looking at the repository").ok()?;
        answer.status.success().then_some(answer.text)
    }
}

fn joined(option: &str, path: &Path) -> OsString {
    let mut word = OsString::from(option);
    word.push(path);
    word
}
