//! The places where compilers, linkers and build scripts look, by content.
//!
//! A header that was replaced by hand is noticed here, whatever the package database says and
//! whatever its modification time is. Files of packages that do not count are left out, so that
//! an unrelated package changes nothing; directories as such do not count.
//!
//! Of a symlink the text counts; of one in a directory of `PATH` that leads out of the places,
//! also the content of the file there.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::digest::{Digest, DigestBuilder};
use crate::base::tree::{Entry, Node, ObserveError, Tree};

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
    "usr/share/aclocal",
    "usr/share/perl5",
];

/// Where `update-alternatives` keeps its links.
const ALTERNATIVES: &str = "etc/alternatives";

/// Directories of libraries: files in them, and in their subdirectories named after a target.
const LIBRARIES: [&str; 6] = ["usr/lib", "usr/lib64", "usr/lib32", "lib", "lib64", "lib32"];

/// Subdirectories of these that count whole.
const INNER: [&str; 2] = ["pkgconfig", "cmake"];

/// A directory in `opt` with more entries than this is looked at only in [`OPT`]: the rest may be
/// anything, of any size.
const LARGEST: usize = 20_000;

/// Where compilers look in a directory of `opt` that is too large to be read whole.
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
pub(super) struct PlacesCache(BTreeMap<Vec<u8>, Tree>);

/// The places, and what to remember of them.
pub(super) struct SeenPlaces {
    /// One digest a place that is there.
    pub digests: BTreeMap<String, Digest>,
    /// For the next time.
    pub cache: PlacesCache,
}

/// Which files of a place are looked at, by their path in it.
type Wanted = fn(&Path, bool) -> bool;

/// Looks at all places below `root` and at the directories of `PATH`.
pub(super) fn observe(
    root: &Path,
    path_directories: &[PathBuf],
    foreign: &BTreeSet<Vec<u8>>,
    cache: Option<&PlacesCache>,
) -> Result<SeenPlaces, ObserveError> {
    let mut observed = SeenPlaces { digests: BTreeMap::new(), cache: PlacesCache::default() };
    let seer = Seer { root, foreign };
    for (place, wanted) in places(root, path_directories) {
        let Ok(real) = std::fs::canonicalize(root.join(&place)) else { continue };
        let key = real.as_os_str().as_bytes().to_vec();
        if !real.is_dir() || observed.cache.0.contains_key(&key) {
            continue;
        }
        let before = cache.and_then(|cache| cache.0.get(&key));
        let tree = Tree::observe(&real, before, wanted)?;
        if let Some(digest) = seer.digest(&tree, &real) {
            observed.digests.insert(seer.shown(&real), digest);
        }
        observed.cache.0.insert(key, tree);
    }
    for target in seer.led_to(&observed.cache, path_directories) {
        let key = target.as_os_str().as_bytes().to_vec();
        let before = cache.and_then(|cache| cache.0.get(&key));
        let tree = Tree::observe_all(&target, before)?;
        observed.digests.insert(seer.shown(&target), tree.digest());
        observed.cache.0.insert(key, tree);
    }
    Ok(observed)
}

/// All places relative to the root, each with what counts in it.
fn places(root: &Path, path_directories: &[PathBuf]) -> Vec<(PathBuf, Wanted)> {
    let mut all: Vec<(PathBuf, Wanted)> = Vec::new();
    all.extend(WHOLE.map(|place| (PathBuf::from(place), whole as Wanted)));
    all.push((PathBuf::from("usr/local"), local));
    all.push((PathBuf::from(ALTERNATIVES), whole));
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
    all.push((PathBuf::from("opt"), direct));
    for directory in names_in(&root.join("opt")).iter().map(|name| Path::new("opt").join(name)) {
        if holds_at_most(&root.join(&directory), LARGEST) {
            all.push((directory, whole));
        } else {
            all.extend(OPT.map(|inner| (directory.join(inner), whole as Wanted)));
        }
    }
    let relative = |path: &PathBuf| path.strip_prefix("/").unwrap_or(path).to_owned();
    all.extend(path_directories.iter().map(|path| (relative(path), direct as Wanted)));
    all
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Whether there are no more entries below a directory; stops at the first one too many.
fn holds_at_most(directory: &Path, limit: usize) -> bool {
    let mut open = vec![directory.to_owned()];
    let mut count = 0;
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            count += 1;
            if count > limit {
                return false;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
    }
    true
}

fn local(path: &Path, is_directory: bool) -> bool {
    !IDLE.iter().any(|idle| path.starts_with(idle)) && whole(path, is_directory)
}

fn whole(path: &Path, _: bool) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    !name.ends_with(".pyc") && !NOISE.contains(&&*name)
}

