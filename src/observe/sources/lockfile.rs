//! `Cargo.lock`, versions 1 to 4: which packages there are, and what depends on what.
//!
//! The form of an entry is that of Cargo 1.95, `core/resolver/encode.rs`: a dependency is
//! `name`, `name version` or `name version (source)`, as short as is unambiguous. A package
//! without `source` is local: a member of the workspace or a path dependency.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The packages of a `Cargo.lock`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lockfile {
    /// All of them, as the file has them.
    #[serde(rename = "package", default)]
    pub packages: Vec<Package>,
}

/// One package of a `Cargo.lock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Package {
    pub name: String,
    pub version: String,
    /// Where it comes from; nothing for a local one.
    #[serde(default)]
    pub source: Option<String>,
    /// The SHA-256 of its `.crate`, for one from a registry.
    #[serde(default)]
    pub checksum: Option<String>,
    /// What it depends on, as the file writes it.
    #[serde(default)]
    pub dependencies: Vec<String>,
}

impl Package {
    /// What its content follows from: the checksum, or the commit at the end of its source.
    pub(crate) fn sum(&self) -> Option<&str> {
        let commit = || self.source.as_deref()?.strip_prefix("git+")?.rsplit_once('#');
        self.checksum.as_deref().or_else(|| commit().map(|(_, commit)| commit))
    }

    /// What Cargo calls the repository that it is from, in small letters, if it is from one: the last part of the address
    /// (`sources/git/source.rs`, `ident`, Cargo 1.95).
    pub(crate) fn repository(&self) -> Option<String> {
        let address = self.source.as_deref()?.strip_prefix("git+")?;
        let address = address.split(['?', '#']).next()?.trim_end_matches('/').to_lowercase();
        let name = address.rsplit('/').next()?;
        Some(name.strip_suffix(".git").unwrap_or(name).to_owned())
    }

    /// `name version`.
    pub(crate) fn id(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

impl Lockfile {
    /// The packages in the text of a `Cargo.lock`.
    pub(crate) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The packages of the workspace and the path dependencies.
    pub(crate) fn local(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.source.is_none())
    }

    /// All packages, by `name version`, that depend on any of the given ones, these included.
    pub(crate) fn dependents_closure(&self, ids: &BTreeSet<String>) -> BTreeSet<String> {
        let dependents = self.dependents();
        let mut closure = ids.clone();
        let mut open: Vec<String> = ids.iter().cloned().collect();
        while let Some(id) = open.pop() {
            for dependent in dependents.get(&id).into_iter().flatten() {
                if closure.insert(dependent.clone()) {
                    open.push(dependent.clone());
                }
            }
        }
        closure
    }

    /// The names of everything that a package depends on, itself included, of all versions.
    pub(crate) fn dependencies_closure(&self, name: &str) -> BTreeSet<String> {
        let mut closure = BTreeSet::from([name.to_owned()]);
        let mut open = vec![name.to_owned()];
        while let Some(name) = open.pop() {
            let packages = self.packages.iter().filter(|package| package.name == name);
            for entry in packages.flat_map(|package| &package.dependencies) {
                let dependency = entry.split(' ').next().unwrap_or_default().to_owned();
                if closure.insert(dependency.clone()) {
                    open.push(dependency);
                }
            }
        }
        closure
    }

    /// What depends directly on each package. An entry without a version stands for every
    /// version of that name.
    fn dependents(&self) -> BTreeMap<String, Vec<String>> {
        let mut versions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for package in &self.packages {
            versions.entry(&package.name).or_default().push(package.id());
        }
        let mut dependents: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for package in &self.packages {
            for entry in &package.dependencies {
                let mut words = entry.split(' ');
                let name = words.next().unwrap_or_default();
                let named = match words.next() {
                    Some(version) => vec![format!("{name} {version}")],
                    None => versions.get(name).cloned().unwrap_or_default(),
                };
                for id in named {
                    dependents.entry(id).or_default().push(package.id());
                }
            }
        }
        dependents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = r#"
        version = 4
        [[package]]
        name = "app"
        version = "0.1.0"
        dependencies = ["a 1.0.0", "a 2.0.0 (registry+x)", "c"]
        [[package]]
        name = "a"
        version = "1.0.0"
        source = "registry+x"
        [[package]]
        name = "a"
        version = "2.0.0"
        source = "registry+x"
        dependencies = ["b"]
        [[package]]
        name = "b"
        version = "1.0.0"
        source = "git+https://x?branch=y#0123456789"
        [[package]]
        name = "c"
        version = "1.0.0"
    "#;

    fn ids(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn local_packages_have_no_source() {
        let lock = Lockfile::parse(NEW).unwrap();
        let names: Vec<_> = lock.local().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["app", "c"]);
    }

    #[test]
    fn dependents_are_found_through_versions() {
        let lock = Lockfile::parse(NEW).unwrap();
        let closure = lock.dependents_closure(&ids(&["b 1.0.0"]));
        assert_eq!(closure, ids(&["b 1.0.0", "a 2.0.0", "app 0.1.0"]));
        assert_eq!(lock.dependents_closure(&ids(&["a 1.0.0"])), ids(&["a 1.0.0", "app 0.1.0"]));
    }

    #[test]
    fn the_oldest_form_is_read() {
        let old = "[root]\nname = \"r\"\nversion = \"0.1.0\"\n[[package]]\nname = \"x\"\nversion = \"1.0.0\"\nsource = \"registry+y\"\n[metadata]\n\"checksum x 1.0.0 (registry+y)\" = \"00\"\n";
        assert_eq!(Lockfile::parse(old).unwrap().packages.len(), 1);
        assert!(Lockfile::parse("").unwrap().packages.is_empty());
        assert!(Lockfile::parse("[[package]]\nname = 1").is_err());
    }
}
