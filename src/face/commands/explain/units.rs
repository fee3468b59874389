//! What the units of a package looked up when they were made.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Serialize;

use crate::base::atomic;
use crate::base::names::{ProjectName, ToolchainId};
use crate::observe::cargo_layout::{Layout, Unit};
use crate::observe::trace::{Input, Traces};
use crate::output::Report;
use crate::store::{EntryRecord, Store, TargetManifest};

/// The units of one package in one directory.
#[derive(Serialize)]
pub(super) struct PackageLookups {
    project: ProjectName,
    toolchain: ToolchainId,
    package: String,
    units: Vec<UnitLookups>,
}

/// One unit.
#[derive(Serialize)]
struct UnitLookups {
    /// The directory of its fingerprint, relative to the target directory.
    fingerprint: PathBuf,
    kind: &'static str,
    /// Whether all that it looked up is known.
    observed: bool,
    /// Why not, if so.
    gaps: Vec<&'static str>,
    /// Whether it asked git.
    git: bool,
    inputs: Vec<Line>,
}

/// One path.
#[derive(Serialize)]
struct Line {
    path: PathBuf,
    found: String,
}

/// Of the directory that was used last.
pub(super) fn of(store: &Store, record: &EntryRecord, package: &str) -> Result<PackageLookups> {
    let paths = store.entry(&record.project, record.toolchain);
    let manifest = atomic::undamaged(atomic::read_binary::<TargetManifest>(&paths.manifest()))?;
    let traces = manifest.map(|manifest| manifest.traces).unwrap_or_default();
    let layout = Layout::scan(&paths.target())?;
    let units = layout.units().filter(|unit| unit.package == package);
    let units: Vec<UnitLookups> = units.map(|unit| looked(unit, &traces)).collect();
    if units.is_empty() {
        bail!(
            "{} {} holds no unit of {package}; name a package as Cargo.lock does",
            record.project,
            record.toolchain.short()
        );
    }
    let (project, toolchain) = (record.project.clone(), record.toolchain);
    Ok(PackageLookups { project, toolchain, package: package.to_owned(), units })
}

fn looked(unit: &Unit, traces: &Traces) -> UnitLookups {
    let trace = traces.of(unit);
    let inputs = trace.into_iter().flat_map(|trace| traces.inputs_of(trace));
    let mut inputs: Vec<Line> = inputs.map(line).collect();
    inputs.sort_by(|one, other| one.path.cmp(&other.path));
    UnitLookups {
        fingerprint: unit.fingerprint.clone(),
        kind: unit.in_words(),
        observed: traces.observe(unit),
        gaps: trace.iter().flat_map(|trace| &trace.gaps).map(|gap| gap.in_words()).collect(),
        git: trace.is_some_and(|trace| trace.git),
        inputs,
    }
}

fn line(input: &Input) -> Line {
    Line { path: input.path().to_owned(), found: input.in_words() }
}

impl Report for PackageLookups {
    fn text(&self) -> String {
        let mut text = format!("{} {}: {}", self.project, self.toolchain.short(), self.package);
        for unit in &self.units {
            let name = unit.fingerprint.file_name().map_or(&*unit.fingerprint, Path::new).display();
            let _ = write!(text, "\n{name} ({}): ", unit.kind);
            match (unit.observed, unit.gaps.is_empty()) {
                (true, _) => {
                    let _ = write!(text, "{} paths looked up", unit.inputs.len());
                }
                (false, true) => text.push_str("not watched when it was made"),
                (false, false) => {
                    let _ = write!(text, "not all is known ({})", unit.gaps.join(", "));
                }
            }
            if unit.git {
                text.push_str(", and git asked");
            }
            for line in &unit.inputs {
                let _ = write!(text, "\n  {}: {}", line.path.display(), line.found);
            }
        }
        text
    }
}
