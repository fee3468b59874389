//! What is in a repository.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::Share;
use super::engine::{Engine, FullId, RepositoryLock};
use super::error::ShareError;
use super::scope::OURS;
use super::select::{Opened, by_scope, first_opened};
use crate::base::names::{ProjectName, ToolchainId};
use crate::store::rfc3339;

/// The latest push of a scope that is accepted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ScopeRow {
    pub project: ProjectName,
    pub toolchain: ToolchainId,
    /// Where its sources are.
    pub source: String,
    /// The number of the push.
    pub counter: u64,
    /// The snapshot with the data.
    pub snapshot: FullId,
    pub signer: String,
    /// When it was pushed.
    #[serde(with = "rfc3339")]
    pub created: SystemTime,
    /// Until when it counts.
    #[serde(with = "rfc3339")]
    pub expires: SystemTime,
    /// Names in the directory.
    pub files: u64,
    pub bytes: u64,
    /// How many pushes of the scope there are.
    pub pushes: usize,
}

/// What is in a repository.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Status {
    /// The repository, without what is secret.
    pub repository: String,
    pub id: FullId,
    /// The version of restic.
    pub restic: String,
    /// The latest push of each scope that is accepted.
    pub scopes: Vec<ScopeRow>,
    /// Newer pushes that are not accepted, and scopes of which none is, in words.
    pub refused: Vec<String>,
    /// What all snapshots take.
    pub bytes: u64,
    /// Whether the server only lets add, as far as `larder share gc` has found out here.
    pub append_only: Option<bool>,
    /// Who works in the repository, or was killed while he did.
    pub locks: Vec<RepositoryLock>,
}

fn moment(seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

impl Share<'_> {
    /// Looks at the repository; changes nothing.
    pub(crate) fn status(&self) -> Result<Status, ShareError> {
        let restic = self.engine.version()?;
        let trust = self.trust("judged")?;
        let id = self.engine.repository()?;
        let snapshots = self.engine.snapshots(OURS)?;
        let all: Vec<FullId> = snapshots.iter().map(|snapshot| snapshot.id.clone()).collect();
        let (mut scopes, mut refused) = (Vec::new(), Vec::new());
        for hints in by_scope(&snapshots).into_values() {
            let (accepted, others) = first_opened(&hints, |hint| self.open(hint, &trust, &id))?;
            refused.extend(others.iter().map(ShareError::to_string));
            scopes.extend(accepted.map(|Opened { manifest, .. }| ScopeRow {
                project: manifest.scope.project,
                toolchain: manifest.scope.toolchain,
                source: manifest.scope.source,
                counter: manifest.counter,
                snapshot: manifest.snapshot,
                signer: manifest.signer,
                created: moment(manifest.created),
                expires: moment(manifest.expires),
                files: manifest.files,
                bytes: manifest.bytes,
                pushes: hints.len(),
            }));
        }
        scopes.sort_by(|a, b| (&a.project, b.created).cmp(&(&b.project, a.created)));
        Ok(Status {
            repository: self.repository(),
            id,
            restic,
            scopes,
            refused,
            bytes: self.engine.size(&all)?,
            append_only: self.store.deletes(&self.repository()).map(|deletes| !deletes),
            locks: self.engine.locks()?,
        })
    }
}
