//! Moving things into the trash.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use super::EvictError;
use crate::base::moment::Moment;
use crate::base::tree::below;
use crate::base::{fault, frozen};
use crate::store::{EntryPaths, Store};

/// A fresh directory in a store's trash, into which things are moved one by one.
pub(crate) struct Trash<'a> {
    store: &'a Store,
    /// Made when the first thing comes, and again if somebody has emptied the trash meanwhile.
    bag: Option<OwnedFd>,
    /// The directory that something was taken from last: mostly the next is there too.
    last: Option<(PathBuf, OwnedFd)>,
    count: u64,
    /// What was moved here, and its name here.
    taken: Vec<(PathBuf, String)>,
}

/// The directories of a store from which things are taken.
const OWN: [&str; 3] = ["projects", "cargo-home", "share"];

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// A name for something in the trash that nobody else has.
pub(crate) fn fresh_name() -> String {
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    format!("{:x}-{}-{serial}", Moment::now().0, std::process::id())
}

impl<'a> Trash<'a> {
    /// A place for what is about to go; made when the first thing comes.
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store, bag: None, last: None, count: 0, taken: Vec::new() }
    }

    /// Moves a file or a whole directory of the store here. What is already gone is no error.
    pub(crate) fn take(&mut self, path: &Path) -> Result<(), EvictError> {
        let fail = |errno| EvictError::new(path, errno);
        let Some(name) = self.find(path)? else { return Ok(()) };
        let Some((_, parent)) = &self.last else { return Ok(()) };
        let place = self.count.to_string();
        self.count += 1;
        let (mut may_be_closed, mut may_be_frozen) = (true, true);
        loop {
            let bag = match self.bag.take() {
                Some(bag) => bag,
                None => make_bag(self.store)?,
            };
            fault::point("evict.rename");
            match rustix::fs::renameat(parent, &name, &bag, place.as_str()) {
                // Somebody has just emptied the trash, and this directory is gone from it.
                Err(Errno::NOENT) if is_there(parent, &name) => continue,
                Ok(()) => self.taken.push((path.to_owned(), place)),
                Err(Errno::NOENT) => {}
                Err(Errno::ACCESS) if may_be_closed && make_movable(parent, &name) => {
                    may_be_closed = false;
                    self.bag = Some(bag);
                    continue;
                }
                Err(Errno::PERM) if may_be_frozen && thaw(parent, &name) => {
                    may_be_frozen = false;
                    self.bag = Some(bag);
                    continue;
                }
                Err(errno) => {
                    self.bag = Some(bag);
                    return Err(fail(errno));
                }
            }
            self.bag = Some(bag);
            return Ok(());
        }
    }

    /// Puts back where it was what was taken of some paths, as far as nobody has emptied the trash meanwhile and
    /// nothing new is there.
    pub(crate) fn put_back(&mut self, counts: impl Fn(&Path) -> bool) -> Result<(), EvictError> {
        let Some(bag) = &self.bag else { return Ok(()) };
        for (path, place) in self.taken.drain(..).filter(|(path, _)| counts(path)) {
            let Some((parent, name)) = parent_inside(self.store, &path)? else { continue };
            fault::point("evict.put-back");
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(bag, place.as_str(), &parent, &name, flags) {
                Ok(()) | Err(Errno::NOENT | Errno::EXIST) => {}
                Err(errno) => return Err(EvictError::new(&*path, errno)),
            }
        }
        Ok(())
    }

    /// Moves a target directory here that another one replaces. Without its record it goes with what builds took
    /// from their own directories, and not only with the next collection.
    pub(crate) fn take_replaced(&mut self, paths: &EntryPaths) -> Result<(), EvictError> {
        self.take(&paths.dir)?;
        let last = self.count.checked_sub(1).and_then(|last| CString::new(last.to_string()).ok());
        let (Some(bag), Some(last)) = (&self.bag, last) else { return Ok(()) };
        // Where it cannot be done the collection takes it, or somebody has just emptied the trash.
        if let Ok(dir) = below::open_dir(bag, &last) {
            fault::point("evict.unlink-record");
            let _ = rustix::fs::unlinkat(&dir, c"entry.json", AtFlags::empty());
        }
        Ok(())
    }

    /// Opens the directory that something is in; the name in it, if it can be there.
    fn find(&mut self, path: &Path) -> Result<Option<CString>, EvictError> {
        let known =
            self.last.as_ref().is_some_and(|(last, _)| Some(last.as_path()) == path.parent());
        let inside = path.strip_prefix(self.store.root()).unwrap_or(path);
        let mut way = inside.components().map(Component::as_os_str);
        let is_ours = way.next().is_some_and(|first| OWN.iter().any(|own| first == *own));
        if !is_ours || way.next().is_none() {
            return Err(outside(self.store, path));
        }
        if known {
            return Ok(path.file_name().and_then(c_name));
        }
        let Some((parent, name)) = parent_inside(self.store, path)? else { return Ok(None) };
        self.last = path.parent().map(|last| (last.to_owned(), parent));
        Ok(Some(name))
    }
}

