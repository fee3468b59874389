//! The names of one directory, sorted, and the directories below it.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Entry, Tree};

/// One directory as it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Directory {
    pub children: Vec<Child>,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Child {
    /// The name; empty only for a root that is no directory.
    pub name: Box<[u8]>,
    pub entry: Entry,
    /// What is in it, if it is a directory that was entered and is not empty.
    pub below: Option<Arc<Directory>>,
}

/// A name with the number of directories above it: how a tree is written down.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    depth: u32,
    #[serde(borrow)]
    name: std::borrow::Cow<'a, [u8]>,
    entry: Entry,
}

impl Directory {
    pub(super) fn new(mut children: Vec<Child>) -> Self {
        children.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Self { children }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    pub(super) fn child(&self, name: &[u8]) -> Option<&Child> {
        let found = self.children.binary_search_by(|child| (*child.name).cmp(name));
        found.ok().map(|index| &self.children[index])
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&Entry> {
        match split(path) {
            (name, None) => Some(&self.child(name)?.entry),
            (name, Some(rest)) => self.child(name)?.below.as_ref()?.get(rest),
        }
    }

    /// Puts an entry at a path; does nothing where its directory is not known.
    pub(super) fn put(this: &mut Arc<Self>, path: &[u8], entry: Entry) {
        let directory = Arc::make_mut(this);
        let (name, rest) = split(path);
        let found = directory.children.binary_search_by(|child| (*child.name).cmp(name));
        match (found, rest) {
            (Ok(index), None) => directory.children[index].entry = entry,
            (Err(index), None) => {
                directory.children.insert(index, Child { name: name.into(), entry, below: None });
            }
            (Ok(index), Some(rest)) => {
                if let Some(below) = &mut directory.children[index].below {
                    Self::put(below, rest, entry);
                }
            }
            (Err(_), Some(_)) => {}
        }
    }

    /// Takes from all entries by what a file is known again on the machine where they were seen. When it came
    /// stays: it says whether its modification time was set on purpose.
    pub(super) fn unsettle(this: &mut Arc<Self>) {
        for child in &mut Arc::make_mut(this).children {
            (child.entry.settled, child.entry.stamp.ino) = (false, 0);
            if let Some(below) = &mut child.below {
                Self::unsettle(below);
            }
        }
    }

    /// Takes away what is at a path, and all below it.
    pub(super) fn remove(this: &mut Arc<Self>, path: &[u8]) {
        let (name, rest) = split(path);
        let found = this.children.binary_search_by(|child| (*child.name).cmp(name));
        let Ok(index) = found else { return };
        let directory = Arc::make_mut(this);
        let Some(rest) = rest else {
            directory.children.remove(index);
            return;
        };
        if let Some(below) = &mut directory.children[index].below {
            Self::remove(below, rest);
            if below.is_empty() {
                directory.children[index].below = None;
            }
        }
    }

    /// The entries that a condition holds for, each directory before what is in it.
    pub(super) fn select(
        &self,
        wanted: impl Fn(&[u8], &Entry) -> bool,
    ) -> impl Iterator<Item = (PathBuf, &Entry)> {
        let mut way = Way::from(self);
        std::iter::from_fn(move || {
            loop {
                let child = way.next()?;
                if wanted(&child.name, &child.entry) {
                    return Some((way.path_of(child), &child.entry));
                }
            }
        })
    }
}

/// The first component of a path, and the rest.
fn split(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'/', path) {
        Some(index) => (&path[..index], Some(&path[index + 1..])),
        None => (path, None),
    }
}

/// A way through a whole tree, in order, without recursion: trees are as deep as paths are long.
struct Way<'t> {
    open: Vec<std::slice::Iter<'t, Child>>,
    /// The names of the open directories, but for the top.
    names: Vec<&'t [u8]>,
    /// What was come to last, if it is to be entered.
    pending: Option<&'t Child>,
}

impl<'t> Way<'t> {
    fn from(top: &'t Directory) -> Self {
        Self { open: vec![top.children.iter()], names: Vec::new(), pending: None }
    }

    /// How many directories are above what was come to last.
    fn depth(&self) -> usize {
        self.names.len()
    }

    fn path_of(&self, child: &Child) -> PathBuf {
        let length = self.names.iter().map(|name| name.len() + 1).sum::<usize>();
        let mut path = Vec::with_capacity(length + child.name.len());
        for name in &self.names {
            path.extend_from_slice(name);
            path.push(b'/');
        }
        path.extend_from_slice(&child.name);
        PathBuf::from(OsString::from_vec(path))
    }
}

impl<'t> Iterator for Way<'t> {
    type Item = &'t Child;

    fn next(&mut self) -> Option<&'t Child> {
        if let Some((child, below)) =
            self.pending.take().and_then(|child| Some((child, child.below.as_ref()?)))
        {
            self.names.push(&child.name);
            self.open.push(below.children.iter());
        }
        loop {
            if let Some(child) = self.open.last_mut()?.next() {
                self.pending = Some(child);
                return Some(child);
            }
            self.open.pop();
            self.names.pop();
        }
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let count = Way::from(&self.top).count();
        let mut lines = serializer.serialize_seq(Some(count))?;
        let mut way = Way::from(&self.top);
        while let Some(child) = way.next() {
            let depth = u32::try_from(way.depth()).unwrap_or(u32::MAX);
            let name = std::borrow::Cow::Borrowed(&*child.name);
            lines.serialize_element(&Line { depth, name, entry: child.entry.clone() })?;
        }
        lines.end()
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Lines)
    }
}

/// No path has more names (`PATH_MAX` of Linux is 4096 bytes).
const DEEPEST: usize = 2048;

/// Builds a tree from its lines.
struct Lines;

impl<'de> Visitor<'de> for Lines {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lines of a tree")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut lines: A) -> Result<Tree, A::Error> {
        // The directories that are open, from the top; each is closed into the one before it.
        let mut open: Vec<Vec<Child>> = vec![Vec::new()];
        while let Some(line) = lines.next_element::<Line<'_>>()? {
            let depth = usize::try_from(line.depth).unwrap_or(usize::MAX);
            if depth > DEEPEST {
                return Err(serde::de::Error::custom("deeper than any path"));
            }
            if depth > open.len() || (depth == open.len() && open[depth - 1].is_empty()) {
                return Err(serde::de::Error::custom("a name without its directory"));
            }
            close(&mut open, depth.saturating_add(1));
            if depth == open.len() {
                open.push(Vec::new());
            }
            let child = Child { name: line.name.into(), entry: line.entry, below: None };
            open[depth].push(child);
        }
        close(&mut open, 1);
        let children = open.pop().unwrap_or_default();
        Ok(Tree { top: Arc::new(Directory { children }) })
    }
}

/// Closes open directories until only so many are left.
fn close(open: &mut Vec<Vec<Child>>, left: usize) {
    while open.len() > left.max(1) {
        let Some(mut children) = open.pop() else { return };
        children.shrink_to_fit();
        if let Some(above) = open.last_mut().and_then(|above| above.last_mut()) {
            above.below = Some(Arc::new(Directory { children }));
        }
    }
}
