//! Shared libraries that the build's own programs load, and that it links against, by content.
//!
//! Which package a library belongs to says little: a package that is added to an image for its
//! own sake brings libraries, and moves others from where the build tools' dependencies were.
//! What counts is what is loaded: `rustc` needs `libLLVM`, and another one makes other code. So
//! the `DT_NEEDED` entries are followed from the programs (`ld.so(8)`, `elf(5)`), and from the
//! development names (`libz.so`) to the libraries that the linker reads through them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{DirEntry, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Looker, shown};
use crate::base::digest::Digest;
use crate::base::tree::ObserveError;

/// Where `ld.so` looks by default; the subdirectories named after a target are added.
const DIRECTORIES: [&str; 5] = ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib"];

/// The largest table that is read: a file that claims more is not what it says.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The content of all libraries that `programs` load and that development names lead to.
pub(super) fn observe(
    programs: impl IntoIterator<Item = PathBuf>,
    looker: &mut Looker<'_>,
) -> Result<BTreeMap<String, Digest>, ObserveError> {
    let shelf = Shelf::new();
    let mut open: Vec<PathBuf> = programs.into_iter().filter_map(real).collect();
    let mut seen: BTreeSet<PathBuf> = open.iter().cloned().collect();
    let mut libraries: BTreeSet<PathBuf> = shelf.development_names();
    open.extend(libraries.iter().cloned());
    while let Some(file) = open.pop() {
        let dynamic = Dynamic::read(&file).ok().flatten().unwrap_or_default();
        for library in dynamic.needed.iter().filter_map(|name| dynamic.find(name, &file, &shelf)) {
            if seen.insert(library.clone()) {
                libraries.insert(library.clone());
                open.push(library);
            }
        }
    }
    let mut digests = BTreeMap::new();
    for library in libraries {
        if let Some(digest) = looker.look(&library, |_, _| true)? {
            digests.insert(shown(library.as_os_str().as_bytes()), digest);
        }
    }
    Ok(digests)
}

/// The directories where the loader looks by default, each with the names in it, so that nothing
/// is looked for where it is not.
struct Shelf(Vec<(PathBuf, HashMap<OsString, Format>)>);

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Link,
    Other,
}

impl Shelf {
    fn new() -> Self {
        let names = |directory: &Path| {
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            let kind = |entry: &DirEntry| {
                let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                if is_link { Format::Link } else { Format::Other }
            };
            entries.map(|entry| (entry.file_name(), kind(&entry))).collect()
        };
        let directories = directories().into_iter();
        Self(directories.map(|directory| (directory.clone(), names(&directory))).collect())
    }

    /// The real file that the loader takes for a name.
    fn find(&self, name: &Path) -> Option<PathBuf> {
        let found = |(directory, names): &(PathBuf, HashMap<OsString, Format>)| match names
            .get(name.as_os_str())?
        {
            Format::Link => real_in(directory, name),
            Format::Other => Some(directory.join(name)),
        };
        self.0.iter().find_map(found)
    }

    /// The real files behind `lib*.so` symlinks: what `-lz` reads.
    fn development_names(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        for (directory, names) in &self.0 {
            for name in
                names.iter().filter(|(_, kind)| **kind == Format::Link).map(|(name, _)| name)
            {
                let bytes = name.as_bytes();
                if bytes.starts_with(b"lib") && bytes.ends_with(b".so") {
                    found.extend(real_in(directory, Path::new(name)));
                }
            }
        }
        found
    }
}

fn real(path: PathBuf) -> Option<PathBuf> {
    std::fs::canonicalize(path).ok()
}

/// The real file of a name in a directory that is real itself: most are plain files, or symlinks
/// to a name beside them.
fn real_in(directory: &Path, name: &Path) -> Option<PathBuf> {
    let mut path = directory.join(name);
    for _ in 0..4 {
        match std::fs::read_link(&path) {
            Ok(target) if target.components().count() == 1 => path = directory.join(target),
            Ok(_) => return real(path),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Some(path),
            Err(_) => return None,
        }
    }
    real(path)
}

/// The directories where the loader looks by default, in its order; `real` says where a path is here.
pub(crate) fn library_directories(real: impl Fn(&Path) -> PathBuf) -> Vec<PathBuf> {
    let is_target = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| name.contains("-linux-")) && real(path).is_dir()
    };
    let mut all = Vec::new();
    for directory in DIRECTORIES.map(Path::new) {
        let below = std::fs::read_dir(real(directory)).into_iter().flatten().flatten();
        let below = below.map(|entry| directory.join(entry.file_name()));
        let mut targets: Vec<PathBuf> = below.filter(is_target).collect();
        targets.sort();
        all.extend(targets);
        all.push(directory.to_owned());
    }
    all
}

