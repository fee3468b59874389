//! What all of tea has to do with.

/// How long it draws, in minutes.
pub fn minutes(cups: u32) -> u32 {
    3 + cups / 4
}
