//! What goes from a repository: for the host that owns it, because builders may only add.
//!
//! Of each scope the pushes with the highest counters stay that would still be pulled; then the oldest go until
//! the rest fits. Data that no manifest names are of a push that was cut off, or that is under way.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::Share;
use super::engine::{Engine, FullId, Snapshot};
use super::error::ShareError;
use super::scope::{DATA, OURS};
use super::select::{CANDIDATES, Hint, by_scope};

/// So long a push may take between its data and its manifest.
const UNDER_WAY: Duration = Duration::from_secs(3 * 60 * 60);

/// A push that goes, or the data of none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Forgotten {
    /// The number of the push; nothing for data that no manifest names.
    pub counter: Option<u64>,
    /// The tag of its scope.
    pub scope: Option<String>,
    pub snapshots: Vec<FullId>,
    pub why: String,
}

/// What a collection came to, or would.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Tidied {
    /// The repository, without what is secret.
    pub repository: String,
    /// Whether it was only looked at.
    pub dry_run: bool,
    pub kept: usize,
    pub gone: Vec<Forgotten>,
    /// What all snapshots took.
    pub bytes_before: u64,
    /// What those take that stay.
    pub bytes_after: u64,
    /// How long it took.
    pub seconds: f64,
}

/// A push that stays.
struct Retained {
    hint: Hint,
    created: Option<SystemTime>,
}

