//! What happened in a store: one event for each use, each comparison with a cold build, and each time
//! that anything was collected.
//!
//! It is for people and their graphs: no decision is made by it, and what is lost of it costs no build (decision 49).

mod file;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::base::names::{ProjectName, ToolchainId};
use crate::decide::verdict::Verdict;
use crate::output::{Output, one_line};
use crate::store::{EntryRecord, Outcome, Store, rfc3339};

/// So many reasons of a use are kept, and of a collection so many things that went.
const REASONS: usize = 3;
const THINGS: usize = 40;

/// So many characters of a reason are kept.
const LETTERS: usize = 160;

/// What `larder status` sums up.
pub(crate) const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The same.
pub(crate) const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Happened {
    /// When it was over.
    #[serde(with = "rfc3339")]
    pub at: SystemTime,
    #[serde(flatten)]
    pub event: Event,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event {
    /// A command was run on a target directory.
    Use(UseEvent),
    /// A warm build was compared with a cold one.
    Comparison {
        project: ProjectName,
        toolchain: ToolchainId,
        /// What came of it.
        verdict: Verdict,
    },
    /// Something was collected, or should have been.
    Collection(Collection),
    /// A directory was pushed to the repository that machines share.
    Push(Transfer),
    /// One was pulled from there.
    Pull(Transfer),
}

/// A command that was run on a target directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct UseEvent {
    pub project: ProjectName,
    pub toolchain: ToolchainId,
    /// What compiled, in a few words.
    pub summary: String,
    /// Whether it started with an empty directory.
    pub cold: bool,
    /// Whether nothing of the directory could stay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anew: bool,
    /// How the command ended.
    pub outcome: Outcome,
    /// Seconds that the command took.
    pub seconds: f64,
    /// Seconds of the cold build of the same directory, if one succeeded.
    pub cold_seconds: Option<f64>,
    /// Packages that were compiled.
    pub compiled: usize,
    /// Bytes of the directory afterwards.
    pub size: u64,
    /// Why it was cold, or what was rebuilt: the first reasons, shortened.
    pub why: Vec<String>,
}

/// A collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Collection {
    pub by: Collector,
    /// Bytes that went, as recorded.
    pub freed: u64,
    /// What went: the first things, in order.
    pub gone: Vec<Gone>,
    /// How many more things went.
    pub more: usize,
    /// The budgets that do not hold even so.
    pub unmet: Vec<String>,
}

/// A directory that was pushed or pulled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Transfer {
    pub project: ProjectName,
    pub toolchain: ToolchainId,
    /// The number of the push.
    pub counter: u64,
    /// Who signed it, if another machine did.
    pub signer: Option<String>,
    /// Bytes of the directory.
    pub bytes: u64,
    /// Bytes that were sent, as the repository stores them.
    pub sent: Option<u64>,
    /// How long it took.
    pub seconds: f64,
}

/// Who collects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Collector {
    /// `larder gc`
    Gc,
    /// `larder run`, because a budget did not hold.
    Run,
    /// `larder rm`
    Rm,
}

/// Something that went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gone {
    /// What it was of, if of a project.
    pub project: Option<ProjectName>,
    pub what: String,
    pub why: String,
    pub bytes: u64,
}

impl Event {
    /// Whether anybody would want to read it: not a collection that had nothing to do.
    pub(crate) fn is_worth_a_line(&self) -> bool {
        match self {
            Self::Use(_) | Self::Comparison { .. } | Self::Push(_) | Self::Pull(_) => true,
            Self::Collection(collection) => {
                !collection.gone.is_empty() || !collection.unmet.is_empty()
            }
        }
    }
}

impl UseEvent {
    /// The last use of a directory, once it is over.
    pub(crate) fn of(record: &EntryRecord) -> Option<Self> {
        let last = record.last.as_ref()?;
        let closed = last.closed.as_ref()?;
        Some(Self {
            project: record.project.clone(),
            toolchain: record.toolchain,
            summary: record.summary.clone(),
            cold: last.cold,
            anew: last.remade.is_all(),
            outcome: closed.outcome,
            seconds: closed.seconds,
            cold_seconds: record.cold_seconds,
            compiled: closed.compiled,
            size: record.size,
            why: last.why.iter().take(REASONS).map(|reason| shortened(reason)).collect(),
        })
    }

