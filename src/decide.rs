//! What decides, pure: no file is looked at here, and no clock.

pub(crate) mod needed;
pub(crate) mod policy;
pub(crate) mod reconcile;
pub(crate) mod remade;
pub(crate) mod verdict;
