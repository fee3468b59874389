//! One use, one collection, one pull: what puts the wings before it in sequence.

pub mod caches;
pub mod collect;
pub mod project;
pub mod relocate;
pub mod session;
pub mod share;
pub mod situation;
pub mod sweep;
pub mod verify;
