//! What a store holds: the figures that `larder status` and `larder report` both show. Reads only.

pub(crate) mod detail;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::SystemTime;

use rayon::prelude::*;
use serde::Serialize;

use self::detail::Part;
use crate::base::names::{ProjectName, ToolchainId};
use crate::base::quantity::{ByteSize, Usage};
use crate::decide::policy::Disk;
use crate::observe::cargo_layout::LayoutError;
use crate::store::config::{self, ConfigError};
use crate::store::history::{self, Event, Happened, MONTH, Sums, UseEvent, WEEK};
use crate::store::{EntryRecord, Foreign, Outcome, Row, Store, StoreError, evict};
use crate::work::collect::{self, CollectError};

/// A store that could not be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OverviewError {
    /// Its records.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its policy.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its filesystem.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// A target directory.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// What is to be looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scope<'a> {
    /// One project; all of them otherwise.
    pub project: Option<&'a ProjectName>,
    /// Whether what each crate takes is to be measured.
    pub detail: bool,
}

/// What a store holds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Overview {
    pub store: PathBuf,
    /// Bytes that everything takes together.
    pub size: u64,
    /// Of these, the shared downloads.
    pub downloads: u64,
    /// Of these, what is in the trash.
    pub trash: u64,
    /// Bytes that are free on the store's filesystem.
    pub free: u64,
    #[serde(skip)]
    pub disk: Disk,
    pub max_size: Option<ByteSize>,
    /// What the uses of the last 7 days came to, of the entries that are shown.
    pub week: Sums,
    /// The same of the last 30 days.
    pub month: Sums,
    /// What is among the projects and is none of larder's; counted in the size, and not by the policy.
    pub foreign: Vec<Foreign>,
    /// The target directories, by project, and those of one project by their last use.
    pub entries: Vec<Line>,
}

/// A target directory.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    pub project: ProjectName,
    pub toolchain: ToolchainId,
    /// Who uses it now, in words.
    pub in_use_by: Option<String>,
    /// Whether it is not to be collected.
    pub pinned: bool,
    /// Seconds that its warm builds saved, as far back as the history goes.
    pub saved_seconds: f64,
    #[serde(flatten)]
    pub entry: Listed,
    /// Its last uses, if one project was asked for.
    #[serde(skip)]
    pub uses: Vec<(UseEvent, SystemTime)>,
    /// What its crates take, if that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<Part>,
}

/// What is known of a target directory.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Listed {
    /// All that there is to know.
    Known { record: Box<EntryRecord> },
    /// No build can use it.
    Damaged {
        /// What is wrong with it.
        damaged: String,
    },
}

impl Overview {
    /// Looks at a store; the history is that of the same store.
    pub(crate) fn of(
        store: &Store,
        scope: Scope<'_>,
        history: &[Happened],
        now: SystemTime,
    ) -> Result<Self, OverviewError> {
        let rows = store.all_rows()?;
        let sizes = rows.iter().filter_map(|row| row.record.as_ref().ok()).map(EntryRecord::usage);
        let (downloads, (_, trash)) = (store.downloads(), evict::in_trash(store));
        let foreign = store.foreign()?;
        let sizes = sizes.chain(foreign.iter().map(|it| it.usage));
        let size = sizes.fold(downloads.plus(trash), Usage::plus).bytes;
        let wanted = |row: &Row| scope.project.is_none_or(|name| *name == row.project);
        let rows: Vec<Row> = rows.into_iter().filter(wanted).collect();
        let users = store.users(&rows);
        let lines = rows.into_par_iter().zip(users);
        let lines = lines.map(|(row, user)| Line::new(store, row, user, scope.detail));
        let mut entries = lines.collect::<Result<Vec<Line>, LayoutError>>()?;
        entries.sort_by(|a, b| a.project.cmp(&b.project).then(b.last_use().cmp(&a.last_use())));
        tell(&mut entries, history, scope.project.is_some());
        let disk = collect::disk(store)?;
        let sums = |within| history::sums(history, scope.project, now, within);
        Ok(Self {
            week: sums(WEEK),
            month: sums(MONTH),
            size,
            downloads: downloads.bytes,
            trash: trash.bytes,
            free: disk.free.bytes,
            disk,
            max_size: config::budgets(store)?.max_size,
            store: store.root().to_owned(),
            foreign,
            entries,
        })
    }
}

/// Adds to each line what the history tells of it.
fn tell(entries: &mut [Line], history: &[Happened], with_uses: bool) {
    let key = |line: &Line| (line.project.clone(), line.toolchain);
    let mut lines: HashMap<_, &mut Line> =
        entries.iter_mut().map(|line| (key(line), line)).collect();
    for Happened { at, event } in history {
        let Event::Use(used) = event else { continue };
        let Some(line) = lines.get_mut(&(used.project.clone(), used.toolchain)) else { continue };
        line.saved_seconds += used.saved().unwrap_or(0.0);
        if with_uses {
            line.uses.push((used.clone(), *at));
        }
    }
}

impl Line {
    fn new(
        store: &Store,
        row: Row,
        in_use_by: Option<String>,
        with_detail: bool,
    ) -> Result<Self, LayoutError> {
        let detail = if with_detail {
            detail::parts(&store.entry(&row.project, row.toolchain))?
        } else {
            Vec::new()
        };
        let entry = match row.record {
            Ok(record) => Listed::Known { record: Box::new(record) },
            Err(damaged) => Listed::Damaged { damaged },
        };
        let Row { project, toolchain, pinned, .. } = row;
        let (saved_seconds, uses) = (0.0, Vec::new());
        Ok(Self { project, toolchain, in_use_by, pinned, saved_seconds, entry, uses, detail })
    }

    /// The record, unless it is damaged.
    pub(crate) fn record(&self) -> Option<&EntryRecord> {
        match &self.entry {
            Listed::Known { record } => Some(record),
            Listed::Damaged { .. } => None,
        }
    }

    /// Allocated bytes, as recorded.
    pub(crate) fn size(&self) -> u64 {
        self.record().map_or(0, |record| record.size)
    }

    /// When it was last used, or made.
    pub(crate) fn last_use(&self) -> Option<SystemTime> {
        self.record().map(EntryRecord::last_use)
    }

    /// What the next build would find, in words.
    pub(crate) fn state(&self) -> String {
        let Some(record) = self.record() else {
            return "cannot be used".to_owned();
        };
        if let Some(holder) = &self.in_use_by {
            return format!("in use by {holder}");
        }
        match record.last.as_ref().map(|last| last.closed.as_ref().map(|closed| closed.outcome)) {
            None => "never used".to_owned(),
            Some(None) => "interrupted".to_owned(),
            Some(Some(Outcome::Succeeded)) if self.pinned => "pinned".to_owned(),
            Some(Some(Outcome::Succeeded)) => "ready".to_owned(),
            Some(Some(Outcome::Failed(code))) => format!("failed ({code})"),
        }
    }
}
