//! What each profile and crate of a target directory takes, measured now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::quantity::Usage;
use crate::base::usage::{self, Counter};
use crate::observe::cargo_layout::{Layout, LayoutError, ProfileDir};
use crate::output;
use crate::store::EntryPaths;

/// What belongs together.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Part {
    /// The profile's directory, such as `release`.
    pub profile: PathBuf,
    /// The package, or what else is there, in brackets.
    pub name: String,
    #[serde(flatten)]
    pub usage: Usage,
}

/// The parts of a target directory and of the caches beside it, the largest first.
pub(crate) fn parts(paths: &EntryPaths) -> Result<Vec<Part>, LayoutError> {
    let target = &paths.target();
    let layout = Layout::scan(target)?;
    let mut parts: Vec<Part> =
        layout.profiles.iter().flat_map(|profile| of_profile(&layout, profile)).collect();
    let measured = parts.iter().fold(Usage::default(), |sum, part| sum.plus(part.usage));
    let usage = usage::measure(target).minus(measured);
    parts.push(Part { profile: PathBuf::from("."), name: "[the rest]".to_owned(), usage });
    for cache in std::fs::read_dir(paths.caches()).into_iter().flatten().flatten() {
        let name = format!("[{}]", cache.file_name().to_string_lossy());
        let usage = usage::measure(&cache.path());
        parts.push(Part { profile: PathBuf::from("caches"), name, usage });
    }
    parts.retain(|part| part.usage.bytes > 0);
    parts.sort_by(|a, b| b.usage.bytes.cmp(&a.usage.bytes).then(a.name.cmp(&b.name)));
    Ok(parts)
}

fn of_profile(layout: &Layout, profile: &ProfileDir) -> Vec<Part> {
    let mut sums: BTreeMap<String, Usage> = BTreeMap::new();
    let mut counter = Counter::default();
    let mut add = |name: &str, path: &Path| {
        let sum = sums.entry(name.to_owned()).or_default();
        *sum = sum.plus(counter.count(&layout.absolute(path)));
    };
    for unit in &profile.units {
        unit.paths.iter().for_each(|path| add(&unit.package, path));
    }
    profile.uplifted.iter().for_each(|path| add("[artifacts]", path));
    profile.incremental.iter().for_each(|path| add("[incremental]", path));
    let part = |(name, usage)| Part { profile: profile.path.clone(), name, usage };
    sums.into_iter().map(part).collect()
}

/// The parts for people.
pub(crate) fn table(parts: &[Part]) -> String {
    let mut rows = vec![["PROFILE", "CRATE", "SIZE", "FILES"].map(str::to_owned).to_vec()];
    rows.extend(parts.iter().map(|part| {
        let (profile, size) = (part.profile.display().to_string(), output::size(part.usage.bytes));
        vec![profile, part.name.clone(), size, part.usage.inodes.to_string()]
    }));
    output::table(&rows)
}
