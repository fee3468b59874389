//! Warm against cold: the same command in an empty directory at the same path, with the sources as they were
//! before the warm build, and everything that it leaves compared byte for byte.
//!
//! A difference has two causes. Either what was kept is not what a cold build makes: stale. Or cold
//! builds differ among themselves: not reproducible, and nothing that larder keeps could be right. A
//! second cold build tells them apart (decision 28).

mod left;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use crate::base::tree::Tree;
use crate::decide::verdict::Verdict;
use crate::observe::cargo_layout::{Layout, Unit, is_unit_note};
use crate::work::session::{Cold, Session};

use self::left::{Left, Thing, differing};

/// Said where nothing can be compared.
pub(crate) const NOTHING: &str = "the command left nothing in target/ and changed nothing in the sources, so there is nothing to compare";

/// A comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Comparison {
    /// What came of it.
    pub verdict: Verdict,
    /// How many files in `target/` were compared.
    pub artifacts: usize,
    /// How many files were compared, with those of the sources that a build wrote, changed or deleted.
    pub compared: usize,
    /// The files that differ, or that only one of the builds has; relative to `target/`.
    pub differing: Vec<PathBuf>,
    /// The same of the sources.
    pub differing_in_sources: Vec<PathBuf>,
    /// The same of directories outside of both in which Cargo puts artifacts; absolute.
    pub differing_elsewhere: Vec<PathBuf>,
    /// Whether the cold builds had copies of the sources as they were before the warm one.
    pub independent: bool,
    /// With which code the command failed in a cold build, if it did.
    pub failed_cold: Option<i32>,
    /// The first unit that differs, in the order in which the cold build made them.
    pub first_unit: Option<String>,
}

impl Comparison {
    fn differs(&self) -> bool {
        let all = [&self.differing, &self.differing_in_sources, &self.differing_elsewhere];
        all.iter().any(|names| !names.is_empty())
    }
}

/// What a build left.
struct Build {
    target: Left,
    sources: Left,
    results: Left,
}

impl Build {
    fn of(cold: &Cold) -> Result<Self> {
        let sources = cold.source.as_deref().map(|source| left::in_sources(source, &cold.apart));
        let mut results = Left::new();
        for (place, copy) in &cold.results {
            results.extend(left::in_results(copy, place)?);
        }
        Ok(Self {
            target: left::in_target(&cold.dir)?,
            sources: sources.transpose()?.unwrap_or_default(),
            results,
        })
    }

    fn differs(&self, other: &Self) -> [Vec<PathBuf>; 3] {
        [
            differing(&self.target, &other.target),
            differing(&self.sources, &other.sources),
            differing(&self.results, &other.results),
        ]
    }
}

/// Builds cold beside a warm build that has just succeeded, and compares. What differs is set
/// aside if it is stale. Nothing where there is nothing to compare.
///
/// The sources are to be copied before the warm build.
pub(crate) fn compare(warm: &mut Session<'_>, command: &[OsString]) -> Result<Option<Comparison>> {
    let compared = compare_and_leave(warm, command);
    if compared.is_err() {
        // Why it failed is what is to be said; what cannot be removed now, a collection removes.
        let _ = warm.leave_cold();
    }
    compared
}

fn compare_and_leave(warm: &mut Session<'_>, command: &[OsString]) -> Result<Option<Comparison>> {
    let cold = warm.build_cold(command, 1)?;
    let (mine, one) = (left_warm(warm, &cold)?, Build::of(&cold)?);
    let mut comparison = compared(warm, &cold, &mine, &one)?;
    if comparison.compared == 0 && cold.code == 0 {
        warm.leave_cold()?;
        return Ok(None);
    }
    if cold.code != 0 || comparison.differs() {
        let again = warm.build_cold(command, 2)?;
        let other = Build::of(&again)?;
        let is_stale = cold.code == again.code && is_stale(&comparison, &one, &other);
        comparison.verdict = if is_stale { Verdict::Stale } else { Verdict::NotReproducible };
        comparison.failed_cold = [cold.code, again.code].into_iter().find(|code| *code != 0);
        let beside = if is_stale { &warm.kept() } else { &again.dir };
        comparison.first_unit = first_unit(beside, &cold.dir)?;
    }
    warm.end_cold(comparison.verdict)?;
    Ok(Some(comparison))
}

