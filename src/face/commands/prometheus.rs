//! What Prometheus is told: by `larder status --prometheus` and `larder gc --metrics`.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::base::names::ProjectName;
use crate::face::metrics::{self, ProjectMetrics, Snapshot};
use crate::store::{Store, config, evict};
use crate::work::collect;

/// A store as Prometheus reads it, from the records.
pub(super) fn exposition(store: &Store) -> Result<String> {
    let policy = config::budgets(store)?;
    let disk = collect::disk(store)?;
    let rows = store.all_rows()?;
    let users = store.users(&rows);
    let mut projects: BTreeMap<ProjectName, ProjectMetrics> = BTreeMap::new();
    for (row, user) in rows.iter().zip(users) {
        let project = projects.entry(row.project.clone()).or_insert_with(|| ProjectMetrics {
            max_size: policy.limits(&row.project).max_size.map(|size| size.0),
            ..ProjectMetrics::default()
        });
        project.directories += 1;
        project.in_use += u64::from(user.is_some());
        match &row.record {
            Ok(record) => {
                project.usage = project.usage.plus(record.usage());
                project.last_use = project.last_use.max(Some(record.last_use()));
            }
            Err(_) => project.broken += 1,
        }
    }
    Ok(metrics::exposition(&Snapshot {
        store: store.root().to_owned(),
        projects,
        downloads: store.downloads(),
        trash: evict::in_trash(store).1,
        max_size: policy.max_size.map(|size| size.0),
        min_free: policy.least_free(&disk),
        disk,
        totals: store.totals(),
    }))
}
