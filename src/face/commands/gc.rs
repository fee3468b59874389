//! `larder gc`: collects what the policy does not keep.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Result;
use serde::Serialize;

use super::{DONE, FAILED, UNMET, existing_store, prometheus};
use crate::base::atomic;
use crate::base::quantity::Usage;
use crate::decide::policy::{Headroom, Plan, Policy, Unmet, What};
use crate::face::cli::GcArgs;
use crate::output::{self, Column, Output, Progress, Report, Screen, Stopwatch};
use crate::store::history::{Collector, Event};
use crate::store::{Foreign, Store, config, evict};
use crate::work::collect::{self, Fate, Taken, tidy};
use crate::work::relocate;

/// What would go.
#[derive(Serialize)]
pub(super) struct Planned {
    pub(super) store: PathBuf,
    #[serde(flatten)]
    pub(super) plan: Plan,
    /// What is among the projects and is none of larder's.
    pub(super) foreign: Vec<Foreign>,
}

/// What went.
#[derive(Serialize)]
pub(super) struct Collected {
    pub(super) store: PathBuf,
    pub(super) taken: Vec<Taken>,
    /// Files and directories that were left by work that was cut off.
    pub(super) leftovers: usize,
    pub(super) before: Usage,
    pub(super) after: Usage,
    pub(super) unmet: Vec<Unmet>,
    pub(super) errors: Vec<String>,
    /// What is among the projects and is none of larder's.
    pub(super) foreign: Vec<Foreign>,
}

pub(super) fn gc(store: Option<PathBuf>, arguments: &GcArgs, output: Output) -> Result<u8> {
    let mut watch = Stopwatch::default();
    let (store, guard) = existing_store(store, output)?;
    let policy = overridden(config::budgets(&store)?, arguments);
    let mut errors = Vec::new();
    if arguments.rescan {
        errors.extend(collect::rescan::rescan(&store, output)?);
    }
    // First, because it measures what was cut off before its size was recorded.
    let (leftovers, more) =
        if arguments.dry_run { (0, Vec::new()) } else { tidy::tidy(&store, &guard) };
    errors.extend(more.iter().map(output::one_line));
    watch.step("measure and tidy up");
    let now = SystemTime::now();
    let mut observed = collect::observe(&store)?;
    let plan = collect::decide(&store, &mut observed, &policy, Headroom::Exact, now)?;
    for small in &plan.too_small {
        output.warning(&small.to_string());
    }
    watch.step("plan");
    if arguments.dry_run {
        let code = if plan.unmet.is_empty() { DONE } else { UNMET };
        let foreign = store.foreign()?;
        let report = Planned { store: store.root().to_owned(), plan, foreign };
        output.report(&report, arguments.json)?;
        output.detail(&watch.summary());
        return Ok(code);
    }
    let before = plan.before;
    let mut taken = collect::carry_out(&store, &observed, &plan);
    tidy::remove_vacant(&store);
    watch.step("set aside");
    let stays = delete(&store, output);
    taken.splice(0..0, emptied(&plan, stays.first()));
    errors.extend(stays);
    watch.step("delete");
    let settled = relocate::settle(&store);
    errors.extend(settled.err().map(|error| output::one_line(&error.into())));
    store.measure_downloads(false)?;
    let observed = collect::observe(&store)?;
    let unmet = collect::unmet(&store, &observed, &policy, SystemTime::now())?;
    if let Some(collection) = collect::event(Collector::Gc, &taken, &unmet) {
        let remembered = store.remember(Event::Collection(collection));
        errors.extend(remembered.err().map(|error| output::one_line(&error.into())));
    }
    errors.extend(write_metrics(&store, arguments)?);
    let report = Collected {
        store: store.root().to_owned(),
        taken,
        leftovers,
        before,
        after: observed.usage(),
        unmet,
        errors,
        foreign: store.foreign()?,
    };
    output.report(&report, arguments.json)?;
    watch.step("look again");
    output.detail(&watch.summary());
    Ok(report.code(output))
}

/// Writes what Prometheus reads, if that is wanted; says why it could not be written.
fn write_metrics(store: &Store, arguments: &GcArgs) -> Result<Option<String>> {
    let Some(file) = &arguments.metrics else { return Ok(None) };
    let text = prometheus::exposition(store)?;
    let written = atomic::write_for_user(file, text.as_bytes());
    Ok(written.err().map(|error| output::one_line(&error.into())))
}

