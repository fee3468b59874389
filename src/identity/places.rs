//! The places where compilers, linkers and build scripts look, by content.
//!
//! A header that was replaced by hand is noticed here, whatever the package database says and
//! whatever its modification time is. Files of packages that do not count are left out, so that
//! an unrelated package changes nothing; directories as such do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestBuilder};
use crate::tree::{Node, ObserveError, Tree};

/// Places of which every file counts.
const WHOLE: [&str; 10] = [
    "usr/include",
    "usr/lib/gcc",
    "usr/lib/gcc-cross",
    "usr/libexec/gcc",
    "usr/lib/pkgconfig",
    "usr/lib/cmake",
    "usr/share/pkgconfig",
    "usr/share/cargo/registry",
    "usr/local",
    "etc/alternatives",
];

/// Directories of libraries: files in them, and in their subdirectories named after a target.
const LIBRARIES: [&str; 6] = ["usr/lib", "usr/lib64", "usr/lib32", "lib", "lib64", "lib32"];

/// Subdirectories of these that count whole.
const INNER: [&str; 2] = ["pkgconfig", "cmake"];

/// Below `opt`, a package is looked at only here: the rest may be anything, of any size.
const OPT: [&str; 4] = ["bin", "include", "lib", "lib64"];

/// Names that are made by running things, not by what is installed.
const NOISE: [&str; 6] = [
    "__pycache__",
    "gconv-modules.cache",
    "ld.so.cache",
    "loaders.cache",
    "immodules.cache",
    "giomodule.cache",
];

/// Below `usr/local`, what never reaches a compilation.
const IDLE: [&str; 3] = ["share/man", "share/doc", "man"];

/// What the places looked like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacesCache(BTreeMap<Vec<u8>, Tree>);

/// The places, and what to remember of them.
pub struct Observed {
    /// One digest a place that is there.
    pub digests: BTreeMap<String, Digest>,
    /// For the next time.
    pub cache: PlacesCache,
}

/// Which files of a place are looked at, by their path in it.
type Wanted = fn(&Path, bool) -> bool;

/// Looks at all places below `root` and at the directories of `PATH`.
pub fn observe(
    root: &Path,
    path_directories: &[PathBuf],
    foreign: &BTreeSet<Vec<u8>>,
    cache: Option<&PlacesCache>,
) -> Result<Observed, ObserveError> {
    let mut observed = Observed { digests: BTreeMap::new(), cache: PlacesCache::default() };
    for (place, wanted) in places(root, path_directories) {
        let Ok(real) = std::fs::canonicalize(root.join(&place)) else { continue };
        let key = real.as_os_str().as_bytes().to_vec();
        if !real.is_dir() || observed.cache.0.contains_key(&key) {
            continue;
        }
        let before = cache.and_then(|cache| cache.0.get(&key));
        let tree = Tree::observe(&real, before, wanted)?;
        let seen = real.strip_prefix(root).unwrap_or(&real);
        let seen = Path::new("/").join(seen);
        if let Some(digest) = digest(&tree, &seen, foreign) {
            observed.digests.insert(super::shown(seen.as_os_str().as_bytes()), digest);
        }
        observed.cache.0.insert(key, tree);
    }
    Ok(observed)
}

/// All places relative to the root, each with what counts in it.
fn places(root: &Path, path_directories: &[PathBuf]) -> Vec<(PathBuf, Wanted)> {
    let mut all: Vec<(PathBuf, Wanted)> = Vec::new();
    all.extend(WHOLE.map(|place| (PathBuf::from(place), whole as Wanted)));
    for directory in LIBRARIES.map(PathBuf::from) {
        let names = names_in(&root.join(&directory));
        let targets =
            names.iter().filter(|name| name.contains("-linux-")).map(|name| directory.join(name));
        for library in targets.chain([directory.clone()]) {
            all.push((library.clone(), library_files));
            all.extend(INNER.map(|inner| (library.join(inner), whole as Wanted)));
        }
        let llvm = names.iter().filter(|name| name.starts_with("llvm-"));
        all.extend(llvm.map(|name| (directory.join(name), whole as Wanted)));
    }
    for name in names_in(&root.join("opt")) {
        all.extend(OPT.map(|inner| (Path::new("opt").join(&name).join(inner), whole as Wanted)));
    }
    let relative = |path: &PathBuf| path.strip_prefix("/").unwrap_or(path).to_owned();
    all.extend(path_directories.iter().map(|path| (relative(path), programs as Wanted)));
    all
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn whole(path: &Path, _: bool) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let idle = IDLE.iter().any(|idle| path.starts_with(idle));
    !idle && !name.ends_with(".pyc") && !NOISE.contains(&&*name)
}

fn library_files(path: &Path, is_directory: bool) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let kinds = ["so", "a", "o", "la", "spec", "specs"];
    !is_directory && (kinds.contains(&ending) || name.contains(".so."))
}

fn programs(path: &Path, is_directory: bool) -> bool {
    !is_directory && path.components().count() == 1
}

