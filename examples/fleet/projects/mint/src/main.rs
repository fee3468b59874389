//! Says what kind of mint it is, and how much sugar it takes.

use std::ffi::c_int;

unsafe extern "C" {
    fn sugar_for(leaves: c_int) -> c_int;
}

fn main() {
    let kind = if cfg!(fresh) { "fresh" } else { "dried" };
    // SAFETY: the function takes and gives plain numbers.
    let spoons = unsafe { sugar_for(12) };
    println!("mint, {kind}, {spoons} of sugar");
}
