//! How the reports look: on terminals with 60, 80 and 120 columns, on none, and where only ASCII is
//! understood. The pictures are in `screens/`; with `SNAPSHOTS=overwrite` the tests take them anew.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use super::{doctor, explain, gc, history, provision, rm, status};
use crate::base::digest::Digest;
use crate::base::names::{ProjectName, ToolchainId};
use crate::base::quantity::{ByteSize, Usage};
use crate::decide::policy::{Plan, Step, Unmet, What, Why};
use crate::decide::remade::{ChangedInput, Remade};
use crate::decide::verdict::Verdict;
use crate::face::doctor::Check;
use crate::observe::identity::Difference;
use crate::output::{Report, Screen};
use crate::store::Outcome;
use crate::store::history::{Collection, Collector, Event, Gone, Happened, UseEvent};
use crate::work::collect::{Fate, Taken};

const STORE: &str = "/var/cache/larder";

fn project(name: &str) -> ProjectName {
    name.parse().unwrap()
}

fn id(text: &str) -> ToolchainId {
    ToolchainId(Digest::of(text.as_bytes()))
}

fn usage(bytes: u64) -> Usage {
    Usage { bytes, inodes: 1 }
}

/// A report on all screens. Whatever fits on no screen is one word.
fn pictures(report: &impl Report) -> String {
    let mut all = String::new();
    for (width, unicode) in
        [(Some(60), true), (Some(80), true), (Some(120), true), (None, true), (Some(80), false)]
    {
        let screen = Screen { width, unicode };
        let text = screen.show(report.text_for(screen));
        let name = width.map_or("no terminal".to_owned(), |width| format!("{width} columns"));
        let ascii = if unicode { "" } else { ", ASCII" };
        let _ = write!(all, "== {name}{ascii}\n{text}");
        assert!(unicode || text.is_ascii(), "{text}");
        assert!(!text.contains('\x1b'), "nothing is said by colours: {text:?}");
        for line in text.lines() {
            let has_bar = line.contains(['█', '░']);
            assert!(!has_bar || line.contains('%'), "a bar is in words too: {line}");
            let columns = line.chars().count();
            let is_one_word = !line.trim_start().contains(' ');
            assert!(is_one_word || columns <= width.unwrap_or(columns), "{columns}: {line}");
        }
    }
    all
}

macro_rules! looks {
    ($($name:ident: $file:literal, $report:expr;)*) => {$(
        #[test]
        fn $name() {
            snapbox::assert_data_eq!(pictures(&$report), snapbox::file![$file].raw());
        }
    )*};
}

looks! {
    status_of_all: "screens/status.txt", status::tests::report();
    status_of_a_project: "screens/status-project.txt", told();
    history_of_all: "screens/history.txt", happened();
    explain_a_cold_build: "screens/explain-cold.txt", explained(true);
    explain_a_warm_build: "screens/explain-warm.txt", explained(false);
    gc_dry_run: "screens/gc-dry-run.txt", gc::Planned { store: STORE.into(), plan: plan(), foreign: Vec::new() };
    gc_done: "screens/gc.txt", collected();
    doctor_with_findings: "screens/doctor.txt", diagnosis();
    provision_of_a_new_directory: "screens/provision.txt", provisioned();
    rm_of_two_directories: "screens/rm.txt", removed();
}

fn provisioned() -> provision::Provisioned {
    let target = PathBuf::from(format!("{STORE}/projects/pantry/{}/target", id("new").short()));
    provision::Provisioned {
        store: STORE.into(),
        project: project("pantry"),
        summary: "rustc 1.96.0 · trixie".to_owned(),
        entry: Some(provision::Made { toolchain: id("new"), target, new: true }),
    }
}

fn told() -> status::Status {
    let mut report = status::tests::report();
    report.with_reasons = true;
    report.overview.entries.retain(|line| line.project.as_str() == "pantry");
    let uses = [
        used("pantry", true, 64.8, "first build of this project"),
        used("pantry", false, 6.0, "checkout changed: crates/label/src/lib.rs"),
        used("pantry", false, 0.4, ""),
    ];
    let at = UNIX_EPOCH + Duration::from_secs(1_799_990_000);
    report.overview.entries[0].uses = uses.map(|used| (used, at)).to_vec();
    report
}

fn used(name: &str, cold: bool, seconds: f64, why: &str) -> UseEvent {
    UseEvent {
        anew: false,
        project: project(name),
        toolchain: id(name),
        summary: "rustc 1.95.0 · bookworm".to_owned(),
        cold,
        outcome: Outcome::Succeeded,
        seconds,
        cold_seconds: Some(64.8),
        compiled: 3,
        size: 93_800_000,
        why: if why.is_empty() { Vec::new() } else { vec![why.to_owned()] },
    }
}

