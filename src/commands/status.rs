//! `larder status`: what is there. Reads only, unless it is to measure again.

mod detail;
mod story;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Result, bail};
use rayon::prelude::*;
use serde::Serialize;

use self::detail::Part;
use super::{DONE, existing_store, prometheus};
use crate::cli::StatusArgs;
use crate::collect;
use crate::config::{self, StorePath};
use crate::evict;
use crate::history::{self, Event, Happened, MONTH, Sums, Use, WEEK};
use crate::names::{ProjectName, ToolchainId};
use crate::output::{self, Output, Report, Screen};
use crate::policy::{ByteSize, Usage};
use crate::store::{EntryRecord, Row, Store};

#[derive(Serialize)]
struct Status {
    store: PathBuf,
    /// What everything takes together.
    size: u64,
    downloads: u64,
    trash: u64,
    free: u64,
    max_size: Option<ByteSize>,
    /// What the uses of the last 7 days came to, of the entries that are shown.
    week: Sums,
    /// The same of the last 30 days.
    month: Sums,
    entries: Vec<Line>,
    #[serde(skip)]
    with_reasons: bool,
    #[serde(skip)]
    now: SystemTime,
}

#[derive(Serialize)]
struct Line {
    project: ProjectName,
    toolchain: ToolchainId,
    in_use_by: Option<String>,
    pinned: bool,
    /// Seconds that its warm builds saved, as far back as the history goes.
    saved_seconds: f64,
    #[serde(flatten)]
    entry: Entry,
    /// Its last uses, if one project was asked for.
    #[serde(skip)]
    uses: Vec<(Use, SystemTime)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    detail: Vec<Part>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry {
    Known { record: Box<EntryRecord> },
    Damaged { damaged: String },
}

pub fn status(store: Option<PathBuf>, arguments: &StatusArgs, output: Output) -> Result<u8> {
    if arguments.rescan {
        let (store, _guard) = existing_store(store.clone(), output)?;
        for error in collect::rescan::rescan(&store, output)? {
            output.warning(&error);
        }
    }
    let store = Store::open(StorePath::find(store).path())?;
    if arguments.prometheus {
        output::print(&prometheus::exposition(&store)?)?;
        return Ok(DONE);
    }
    let rows = store.all_rows()?;
    let wanted = |row: &Row| arguments.project.as_ref().is_none_or(|name| *name == row.project);
    if let Some(name) = arguments.project.as_ref().filter(|_| !rows.iter().any(wanted)) {
        bail!(
            "no project {name} in {}; `larder status` lists those there are",
            store.root().display()
        );
    }
    let sizes = rows.iter().filter_map(|row| row.record.as_ref().ok()).map(EntryRecord::usage);
    let (downloads, (_, trash)) = (store.downloads(), evict::in_trash(&store));
    let size = sizes.fold(downloads.plus(trash), Usage::plus).bytes;
    let rows: Vec<Row> = rows.into_iter().filter(wanted).collect();
    let users = store.users(&rows);
    let lines = rows.into_par_iter().zip(users);
    let lines = lines.map(|(row, user)| Line::new(&store, row, user, arguments.detail));
    let mut entries = lines.collect::<Result<Vec<Line>>>()?;
    entries.sort_by(|a, b| a.project.cmp(&b.project).then(b.last_use().cmp(&a.last_use())));
    let (history, now) = (store.history(), SystemTime::now());
    tell(&mut entries, &history, arguments.project.is_some());
    let sums = |within| history::sums(&history, arguments.project.as_ref(), now, within);
    let report = Status {
        week: sums(WEEK),
        month: sums(MONTH),
        size,
        downloads: downloads.bytes,
        trash: trash.bytes,
        free: collect::disk(&store)?.free.bytes,
        max_size: config::budgets(&store)?.max_size,
        store: store.root().to_owned(),
        entries,
        with_reasons: arguments.project.is_some(),
        now,
    };
    output.report(&report, arguments.json)?;
    Ok(DONE)
}

impl Line {
    fn new(store: &Store, row: Row, in_use_by: Option<String>, with_detail: bool) -> Result<Self> {
        let detail = if with_detail {
            detail::parts(&store.entry(&row.project, row.toolchain))?
        } else {
            Vec::new()
        };
        let entry = match row.record {
            Ok(record) => Entry::Known { record: Box::new(record) },
            Err(damaged) => Entry::Damaged { damaged },
        };
        let Row { project, toolchain, pinned, .. } = row;
        let (saved_seconds, uses) = (0.0, Vec::new());
        Ok(Self { project, toolchain, in_use_by, pinned, saved_seconds, entry, uses, detail })
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
    fn record(&self) -> Option<&EntryRecord> {
        match &self.entry {
            Entry::Known { record } => Some(record),
            Entry::Damaged { .. } => None,
        }
    }

    fn last_use(&self) -> Option<SystemTime> {
        self.record().map(EntryRecord::last_use)
    }
}

impl Report for Status {
    fn text(&self) -> String {
        self.text_for(Screen::PLAIN)
    }

    fn text_for(&self, screen: Screen) -> String {
        let mut text = if self.entries.is_empty() {
            "nothing is kept yet; `larder run` fills the store\n".to_owned()
        } else {
            table::table(self, screen)
        };
        if self.with_reasons {
            self.entries.iter().for_each(|line| text.push_str(&line.story(self.now)));
        }
        for line in self.entries.iter().filter(|line| !line.detail.is_empty()) {
            text.extend(["\n", &line.toolchain.short(), " takes\n"]);
            text.push_str(&detail::table(&line.detail));
        }
        text + &self.sums()
    }
}

impl Status {
    fn sums(&self) -> String {
        let of = self.max_size.map(|max| format!(" of max-size {max}")).unwrap_or_default();
        let mut parts = Vec::new();
        for (bytes, what) in [(self.downloads, "downloads"), (self.trash, "trash")] {
            if bytes > 0 {
                parts.push(format!("{} {what}", output::size(bytes)));
            }
        }
        let with =
            if parts.is_empty() { String::new() } else { format!(" with {}", parts.join(", ")) };
        let (size, free) = (output::size(self.size), output::size(self.free));
        let mut text = format!("{size}{of}{with} in {}, {free} free\n", self.store.display());
        for (sums, span) in [(self.week, "7 days"), (self.month, "30 days")] {
            if sums.saved_seconds >= 1.0 {
                let (saved, uses) = (output::seconds(sums.saved_seconds), sums.uses);
                let _ = writeln!(text, "{saved} saved in {uses} uses of the last {span}");
            }
        }
        text
    }
}
