//! Which library a name leads to, where the loader's cache may be another one (`ld.so(8)`).
//!
//! The cache is no unit's input ([`super::recorder`]): with each package it is another one. It tells where libraries
//! are, and these are inputs. What a program would load today is what it loaded then, if all that the name leads to
//! today, by the cache and in the directories where the loader looks by default, is the file that was found then.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::found::{Glass, Thing};
use super::{Input, Trace, Traces};
use crate::base::digest::{Digest, DigestBuilder};
use crate::base::regular;
use crate::observe::identity::library_directories;
use crate::observe::sources::Where;

const CACHE: &str = "/etc/ld.so.cache";

/// No cache has more bytes.
const LARGEST: u64 = 64 << 20;

impl Traces {
    /// The hashes of units for whose programs a library may be another one today.
    pub(crate) fn misled(&self, glass: &Glass<'_>) -> BTreeSet<String> {
        let shelf = shelf(glass);
        let places: Vec<_> =
            self.inputs.iter().map(|input| on_shelf(input, &shelf, glass)).collect();
        let is_misled = |trace: &Trace| {
            let mut found: HashMap<&OsStr, (&BTreeSet<PathBuf>, BTreeSet<&PathBuf>)> =
                HashMap::new();
            for index in &trace.inputs {
                if let Some(Some((name, candidates, place))) = places.get(*index as usize) {
                    let seen = found.entry(name).or_insert_with(|| (candidates, BTreeSet::new()));
                    seen.1.extend(place);
                }
            }
            let is_that = |(candidates, places): &(&BTreeSet<PathBuf>, BTreeSet<&PathBuf>)| {
                places.len() == 1 && candidates.iter().all(|one| places.contains(one))
            };
            found.values().any(|seen| !is_that(seen))
        };
        let misled = self.units.iter().filter(|(_, trace)| is_misled(trace));
        misled.map(|(hash, _)| hash.clone()).collect()
    }
}

/// The digest of the directories that the loader's cache leads to, for a place: which they were is in no trace.
pub(crate) fn cached_directories(place: &Where) -> Digest {
    let cache = read_cache(&Glass::plain(place));
    let directories: BTreeSet<Vec<u8>> = paths_in(&cache)
        .filter_map(|path| Some(path.parent()?.as_os_str().as_bytes().to_vec()))
        .collect();
    let mut digest = DigestBuilder::default();
    for directory in &directories {
        digest.field(directory);
    }
    digest.finish()
}

fn read_cache(glass: &Glass<'_>) -> Vec<u8> {
    regular::read(&glass.real(Path::new(CACHE)), LARGEST).unwrap_or_default()
}

/// The paths of libraries in a cache.
fn paths_in(cache: &[u8]) -> impl Iterator<Item = &Path> {
    let texts = cache.split(|byte| *byte == 0);
    let paths = texts.filter_map(|text| Some(&text[memchr::memchr(b'/', text)?..]));
    let paths = paths.map(|text| Path::new(OsStr::from_bytes(text)));
    paths.filter(|path| path.file_name().is_some_and(is_library))
}

type Shelf = HashMap<OsString, BTreeSet<PathBuf>>;

/// The name of a library that was looked up, what it leads to, and where the file was that was found.
fn on_shelf<'a>(
    input: &'a Input,
    shelf: &'a Shelf,
    glass: &Glass<'_>,
) -> Option<(&'a OsStr, &'a BTreeSet<PathBuf>, Option<PathBuf>)> {
    let name = input.path().file_name().filter(|name| is_library(name))?;
    let candidates = shelf.get(name)?;
    let is_file = matches!(input.found.as_ref()?.node, Thing::File(..));
    Some((name, candidates, is_file.then(|| glass.place_of(input.path()))))
}

/// Whether a file has the name of a shared library.
fn is_library(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    bytes.ends_with(b".so") || memchr::memmem::find(bytes, b".so.").is_some()
}

/// The files that each name of a library leads to, by where they really are.
fn shelf(glass: &Glass<'_>) -> Shelf {
    let mut shelf = Shelf::new();
    let mut add = |path: &Path| {
        let Some(name) = path.file_name().filter(|name| is_library(name)) else { return };
        let place = glass.place_of(path);
        if place.is_file() {
            shelf.entry(name.to_owned()).or_default().insert(place);
        }
    };
    let cache = read_cache(glass);
    paths_in(&cache).for_each(&mut add);
    for directory in library_directories(|path| glass.real(path)) {
        let entries = std::fs::read_dir(glass.real(&directory)).into_iter().flatten().flatten();
        entries.for_each(|entry| add(&directory.join(entry.file_name())));
    }
    shelf
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::super::{Found, How, Trace};
    use super::*;

    #[test]
    fn a_library_that_a_name_may_lead_to_besides_misleads() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let make = |path: &str| {
            let place = root.join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, path).unwrap();
        };
        make("usr/lib/x86_64-linux-gnu/libz.so.1");
        make("opt/rust/lib/libdriver-1.so");
        let place = Where { root: root.clone(), source: root.join("src"), ..Where::default() };
        let input = |path: &str, node: Thing| Input {
            path: path.as_bytes().to_vec(),
            how: How::default(),
            found: Some(Found { node, link: None }),
            left: None,
            stamp: None,
        };
        let file = || Thing::File(Digest::of(b""), true);
        let inputs = vec![
            input("/opt/rust/lib/libz.so.1", Thing::Absent),
            input("/usr/lib/x86_64-linux-gnu/libz.so.1", file()),
            input("/opt/rust/lib/libdriver-1.so", file()),
            input("/usr/lib/x86_64-linux-gnu/libfoo.so", Thing::Absent),
        ];
        let trace =
            |inputs: &[u32]| Trace { inputs: inputs.iter().copied().collect(), ..Trace::default() };
        let units = [("loads", trace(&[0, 1])), ("own", trace(&[2])), ("asks", trace(&[3]))];
        let units: BTreeMap<String, Trace> =
            units.into_iter().map(|(hash, trace)| (hash.to_owned(), trace)).collect();
        let traces = Traces { inputs, units, common: BTreeSet::new() };
        let misled = || {
            let misled = traces.misled(&Glass::plain(&place));
            misled.into_iter().collect::<Vec<_>>()
        };
        assert!(misled().is_empty());
        make("etc/ld.so.cache");
        fs::write(
            root.join("etc/ld.so.cache"),
            b"glibc\x01\0libfoo.so\0/srv/libfoo.so\0/x/libz.so.1\0",
        )
        .unwrap();
        assert!(misled().is_empty(), "what the cache says is not there");
        make("srv/libfoo.so");
        assert_eq!(misled(), ["asks"]);
        make("x/libz.so.1");
        assert_eq!(misled(), ["asks", "loads"]);
        make("usr/lib/libdriver-1.so");
        assert_eq!(misled(), ["asks", "loads", "own"]);
    }
}
