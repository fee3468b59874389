//! What knows nothing of larder: digests, names, sizes, trees of files, and how files are written so that a crash loses nothing.

pub mod atomic;
pub mod digest;
pub mod edit;
pub mod encoding;
pub mod fault;
pub mod names;
pub mod program;
pub mod quantity;
pub mod tree;
pub mod usage;
