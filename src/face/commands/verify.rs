//! `larder verify`: a warm build, a cold one beside it, and whether they are the same.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Serialize;

use super::run::{self, exit_code};
use super::{DIFFERENT, DONE};
use crate::base::names::ProjectName;
use crate::decide::verdict::Verdict;
use crate::face::cli::VerifyArgs;
use crate::observe::identity::CacheKind;
use crate::output::{Output, Report, Stopwatch};
use crate::work::project::{Kept, Project};
use crate::work::session::Session;
use crate::work::verify::{self, Comparison, NOTHING};

#[derive(Serialize)]
struct Verified {
    project: ProjectName,
    #[serde(flatten)]
    comparison: Comparison,
}

pub(super) fn verify(store: Option<PathBuf>, arguments: VerifyArgs, output: Output) -> Result<u8> {
    let mut watch = Stopwatch::default();
    let wanted = arguments.run;
    let kept = Kept::find(wanted.source.as_deref(), &wanted.with, &wanted.command)?;
    if !kept.with.contains(&CacheKind::Cargo) {
        bail!(
            "verify compares what cargo leaves in target/; add --with cargo, or compare what the command leaves elsewhere by hand"
        );
    }
    let (store, guard) = run::open(store, &wanted, output)?;
    let project = run::project(&store, kept, wanted, output)?;
    watch.step("prepare");
    let answer = run::identify(&project, &store, output)?;
    watch.step("identify");
    let mut warm = Session::open(&store, &guard, &project, answer, output)?;
    watch.step("open");
    let compared = build_and_compare(&mut warm, project, arguments.json, &mut watch, output);
    let discarded = if warm.is_throwaway() { warm.discard() } else { Ok(()) };
    let code = compared?;
    discarded?;
    watch.step("compare");
    run::empty_scraps(&store, output);
    watch.step("empty trash");
    output.detail(&watch.summary());
    Ok(code)
}

/// The warm build, and what came of the comparison.
fn build_and_compare(
    warm: &mut Session<'_>,
    project: Project,
    json: bool,
    watch: &mut Stopwatch,
    output: Output,
) -> Result<u8> {
    let command = project.words();
    let code = build_warm(warm, &command, watch, output);
    if !matches!(code, Ok(DONE)) {
        // Whatever went wrong is to be said; what cannot be removed now, a collection removes.
        let _ = warm.clear_cold();
    }
    let code = code?;
    if code != DONE {
        output.warning("the command failed, so nothing was compared; mend the build first");
        return Ok(code);
    }
    let Some(comparison) = verify::compare(warm, &command)? else {
        bail!("{NOTHING}; give verify the command that builds, and let it build in target/");
    };
    let verdict = comparison.verdict;
    let report = Verified { project: project.name, comparison };
    output.report(&report, json)?;
    Ok(if verdict == Verdict::Same { DONE } else { DIFFERENT })
}

/// The build that is compared, with copies of the sources made before it.
fn build_warm(
    warm: &mut Session<'_>,
    command: &[OsString],
    watch: &mut Stopwatch,
    output: Output,
) -> Result<u8> {
    warm.copy_sources()?;
    watch.step("copy");
    let done = warm.carry_out(command, watch)?;
    exit_code(done, output)
}

impl Report for Verified {
    fn text(&self) -> String {
        let Comparison { verdict, compared, failed_cold, first_unit, .. } = &self.comparison;
        let project = &self.project;
        let mut text = match verdict {
            Verdict::Same => {
                format!("{project}: warm and cold are the same, {compared} compared\n")
            }
            Verdict::Stale => format!(
                "{project}: STALE: two cold builds agree, and the warm one differs; its directory \
                 was set aside\n"
            ),
            Verdict::NotReproducible => {
                format!("{project}: not reproducible: two cold builds differ from each other\n")
            }
        };
        text.extend(
            failed_cold
                .iter()
                .map(|code| format!("  the command failed in a cold build, with code {code}\n")),
        );
        text.extend(self.comparison.lines());
        text.extend(
            first_unit.iter().map(|unit| format!("  the first unit that differs: {unit}\n")),
        );
        text
    }
}

impl Comparison {
    /// Every path that differs, a line each.
    fn lines(&self) -> impl Iterator<Item = String> {
        let line = |place: &str, path: &PathBuf| format!("  differs{place}: {}\n", path.display());
        let target = self.differing.iter().map(move |path| line(" in target/", path));
        let sources = self.differing_in_sources.iter();
        let sources = sources.map(move |path| line(" in the sources", path));
        let elsewhere = self.differing_elsewhere.iter().map(move |path| line("", path));
        target.chain(sources).chain(elsewhere)
    }
}
