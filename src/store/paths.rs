//! Where the records of one target directory are.

use std::ffi::OsStr;
use std::path::PathBuf;

/// The paths of one target directory and its records.
#[derive(Clone, Debug)]
pub struct EntryPaths {
    /// The directory that holds the rest.
    pub dir: PathBuf,
    /// `entry.json`
    pub record: PathBuf,
    /// `identity.json`
    pub identity: PathBuf,
    /// `state`
    pub state: PathBuf,
    /// `manifest`
    pub manifest: PathBuf,
    /// `sweep`: what is being removed from the target directory; only there meanwhile.
    pub sweep: PathBuf,
    /// `target/`
    pub target: PathBuf,
    /// The lock beside the directory.
    pub lock: PathBuf,
    /// The pin beside the directory.
    pub pin: PathBuf,
}

impl EntryPaths {
    /// Those of a directory.
    pub(super) fn of(dir: PathBuf) -> Self {
        Self {
            record: dir.join("entry.json"),
            identity: dir.join("identity.json"),
            state: dir.join("state"),
            manifest: dir.join("manifest"),
            sweep: dir.join("sweep"),
            target: dir.join("target"),
            lock: dir.with_extension("lock"),
            pin: dir.with_extension("pin"),
            dir,
        }
    }

    /// Whether a name in the directory is one of its own.
    pub fn has(&self, name: &OsStr) -> bool {
        let records = [&self.record, &self.identity, &self.state, &self.manifest, &self.sweep];
        let own = records.into_iter().chain([&self.target]);
        own.into_iter().any(|path| path.file_name() == Some(name))
    }

    /// Where a build from nothing is made, to be compared with what is kept.
    pub fn cold(&self, number: u32) -> PathBuf {
        self.dir.join(format!("cold-{number}"))
    }
}
