//! `larder pull`: what another machine pushed, in the place of what is here, if it is newer.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use serde::Serialize;

use super::run::empty_scraps;
use super::{DONE, FAILED, open_store};
use crate::base::names::ProjectName;
use crate::face::cli::PullArgs;
use crate::observe::identity::CacheKind;
use crate::output::{self, Output, Report, seconds, size};
use crate::store::config::domains;
use crate::store::{Store, history};
use crate::work::project::{Kept, Project};
use crate::work::share::{AcceptedPush, Own, Pulled, Share, ShareError, Whose};

#[derive(Serialize)]
struct PullReport {
    project: ProjectName,
    /// That of the first directory; where several commands were pushed, the others are below.
    #[serde(flatten)]
    pulled: Option<Pulled>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Pulled>,
    up_to_date: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

pub(super) fn pull(store: Option<PathBuf>, arguments: &PullArgs, output: Output) -> Result<u8> {
    let (store, _guard) = open_store(store, None, output)?;
    let share = Share::needed(&store, output)?.for_a_pull();
    let done = take_newest(&store, &share, arguments, output);
    empty_scraps(&store, output);
    done
}

/// Takes what fits, and reports it.
fn take_newest(
    store: &Store,
    share: &Share<'_>,
    arguments: &PullArgs,
    output: Output,
) -> Result<u8> {
    let PullArgs { project, source, command, domain, .. } = arguments;
    let domains = domains(store, domain.clone(), None)?;
    let kept = Kept::find(source.as_deref(), &[CacheKind::Cargo], command)?;
    let project = Project::find(store, project.clone(), kept, command, domains)?;
    let (looked, answer) = rayon::join(|| share.look(&project.name), || project.identify(store));
    let (looked, answer) = (looked?, answer?);
    let veil = project.veil(store)?;
    let variables = veil.marks(&answer.surroundings.variables);
    let own = Own { identity: answer.identity.recorded(&veil)?, variables };
    let identity = &own.identity;
    let whose = if command.is_empty() { Whose::Place(identity) } else { Whose::Command(identity) };
    let mut report = PullReport {
        project: project.name.clone(),
        pulled: None,
        others: Vec::new(),
        up_to_date: 0,
        refused: None,
    };
    let found = match share.find(&looked, &project.name, whose) {
        Err(error @ ShareError::Refused { .. }) => return refuse(report, error, arguments, output),
        Err(ShareError::Nothing) => {
            let why = share.why_nothing(&looked, &project.name, whose);
            let name = &project.name;
            bail!("nothing was pushed of {name} that fits: {why}; build it, and `larder push` it")
        }
        other => other?,
    };
    for found in found {
        match take(store, share, &project, &found, &own, output) {
            Err(error @ ShareError::Refused { .. }) => {
                return refuse(report, error, arguments, output);
            }
            Err(error) => return Err(error.into()),
            Ok(None) => report.up_to_date += 1,
            Ok(pulled) if report.pulled.is_none() => report.pulled = pulled,
            Ok(pulled) => report.others.extend(pulled),
        }
    }
    output.report(&report, arguments.json)?;
    Ok(DONE)
}

fn refuse(
    mut report: PullReport,
    error: ShareError,
    arguments: &PullArgs,
    output: Output,
) -> Result<u8> {
    if !arguments.json {
        return Err(error.into());
    }
    report.refused = Some(output::one_line(&anyhow::Error::from(error)));
    output.report(&report, true)?;
    Ok(FAILED)
}

/// Takes what was found, unless it is here already.
fn take(
    store: &Store,
    share: &Share<'_>,
    project: &Project,
    found: &AcceptedPush,
    own: &Own,
    output: Output,
) -> Result<Option<Pulled>, ShareError> {
    let id = found.toolchain();
    let asked = Instant::now();
    let lock = project.lock(store, id, output)?;
    let share = share.later(asked.elapsed());
    let paths = store.entry(&project.name, id);
    if found.is_there_already(store, &paths) {
        return Ok(None);
    }
    let pulled = share.take(found, own, &paths, &lock)?;
    history::remember(store, pulled.event(&project.name), output);
    Ok(Some(pulled))
}

impl Report for PullReport {
    fn text(&self) -> String {
        let line = |pulled: &Pulled| {
            let Pulled { toolchain, counter, signer, .. } = pulled;
            let (id, all) = (toolchain.short(), size(pulled.bytes));
            let (kept, time) = (size(pulled.bytes_kept), seconds(pulled.seconds));
            let project = &self.project;
            format!(
                "pulled {project} {id}: push {counter} of {signer}, {all}, of which {kept} were here, {time}\n"
            )
        };
        let mut text: String = self.pulled.iter().chain(&self.others).map(line).collect();
        if self.up_to_date > 0 {
            let _ = writeln!(text, "{}: {} up to date", self.project, self.up_to_date);
        }
        text
    }
}
