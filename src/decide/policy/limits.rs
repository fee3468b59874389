//! What may be kept: the limits of the policy, as they are written and as they are meant.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Disk;
use crate::base::names::ProjectName;
use crate::base::quantity::{Amount, ByteSize, Span, Usage};

/// What holds for one project, or for all of which nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// What the project's directories may take together.
    pub max_size: Option<ByteSize>,
    /// A directory that was not used for so long goes.
    pub max_age: Option<Span>,
    /// So many directories of the project stay, those used last.
    pub keep: Option<usize>,
    /// A directory that was used so recently stays.
    pub grace: Span,
    /// Units that so many successful uses did not need go.
    pub keep_units: u64,
    /// Nothing of the project goes.
    pub pin: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_size: None,
            max_age: None,
            keep: None,
            grace: Span(Duration::from_secs(3600)),
            keep_units: 3,
            pin: false,
        }
    }
}

/// The policy of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// What everything in the store may take together.
    pub max_size: Option<ByteSize>,
    /// What has to be free on the store's filesystem.
    pub min_free: Option<Amount>,
    /// What holds for a project of which nothing else is said; its `max_size` is not used.
    pub general: Limits,
    /// Projects of which something else is said.
    pub projects: BTreeMap<ProjectName, Limits>,
    /// Projects that a flag pins.
    pub pinned: BTreeSet<ProjectName>,
}

/// What has to be free where the policy says nothing.
pub(crate) const DEFAULT_MIN_FREE: Amount = Amount::Share(500);

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_size: None,
            min_free: Some(DEFAULT_MIN_FREE),
            general: Limits::default(),
            projects: BTreeMap::new(),
            pinned: BTreeSet::new(),
        }
    }
}

impl Policy {
    /// Whether anything limits what directories take.
    pub(crate) fn has_sizes(&self) -> bool {
        self.max_size.is_some() || self.projects.values().any(|limits| limits.max_size.is_some())
    }

    /// What has to be free of a filesystem, as far as it counts it.
    pub(crate) fn least_free(&self, disk: &Disk) -> Usage {
        match self.min_free {
            None => Usage::default(),
            Some(Amount::Bytes(size)) => Usage { bytes: size.0, inodes: 0 },
            Some(share) => {
                Usage { bytes: share.of(disk.total.bytes), inodes: share.of(disk.total.inodes) }
            }
        }
    }

    /// Whether `min-free` holds.
    pub(crate) fn is_free_enough(&self, disk: &Disk) -> bool {
        let least = self.least_free(disk);
        disk.free.bytes >= least.bytes && disk.free.inodes >= least.inodes
    }

    /// What holds for a project.
    pub(crate) fn limits(&self, project: &ProjectName) -> Limits {
        let general = Limits { max_size: None, ..self.general };
        let mut limits = self.projects.get(project).copied().unwrap_or(general);
        limits.pin |= self.pinned.contains(project);
        limits
    }
}
