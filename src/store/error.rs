//! Why a directory is not a store that may be used this way.

use std::io;
use std::path::PathBuf;

use super::FORMAT;
use crate::base::atomic::RecordError;
use crate::base::path_error::PathError;
use crate::observe::identity::CanonicalError;

/// A directory that is not a store that may be used this way.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is nothing at the path.
    #[error("no store at {}; make one with `larder init` or `larder provision`, or mount the one that belongs there", .0.display())]
    Missing(PathBuf),
    /// The path is not a directory.
    #[error("the store path {} is not a directory; name another with --store", .0.display())]
    NotADirectory(PathBuf),
    /// The directory has no marker of larder's.
    #[error("{} is not a larder store (its CACHEDIR.TAG does not say so, or `larder move` has not finished there); mount the store that belongs there, make one with `larder provision`, or name another with --store", .0.display())]
    NotAStore(PathBuf),
    /// The directory has other things in it, so no store is made there.
    #[error("{} is not empty and not a larder store; name an empty or a new directory with --store", .0.display())]
    Occupied(PathBuf),
    /// The store belongs to somebody else.
    #[error("the store {} belongs to user {owner}, not to {user}; run larder as its owner, or name a store of your own with --store", path.display())]
    Foreign {
        path: PathBuf,
        /// The owner's numeric user id.
        owner: u32,
        /// The numeric id of who asks.
        user: u32,
    },
    /// Everybody may write into the store, and so decide what is built.
    #[error("everybody may write {} (mode {mode:o}), and so decide what is built; chmod o-w it, and remove what others may have left", path.display())]
    OpenToAll { path: PathBuf, mode: u32 },
    /// The file with the store's key holds something else.
    #[error("{} holds no key; remove it, and another is made: values of before can then not be compared with later ones", .0.display())]
    NoKey(PathBuf),
    /// A later larder made the store.
    #[error("the store {} has format {format}, newer than {FORMAT}, the newest this larder writes; upgrade larder ({})", path.display(), env!("CARGO_PKG_VERSION"))]
    Newer { path: PathBuf, format: u32 },
    /// An identity that has no form.
    #[error(transparent)]
    Identity(#[from] CanonicalError),
    /// The store cannot be written.
    #[error("the store {} cannot be written; remount it read-write or mend its permissions", path.display())]
    ReadOnly {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The system refused.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A record could not be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
}
