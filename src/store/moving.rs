//! What a move of the whole store writes down, so that it can be ended after a crash.
//!
//! Before anything changes, the store says in `moving.json` where it is to go; wherever that record is
//! found later tells whether it got there. A copy on another filesystem says in `moved-from.json`
//! where it came from. Both bear the token of one attempt: while a store with that token is where the
//! copy came from, the copy counts for nothing, so that at every instant one of the two is the store.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic::{self, RecordError, undamaged};
use super::layout::{FORMAT, Store};
use super::marker;

/// In a store that is to be moved: where to.
pub const MOVING: &str = "moving.json";

/// In a copy of a store: where it was copied from.
pub const ORIGIN: &str = "moved-from.json";

/// A move that was begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Moving {
    /// Where the store was.
    pub from: PathBuf,
    /// Where it is to be.
    pub to: PathBuf,
    /// The attempt.
    pub token: String,
}

/// Where a copied store was before, and where that is set aside until it is gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// Where it was.
    pub from: PathBuf,
    /// Where that is until it is removed.
    pub aside: PathBuf,
    /// The attempt.
    pub token: String,
}

impl Moving {
    /// The record in a directory; nothing if there is none that can be read.
    pub fn of(dir: &Path) -> Result<Option<Self>, RecordError> {
        undamaged(atomic::read_json(&dir.join(MOVING)))
    }

    /// Writes it down, durably, in the store that is about to move.
    pub fn begin(&self, store: &Store) -> Result<(), RecordError> {
        atomic::write_json(&store.root().join(MOVING), self)
    }
}

impl Origin {
    /// The record in a directory; nothing if there is none that can be read.
    pub fn of(dir: &Path) -> Result<Option<Self>, RecordError> {
        undamaged(atomic::read_json(&dir.join(ORIGIN)))
    }

    /// Writes it down, durably, in the copy that is about to be made.
    pub fn begin(&self, copy: &Path) -> Result<(), RecordError> {
        atomic::write_json(&copy.join(ORIGIN), self)
    }
}

impl Store {
    /// A copy of a store before it is one: nobody else works in it yet.
    pub fn of_copy(root: PathBuf) -> Self {
        Self { root, format: FORMAT }
    }
}

/// Whether a directory is a copy of a store that is still where it was: not yet a store itself.
pub(super) fn is_unfinished_copy(dir: &Path) -> bool {
    let Ok(Some(origin)) = Origin::of(dir) else { return false };
    let moving = Moving::of(&origin.from).ok().flatten();
    let is_that_move = moving.is_some_and(|moving| moving.token == origin.token);
    is_that_move && matches!(marker::marked(&origin.from), Ok(Some(_)))
}
