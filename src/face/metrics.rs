//! What Prometheus reads of a store. Pure.
//!
//! Names and types by Prometheus's conventions: base units, counters end with `_total`, one family after
//! the other, each with its help and type (text format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::names::ProjectName;
use crate::base::quantity::Usage;
use crate::decide::policy::Disk;
use crate::store::history::{Collector, ProjectTotals, Totals};

/// A store as it is to be shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub store: PathBuf,
    /// What each project takes, and in how many directories.
    pub projects: BTreeMap<ProjectName, ProjectMetrics>,
    pub downloads: Usage,
    pub trash: Usage,
    pub max_size: Option<u64>,
    /// What has to stay free.
    pub min_free: Usage,
    pub disk: Disk,
    pub totals: Totals,
}

/// A project as it is to be shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProjectMetrics {
    pub directories: u64,
    pub in_use: u64,
    /// Those that cannot be used any more.
    pub broken: u64,
    /// What all of them take.
    pub usage: Usage,
    /// The project's own budget.
    pub max_size: Option<u64>,
    /// The last use, or when the last directory was made.
    pub last_use: Option<SystemTime>,
}

/// The text that Prometheus reads.
pub(crate) fn exposition(snapshot: &Snapshot) -> String {
    let store = snapshot.store.to_string_lossy().into_owned();
    let mut text = Exposition { store, ..Exposition::default() };
    of_store(snapshot, &mut text);
    of_projects(snapshot, &mut text);
    of_totals(&snapshot.totals, &mut text);
    text.text
}

fn of_store(snapshot: &Snapshot, text: &mut Exposition) {
    let projects = snapshot.projects.values().map(|project| project.usage);
    let sizes = [
        ("directories", projects.fold(Usage::default(), Usage::plus)),
        ("downloads", snapshot.downloads),
        ("trash", snapshot.trash),
    ];
    text.family("larder_store_size_bytes", "gauge", "Allocated bytes in the store, as recorded.");
    for (part, usage) in sizes {
        text.sample(&[("part", part)], usage.bytes);
    }
    text.family("larder_store_inodes", "gauge", "Inodes in the store, as recorded.");
    for (part, usage) in sizes {
        text.sample(&[("part", part)], usage.inodes);
    }
    if let Some(max_size) = snapshot.max_size {
        text.family("larder_store_max_size_bytes", "gauge", "What the store may take.");
        text.sample(&[], max_size);
    }
    let Disk { total, free } = snapshot.disk;
    let filesystem = [
        ("larder_filesystem_size_bytes", "Size of the store's filesystem.", total.bytes),
        (
            "larder_filesystem_free_bytes",
            "What a plain user may still take of the store's filesystem.",
            free.bytes,
        ),
        ("larder_filesystem_free_inodes", "Free inodes of the store's filesystem.", free.inodes),
        ("larder_filesystem_min_free_bytes", "What has to stay free.", snapshot.min_free.bytes),
        (
            "larder_filesystem_min_free_inodes",
            "Inodes that have to stay free.",
            snapshot.min_free.inodes,
        ),
    ];
    for (name, help, value) in filesystem {
        text.family(name, "gauge", help);
        text.sample(&[], value);
    }
}

fn of_projects(snapshot: &Snapshot, text: &mut Exposition) {
    type Value = fn(&ProjectMetrics) -> Option<u64>;
    let families: [(&str, &str, Value); 6] = [
        ("larder_project_directories", "Target directories of a project.", |it| {
            Some(it.directories)
        }),
        (
            "larder_project_directories_in_use",
            "Target directories of a project that are in use.",
            |it| Some(it.in_use),
        ),
        (
            "larder_project_directories_broken",
            "Target directories of a project that no build uses any more.",
            |it| Some(it.broken),
        ),
        (
            "larder_project_size_bytes",
            "Allocated bytes of a project's target directories, as recorded.",
            |it| Some(it.usage.bytes),
        ),
        ("larder_project_max_size_bytes", "What a project's target directories may take.", |it| {
            it.max_size
        }),
        ("larder_project_last_use_timestamp_seconds", "When a project was last used.", |it| {
            it.last_use.map(seconds)
        }),
    ];
    for (name, help, value) in families {
        let known: Vec<_> = snapshot
            .projects
            .iter()
            .filter_map(|(project, it)| Some((project.as_str(), value(it)?)))
            .collect();
        if !known.is_empty() {
            text.family(name, "gauge", help);
        }
        for (project, value) in known {
            text.sample(&[("project", project)], value);
        }
    }
}

fn of_totals(totals: &Totals, text: &mut Exposition) {
    if !totals.projects.is_empty() {
        text.family("larder_uses_total", "counter", "Commands run on target directories.");
        for (project, of_project) in &totals.projects {
            let ProjectTotals { cold, cold_failed, warm, warm_failed, .. } = *of_project;
            for (start, outcome, count) in [
                ("cold", "succeeded", cold),
                ("cold", "failed", cold_failed),
                ("warm", "succeeded", warm),
                ("warm", "failed", warm_failed),
            ] {
                let labels =
                    [("project", project.as_str()), ("start", start), ("outcome", outcome)];
                text.sample(&labels, count);
            }
        }
        text.family("larder_use_seconds_total", "counter", "Seconds that commands took.");
        for (project, of_project) in &totals.projects {
            text.sample(&[("project", project.as_str())], of_project.seconds);
        }
        text.family(
            "larder_saved_seconds_total",
            "counter",
            "Seconds of cold builds less those of the warm ones in their place.",
        );
        for (project, of_project) in &totals.projects {
            text.sample(&[("project", project.as_str())], of_project.saved_seconds);
        }
        text.family(
            "larder_verifications_total",
            "counter",
            "Warm builds compared with cold ones, by verdict.",
        );
        for (project, of_project) in &totals.projects {
            let ProjectTotals { same, stale, not_reproducible, .. } = *of_project;
            for (verdict, count) in
                [("same", same), ("stale", stale), ("not-reproducible", not_reproducible)]
            {
                text.sample(&[("project", project.as_str()), ("verdict", verdict)], count);
            }
        }
    }
    of_collections(totals, text);
}

fn of_collections(totals: &Totals, text: &mut Exposition) {
    text.family(
        "larder_collected_bytes_total",
        "counter",
        "Bytes that were collected, as recorded.",
    );
    for (name, collector) in [("gc", Collector::Gc), ("run", Collector::Run), ("rm", Collector::Rm)]
    {
        text.sample(&[("by", name)], totals.freed.get(&collector).copied().unwrap_or(0));
    }
    if let Some(last) = &totals.last_collection {
        text.family(
            "larder_last_collection_timestamp_seconds",
            "gauge",
            "When `larder gc` was last done.",
        );
        text.sample(&[], seconds(last.at));
        text.family(
            "larder_last_collection_unmet_budgets",
            "gauge",
            "Budgets that did not hold after the last `larder gc`.",
        );
        text.sample(&[], last.unmet);
    }
}

fn seconds(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The text, with the store's path as a label of every sample.
#[derive(Default)]
struct Exposition {
    store: String,
    /// The family that samples belong to.
    name: String,
    text: String,
}

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        name.clone_into(&mut self.name);
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let _ = write!(self.text, "{}{{store=\"{}\"", self.name, escaped(&self.store));
        for (name, label) in labels {
            let _ = write!(self.text, ",{name}=\"{}\"", escaped(label));
        }
        let _ = writeln!(self.text, "}} {value}");
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