    /// How warm it was, and that its command failed, if so.
    pub(crate) fn in_words(&self) -> String {
        let temper = temper(self.cold, self.anew);
        match self.outcome {
            Outcome::Succeeded => temper.to_owned(),
            Outcome::Failed(code) => format!("{temper}, failed ({code})"),
        }
    }

    /// Seconds that the kept directory saved, if the command succeeded and it is known.
    pub(crate) fn saved(&self) -> Option<f64> {
        let succeeded = self.outcome == Outcome::Succeeded;
        let cold = self.cold_seconds.filter(|_| succeeded && !self.cold)?;
        Some((cold - self.seconds).max(0.0))
    }
}

/// The first of several things, and how many there are besides; `more` of them are not listed.
pub(crate) fn first_of(things: &[String], more: usize) -> String {
    let more = things.len().saturating_sub(1) + more;
    match things.first() {
        None => String::new(),
        Some(first) if more == 0 => first.clone(),
        Some(first) => format!("{first}, and {more} more"),
    }
}

/// Adds to a store's history. That it cannot be done is said, and stops nothing.
pub(crate) fn remember(store: &Store, event: Event, output: Output) {
    if let Err(error) = store.remember(event) {
        output.warning(&one_line(&error.into()));
    }
}

impl Collection {
    /// What went, and what should have. Nothing if `larder run` had nothing to do; `larder gc` is always told of.
    pub(crate) fn new(by: Collector, mut gone: Vec<Gone>, unmet: Vec<String>) -> Option<Self> {
        if gone.is_empty() && unmet.is_empty() && by != Collector::Gc {
            return None;
        }
        let freed = gone.iter().fold(0u64, |sum, gone| sum.saturating_add(gone.bytes));
        let more = gone.len().saturating_sub(THINGS);
        gone.truncate(THINGS);
        Some(Self { by, freed, gone, more, unmet })
    }
}

/// What a use was that found an empty directory, one of which nothing could stay, or another.
pub(crate) fn temper(cold: bool, anew: bool) -> &'static str {
    match (cold, anew) {
        (true, _) => "cold",
        (false, true) => "all anew",
        (false, false) => "warm",
    }
}

fn shortened(reason: &str) -> String {
    match reason.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason.to_owned(),
    }
}

/// What happened since the store was made, or since its count was lost: unlike the events, it is not
/// cut off at some age, so that it only grows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Totals {
    /// What happened to each project.
    pub projects: BTreeMap<ProjectName, ProjectTotals>,
    /// Bytes that went, by who collected them.
    pub freed: BTreeMap<Collector, u64>,
    /// When `larder gc` was last done, and how many budgets did not hold afterwards.
    pub last_collection: Option<LastCollection>,
}

/// What happened to a project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ProjectTotals {
    /// Uses that started with an empty directory and succeeded.
    pub cold: u64,
    /// Uses that started with an empty directory and failed.
    pub cold_failed: u64,
    /// Uses that found a directory and succeeded.
    pub warm: u64,
    /// Uses that found a directory and failed.
    pub warm_failed: u64,
    /// Seconds that the commands took.
    pub seconds: f64,
    /// Seconds that kept directories saved.
    pub saved_seconds: f64,
    /// Comparisons with a cold build that found the same.
    pub same: u64,
    /// Those that found a stale directory.
    pub stale: u64,
    /// Those that found a project that is not reproducible.
    pub not_reproducible: u64,
}

/// The end of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LastCollection {
    #[serde(with = "rfc3339")]
    pub at: SystemTime,
    /// Budgets that did not hold.
    pub unmet: usize,
}

impl Totals {
    /// Counts something that happened.
    pub(crate) fn add(&mut self, happened: &Happened) {
        match &happened.event {
            Event::Push(_) | Event::Pull(_) => {}
            Event::Use(used) => self.add_use(used),
            Event::Comparison { project, verdict, .. } => {
                let of_project = self.projects.entry(project.clone()).or_default();
                match verdict {
                    Verdict::Same => of_project.same += 1,
                    Verdict::Stale => of_project.stale += 1,
                    Verdict::NotReproducible => of_project.not_reproducible += 1,
                }
            }
            Event::Collection(collection) => {
                let freed = self.freed.entry(collection.by).or_default();
                *freed = freed.saturating_add(collection.freed);
                if collection.by == Collector::Gc {
                    let unmet = collection.unmet.len();
                    self.last_collection = Some(LastCollection { at: happened.at, unmet });
                }
            }
        }
    }

