//! A report for the tests of how reports look.

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::base::digest::Digest;
use crate::base::names::{ProjectName, ToolchainId};
use crate::base::quantity::ByteSize;
use crate::decide::policy::Disk;
use crate::decide::remade::Remade;
use crate::face::overview::{Line, Listed};
use crate::observe::identity::Fidelity;
use crate::store::history::Sums;
use crate::store::{Closed, EntryRecord, Opened, Outcome, UseRecord};

fn line(project: &str, summary: &str, size: u64, ago: u64, now: SystemTime) -> Line {
    let toolchain = ToolchainId(Digest::of(summary.as_bytes()));
    let project: ProjectName = project.parse().unwrap();
    let opened = Opened { at: now - Duration::from_secs(ago), boot: String::new() };
    let closed =
        Closed { outcome: Outcome::Succeeded, seconds: 0.42, compiled: 0, untouched: None };
    let last = UseRecord {
        opened,
        cold: false,
        why: Vec::new(),
        remade: Remade::default(),
        closed: Some(closed),
    };
    let record = EntryRecord {
        summary: summary.to_owned(),
        fidelity: Fidelity::Exact,
        created: now,
        uses: 12,
        size,
        inodes: 1,
        successes: 12,
        cold_seconds: Some(64.8),
        last: Some(last),
        ..record_of(&project, toolchain)
    };
    Line {
        project,
        toolchain,
        in_use_by: None,
        pinned: false,
        saved_seconds: 700.0,
        entry: Listed::Known { record: Box::new(record) },
        uses: Vec::new(),
        detail: Vec::new(),
    }
}

fn record_of(project: &ProjectName, toolchain: ToolchainId) -> EntryRecord {
    let text = format!(
        r#"{{"format": 2, "project": "{project}", "toolchain": "{toolchain}", "summary": "", "fidelity": "exact",
            "created": "2026-01-01T00:00:00Z", "uses": 0, "size": 0, "inodes": 0, "successes": 0, "unused": [],
            "cold_seconds": null, "last": null}}"#
    );
    serde_json::from_str(&text).unwrap()
}

pub(in crate::face::commands) fn report() -> Status {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut entries = vec![
        line("op-rbuilder", "rustc 1.85.1 · trixie · 3 flags", 12_345_678_901, 90, now),
        line("pantry", "rustc 1.95.0 · bookworm", 93_800_000, 200_000, now),
        line("pantry", "rustc 1.96.0 · trixie", 90_000_000, 4_000, now),
    ];
    entries[0].in_use_by = Some("image builder (process 4711, for 12s)".to_owned());
    entries[1].pinned = true;
    let broken = Listed::Damaged { damaged: "it has no entry.json".to_owned() };
    entries.push(Line { entry: broken, ..line("spelt", "x", 0, 0, now) });
    let overview = Overview {
        store: PathBuf::from("/var/cache/larder"),
        size: 12_600_000_000,
        downloads: 70_000_000,
        trash: 0,
        free: 40_000_000_000,
        disk: Disk::default(),
        max_size: Some(ByteSize(20 << 30)),
        week: Sums { uses: 20, saved_seconds: 1300.0, ..Sums::default() },
        month: Sums { uses: 80, saved_seconds: 9000.0, ..Sums::default() },
        foreign: Vec::new(),
        entries,
    };
    Status { overview, with_reasons: false, now }
}
