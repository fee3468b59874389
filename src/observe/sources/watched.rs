//! The files of a package that Cargo looks at where a build script does not say what it reads.
//!
//! These are what git tracks or does not ignore, and where there is no git, what has no name that begins with
//! a dot; never what is in another package below, or in `target` (`sources/path.rs`, `list_files`, Cargo 1.95).
//! `include` and `exclude` of the manifest are not asked: more is watched then, never less.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::git::{self, Listed};
use super::place::Where;
use super::state::SourceState;
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
        let others: Vec<&Path> = state
            .package_directories()
            .filter(|other| *other != inside && other.starts_with(inside))
            .collect();
        let listed = git::listed(self, &self.source.join(inside));
        let counts = |path: &Path| match &listed {
            Listed::These(listed) => path.ancestors().any(|path| listed.contains(path)),
            Listed::Any => true,
            Listed::None => {
                !path.components().any(|part| part.as_os_str().as_bytes().starts_with(b"."))
            }
        };
        let (mut seen, mut left_out) = (BTreeSet::new(), BTreeSet::new());
        for (path, entry) in state.checkout.iter() {
            let Ok(name) = path.strip_prefix(inside) else { continue };
            if name == Path::new("") || entry.node == Node::Directory {
                continue;
            }
            let is_others = others.iter().any(|other| path.starts_with(other));
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
