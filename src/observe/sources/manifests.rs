//! What the `Cargo.toml` files of a tree say: names of packages, and paths that lead elsewhere.
//!
//! No workspace is resolved. Every path in a manifest is taken, whichever table it stands in
//! (dependencies, `[patch]`, `[lib]`, `build`, `workspace.members`, …): one too many is looked at
//! in vain, one too few would hide a change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::paths;
use crate::base::digest::Digest;
use crate::base::regular;
use crate::base::tree::{Node, Tree};

/// Keys whose text is a path, or a list of paths (`cargo-util-schemas/src/manifest`, Cargo 1.95).
const PATHS: [&str; 8] = [
    "path",
    "build",
    "workspace",
    "members",
    "default-members",
    "readme",
    "license-file",
    "directory",
];

/// Tables that concern other packages than that of the manifest (`cargo-util-schemas/src/manifest`, Cargo 1.95).
const FOR_OTHERS: [&str; 5] = ["cargo-features", "patch", "profile", "replace", "workspace"];

/// What one manifest says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CargoManifest {
    digest: Option<Digest>,
    /// The package's name; a virtual manifest has none.
    pub name: Option<String>,
    /// What it says for other packages too.
    for_others: Option<Digest>,
    /// The paths in it, relative to its own directory.
    #[serde(with = "paths::list")]
    pub links: Vec<PathBuf>,
}

/// The manifests of one tree, by directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifests {
    #[serde(with = "paths::map")]
    by_directory: BTreeMap<PathBuf, CargoManifest>,
}

impl Manifests {
    /// Reads the manifests of a tree at `root`; one that an earlier reading knows is not parsed.
    pub(super) fn read(root: &Path, tree: &Tree, before: Option<&Self>) -> Self {
        let mut by_directory = BTreeMap::new();
        for (path, entry) in tree.select(|name, _| name == b"Cargo.toml") {
            let Node::File(digest) = &entry.node else {
                continue;
            };
            let directory = path.parent().unwrap_or(Path::new(""));
            let known = before.and_then(|before| before.by_directory.get(directory));
            let manifest = match known.filter(|known| known.digest == Some(*digest)) {
                Some(known) => known.clone(),
                None => CargoManifest::read(&root.join(&path), *digest),
            };
            by_directory.insert(directory.to_owned(), manifest);
        }
        Self { by_directory }
    }

    /// Whether the manifest of a directory says the same for other packages as in another reading; one that is not
    /// there says nothing for them.
    pub(super) fn same_for_others(&self, other: &Self, directory: &Path) -> bool {
        let says =
            |all: &Self| all.by_directory.get(directory).and_then(|manifest| manifest.for_others);
        says(self) == says(other)
    }

    /// All of them, with their directories relative to the root.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, &CargoManifest)> {
        self.by_directory.iter().map(|(path, manifest)| (path.as_path(), manifest))
    }
}

impl CargoManifest {
    /// Reads a manifest. One that Cargo will refuse says nothing: Cargo's own message counts.
    fn read(path: &Path, digest: Digest) -> Self {
        let text = regular::text(path).unwrap_or_default();
        let mut manifest = Self::parse(&text);
        manifest.digest = Some(digest);
        manifest
    }

    /// What the text of a manifest says.
    pub(super) fn parse(text: &str) -> Self {
        let table = text.parse::<toml::Table>().unwrap_or_default();
        let name = table.get("package").or(table.get("project"));
        let name = name.and_then(|package| package.get("name")?.as_str()).map(str::to_owned);
        let mut links = Vec::new();
        gather(&table, &mut links);
        Self { digest: None, name, for_others: for_others(&table), links }
    }
}

fn for_others(table: &toml::Table) -> Option<Digest> {
    let tables = table.iter().filter(|(name, _)| FOR_OTHERS.contains(&name.as_str()));
    let tables: toml::Table = tables.map(|(name, table)| (name.clone(), table.clone())).collect();
    (!tables.is_empty()).then(|| Digest::of(tables.to_string().as_bytes()))
}

fn gather(table: &toml::Table, links: &mut Vec<PathBuf>) {
    for (key, value) in table {
        let is_path = PATHS.contains(&key.as_str());
        match value {
            toml::Value::Table(inner) => gather(inner, links),
            toml::Value::String(text) if is_path => links.push(before_pattern(text)),
            toml::Value::Array(items) => {
                for item in items {
                    match item {
                        toml::Value::Table(inner) => gather(inner, links),
                        toml::Value::String(text) if is_path => links.push(before_pattern(text)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// The part of a pattern such as `../crates/*` before the first wildcard.
fn before_pattern(text: &str) -> PathBuf {
    let is_plain = |part: &&str| !part.contains(['*', '?', '[']);
    let plain: Vec<_> = text.split('/').take_while(is_plain).collect();
    PathBuf::from(plain.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_searched_for_paths() {
        let manifest = CargoManifest::parse(
            r#"
            [package]
            name = "a"
            build = "../b.rs"
            [dependencies]
            x = { path = "../x" }
            [target.'cfg(unix)'.dev-dependencies.y]
            path = "/abs/y"
            [patch.crates-io]
            z = { path = "../../z" }
            [[bin]]
            name = "q"
            path = "../q.rs"
            [workspace]
            members = ["m", "../more/*"]
            "#,
        );
        assert_eq!(manifest.name.as_deref(), Some("a"));
        let mut links: Vec<_> = manifest.links.iter().map(|path| path.to_str().unwrap()).collect();
        links.sort_unstable();
        assert_eq!(links, ["../../z", "../b.rs", "../more", "../q.rs", "../x", "/abs/y", "m"]);
    }

    #[test]
    fn what_concerns_others_is_told_from_what_is_the_packages_own() {
        let reading = |text: &str| {
            let manifest = CargoManifest::parse(text);
            Manifests { by_directory: BTreeMap::from([(PathBuf::new(), manifest)]) }
        };
        let base =
            reading("[package]\nname = 'a'\nversion = '1.0.0'\n[profile.release]\nlto = true");
        let same = |text: &str| base.same_for_others(&reading(text), Path::new(""));
        assert!(same("[package]\nname = 'a'\nversion = '1.0.1'\n[profile.release]\nlto = true"));
        assert!(same("[profile.release]\nlto = true\n[dependencies]\nb = '1'"));
        assert!(!same("[package]\nname = 'a'\nversion = '1.0.0'"));
        assert!(!same("[profile.release]\nlto = true\n[workspace]"));
        assert!(!base.same_for_others(&Manifests::default(), Path::new("")));
    }

    #[test]
    fn a_broken_manifest_says_nothing() {
        assert_eq!(CargoManifest::parse("[package\nname ="), CargoManifest::default());
    }
}
