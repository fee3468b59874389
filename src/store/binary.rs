//! `<store>/bin/larder`: the one static binary for the host and for the sandbox (decision 20).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::StoreError;
use super::layout::Store;
use crate::base::path_error::{At, PathError};
use crate::base::{atomic, program};

/// The ELF program header type that names a dynamic loader (`PT_INTERP`, elf.h).
const INTERPRETER: u32 = 3;

impl Store {
    /// Puts the running binary into the store unless the same or a newer one is there. Says
    /// whether it did.
    pub(crate) fn install_binary(&self) -> Result<bool, StoreError> {
        let path = self.binary();
        let own = fs::read("/proc/self/exe").at("install", &path)?;
        if !is_static(&own) {
            let why = io::Error::other(
                "this larder is linked dynamically and may not start inside a sandbox; \
                 install the one that `make install` builds",
            );
            return Err(PathError::new("install", &path, why).into());
        }
        let same = fs::read(&path).is_ok_and(|installed| installed == own);
        if same || installed_version(&path) > Some(parse(env!("CARGO_PKG_VERSION"))) {
            return Ok(false);
        }
        atomic::write(&path, &own, 0o755)?;
        Ok(true)
    }

    /// Makes the directory that leads to a store elsewhere: the binary, and where the store is for
    /// those who see the directory.
    pub(crate) fn install_pointer(&self, dir: &Path, to: &str) -> Result<(), StoreError> {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        self.make_inner(&format!("{name}/bin"))?;
        let binary = fs::read(self.binary()).at("install", dir)?;
        let place = dir.join("bin/larder");
        if fs::read(&place).ok().as_ref() != Some(&binary) {
            atomic::write(&place, &binary, 0o755)?;
        }
        Ok(atomic::write(&dir.join(POINTER), format!("{to}\n").as_bytes(), 0o644)?)
    }
}

/// The file that says where the store is, in a directory that only leads to one.
const POINTER: &str = "store";

/// The store that a directory leads to.
pub(crate) fn pointed(dir: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(dir.join(POINTER)).ok()?;
    let path = Path::new(text.strip_suffix('\n')?);
    path.is_absolute().then(|| path.to_owned())
}

type Version = Vec<u64>;

/// What the installed binary says of itself; `None` if it says nothing.
fn installed_version(path: &Path) -> Option<Version> {
    let mut command = Command::new(path);
    command.arg("--version");
    let answer = program::ask(command, "telling its version").ok()?;
    let text = String::from_utf8(answer.text).ok()?;
    text.trim().strip_prefix("larder ").map(parse)
}

fn parse(version: &str) -> Version {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// Whether a 64-bit little-endian ELF file asks for no dynamic loader.
pub(crate) fn is_static(elf: &[u8]) -> bool {
    let number = |at: usize, size: usize| -> Option<usize> {
        let bytes = elf.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)))
    };
    let headers = || -> Option<bool> {
        let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let kind = |index: usize| number(table.checked_add(index.checked_mul(size)?)?, 4);
        let interpreter = usize::try_from(INTERPRETER).ok();
        Some((0..count).all(|index| kind(index).is_some() && kind(index) != interpreter))
    };
    elf.starts_with(b"\x7fELF\x02\x01") && headers().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_binary_is_told_from_a_static_one() {
        assert!(!is_static(&fs::read("/bin/sh").unwrap()), "Debian's shell is dynamic");
        assert!(!is_static(b"#!/bin/sh\n"));
        assert!(!is_static(b"\x7fELF\x02\x01"));
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert!(parse("0.10.0") > parse("0.9.9"));
        assert!(parse("1.0.0") > parse("0.99.0"));
        assert_eq!(parse("0.1.0"), parse("0.1.0"));
    }
}
