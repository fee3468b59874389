//! What larder installs in a store for sandboxes: `<store>/bin/larder`, the one static binary for the host and for the
//! sandbox (decision 20), and what lies beside it.
//!
//! A build that sees the store may have replaced any of it. It is data: compared with what this larder would install,
//! written anew where it differs, and never started (decision 101).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::layout::{LARGEST_POLICY, Store};
use crate::base::path_error::{At, PathError};
use crate::base::{atomic, regular};
use crate::image::mkosi::{FOR_EPHEMERAL, Include};

/// The ELF program header type that names a dynamic loader (`PT_INTERP`, elf.h).
const INTERPRETER: u32 = 3;

/// The mode of a binary, as far as the store is open: nobody but its owner may change it.
const MODE: u32 = 0o755;

const OTHERS_WRITE: u32 = 0o022;

/// The larder that runs.
const OWN: &str = "/proc/self/exe";

impl Store {
    /// Puts the running binary into the store unless it is there. Says whether it did.
    pub(crate) fn install_binary(&self) -> Result<bool, StoreError> {
        let path = self.binary();
        let own = own_binary()?;
        if !is_static(&own) {
            let why = io::Error::other(
                "this larder is linked dynamically and may not start inside a sandbox; \
                 install the one that `make install` builds",
            );
            return Err(PathError::new("install", &path, why).into());
        }
        install(&own, &path)
    }

    /// Makes the directory that leads to a store elsewhere: the binary, where the store is for those who see the
    /// directory, and what its settings are, which begin as those of this store (decision 127).
    pub(crate) fn install_pointer(&self, dir: &Path, to: &str) -> Result<(), StoreError> {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        self.make_inner(&name)?;
        self.make_inner(&format!("{name}/bin"))?;
        check_directory(dir)?;
        install(&own_binary()?, &dir.join("bin/larder"))?;
        let policy = dir.join(POLICY);
        if fs::symlink_metadata(&policy).is_err() {
            let text = self.policy_text().at("read", self.policy())?;
            atomic::write(&policy, text.as_bytes(), 0o644)?;
        }
        Ok(atomic::write(&dir.join(POINTER), format!("{to}\n").as_bytes(), 0o644)?)
    }

    /// What is installed here or written by the store's owner, and what no command has to change: all of it is
    /// believed by larders that may do more than a command. What is a symlink is somebody else's.
    pub(crate) fn fixed(&self) -> Vec<PathBuf> {
        let names = ["bin", FOR_EPHEMERAL, "larder.sh", "larder.toml", "repositories"];
        let names = names.into_iter().chain(Include::all().map(Include::name));
        let is_there = |path: &PathBuf| {
            let found = fs::symlink_metadata(path);
            found.is_ok_and(|found| found.is_file() || found.is_dir())
        };
        names.map(|name| self.root().join(name)).filter(is_there).collect()
    }
}

/// The bytes of the larder that runs.
pub(crate) fn own_binary() -> Result<Vec<u8>, PathError> {
    fs::read(OWN).at("read", Path::new(OWN))
}

/// Whether a path leads to the very file that runs.
pub(crate) fn is_own_file(path: &Path) -> bool {
    let place = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    place(path).is_some_and(|there| place(Path::new(OWN)) == Some(there))
}

/// Whether a file is what [`install`] leaves: these bytes, which nobody can change but the caller, by this name or
/// another.
pub(crate) fn is_installed(own: &[u8], path: &Path) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else { return false };
    let is_closed = found.is_file()
        && found.nlink() == 1
        && found.uid() == rustix::process::geteuid().as_raw()
        && found.mode() & (0o7000 | OTHERS_WRITE | 0o700) == 0o700
        && found.len() == own.len() as u64;
    is_closed && regular::read(path, own.len() as u64).is_ok_and(|bytes| bytes == own)
}

