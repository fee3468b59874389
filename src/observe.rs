//! What looks and changes nothing but access times: the toolchain and all that decides bytes, the sources, Cargo's target directory.

pub(crate) mod affected;
pub(crate) mod cargo_layout;
pub(crate) mod identity;
pub(crate) mod sources;
pub(crate) mod trace;
