//! Two observations compared. What they share is passed over.

use std::cmp::Ordering;
use std::path::PathBuf;
use std::sync::Arc;

use super::directory::{Child, Directory};
use super::{Change, ChangeKind, Entry, Node, Tree};

/// Gets each path that is not shared, with the entries of both.
type Visit<'v> = &'v mut dyn FnMut(&[u8], Option<&Entry>, Option<&Entry>);

impl Tree {
    /// What differs in `self` from an `old` observation, in order of path.
    pub fn changes_since(&self, old: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        self.compare(old, &mut |path, new, old| {
            let kind = match (new, old) {
                (Some(_), None) => ChangeKind::Added,
                (None, Some(_)) => ChangeKind::Removed,
                (Some(new), Some(old)) if !new.same_content(old) => ChangeKind::Changed,
                _ => return,
            };
            changes.push(Change { path: to_path(path), kind });
        });
        changes
    }

    /// The number of entries whose stamp another observation of the same content does not have;
    /// `None` if paths, modes, content or modification times differ. Directories' times are left
    /// out: they tell of what is in them.
    pub fn stamps_outdated_in(&self, other: &Self) -> Option<usize> {
        let same_time = |a: &Entry, b: &Entry| {
            a.stamp.mtime == b.stamp.mtime || matches!(a.node, Node::Directory)
        };
        let (mut same, mut outdated) = (true, 0);
        self.compare(other, &mut |_, a, b| {
            same &= a.zip(b).is_some_and(|(a, b)| a.same_content(b) && same_time(a, b));
            outdated += usize::from(
                a.zip(b).is_some_and(|(a, b)| a.stamp != b.stamp || a.settled != b.settled),
            );
        });
        same.then_some(outdated)
    }

    /// The paths at which both have something that a condition holds for, with the older entry.
    /// What both share is passed over: it is the same, stamps and all.
    pub fn pairs(
        &self,
        old: &Self,
        wanted: impl Fn(&Entry, &Entry) -> bool,
    ) -> Vec<(PathBuf, Entry)> {
        let mut found = Vec::new();
        self.compare(old, &mut |path, new, old| {
            if let (Some(new), Some(old)) = (new, old) {
                if wanted(new, old) {
                    found.push((to_path(path), old.clone()));
                }
            }
        });
        found
    }

    /// Files whose content is that of an `old` observation, and whose time that somebody set is another.
    pub fn redated_since(&self, old: &Self) -> Vec<PathBuf> {
        self.pairs(old, Entry::is_redated).into_iter().map(|(path, _)| path).collect()
    }

    /// Files that were there before and have another modification time.
    pub fn moved_since(&self, old: &Self) -> Vec<PathBuf> {
        let moved = |new: &Entry, old: &Entry| {
            new.stamp.mtime != old.stamp.mtime && !matches!(new.node, Node::Directory)
        };
        self.pairs(old, moved).into_iter().map(|(path, _)| path).collect()
    }

    /// Everything that has another stamp than in an older observation, or that is not in it.
    pub fn restamped_since(&self, old: &Self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        self.compare(old, &mut |path, new, old| {
            let is_known = |new: &Entry| old.is_some_and(|old| old.stamp == new.stamp);
            if new.is_some_and(|new| !is_known(new)) {
                found.push(to_path(path));
            }
        });
        found
    }

    fn compare(&self, old: &Self, visit: Visit<'_>) {
        directories(&mut Vec::new(), Some(&self.top), Some(&old.top), visit);
    }
}

fn children(directory: Option<&Arc<Directory>>) -> &[Child] {
    directory.map_or(&[], |directory| &directory.children)
}

fn to_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// Takes the first one away; `split_off_first` of slices is newer than Rust 1.85.
fn first<'c>(children: &mut &'c [Child]) -> Option<&'c Child> {
    let (first, rest) = children.split_first()?;
    *children = rest;
    Some(first)
}

fn below(child: Option<&Child>) -> Option<&Arc<Directory>> {
    child.and_then(|child| child.below.as_ref())
}

fn directories(
    path: &mut Vec<u8>,
    new: Option<&Arc<Directory>>,
    old: Option<&Arc<Directory>>,
    visit: Visit<'_>,
) {
    if new.zip(old).is_some_and(|(new, old)| Arc::ptr_eq(new, old)) {
        return;
    }
    let (mut new, mut old) = (children(new), children(old));
    loop {
        let order = match (new.first(), old.first()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(new), Some(old)) => new.name.cmp(&old.name),
        };
        let a = order.is_le().then(|| first(&mut new)).flatten();
        let b = order.is_ge().then(|| first(&mut old)).flatten();
        let Some(name) = a.or(b).map(|child| &child.name) else { return };
        let length = path.len();
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        visit(path, a.map(|child| &child.entry), b.map(|child| &child.entry));
        directories(path, below(a), below(b), visit);
        path.truncate(length);
    }
}