fn directories() -> Vec<PathBuf> {
    let mut known = BTreeSet::new();
    let all = library_directories(Path::to_owned).into_iter().filter_map(real);
    all.filter(|directory| known.insert(directory.clone())).collect()
}

/// What a dynamic executable or library asks of the loader.
#[derive(Debug, Default)]
struct Dynamic {
    needed: Vec<PathBuf>,
    search: Vec<PathBuf>,
}

/// A segment of a file in memory.
struct Segment {
    kind: u64,
    offset: u64,
    address: u64,
    size: u64,
}

impl Dynamic {
    /// Nothing for a file that is not a 64-bit little-endian dynamic ELF file.
    fn read(path: &Path) -> io::Result<Option<Self>> {
        const DYNAMIC: u64 = 2;
        let file = File::open(path)?;
        let mut header = [0; 64];
        if file.read_at(&mut header, 0)? < header.len() || !header.starts_with(b"\x7fELF\x02\x01") {
            return Ok(None);
        }
        let segments = segments(&file, &header)?;
        let Some(dynamic) = segments.iter().find(|segment| segment.kind == DYNAMIC) else {
            return Ok(None);
        };
        let table = read(&file, dynamic.offset, dynamic.size)?;
        let entries =
            table.chunks_exact(16).map(|entry| (number(&entry[..8]), number(&entry[8..])));
        let entries: Vec<(u64, u64)> = entries.take_while(|(tag, _)| *tag != 0).collect();
        Ok(Some(Self::of(&entries, &segments, &file)?))
    }

    /// The tags are those of `elf.h`: `DT_NEEDED`, `DT_STRTAB`, `DT_STRSZ`, `DT_RPATH`,
    /// `DT_RUNPATH`.
    fn of(entries: &[(u64, u64)], segments: &[Segment], file: &File) -> io::Result<Self> {
        const LOAD: u64 = 1;
        let value = |wanted: u64| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, v)| *v);
        let (Some(address), Some(size)) = (value(5), value(10)) else { return Ok(Self::default()) };
        let holds = |segment: &&Segment| {
            segment.kind == LOAD
                && address >= segment.address
                && address - segment.address < segment.size
        };
        let Some(segment) = segments.iter().find(holds) else { return Ok(Self::default()) };
        let strings = read(file, segment.offset + (address - segment.address), size)?;
        let text = |at: u64| {
            let start = usize::try_from(at).ok()?;
            let bytes = strings.get(start..)?.split(|byte| *byte == 0).next()?;
            Some(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
        };
        let all = |wanted: u64| entries.iter().filter(move |(tag, _)| *tag == wanted);
        let needed = all(1).filter_map(|(_, at)| text(*at)).collect();
        let paths = all(15).chain(all(29)).filter_map(|(_, at)| text(*at));
        let search =
            paths.flat_map(|list| std::env::split_paths(&list).collect::<Vec<_>>()).collect();
        Ok(Self { needed, search })
    }

    /// The real file that the loader takes for a name: first where the user itself says.
    fn find(&self, name: &Path, user: &Path, shelf: &Shelf) -> Option<PathBuf> {
        let origin = user.parent().unwrap_or(Path::new("/"));
        let own = self.search.iter().map(|path| {
            let rest = path.strip_prefix("$ORIGIN").or_else(|_| path.strip_prefix("${ORIGIN}"));
            rest.map_or_else(|_| path.clone(), |rest| origin.join(rest))
        });
        own.into_iter().find_map(|directory| real_in(&directory, name)).or_else(|| shelf.find(name))
    }
}

fn segments(file: &File, header: &[u8; 64]) -> io::Result<Vec<Segment>> {
    let (offset, count) = (number(&header[32..40]), number(&header[56..58]));
    let table = read(file, offset, count * 56)?;
    let segment = |entry: &[u8]| Segment {
        kind: number(&entry[..4]),
        offset: number(&entry[8..16]),
        address: number(&entry[16..24]),
        size: number(&entry[32..40]),
    };
    Ok(table.chunks_exact(56).map(segment).collect())
}

fn read(file: &File, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    if size > LARGEST {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_a_program_are_those_that_it_loads() {
        let mut looker = Looker { before: &BTreeMap::new(), after: BTreeMap::new() };
        let libraries = observe([PathBuf::from("/bin/sh")], &mut looker).unwrap();
        assert!(libraries.keys().any(|path| path.contains("/libc.so.6")), "{libraries:?}");
    }

    #[test]
    fn what_is_no_program_loads_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for bytes in [
            &b"#!/bin/sh"[..],
            b"\x7fELF\x02\x01",
            &[b"\x7fELF\x02\x01".as_slice(), &[255; 90]].concat(),
        ] {
            let path = dir.path().join("x");
            std::fs::write(&path, bytes).unwrap();
            assert!(!matches!(Dynamic::read(&path), Ok(Some(_))));
        }
    }
}
