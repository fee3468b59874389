//! Pure text, from others and for others: what mkosi says, what build scripts hold, and what other programs' configuration is to hold.

pub(crate) mod emit;
pub(crate) mod mkosi;
pub(crate) mod script;
