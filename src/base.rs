//! What knows nothing of larder: digests, names, sizes, trees of files, and how files are written so that a crash loses nothing.

pub(crate) mod atomic;
pub(crate) mod copy;
pub(crate) mod digest;
pub(crate) mod edit;
pub(crate) mod encoding;
pub(crate) mod environment;
pub(crate) mod fault;
pub(crate) mod frozen;
pub(crate) mod key;
pub(crate) mod moment;
pub(crate) mod names;
pub(crate) mod path_error;
pub(crate) mod program;
pub(crate) mod quantity;
pub(crate) mod regular;
pub(crate) mod tree;
pub(crate) mod trust;
pub(crate) mod usage;
