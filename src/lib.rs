//! larder keeps Cargo's `target/` warm between builds and never lets it serve a stale byte.
//!
//! Nine wings, each of which imports only from those before it.

#![warn(unreachable_pub)]
#![cfg_attr(
    test,
    expect(clippy::disallowed_methods, reason = "tests remove what they made, and damage things")
)]

mod base;
mod decide;
mod face;
mod host;
mod image;
mod observe;
mod output;
mod store;
mod work;

pub use face::commands::main;

// What tests read of it.
pub use base::digest::Digest;
pub use base::moment::Moment;
pub use output::{OTHERWISE, REMEDIES};
pub use work::share::{FullId, manifest, signature};
