//! The store: the host directory that holds every target directory.
//!
//! ```text
//! <store>/
//!   CACHEDIR.TAG                 the marker, with the format's number
//!   lock                         shared by all who work here, held alone by `larder move`
//!   moving.lock                  held by who waits to have `lock` alone; who comes later gives way
//!   moving.json                  where a move that was begun leads, only meanwhile
//!   moved-from.json              where a copied store was before, until that is gone
//!   larder.toml                  policy
//!   bin/larder                   the static binary that runs inside the sandbox
//!   mkosi.conf                   the generated include
//!   mkosi-*.conf                 the same for other kinds of image
//!   larder-sandbox/              what images with ephemeral build sources mount
//!   repositories/<digest>.json   what `larder init` did for an image repository
//!   larder.sh                    the function that build scripts source
//!   cargo-home/{registry,git}/   shared downloads
//!   downloads.lock               shared by builds that use them, held alone by who removes them
//!   downloads.json               what they take
//!   history, history.old         what happened, a line each
//!   totals.json                  what that adds up to
//!   share/                       what sharing keeps: counters that were seen, restic's cache
//!   observed/<project>           what identification saw, by stamp (a cache, remade when lost)
//!   projects/<project>/
//!     <toolchain id>.lock        beside the directory, never renamed; unlinked only while it is
//!                                held and there is no directory
//!     <toolchain id>.pin         the directory is not collected
//!     <toolchain id>.pull/       what is being pulled, only meanwhile
//!     <toolchain id>.push/       a replica that is being pushed, only meanwhile
//!     <toolchain id>/
//!       entry.json               the record: uses, sizes, the state of the last use; small
//!       identity.json            what the directory was compiled with
//!       state                    what the last attempt compiled
//!       manifest                 what the last close left in target/
//!       sweep                    what is being removed from target/, only meanwhile
//!       target/                  Cargo's; empty where Cargo is not attached
//!       caches/                  what Go and ccache keep
//!       kept                     what the last close left in caches/
//!   trash/                       renamed here first, deleted after
//! ```
//!
//! **Locking.** One exclusive `flock` on `<toolchain id>.lock` covers the directory beside it and
//! all its records; nothing in it is read for a decision, or written, without it. Nobody holds
//! two. After it, a use claims the directory in which it attaches (`flock` on the directory
//! itself): always in this order, so that nobody waits in a circle. `flock` works through bind mounts and across namespaces, where process ids do not. A use
//! hands its descriptor to the command, so that the lock outlives a killed larder until the last
//! process that could still write is gone.
//!
//! **Durability.** Every record is written to a temporary file in its own directory, synced,
//! renamed, and the directory synced ([`crate::base::atomic`]).
//!
//! **Compatibility.** A store of a newer format can be read for `status`, never written.

mod binary;
pub mod config;
mod downloads;
mod entry;
mod error;
pub mod evict;
mod guard;
pub mod history;
mod layout;
mod listing;
mod lock;
mod marker;
pub mod moving;
mod open;
mod share;
mod target;
mod vacant;

pub use binary::{is_static, pointed};
pub(crate) use entry::rfc3339;
pub use entry::{Closed, EntryRecord, Opened, Outcome, Shared, UseRecord, boot_id};
pub use error::StoreError;
pub use guard::Guard;
pub use layout::{EntryPaths, Store};
pub use listing::{Names, Row};
pub use lock::{Claim, Lock, LockError, Wait};
pub use marker::TAG;
pub use open::{OpenEntry, OpenError, sync_files};
pub use target::{Manifest, TargetError, restore_times, rewrite, unshare, watch_reads};

/// The number of the store's format that this larder writes.
pub const FORMAT: u32 = 3;
