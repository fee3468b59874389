//! `larder share`: the repository itself.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use super::{DONE, existing_store};
use crate::face::cli::{ShareArgs, ShareVerb};
use crate::output::{self, Output, Report, seconds, size};
use crate::work::share::{FullId, ScopeRow, Share, Status, Tidied};

#[derive(Serialize)]
struct Initialized {
    repository: String,
    id: FullId,
    made: bool,
}

pub(super) fn share(store: Option<PathBuf>, arguments: &ShareArgs, output: Output) -> Result<u8> {
    let (store, _guard) = existing_store(store, output)?;
    let share = Share::needed(&store, output)?;
    match &arguments.verb {
        ShareVerb::Init { json } => {
            let (id, made) = share.init()?;
            let report = Initialized { repository: share.repository(), id, made };
            output.report(&report, *json)?;
            Ok(DONE)
        }
        ShareVerb::Status { json } => {
            output.report(&share.status()?, *json)?;
            Ok(DONE)
        }
        ShareVerb::Gc { dry_run, json } => {
            output.report(&share.tidy(*dry_run)?, *json)?;
            Ok(DONE)
        }
    }
}

impl Report for Initialized {
    fn text(&self) -> String {
        let made = if self.made { "made" } else { "there already" };
        format!("{}: repository {}, {made}\n", self.repository, self.id.short())
    }
}

impl Report for Status {
    fn text(&self) -> String {
        let head = ["PROJECT", "ID", "PUSH", "SIGNER", "PUSHED (UTC)", "EXPIRES", "SIZE", "PUSHES"];
        let cells = |row: &ScopeRow| {
            vec![
                row.project.to_string(),
                row.toolchain.short(),
                row.counter.to_string(),
                row.signer.clone(),
                output::moment(row.created),
                output::moment(row.expires),
                size(row.bytes),
                row.pushes.to_string(),
            ]
        };
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(self.scopes.iter().map(cells));
        let mut text = if self.scopes.is_empty() { String::new() } else { output::table(&rows) };
        for refused in &self.refused {
            let _ = writeln!(text, "not accepted: {refused}");
        }
        for lock in &self.locks {
            let how = if lock.exclusive { "alone " } else { "" };
            let _ = writeln!(text, "locked {how}by {} since {}", lock.by, lock.since);
        }
        let kind = match self.append_only {
            Some(true) => "the server only lets add",
            Some(false) => "the server lets remove",
            None => "whether the server lets remove is not known before `larder share gc`",
        };
        let (place, bytes) = (&self.repository, size(self.bytes));
        let id = self.id.short();
        text + &format!("{bytes} in {place} ({id}), restic {}; {kind}\n", self.restic)
    }
}

impl Report for Tidied {
    fn text(&self) -> String {
        let mut text = String::new();
        let verb = if self.dry_run { "would go" } else { "removed" };
        for gone in &self.gone {
            let what = match (gone.counter, &gone.scope) {
                (Some(counter), Some(scope)) => {
                    format!("push {counter} of {}", scope.get(..18).unwrap_or(scope))
                }
                _ => format!("snapshot {}", gone.snapshots.first().map_or("", FullId::short)),
            };
            let _ = writeln!(text, "{verb}: {what}: {}", gone.why);
        }
        let (before, after) = (size(self.bytes_before), size(self.bytes_after));
        let (place, time) = (&self.repository, seconds(self.seconds));
        let stay = match self.kept {
            1 => "1 push stays".to_owned(),
            count => format!("{count} pushes stay"),
        };
        text + &format!("{stay} in {place}, {before} became {after}, {time}\n")
    }
}
