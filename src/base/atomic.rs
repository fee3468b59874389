//! Records that are either the old ones or the new ones, never something between.

#![expect(
    clippy::disallowed_methods,
    reason = "puts records in place, and makes directories for them"
)]

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use crate::base::digest::{Digest, Hashing};
use crate::base::path_error::{At, PathError};
use crate::base::regular;
use crate::base::{fault, frozen};

/// The first bytes of every binary record; the digit is the format's number.
const MAGIC: &[u8; 8] = b"larder4\n";

/// The digits of a digest.
const DIGITS: usize = 64;

/// So many bytes of a record are written at once.
const PIECE: usize = 64 * 1024;

/// No binary record is larger: that of a target directory with a million files has less than half of this. What is
/// larger counts as damaged, and is not read; nor is what does not begin as it should.
const LARGEST: u64 = 512 * 1024 * 1024;

/// The same of those in JSON, which are read by the thousand.
const LARGEST_JSON: u64 = 16 * 1024 * 1024;

/// Records of fewer bytes are small.
const SMALL: usize = 4096;

/// A record that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The system refused.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The record is not what larder wrote.
    #[error("{} is damaged; remove it, and it is made anew", path.display())]
    Damaged { path: PathBuf },
}

/// Puts a value at `path` in one step, but not durably: for caches that are remade when lost.
pub(crate) fn write_cache(path: &Path, value: &impl Serialize) -> Result<(), RecordError> {
    Ok(put(path, 0o644, false, |file| fill(file, value)).at("write", path)?)
}

/// Puts `bytes` at `path`, durably and in one step. Of the mode that is kept which the directory grants too.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), RecordError> {
    Ok(put(path, mode, true, |file| file.write_all(bytes)).at("write", path)?)
}

/// The same at a place that somebody named: no directory makes room for it.
pub(crate) fn write_for_user(path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    if path.is_dir() {
        let error = io::Error::from_raw_os_error(libc::EISDIR);
        return Err(PathError::new("write", path, error).into());
    }
    write(path, bytes, 0o644)
}

/// The same, but not durably: for what can be had again when it is lost or cut short.
pub(crate) fn write_copy(path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    Ok(put(path, 0o644, false, |file| file.write_all(bytes)).at("write", path)?)
}

fn put(
    path: &Path,
    mode: u32,
    durably: bool,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fault::point("store.create");
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(parent)?;
    fault::point("store.write");
    fill(file.as_file_mut())?;
    let mode = granted(mode, parent)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    if durably {
        fault::point("store.sync");
        file.as_file().sync_all()?;
    }
    fault::point("store.rename");
    put_in_place(file, path)?;
    if !durably {
        return Ok(());
    }
    sync_directory(parent)
}

/// Puts a file that is whole at a path of larder's own, whatever is there. A directory, which no file replaces, is left
/// beside it, under a name by which whoever collects knows it; what was made unchangeable is made changeable.
pub(crate) fn put_in_place(file: NamedTempFile, path: &Path) -> io::Result<()> {
    let Err(refused) = file.persist(path) else { return Ok(()) };
    match refused.error.raw_os_error() {
        Some(libc::EISDIR) => {
            let (_file, beside) = refused.file.keep().map_err(|error| error.error)?;
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            Ok(rustix::fs::renameat_with(CWD, &beside, CWD, path, exchange)?)
        }
        Some(libc::EPERM) if frozen::thaw(path) => {
            refused.file.persist(path).map(drop).map_err(|error| error.error)
        }
        _ => Err(refused.error),
    }
}

/// Of a mode, what is left of it in a directory: nobody else reads a record, or enters a directory, who may not read and
/// enter what it is in. So the mode of a store's own directory says who may read what is in it (decision 113).
pub(crate) fn granted(mode: u32, parent: &Path) -> io::Result<u32> {
    let parent = std::fs::metadata(parent)?.mode();
    let others = [(0o050, 0o070), (0o005, 0o007)];
    let granted = others.iter().filter(|(needed, _)| parent & needed == *needed);
    Ok(mode & granted.fold(0o700, |all, (_, bits)| all | bits))
}

/// Makes a directory in one that is there, for whom that is open to.
pub(crate) fn make_inner(path: &Path) -> io::Result<()> {
    let mode = granted(0o755, path.parent().unwrap_or(Path::new("/")))?;
    fault::point("store.make");
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other,
    }
}

/// Puts `bytes` at a path where nothing is, durably, for nobody but their owner; what is there stays.
pub(crate) fn write_first(path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fault::point("store.create");
    let write = || {
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(parent)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        fault::point("store.rename");
        match file.persist_noclobber(path) {
            Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
            _ => sync_directory(parent),
        }
    };
    Ok(write().at("write", path)?)
}

