//! Reads the memory of a process that waits for an answer.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

use super::calls::Arguments;
use crate::observe::cargo_layout::is_build_script;
use crate::observe::trace::Who;

const PAGE: usize = 4096;

/// Paths are mostly shorter; what is longer is read in a second step.
const SHORT: usize = 256;

/// The longest argument or variable that tells anything.
const LONGEST: usize = 2 * PAGE;

/// No program gets more words from Cargo: a compilation has some hundred.
const WORDS: usize = 1 << 16;

/// The files that Cargo writes a compiler's arguments into are smaller.
const ARGUMENT_FILE: u64 = 1 << 24;

/// Services that name users and hosts, and take what is logged.
const HARMLESS: [&str; 6] = [
    "/var/run/nscd",
    "/run/nscd",
    "/run/systemd/userdb",
    "/run/systemd/resolve",
    "/run/systemd/journal",
    "/dev/log",
];

/// For whom a process will look up, and where what it makes goes, as it says it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Maker {
    pub who: Who,
    pub into: Option<Vec<u8>>,
}

/// The memory of one process.
pub(in super::super) struct Memory {
    pid: u32,
}

impl Memory {
    pub(in super::super) fn of(pid: u32) -> Self {
        Self { pid }
    }

    /// The text at an address, no longer than a path can be.
    pub(in super::super) fn path(&self, address: u64) -> io::Result<Vec<u8>> {
        self.text(address, libc::PATH_MAX.unsigned_abs() as usize)
    }

