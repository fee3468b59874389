//! What the page shows of what happened: collections and comparisons.

use std::time::SystemTime;

use super::bars::{self, Bar};
use super::builds::Period;
use super::html::Html;
use super::table::{Cell, Head, dash, table};
use super::tables::left_out;
use super::words::epoch;
use super::{Data, ProjectFigures, words};
use crate::base::names::{ProjectName, ToolchainId};
use crate::decide::verdict::Verdict;
use crate::face::overview::Line;
use crate::output;
use crate::store::history::{Collection, Collector, Event, Happened};

/// So many things that happened are told of.
const EVENTS: usize = 30;
/// The same of comparisons of directories that are kept.
const DIRECTORIES: usize = 250;

/// What collection freed, when and why.
pub(super) fn freed(data: &Data, html: &mut Html) {
    if data.collections.is_empty() {
        html.raw("<p>No collection that took anything is known of yet.</p>");
        return;
    }
    html.raw("<div class=\"beside\">");
    by_week(data, html);
    html.raw("<div>");
    by_reason(data, html);
    html.raw("</div></div><p class=\"note\">What a build sets aside to make room counts when that happens, ");
    html.raw("not once more when the trash is emptied.</p><details><summary>The weeks as a table</summary>");
    let weeks = data.weeks.iter().rev().map(|week| {
        vec![Cell::Name(words::days(week.start.0, week.end.0)), Cell::size(week.freed)]
    });
    table(html, None, "Bytes freed by week", &[(false, "Days"), (true, "Freed")], weeks);
    html.raw("</details>");
    let heads = [
        (false, "When (UTC)"),
        (false, "By"),
        (true, "Freed"),
        (true, "Things"),
        (false, "First of them"),
        (false, "Why"),
    ];
    let all = words::count(data.collections.len(), "collection", "collections");
    let caption = format!("The latest of {all}, as recorded");
    let rows = data.collections.iter().rev().take(EVENTS).filter_map(collection);
    table(html, Some("table-collections"), caption, &heads, rows);
}

fn by_week(data: &Data, html: &mut Html) {
    html.raw("<figure><figcaption><h3>By week</h3>Counted back from now</figcaption>");
    let bar = |week: &Period| {
        let (days, size) = (words::days(week.start.0, week.end.0), words::size(week.freed));
        let (label, value) = (words::day(week.start.0), words::number(week.freed));
        Bar { label, value, tip: format!("{days}: {size} freed") }
    };
    let all: Vec<Bar> = data.weeks.iter().map(bar).collect();
    html.piece(&bars::bars("Bytes freed, by week", &all, &bars::BYTES)).raw("</figure>");
}

fn by_reason(data: &Data, html: &mut Html) {
    let (shown, rest) = data.freed.split_at(data.freed.len().min(EVENTS));
    let rows = shown.iter().map(|reason| {
        vec![Cell::Text(reason.why.clone()), Cell::count(reason.things), Cell::size(reason.bytes)]
    });
    let heads = [(false, "Reason"), (true, "Things"), (true, "Size")];
    table(html, Some("table-reasons"), "Why things went", &heads, rows);
    let bytes = rest.iter().fold(0u64, |sum, reason| sum.saturating_add(reason.bytes));
    left_out(html, rest.len(), bytes, "further reasons");
}

fn collection(happened: &Happened) -> Option<Vec<Cell>> {
    let Event::Collection(collection) = &happened.event else { return None };
    let Collection { by, freed, gone, more, unmet } = collection;
    let by = match by {
        Collector::Gc => "larder gc",
        Collector::Run => "a build",
        Collector::Rm => "larder rm",
    };
    let (what, why) = match (gone.first(), unmet.first()) {
        (Some(gone), _) => (gone.what.clone(), gone.why.clone()),
        (None, Some(unmet)) => (dash(), unmet.clone()),
        (None, None) => (dash(), dash()),
    };
    Some(vec![
        moment(happened.at),
        Cell::Name(by.to_owned()),
        Cell::size(*freed),
        Cell::count(gone.len() + more),
        Cell::Text(what),
        Cell::Text(why),
    ])
}

/// Comparisons with cold builds.
pub(super) fn verified(data: &Data, html: &mut Html) {
    let sum = |of: fn(&ProjectFigures) -> u64| data.projects.iter().map(of).sum::<u64>();
    let [same, stale, not] = [sum(|it| it.same), sum(|it| it.stale), sum(|it| it.not_reproducible)];
    let mut kept: Vec<Vec<Cell>> = data.overview.entries.iter().filter_map(of_directory).collect();
    if same + stale + not == 0 && kept.is_empty() {
        html.raw("<p>No comparison was made yet. <code>verify-every</code> in <code>larder.toml</code> has builds make one by themselves.</p>");
        return;
    }
    html.raw("<p>Since the store was made: ");
    html.text(format_args!("{same} the same, {stale} stale, {not} not reproducible.")).raw("</p>");
    let heads: [Head; 4] =
        [(false, "Project"), (false, "Id"), (false, "Last compared (UTC)"), (false, "Result")];
    let rest = kept.len().saturating_sub(DIRECTORIES);
    kept.truncate(DIRECTORIES);
    let caption = match rest {
        0 => "The last comparison of each directory that is kept".to_owned(),
        rest => {
            format!("The last comparison of directories that are kept; {rest} more are left out")
        }
    };
    if !kept.is_empty() {
        table(html, Some("table-verified"), caption, &heads, kept);
    }
    let bad = data.comparisons.iter().rev().filter_map(difference).take(EVENTS);
    let bad: Vec<Vec<Cell>> = bad.collect();
    if !bad.is_empty() {
        let caption = "The latest comparisons that found a difference";
        table(html, Some("table-differences"), caption, &heads, bad);
    }
}

fn of_directory(line: &Line) -> Option<Vec<Cell>> {
    let verified = line.record()?.verified.as_ref()?;
    Some(comparison(&line.project, line.toolchain, verified.at, verified.verdict))
}

fn difference(happened: &Happened) -> Option<Vec<Cell>> {
    match &happened.event {
        Event::Comparison { project, toolchain, verdict } if *verdict != Verdict::Same => {
            Some(comparison(project, *toolchain, happened.at, *verdict))
        }
        _ => None,
    }
}

fn comparison(
    project: &ProjectName,
    toolchain: ToolchainId,
    at: SystemTime,
    verdict: Verdict,
) -> Vec<Cell> {
    let (project, id) = (Cell::Name(project.to_string()), Cell::Id(toolchain.short()));
    vec![project, id, moment(at), Cell::Text(verdict.in_words().to_owned())]
}

fn moment(at: SystemTime) -> Cell {
    Cell::Time(epoch(at), output::moment(at))
}
