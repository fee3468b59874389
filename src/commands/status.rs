//! `larder status`: what is there. Reads only.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Result, bail};
use serde::Serialize;

use super::DONE;
use crate::cli::StatusArgs;
use crate::config::StorePath;
use crate::names::{ProjectName, ToolchainId};
use crate::output::{self, Output, Report};
use crate::store::{EntryRecord, Outcome, Row, Store};
use crate::verify::Verdict;

#[derive(Serialize)]
struct Status {
    store: PathBuf,
    size: u64,
    entries: Vec<Line>,
    #[serde(skip)]
    detailed: bool,
    #[serde(skip)]
    now: SystemTime,
}

#[derive(Serialize)]
struct Line {
    project: ProjectName,
    toolchain: ToolchainId,
    in_use_by: Option<String>,
    #[serde(flatten)]
    entry: Entry,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry {
    Known { record: Box<EntryRecord> },
    Damaged { damaged: String },
}

pub fn status(store: Option<PathBuf>, arguments: &StatusArgs, output: Output) -> Result<u8> {
    let store = Store::open(StorePath::find(store).path())?;
    let projects = store.projects()?;
    if let Some(wanted) = arguments.project.as_ref().filter(|name| !projects.contains(name)) {
        bail!(
            "no project {wanted} in {}; `larder status` lists those there are",
            store.root().display()
        );
    }
    let mut entries = Vec::new();
    for project in projects {
        if arguments.project.as_ref().is_none_or(|wanted| *wanted == project) {
            for row in store.rows(&project)? {
                entries.push(Line::new(&store, row));
            }
        }
    }
    entries.sort_by_key(|line| (line.project.clone(), std::cmp::Reverse(line.last_use())));
    let size = entries.iter().filter_map(|line| line.record().map(|record| record.size)).sum();
    let report = Status {
        store: store.root().to_owned(),
        size,
        entries,
        detailed: arguments.project.is_some(),
        now: SystemTime::now(),
    };
    output.report(&report, arguments.json)?;
    Ok(DONE)
}

impl Line {
    fn new(store: &Store, row: Row) -> Self {
        let in_use_by = row.in_use_by(store);
        let entry = match row.record {
            Ok(record) => Entry::Known { record: Box::new(record) },
            Err(damaged) => Entry::Damaged { damaged },
        };
        Self { project: row.project, toolchain: row.toolchain, in_use_by, entry }
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
                return vec![self.project.to_string(), id, damaged.clone()];
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
            closed.map_or_else(|| "-".to_owned(), |closed| closed.compiled.to_string()),
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
        if self.detailed {
            self.entries.iter().for_each(|line| text.push_str(&line.reasons(self.now)));
        }
        let total = output::size(self.size);
        text + &format!(
            "{total} in {}
",
            self.store.display()
        )
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