    fn add_use(&mut self, used: &UseEvent) {
        let of_project = self.projects.entry(used.project.clone()).or_default();
        let count = match (used.cold, used.outcome == Outcome::Succeeded) {
            (true, true) => &mut of_project.cold,
            (true, false) => &mut of_project.cold_failed,
            (false, true) => &mut of_project.warm,
            (false, false) => &mut of_project.warm_failed,
        };
        *count += 1;
        of_project.seconds += used.seconds;
        of_project.saved_seconds += used.saved().unwrap_or(0.0);
    }
}

/// What the uses of some time came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Sums {
    pub uses: usize,
    /// Of these, those that started with an empty directory.
    pub cold: usize,
    /// Of these, those whose command failed.
    pub failed: usize,
    /// Seconds that the commands took.
    pub seconds: f64,
    /// Seconds that kept directories saved: those of the cold build less those of the warm one.
    pub saved_seconds: f64,
}

impl Sums {
    /// Counts a use.
    pub(crate) fn add(&mut self, used: &UseEvent) {
        self.uses += 1;
        self.cold += usize::from(used.cold);
        self.failed += usize::from(used.outcome != Outcome::Succeeded);
        self.seconds += used.seconds;
        self.saved_seconds += used.saved().unwrap_or(0.0);
    }
}

/// What the uses since a moment came to, of one project or of all.
pub(crate) fn sums<'a>(
    history: impl IntoIterator<Item = &'a Happened>,
    project: Option<&ProjectName>,
    now: SystemTime,
    within: Duration,
) -> Sums {
    let since = now.checked_sub(within).unwrap_or(SystemTime::UNIX_EPOCH);
    let recent = history.into_iter().filter(|happened| happened.at >= since);
    let uses = recent.filter_map(|happened| match &happened.event {
        Event::Use(used) => Some(used),
        Event::Comparison { .. } | Event::Collection(_) | Event::Push(_) | Event::Pull(_) => None,
    });
    let wanted = uses.filter(|used| project.is_none_or(|project| *project == used.project));
    wanted.fold(Sums::default(), |mut sums, used| {
        sums.add(used);
        sums
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Digest;

    fn used(project: &str, cold: bool, seconds: f64, outcome: Outcome) -> Event {
        Event::Use(UseEvent {
            anew: false,
            project: project.parse().unwrap(),
            toolchain: ToolchainId(Digest::of(b"x")),
            summary: String::new(),
            cold,
            outcome,
            seconds,
            cold_seconds: Some(60.0),
            compiled: 0,
            size: 0,
            why: Vec::new(),
        })
    }

    #[test]
    fn what_was_saved_is_that_of_warm_builds_that_succeeded() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |ago, event| Happened { at: now - Duration::from_secs(ago), event };
        let history = [
            at(9999, used("rye", false, 1.0, Outcome::Succeeded)),
            at(50, used("rye", true, 60.0, Outcome::Succeeded)),
            at(40, used("rye", false, 2.5, Outcome::Succeeded)),
            at(30, used("rye", false, 70.0, Outcome::Succeeded)),
            at(20, used("rye", false, 0.5, Outcome::Failed(101))),
            at(10, used("oat", false, 1.0, Outcome::Succeeded)),
        ];
        let recent = Duration::from_secs(100);
        let all = sums(&history, None, now, recent);
        let wanted = Sums { uses: 5, cold: 1, failed: 1, seconds: 134.0, saved_seconds: 116.5 };
        assert_eq!(all, wanted);
        let rye = "rye".parse().unwrap();
        assert_eq!(sums(&history, Some(&rye), now, recent).uses, 4);
        assert_eq!(sums(&history, Some(&rye), now, Duration::from_secs(100_000)).uses, 5);
    }

    #[test]
    fn reasons_are_cut_between_characters() {
        let long = "ä".repeat(LETTERS + 5);
        assert_eq!(shortened(&long).chars().count(), LETTERS + 1);
        assert_eq!(shortened("short"), "short");
    }
}
