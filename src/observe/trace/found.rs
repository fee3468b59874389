//! What is at a path, and whether it is what was there before.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Input;
use crate::base::digest::{Digest, DigestBuilder};
use crate::base::moment::Moment;
use crate::base::tree::{Node, Stamp, Tree, is_settled};
use crate::observe::sources::{Where, plain};

/// The bits of a mode by which a program can tell one file from another with the same content, in each clone
/// alike: whether it can be executed.
pub(super) const EXECUTABLE: u32 = 0o111;

/// What was at a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Found {
    pub node: Thing,
    /// The text of the symlink, where somebody asked for it and there is one.
    pub link: Option<Vec<u8>>,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Thing {
    /// Nothing.
    Absent,
    /// A regular file: its content, and whether it can be executed.
    File(Digest, bool),
    /// A regular file that larder may not read, by its stamp.
    Unreadable(Stamp),
    /// A directory, with the digest of its names where somebody asked for them.
    Directory(Option<Digest>),
    /// A device, a FIFO, a socket.
    Special,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Thing::Absent => f.write_str("nothing")?,
            Thing::File(digest, _) => write!(f, "file {}", &digest.to_string()[..12])?,
            Thing::Unreadable(_) => f.write_str("file")?,
            Thing::Directory(Some(names)) => write!(f, "names {}", &names.to_string()[..12])?,
            Thing::Directory(None) => f.write_str("directory")?,
            Thing::Special => f.write_str("device")?,
        }
        match &self.link {
            Some(text) => write!(f, ", by a link to {}", String::from_utf8_lossy(text)),
            None => Ok(()),
        }
    }
}

/// How paths of the compiler's are looked at from here.
pub(crate) struct Glass<'a> {
    place: &'a Where,
    /// What is known already of the checkout, and where that is for the compiler.
    checkout: Option<(&'a Tree, PathBuf)>,
    /// When the looking began: younger stamps vouch for nothing.
    now: Moment,
}

impl<'a> Glass<'a> {
    /// Looks at everything anew.
    pub(crate) fn plain(place: &'a Where) -> Self {
        Self { place, checkout: None, now: Moment::now() }
    }

    /// Takes what was just seen of the checkout for what is there.
    pub(crate) fn with_checkout(place: &'a Where, checkout: &'a Tree) -> Self {
        let source = place.seen_by_compiler(&place.source);
        Self { checkout: Some((checkout, source)), ..Self::plain(place) }
    }

    /// Whether an input is what was found then.
    pub(super) fn is_same(&self, input: &Input) -> bool {
        let Some(found) = &input.found else { return false };
        let path = input.path();
        let real = self.real(path);
        let metadata = std::fs::metadata(&real);
        if input.stamp.is_some() && metadata.as_ref().ok().map(Stamp::of) == input.stamp {
            let there = input.left.as_ref().unwrap_or(found);
            return !input.how.link || self.link(path) == there.link;
        }
        if let Some(same) = self.known(path, &found.node) {
            return same && (!input.how.link || self.link(path) == found.link);
        }
        let now = self.look_at(path, &real, metadata, input).ok();
        now.is_some_and(|now| now == *found || Some(now) == input.left)
    }

    /// Whether a path leads to one of these files, which are here.
    pub(super) fn is_one_of(&self, path: &Path, files: &BTreeSet<PathBuf>) -> bool {
        std::fs::canonicalize(self.real(path)).is_ok_and(|real| files.contains(&real))
    }

    /// Whether a regular file of the checkout is as it was, by what was just seen of it.
    fn known(&self, path: &Path, then: &Thing) -> Option<bool> {
        let (tree, source) = self.checkout.as_ref()?;
        let entry = tree.get(path.strip_prefix(source).ok()?)?;
        let (Node::File(now), Thing::File(then, runs)) = (&entry.node, then) else { return None };
        Some(now == then && (entry.mode & EXECUTABLE != 0) == *runs)
    }

    /// What an input is now, for people.
    pub(crate) fn found(&self, input: &Input) -> String {
        let path = input.path();
        let real = self.real(path);
        let metadata = std::fs::metadata(&real);
        let found = self.look_at(path, &real, metadata, input);
        found.map_or_else(|error| error.to_string(), |found| found.to_string())
    }

    /// What a path leads to now.
    pub(super) fn look(&self, path: &Path) -> io::Result<Thing> {
        let real = self.real(path);
        thing(&real, std::fs::metadata(&real))
    }

