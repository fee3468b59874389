//! `larder verify`: a warm build, a cold one beside it, and whether they are the same.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Serialize;

use super::run::{self, exit_code};
use super::{DIFFERENT, DONE, open_store};
use crate::base::names::ProjectName;
use crate::decide::verdict::Verdict;
use crate::face::cli::VerifyArgs;
use crate::output::{Output, Report, Stopwatch};
use crate::store::Wait;
use crate::work::session::Use;
use crate::work::verify::{self, Comparison, NOTHING};

#[derive(Serialize)]
struct Verified {
    project: ProjectName,
    #[serde(flatten)]
    comparison: Comparison,
}

pub fn verify(store: Option<PathBuf>, arguments: VerifyArgs, output: Output) -> Result<u8> {
    let mut watch = Stopwatch::default();
    let wait = arguments.run.wait.unwrap_or(Wait::Forever);
    let (store, guard) = open_store(store, wait, output)?;
    let project = run::project(&store, arguments.run, output)?;
    if !project.keeps_cargo() {
        bail!(
            "verify compares what cargo leaves in target/; add --with cargo, or compare what the command leaves elsewhere by hand"
        );
    }
    watch.step("prepare");
    let answer = run::identify(&project, &store, output)?;
    watch.step("identify");
    let mut warm = Use::open(&store, &guard, &project, answer, output)?;
    watch.step("open");
    let command = project.words();
    warm.copy_sources()?;
    watch.step("copy");
    let done = warm.carry_out(&command, &mut watch)?;
    let code = exit_code(done, output)?;
    let code = if code == DONE {
        let Some(comparison) = verify::compare(&mut warm, &command)? else {
            bail!("{NOTHING}; give verify the command that builds, and let it build in target/");
        };
        let verdict = comparison.verdict;
        let report = Verified { project: project.name, comparison };
        output.report(&report, arguments.json)?;
        if verdict == Verdict::Same { DONE } else { DIFFERENT }
    } else {
        warm.clear_cold()?;
        output.warning("the command failed, so nothing was compared; mend the build first");
        code
    };
    drop(warm);
    watch.step("compare");
    run::empty_scraps(&store, output);
    watch.step("empty trash");
    output.detail(&watch.summary());
    Ok(code)
}

impl Report for Verified {
    fn text(&self) -> String {
        let Comparison { verdict, compared, differing, differing_in_sources, .. } =
            &self.comparison;
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
        let line =
            |place: &str, path: &PathBuf| format!("  differs in {place}: {}\n", path.display());
        let paths = differing.iter().map(|path| line("target/", path));
        let paths = paths.chain(differing_in_sources.iter().map(|path| line("the sources", path)));
        let unit = self
            .comparison
            .first_unit
            .iter()
            .map(|unit| format!("  the first unit that differs: {unit}\n"));
        text.extend(paths.chain(unit));
        text
    }
}
