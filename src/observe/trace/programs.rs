//! What the kernel opens by itself when it starts a program.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::base::regular;
use crate::observe::identity::{is_shell, is_shells};

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

/// What scripts call besides: by no variable that a script knows is what these print.
const PLAIN: [&str; 55] = [
    "[",
    "basename",
    "bzip2",
    "cat",
    "chmod",
    "chown",
    "cmp",
    "comm",
    "cp",
    "cut",
    "date",
    "df",
    "diff",
    "dirname",
    "du",
    "echo",
    "expr",
    "false",
    "find",
    "grep",
    "gzip",
    "head",
    "id",
    "install",
    "ln",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "nproc",
    "paste",
    "printf",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "tail",
    "tar",
    "tee",
    "test",
    "touch",
    "tr",
    "true",
    "uniq",
    "wc",
    "xargs",
    "xz",
    "zstd",
];

/// What a program is that a command starts for no unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What it starts has the variables that its script says, and those that it was given.
    Shell,
    /// No variable that it is given gets any further but to what it starts.
    Plain,
    /// Nobody knows.
    Stranger,
}

/// What kind of program a file is, by where it is for the compiler, and here.
pub(super) fn kind_of(place: &Path, real: &Path) -> Kind {
    let mut head = [0; 4096];
    let read = regular::open(real).and_then(|mut file| file.read(&mut head)).unwrap_or(0);
    if head.starts_with(b"#!") {
        return if is_shells(&head[..read]) { Kind::Shell } else { Kind::Stranger };
    }
    let name = real.file_name().unwrap_or_default();
    let is_plain = || PLAIN.iter().any(|plain| name == *plain);
    match is_binary(real) && is_installed(place, real) {
        true if is_shell(name) => Kind::Shell,
        true if is_plain() => Kind::Plain,
        _ if is_acquainted(place, real) => Kind::Plain,
        _ => Kind::Stranger,
    }
}

/// Where distributions put what they install.
const SYSTEM: [&str; 12] = [
    "/bin",
    "/etc",
    "/lib",
    "/lib64",
    "/sbin",
    "/usr/bin",
    "/usr/include",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/sbin",
    "/usr/share",
];

/// Whether a file is the distribution's, or of a toolchain of Rust's, by where it is for the compiler, and here.
pub(crate) fn is_installed(place: &Path, real: &Path) -> bool {
    let is_of_toolchain = || {
        let prefix = real.parent().and_then(Path::parent);
        real.iter().any(|part| part == "rustlib")
            || prefix.is_some_and(|prefix| prefix.join("lib/rustlib").is_dir())
    };
    SYSTEM.iter().any(|top| place.starts_with(top)) || is_of_toolchain()
}

/// Whether it is known of a program by what variables it acts: a compiler, or what belongs to one, as it was installed.
/// `place` is where it is for the compiler, and `real` here. Of scripts it is not: their interpreter does what they say;
/// nor of a wrapper, whatever its name.
pub(super) fn is_acquainted(place: &Path, real: &Path) -> bool {
    let name = real.file_name().unwrap_or_default();
    let is_one = || is_known(&name.to_string_lossy()) && is_installed(place, real);
    // What is not there is not started: a shell tries each directory of the path.
    !real.is_file() || ((name == "rustup" || is_one()) && is_binary(real))
}

fn is_known(name: &str) -> bool {
    is_one_of(&ACQUAINTED, name)
}

/// Whether a name is one of these, with a target before it or a version behind.
fn is_one_of(names: &[&str], name: &str) -> bool {
    let is_version = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let stem = match name.rsplit_once('-') {
        Some((stem, version)) if is_version(version) => stem,
        _ => name,
    };
    let is_one = |text: &str| names.contains(&text);
    let behind_target = || {
        let target = stem.find("-linux-")?;
        let abi = stem[target + "-linux-".len()..].split_once('-')?;
        Some(abi.1)
    };
    is_one(stem) || behind_target().is_some_and(is_one)
}

/// Compilers that write the date of `SOURCE_DATE_EPOCH` where a text asks for one (`__DATE__`; gcc(1), clang(1)).
const DATING: [&str; 4] = ["cc1", "cc1plus", "clang", "clang++"];

/// What writes one into programs for Windows and for firmware, which have a field for it.
const DATING_PROGRAMS: [&str; 9] =
    ["gold", "ld", "ld.bfd", "ld.gold", "ld.lld", "lld", "objcopy", "rust-lld", "strip"];

/// Whether a program, by its own name, may write a date into what it makes. Of what is `for_linux` only compilers do.
pub(crate) fn writes_dates(program: &Path, for_linux: bool) -> bool {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    is_one_of(&DATING, &name) || (!for_linux && is_one_of(&DATING_PROGRAMS, &name))
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn acquainted_is_who_has_a_known_name_and_was_installed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            path
        };
        let elf = b"\x7fELF\x02";
        let is = |real: &Path, place: &str| is_acquainted(Path::new(place), real);
        let cc = at("cc", elf);
        assert!(is(&cc, "/usr/bin/cc"));
        assert!(!is(&cc, "/home/loaf/bin/cc"), "a wrapper with a compiler's name");
        assert!(is(&at("x86_64-linux-gnu-gcc-12", elf), "/usr/bin/x86_64-linux-gnu-gcc-12"));
        assert!(!is(&at("loaf", elf), "/usr/bin/loaf"));
        assert!(!is(&at("gcc", b"#!/bin/sh\n"), "/usr/bin/gcc"), "a script");
        assert!(is(&dir.path().join("nothing"), "/home/loaf/bin/nothing"));
        let rustc = at("toolchain/bin/rustc", elf);
        assert!(!is(&rustc, "/opt/toolchain/bin/rustc"));
        fs::create_dir_all(dir.path().join("toolchain/lib/rustlib")).unwrap();
        assert!(is(&rustc, "/opt/toolchain/bin/rustc"));
        assert!(is(&at("toolchain/lib/rustlib/x/bin/rust-lld", elf), "/opt/x/rust-lld"));
    }
}
