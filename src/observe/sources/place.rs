//! Where the sources are, seen from here and seen by the compiler.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::base::key::Mark;

/// Symlinks followed in one path before it counts as a loop, as in Linux (`path_resolution(7)`).
const LINKS: usize = 40;

/// Where it is built, as seen from here: left out of the checkout.
#[derive(Clone, Debug, Default)]
pub(crate) struct Built {
    /// The target directory's place.
    pub target: PathBuf,
    /// Where finished artifacts go, if that is another place.
    pub results: Option<PathBuf>,
    /// Where copies of finished artifacts go, wherever that is.
    pub artifacts: Option<PathBuf>,
    /// larder's own store, if it is inside of the sources: what is in it changes with each use.
    pub store: Option<PathBuf>,
}

#[cfg(test)]
impl Built {
    /// With everything in the target directory.
    pub(crate) fn at(target: PathBuf) -> Self {
        Self { target, ..Self::default() }
    }
}

/// Where Cargo's downloads are, as seen from here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Downloads {
    /// Cargo's `registry` directory.
    pub registry: PathBuf,
    /// Cargo's `git` directory.
    pub git: PathBuf,
    /// Whether these two are a kept directory's own, where nobody but Cargo has any business.
    pub kept: bool,
}

impl Downloads {
    /// Looks for what is in one directory in another one.
    pub(crate) fn relocate(&mut self, from: &Path, to: &Path) {
        for place in [&mut self.registry, &mut self.git] {
            if let Ok(inside) = place.strip_prefix(from) {
                *place = to.join(inside);
            }
        }
    }
}

/// Where to look. All paths are absolute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Where {
    /// The checkout, as seen from here.
    pub source: PathBuf,
    /// What is built.
    pub built: Built,
    /// What Cargo downloads.
    pub downloads: Downloads,
    /// What the compiler has as `/`: `/` itself on a plain host, `$BUILDROOT` in mkosi.
    pub root: PathBuf,
    /// Directory sources (`cargo vendor`) outside of the checkout, as seen from here.
    pub vendor: Vec<PathBuf>,
    /// Further places whose content counts as that of a path dependency, as seen from here.
    pub extra_roots: Vec<PathBuf>,
    /// The absolute inputs that units name, as the compiler sees them.
    pub inputs: BTreeSet<PathBuf>,
    /// The variable `SOURCE_DATE_EPOCH` of the command.
    pub source_date_epoch: Option<String>,
    /// Variables of the command that a directory does not depend on.
    pub variables: BTreeMap<String, Mark>,
    /// The home directory of the command, as the compiler sees it.
    pub home: Option<PathBuf>,
}

impl Where {
    /// How the compiler sees a path of here.
    pub(crate) fn seen_by_compiler(&self, here: &Path) -> PathBuf {
        match here.strip_prefix(&self.root) {
            Ok(inside) => Path::new("/").join(inside),
            Err(_) => here.to_owned(),
        }
    }

    /// The place of a path of here, all symlinks followed as the compiler would.
    pub(super) fn real(&self, here: &Path) -> PathBuf {
        match here.strip_prefix(&self.root) {
            Ok(inside) => resolve(&self.root, inside),
            Err(_) => resolve(Path::new("/"), here),
        }
    }

    /// The place here of a path as the compiler sees it.
    ///
    /// What mkosi mounts for the chroot alone, such as `/work`, is not below the root from here
    /// but at the same path; so what is missing below the root is looked for beside the source.
    pub(crate) fn real_of_compiler(&self, path: &Path) -> PathBuf {
        let inside = resolve(&self.root, path);
        let shared = |other: &Path| path.components().nth(1) == other.components().nth(1);
        let is_outside = !self.source.starts_with(&self.root) && shared(&self.source);
        if is_outside && inside.symlink_metadata().is_err() {
            return resolve(Path::new("/"), path);
        }
        inside
    }

    /// The paths relative to the checkout of what is built inside of it.
    pub(super) fn built_inside(&self) -> Vec<&Path> {
        let Built { target, results, store, .. } = &self.built;
        let built = [Some(target), results.as_ref(), store.as_ref()].into_iter().flatten();
        built.filter_map(|path| path.strip_prefix(&self.source).ok()).collect()
    }
}

/// The place of a path below `root`, all symlinks followed without ever leaving `root`.
///
/// What does not exist is kept as it is written. Done by hand because `openat2` with
/// `RESOLVE_IN_ROOT` is refused in some containers, and because an absent path has a place too.
pub(super) fn resolve(root: &Path, path: &Path) -> PathBuf {
    let mut rest: Vec<PathBuf> = parts(path);
    let mut place = PathBuf::new();
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part == Path::new("..") {
            place.pop();
            continue;
        }
        let next = place.join(&part);
        match std::fs::read_link(root.join(&next)) {
            Ok(target) if links < LINKS => {
                links += 1;
                if target.is_absolute() {
                    place.clear();
                }
                rest.extend(parts(&target));
            }
            _ => place = next,
        }
    }
    root.join(place)
}

/// The components of a path, last first, without root and dots.
fn parts(path: &Path) -> Vec<PathBuf> {
    let is_part =
        |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    let parts = path.components().filter(is_part).map(|part| PathBuf::from(part.as_os_str()));
    let mut parts: Vec<_> = parts.collect();
    parts.reverse();
    parts
}

/// A path without `.` and, as far as names alone can tell, without `..`.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_leads_out_of_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("usr/lib/deep")).unwrap();
        symlink("/usr/lib", root.join("lib")).unwrap();
        symlink("../../../../../usr", root.join("usr/up")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        for (path, place) in [
            ("/lib/deep/x.h", "usr/lib/deep/x.h"),
            ("/usr/up/lib", "usr/lib"),
            ("/../../etc/passwd", "etc/passwd"),
            ("/lib/../x", "usr/x"),
            ("/loop/a", "loop/a"),
            ("/", ""),
        ] {
            assert_eq!(resolve(root, Path::new(path)), root.join(place), "{path}");
        }
    }

    #[test]
    fn both_views_are_told_apart() {
        let place = Where {
            root: PathBuf::from("/buildroot"),
            source: PathBuf::from("/buildroot/build/x"),
            ..Where::default()
        };
        let seen = place.seen_by_compiler(Path::new("/buildroot/build/x/src"));
        assert_eq!(seen, Path::new("/build/x/src"));
        assert_eq!(place.seen_by_compiler(Path::new("/work/src")), Path::new("/work/src"));
        assert_eq!(place.real_of_compiler(Path::new("/etc/x")), Path::new("/buildroot/etc/x"));
    }
}