fn library_files(path: &Path, is_directory: bool) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let kinds = ["so", "a", "o", "la", "spec", "specs"];
    !is_directory && (kinds.contains(&ending) || name.contains(".so."))
}

fn direct(path: &Path, is_directory: bool) -> bool {
    !is_directory && path.components().count() == 1
}

/// Tells what counts in the trees that were observed.
struct Seer<'a> {
    root: &'a Path,
    foreign: &'a BTreeSet<Vec<u8>>,
}

impl Seer<'_> {
    /// A real path as the compiler sees it.
    fn inside(&self, real: &Path) -> PathBuf {
        Path::new("/").join(real.strip_prefix(self.root).unwrap_or(real))
    }

    fn shown(&self, real: &Path) -> String {
        super::shown(self.inside(real).as_os_str().as_bytes())
    }

    fn is_foreign(&self, real: &Path) -> bool {
        self.foreign.contains(self.inside(real).as_os_str().as_bytes())
    }

    /// The names in and below a place that belong to packages which do not count.
    fn foreign_in(&self, place: &Path) -> HashSet<&[u8]> {
        let prefix = [self.inside(place).as_os_str().as_bytes(), b"/"].concat();
        let below = self.foreign.range(prefix.clone()..);
        below.map_while(|path| path.strip_prefix(&prefix[..])).collect()
    }

    /// Over paths, kinds, modes and content of what counts; nothing if nothing does.
    fn digest(&self, tree: &Tree, place: &Path) -> Option<Digest> {
        let mut builder = DigestBuilder::default();
        let mut any = false;
        for (path, entry) in self.counting(tree, place) {
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

    /// What counts in a place.
    fn counting<'t>(
        &self,
        tree: &'t Tree,
        place: &Path,
    ) -> impl Iterator<Item = (PathBuf, &'t Entry)> {
        let foreign = self.foreign_in(place);
        tree.iter().filter(move |(path, entry)| match &entry.node {
            Node::Directory | Node::Special => false,
            _ if foreign.contains(path.as_os_str().as_bytes()) => false,
            Node::Symlink(target) => !self.is_idle_alternative(&place.join(path), target),
            Node::File(_) | Node::Unreadable => true,
        })
    }

    /// Whether a link was made by `update-alternatives` for a package that does not count: no
    /// package owns it, and it comes and goes with what it leads to.
    fn is_idle_alternative(&self, link: &Path, target: &[u8]) -> bool {
        let target = Path::new(OsStr::from_bytes(target));
        let by_alternatives = self.inside(link).starts_with(Path::new("/").join(ALTERNATIVES))
            || target.parent().is_some_and(|parent| parent.ends_with(ALTERNATIVES));
        // Most targets tell by their text; the others may be links themselves.
        let is_idle = |inside: &Path| {
            self.foreign.contains(inside.as_os_str().as_bytes())
                || inside.starts_with("/usr/share/man")
        };
        by_alternatives
            && (is_idle(target)
                || std::fs::canonicalize(link).is_ok_and(|real| is_idle(&self.inside(&real))))
    }

    /// The files outside all places to which symlinks in the directories of `PATH` lead.
    fn led_to(&self, seen: &PlacesCache, path_directories: &[PathBuf]) -> BTreeSet<PathBuf> {
        let relative = |path: &PathBuf| path.strip_prefix("/").unwrap_or(path).to_owned();
        let real = |path: &PathBuf| std::fs::canonicalize(self.root.join(relative(path))).ok();
        let mut targets = BTreeSet::new();
        for directory in path_directories.iter().filter_map(real) {
            let Some(tree) = seen.0.get(directory.as_os_str().as_bytes()) else { continue };
            let links = self.counting(tree, &directory);
            let links = links.filter(|(_, entry)| matches!(entry.node, Node::Symlink(_)));
            targets.extend(links.filter_map(|(path, _)| directory.join(path).canonicalize().ok()));
        }
        targets.retain(|path| path.is_file() && !seen.holds(path) && !self.is_foreign(path));
        targets
    }
}

