//! What the page shows in tables.

use std::cmp::Reverse;
use std::time::SystemTime;

use super::html::Html;
use super::table::{Cell, dash, table};
use super::words::{epoch, frees};
use super::{Data, ProjectFigures, words};
use crate::base::quantity::Span;
use crate::decide::policy::Step;
use crate::face::overview::Line;
use crate::output;

/// So many rows a table has at most; `larder status` and `--json` have all.
const ROWS: usize = 500;

/// The target directories, the largest first.
pub(super) fn directories(data: &Data, html: &mut Html) {
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
    let mut rows: Vec<(&Line, &crate::face::overview::detail::Part)> = measured
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

/// The plan.
pub(super) fn next(data: &Data, html: &mut Html) {
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

/// Says what a table leaves out.
pub(super) fn left_out(html: &mut Html, count: usize, bytes: u64, what: &str) {
    if count > 0 {
        html.raw("<p class=\"note\">").text(format_args!(
            "{} {what} with {} are left out here; ",
            words::grouped(count),
            words::size(bytes),
        ));
        html.raw("<code>larder report --json</code> has all.</p>");
    }
}

/// Projects with their budgets.
pub(super) fn projects(data: &Data, html: &mut Html) {
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

fn project(project: &ProjectFigures) -> Vec<Cell> {
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
