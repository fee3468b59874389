//! Opening: what a use needs is found, locked and put together.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::seed::{Sight, seed};
use super::sharing::{Own, pull_when_cold};
use super::start::{self, Unopened};
use super::waiting::wait_for_cargo;
use super::{Checkout, Held, Session};
use crate::host::home::Home;
use crate::host::link;
use crate::observe::identity::{Answer, IdentityRecord, Surroundings, Veil};
use crate::observe::sources::{Built, Downloads, Where};
use crate::output::Output;
use crate::store::{Guard, Lock, OpenEntry, Store, Wait};
use crate::work::caches::Caches;
use crate::work::project::Project;
use crate::work::situation::View;
use crate::work::sweep;

impl<'a> Session<'a> {
    /// Locks and opens the directory that the answer asks for.
    pub(crate) fn open(
        store: &'a Store,
        guard: &'a Guard,
        project: &Project,
        answer: Answer,
        output: Output,
    ) -> Result<Self> {
        let Answer { identity, surroundings } = answer;
        let veil = project.veil(store)?;
        let has_cargo = project.keeps_cargo();
        if let Some(note) = surroundings.note.as_ref().filter(|_| has_cargo) {
            output.note(note);
        }
        let outside = |path: &Path| project.place.outside(path, &project.source);
        let target = surroundings.target.as_deref().filter(|_| has_cargo).map(outside);
        target.as_deref().map_or(Ok(()), link::check)?;
        let paths = store.entry(&project.name, identity.id());
        let home = || Home::new(paths.cargo(), outside(&surroundings.cargo_home), project.way);
        let home = has_cargo.then(home);
        let caches = Caches::new(&paths, &surroundings, project, output);
        let nowhere = || paths.dir.join("none");
        let built = Built {
            target: target.clone().unwrap_or_else(nowhere),
            results: surroundings.results.as_deref().map(outside),
            artifacts: surroundings.artifacts.as_deref().map(outside),
            store: Some(store.root().to_owned()).filter(|root| root.starts_with(&project.source)),
        };
        let shares = home.as_ref().is_some_and(|home| home.kept().is_some());
        let downloads = Downloads {
            registry: home.as_ref().map_or_else(nowhere, Home::registry),
            git: home.as_ref().map_or_else(nowhere, Home::git),
            kept: shares,
        };
        let sources = Where { built, downloads, ..sources(project, &surroundings, &veil) };
        let source = project.place.inside(&project.source);
        let downloads = ["registry", "git"].map(|name| surroundings.cargo_home.join(name));
        let known = [source.clone()].into_iter().chain(surroundings.target).chain(downloads);
        let view = View { known: known.collect(), source, command: identity.command().to_vec() };
        let unopened = Unopened::of(store, project, &paths);
        let lock = start::lock(store, project, &identity, &veil, output)?;
        let identity = identity.recorded(&veil)?;
        let place = target.clone().unwrap_or_else(|| project.source.join("target"));
        let (place, claim) = project.claim(&place, output)?;
        target.as_deref().map_or(Ok(()), link::check)?;
        end_sweep(store, project, &identity, output)?;
        let own = Own { identity, variables: sources.variables.clone() };
        let sight = Sight { sources: &sources, view: &view };
        let (entry, broken) = open_entry(store, project, own, lock, &sight, output)?;
        let (way, wait) = (project.way, project.settings.wait);
        let cargo = Some(wait_for_cargo(&entry.paths().target(), wait, output)?);
        let downloads = shares.then(|| hold_downloads(store, wait, output)).transpose()?;
        unopened.opened();
        Ok(Self {
            store,
            output,
            entry,
            held: Held { _claim: claim, _guard: guard, _downloads: downloads, cargo },
            checkout: Checkout { target, way, place, home, sources, view },
            caches,
            broken,
            beside: Vec::new(),
            is_given_up: false,
        })
    }
}

/// Keeps the downloads in the store from who would remove them, saying so if it has to wait.
fn hold_downloads(store: &Store, wait: Wait, output: Output) -> Result<Guard> {
    let busy = |holder: &str| {
        output.note(&format!("waiting for the downloads in the store: in use by {holder}"));
    };
    Ok(store.hold_downloads(wait, busy)?)
}

/// Where the sources are, as far as the tools do not matter.
fn sources(project: &Project, surroundings: &Surroundings, veil: &Veil) -> Where {
    let outside = |path: &PathBuf| project.place.outside(path, &project.source);
    Where {
        source: project.source.clone(),
        root: project.place.root().to_owned(),
        vendor: surroundings.vendor.iter().map(outside).collect(),
        extra_roots: surroundings.extra_roots.iter().map(outside).collect(),
        source_date_epoch: surroundings.source_date_epoch.clone(),
        variables: veil.marks(&surroundings.variables),
        home: surroundings.home.clone(),
        ..Where::default()
    }
}

/// Opens the directory, saying so if the one that was there was set aside; before that, what another machine made of it is
/// pulled where it would be cold, and else what fits of another identity is taken.
fn open_entry(
    store: &Store,
    project: &Project,
    own: Own,
    lock: Lock,
    sight: &Sight<'_>,
    output: Output,
) -> Result<(OpenEntry, Option<String>)> {
    pull_when_cold(store, project, &own, &lock, output);
    seed(store, project, &own.identity, &lock, sight, output);
    let (entry, broken) = OpenEntry::open(store, &project.name, own.identity, lock)?;
    if let Some(reason) = &broken {
        output.note(&format!(
            "the kept directory of {} was set aside, because {reason}; building cold",
            project.name
        ));
    }
    Ok((entry, broken))
}

/// Ends a sweep that was cut off: only then is the directory what its records say.
fn end_sweep(
    store: &Store,
    project: &Project,
    identity: &IdentityRecord,
    output: Output,
) -> Result<()> {
    let kept = store.entry(&project.name, identity.id());
    if sweep::is_pending(&kept) {
        let _cargo = wait_for_cargo(&kept.target(), project.settings.wait, output)?;
        sweep::finish(store, &kept)?;
    }
    Ok(())
}