impl PlacesCache {
    /// Whether a real path was looked at as part of a place.
    fn holds(&self, path: &Path) -> bool {
        path.ancestors().skip(1).any(|place| {
            let tree = self.0.get(place.as_os_str().as_bytes());
            let inner = path.strip_prefix(place).ok();
            tree.zip(inner).is_some_and(|(tree, inner)| tree.get(inner).is_some())
        })
    }
}

/// A path with `/lib`, `/bin` and the like where they are in a merged `/usr`.
pub(super) fn usr_merged(path: &str) -> String {
    let tops = ["/bin/", "/sbin/", "/lib/", "/lib64/", "/lib32/", "/libx32/"];
    if tops.iter().any(|top| path.starts_with(top)) {
        format!("/usr{path}")
    } else {
        path.to_owned()
    }
}

/// Whether a directory is one in which the linker looks for libraries.
pub(super) fn is_library_directory(directory: &Path) -> bool {
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
pub(super) fn may_count(path: &Path) -> bool {
    let mut components = path.components().skip(1);
    let (first, second) = (components.next(), components.next());
    let is = |component: Option<Component<'_>>, names: &[&str]| {
        component.is_some_and(|part| names.iter().any(|name| part.as_os_str() == *name))
    };
    let usr = ["include", "lib", "lib64", "lib32", "libexec", "local", "bin", "sbin"];
    let shared =
        ["/usr/share/pkgconfig", "/usr/share/cargo", "/usr/share/aclocal", "/usr/share/perl5"];
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

        fn look(&self, cache: Option<&PlacesCache>) -> SeenPlaces {
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
    fn what_a_program_s_link_leads_to_counts() {
        let root = Root::new();
        root.write("srv/tools/protoc", "one");
        symlink("../../srv/tools/protoc", root.0.path().join("usr/bin/protoc")).unwrap();
        let before = root.look(None);
        root.write("srv/tools/protoc", "two");
        assert_ne!(root.look(Some(&before.cache)).digests, before.digests);
    }

    #[test]
    fn alternatives_that_lead_to_a_package_that_does_not_count_change_nothing() {
        let mut root = Root::new();
        root.write("etc/alternatives/README", "one");
        let before = root.look(None);
        root.write("usr/bin/less", "new");
        root.write("usr/share/man/man1/less.1.gz", "new");
        root.1.insert(b"/usr/bin/less".to_vec());
        let alternatives = root.0.path().join("etc/alternatives");
        symlink("../../usr/bin/less", alternatives.join("pager")).unwrap();
        let page = alternatives.join("pager.1.gz");
        symlink("../../usr/share/man/man1/less.1.gz", page).unwrap();
        symlink("../../etc/alternatives/pager", root.0.path().join("usr/bin/pager")).unwrap();
        assert_eq!(root.look(Some(&before.cache)).digests, before.digests);
        symlink("../../usr/bin/cc", alternatives.join("c89")).unwrap();
        assert_ne!(root.look(Some(&before.cache)).digests, before.digests);
    }

    #[test]
    fn all_of_a_directory_in_opt_counts_unless_it_is_very_large() {
        let root = Root::new();
        root.write("opt/kit/sdk/include/kit.h", "one");
        let before = root.look(None);
        root.write("opt/kit/sdk/include/kit.h", "two");
        assert_ne!(root.look(Some(&before.cache)).digests, before.digests);
        assert!(holds_at_most(&root.0.path().join("opt"), 4));
        assert!(!holds_at_most(&root.0.path().join("opt"), 3));
    }

    #[test]
    fn a_header_below_a_directory_named_man_counts() {
        let root = Root::new();
        let before = root.look(None);
        root.write("usr/include/man/pages.h", "new");
        assert_ne!(root.look(Some(&before.cache)).digests, before.digests);
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
