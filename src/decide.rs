//! What decides, pure: no file is looked at here, and no clock.

pub mod needed;
pub mod policy;
pub mod reconcile;
pub mod verdict;