impl Share<'_> {
    /// Decides what goes, and removes it unless it is only to be shown.
    pub(crate) fn tidy(&self, dry_run: bool) -> Result<Tidied, ShareError> {
        let started = std::time::Instant::now();
        if !dry_run {
            self.engine.unlock()?;
        }
        let snapshots = self.engine.snapshots(OURS)?;
        let all: Vec<FullId> = snapshots.iter().map(|snapshot| snapshot.id.clone()).collect();
        let bytes_before = self.engine.size(&all)?;
        let (mut kept, mut gone) = self.choose(&snapshots)?;
        let bytes_after = self.fit(&snapshots, &mut kept, &mut gone)?;
        gone.extend(unnamed(&snapshots, &kept, SystemTime::now()));
        let ids: Vec<FullId> = gone.iter().flat_map(|gone| gone.snapshots.clone()).collect();
        if !dry_run && !ids.is_empty() {
            crate::base::fault::point("share.forget");
            self.engine.forget(&ids)?;
            self.look_again(&ids)?;
        }
        if !dry_run {
            crate::base::fault::point("share.prune");
            self.engine.prune()?;
        }
        Ok(Tidied {
            repository: self.repository(),
            dry_run,
            kept: kept.len(),
            gone,
            bytes_before,
            bytes_after,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// A server that only adds says that it forgot, and has not (`--append-only` of restic's REST server).
    fn look_again(&self, gone: &[FullId]) -> Result<(), ShareError> {
        let left: BTreeSet<FullId> =
            self.engine.snapshots(OURS)?.into_iter().map(|snapshot| snapshot.id).collect();
        let count = gone.iter().filter(|id| left.contains(*id)).count();
        self.store.note_whether_deletes(&self.repository(), count == 0)?;
        if count == 0 {
            return Ok(());
        }
        let why = format!(
            "{count} of {} snapshots are still there: the server only lets add (append-only); run it on the host that \
             owns the repository",
            gone.len()
        );
        Err(ShareError::Failed { program: "restic".to_owned(), doing: "removing".to_owned(), why })
    }

    /// The pushes of each scope that stay, and those that go.
    fn choose(
        &self,
        snapshots: &[Snapshot],
    ) -> Result<(Vec<Retained>, Vec<Forgotten>), ShareError> {
        let (mut kept, mut gone) = (Vec::new(), Vec::new());
        let trust = match &self.settings.allowed_signers {
            // Whoever may delete need not know who is believed: then the tags are believed.
            None => None,
            Some(_) => Some((self.trust("judged")?, self.engine.repository()?)),
        };
        for hints in by_scope(snapshots).into_values() {
            let mut left = self.settings.keep;
            for (index, hint) in hints.into_iter().enumerate() {
                let judged = match &trust {
                    _ if left == 0 => Err(format!("{} newer ones stay", self.settings.keep)),
                    None => Ok(None),
                    Some(_) if index >= CANDIDATES => Err("too many were not accepted".to_owned()),
                    Some((trust, repository)) => match self.open(&hint, trust, repository) {
                        Ok(opened) => {
                            let created = Duration::from_secs(opened.manifest.created);
                            Ok(UNIX_EPOCH.checked_add(created))
                        }
                        Err(error @ ShareError::Refused { .. }) => Err(error.to_string()),
                        Err(error) => return Err(error),
                    },
                };
                match judged {
                    Ok(created) => {
                        left -= 1;
                        kept.push(Retained { hint, created });
                    }
                    Err(why) => gone.push(forgotten(&hint, &why)),
                }
            }
        }
        Ok((kept, gone))
    }

    /// Takes the oldest pushes until the rest fits; what that takes.
    fn fit(
        &self,
        snapshots: &[Snapshot],
        kept: &mut Vec<Retained>,
        gone: &mut Vec<Forgotten>,
    ) -> Result<u64, ShareError> {
        let of = |id: &FullId| snapshots.iter().find(|snapshot| snapshot.id == *id);
        let time = |kept: &Retained| {
            kept.created.or_else(|| of(&kept.hint.snapshot).and_then(|snapshot| snapshot.time))
        };
        kept.sort_by_key(time);
        loop {
            let ids = kept.iter().flat_map(|kept| [&kept.hint.snapshot, &kept.hint.data]);
            // Data that are gone take nothing.
            let ids: Vec<FullId> = ids.filter(|id| of(id).is_some()).cloned().collect();
            let bytes = self.engine.size(&ids)?;
            let Some(most) = self.settings.max_size.map(|most| most.0).filter(|most| bytes > *most)
            else {
                return Ok(bytes);
            };
            let mut excess = bytes - most;
            while excess > 0 && !kept.is_empty() {
                let oldest = kept.remove(0);
                let added = of(&oldest.hint.data).map_or(0, |snapshot| snapshot.added);
                gone.push(forgotten(&oldest.hint, "max-size"));
                excess = excess.saturating_sub(added);
            }
        }
    }
}

fn forgotten(hint: &Hint, why: &str) -> Forgotten {
    let snapshots = vec![hint.snapshot.clone()];
    let scope = Some(hint.scope.clone());
    Forgotten { counter: Some(hint.counter), scope, snapshots, why: why.to_owned() }
}

/// Data that no push names which stays, unless one may be under way.
fn unnamed(snapshots: &[Snapshot], kept: &[Retained], now: SystemTime) -> Vec<Forgotten> {
    let named: BTreeSet<&FullId> = kept.iter().map(|kept| &kept.hint.data).collect();
    let hinted: BTreeSet<FullId> =
        snapshots.iter().filter_map(Hint::of).map(|hint| hint.data).collect();
    let is_data = |snapshot: &&Snapshot| snapshot.tags.iter().any(|tag| tag == DATA);
    let may_be_under_way = |snapshot: &Snapshot| {
        let age = snapshot.time.map(|time| now.duration_since(time));
        // What says to be of tomorrow is not.
        let is_recent = match age {
            Some(Ok(age)) => age < UNDER_WAY,
            Some(Err(ahead)) => ahead.duration() < UNDER_WAY,
            None => false,
        };
        is_recent && !hinted.contains(&snapshot.id)
    };
    let goes = snapshots
        .iter()
        .filter(is_data)
        .filter(|snapshot| !named.contains(&snapshot.id) && !may_be_under_way(snapshot));
    goes.map(|snapshot| Forgotten {
        counter: None,
        scope: None,
        snapshots: vec![snapshot.id.clone()],
        why: "no push that stays names these data".to_owned(),
    })
    .collect()
}
