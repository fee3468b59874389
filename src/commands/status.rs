//! `larder status`: what is there. Reads only, unless it is to measure again.

mod detail;

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Result, bail};
use rayon::prelude::*;
use serde::Serialize;

use self::detail::Part;
use super::{DONE, existing_store};
use crate::cli::StatusArgs;
use crate::collect;
use crate::config::{self, StorePath};
use crate::evict;
use crate::names::{ProjectName, ToolchainId};
use crate::output::{self, Output, Report};
use crate::policy::{ByteSize, Usage};
use crate::store::{EntryRecord, Outcome, Row, Store};
use crate::verify::Verdict;

#[derive(Serialize)]
struct Status {
    store: PathBuf,
    /// What everything takes together.
    size: u64,
    downloads: u64,
    trash: u64,
    free: u64,
    max_size: Option<ByteSize>,
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
    #[serde(flatten)]
    entry: Entry,
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
    let lines = rows.into_par_iter().map(|row| Line::new(&store, row, arguments.detail));
    let mut entries = lines.collect::<Result<Vec<Line>>>()?;
    entries.sort_by_key(|line| (line.project.clone(), std::cmp::Reverse(line.last_use())));
    let report = Status {
        size,
        downloads: downloads.bytes,
        trash: trash.bytes,
        free: collect::disk(&store)?.free.bytes,
        max_size: config::budgets(&store)?.max_size,
        store: store.root().to_owned(),
        entries,
        with_reasons: arguments.project.is_some(),
        now: SystemTime::now(),
    };
    output.report(&report, arguments.json)?;
    Ok(DONE)
}

impl Line {
    fn new(store: &Store, row: Row, with_detail: bool) -> Result<Self> {
        let in_use_by = row.in_use_by(store);
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
        Ok(Self { project, toolchain, in_use_by, pinned, entry, detail })
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

    fn cells(&self, now: SystemTime) -> Vec<String> {
        let record = match &self.entry {
            Entry::Known { record } => record,
            Entry::Damaged { damaged } => {
                let id = self.toolchain.short();
                let text = format!("{damaged}; the next run begins anew");
                return vec![self.project.to_string(), id, text];
            }
        };
        let closed = record.last.as_ref().and_then(|last| last.closed.as_ref());
        vec![
            self.project.to_string(),
            self.toolchain.short(),
            record.summary.clone(),
            output::size(record.size),
            output::ago(record.last_use(), now),
            record.uses.to_string(),
            record.cold_seconds.map_or_else(|| "-".to_owned(), output::seconds),
            closed.map_or_else(|| "-".to_owned(), |closed| output::seconds(closed.seconds)),
            closed
                .filter(|_| record.compiles_with_cargo())
                .map_or_else(|| "-".to_owned(), |closed| closed.compiled.to_string()),
            self.state(record),
        ]
    }

    fn state(&self, record: &EntryRecord) -> String {
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

impl Report for Status {
    fn text(&self) -> String {
        let head = [
            "PROJECT",
            "ID",
            "TOOLCHAIN",
            "SIZE",
            "LAST USE",
            "USES",
            "COLD",
            "LAST",
            "COMPILED",
            "STATE",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(self.entries.iter().map(|line| line.cells(self.now)));
        let mut text = if self.entries.is_empty() {
            "nothing is kept yet; `larder run` fills the store\n".to_owned()
        } else {
            output::table(&rows)
        };
        if self.with_reasons {
            self.entries.iter().for_each(|line| text.push_str(&line.reasons(self.now)));
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
        format!("{size}{of}{with} in {}, {free} free\n", self.store.display())
    }
}

impl Line {
    /// Why the last use of this directory was cold, or what it rebuilt.
    fn reasons(&self, now: SystemTime) -> String {
        let Some(last) = self.record().and_then(|record| record.last.as_ref()) else {
            return String::new();
        };
        let temper = if last.cold { "cold" } else { "warm" };
        let mut text = format!("\n{} was {temper}", self.toolchain.short());
        match last.why.as_slice() {
            [] => text.push_str(": nothing changed\n"),
            why => {
                text.push_str(":\n");
                for reason in why {
                    text.extend([
                        "  ", reason, "
",
                    ]);
                }
            }
        }
        text.push_str(&self.verified(now));
        text
    }

    fn verified(&self, now: SystemTime) -> String {
        let verified = self.record().and_then(|record| record.verified.as_ref());
        verified.map_or_else(String::new, |verified| {
            let verdict = match verified.verdict {
                Verdict::Same => "the same as a cold build",
                Verdict::Stale => "it was stale, and begun anew",
                Verdict::NotReproducible => "not reproducible",
            };
            format!("  verified {}: {verdict}\n", output::ago(verified.at, now))
        })
    }
}
