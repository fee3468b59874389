//! Looking at a tree: a walk, the content of what is not known yet, and what was known kept.

use std::collections::HashMap;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rayon::prelude::*;
use rustix::fs::FileType;

use super::directory::{Child, Directory};
use super::limits::Limits;
use super::walk::{self, Seen, Top, Wanted, below, join};
use super::{Entry, Moment, Node, ObserveError};
use crate::base::digest::Digest;

/// The grain of the kernel's file clock, generously.
const GRAIN: Duration = Duration::from_millis(50);

/// The grain assumed where a file's change time has no fraction of a second.
const COARSE_GRAIN: Duration = Duration::from_secs(2);

/// The names of a directory before what is below them is known.
enum Names {
    /// Those of an earlier observation, each with its stamp.
    Known(Arc<Directory>),
    /// Some that are not read yet.
    Seen(Vec<Seen>),
    /// Others, read.
    New(Vec<Child>),
}

pub(super) fn observe(
    root: &Path,
    before: Option<&Arc<Directory>>,
    limits: Option<Limits>,
    wanted: Wanted<'_>,
) -> Result<Arc<Directory>, ObserveError> {
    let found: Mutex<Vec<(Vec<u8>, Names)>> = Mutex::default();
    let arrive = |path: &[u8], seen: Vec<Seen>| {
        let known = before.and_then(|before| before.at(path));
        walk::lock(&found).push((path.to_vec(), Names::of(seen, known)));
    };
    let mut found = match walk::walk(root, limits, wanted, &arrive)? {
        Top::Nothing => return Ok(Arc::default()),
        Top::File(seen) => vec![(Vec::new(), Names::of(vec![seen], before))],
        Top::Directory => found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner),
    };
    // Only now: most of what the walk touched is then older than the clock's grain.
    let started = Moment::now();
    found.par_iter_mut().try_for_each(|(path, names)| {
        let known = before.and_then(|before| before.at(path));
        names.read(&below(root, path), known, started)
    })?;
    Ok(assemble(found))
}

/// Puts the directories into each other, the deepest first.
fn assemble(mut all: Vec<(Vec<u8>, Names)>) -> Arc<Directory> {
    let depth =
        |path: &[u8]| memchr::memchr_iter(b'/', path).count() + usize::from(!path.is_empty());
    all.sort_by_cached_key(|(path, _)| std::cmp::Reverse(depth(path)));
    let mut done: HashMap<Vec<u8>, Arc<Directory>> = HashMap::new();
    for (path, names) in all {
        let directory = names.with(|name| done.remove(&join(&path, name)));
        if path.is_empty() {
            return directory;
        }
        if !directory.is_empty() {
            done.insert(path, directory);
        }
    }
    Arc::default()
}

impl Names {
    fn of(seen: Vec<Seen>, known: Option<&Arc<Directory>>) -> Self {
        let is_same = |known: &&Arc<Directory>| {
            known.children.len() == seen.len()
                && seen.iter().all(|seen| known.vouch(seen).is_some())
        };
        match known.filter(is_same) {
            Some(known) => Self::Known(Arc::clone(known)),
            None => Self::Seen(seen),
        }
    }

    /// Reads what is not known; `place` is the directory, or the root that is none.
    fn read(
        &mut self,
        place: &Path,
        known: Option<&Arc<Directory>>,
        started: Moment,
    ) -> Result<(), ObserveError> {
        let Self::Seen(seen) = self else { return Ok(()) };
        let look = |seen: Seen| match known.and_then(|known| known.vouch(&seen)) {
            Some(entry) => Ok(Some(Child { entry: entry.clone(), name: seen.name, below: None })),
            None => look(place, seen, started),
        };
        let seen = std::mem::take(seen).into_par_iter().with_min_len(64);
        let children: Result<Vec<_>, _> = seen.map(look).collect();
        *self = Self::New(children?.into_iter().flatten().collect());
        Ok(())
    }

    /// The directory with what is below its directories; the earlier one if nothing is another.
    fn with(self, mut inside: impl FnMut(&[u8]) -> Option<Arc<Directory>>) -> Arc<Directory> {
        let is_directory = |child: &Child| matches!(child.entry.node, Node::Directory);
        match self {
            Self::Seen(_) => Arc::default(),
            Self::New(mut children) => {
                for child in children.iter_mut().filter(|child| is_directory(child)) {
                    child.below = inside(&child.name);
                }
                Arc::new(Directory::new(children))
            }
            Self::Known(known) => {
                let inner = known.children.iter().filter(|child| is_directory(child));
                let inner: Vec<_> = inner.map(|child| inside(&child.name)).collect();
                let old = known.children.iter().filter(|child| is_directory(child));
                let same = |(old, new): (&Child, &Option<Arc<Directory>>)| match (&old.below, new) {
                    (Some(old), Some(new)) => Arc::ptr_eq(old, new),
                    (old, new) => old.is_none() && new.is_none(),
                };
                if old.zip(&inner).all(same) {
                    return known;
                }
                let mut directory = (*known).clone();
                let children = directory.children.iter_mut().filter(|child| is_directory(child));
                for (child, below) in children.zip(inner) {
                    child.below = below;
                }
                Arc::new(directory)
            }
        }
    }
}

impl Directory {
    /// The directory at a path below this one.
    pub(super) fn at<'d>(self: &'d Arc<Self>, path: &[u8]) -> Option<&'d Arc<Self>> {
        let mut at = self;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            at = at.child(name)?.below.as_ref()?;
        }
        Some(at)
    }

    /// What was known of a name that looks as it did.
    fn vouch(&self, seen: &Seen) -> Option<&Entry> {
        let entry = &self.child(&seen.name)?.entry;
        let is_same = entry.settled && entry.mode == seen.mode && entry.stamp == seen.stamp;
        is_same.then_some(entry)
    }
}

/// Reads what a name stands for; nothing if it is gone by now.
fn look(place: &Path, seen: Seen, started: Moment) -> Result<Option<Child>, ObserveError> {
    let full = below(place, &seen.name);
    match node(&full, seen.mode) {
        Ok(node) => {
            let settled = is_settled(seen.stamp.ctime, started);
            let entry = Entry { mode: seen.mode, node, stamp: seen.stamp, settled };
            Ok(Some(Child { name: seen.name, entry, below: None }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ObserveError { path: full, source }),
    }
}

/// What a name stands for. A path that is too long to be opened is nobody's input, but it is there.
fn node(path: &Path, mode: u32) -> io::Result<Node> {
    match look_into(path, mode) {
        Err(error) if error.raw_os_error() == Some(libc::ENAMETOOLONG) => Ok(Node::Unreadable),
        other => other,
    }
}

fn look_into(path: &Path, mode: u32) -> io::Result<Node> {
    match FileType::from_raw_mode(mode) {
        FileType::RegularFile => match Digest::of_file(path) {
            Ok(digest) => Ok(Node::File(digest)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Node::Unreadable),
            Err(error) => Err(error),
        },
        FileType::Symlink => {
            Ok(Node::Symlink(std::fs::read_link(path)?.into_os_string().into_vec()))
        }
        FileType::Directory => Ok(Node::Directory),
        _ => Ok(Node::Special),
    }
}

/// Whether a file with this change time cannot have been written to unseen since `started`.
pub(crate) fn is_settled(ctime: Moment, started: Moment) -> bool {
    ctime + if ctime.is_whole() { COARSE_GRAIN } else { GRAIN } < started
}