    /// The text at an address.
    fn text(&self, address: u64, longest: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(SHORT);
        for len in [SHORT, longest] {
            bytes.resize(len, 0);
            let read = self.read(address, &mut bytes)?;
            if let Some(end) = memchr::memchr(0, &bytes[..read]) {
                bytes.truncate(end);
                return Ok(bytes);
            }
            if read < len {
                break;
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    /// Reads what is there, up to the end of what may be read; says how much.
    fn read(&self, address: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(address).map_err(io::Error::other)?;
        let first = (PAGE - start % PAGE).min(bytes.len());
        // Cut where the first page ends: what follows the text may be nobody's.
        let piece =
            |start: usize, len| libc::iovec { iov_base: start as *mut libc::c_void, iov_len: len };
        let mut there = vec![piece(start, first)];
        let mut done = first;
        while done < bytes.len() {
            let len = PAGE.min(bytes.len() - done);
            there.push(piece(start.wrapping_add(done), len));
            done += len;
        }
        let here = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let pid = libc::pid_t::try_from(self.pid).map_err(io::Error::other)?;
        // SAFETY: the kernel writes at most `bytes.len()` bytes into `bytes`; the other addresses are of
        // another process, where the kernel checks them.
        let read = unsafe {
            libc::process_vm_readv(pid, &raw const here, 1, there.as_ptr(), there.len() as u64, 0)
        };
        usize::try_from(read).map_err(|_| io::Error::last_os_error())
    }

    /// For whom a process will look up with these arguments: a unit, Cargo, or nobody.
    pub(super) fn maker(&self, program: u64, arguments: Arguments) -> Option<Maker> {
        let program = self.path(program).unwrap_or_default();
        let name = Path::new(OsStr::from_bytes(&program)).file_name().unwrap_or_default();
        let words = self.words(arguments.words);
        let in_file = || compiled(&self.lines(argument_file(&words)?));
        if let Some(made) = compiled(&words).or_else(in_file) {
            return Some(made);
        }
        if is_build_script(name) {
            let variables = self.words(arguments.variables);
            let out = variables.iter().find_map(|variable| variable.strip_prefix(b"OUT_DIR="));
            if let Some((hash, out)) = out.and_then(|out| Some((hash_of_out_dir(out)?, out))) {
                return Some(Maker { who: Who::Unit(hash), into: Some(out.to_vec()) });
            }
        }
        let called = words.first().map(|word| Path::new(OsStr::from_bytes(word)));
        let called = called.and_then(Path::file_name).unwrap_or_default();
        let is_cargo = name == "cargo" || called == "cargo";
        is_cargo.then_some(Maker { who: Who::Cargo, into: None })
    }

    /// The version of the package that Cargo starts a program for.
    pub(super) fn version(&self, arguments: Arguments) -> Option<String> {
        let variables = self.words(arguments.variables);
        let value = |variable: &Vec<u8>| {
            let value = variable.strip_prefix(b"CARGO_PKG_VERSION=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        variables.iter().find_map(value)
    }

    /// A list of texts that ends with a null.
    fn words(&self, address: u64) -> Vec<Vec<u8>> {
        let mut words = Vec::new();
        let mut at = address;
        let mut piece = [0; 1024];
        while words.len() < WORDS {
            let Ok(read) = self.read(at, &mut piece) else { return words };
            for pointer in piece[..read].chunks_exact(8) {
                let pointer = u64::from_ne_bytes(pointer.try_into().unwrap_or_default());
                if pointer == 0 {
                    return words;
                }
                words.push(self.text(pointer, LONGEST).unwrap_or_default());
            }
            if read < piece.len() {
                return words;
            }
            at = at.wrapping_add(read as u64);
        }
        words
    }

    /// The lines of a file that the process names, if it is a plain one.
    fn lines(&self, file: &[u8]) -> Vec<Vec<u8>> {
        use std::io::Read;
        let mut bytes = Vec::new();
        // Without waiting for anybody: it may be a FIFO.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = self.open(None, file, flags).map(File::from).ok();
        let opened = opened.filter(|file| file.metadata().is_ok_and(|it| it.is_file()));
        let read = opened.map(|file| file.take(ARGUMENT_FILE).read_to_end(&mut bytes));
        if !matches!(read, Some(Ok(_))) {
            return Vec::new();
        }
        bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    /// Opens what is at a path as the process sees it. An absolute link on the way of a relative path leads to larder's
    /// own view, where nothing is attached.
    pub(in super::super) fn open(
        &self,
        base: Option<i32>,
        path: &[u8],
        flags: OFlags,
    ) -> io::Result<OwnedFd> {
        let pid = self.pid;
        let (start, how) = match base {
            _ if path.starts_with(b"/") => (format!("/proc/{pid}/root"), ResolveFlags::IN_ROOT),
            Some(base) => (format!("/proc/{pid}/fd/{base}"), ResolveFlags::NO_MAGICLINKS),
            None => (format!("/proc/{pid}/cwd"), ResolveFlags::NO_MAGICLINKS),
        };
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let start = rustix::fs::openat(CWD, start, directory, Mode::empty())?;
        if path.is_empty() {
            return Ok(start);
        }
        let (path, flags) = (OsStr::from_bytes(path), flags | OFlags::CLOEXEC);
        Ok(rustix::fs::openat2(&start, path, flags, Mode::empty(), how)?)
    }

    /// Whether an address is of another machine, or of a service here that may look up anything in the name of
    /// who asks.
    pub(super) fn is_service(&self, address: u64, len: u64) -> bool {
        let mut bytes = [0; 2 + 108];
        let len = usize::try_from(len).unwrap_or(0).min(bytes.len());
        let read = self.read(address, &mut bytes[..len]).unwrap_or(0);
        let Some((family, place)) = bytes[..read].split_first_chunk::<2>() else { return false };
        match i32::from(u16::from_ne_bytes(*family)) {
            libc::AF_INET | libc::AF_INET6 | libc::AF_VSOCK => true,
            libc::AF_UNIX => {
                let end = place.iter().position(|byte| *byte == 0).unwrap_or(place.len());
                let path = Path::new(OsStr::from_bytes(&place[..end]));
                let is_known = HARMLESS.iter().any(|known| path.starts_with(known));
                // Without a path the name is an abstract one.
                !is_known && (end == 0 || path.symlink_metadata().is_ok())
            }
            _ => false,
        }
    }
}

/// The unit that a compiler is to make with these arguments. Cargo asks compilers about themselves with the
/// crate name `___` (`core/compiler/build_context/target_info.rs`, Cargo 1.95).
fn compiled(words: &[Vec<u8>]) -> Option<Maker> {
    let after = |name: &[u8]| {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1)
    };
    let name = after(b"--crate-name")?;
    if name == b"___" {
        return None;
    }
    let hash = words.iter().find_map(|word| {
        let word = word.strip_prefix(b"-C").unwrap_or(word);
        word.strip_prefix(b"extra-filename=-")
    });
    let who = match hash {
        Some(hash) if is_hash(hash) => Who::Unit(String::from_utf8_lossy(hash).into_owned()),
        _ => Who::Crate(String::from_utf8_lossy(name).into_owned()),
    };
    let joined = || words.iter().find_map(|word| word.strip_prefix(b"--out-dir="));
    let into = after(b"--out-dir").map(Vec::as_slice).or_else(joined).map(<[u8]>::to_vec);
    Some(Maker { who, into })
}

fn argument_file(words: &[Vec<u8>]) -> Option<&[u8]> {
    words.iter().find_map(|word| word.strip_prefix(b"@"))
}

/// The hash of the run whose `OUT_DIR` that is: `build/<package>-<hash>/out`, or `build/<package>/<hash>/out`.
fn hash_of_out_dir(out: &[u8]) -> Option<String> {
    let above = Path::new(OsStr::from_bytes(out)).parent()?.file_name()?.as_bytes();
    let hash = above.get(above.len().checked_sub(16)?..)?;
    is_hash(hash).then(|| String::from_utf8_lossy(hash).into_owned())
}

fn is_hash(text: &[u8]) -> bool {
    text.len() == 16 && text.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<u8>> {
        text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn a_unit_is_known_by_its_compilers_arguments() {
        let hash = "0123456789abcdef";
        let unit = |text: &str| compiled(&words(text)).map(|made| made.who);
        let of = |hash: &str| Some(Who::Unit(hash.to_owned()));
        let with = |flag: &str| unit(&format!("rustc --crate-name loaf src/lib.rs {flag}{hash}"));
        assert_eq!(with("-C metadata=ff -C extra-filename=-"), of(hash));
        assert_eq!(with("-Cextra-filename=-"), of(hash));
        assert_eq!(
            unit(&format!("wrapper rustc --crate-name a -C extra-filename=-{hash}")),
            of(hash)
        );
        assert_eq!(
            unit("rustc --crate-name loaf --crate-type cdylib"),
            Some(Who::Crate("loaf".to_owned()))
        );
        for other in
            ["rustc -vV", "rustc - --crate-name ___ --print=cfg", "cc -c a.c", "x --crate-name"]
        {
            assert_eq!(unit(other), None, "{other}");
        }
        let into = |text: &str| compiled(&words(text)).and_then(|made| made.into);
        assert_eq!(into("rustc --crate-name a --out-dir /t/deps -v"), Some(b"/t/deps".to_vec()));
        assert_eq!(into("rustc --crate-name a --out-dir=deps"), Some(b"deps".to_vec()));
        assert_eq!(into("rustc --crate-name a -o /t/deps/a"), None);
    }

    #[test]
    fn a_run_is_known_by_its_out_dir_in_both_layouts() {
        let hash = |out: &str| hash_of_out_dir(out.as_bytes());
        let known = Some("0123456789abcdef".to_owned());
        assert_eq!(hash("/t/release/build/loaf-0123456789abcdef/out"), known);
        assert_eq!(hash("/t/release/build/loaf/0123456789abcdef/out"), known);
        for other in ["/t/out", "/", "", "/t/build/loaf-0123456789abcdeg/out"] {
            assert_eq!(hash(other), None, "{other}");
        }
    }

    #[test]
    fn texts_and_lists_of_texts_are_read_up_to_their_end() {
        let memory = Memory::of(std::process::id());
        let long = "x".repeat(3000);
        let texts = [c"some/where".to_owned(), std::ffi::CString::new(long.as_str()).unwrap()];
        let list: Vec<*const libc::c_char> =
            texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        let expected = [b"some/where".to_vec(), long.into_bytes()];
        assert_eq!(memory.words(list.as_ptr() as u64), expected);
        assert_eq!(memory.path(list[1] as u64).unwrap(), expected[1]);
        assert!(memory.path(8).is_err());
        let endless = vec![b'x'; 9000];
        assert!(memory.path(endless.as_ptr() as u64).is_err(), "no path is that long");
        assert_eq!(memory.words(8), Vec::<Vec<u8>>::new());
    }
}
