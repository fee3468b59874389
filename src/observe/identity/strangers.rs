//! Compilers that a checkout names. larder asks the compiler about itself with its own rights, and the command may have
//! less: so none is started that somebody else could put there.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::cargo_config::CargoConfig;
use super::{Environment, IdentifyError};
use crate::base::regular;
use crate::base::tree::ObserveError;
use crate::base::trust::{is_trusted, is_unmapped};

/// Where nobody but root puts programs, where root is nobody: in a user namespace.
const ROOTS: [&str; 3] = ["/usr", "/bin", "/opt"];

/// Refuses compilers of a stranger's that Cargo's configuration names, or `rust-toolchain.toml` above one of these
/// directories: rustup starts `bin/rustc` below the `path` in it, or below the one line that it is (`config.rs`,
/// `OverrideFile`, rustup 1.28). What these would wait for, or read without end, is refused too.
pub(super) fn refuse(
    dirs: &[&Path],
    config: &CargoConfig,
    environment: &Environment,
) -> Result<(), IdentifyError> {
    let mut programs: Vec<PathBuf> =
        config.rustc(environment).map(PathBuf::from).into_iter().collect();
    programs.retain(|path| path.is_absolute());
    // Programs are started in the real directory.
    let real = dirs.iter().filter_map(|dir| std::fs::canonicalize(dir).ok());
    let dirs: Vec<PathBuf> = dirs.iter().map(|dir| dir.to_path_buf()).chain(real).collect();
    // Mostly these are one directory, whose files are looked at once.
    let above: BTreeSet<&Path> = dirs.iter().flat_map(|dir| dir.ancestors()).collect();
    for dir in above {
        readable(&dir.join("Cargo.toml"))?;
        for file in ["rust-toolchain", "rust-toolchain.toml"].map(|name| dir.join(name)) {
            let home = toolchain(&file)?;
            programs.extend(
                ["bin/rustc", "bin/cargo"]
                    .iter()
                    .filter_map(|name| Some(home.as_ref()?.join(name))),
            );
        }
    }
    for program in programs {
        let Ok(real) = std::fs::canonicalize(&program) else { continue };
        let may_change = |path: &&Path| !is_trusted(&[path]) && !is_roots(path);
        if program.ancestors().chain(real.ancestors()).any(|path| may_change(&path)) {
            return Err(IdentifyError::Stranger { program });
        }
    }
    Ok(())
}

/// Whether something is root's although it is nobody's, by where it is.
fn is_roots(path: &Path) -> bool {
    is_unmapped(path) && (path == Path::new("/") || ROOTS.iter().any(|root| path.starts_with(root)))
}

/// Refuses what Cargo would wait for, or read without end.
fn readable(file: &Path) -> Result<(), IdentifyError> {
    match regular::open(file) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput && !file.is_dir() => {
            Err(ObserveError::new(file, error).into())
        }
        _ => Ok(()),
    }
}

/// The directory of the toolchain that a file may name.
fn toolchain(file: &Path) -> Result<Option<PathBuf>, IdentifyError> {
    let text = match regular::text(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound || file.is_dir() => return Ok(None),
        Err(error) => return Err(ObserveError::new(file, error).into()),
    };
    let text = text.trim_start_matches('\u{feff}').trim();
    let dir = file.parent().unwrap_or(Path::new("/"));
    let named = match text.parse::<toml::Table>() {
        Ok(table) => {
            table.get("toolchain").and_then(|it| it.get("path")?.as_str().map(str::to_owned))
        }
        Err(_) => Some(text.to_owned()),
    };
    Ok(named.map(|path| dir.join(path)))
}
