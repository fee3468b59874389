//! rustc, cargo and the sysroot: what they say of themselves, and what they really are.
//!
//! The text of `-vV` is what Cargo goes by; distributions patch rustc without changing it, so the
//! content counts too. Behind a rustup proxy the toolchain's own binaries are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ask::{Caller, Question};
use super::cargo_config::CargoConfig;
use super::search::Search;
use super::{Environment, IdentifyError, Looker, Request, shown};
use crate::base::digest::{Digest, DigestBuilder};
use crate::base::regular;

/// No script that somebody wrote has more bytes.
const LARGEST_SCRIPT: u64 = 1 << 20;

/// The Rust toolchain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rust {
    /// `rustc -vV`.
    pub rustc: String,
    /// `cargo --version`; with `-vV` it starts other programs to name the operating system.
    pub cargo: String,
    /// Binaries, wrappers and the sysroot's `lib`, by path.
    pub files: BTreeMap<String, Digest>,
}

/// What the programs said of themselves, and the digest of everything that said it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Versions {
    key: Digest,
    rustc: String,
    cargo: String,
}

/// A question that is under way, while other things are looked at.
pub(super) struct RustQuestion {
    place: Caller,
    rustc: PathBuf,
    cargo: PathBuf,
    sysroot: Question,
    others: Vec<PathBuf>,
    programs: Vec<PathBuf>,
}

/// The toolchain's files: what it says of itself is not known yet.
pub(super) struct Toolchain {
    place: Caller,
    rustc: PathBuf,
    cargo: PathBuf,
    /// Binaries, wrappers and the sysroot's `lib`, by path.
    pub files: BTreeMap<String, Digest>,
}

/// Asks rustc for its sysroot, in the source directory: rustup chooses the toolchain by it.
pub(super) fn ask(
    request: &Request,
    environment: &Environment,
    config: &CargoConfig,
    search: &Search,
) -> Result<RustQuestion, IdentifyError> {
    let source = &request.source;
    let find = |tool: &str| {
        let missing = || IdentifyError::NoTool { tool: tool.to_owned(), path: search.shown_path() };
        search.find(Path::new(tool)).ok_or_else(missing)
    };
    let rustc = find(&config.rustc(environment).unwrap_or_else(|| "rustc".into()))?;
    let cargo = find("cargo")?;
    let place = Caller { dir: source.to_owned(), environment: environment.clone() };
    let sysroot = place.ask(&rustc, &["--print", "sysroot"]);
    let mut programs = vec![rustc.clone(), cargo.clone()];
    programs.extend(config.wrappers(environment).iter().filter_map(|name| search.find(name)));
    let others = named_toolchains(&request.command, environment);
    Ok(RustQuestion { place, rustc, cargo, sysroot, others, programs })
}

/// The rustup toolchains that the command itself chooses, as `cargo +nightly build` does, or a
/// script that it runs: their directories below `$RUSTUP_HOME/toolchains`.
fn named_toolchains(command: &[Vec<u8>], environment: &Environment) -> Vec<PathBuf> {
    let get = |name: &str| environment.get(OsStr::new(name)).map(PathBuf::from);
    let home = get("RUSTUP_HOME").or_else(|| Some(get("HOME")?.join(".rustup")));
    let below = home.and_then(|home| std::fs::read_dir(home.join("toolchains")).ok());
    let toolchains: Vec<PathBuf> =
        below.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    if toolchains.is_empty() {
        return Vec::new();
    }
    let mut texts: Vec<Vec<u8>> = command.to_vec();
    texts.extend(command.iter().filter_map(|word| script(Path::new(OsStr::from_bytes(word)))));
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let names: BTreeSet<&[u8]> =
        texts.iter().flat_map(|text| text.split(|byte| !inner(byte))).collect();
    // `nightly` stands for `nightly-x86_64-unknown-linux-gnu`.
    let is_named = |path: &PathBuf| {
        let full = path.file_name().unwrap_or_default().as_bytes();
        let mut starts = full.iter().enumerate().filter(|(_, byte)| **byte == b'-');
        names.contains(full) || starts.any(|(end, _)| names.contains(&full[..end]))
    };
    toolchains.into_iter().filter(is_named).collect()
}

