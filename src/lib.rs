//! larder keeps Cargo's `target/` warm between builds and never lets it serve a stale byte.
//!
//! Nine wings, each of which imports only from those before it.

#![cfg_attr(
    test,
    expect(clippy::disallowed_methods, reason = "tests remove what they made, and damage things")
)]

pub mod base;
pub mod decide;
pub mod face;
pub mod host;
pub mod image;
pub mod observe;
pub mod output;
pub mod store;
pub mod work;
