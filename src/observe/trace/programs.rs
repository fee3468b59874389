//! What the kernel opens by itself when it starts a program.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

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
    // Without waiting for anybody: it may be a FIFO, which the kernel is not going to start.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(program, flags, Mode::empty()).map(File::from).ok();
    let opened = opened.filter(|file| file.metadata().is_ok_and(|it| it.is_file()));
    if opened.is_none_or(|file| file.take(HEAD).read_to_end(&mut head).is_err()) {
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
