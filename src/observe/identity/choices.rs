//! What a user chooses of which builds depend on: packages, fidelity, and what is kept warm; and what is kept where
//! nobody chose.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::words;

/// Which of the sandbox's packages make a target directory of its own when they change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PackageMode {
    /// Build packages and their dependencies, compilers, and what ships development files
    #[default]
    Build,
    /// All packages
    Sandbox,
}

/// How far a build may be from a cold one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fidelity {
    /// Bit for bit what a cold build gives
    #[default]
    Exact,
    /// What cargo makes of a checkout in which files are edited, with its own blind spots
    Cargo,
}

/// What is kept warm for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CacheKind {
    /// Cargo's target directory and downloads
    Cargo,
    /// Go's build cache and module cache
    Go,
    /// ccache's objects
    Ccache,
}

impl CacheKind {
    /// What is kept of a command where nobody said it: what the sources have manifests for; and what Cargo makes, where
    /// the command names it, because that may find one elsewhere (decision 124).
    pub(crate) fn of_sources(source: &Path, command: &[OsString]) -> BTreeSet<Self> {
        let manifests = [("Cargo.toml", Self::Cargo), ("go.mod", Self::Go)];
        let there = manifests.into_iter().filter(|(name, _)| source.join(name).is_file());
        let named = command.iter().any(|word| words::names_cargo(word.as_bytes()));
        there.map(|(_, kept)| kept).chain(named.then_some(Self::Cargo)).collect()
    }

    /// What the command line names it by.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Go => "go",
            Self::Ccache => "ccache",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_follows_from_the_manifests() {
        let dir = tempfile::tempdir().unwrap();
        let of = |command: &str| {
            let words: Vec<OsString> = command.split(' ').map(OsString::from).collect();
            let kept = CacheKind::of_sources(dir.path(), &words);
            kept.into_iter().map(CacheKind::name).collect::<Vec<_>>().join(" ")
        };
        for command in ["make", "./build.sh --release", "sh -c cargoship", "go build"] {
            assert_eq!(of(command), "", "{command}");
        }
        for command in [
            "cargo build",
            "sh -c cd\tsub;cargo\tbuild",
            "make CARGO=/usr/bin/cargo",
            "x --manifest-path=y",
            "cargo-deb",
        ] {
            assert_eq!(of(command), "cargo", "{command}");
        }
        std::fs::create_dir(dir.path().join("Cargo.toml")).unwrap();
        assert_eq!(of("make"), "", "a directory is no manifest");
        std::fs::write(dir.path().join("go.mod"), "module x\n").unwrap();
        assert_eq!(of("make"), "go");
        assert_eq!(of("cargo build"), "cargo go");
        std::fs::remove_dir(dir.path().join("Cargo.toml")).unwrap();
        std::fs::write(dir.path().join("Cargo.toml"), "").unwrap();
        assert_eq!(of("make"), "cargo go");
    }
}
