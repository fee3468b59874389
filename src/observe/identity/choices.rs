//! What a user chooses of which builds depend on: packages, fidelity, and what is kept warm.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

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
    /// What the command line names it by.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Go => "go",
            Self::Ccache => "ccache",
        }
    }
}