fn happened() -> history::History {
    let gone = Gone {
        project: Some(project("pantry")),
        what: "pantry 79a62db032fe".to_owned(),
        why: "least recently used, store over 20 GiB".to_owned(),
        bytes: 93_800_000,
    };
    let collection = Collection {
        by: Collector::Gc,
        freed: 93_800_000,
        gone: vec![gone],
        more: 2,
        unmet: Vec::new(),
    };
    let (rye, stale) = (project("rye"), Verdict::Stale);
    let events = [
        Event::Use(used("op-rbuilder", true, 640.0, "first build of this project")),
        Event::Use(used("pantry", false, 6.0, "checkout changed: crates/label/src/lib.rs")),
        Event::Comparison { project: rye, toolchain: id("rye"), verdict: stale },
        Event::Collection(collection),
    ];
    let at = |index: usize| UNIX_EPOCH + Duration::from_secs(1_800_000_000 + 60 * index as u64);
    let events = events.into_iter().enumerate();
    let events = events.map(|(index, event)| Happened { at: at(index), event }).collect();
    history::History { store: STORE.into(), events, earlier: 112, project: None }
}

fn remade() -> Remade {
    let input = ChangedInput {
        package: "label".to_owned(),
        unit: "build script, run".to_owned(),
        path: "/usr/include/zlib.h".to_owned(),
        owner: Some("zlib1g-dev:amd64".to_owned()),
        before: "file 0e0c431afddf".to_owned(),
        now: "file 8d50b2235f4e".to_owned(),
    };
    let packages = ["label".to_owned(), "pantry".to_owned()].into();
    Remade { packages, of: 61, inputs: vec![input] }
}

fn explained(cold: bool) -> explain::Explanation {
    let difference = Difference {
        part: "package".to_owned(),
        name: "libssl-dev".to_owned(),
        old: Some("3.0.15-1~deb12u1".to_owned()),
        new: Some("3.0.16-1~deb12u1".to_owned()),
    };
    let why = "git changed: HEAD is 88e0c4394d22841a906f65709f89d90df7bc06cb, was \
               31232b0bd5cce3afb80c2d3fec0134ecf9daf580";
    explain::Explanation {
        project: project("pantry"),
        toolchain: id("new"),
        summary: "rustc 1.96.0 · trixie · 3 flags".to_owned(),
        kind: if cold { explain::Told::Cold } else { explain::Told::Rebuilt },
        compiled: Some(if cold { 61 } else { 1 }),
        failed: None,
        why: vec!["checkout changed: crates/label/src/lib.rs".to_owned(), why.to_owned()],
        remade: if cold { Remade::default() } else { remade() },
        compared_with: cold.then(|| id("old")),
        differences: if cold { vec![difference] } else { Vec::new() },
    }
}

fn steps() -> Vec<Step> {
    let directory = |name: &str| What::Directory { project: project(name), toolchain: id(name) };
    let units = What::Units { project: project("pantry"), toolchain: id("new"), until: 9 };
    let max_size = ByteSize(20 << 30);
    let age = Why::Age { unused_seconds: 3_500_000, max_age_seconds: 2_592_000 };
    vec![
        Step { what: What::Trash { count: 4 }, why: Why::Trash, frees: usage(1_200_000) },
        Step { what: directory("op-rbuilder"), why: age, frees: usage(12_345_678_901) },
        Step { what: units, why: Why::Dead { builds: 3 }, frees: usage(30_000_000) },
        Step { what: directory("rye"), why: Why::MaxSize { max_size }, frees: usage(90_000_000) },
    ]
}

fn unmet() -> Unmet {
    Unmet::MaxSize { size: ByteSize(21 << 30), max_size: ByteSize(20 << 30) }
}

fn plan() -> Plan {
    let (before, after) = (usage(34 << 30), usage(21 << 30));
    Plan { steps: steps(), before, after, unmet: vec![unmet()], ..Plan::default() }
}

fn collected() -> gc::Collected {
    let stays =
        Fate::Stays { because: "in use by image builder (process 4711, for 12s)".to_owned() };
    let fates = [Fate::Gone, stays, Fate::Gone, Fate::Gone];
    let taken = steps().into_iter().zip(fates).map(|(step, fate)| Taken { step, fate });
    gc::Collected {
        store: STORE.into(),
        taken: taken.collect(),
        leftovers: 1,
        before: usage(34 << 30),
        after: usage(21 << 30),
        unmet: vec![unmet()],
        errors: Vec::new(),
        foreign: Vec::new(),
    }
}

fn diagnosis() -> doctor::Diagnosis {
    let checks = vec![
        Check::ok("store", format!("{STORE}, format 2, yours")),
        Check::warning(
            "timer",
            "nothing collects this store by the clock: what builds set aside stays on the disk",
            "install what `larder emit systemd` or `larder emit cron` prints",
        ),
        Check::failed(
            "filesystem",
            "the store is on NFS: locks, owners and times cannot be relied on there",
            "move it to a local disk: `larder move DIR`, or name another with --store",
        ),
        Check::not_checked("image", "there is no store"),
    ];
    doctor::Diagnosis { checks, failed: 1, warnings: 1 }
}

fn removed() -> rm::Removed {
    let directory =
        |name: &str, fate| rm::Unwanted { toolchain: id(name), usage: usage(93_800_000), fate };
    let directories = vec![
        directory("old", Fate::Gone),
        directory("new", Fate::Stays { because: "in use by larder run (process 4711)".to_owned() }),
    ];
    rm::Removed { project: project("pantry"), directories }
}