/// Makes a directory for what is going to be written, and those above it.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// Brings to disk which names a directory holds.
pub(crate) fn sync_directory(dir: &Path) -> io::Result<()> {
    fault::point("store.sync-directory");
    regular::open_directory(dir)?.sync_all()
}

/// Puts a value at `path` as indented JSON.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), RecordError> {
    let mut text = serde_json::to_vec_pretty(value).at("write", path)?;
    text.push(b'\n');
    write(path, &text, 0o644)
}

/// The same, but not durably: for what is measured again when lost.
pub(crate) fn write_json_cache(path: &Path, value: &impl Serialize) -> Result<(), RecordError> {
    let text = serde_json::to_vec(value).at("write", path)?;
    Ok(put(path, 0o644, false, |file| file.write_all(&text)).at("write", path)?)
}

/// The JSON record at `path`, or `None` where there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    let Some(bytes) = look(path, |file| regular::read_open(file, LARGEST_JSON))? else {
        return Ok(None);
    };
    let damaged = |_| RecordError::Damaged { path: path.to_owned() };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// The JSON record at a name below a directory, if it is small and whole, read at once: for those who
/// read many. Nothing otherwise; [`read_json`] says why.
pub(crate) fn read_small_json<T: DeserializeOwned>(dir: impl AsFd, name: &str) -> Option<T> {
    let file = regular::open_own_in(dir, name).ok()?;
    let mut bytes = [0; SMALL];
    let length = rustix::io::read(&file, &mut bytes).ok()?;
    serde_json::from_slice(bytes.get(..length).filter(|_| length < SMALL)?).ok()
}

/// Puts a value at `path` in the compact binary form: magic, digest of the rest, the rest.
pub(crate) fn write_binary(path: &Path, value: &impl Serialize) -> Result<(), RecordError> {
    Ok(put(path, 0o644, true, |file| fill(file, value)).at("write", path)?)
}

/// Writes the binary form piece by piece: the whole of it is never in memory.
fn fill(file: &mut File, value: &impl Serialize) -> io::Result<()> {
    file.write_all(MAGIC)?;
    file.write_all(&[b'0'; DIGITS])?;
    let mut writer = BufWriter::with_capacity(PIECE, Hashing::new(&mut *file));
    serialize(value, &mut writer)?;
    let hashing = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    let digest = hashing.finish().to_string();
    fault::point("store.write-digest");
    file.seek(SeekFrom::Start(MAGIC.len() as u64))?;
    file.write_all(digest.as_bytes())
}

/// Writes the compact form. What the system said is told: postcard says that a buffer is full, whatever it was.
fn serialize(value: &impl Serialize, to: impl Write) -> io::Result<()> {
    let mut writer = Telling { to, failed: None };
    let Err(error) = postcard::to_io(value, &mut writer) else { return Ok(()) };
    Err(writer.failed.unwrap_or_else(|| io::Error::other(error)))
}

/// Keeps the error for who hears only that there was one.
struct Telling<W> {
    to: W,
    failed: Option<io::Error>,
}

impl<W: Write> Write for Telling<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failed = Some(error);
            }
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The binary record at `path`, or `None` where there is none.
pub(crate) fn read_binary<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    let begun = |mut file: &File| {
        let mut start = [0; MAGIC.len()];
        let has_start = file.read_exact(&mut start).is_ok() && start == *MAGIC;
        file.rewind()?;
        regular::read_open(file, if has_start { LARGEST } else { 0 })
    };
    let Some(bytes) = look(path, begun)? else {
        return Ok(None);
    };
    let damaged = || RecordError::Damaged { path: path.to_owned() };
    let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or_else(damaged)?;
    let (digest, body) = rest.split_at_checked(DIGITS).ok_or_else(damaged)?;
    if Digest::of(body).to_string().as_bytes() != digest {
        return Err(damaged());
    }
    postcard::from_bytes(body).map(Some).map_err(|_| damaged())
}

/// What was read, if it is not damaged: a damaged record is no record.
pub(crate) fn undamaged<T>(read: Result<Option<T>, RecordError>) -> Result<Option<T>, RecordError> {
    match read {
        Err(RecordError::Damaged { .. }) => Ok(None),
        other => other,
    }
}

/// What a record holds; nothing where there is none.
fn look(
    path: &Path,
    read: impl FnOnce(&File) -> io::Result<Vec<u8>>,
) -> Result<Option<Vec<u8>>, RecordError> {
    match regular::open_own(path).and_then(|file| read(&file)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // A build could put there what it likes.
        Err(error) if regular::is_odd(&error) => {
            Err(RecordError::Damaged { path: path.to_owned() })
        }
        Err(error) => Err(PathError::new("read", path, error).into()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
