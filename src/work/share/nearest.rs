//! Why nothing fits: in what the latest push of a project differs from what is asked for here.

use std::fmt;
use std::time::Duration;

use super::Share;
use super::engine::Snapshot;
use super::select::{Hint, Looked, Opened, Whose, first_opened};
use crate::base::names::ProjectName;
use crate::observe::identity::compare::{Difference, differences, lines};

/// So many manifests are looked at, the latest ones, as their snapshots say: it is only a hint.
const LOOKED_AT: usize = 3;

/// So long each of them may take.
const LIMIT: Duration = Duration::from_secs(10);

/// So many differences are named.
const NAMED: usize = 3;

/// A push that does not fit here.
struct Nearest {
    counter: u64,
    signer: String,
    differences: Vec<Difference>,
}

impl Share<'_> {
    /// Why nothing of a project fits here, in words.
    pub(crate) fn why_nothing(
        &self,
        looked: &Looked,
        project: &ProjectName,
        whose: Whose<'_>,
    ) -> String {
        match self.nearest(looked, project, whose) {
            Some(nearest) => nearest.to_string(),
            None => "there is no push of it that counts".to_owned(),
        }
    }

    /// The latest push of a project for something else, if there is one that is accepted. Nothing depends on it, so
    /// that whatever goes wrong is nothing.
    fn nearest(&self, looked: &Looked, project: &ProjectName, whose: Whose<'_>) -> Option<Nearest> {
        let trust = self.trust("pulled").ok()?;
        let mut snapshots: Vec<&Snapshot> = looked.snapshots.iter().collect();
        snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.time));
        let hints = snapshots.into_iter().filter_map(Hint::of).take(LOOKED_AT);
        let hints: Vec<Hint> = hints.collect();
        let hasty = self.within(LIMIT);
        let open = |hint: &Hint| hasty.open(hint, &trust, &looked.repository);
        let Opened { manifest, identity: theirs, .. } = first_opened(&hints, open).ok()?.0?;
        if manifest.scope.project != *project {
            return None;
        }
        let differences = match whose {
            Whose::Command(ours) => differences(&theirs, ours),
            Whose::Place(ours) => differences(&theirs.without_command(), ours),
        };
        Some(Nearest { counter: manifest.counter, signer: manifest.signer, differences })
    }
}

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { counter, signer, differences } = self;
        let differences = lines(differences, NAMED).join(", ");
        write!(f, "push {counter} of {signer}, the latest, is of another {differences}")
    }
}
