//! What can go wrong with sharing; none of it is a reason for a build to fail.

use std::path::PathBuf;
use std::time::Duration;

use crate::base::atomic::RecordError;
use crate::base::path_error::PathError;
use crate::base::program::ProgramError;
use crate::base::tree::ObserveError;
use crate::observe::identity::CanonicalError;
use crate::store::evict::EvictError;
use crate::store::{LockError, OpenError, StoreError};
use crate::work::situation::LookError;

/// Something that was not pushed or pulled.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// There is no `[share]`.
    #[error("sharing is not configured in {}; docs/sharing.md says how", policy.display())]
    NotConfigured {
        /// The store's policy file.
        policy: PathBuf,
    },
    /// An identity cannot be written down.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// `[share]` lacks a key.
    #[error("[share] in {} has no {key}, without which nothing can be {without}; docs/sharing.md says how to get one", policy.display())]
    Lacks {
        key: &'static str,
        /// What it is needed for.
        without: &'static str,
        /// The store's policy file.
        policy: PathBuf,
    },
    /// A program is not there.
    #[error("cannot find {program}; install Debian's package {package}, or put it into PATH")]
    NoProgram { program: String, package: &'static str },
    /// restic is too old, or says nothing that is understood.
    #[error("restic {found} cannot be used: it has to be 0.17 or newer; Debian 13 has it")]
    OldRestic { found: String },
    /// A program took too long.
    #[error("gave up {doing} after {}: {program} got no answer, or there is too much to do; [share] timeout limits it", humantime::format_duration(*limit))]
    Stalled {
        program: String,
        /// What it was doing.
        doing: String,
        /// How long was waited.
        limit: Duration,
    },
    /// A program failed.
    #[error(
        "{program} failed {doing}: {why}; `larder share status` shows whether the repository answers"
    )]
    Failed {
        program: String,
        /// What it was doing.
        doing: String,
        why: String,
    },
    /// The repository is not there.
    #[error(
        "no repository at {repository}; make one with `larder share init`, where that may be done"
    )]
    NoRepository {
        /// Where, without what is secret.
        repository: String,
    },
    /// Somebody has the repository alone.
    #[error("the repository is locked: {why}; try again later, `larder share status` says by whom")]
    Locked { why: String },
    /// There is nothing of this scope.
    #[error("nothing of it is in the repository; `larder push` after a build puts it there")]
    Nothing,
    /// What is there is not accepted. Nothing of it reached a target directory.
    #[error(
        "refused {what}: {why}; nothing of it was used, `larder share status` says who pushed what"
    )]
    Refused { what: String, why: String },
    /// Cargo works there.
    #[error("a cargo that larder did not start builds in {}; try again later", .0.display())]
    Busy(PathBuf),
    /// A directory that may not be pushed.
    #[error("not pushed: {0}")]
    NotPushable(String),
    /// The system refused.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A tree or a layout.
    #[error(transparent)]
    Look(#[from] LookError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Something could not be removed.
    #[error(transparent)]
    Evict(#[from] EvictError),
    /// A directory could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Something that has its own words.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<ObserveError> for ShareError {
    fn from(error: ObserveError) -> Self {
        Self::Look(error.into())
    }
}

impl From<ProgramError> for ShareError {
    fn from(error: ProgramError) -> Self {
        match error {
            ProgramError::Missing { program } => {
                let package = if program == "restic" { "restic" } else { "openssh-client" };
                Self::NoProgram { program, package }
            }
            ProgramError::Failed { program, doing, why } => Self::Failed { program, doing, why },
            ProgramError::Stalled { program, doing, limit } => {
                Self::Stalled { program, doing, limit }
            }
        }
    }
}

impl ShareError {
    /// What is there is not accepted.
    pub(super) fn refused(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), why: why.into() }
    }
}
