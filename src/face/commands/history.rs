//! `larder history`: what happened in the store, the latest last. Reads only.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Result;
use serde::Serialize;

use super::DONE;
use crate::base::names::ProjectName;
use crate::decide::verdict::Verdict;
use crate::face::cli::HistoryArgs;
use crate::output::{self, Column, Output, Report, Screen};
use crate::store::Store;
use crate::store::config::StorePath;
use crate::store::history::{Collection, Collector, Event, Happened, Transfer, UseEvent, first_of};

/// So many lines are shown to people who do not say how many.
const SCREEN: usize = 50;

const COLUMNS: [Column; 8] = [
    Column::new("WHEN (UTC)", 0),
    Column::new("PROJECT", 0),
    Column::new("ID", 7),
    Column::cut("WHAT", 0, (26, 12)),
    Column::new("TIME", 2),
    Column::new("SAVED", 5),
    Column::new("COMPILED", 6),
    Column::cut("WHY", 1, (40, 20)),
];

#[derive(Serialize)]
pub(super) struct History {
    pub(super) store: PathBuf,
    pub(super) events: Vec<Happened>,
    /// How many earlier ones are known.
    #[serde(skip)]
    pub(super) earlier: usize,
    /// The project that was asked for.
    #[serde(skip)]
    pub(super) project: Option<ProjectName>,
}

pub(super) fn history(
    store: Option<PathBuf>,
    arguments: &HistoryArgs,
    output: Output,
) -> Result<u8> {
    let store = Store::open(StorePath::find(store).path())?;
    let mut events = store.history();
    if let Some(project) = &arguments.project {
        events.retain(|happened| is_of(&happened.event, project));
    }
    if let Some(span) = arguments.since {
        let since = SystemTime::now().checked_sub(span.0).unwrap_or(SystemTime::UNIX_EPOCH);
        events.retain(|happened| happened.at >= since);
    }
    let all = arguments.json || arguments.since.is_some();
    let last = arguments.last.unwrap_or(if all { usize::MAX } else { SCREEN });
    let earlier = events.len().saturating_sub(last);
    let events = events.split_off(earlier);
    let report = History {
        store: store.root().to_owned(),
        events,
        earlier,
        project: arguments.project.clone(),
    };
    output.report(&report, arguments.json)?;
    Ok(DONE)
}

fn is_of(event: &Event, wanted: &ProjectName) -> bool {
    match event {
        Event::Use(UseEvent { project, .. }) | Event::Comparison { project, .. } => {
            project == wanted
        }
        Event::Push(transfer) | Event::Pull(transfer) => transfer.project == *wanted,
        Event::Collection(collection) => {
            collection.gone.iter().any(|gone| gone.project.as_ref() == Some(wanted))
        }
    }
}

impl Report for History {
    fn text(&self) -> String {
        self.text_for(Screen::PLAIN)
    }

    fn text_for(&self, screen: Screen) -> String {
        if self.events.is_empty() && self.earlier == 0 {
            let to = self.project.as_ref().map(|project| format!("to {project} "));
            let (to, store) = (to.unwrap_or_default(), self.store.display());
            let text = format!(
                "nothing is known to have happened {to}in {store}; `larder status` shows what is there\n"
            );
            return output::wrapped(&text, 2, screen);
        }
        let mut text = output::fitted(&COLUMNS, self.events.iter().map(cells).collect(), screen);
        if self.earlier > 0 {
            let _ = writeln!(text, "{} earlier: --last NUMBER shows more", self.earlier);
        }
        text
    }
}

fn cells(happened: &Happened) -> Vec<String> {
    let mut cells = vec![output::moment(happened.at)];
    cells.extend(match &happened.event {
        Event::Use(used) => of_use(used),
        Event::Comparison { project, toolchain, verdict } => {
            let verdict = match verdict {
                Verdict::Same => "same as a cold build",
                Verdict::Stale => "STALE, begun anew",
                Verdict::NotReproducible => "not reproducible",
            };
            let head = [project.to_string(), toolchain.short(), verdict.to_owned()];
            head.into_iter().chain(nothing(4)).collect()
        }
        Event::Collection(collection) => of_collection(collection),
        Event::Push(transfer) => of_transfer("pushed", transfer),
        Event::Pull(transfer) => of_transfer("pulled", transfer),
    });
    cells
}

fn nothing(count: usize) -> impl Iterator<Item = String> {
    std::iter::repeat_n("-".to_owned(), count)
}

fn of_use(used: &UseEvent) -> Vec<String> {
    vec![
        used.project.to_string(),
        used.toolchain.short(),
        used.in_words(),
        output::seconds(used.seconds),
        used.saved().map_or_else(|| "-".to_owned(), output::seconds),
        used.compiled.to_string(),
        first_of(&used.why, 0),
    ]
}

fn of_transfer(what: &str, transfer: &Transfer) -> Vec<String> {
    let size = output::size(transfer.sent.unwrap_or(transfer.bytes));
    let by = transfer.signer.iter().map(|signer| format!(" of {signer}"));
    let why: String = [format!("push {}", transfer.counter)].into_iter().chain(by).collect();
    let head = [transfer.project.to_string(), transfer.toolchain.short(), format!("{what} {size}")];
    let time = output::seconds(transfer.seconds);
    head.into_iter().chain([time]).chain(nothing(2)).chain([why]).collect()
}

fn of_collection(collection: &Collection) -> Vec<String> {
    let by = match collection.by {
        Collector::Gc => "gc",
        Collector::Run => "run made room",
        Collector::Rm => "rm",
    };
    let what = format!("{by}: {} freed", output::size(collection.freed));
    let things: Vec<String> = collection
        .gone
        .iter()
        .map(|gone| format!("{} ({})", gone.what, gone.why))
        .chain(collection.unmet.iter().cloned())
        .collect();
    let head = nothing(2).chain([what]).chain(nothing(3));
    head.chain([first_of(&things, collection.more)]).collect()
}
