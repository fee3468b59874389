//! What goes from a store, and why: pure, from what was observed to a plan.
//!
//! In this order, each step on what the ones before leave:
//!
//! 1. what is in the trash, and directories that cannot be used;
//! 2. directories that were not used for `max-age`;
//! 3. of each project those beyond the `keep` that were used last;
//! 4. dead units inside of directories: what the last `keep-units` successful uses did not need,
//!    and the oldest of what the last one did not need while it is more than a fifth of the rest;
//! 5. of each project over its `max-size`, whole directories;
//! 6. whole directories, until the store's `max-size` and `min-free` hold;
//! 7. the shared downloads, if they still do not (decision 36).
//!
//! Whole directories go strictly least recently used first: none is passed over because it is large
//! or small. Never: what is in use, pinned, or was used within `grace`. A last use in the future
//! tells of a clock that was set back; it counts as the newest, but gives no grace for longer than
//! the grace itself.

mod limits;
mod plan;
mod words;

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::base::names::{ProjectName, ToolchainId};
use crate::base::quantity::{ByteSize, Span, Usage};

pub(crate) use limits::{DEFAULT_MIN_FREE, Limits, Policy};
pub(crate) use plan::plan;

/// Units of a directory that no later use needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unused {
    /// The number of the last successful use that needed them; 0 for none.
    pub since: u64,
    pub size: u64,
    pub inodes: u64,
}

/// A target directory as its record shows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub project: ProjectName,
    pub toolchain: ToolchainId,
    /// Why it cannot be used, if so.
    pub broken: Option<String>,
    pub usage: Usage,
    /// When it was last used, or made.
    pub last_use: SystemTime,
    /// How many of its uses succeeded.
    pub successes: u64,
    /// What its last successful use did not need.
    pub unused: Vec<Unused>,
    /// Whether somebody uses it now.
    pub in_use: bool,
    /// Whether it is pinned by itself.
    pub pinned: bool,
}

/// A store as it was observed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StoreView {
    pub candidates: Vec<Candidate>,
    /// What is in the trash, as far as it is known without looking at every file.
    pub trash: Usage,
    /// How many things are in the trash.
    pub trashed: u64,
    pub downloads: Usage,
    /// Whether a build uses the shared downloads now.
    pub downloads_in_use: bool,
}

impl StoreView {
    /// What everything takes.
    pub(crate) fn usage(&self) -> Usage {
        let all = self.candidates.iter().map(|candidate| candidate.usage);
        all.fold(self.trash.plus(self.downloads), Usage::plus)
    }

    /// The same store, of which nothing may go.
    #[must_use]
    pub(crate) fn held(&self) -> Self {
        let mut held = self.clone();
        held.candidates.iter_mut().for_each(|candidate| candidate.in_use = true);
        held.downloads_in_use = true;
        held
    }
}

/// A filesystem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Disk {
    /// All of it; 0 inodes where the filesystem does not count them.
    pub total: Usage,
    /// What a user who is not root may still take.
    pub free: Usage,
}

/// How far a budget that does not hold is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Headroom {
    /// Until it holds: what somebody asks for.
    Exact,
    /// Until a twentieth of it is to spare: what a build does by itself, so that not every build after
    /// it has to do it again.
    Spare,
}

/// What goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(crate) enum What {
    /// Everything in the trash.
    Trash { count: u64 },
    /// A whole target directory.
    Directory { project: ProjectName, toolchain: ToolchainId },
    /// Units of a target directory.
    Units {
        project: ProjectName,
        toolchain: ToolchainId,
        /// Those go that no successful use after this one needed.
        until: u64,
    },
    /// The shared downloads.
    Downloads,
}

