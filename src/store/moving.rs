//! What a move of the whole store writes down, so that it can be ended after a crash.
//!
//! Before anything changes, the store says in `moving.json` where it is to go; wherever that record is
//! found later tells whether it got there. A copy on another filesystem says in `moved-from.json`
//! where it came from. Both bear the token of one attempt: while a store with that token is where the
//! copy came from, the copy counts for nothing, so that at every instant one of the two is the store (decision 55).

use std::path::{Path, PathBuf};

use super::FORMAT;
use super::layout::Store;
use crate::base::atomic::{self, RecordError};

pub(crate) use super::marker::{MOVING, Moving, ORIGIN, Origin};

impl Moving {
    /// Writes it down, durably, in the store that is about to move.
    pub(crate) fn begin(&self, store: &Store) -> Result<(), RecordError> {
        atomic::write_json(&store.root().join(MOVING), self)
    }
}

impl Origin {
    /// Writes it down, durably, in the copy that is about to be made.
    pub(crate) fn begin(&self, copy: &Path) -> Result<(), RecordError> {
        atomic::write_json(&copy.join(ORIGIN), self)
    }
}

impl Store {
    /// A copy of a store before it is one: nobody else works in it yet.
    pub(crate) fn of_copy(root: PathBuf) -> Self {
        Self::at(root, FORMAT)
    }
}
