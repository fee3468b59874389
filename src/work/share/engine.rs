//! What carries the bytes, as far as sharing needs it.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::error::ShareError;

/// The full id of a snapshot or of a repository: 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FullId(String);

impl TryFrom<String> for FullId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 64 && text.bytes().all(is_digit) {
            Ok(Self(text))
        } else {
            Err("not a full id of 64 hexadecimal digits".to_owned())
        }
    }
}

impl From<FullId> for String {
    fn from(id: FullId) -> Self {
        id.0
    }
}

impl FullId {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// So many as people need.
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

impl fmt::Display for FullId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A snapshot as the repository lists it: anybody who may write there may have put it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub id: FullId,
    pub tags: Vec<String>,
    /// Bytes that it added to the repository, as it says itself.
    pub added: u64,
    /// When it was made, as it says itself.
    pub time: Option<SystemTime>,
}

/// A lock in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RepositoryLock {
    /// Whose it says to be, in words.
    pub by: String,
    /// Since when, as it says itself.
    pub since: String,
    /// Whether nobody else may write meanwhile.
    pub exclusive: bool,
}

/// What kind of thing a name in a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Anything else.
    Other,
}

/// A name in a snapshot, as the listing says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub name: String,
    /// Where it is in the snapshot: `/` and the path.
    pub path: String,
    pub kind: NodeKind,
    /// What it is in the repository's own word, for messages.
    pub word: String,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// The size of a file.
    pub size: u64,
    /// The inode that it had.
    pub inode: u64,
}

/// What a backup came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub id: FullId,
    /// Bytes that the repository had not.
    pub added: u64,
}

/// What a restoration came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Restored {
    /// Bytes that were written, where that is known.
    pub bytes: Option<u64>,
}

/// Gets the names of a snapshot one by one.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(Node) -> Result<(), ShareError>;

/// A repository of snapshots. Nothing that it returns is trusted: whoever may write to it may have put it.
pub(crate) trait Engine: Sync {
    /// The repository's own id.
    fn repository(&self) -> Result<FullId, ShareError>;

    /// All snapshots that have a tag.
    fn snapshots(&self, tag: &str) -> Result<Vec<Snapshot>, ShareError>;

    /// Stores a directory's content but for some paths relative to it. With a snapshot of the same directory
    /// what did not change since is not read again.
    fn store_tree(
        &self,
        dir: &Path,
        without: &[&Path],
        tags: &[String],
    ) -> Result<Stored, ShareError>;

    /// Stores a single file.
    fn store_bytes(&self, name: &str, bytes: &[u8], tags: &[String]) -> Result<Stored, ShareError>;

    /// The content of a file at the top of a snapshot, if it has not more than so many bytes.
    fn bytes(&self, snapshot: &FullId, name: &str, most: u64) -> Result<Vec<u8>, ShareError>;

    /// Shows all names of a snapshot.
    fn list(&self, snapshot: &FullId, visit: Visit<'_>) -> Result<(), ShareError>;

    /// Restores a snapshot into a directory; a file that is there with the same size and modification time
    /// stays as it is.
    fn restore(&self, snapshot: &FullId, to: &Path) -> Result<Restored, ShareError>;

    /// Makes the repository; its id.
    fn init(&self) -> Result<FullId, ShareError>;

    /// Removes locks whose owners are gone: by the process, on the same host, and by half an hour without a sign
    /// of life elsewhere.
    fn unlock(&self) -> Result<(), ShareError>;

    /// Takes snapshots from the list. A server that only adds may say that it did.
    fn forget(&self, snapshots: &[FullId]) -> Result<(), ShareError>;

    /// Removes what no snapshot needs.
    fn prune(&self) -> Result<(), ShareError>;

    /// What some snapshots take together, as stored.
    fn size(&self, snapshots: &[FullId]) -> Result<u64, ShareError>;

    /// Who works in the repository.
    fn locks(&self) -> Result<Vec<RepositoryLock>, ShareError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_id_is_one() {
        let id = |text: &str| FullId::try_from(text.to_owned());
        let full = "0123456789abcdef".repeat(4);
        assert_eq!(id(&full).unwrap().short(), "01234567");
        for wrong in
            ["", "latest", "--help", &full[..63], &full.to_uppercase(), &format!("{full}0")]
        {
            assert!(id(wrong).is_err(), "{wrong}");
        }
    }
}
