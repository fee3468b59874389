//! Pure text, from others and for others: what mkosi says, what build scripts hold, and what other programs' configuration is to hold.

pub mod emit;
pub mod mkosi;
pub mod script;
