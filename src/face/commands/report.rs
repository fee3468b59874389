//! `larder report`: what the store holds, saved, freed and is about to free. Reads only.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Result;
use serde::Serialize;

use super::DONE;
use crate::base::atomic;
use crate::decide::policy::Headroom;
use crate::face::cli::ReportArgs;
use crate::face::overview::{Overview, Scope};
use crate::face::report::{Data, Sources};
use crate::output::{self, Output, Report};
use crate::store::Store;
use crate::store::config::{self, StorePath};
use crate::work::collect;

#[derive(Serialize)]
struct Reported<'a> {
    #[serde(flatten)]
    data: &'a Data,
    /// The page that was written, and its bytes.
    #[serde(skip)]
    page: Option<(&'a Path, usize)>,
}

pub(super) fn report(store: Option<PathBuf>, arguments: &ReportArgs, output: Output) -> Result<u8> {
    let store = Store::open(StorePath::find(store).path())?;
    let now = SystemTime::now();
    let history = store.history();
    let scope = Scope { project: None, detail: arguments.detail };
    let overview = Overview::of(&store, scope, &history, now)?;
    let policy = config::budgets(&store)?;
    let mut observed = collect::observe(&store)?;
    let plan = collect::decide(&store, &mut observed, &policy, Headroom::Exact, now)?;
    let totals = store.totals();
    let data = Data::new(Sources { overview, policy, plan, history, totals, now });
    let mut page = None;
    if let Some(file) = &arguments.html {
        let text = data.page();
        atomic::write_for_user(file, text.as_bytes())?;
        page = Some((file.as_path(), text.len()));
    }
    output.report(&Reported { data: &data, page }, arguments.json)?;
    Ok(DONE)
}

impl Report for Reported<'_> {
    fn text(&self) -> String {
        if let Some((file, bytes)) = self.page {
            let bytes = output::size(u64::try_from(bytes).unwrap_or(u64::MAX));
            return format!("{}: {bytes}, open it in a browser\n", file.display());
        }
        let head = ["PROJECT", "DIRECTORIES", "SIZE", "BUILDS", "COLD", "FAILED", "SAVED"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(self.data.projects.iter().map(|project| {
            vec![
                project.project.to_string(),
                project.directories.to_string(),
                output::size(project.size),
                project.uses.uses.to_string(),
                project.uses.cold.to_string(),
                project.uses.failed.to_string(),
                output::seconds(project.uses.saved_seconds),
            ]
        }));
        let mut text = output::table(&rows);
        let _ = writeln!(text, "builds of the last {} weeks", self.data.weeks.len());
        for attention in &self.data.attention {
            let _ = writeln!(text, "{attention}");
        }
        text
    }
}