/// The warm build and one cold one.
fn compared(warm: &Session<'_>, cold: &Cold, mine: &Build, one: &Build) -> Result<Comparison> {
    let [differing, differing_in_sources, differing_elsewhere] = mine.differs(one);
    let in_target = union(mine.target.keys(), one.target.keys());
    Ok(Comparison {
        verdict: Verdict::Same,
        artifacts: in_target,
        compared: in_target + written(warm, cold, mine, one)?,
        differing,
        differing_in_sources,
        differing_elsewhere,
        independent: cold.source.is_some(),
        failed_cold: None,
        first_unit: None,
    })
}

/// Whether two cold builds agree on something that the warm one has otherwise, or on all.
fn is_stale(comparison: &Comparison, one: &Build, other: &Build) -> bool {
    let apart = one.differs(other);
    let differing =
        [&comparison.differing, &comparison.differing_in_sources, &comparison.differing_elsewhere];
    let agree = differing
        .iter()
        .zip(&apart)
        .any(|(names, apart)| names.iter().any(|name| !apart.contains(name)));
    agree || apart.iter().all(Vec::is_empty)
}

/// What the warm build left; the sources and what is beside them only where the cold one had others.
fn left_warm(warm: &Session<'_>, cold: &Cold) -> Result<Build> {
    let sources = || left::in_sources(warm.checkout(), &cold.apart);
    let sources = if cold.source.is_some() { sources()? } else { Left::new() };
    let mut results = Left::new();
    for (place, _) in &cold.results {
        results.extend(left::in_results(place, place)?);
    }
    Ok(Build { target: left::in_target(&warm.kept())?, sources, results })
}

/// How many files outside of `target/` the builds wrote, changed or deleted: the copies for the second cold
/// build are what they were before.
fn written(warm: &Session<'_>, cold: &Cold, mine: &Build, one: &Build) -> Result<usize> {
    let (Some(copy), Some(before)) = (&cold.source, warm.copied(2)) else { return Ok(0) };
    let left = left::in_sources(&before, &cold.apart)?;
    let (mine, its) = (differing(&left, &mine.sources), differing(&left, &one.sources));
    let again = rewritten(&one.sources, Path::new(""), copy, &before);
    let sources = mine.iter().chain(&its).chain(&again).collect::<BTreeSet<_>>().len();
    let results = cold.results.iter().zip(warm.results(2));
    let results = results
        .map(|((place, copy), (_, before))| rewritten(&one.results, place, copy, &before).len());
    Ok(sources + results.sum::<usize>())
}

/// The files below `place` that a build wrote in a copy of it, be it what was there before.
fn rewritten(left: &Left, place: &Path, copy: &Path, before: &Path) -> Vec<PathBuf> {
    let time = |path: PathBuf| path.symlink_metadata().and_then(|it| it.modified()).ok();
    let files = left.iter().filter(|(_, thing)| !matches!(thing, Thing::Directory(_)));
    let names = files.filter_map(|(path, _)| path.strip_prefix(place).ok());
    let names = names.filter(|name| time(copy.join(name)) != time(before.join(name)));
    names.map(Path::to_owned).collect()
}

fn union<'p>(
    one: impl Iterator<Item = &'p PathBuf>,
    other: impl Iterator<Item = &'p PathBuf>,
) -> usize {
    one.chain(other).collect::<BTreeSet<_>>().len()
}

/// The unit of `cold` that was started first among those whose files `other` has otherwise.
fn first_unit(other: &Path, cold: &Path) -> Result<Option<String>> {
    let layout = Layout::scan(cold)?;
    let mut units: Vec<&Unit> = layout.units().collect();
    // Two may be started in one tick of the file clock; what is needed is done first.
    units.sort_by_key(|unit| (unit.started, unit.finished.map(|done| done.at)));
    for unit in units {
        for path in unit.paths.iter().filter(|path| **path != unit.fingerprint) {
            if let Some(file) = first_difference(&cold.join(path), &other.join(path))? {
                let whole = file.as_os_str().is_empty();
                let file = if whole { path.clone() } else { path.join(file) };
                return Ok(Some(format!("{} ({})", unit.package, file.display())));
            }
        }
    }
    Ok(None)
}

/// The first file of a unit that differs in content; what only notes times and paths is left out.
fn first_difference(cold: &Path, other: &Path) -> Result<Option<PathBuf>> {
    if is_unit_note(cold) {
        return Ok(None);
    }
    let look = |path: &Path| Tree::observe(path, None, |below, _| !is_unit_note(below));
    let changes = look(cold)?.changes_since(&look(other)?);
    Ok(changes.into_iter().next().map(|change| change.path))
}
