//! The store: the host directory that holds every target directory.
//!
//! ```text
//! <store>/
//!   CACHEDIR.TAG                   the marker; its second line has the format's number
//!   lock                           shared by all who work here, held alone by `larder move`
//!   moving.lock                    held by who waits to have `lock` alone; who comes later gives way
//!   moving.json                    where a move that was begun leads, only meanwhile
//!   moved-from.json                where a copied store was before, until that is gone
//!   key                            by which values are hidden: 0600, made once, in nothing that is pushed
//!   larder.toml                    policy
//!   bin/larder                     the static binary that runs inside the sandbox
//!   mkosi*.conf, larder.sh         the include files, one for each kind of image, and the snippet
//!   larder-sandbox/                what images with ephemeral build sources mount: the binary, where their store is, its settings
//!   repositories/<digest>.json     what `larder init` did for an image repository
//!   cargo-home/registry/cache/     archives of packages, which all directories share by their checksums
//!   downloads.lock                 shared by builds that use them, held alone by who removes them
//!   downloads.json                 what they take: a cache, measured again when lost
//!   history, history.old           what happened, a line each: for people and graphs, never for a decision
//!   totals.json                    what that adds up to, counters that only grow
//!   share/                         of sharing: the highest counter that was seen of each scope, restic's cache
//!   observed/<project>             what identification saw, by stamp: a cache, remade when lost
//!   projects/<project>/
//!     <toolchain id>.lock          beside the directory, never renamed; unlinked only while held, once the directory is gone
//!     <toolchain id>.alive         held by what runs of a command, only meanwhile; left by who was killed
//!     <toolchain id>.pin           the directory is not collected
//!     <toolchain id>.pull/         what is being pulled, or copied from another domain, only meanwhile
//!     <toolchain id>.push/         a replica that is being pushed, only meanwhile
//!     <toolchain id>.cold/         copies of the sources for a comparison, only meanwhile
//!     <toolchain id>/
//!       entry.json                 the record: small, because collection reads that of every directory
//!       identity.json              the identity, with digests by the store's key for what nobody is to know
//!       state                      what the last attempt compiled
//!       manifest                   what the last close left in target/
//!       sweep                      what is being removed from target/, only meanwhile
//!       target/                    Cargo's; empty where Cargo is not attached
//!       cargo/                     registry/ and git/ of Cargo's home, and Cargo's locks over them
//!       caches/                    go-build/, go-mod/, ccache/
//!       kept                       what the last close left in caches/, and what Go may know of the sources
//!   trash/                         renamed here first, unlinked after
//! ```
//!
//! **Locking.** One exclusive `flock` on `<toolchain id>.lock` covers the directory beside it and
//! all its records; nothing in it is read for a decision, or written, without it. Nobody holds
//! two. After it, a use claims the directory in which it attaches (`flock` on the directory
//! itself): always in this order, so that nobody waits in a circle. `flock` works through bind mounts and across namespaces, where process ids do not. No
//! command inherits a lock. It inherits what shows that it runs, and a directory of which something runs is in use too,
//! so that nobody takes it when larder was killed ([`alive`]).
//!
//! **Durability.** Every record is written to a temporary file in its own directory, synced,
//! renamed, and the directory synced ([`crate::base::atomic`]).
//!
//! **Compatibility.** A store of a newer format can be read for `status`, never written.

mod alive;
mod binary;
pub(crate) mod config;
mod downloads;
mod entry;
mod error;
pub(crate) mod evict;
mod foreign;
mod guard;
pub(crate) mod history;
mod key;
mod layout;
mod listing;
mod lock;
mod marker;
pub(crate) mod moving;
mod open;
mod share;
mod target;
mod vacant;

pub(crate) use alive::Sign;
pub(crate) use binary::{is_installed, is_own_file, is_static, own_binary, pointed};
pub(crate) use entry::rfc3339;
pub(crate) use entry::{
    BegunWith, Closed, EntryRecord, Opened, Outcome, Shared, UseRecord, boot_id,
};
pub(crate) use error::StoreError;
pub(crate) use foreign::Foreign;
pub(crate) use guard::Guard;
pub(crate) use layout::{EntryPaths, Store};
pub(crate) use listing::{Names, Row};
pub(crate) use lock::{Claim, Lock, LockError, Wait};
pub(crate) use marker::TAG;
pub(crate) use open::{OpenEntry, OpenError, sync_files};
pub(crate) use share::SeenBy;
pub(crate) use target::{TargetManifest, restore_times, rewrite, unshare, watch_reads};

/// The number of the store's format that this larder writes.
pub(crate) const FORMAT: u32 = 4;
