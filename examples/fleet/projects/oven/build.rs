//! Which commit this is of.

use std::process::Command;

fn main() {
    let head = Command::new("git").args(["rev-parse", "--short=8", "HEAD"]).output().unwrap();
    let head = String::from_utf8(head.stdout).unwrap();
    println!("cargo:rustc-env=OVEN_COMMIT={}", head.trim());
    println!("cargo:rerun-if-changed=.git/HEAD");
}
