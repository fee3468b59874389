//! One use, one collection, one pull: what puts the wings before it in sequence.

pub(crate) mod caches;
pub(crate) mod collect;
pub(crate) mod project;
pub(crate) mod relocate;
pub(crate) mod session;
pub(crate) mod share;
pub(crate) mod situation;
pub(crate) mod sweep;
pub(crate) mod verify;