/// Why something goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub(crate) enum Why {
    /// It was already set aside.
    Trash,
    /// The directory cannot be used.
    Broken { problem: String },
    /// It was not used for longer than `max-age`.
    Age {
        /// Seconds since the last use.
        unused_seconds: u64,
        /// Seconds of `max-age`.
        max_age_seconds: u64,
    },
    /// So many others of the project were used later.
    Keep {
        /// `keep`
        keep: usize,
    },
    /// No recent build needed it.
    Dead {
        /// So many successful builds did not.
        builds: u64,
    },
    /// The project takes more than its `max-size`; least recently used.
    ProjectSize {
        /// `max-size`
        max_size: ByteSize,
    },
    /// The store takes more than `max-size`; least recently used.
    MaxSize {
        /// `max-size`
        max_size: ByteSize,
    },
    /// Less than `min-free` is free; least recently used.
    MinFree {
        /// `min-free` in bytes
        min_free: ByteSize,
    },
    /// Fewer inodes than `min-free` are free; least recently used.
    MinFreeInodes {
        /// `min-free` in inodes
        min_free: u64,
    },
}

/// One thing that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    #[serde(flatten)]
    pub what: What,
    #[serde(flatten)]
    pub why: Why,
    /// What it frees, as recorded.
    pub frees: Usage,
}

/// A budget that does not hold although nothing more may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "budget", rename_all = "kebab-case")]
pub(crate) enum Unmet {
    /// A project's `max-size`. Exit code 3 from `gc`, none from `run`.
    #[error(
        "{project} takes {size} of max-size {max_size}, and what is left is in use, pinned or within grace; wait, unpin something, or raise it in larder.toml"
    )]
    ProjectSize {
        project: ProjectName,
        size: ByteSize,
        /// `max-size`
        max_size: ByteSize,
    },
    /// The store's `max-size`. Exit code 3 from `gc`, none from `run`.
    #[error(
        "the store takes {size} of max-size {max_size}, and what is left is in use, pinned or within grace; wait, unpin something, or raise it in larder.toml"
    )]
    MaxSize {
        size: ByteSize,
        /// `max-size`
        max_size: ByteSize,
    },
    /// `min-free`, of the bytes. Exit code 3 from `gc`, none from `run`.
    #[error(
        "{free} are free of min-free {min_free}, and what is left is in use, pinned, within grace or not larder's; free something else, move the store, or lower it in larder.toml"
    )]
    MinFree {
        free: ByteSize,
        /// `min-free` in bytes
        min_free: ByteSize,
    },
    /// `min-free`, of the inodes. Exit code 3 from `gc`, none from `run`.
    #[error(
        "{free} inodes are free of min-free {min_free}, and what is left is in use, pinned, within grace or not larder's; free something else, move the store, or lower it in larder.toml"
    )]
    MinFreeInodes {
        free: u64,
        /// `min-free` in inodes
        min_free: u64,
    },
}

/// A budget in which not even one build of a project fits. Exit code 0: a warning, but FAILED in
/// `larder doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error(
    "{budget} {max_size} is less than one build of {project} ({build}), which will always be cold; allow at least {enough} in larder.toml",
    budget = words::budget(project, *own), enough = build.twice()
)]
pub(crate) struct TooSmall {
    pub project: ProjectName,
    /// What its largest directory takes.
    pub build: ByteSize,
    pub max_size: ByteSize,
    /// Whether it is the project's own budget, or the store's.
    pub own: bool,
}

/// What goes, what is then left, and which budgets do not hold even so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Plan {
    pub steps: Vec<Step>,
    /// What the store takes now.
    pub before: Usage,
    /// What it takes afterwards.
    pub after: Usage,
    /// What is free afterwards.
    pub free_after: Usage,
    /// Budgets that do not hold afterwards.
    pub unmet: Vec<Unmet>,
    /// Budgets that are smaller than one build.
    pub too_small: Vec<TooSmall>,
}

impl Candidate {
    /// How long it was not used; nothing if the last use is in the future.
    pub(crate) fn age(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(self.last_use).ok()
    }

    /// Whether it was used so recently, by a clock that may have been set since.
    pub(crate) fn within(&self, grace: Span, now: SystemTime) -> bool {
        let distance =
            self.age(now).unwrap_or_else(|| self.last_use.duration_since(now).unwrap_or_default());
        distance < grace.0
    }
}
