//! What looks and changes nothing but access times: the toolchain and all that decides bytes, the sources, Cargo's target directory.

pub mod affected;
pub mod cargo_layout;
pub mod identity;
pub mod sources;
