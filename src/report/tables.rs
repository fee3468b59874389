//! What the page shows in tables.

use std::cmp::Reverse;
use std::time::{SystemTime, UNIX_EPOCH};

use super::bars::{self, Bar};
use super::html::Html;
use super::sections::frees;
use super::table::{Cell, dash, table};
use super::{Data, Project, words};
use crate::history::{Collection, Collector, Event, Happened};
use crate::output;
use crate::overview::Line;
use crate::policy::{Span, Step};
use crate::verify::Verdict;

/// So many rows a table has at most; `larder status` and `--json` have all.
const ROWS: usize = 500;
/// The same for what happened.
const EVENTS: usize = 30;

/// The target directories, the largest first.
pub fn directories(data: &Data, html: &mut Html) {
    let mut lines: Vec<&Line> = data.overview.entries.iter().collect();
    if lines.is_empty() {
        html.raw("<p>There are none yet.</p>");
        return;
    }
    lines.sort_by_key(|line| Reverse(line.size()));
    let rest = lines.split_off(ROWS.min(lines.len()));
    html.raw("<form class=\"filter\" hidden><label for=\"filter\">Only those with</label>");
    html.raw("<input id=\"filter\" type=\"search\" autocomplete=\"off\"><output aria-live=\"polite\"></output></form>");
    let heads = [
        (false, "Project"),
        (true, "Size"),
        (false, "Last use"),
        (false, "Toolchain"),
        (false, "Id"),
        (true, "Uses"),
        (true, "Cold"),
        (true, "Last"),
        (false, "State"),
    ];
    let caption = "Sizes as recorded, the largest first; Cold and Last are how long the cold and the last build took";
    table(
        html,
        Some("table-directories"),
        caption,
        &heads,
        lines.iter().map(|line| directory(line, data)),
    );
    let size = rest.iter().fold(0u64, |sum, line| sum.saturating_add(line.size()));
    left_out(html, rest.len(), size, "smaller directories");
    crates(data, html);
}

fn directory(line: &Line, data: &Data) -> Vec<Cell> {
    let record = line.record();
    let closed = record.and_then(|record| record.last.as_ref()?.closed.as_ref());
    let uses = record.map_or(0, |record| record.uses);
    vec![
        Cell::Name(line.project.to_string()),
        Cell::size(line.size()),
        line.last_use().map_or_else(|| Cell::Time(0.0, dash()), |at| ago(at, data)),
        Cell::Text(record.map_or_else(dash, |record| record.summary.clone())),
        Cell::Id(line.toolchain.short()),
        Cell::count(usize::try_from(uses).unwrap_or(usize::MAX)),
        Cell::seconds(record.and_then(|record| record.cold_seconds)),
        Cell::seconds(closed.map(|closed| closed.seconds)),
        Cell::Text(line.state()),
    ]
}

/// What crates take, where it was measured.
fn crates(data: &Data, html: &mut Html) {
    let measured: Vec<&Line> =
        data.overview.entries.iter().filter(|line| !line.detail.is_empty()).collect();
    if measured.is_empty() {
        html.raw("<p class=\"note\">What each crate takes is measured only on request: <code>larder report --detail</code>, or <code>larder status PROJECT --detail</code>.</p>");
        return;
    }
    html.raw("<details><summary>What each crate takes</summary>");
    let heads = [
        (false, "Project"),
        (false, "Id"),
        (false, "Profile"),
        (false, "Crate"),
        (true, "Size"),
        (true, "Files"),
    ];
    let mut rows: Vec<(&Line, &crate::overview::detail::Part)> = measured
        .iter()
        .flat_map(|line| line.detail.iter().map(move |part| (*line, part)))
        .collect();
    rows.sort_by_key(|(_, part)| Reverse(part.usage.bytes));
    let rest = rows.split_off(ROWS.min(rows.len()));
    let cells = rows.iter().map(|(line, part)| {
        vec![
            Cell::Name(line.project.to_string()),
            Cell::Id(line.toolchain.short()),
            Cell::Name(part.profile.display().to_string()),
            Cell::Name(part.name.clone()),
            Cell::size(part.usage.bytes),
            Cell::count(usize::try_from(part.usage.inodes).unwrap_or(usize::MAX)),
        ]
    });
    table(html, Some("table-crates"), "Measured now, the largest first", &heads, cells);
    let size = rest.iter().fold(0u64, |sum, (_, part)| sum.saturating_add(part.usage.bytes));
    left_out(html, rest.len(), size, "smaller ones");
    html.raw("</details>");
}