    fn look_at(
        &self,
        path: &Path,
        real: &Path,
        metadata: io::Result<Metadata>,
        input: &Input,
    ) -> io::Result<Found> {
        let link = input.how.link.then(|| self.link(path)).flatten();
        let node = match thing(real, metadata)? {
            Thing::Directory(_) if input.how.names => {
                Thing::Directory(self.names(path)?.map(|names| digest_of(&names)))
            }
            other => other,
        };
        Ok(Found { node, link })
    }

    /// The stamp of what a path leads to, if it can vouch for that the next time.
    pub(super) fn vouch(&self, stamp: Stamp) -> Option<Stamp> {
        is_settled(stamp.ctime, self.now).then_some(stamp)
    }

    /// Whether a path leads to a regular file, and the stamp of what is there; nothing if nothing is.
    pub(super) fn kind(&self, path: &Path) -> io::Result<Option<(bool, Stamp)>> {
        match std::fs::metadata(self.real(path)) {
            Ok(found) => Ok(Some((found.is_file(), Stamp::of(&found)))),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The stamp of what a path leads to now.
    pub(super) fn stamp(&self, path: &Path) -> Option<Stamp> {
        std::fs::metadata(self.real(path)).ok().map(|found| Stamp::of(&found))
    }

    /// Where what a path leads to is here, without links and dots.
    pub(super) fn place_of(&self, path: &Path) -> PathBuf {
        if let Ok(place) = std::fs::canonicalize(self.real(path)) {
            return place;
        }
        let parent = path.parent().and_then(|parent| std::fs::canonicalize(self.real(parent)).ok());
        match (parent, path.file_name()) {
            (Some(parent), Some(name)) => parent.join(name),
            _ => plain(&self.real(path)),
        }
    }

    /// The text of the symlink that a path is.
    pub(super) fn link(&self, path: &Path) -> Option<Vec<u8>> {
        let text = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => std::fs::read_link(self.real(parent).join(name)),
            _ => return None,
        };
        text.ok().map(|text| text.into_os_string().into_vec())
    }

    /// The names in a directory in order, but for those of what is built; nothing where they may not be read.
    pub(super) fn names(&self, path: &Path) -> io::Result<Option<Vec<OsString>>> {
        let here = &*self.real(path);
        let built = [Some(&self.place.built.target), self.place.built.results.as_ref()];
        let is_built = |name: &OsStr| {
            built.iter().flatten().any(|built| {
                built.file_name() == Some(name) && built.parent().is_some_and(|dir| dir == here)
            })
        };
        let mut names = Vec::new();
        let listing = match std::fs::read_dir(here) {
            Err(error) if is_absence(&error) => return Ok(None),
            listing => listing?,
        };
        for entry in listing {
            let entry = entry?;
            if !is_built(&entry.file_name()) {
                names.push(entry.file_name());
            }
        }
        names.sort_unstable();
        Ok(Some(names))
    }

    /// The place here of a path as the compiler sees it.
    pub(super) fn real(&self, path: &Path) -> PathBuf {
        if self.place.root == Path::new("/") {
            path.to_owned()
        } else {
            self.place.real_of_compiler(path)
        }
    }
}

/// The digest of names in a directory, which are in order.
pub(super) fn digest_of(names: &[OsString]) -> Digest {
    let mut digest = DigestBuilder::default();
    for name in names {
        digest.field(name.as_bytes());
    }
    digest.finish()
}

fn thing(real: &Path, metadata: io::Result<Metadata>) -> io::Result<Thing> {
    Ok(match metadata {
        Err(error) if is_absence(&error) => Thing::Absent,
        Err(error) => return Err(error),
        Ok(found) if found.is_file() => file(real, &found)?,
        Ok(found) if found.is_dir() => Thing::Directory(None),
        Ok(_) => Thing::Special,
    })
}

fn file(real: &Path, metadata: &Metadata) -> io::Result<Thing> {
    match std::fs::canonicalize(real).and_then(|real| Digest::of_file(&real)) {
        Ok(digest) => Ok(Thing::File(digest, metadata.mode() & EXECUTABLE != 0)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Ok(Thing::Unreadable(Stamp::of(metadata)))
        }
        Err(error) => Err(error),
    }
}

/// Whether an error says that there is nothing: a parent that is a file, a loop and a name that is too long too.
fn is_absence(error: &io::Error) -> bool {
    let absent = [libc::ENOENT, libc::ENOTDIR, libc::ELOOP, libc::ENAMETOOLONG, libc::EACCES];
    error.raw_os_error().is_some_and(|code| absent.contains(&code))
}
