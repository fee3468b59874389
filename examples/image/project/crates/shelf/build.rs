//! Two things that a program of this kind often generates: a table from a data file, and the version
//! that git knows. Both are declared to Cargo, so that it knows when to run this again.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=units.txt");
    fs::write(out_dir.join("units.rs"), units_table("units.txt")?)?;

    watch_git();
    println!("cargo::rustc-env=PANTRY_COMMIT={}", describe());
    Ok(())
}

/// A match from a unit's name to the number of base units.
fn units_table(path: &str) -> io::Result<String> {
    let mut code =
        String::from("pub fn base_units(name: &str) -> Option<u64> {\n    Some(match name {\n");
    for line in fs::read_to_string(path)?
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        if let Some((name, count)) = line.split_once(' ') {
            writeln!(code, "        {name:?} => {count},").expect("writing to a String");
        }
    }
    code.push_str("        _ => return None,\n    })\n}\n");
    Ok(code)
}

/// Declares what `git describe` depends on. A file that is missing must not be declared: Cargo would
/// then run this script at every build.
fn watch_git() {
    let Some(git_dir) = git(&["rev-parse", "--absolute-git-dir"]) else {
        return;
    };
    for name in ["HEAD", "refs", "packed-refs"] {
        let path = Path::new(&git_dir).join(name);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
}

/// The commit, or "unknown" where sources came without a git repository.
fn describe() -> String {
    git(&["describe", "--always", "--tags", "--abbrev=12"]).unwrap_or_else(|| "unknown".to_owned())
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
