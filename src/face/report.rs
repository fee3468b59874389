//! What a store holds, saved, freed and is about to free: as data, and as one page. Pure.
//!
//! The page is made from the data alone, and what the data share with `larder status` is the same
//! value ([`Overview`]). It loads nothing, is complete without its script, and says in words and tables
//! what its drawings show. Only what can be seen is drawn: what is too small, too old or too much is
//! summed up, and the page says so.

mod attention;
mod bars;
mod builds;
mod events;
mod freed;
mod html;
mod map;
mod page;
mod plot;
mod sections;
mod table;
mod tables;
mod treemap;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use self::builds::{Period, Spans, Times};
use self::freed::Reason;
use crate::base::names::ProjectName;
use crate::base::quantity::{ByteSize, Usage};
use crate::decide::policy::{Disk, Plan, Policy};
use crate::face::overview::Overview;
use crate::store::history::{
    Event, Happened, LastCollection, MONTH, ProjectTotals, Sums, Totals, UseEvent, WEEK,
};
use crate::store::rfc3339;

/// So many weeks of build times are told of, and so many months of what was saved.
const WEEKS: u32 = 13;
const MONTHS: u32 = 12;

/// Where the figures come from.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// What the store holds.
    pub overview: Overview,
    pub policy: Policy,
    /// What would go now.
    pub plan: Plan,
    pub history: Vec<Happened>,
    /// What that adds up to, also what is no longer in the history.
    pub totals: Totals,
    /// When all this was so.
    pub now: SystemTime,
}

/// A moment, as reports have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Moment(#[serde(with = "rfc3339")] pub SystemTime);

/// What is told of a store.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Data {
    /// What `larder status` says.
    #[serde(flatten)]
    pub overview: Overview,
    pub made: Moment,
    pub version: &'static str,
    pub filesystem: Disk,
    /// What has to be free of it.
    pub min_free: Usage,
    /// What should be looked at, in words.
    pub attention: Vec<String>,
    /// What each project takes, did and saved; the largest first.
    pub projects: Vec<ProjectFigures>,
    /// Since when anything is known of what happened.
    pub since: Option<Moment>,
    /// What each week came to, counted back from now.
    pub weeks: Vec<Period>,
    /// The same of 30 days each.
    pub months: Vec<Period>,
    /// What is about to go: what `larder gc --dry-run` says.
    pub plan: Plan,
    pub freed: Vec<Reason>,
    /// The collections that are known.
    pub collections: Vec<Happened>,
    /// The comparisons with cold builds that are known.
    pub comparisons: Vec<Happened>,
    /// The last `larder gc`.
    pub last_collection: Option<LastCollection>,
}

/// What a project takes, did and saved.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ProjectFigures {
    pub project: ProjectName,
    pub directories: usize,
    /// What they take, as recorded.
    pub size: u64,
    /// What they may take.
    pub max_size: Option<ByteSize>,
    /// Seconds for which one may stay unused.
    pub max_age_seconds: Option<u64>,
    /// How many of them stay.
    pub keep: Option<usize>,
    /// Whether the policy lets nothing of it go.
    pub pinned: bool,
    /// Comparisons with a cold build that found the same, since the store was made.
    pub same: u64,
    /// Those that found a stale directory.
    pub stale: u64,
    /// Those that found a project that is not reproducible.
    pub not_reproducible: u64,
    /// What its uses of the weeks that are told of came to.
    pub uses: Sums,
    /// How long its builds of each day took.
    pub days: Vec<Times>,
    /// The same of each week.
    pub weeks: Vec<Times>,
}

impl Data {
    /// Sums up.
    pub(crate) fn new(sources: Sources) -> Self {
        let Sources { overview, policy, plan, history, totals, now } = sources;
        let weeks = Spans::new(now, WEEK);
        let projects = projects(&overview, &policy, &history, &totals, weeks);
        let (collections, rest): (Vec<Happened>, Vec<Happened>) = history
            .iter()
            .filter(|happened| {
                !matches!(happened.event, Event::Use(_) | Event::Push(_) | Event::Pull(_))
            })
            .cloned()
            .partition(|happened| matches!(happened.event, Event::Collection(_)));
        Self {
            made: Moment(now),
            version: env!("CARGO_PKG_VERSION"),
            filesystem: overview.disk,
            min_free: policy.least_free(&overview.disk),
            attention: attention::attention(&overview, &plan, &rest, &totals, now),
            projects,
            since: history.iter().map(|happened| happened.at).min().map(Moment),
            weeks: builds::periods(&history, weeks, WEEKS),
            months: builds::periods(&history, Spans::new(now, MONTH), MONTHS),
            plan,
            freed: freed::reasons(&collections),
            collections,
            comparisons: rest,
            last_collection: totals.last_collection,
            overview,
        }
    }

    /// The page.
    pub(crate) fn page(&self) -> String {
        page::page(self).as_str().to_owned()
    }

    /// When the builds begin that are told of.
    fn first_day(&self) -> SystemTime {
        self.weeks.first().map_or(self.made.0, |week| week.start.0)
    }

    fn since_made(&self, at: SystemTime) -> Duration {
        self.made.0.duration_since(at).unwrap_or_default()
    }
}

fn projects(
    overview: &Overview,
    policy: &Policy,
    history: &[Happened],
    totals: &Totals,
    weeks: Spans,
) -> Vec<ProjectFigures> {
    let mut uses: BTreeMap<&ProjectName, Vec<(SystemTime, &UseEvent)>> = BTreeMap::new();
    for happened in history {
        if let Event::Use(used) = &happened.event {
            if weeks.index(happened.at) < WEEKS {
                uses.entry(&used.project).or_default().push((happened.at, used));
            }
        }
    }
    let mut takes: BTreeMap<&ProjectName, (usize, u64)> = BTreeMap::new();
    for line in &overview.entries {
        let sum = takes.entry(&line.project).or_default();
        *sum = (sum.0 + 1, sum.1.saturating_add(line.size()));
    }
    let names: BTreeSet<&ProjectName> = takes.keys().chain(uses.keys()).copied().collect();
    let project = |name: &ProjectName| {
        let (directories, size) = takes.get(name).copied().unwrap_or_default();
        let uses = uses.get(name).map(Vec::as_slice).unwrap_or_default();
        let limits = policy.limits(name);
        let of_all = totals.projects.get(name).copied().unwrap_or_default();
        let ProjectTotals { same, stale, not_reproducible, .. } = of_all;
        let mut sums = Sums::default();
        for (_, used) in uses {
            sums.add(used);
        }
        ProjectFigures {
            project: name.clone(),
            directories,
            size,
            max_size: limits.max_size,
            max_age_seconds: limits.max_age.map(|age| age.0.as_secs()),
            keep: limits.keep,
            pinned: limits.pin,
            same,
            stale,
            not_reproducible,
            uses: sums,
            days: builds::times(uses.iter().copied(), builds::day),
            weeks: builds::times(uses.iter().copied(), |at| weeks.start(weeks.index(at))),
        }
    };
    let mut projects: Vec<ProjectFigures> = names.into_iter().map(project).collect();
    projects.sort_by(|a, b| b.size.cmp(&a.size).then(a.project.cmp(&b.project)));
    projects
}
