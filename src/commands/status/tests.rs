//! How the report looks on screens of all kinds.

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::config::Fidelity;
use crate::digest::Digest;
use crate::history::Sums;
use crate::names::{ProjectName, ToolchainId};
use crate::overview::{Entry, Line};
use crate::policy::{ByteSize, Disk};
use crate::store::{Closed, EntryRecord, Opened, Outcome, UseRecord};

fn line(project: &str, summary: &str, size: u64, ago: u64, now: SystemTime) -> Line {
    let toolchain = ToolchainId(Digest::of(summary.as_bytes()));
    let project: ProjectName = project.parse().unwrap();
    let opened = Opened { at: now - Duration::from_secs(ago), boot: String::new() };
    let closed = Closed { outcome: Outcome::Succeeded, seconds: 0.42, compiled: 0 };
    let last = UseRecord { opened, cold: false, why: Vec::new(), closed: Some(closed) };
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
        entry: Entry::Known { record: Box::new(record) },
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

fn report() -> Status {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut entries = vec![
        line("op-rbuilder", "rustc 1.85.1 · trixie · 3 flags", 12_345_678_901, 90, now),
        line("pantry", "rustc 1.95.0 · bookworm", 93_800_000, 200_000, now),
        line("pantry", "rustc 1.96.0 · trixie", 90_000_000, 4_000, now),
    ];
    entries[0].in_use_by = Some("image builder (process 4711, for 12s)".to_owned());
    entries[1].pinned = true;
    let broken = Entry::Damaged { damaged: "it has no entry.json".to_owned() };
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
        entries,
    };
    Status { overview, with_reasons: false, now }
}

fn shown(width: Option<usize>, unicode: bool) -> String {
    let screen = Screen { width, unicode };
    screen.show(report().text_for(screen))
}

#[test]
fn on_no_terminal_nothing_is_left_out() {
    snapbox::assert_data_eq!(
        shown(None, true),
        snapbox::str![[r"
PROJECT      ID            TOOLCHAIN                            SIZE  BUDGET           LAST USE  USES   TOOK    COLD     SAVED  STATE
op-rbuilder  24b463fa8200  rustc 1.85.1 · trixie · 3 flags  11.5 GiB  █████░░░  58%    90 s ago    12  0.4 s  64.8 s  11.7 min  in use by image builder (process 4711, for 12s)
pantry       79a62db032fe  rustc 1.95.0 · bookworm          89.5 MiB  █░░░░░░░   1%     2 d ago    12  0.4 s  64.8 s  11.7 min  pinned
pantry       d2758c9e06fa  rustc 1.96.0 · trixie            85.8 MiB  █░░░░░░░   1%  66 min ago    12  0.4 s  64.8 s  11.7 min  ready
spelt        3ae7d805f678  -                                       -  -                       -     -      -       -         -  it has no entry.json; the next run begins anew
11.7 GiB of max-size 20 GiB with 66.8 MiB downloads in /var/cache/larder, 37.3 GiB free
21.7 min saved in 20 uses of the last 7 days
2.5 h saved in 80 uses of the last 30 days

"]]
    );
}

#[test]
fn on_120_columns() {
    snapbox::assert_data_eq!(
        shown(Some(120), true),
        snapbox::str![[r"
PROJECT      TOOLCHAIN                           SIZE    LAST USE   TOOK    COLD     SAVED  STATE
op-rbuilder  rustc 1.85.1 · trixie · 3 fla…  11.5 GiB    90 s ago  0.4 s  64.8 s  11.7 min  in use by image builder (pr…
pantry       rustc 1.95.0 · bookworm         89.5 MiB     2 d ago  0.4 s  64.8 s  11.7 min  pinned
pantry       rustc 1.96.0 · trixie           85.8 MiB  66 min ago  0.4 s  64.8 s  11.7 min  ready
spelt        -                                      -           -      -       -         -  it has no entry.json; the n…
11.7 GiB of max-size 20 GiB with 66.8 MiB downloads in /var/cache/larder, 37.3 GiB free
21.7 min saved in 20 uses of the last 7 days
2.5 h saved in 80 uses of the last 30 days

"]]
    );
}

#[test]
fn on_80_columns() {
    snapbox::assert_data_eq!(
        shown(Some(80), true),
        snapbox::str![[r"
PROJECT      TOOLCHAIN             SIZE    LAST USE   TOOK    COLD  STATE
op-rbuilder  rustc 1.85.1 · …  11.5 GiB    90 s ago  0.4 s  64.8 s  in use by i…
pantry       rustc 1.95.0 · …  89.5 MiB     2 d ago  0.4 s  64.8 s  pinned
pantry       rustc 1.96.0 · …  85.8 MiB  66 min ago  0.4 s  64.8 s  ready
spelt        -                        -           -      -       -  it has no e…
11.7 GiB of max-size 20 GiB with 66.8 MiB downloads in /var/cache/larder, 37.3 GiB free
21.7 min saved in 20 uses of the last 7 days
2.5 h saved in 80 uses of the last 30 days

"]]
    );
}

#[test]
fn on_60_columns_without_unicode() {
    snapbox::assert_data_eq!(
        shown(Some(60), false),
        snapbox::str![[r"
PROJECT      TOOLCHAIN           SIZE    LAST USE  STATE
op-rbuilder  rustc 1.85.1 ~  11.5 GiB    90 s ago  in use b~
pantry       rustc 1.95.0 ~  89.5 MiB     2 d ago  pinned
pantry       rustc 1.96.0 ~  85.8 MiB  66 min ago  ready
spelt        -                      -           -  it has n~
11.7 GiB of max-size 20 GiB with 66.8 MiB downloads in /var/cache/larder, 37.3 GiB free
21.7 min saved in 20 uses of the last 7 days
2.5 h saved in 80 uses of the last 30 days

"]]
    );
}