/// A fresh directory in the trash, which is made where it is missing.
fn make_bag(store: &Store) -> Result<OwnedFd, EvictError> {
    let root = store.reopen()?;
    let path = store.trash();
    let fail = |errno| EvictError::new(&*path, errno);
    loop {
        match rustix::fs::mkdirat(&root, c"trash", Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(fail(errno)),
        }
        let trash = below::open_dir(&root, c"trash").map_err(fail)?;
        match make_in(&trash) {
            // Whoever empties the trash may have been faster.
            Err(Errno::NOENT) => {}
            other => return other.map_err(fail),
        }
    }
}

fn make_in(trash: &OwnedFd) -> Result<OwnedFd, Errno> {
    let name = CString::new(fresh_name()).map_err(|_| Errno::INVAL)?;
    fault::point("evict.make");
    rustix::fs::mkdirat(trash, &name, Mode::RWXU)?;
    below::open_dir(trash, &name)
}

/// Whether there is something of this name.
pub(super) fn is_there(dir: &OwnedFd, name: &CStr) -> bool {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Gives the owner of a directory the right to write in it, without which nobody but root may move it
/// elsewhere: its `..` changes. Go makes the directories of modules read-only.
fn make_movable(parent: &OwnedFd, name: &CStr) -> bool {
    let held = below::hold_dir(parent, name);
    held.is_ok_and(|held| {
        let path = format!("/proc/self/fd/{}", held.as_raw_fd());
        fault::point("evict.chmod");
        rustix::fs::chmod(path, Mode::RWXU).is_ok()
    })
}

/// Makes changeable what is about to be moved, and the directory that it is in, if somebody made them otherwise.
pub(super) fn thaw(parent: &OwnedFd, name: &CStr) -> bool {
    let above = frozen::thaw_in(parent, c".");
    frozen::thaw_in(parent, name) || above
}

/// The directory that something in the store is in, reached from the store's root without following
/// or entering anything, and the name in it. Nothing if there is no such directory.
pub(super) fn parent_inside(
    store: &Store,
    path: &Path,
) -> Result<Option<(OwnedFd, CString)>, EvictError> {
    let inside = path.strip_prefix(store.root()).map_err(|_| outside(store, path))?;
    let mut names = Vec::new();
    for component in inside.components() {
        match component {
            Component::Normal(name) => names.extend(c_name(name)),
            _ => return Err(outside(store, path)),
        }
    }
    let Some(name) = names.pop() else { return Err(outside(store, path)) };
    let mut parent = store.reopen()?;
    for name in names {
        parent = match below::hold_dir(&parent, &name) {
            Ok(below) => below,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => return Err(outside(store, path)),
            Err(errno) => return Err(EvictError::new(path, errno)),
        };
    }
    Ok(Some((parent, name)))
}

fn outside(store: &Store, path: &Path) -> EvictError {
    EvictError::Outside { path: path.to_owned(), store: store.root().to_owned() }
}

/// A name as the system takes it.
pub(super) fn c_name(name: &OsStr) -> Option<CString> {
    CString::new(name.as_bytes()).ok()
}