/// Empties the trash, which is where all that went is; says what stays.
fn delete(store: &Store, output: Output) -> Vec<String> {
    let progress = Progress::files(output, "deleting");
    let errors = evict::empty_trash(store, &|gone| progress.add(gone));
    errors.into_iter().map(|error| output::one_line(&error.into())).collect()
}

/// What became of the step that empties the trash, if there was one.
fn emptied(plan: &Plan, stays: Option<&String>) -> Option<Taken> {
    let step = plan.steps.iter().find(|step| matches!(step.what, What::Trash { .. }))?;
    let fate = stays.map_or(Fate::Gone, |error| Fate::Failed { error: error.clone() });
    Some(Taken { step: step.clone(), fate })
}

/// The policy with what the command line says instead.
fn overridden(mut policy: Policy, arguments: &GcArgs) -> Policy {
    policy.max_size = arguments.max_size.or(policy.max_size);
    policy.min_free = arguments.min_free.or(policy.min_free);
    for limits in policy.projects.values_mut().chain([&mut policy.general]) {
        limits.max_age = arguments.max_age.or(limits.max_age);
        limits.keep = arguments.keep.or(limits.keep);
        limits.grace = arguments.grace.unwrap_or(limits.grace);
        limits.keep_units = arguments.keep_units.unwrap_or(limits.keep_units);
    }
    policy.pinned.extend(arguments.pin.iter().cloned());
    policy
}

impl Collected {
    fn code(&self, output: Output) -> u8 {
        for error in &self.errors {
            output.warning(error);
        }
        let failed = |taken: &Taken| matches!(taken.fate, Fate::Failed { .. });
        if !self.errors.is_empty() || self.taken.iter().any(failed) {
            FAILED
        } else if self.unmet.is_empty() {
            DONE
        } else {
            UNMET
        }
    }
}

impl Report for Planned {
    fn text(&self) -> String {
        self.text_for(Screen::PLAIN)
    }

    fn text_for(&self, screen: Screen) -> String {
        let mut rows: Vec<Vec<String>> = Vec::new();
        for step in &self.plan.steps {
            rows.push(vec![
                step.what.to_string(),
                output::size(step.frees.bytes),
                step.why.to_string(),
            ]);
        }
        let mut text = if rows.is_empty() {
            "nothing would go\n".to_owned()
        } else {
            output::fitted(&columns("WOULD GO"), rows, screen)
        };
        text.push_str(&sums(self.plan.before, self.plan.after, &self.store));
        text.push_str(&sentences(&self.plan.unmet, screen));
        text + &strangers(&self.foreign, screen)
    }
}

impl Report for Collected {
    fn text(&self) -> String {
        self.text_for(Screen::PLAIN)
    }

    fn text_for(&self, screen: Screen) -> String {
        let mut rows = Vec::new();
        for Taken { step, fate } in &self.taken {
            let why = match fate {
                Fate::Gone => step.why.to_string(),
                Fate::Stays { because } => format!("stays: {because}"),
                Fate::Failed { error } => format!("stays: {error}"),
            };
            rows.push(vec![step.what.to_string(), output::size(step.frees.bytes), why]);
        }
        let table = match rows.as_slice() {
            [] => String::new(),
            _ => output::fitted(&columns("WENT"), rows, screen),
        };
        let leftovers = match self.leftovers {
            0 => String::new(),
            count => format!("{count} left by work that was cut off: gone\n"),
        };
        let sums = sums(self.before, self.after, &self.store);
        let foreign = strangers(&self.foreign, screen);
        [table, leftovers, sums, sentences(&self.unmet, screen), foreign].concat()
    }
}

/// What goes is never cut: it is what `rm` and `pin` take.
const fn columns(what: &'static str) -> [Column; 3] {
    [Column::new(what, 0), Column::new("SIZE", 0), Column::cut("WHY", 0, (40, 16))]
}

fn sums(before: Usage, after: Usage, store: &std::path::Path) -> String {
    let (before, after) = (output::size(before.bytes), output::size(after.bytes));
    if before == after {
        format!("{after} in {}\n", store.display())
    } else {
        format!("{before} → {after} in {}\n", store.display())
    }
}

fn sentences(unmet: &[Unmet], screen: Screen) -> String {
    unmet.iter().map(|unmet| output::wrapped(&unmet.to_string(), 2, screen)).collect()
}

fn strangers(foreign: &[Foreign], screen: Screen) -> String {
    let lines = foreign.iter().map(|it| it.in_words() + "\n");
    lines.map(|line| output::wrapped(&line, 2, screen)).collect()
}
