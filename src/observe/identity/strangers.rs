//! Compilers that a checkout names. larder asks the compiler about itself with its own rights, and the command may have
//! less: so none is started that somebody else could put there.

use std::path::{Path, PathBuf};

use super::cargo_config::CargoConfig;
use super::{Environment, IdentifyError};
use crate::base::regular;
use crate::base::trust::is_trusted;

/// Where nobody but root puts programs. In a user namespace root's files are nobody's.
const ROOTS: [&str; 3] = ["/usr", "/bin", "/opt"];

/// Refuses compilers of a stranger's that Cargo's configuration names, or `rust-toolchain.toml` above one of these
/// directories: rustup starts `bin/rustc` below the `path` in it (`config.rs`, `OverrideFile`, rustup 1.28).
pub(super) fn refuse(
    dirs: &[&Path],
    config: &CargoConfig,
    environment: &Environment,
) -> Result<(), IdentifyError> {
    let above = dirs.iter().flat_map(|dir| dir.ancestors());
    let toolchains = above.filter_map(|dir| {
        let names = ["rust-toolchain", "rust-toolchain.toml"];
        let text = names.iter().find_map(|name| regular::text(&dir.join(name)).ok())?;
        let table = text.parse::<toml::Table>().ok()?;
        Some(dir.join(table.get("toolchain")?.get("path")?.as_str()?))
    });
    let programs =
        toolchains.flat_map(|home| ["rustc", "cargo"].map(|name| home.join("bin").join(name)));
    let named = config.rustc(environment).map(PathBuf::from);
    let named = named.filter(|path| path.is_absolute());
    for program in programs.chain(named) {
        let Ok(real) = std::fs::canonicalize(&program) else { continue };
        let is_roots = ROOTS.iter().any(|root| real.starts_with(root));
        let all: Vec<&Path> = program.ancestors().chain(real.ancestors()).collect();
        if !is_roots && !is_trusted(&all) {
            return Err(IdentifyError::Stranger { program });
        }
    }
    Ok(())
}