fn ago(at: SystemTime, data: &Data) -> Cell {
    Cell::Time(epoch(at), output::ago(at, data.made.0))
}

fn moment(at: SystemTime) -> Cell {
    Cell::Time(epoch(at), output::moment(at))
}

fn epoch(at: SystemTime) -> f64 {
    words::seconds(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The plan.
pub fn next(data: &Data, html: &mut Html) {
    let plan = &data.plan;
    if plan.steps.is_empty() {
        html.raw("<p>Nothing: everything in the store is within the policy.</p>");
    } else {
        let (shown, rest) = plan.steps.split_at(plan.steps.len().min(ROWS / 2));
        let row = |step: &Step| {
            vec![
                Cell::Name(step.what.to_string()),
                Cell::size(step.frees.bytes),
                Cell::Text(step.why.to_string()),
            ]
        };
        let caption = format!(
            "{} free {}: {} become {}",
            words::count(plan.steps.len(), "step", "steps"),
            words::size(frees(&plan.steps)),
            words::size(plan.before.bytes),
            words::size(plan.after.bytes),
        );
        table(
            html,
            Some("table-plan"),
            caption,
            &[(false, "What"), (true, "Size"), (false, "Why")],
            shown.iter().map(row),
        );
        left_out(html, rest.len(), frees(rest), "further steps");
    }
    for unmet in &plan.unmet {
        html.element("p", &[("class", &"note")], format_args!("Even so, {unmet}."));
    }
}

fn left_out(html: &mut Html, count: usize, bytes: u64, what: &str) {
    if count > 0 {
        html.raw("<p class=\"note\">").text(format_args!(
            "{} {what} with {} are left out here; ",
            words::grouped(count),
            words::size(bytes),
        ));
        html.raw("<code>larder report --json</code> has all.</p>");
    }
}

/// What collection freed, when and why.
pub fn freed(data: &Data, html: &mut Html) {
    if data.collections.is_empty() {
        html.raw("<p>No collection that took anything is known of yet.</p>");
        return;
    }
    html.raw("<div class=\"beside\"><figure><figcaption><h3>By week</h3>Counted back from now</figcaption>");
    let all: Vec<Bar> = data
        .weeks
        .iter()
        .map(|week| Bar {
            label: words::day(week.start.0),
            value: words::number(week.freed),
            tip: format!(
                "{}: {} freed",
                words::days(week.start.0, week.end.0),
                words::size(week.freed)
            ),
        })
        .collect();
    html.piece(&bars::bars("Bytes freed, by week", &all, &bars::BYTES)).raw("</figure><div>");
    let (shown, rest) = data.freed.split_at(data.freed.len().min(EVENTS));
    let rows = shown.iter().map(|reason| {
        vec![Cell::Text(reason.why.clone()), Cell::count(reason.things), Cell::size(reason.bytes)]
    });
    table(
        html,
        Some("table-reasons"),
        "Why things went",
        &[(false, "Reason"), (true, "Things"), (true, "Size")],
        rows,
    );
    left_out(
        html,
        rest.len(),
        rest.iter().fold(0, |sum, reason| sum.saturating_add(reason.bytes)),
        "further reasons",
    );
    html.raw("</div></div>");
    html.raw("<p class=\"note\">What a build sets aside to make room counts when that happens, not once more when the trash is emptied.</p>");
    html.raw("<details><summary>The weeks as a table</summary>");
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
    let rows = data.collections.iter().rev().take(EVENTS).filter_map(collection);
    table(
        html,
        Some("table-collections"),
        format_args!(
            "The latest of {}, as recorded",
            words::count(data.collections.len(), "collection", "collections")
        ),
        &heads,
        rows,
    );
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
pub fn verified(data: &Data, html: &mut Html) {
    let sum = |of: fn(&Project) -> u64| data.projects.iter().map(of).sum::<u64>();
    let [same, stale, not] = [sum(|it| it.same), sum(|it| it.stale), sum(|it| it.not_reproducible)];
    let verified: Vec<&Line> = data
        .overview
        .entries
        .iter()
        .filter(|line| line.record().is_some_and(|record| record.verified.is_some()))
        .collect();
    if same + stale + not == 0 && verified.is_empty() {
        html.raw("<p>No comparison was made yet. <code>verify-every</code> in <code>larder.toml</code> has builds make one by themselves.</p>");
        return;
    }
    html.element(
        "p",
        &[],
        format_args!(
            "Since the store was made: {same} the same, {stale} stale, {not} not reproducible."
        ),
    );
    let heads =
        [(false, "Project"), (false, "Id"), (false, "Last compared (UTC)"), (false, "Result")];
    let (shown, rest) = verified.split_at(verified.len().min(ROWS / 2));
    let rows = shown.iter().filter_map(|line| {
        let verified = line.record()?.verified.as_ref()?;
        let (name, id) = (Cell::Name(line.project.to_string()), Cell::Id(line.toolchain.short()));
        Some(vec![
            name,
            id,
            moment(verified.at),
            Cell::Text(verified.verdict.in_words().to_owned()),
        ])
    });
    if !shown.is_empty() {
        table(
            html,
            Some("table-verified"),
            "The last comparison of each directory that is kept",
            &heads,
            rows,
        );
    }
    left_out(
        html,
        rest.len(),
        rest.iter().fold(0, |sum, line| sum.saturating_add(line.size())),
        "further directories",
    );
    let bad = data.comparisons.iter().rev().filter_map(|happened| match &happened.event {
        Event::Comparison { project, toolchain, verdict } if *verdict != Verdict::Same => {
            Some(vec![
                Cell::Name(project.to_string()),
                Cell::Id(toolchain.short()),
                moment(happened.at),
                Cell::Text(verdict.in_words().to_owned()),
            ])
        }
        _ => None,
    });
    let bad: Vec<Vec<Cell>> = bad.take(EVENTS).collect();
    if !bad.is_empty() {
        table(
            html,
            Some("table-differences"),
            "The latest comparisons that found a difference",
            &heads,
            bad,
        );
    }
}

/// Projects with their budgets.
pub fn projects(data: &Data, html: &mut Html) {
    html.element(
        "p",
        &[],
        format_args!(
            "The whole store: max-size {}, min-free {}.",
            data.overview.max_size.map_or_else(|| "none".to_owned(), |max| max.to_string()),
            if data.min_free.bytes == 0 {
                "none".to_owned()
            } else {
                words::size(data.min_free.bytes)
            },
        ),
    );
    if data.projects.is_empty() {
        return;
    }
    let heads = [
        (false, "Project"),
        (true, "Directories"),
        (true, "Size"),
        (true, "Max-size"),
        (true, "Max-age"),
        (true, "Keep"),
        (true, "Builds"),
        (true, "Cold"),
        (true, "Failed"),
        (true, "Saved"),
    ];
    let (shown, rest) = data.projects.split_at(data.projects.len().min(ROWS / 2));
    let weeks = data.weeks.len();
    let caption = format!(
        "Builds and what they saved are those of the last {}",
        words::count(weeks, "week", "weeks")
    );
    table(html, Some("table-projects"), caption, &heads, shown.iter().map(project));
    left_out(
        html,
        rest.len(),
        rest.iter().fold(0, |sum, project| sum.saturating_add(project.size)),
        "further projects",
    );
}

fn project(project: &Project) -> Vec<Cell> {
    let max_size =
        project.max_size.map_or_else(|| Cell::Number(-1.0, dash()), |max| Cell::size(max.0));
    let age = project.max_age_seconds;
    let max_age = age.map_or_else(
        || Cell::Number(-1.0, dash()),
        |seconds| {
            Cell::Number(
                words::number(seconds),
                Span(std::time::Duration::from_secs(seconds)).to_string(),
            )
        },
    );
    let keep = project.keep.map_or_else(
        || Cell::Number(-1.0, if project.pinned { "all".to_owned() } else { dash() }),
        Cell::count,
    );
    let uses = &project.uses;
    vec![
        Cell::Name(project.project.to_string()),
        Cell::count(project.directories),
        Cell::size(project.size),
        max_size,
        max_age,
        keep,
        Cell::count(uses.uses),
        Cell::count(uses.cold),
        Cell::count(uses.failed),
        Cell::seconds(Some(uses.saved_seconds)),
    ]
}