/// The text of a word of the command that is a script.
fn script(path: &Path) -> Option<Vec<u8>> {
    regular::read(path, LARGEST_SCRIPT).ok().filter(|text| text.starts_with(b"#!"))
}

impl RustQuestion {
    /// Waits for the answer, and reads the programs and the sysroot as far as they are not known.
    pub(super) fn observe(self, looker: &mut Looker<'_>) -> Result<Toolchain, IdentifyError> {
        let sysroot = PathBuf::from(self.sysroot.answer()?.trim());
        let mut files = BTreeMap::new();
        let mut look = |path: &Path| {
            if let Some(digest) = looker.look_at_real(path)? {
                files.insert(shown(path.as_os_str().as_bytes()), digest);
            }
            Ok::<_, IdentifyError>(())
        };
        for program in &self.programs {
            look(program)?;
        }
        for toolchain in std::iter::once(sysroot).chain(self.others) {
            look(&toolchain.join("bin/rustc"))?;
            look(&toolchain.join("bin/cargo"))?;
            // A distribution's sysroot is /usr: only rustlib in its lib is rustc's own, besides the
            // shared libraries that rustc is linked with, which are looked at with the others.
            let own = if toolchain == Path::new("/usr") { "lib/rustlib" } else { "lib" };
            look(&toolchain.join(own))?;
        }
        Ok(Toolchain { place: self.place, rustc: self.rustc, cargo: self.cargo, files })
    }
}

impl Toolchain {
    /// What rustc and cargo say of themselves. They are only asked if the programs, or the
    /// libraries that they load, are others than the last time: the same bytes say the same.
    pub(super) fn versions(
        self,
        libraries: &BTreeMap<String, Digest>,
        before: Option<&Versions>,
    ) -> Result<(Rust, Versions), IdentifyError> {
        let mut builder = DigestBuilder::default();
        for (path, digest) in self.files.iter().chain(libraries) {
            builder.field(path.as_bytes()).field(digest.as_bytes());
        }
        let key = builder.finish();
        let versions = if let Some(known) = before.filter(|known| known.key == key) {
            known.clone()
        } else {
            let rustc = self.place.ask(&self.rustc, &["-vV"]);
            let cargo = self.place.ask(&self.cargo, &["--version"]);
            let (rustc, cargo) = (rustc.answer()?, cargo.answer()?);
            Versions { key, rustc: rustc.trim().to_owned(), cargo: cargo.trim().to_owned() }
        };
        let (rustc, cargo) = (versions.rustc.clone(), versions.cargo.clone());
        Ok((Rust { rustc, cargo, files: self.files }, versions))
    }
}

impl Rust {
    /// Such as `1.85.1`.
    pub(super) fn release(&self) -> &str {
        let line = self.rustc.lines().find_map(|line| line.strip_prefix("release: "));
        line.unwrap_or("unknown")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toolchain_that_the_command_names_counts_besides() {
        let home = tempfile::tempdir().unwrap();
        let toolchains = home.path().join("toolchains");
        for name in ["stable-x86_64-unknown-linux-gnu", "own", "1.85-x86_64-unknown-linux-gnu"] {
            std::fs::create_dir_all(toolchains.join(name)).unwrap();
        }
        let script = home.path().join("build.sh");
        std::fs::write(&script, "#!/bin/sh\ncargo +own build\n").unwrap();
        let environment = Environment::from([("RUSTUP_HOME".into(), home.path().into())]);
        let named = |words: &[&str]| {
            let command: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
            let mut found: Vec<String> = named_toolchains(&command, &environment)
                .iter()
                .map(|path| path.file_name().unwrap().to_str().unwrap().replace("-x86_64", "|"))
                .map(|name| name.split('|').next().unwrap().to_owned())
                .collect();
            found.sort();
            found
        };
        assert_eq!(named(&["cargo", "build"]), [] as [&str; 0]);
        assert_eq!(named(&["cargo", "+own", "build"]), ["own"]);
        assert_eq!(named(&["bash", "-c", "cargo '+1.85' build && cd disown"]), ["1.85"]);
        assert_eq!(named(&["env", "RUSTUP_TOOLCHAIN=stable", "cargo"]), ["stable"]);
        assert_eq!(named(&[script.to_str().unwrap()]), ["own"]);
    }
}
