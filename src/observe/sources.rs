//! The checkout and everything else that a build is made from: its state and its times.
//!
//! The state ([`SourceState`]) is what `reconcile` compares with that of the last attempt. It is
//! by content; stamps only save reading again what nobody touched. Nothing here is changed, and no
//! time of it is: times are not larder's to set.
//!
//! Two views of a path are kept apart ([`Where`]): as seen from here, and as the compiler sees
//! it, which is another one when larder stands outside of the sandbox's root. What is written
//! down has the compiler's view, so that it does not depend on where the root is.

mod archive;
mod checkout;
mod git;
mod learn;
mod lockfile;
mod manifests;
mod mentions;
mod outside;
mod packages;
mod paths;
mod place;
mod state;
mod watched;

#[cfg(test)]
mod tests;

pub(crate) use archive::read_true;
pub(crate) use git::{Original, originals, shared, uncommitted};
pub(crate) use lockfile::{Lockfile, Package};
pub(crate) use place::{Built, Downloads, Where, plain};
pub(crate) use state::{Attempt, SourceChanges, SourceState, observe, observe_checkout};
