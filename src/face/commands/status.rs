//! `larder status`: what is there. Reads only, unless it is to measure again.

mod story;
mod table;
#[cfg(test)]
pub(super) mod tests;

use std::fmt::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Result, bail};
use serde::Serialize;

use super::{DONE, existing_store, prometheus};
use crate::face::cli::StatusArgs;
use crate::face::overview::{Overview, Scope, detail};
use crate::output::{self, Output, Progress, Report, Screen, Stopwatch};
use crate::store::Store;
use crate::store::config::StorePath;
use crate::work::collect;

#[derive(Serialize)]
pub(super) struct Status {
    #[serde(flatten)]
    pub(super) overview: Overview,
    #[serde(skip)]
    pub(super) with_reasons: bool,
    #[serde(skip)]
    now: SystemTime,
}

pub(super) fn status(store: Option<PathBuf>, arguments: &StatusArgs, output: Output) -> Result<u8> {
    let mut watch = Stopwatch::default();
    if arguments.rescan {
        let (store, _guard) = existing_store(store.clone(), output)?;
        for error in collect::rescan::rescan(&store, output)? {
            output.warning(&error);
        }
    }
    watch.step("measure");
    let store = Store::open(StorePath::find(store).path())?;
    if arguments.prometheus {
        output::print(&prometheus::exposition(&store)?)?;
        return Ok(DONE);
    }
    let (history, now) = (store.history(), SystemTime::now());
    let scope = Scope { project: arguments.project.as_ref(), detail: arguments.detail };
    watch.step("open");
    let looking = Progress::step(output, "looking at what is kept");
    let overview = Overview::of(&store, scope, &history, now)?;
    drop(looking);
    watch.step("look");
    if let Some(name) = scope.project.filter(|_| overview.entries.is_empty()) {
        bail!(
            "no project {name} in {}; `larder status` lists those there are",
            store.root().display()
        );
    }
    let report = Status { overview, with_reasons: arguments.project.is_some(), now };
    output.report(&report, arguments.json)?;
    watch.step("print");
    output.detail(&watch.summary());
    Ok(DONE)
}

impl Report for Status {
    fn text(&self) -> String {
        self.text_for(Screen::PLAIN)
    }

    fn text_for(&self, screen: Screen) -> String {
        let entries = &self.overview.entries;
        let mut text = if entries.is_empty() {
            "nothing is kept yet; `larder run` fills the store\n".to_owned()
        } else {
            table::table(self, screen)
        };
        if self.with_reasons {
            let stories: String = entries.iter().map(|line| line.story(self.now)).collect();
            text.push_str(&output::wrapped(&stories, 2, screen));
        }
        for line in entries.iter().filter(|line| !line.detail.is_empty()) {
            text.extend(["\n", &line.toolchain.short(), " takes\n"]);
            text.push_str(&detail::table(&line.detail));
        }
        text + &output::wrapped(&self.sums(), 2, screen)
    }
}

impl Status {
    fn sums(&self) -> String {
        let overview = &self.overview;
        let of = overview.max_size.map(|max| format!(" of max-size {max}")).unwrap_or_default();
        let mut parts = Vec::new();
        for (bytes, what) in [(overview.downloads, "downloads"), (overview.trash, "trash")] {
            if bytes > 0 {
                parts.push(format!("{} {what}", output::size(bytes)));
            }
        }
        let with =
            if parts.is_empty() { String::new() } else { format!(" with {}", parts.join(", ")) };
        let (size, free) = (output::size(overview.size), output::size(overview.free));
        let mut text = format!("{size}{of}{with} in {}, {free} free\n", overview.store.display());
        for foreign in &overview.foreign {
            let _ = writeln!(text, "{}", foreign.in_words());
        }
        for (sums, span) in [(overview.week, "7 days"), (overview.month, "30 days")] {
            if sums.saved_seconds >= 1.0 {
                let (saved, uses) = (output::seconds(sums.saved_seconds), sums.uses);
                let _ = writeln!(text, "{saved} saved in {uses} uses of the last {span}");
            }
        }
        text
    }
}
