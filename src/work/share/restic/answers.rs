//! What restic says, as JSON; only the parts that count, and all else passed over.

use serde::Deserialize;

use crate::work::share::engine::{FullId, Node, NodeKind, RepositoryLock, Snapshot};

/// `restic version`
#[derive(Deserialize)]
pub(super) struct Version {
    pub version: String,
}

/// `restic cat config`
#[derive(Deserialize)]
pub(super) struct Config {
    pub version: u32,
    pub id: FullId,
}

/// `restic init`
#[derive(Deserialize)]
pub(super) struct Initialized {
    pub id: FullId,
}

/// One of `restic snapshots`.
#[derive(Deserialize)]
pub(crate) struct Listed {
    pub id: FullId,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub time: String,
    #[serde(default)]
    pub summary: Option<Summary>,
}

/// What a snapshot says of its own making.
#[derive(Deserialize)]
pub(crate) struct Summary {
    #[serde(default)]
    pub data_added_packed: u64,
}

impl From<Listed> for Snapshot {
    fn from(listed: Listed) -> Self {
        let added = listed.summary.map_or(0, |summary| summary.data_added_packed);
        let time = humantime::parse_rfc3339(&listed.time).ok();
        Self { id: listed.id, tags: listed.tags, added, time }
    }
}

/// `restic stats`
#[derive(Deserialize)]
pub(super) struct Statistics {
    pub total_size: u64,
}

/// `restic cat lock`
#[derive(Deserialize)]
pub(crate) struct ListedLock {
    #[serde(default)]
    time: String,
    #[serde(default)]
    exclusive: bool,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    pid: i64,
}

impl From<ListedLock> for RepositoryLock {
    fn from(lock: ListedLock) -> Self {
        let ListedLock { time, exclusive, hostname, username, pid } = lock;
        let by = format!("process {pid} of {username} on {hostname}");
        Self { by, since: time.chars().take(19).collect(), exclusive }
    }
}

/// A line of what restic says while it works.
#[derive(Deserialize)]
#[serde(tag = "message_type", rename_all = "snake_case")]
pub(super) enum Message {
    /// The end of a backup or of a restoration.
    Summary {
        #[serde(default)]
        snapshot_id: Option<FullId>,
        #[serde(default)]
        data_added_packed: Option<u64>,
        #[serde(default)]
        bytes_restored: Option<u64>,
    },
    /// Something could not be done.
    Error {
        #[serde(default)]
        error: Option<Reason>,
        #[serde(default)]
        item: Option<String>,
    },
    /// What `ls` begins with.
    Snapshot,
    /// A name.
    Node(ListedNode),
    /// Anything else, such as how far it is.
    #[serde(other)]
    Else,
}

/// Why something could not be done.
#[derive(Deserialize)]
pub(super) struct Reason {
    pub message: Option<String>,
}

/// A name as `restic ls` shows it.
#[derive(Deserialize)]
pub(crate) struct ListedNode {
    name: String,
    path: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    mode: u32,
    #[serde(default)]
    inode: u64,
}

/// Bits of a mode as Go has it (`io/fs`, `FileMode`), and what they are in `st_mode`.
const BITS: [(u32, u32); 3] = [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)];

/// The bits that say what kind of thing it is.
const TYPE: [(u32, &str); 3] = [(0, "file"), (1 << 31, "dir"), (1 << 27, "symlink")];

impl From<ListedNode> for Node {
    fn from(node: ListedNode) -> Self {
        let known = BITS.iter().fold(0o777, |sum, (bit, _)| sum | bit);
        // Both have to say the same: what is restored follows now one, now the other.
        let is = |kind: &str| {
            node.kind == kind
                && TYPE.iter().any(|(bit, name)| *name == kind && node.mode & !known == *bit)
        };
        let kind = match () {
            () if is("file") => NodeKind::File,
            () if is("dir") => NodeKind::Directory,
            () if is("symlink") => NodeKind::Symlink,
            () => NodeKind::Other,
        };
        let word = if kind == NodeKind::Other && TYPE.iter().any(|(_, name)| *name == node.kind) {
            format!("{} that says to be something else", node.kind)
        } else {
            node.kind.clone()
        };
        let special = BITS.iter().filter(|(bit, _)| node.mode & bit != 0);
        let mode = special.fold(node.mode & 0o777, |mode, (_, bit)| mode | bit);
        Self {
            name: node.name,
            path: node.path,
            kind,
            word,
            mode,
            size: node.size,
            inode: node.inode,
        }
    }
}

/// What restic says on stderr when it ends.
#[derive(Deserialize)]
pub(super) struct Complaint {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    error: Option<Reason>,
}

impl Complaint {
    /// Its first line, without the word that it begins with.
    pub(super) fn text(&self) -> Option<String> {
        let inner = self.error.as_ref().and_then(|error| error.message.as_ref());
        let text = self.message.as_ref().or(inner)?;
        let line = text.trim_start_matches("Fatal: ").lines().next()?;
        Some(line.to_owned())
    }
}
