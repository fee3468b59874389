//! The listing of a snapshot against a manifest: pure. Each name has to be one of the manifest's, in the place
//! where it belongs, and all of those have to come (decision 63).

use std::collections::HashMap;

use super::engine::{Node, NodeKind};
use super::manifest::{PushEntry, What};

/// What is still expected of a listing.
pub(super) struct Listing<'m> {
    expected: HashMap<&'m str, &'m PushEntry>,
    /// By inode as the listing has it: the manifest's number, or the path of a file with one name.
    inodes: HashMap<u64, Owner<'m>>,
    links: HashMap<u32, u64>,
}

/// Whose an inode is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner<'m> {
    One(&'m str),
    Link(u32),
}

impl<'m> Listing<'m> {
    /// Of what a manifest holds.
    pub(super) fn of(entries: &'m [PushEntry]) -> Self {
        let expected = entries.iter().map(|entry| (entry.path.as_str(), entry)).collect();
        Self { expected, inodes: HashMap::new(), links: HashMap::new() }
    }

    /// Takes a name; why it cannot be one of the manifest's otherwise.
    pub(super) fn take(&mut self, node: &Node) -> Result<(), String> {
        let shown = node.path.escape_debug().to_string();
        let refuse = |why: &str| Err(format!("{shown} {why}"));
        // The path is what the repository's program makes of the names; the names are what it would write.
        if matches!(node.name.as_str(), "" | "." | "..") || node.name.contains(['/', '\0']) {
            return Err(format!(
                "{shown} has the name {}, which leads out of the directory",
                node.name.escape_debug()
            ));
        }
        let Some(path) = node.path.strip_prefix('/') else { return refuse("is not a path of it") };
        if path.rsplit('/').next() != Some(&node.name) {
            return refuse("is not where its name is");
        }
        let Some(entry) = self.expected.remove(path) else {
            return refuse("is in the snapshot, and not in the manifest, or twice");
        };
        let is_kind = matches!(
            (&entry.what, node.kind),
            (What::Directory, NodeKind::Directory)
                | (What::Symlink(_), NodeKind::Symlink)
                | (What::File { .. }, NodeKind::File)
        );
        if !is_kind {
            return Err(format!(
                "{shown} is a {} in the snapshot, and not in the manifest",
                node.word
            ));
        }
        if node.kind == NodeKind::Symlink {
            return Ok(());
        }
        if node.mode != entry.mode {
            return Err(format!(
                "{shown} has mode {:o} in the snapshot, {:o} in the manifest",
                node.mode, entry.mode
            ));
        }
        let What::File { size, link, .. } = entry.what else { return Ok(()) };
        if node.size != size {
            return Err(format!(
                "{shown} has {} bytes in the snapshot, {size} in the manifest",
                node.size
            ));
        }
        if self.is_linked_otherwise(node.inode, link, &entry.path) {
            return refuse("is linked to another file");
        }
        Ok(())
    }

    /// Whether all names of one inode in the listing are those of one in the manifest.
    fn is_linked_otherwise(&mut self, inode: u64, link: u32, path: &'m str) -> bool {
        let owner = if link == 0 { Owner::One(path) } else { Owner::Link(link) };
        let is_others = *self.inodes.entry(inode).or_insert(owner) != owner;
        is_others || (link > 0 && *self.links.entry(link).or_insert(inode) != inode)
    }

    /// Whether all names came.
    pub(super) fn finish(self) -> Result<(), String> {
        let mut left: Vec<&str> = self.expected.into_keys().collect();
        left.sort_unstable();
        match left.first() {
            None => Ok(()),
            Some(first) => {
                Err(format!("{} is in the manifest, and not in the snapshot", first.escape_debug()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Digest;
    use crate::base::moment::Moment;

    fn entry(path: &str, link: u32) -> PushEntry {
        let what = What::File { size: 3, digest: Digest::of(b"abc"), link };
        PushEntry { path: path.to_owned(), mode: 0o644, mtime: Moment(0), what }
    }

    fn node(path: &str, inode: u64) -> Node {
        let name = path.rsplit('/').next().unwrap().to_owned();
        let (path, word) = (path.to_owned(), "file".to_owned());
        Node { name, path, kind: NodeKind::File, word, mode: 0o644, size: 3, inode }
    }

    type Change = fn(&mut Vec<Node>);

    #[test]
    fn the_same_names_are_accepted_and_no_others() {
        let entries = [entry("a", 0), entry("b", 1), entry("c", 1)];
        let check = |nodes: &[Node]| {
            let mut listing = Listing::of(&entries);
            nodes.iter().try_for_each(|node| listing.take(node))?;
            listing.finish()
        };
        let good = || vec![node("/a", 1), node("/b", 2), node("/c", 2)];
        check(&good()).unwrap();
        let changes: [(&str, Change); 11] = [
            ("more", |nodes| nodes.push(node("/d", 9))),
            ("fewer", |nodes| drop(nodes.pop())),
            ("twice", |nodes| nodes.push(node("/a", 1))),
            ("another kind", |nodes| nodes[0].kind = NodeKind::Other),
            ("a directory", |nodes| nodes[0].kind = NodeKind::Directory),
            ("another size", |nodes| nodes[0].size = 4),
            ("setuid", |nodes| nodes[0].mode = 0o4644),
            ("upwards", |nodes| nodes[0] = Node { name: "..".to_owned(), ..node("/a", 1) }),
            ("elsewhere", |nodes| nodes[0] = Node { name: "x/a".to_owned(), ..node("/a", 1) }),
            ("linked", |nodes| nodes[0].inode = 2),
            ("not linked", |nodes| nodes[2].inode = 3),
        ];
        for (what, change) in changes {
            let mut nodes = good();
            change(&mut nodes);
            assert!(check(&nodes).is_err(), "{what}");
        }
    }
}
