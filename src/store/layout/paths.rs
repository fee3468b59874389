//! Where the parts of one target directory are.

use std::ffi::OsStr;
use std::path::PathBuf;

/// The paths of one target directory, of its records, and of what is beside it.
#[derive(Clone, Debug)]
pub(crate) struct EntryPaths {
    /// The directory that holds the rest.
    pub dir: PathBuf,
}

impl EntryPaths {
    /// `entry.json`
    pub(crate) fn record(&self) -> PathBuf {
        self.dir.join("entry.json")
    }

    /// `identity.json`
    pub(crate) fn identity(&self) -> PathBuf {
        self.dir.join("identity.json")
    }

    /// `state`
    pub(crate) fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// `manifest`
    pub(crate) fn manifest(&self) -> PathBuf {
        self.dir.join("manifest")
    }

    /// `sweep`: what is being removed from the target directory; only there meanwhile.
    pub(crate) fn sweep(&self) -> PathBuf {
        self.dir.join("sweep")
    }

    /// `target/`
    pub(crate) fn target(&self) -> PathBuf {
        self.dir.join("target")
    }

    /// `caches/`: what other tools than Cargo keep.
    pub(crate) fn caches(&self) -> PathBuf {
        self.dir.join("caches")
    }

    /// `cargo/`: what Cargo downloaded and unpacked for this directory.
    pub(crate) fn cargo(&self) -> PathBuf {
        self.dir.join("cargo")
    }

    /// `kept`: what the last close left in `caches/`.
    pub(crate) fn kept(&self) -> PathBuf {
        self.dir.join("kept")
    }

    /// The lock beside the directory.
    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.with_extension("lock")
    }

    /// What shows that a command of the directory runs, beside it.
    pub(crate) fn alive(&self) -> PathBuf {
        self.dir.with_extension("alive")
    }

    /// The pin beside the directory.
    pub(crate) fn pin(&self) -> PathBuf {
        self.dir.with_extension("pin")
    }

    /// `<toolchain id>.pull/`: what is being pulled, or copied from another domain; only there meanwhile.
    pub(crate) fn staging(&self) -> PathBuf {
        self.dir.with_extension("pull")
    }

    /// `<toolchain id>.push/`: a replica that is being pushed; only there meanwhile.
    pub(crate) fn replica(&self) -> PathBuf {
        self.dir.with_extension("push")
    }

    /// `<toolchain id>.cold/`: the sources for cold builds, as they were before the warm one; only there
    /// meanwhile. Not inside the directory, which the warm build may have to begin anew.
    pub(crate) fn copies(&self) -> PathBuf {
        self.dir.with_extension("cold")
    }

    /// Whether a name in the directory is one of its own.
    pub(crate) fn has(name: &OsStr) -> bool {
        let own = ["entry.json", "identity.json", "state", "manifest", "sweep"];
        own.into_iter().chain(["target", "cargo", "caches", "kept"]).any(|own| name == own)
    }

    /// Where a build from nothing is made, to be compared with what is kept.
    pub(crate) fn cold(&self, number: u32) -> PathBuf {
        self.dir.join(format!("cold-{number}"))
    }

    /// The sources of that build.
    pub(crate) fn cold_source(&self, number: u32) -> PathBuf {
        self.copies().join(number.to_string())
    }

    /// What that build has a copy of besides: directories outside of the sources.
    pub(crate) fn cold_beside(&self, number: u32, index: usize) -> PathBuf {
        self.copies().join(format!("{number}-{index}"))
    }

    /// What that build has in place of directories that have to be empty.
    pub(crate) fn cold_home(&self, number: u32) -> PathBuf {
        self.dir.join(format!("cold-home-{number}"))
    }

    /// The caches of that build.
    pub(crate) fn cold_caches(&self, number: u32) -> PathBuf {
        self.dir.join(format!("cold-caches-{number}"))
    }
}