/// Puts the bytes of this larder at a path; says whether they were not there.
fn install(own: &[u8], path: &Path) -> Result<bool, StoreError> {
    check_directory(path.parent().unwrap_or(Path::new("/")))?;
    if is_installed(own, path) {
        return Ok(false);
    }
    atomic::write(path, own, MODE)?;
    Ok(true)
}

/// Refuses a directory that leads elsewhere.
fn check_directory(dir: &Path) -> Result<(), PathError> {
    if fs::symlink_metadata(dir).at("install", dir)?.is_dir() {
        return Ok(());
    }
    let why = io::Error::other(
        "it is a symlink and not the store's own directory; remove it by hand, and look who put it there",
    );
    Err(PathError::new("install", dir, why))
}

/// The file that says where the store is, in a directory that only leads to one.
const POINTER: &str = "store";

/// No path is longer (`PATH_MAX` of Linux).
const LONGEST: u64 = 4096;

/// The settings of the store that a directory leads to.
const POLICY: &str = "larder.toml";

/// What stands above them in that store, where `mkosi -ff` removes them with it.
const COPIED: &str = "# Each build writes this file anew; change it where `larder init` made it: larder-sandbox/larder.toml in \
the store on the host.\n";

impl Store {
    /// Takes the settings over that a directory which leads to this store has (decision 127).
    pub(crate) fn take_policy(&self, dir: &Path) -> Result<(), StoreError> {
        let path = dir.join(POLICY);
        let text = match regular::read_own(&path, LARGEST_POLICY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.at("read", &path)?,
        };
        let text = [COPIED.as_bytes(), &text].concat();
        if regular::read_own(&self.policy(), LARGEST_POLICY).is_ok_and(|there| there == text) {
            return Ok(());
        }
        Ok(atomic::write(&self.policy(), &text, 0o644)?)
    }
}

/// The store that a directory leads to.
pub(crate) fn pointed(dir: &Path) -> Option<PathBuf> {
    let text = regular::read_own(&dir.join(POINTER), LONGEST).ok()?;
    let text = String::from_utf8(text).ok()?;
    let path = Path::new(text.strip_suffix('\n')?);
    path.is_absolute().then(|| path.to_owned())
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
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_dynamic_binary_is_told_from_a_static_one() {
        assert!(!is_static(&fs::read("/bin/sh").unwrap()), "Debian's shell is dynamic");
        assert!(!is_static(b"#!/bin/sh\n"));
        assert!(!is_static(b"\x7fELF\x02\x01"));
    }

    #[test]
    fn what_is_installed_is_replaced_unless_it_is_the_same_and_closed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mark) = (dir.path().join("bin/larder"), dir.path().join("started"));
        fs::create_dir(dir.path().join("bin")).unwrap();
        let own = b"these bytes";
        assert!(install(own, &path).unwrap(), "nothing was there");
        assert!(!install(own, &path).unwrap(), "it is there");
        let newer = format!("#!/bin/sh\n: >{}\necho larder 99.0.0\n", mark.display());
        let write = |bytes: &[u8], mode: u32| {
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let spoils: [&dyn Fn(); 5] = [
            &|| write(newer.as_bytes(), 0o755),
            &|| write(b"these bytez", 0o755),
            &|| write(own, 0o777),
            &|| fs::hard_link(&path, dir.path().join("another name")).unwrap(),
            &|| {
                fs::rename(&path, dir.path().join("moved")).unwrap();
                symlink("../moved", &path).unwrap();
            },
        ];
        for (number, spoil) in spoils.into_iter().enumerate() {
            spoil();
            assert!(!is_installed(own, &path), "{number}");
            assert!(install(own, &path).unwrap(), "{number}");
            assert!(is_installed(own, &path), "{number}");
        }
        assert!(!mark.exists(), "it was started");
        fs::rename(dir.path().join("bin"), dir.path().join("away")).unwrap();
        symlink("away", dir.path().join("bin")).unwrap();
        let error = install(own, &path).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("symlink"));
    }
}