/// Over paths, kinds, modes and content of what counts; nothing if nothing does.
fn digest(tree: &Tree, place: &Path, foreign: &BTreeSet<Vec<u8>>) -> Option<Digest> {
    let mut builder = DigestBuilder::default();
    let mut any = false;
    for (path, entry) in tree.iter() {
        let full = place.join(path);
        let counts = !matches!(entry.node, Node::Directory | Node::Special);
        if !counts || foreign.contains(full.as_os_str().as_bytes()) {
            continue;
        }
        any = true;
        builder.field(path.as_os_str().as_bytes()).field(&entry.mode.to_le_bytes());
        match &entry.node {
            Node::File(digest) => builder.field(digest.as_bytes()),
            Node::Symlink(target) => builder.field(target),
            _ => builder.field(format!("{:?}", entry.stamp).as_bytes()),
        };
    }
    any.then(|| builder.finish())
}

/// A path with `/lib`, `/bin` and the like where they are in a merged `/usr`.
pub fn usr_merged(path: &str) -> String {
    let tops = ["/bin/", "/sbin/", "/lib/", "/lib64/", "/lib32/", "/libx32/"];
    if tops.iter().any(|top| path.starts_with(top)) {
        format!("/usr{path}")
    } else {
        path.to_owned()
    }
}

/// Whether a directory is one in which the linker looks for libraries.
pub fn is_library_directory(directory: &Path) -> bool {
    let Ok(relative) = directory.strip_prefix("/") else { return false };
    let is_top = |path: &Path| LIBRARIES.iter().any(|library| path == Path::new(library));
    let is_target = || {
        let name = relative.file_name().map(|name| name.to_string_lossy().contains("-linux-"));
        name == Some(true) && relative.parent().is_some_and(is_top)
    };
    is_top(relative) || is_target()
}

/// Whether a file could be in one of the places at all: the files of other packages need not be
/// remembered.
pub fn may_count(path: &Path) -> bool {
    let mut components = path.components().skip(1);
    let (first, second) = (components.next(), components.next());
    let is = |component: Option<Component<'_>>, names: &[&str]| {
        component.is_some_and(|part| names.iter().any(|name| part.as_os_str() == *name))
    };
    let usr = ["include", "lib", "lib64", "lib32", "libexec", "local", "bin", "sbin"];
    let shared = ["/usr/share/pkgconfig", "/usr/share/cargo"];
    is(first, &["opt", "lib", "lib64", "lib32", "bin", "sbin"])
        || (is(first, &["usr"]) && is(second, &usr))
        || shared.iter().any(|place| path.starts_with(place))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    struct Root(tempfile::TempDir, BTreeSet<Vec<u8>>);

    impl Root {
        fn new() -> Self {
            let root = Self(tempfile::tempdir().unwrap(), BTreeSet::new());
            symlink("usr/lib", root.0.path().join("lib")).unwrap();
            for file in [
                "usr/include/z.h",
                "usr/lib/x86_64-linux-gnu/libz.a",
                "usr/bin/cc",
                "usr/local/include/own.h",
                "usr/lib/x86_64-linux-gnu/pkgconfig/z.pc",
            ] {
                root.write(file, "one");
            }
            root
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.0.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn look(&self, cache: Option<&PlacesCache>) -> Observed {
            let path = [PathBuf::from("/usr/bin"), PathBuf::from("/bin")];
            observe(self.0.path(), &path, &self.1, cache).unwrap()
        }
    }

    #[test]
    fn every_file_that_a_compiler_may_read_counts_even_with_its_time_restored() {
        for file in [
            "usr/include/z.h",
            "usr/lib/x86_64-linux-gnu/libz.a",
            "usr/bin/cc",
            "usr/local/include/own.h",
            "usr/lib/x86_64-linux-gnu/pkgconfig/z.pc",
        ] {
            let root = Root::new();
            let before = root.look(None);
            let path = root.0.path().join(file);
            let mtime =
                filetime::FileTime::from_last_modification_time(&fs::metadata(&path).unwrap());
            root.write(file, "two");
            filetime::set_file_mtime(&path, mtime).unwrap();
            let after = root.look(Some(&before.cache));
            assert_ne!(after.digests, before.digests, "{file}");
        }
    }

    #[test]
    fn files_of_packages_that_do_not_count_and_noise_change_nothing() {
        let mut root = Root::new();
        let before = root.look(None);
        for file in ["usr/bin/curl", "usr/lib/x86_64-linux-gnu/libcurl.so.4"] {
            root.write(file, "new");
            root.1.insert(format!("/{file}").into_bytes());
        }
        for file in [
            "usr/lib/python3/x.py",
            "usr/local/lib/__pycache__/x.pyc",
            "usr/share/doc/x",
            "usr/local/share/man/x.1",
        ] {
            root.write(file, "new");
        }
        assert_eq!(root.look(Some(&before.cache)).digests, before.digests);
    }

    #[test]
    fn a_file_of_no_package_counts() {
        let root = Root::new();
        let before = root.look(None);
        root.write("usr/lib/x86_64-linux-gnu/libown.so.1", "new");
        assert_ne!(root.look(None).digests, before.digests);
    }

    #[test]
    fn library_directories_are_known() {
        for directory in ["/usr/lib", "/usr/lib/x86_64-linux-gnu", "/lib64"] {
            assert!(is_library_directory(Path::new(directory)), "{directory}");
        }
        for directory in ["/usr/lib/python3", "/usr/share/lib", "lib"] {
            assert!(!is_library_directory(Path::new(directory)), "{directory}");
        }
    }
}
