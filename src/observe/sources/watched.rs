//! The files of a package that Cargo looks at where a build script does not say what it reads.
//!
//! These are what git tracks or does not ignore, and where there is no git, what has no name that begins with
//! a dot; never what is in another package below, or in `target` (`sources/path.rs`, `list_files`, Cargo 1.95).
//! What a manifest includes or excludes is not asked, nor, where Cargo would not ask git, what git says: more is watched
//! then, never less.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::git::{self, Listed};
use super::place::Where;
use super::state::SourceState;
use crate::base::regular;
use crate::base::tree::Node;

impl Where {
    /// What to watch in the package at `home`, a directory of the checkout as the compiler sees it; relative to
    /// it. A directory stands for all in it. Nothing for a package that is elsewhere.
    pub(crate) fn watched(
        &self,
        home: &Path,
        source: &Path,
        state: &SourceState,
    ) -> Option<Vec<PathBuf>> {
        let inside = home.strip_prefix(source).ok()?;
        let package = self.source.join(inside);
        // Where the manifest says what to include, Cargo asks neither git nor the names.
        let asks =
            regular::text(&package.join("Cargo.toml")).is_ok_and(|text| !text.contains("include"));
        let listed = if asks { git::listed(self, &package) } else { Listed::Any };
        let counts = |path: &Path| match &listed {
            Listed::These(listed) => path.ancestors().any(|path| listed.contains(path)),
            Listed::Any => true,
            Listed::None => {
                !path.components().any(|part| part.as_os_str().as_bytes().starts_with(b"."))
            }
        };
        // Cargo passes over another package only if it came upon its manifest.
        let others =
            state.package_directories().filter_map(|other| other.strip_prefix(inside).ok());
        let is_other = |other: &&Path| *other != Path::new("") && counts(&other.join("Cargo.toml"));
        let others: Vec<&Path> = others.filter(is_other).collect();
        let (mut seen, mut left_out) = (BTreeSet::new(), BTreeSet::new());
        for (path, entry) in state.checkout.iter() {
            let Ok(name) = path.strip_prefix(inside) else { continue };
            if name == Path::new("") || entry.node == Node::Directory {
                continue;
            }
            let is_others = others.iter().any(|other| name.starts_with(other));
            if is_others || name.starts_with("target") || !counts(name) {
                left_out.extend(name.ancestors().map(Path::to_owned));
            } else {
                seen.insert(name.to_owned());
            }
        }
        let watched = seen.iter().map(|path| highest(path, &left_out).to_owned());
        Some(watched.collect::<BTreeSet<PathBuf>>().into_iter().collect())
    }
}

/// The highest directory above a file, below the package itself, in which nothing is left out.
fn highest<'p>(path: &'p Path, left_out: &BTreeSet<PathBuf>) -> &'p Path {
    let above = path.ancestors().filter(|above| *above != Path::new(""));
    above.filter(|above| !left_out.contains(*above)).last().unwrap_or(path)
}
