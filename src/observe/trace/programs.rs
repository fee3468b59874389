//! What the kernel opens by itself when it starts a program.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::base::regular;
use crate::observe::cargo_layout::is_build_script;

/// Compilers, what they start, and git: by what variables they act is known, and those count for everybody.
const ACQUAINTED: [&str; 47] = [
    "addr2line",
    "ar",
    "as",
    "c++",
    "c++filt",
    "c89",
    "c99",
    "cargo",
    "cargo-clippy",
    "cc",
    "cc1",
    "cc1plus",
    "ccache",
    "clang",
    "clang++",
    "clippy-driver",
    "collect2",
    "dwp",
    "elfedit",
    "g++",
    "gcc",
    "gcc-ar",
    "gcc-nm",
    "gcc-ranlib",
    "git",
    "gold",
    "ld",
    "ld.bfd",
    "ld.gold",
    "ld.lld",
    "ld64",
    "lld",
    "lto-wrapper",
    "lto1",
    "mold",
    "nm",
    "objcopy",
    "pkg-config",
    "pkgconf",
    "ranlib",
    "rust-lld",
    "rustc",
    "rustdoc",
    "rustup",
    "sccache",
    "strip",
    "uname",
];

/// Whether it is known of a program, by the path it is called by and where that leads to, by what variables it acts: a
/// compiler's own, or the build script itself. Scripts are not: their interpreter does what they say.
pub(super) fn is_acquainted(called: &Path, real: &Path) -> bool {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_owned();
    // What is not there is not started: a shell tries each directory of the path.
    is_build_script(&name(called))
        || !real.is_file()
        || (is_known(&name(real).to_string_lossy()) && is_binary(real))
}

/// Whether a name is one of these, with a target before it or a version behind.
fn is_known(name: &str) -> bool {
    let is_version = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let stem = match name.rsplit_once('-') {
        Some((stem, version)) if is_version(version) => stem,
        _ => name,
    };
    let is_one = |text: &str| ACQUAINTED.contains(&text);
    let behind_target = || {
        let target = stem.find("-linux-")?;
        let abi = stem[target + "-linux-".len()..].split_once('-')?;
        Some(abi.1)
    };
    is_one(stem) || behind_target().is_some_and(is_one)
}

fn is_binary(file: &Path) -> bool {
    let mut start = [0; 4];
    let opened = regular::open(file).and_then(|mut file| file.read_exact(&mut start));
    opened.is_ok() && start == *b"\x7fELF"
}

/// What is started in a program's place.
pub(super) enum StartsBy {
    /// Nothing else.
    Itself,
    /// It is of another architecture.
    Foreign,
    /// An interpreter, or a loader.
    Another(PathBuf),
}

/// Who is started in a program's place, by its first bytes.
pub(super) fn starts_by(program: &Path) -> StartsBy {
    const HEAD: u64 = 4096;
    let mut head = Vec::new();
    let opened = regular::open(program);
    if opened.is_err() || opened.is_ok_and(|file| file.take(HEAD).read_to_end(&mut head).is_err()) {
        return StartsBy::Itself;
    }
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let name = line.trim_ascii().split(u8::is_ascii_whitespace).next();
        let name = name.filter(|name| name.starts_with(b"/"));
        return name.map_or(StartsBy::Itself, |name| {
            StartsBy::Another(PathBuf::from(OsStr::from_bytes(name)))
        });
    }
    loader(&head)
}

/// The loader that an ELF file names (elf(5)): only of 64 bits, as the calls that are asked about.
fn loader(head: &[u8]) -> StartsBy {
    const CLASS_64: u8 = 2;
    const INTERPRETER: u32 = 3;
    if !head.starts_with(b"\x7fELF") {
        return StartsBy::Itself;
    }
    if head.get(4) != Some(&CLASS_64) {
        return StartsBy::Foreign;
    }
    let number = |at: usize, len: usize| -> Option<usize> {
        let bytes = head.get(at..at.checked_add(len)?)?;
        Some(bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)))
    };
    let find = || -> Option<PathBuf> {
        let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let starts = (0..count).map(|index| table.checked_add(index * size));
        for start in starts {
            let start = start?;
            if number(start, 4)? == INTERPRETER as usize {
                let (from, len) = (number(start + 8, 8)?, number(start + 32, 8)?);
                let text = head.get(from..from.checked_add(len)?)?;
                let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
                return Some(PathBuf::from(OsStr::from_bytes(&text[..end])));
            }
        }
        None
    };
    find().map_or(StartsBy::Itself, StartsBy::Another)
}
