//! What the page shows in figures and drawings.

use std::fmt::Display;

use super::bars::{self, Bar, Share};
use super::builds::{Period, Spread, Times};
use super::html::Html;
use super::table::{Cell, table};
use super::words::{epoch, frees};
use super::{Data, ProjectFigures, map as treemap, plot, words};
use crate::output;

/// So many projects have a chart of their own.
const CHARTS: usize = 9;

/// The figures at the top.
pub(super) fn glance(data: &Data, html: &mut Html) {
    let overview = &data.overview;
    html.raw("<dl class=\"figures\">");
    let of = match overview.max_size {
        Some(max) => format!("of max-size {max}"),
        None => "no max-size is set".to_owned(),
    };
    let directories = words::count(overview.entries.len(), "directory", "directories");
    figure(html, "The store takes", words::size(overview.size), format!("{of}; {directories}"));
    let min_free = match data.min_free.bytes {
        0 => "nothing has to stay free".to_owned(),
        bytes => format!("at least {} has to stay free", words::size(bytes)),
    };
    figure(html, "Free on its filesystem", words::size(overview.free), min_free);
    for (sums, span) in [(&overview.week, "7 days"), (&overview.month, "30 days")] {
        let uses = words::count(sums.uses, "build", "builds");
        let (cold, failed) = (words::grouped(sums.cold), words::grouped(sums.failed));
        figure(
            html,
            format_args!("Saved in {span}"),
            words::duration(sums.saved_seconds),
            format!("{uses}, {cold} cold, {failed} failed"),
        );
    }
    let frees = frees(&data.plan.steps);
    let (big, small) = match data.plan.steps.len() {
        0 => ("nothing".to_owned(), "the budgets hold".to_owned()),
        steps => {
            (words::size(frees), format!("{} of the plan", words::count(steps, "step", "steps")))
        }
    };
    figure(html, "About to go", big, small);
    let (big, small) = match &data.last_collection {
        None => ("never".to_owned(), "larder gc has not run".to_owned()),
        Some(last) => {
            let unmet = match last.unmet {
                0 => "every budget held".to_owned(),
                unmet => format!("{} did not hold", words::count(unmet, "budget", "budgets")),
            };
            (output::ago(last.at, data.made.0), unmet)
        }
    };
    figure(html, "Last collected", big, small);
    html.raw("</dl>");
}

fn figure(html: &mut Html, name: impl Display, big: String, small: String) {
    html.raw("<div>").element("dt", &[], name);
    html.element("dd", &[("class", &"big")], big);
    html.element("dd", &[("class", &"small")], small).raw("</div>");
}

/// What should be looked at.
pub(super) fn attention(data: &Data, html: &mut Html) {
    if data.attention.is_empty() {
        html.raw("<p class=\"fine\">Nothing needs attention: budgets hold, and no comparison of the last month found a difference.</p>");
        return;
    }
    html.raw("<div class=\"attention\"><h3>Worth a look</h3><ul>");
    for text in &data.attention {
        html.element("li", &[], text);
    }
    html.raw("</ul></div>");
}

/// What shares the store's budget, or the filesystem where there is none.
pub(super) fn space(data: &Data, html: &mut Html) {
    let overview = &data.overview;
    let kept = overview.size.saturating_sub(overview.downloads).saturating_sub(overview.trash);
    let parts = [
        ("kept", "Kept directories", kept),
        ("downloads", "Shared downloads", overview.downloads),
        ("trash", "Trash", overview.trash),
    ];
    let limit = overview.max_size.map(|max| max.0);
    let beside = overview.size.saturating_add(overview.free);
    let whole = limit.map_or(beside, |max| max.max(overview.size));
    let what = match limit {
        Some(max) => format!("of max-size {}", words::size(max)),
        None => format!("beside {} that are free", words::size(overview.free)),
    };
    let shares = parts.map(|(class, name, bytes)| Share {
        class,
        tip: format!("{name}: {}", words::size(bytes)),
        bytes,
    });
    let title = format!("The store takes {} {what}", words::size(overview.size));
    html.piece(&bars::space(&title, &shares, whole, limit.filter(|max| *max < overview.size)));
    html.raw("<ul class=\"legend\">");
    for (class, name, bytes) in parts {
        swatch(html, class, format_args!("{name}: {}", words::size(bytes)));
    }
    let room = whole.saturating_sub(overview.size);
    let left = if limit.is_some() { "Left of max-size" } else { "Free" };
    swatch(html, "room", format_args!("{left}: {}", words::size(room)));
    html.raw("</ul>");
}

fn swatch(html: &mut Html, class: &'static str, text: impl Display) {
    html.raw("<li><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\">");
    html.open("rect", &[("class", &class), ("width", &14), ("height", &14)]);
    html.raw("</rect></svg>").text(text).raw("</li>");
}

/// The treemap, for both widths.
pub(super) fn map(data: &Data, html: &mut Html) {
    if data.overview.size == 0 {
        html.raw("<p>Nothing is kept yet. <code>larder run PROJECT -- cargo build --release</code> fills the store.</p>");
        return;
    }
    let maps = treemap::CANVASES.map(|canvas| (canvas.note, treemap::draw(data, &canvas)));
    for (_, map) in &maps {
        html.piece(&map.html);
    }
    html.raw("<ul class=\"legend\">");
    for (class, text) in [
        ("age0", "used within a day"),
        ("age1", "within a week"),
        ("age2", "within 30 days"),
        ("age3", "longer ago"),
        ("other", "downloads, trash"),
    ] {
        swatch(html, class, text);
    }
    html.raw("<li><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\"><rect class=\"age3\" width=\"14\" height=\"14\"></rect><path class=\"hatch\" d=\"M0 7L7 0M0 14L14 0M7 14L14 7\"></path></svg>about to go</li></ul>");
    for (note, map) in &maps {
        html.open("p", &[("class", note)]).raw("Areas are sizes as recorded. ");
        match map.merged {
            0 => html.raw("Every directory is drawn."),
            count => html.text(format_args!(
                "{} of {} too small to be seen are drawn together, {} in all.",
                words::grouped(count),
                words::count(data.overview.entries.len(), "directory", "directories"),
                words::size(map.merged_size),
            )),
        };
        html.raw("</p>");
    }
}

/// Build times.
pub(super) fn builds(data: &Data, html: &mut Html) {
    let mut shown: Vec<&ProjectFigures> =
        data.projects.iter().filter(|project| !project.days.is_empty()).collect();
    if shown.is_empty() {
        html.raw("<p>No build that succeeded is known of yet.</p>");
        return;
    }
    shown.sort_by(|a, b| b.uses.uses.cmp(&a.uses.uses).then(a.project.cmp(&b.project)));
    let others = shown.split_off(CHARTS.min(shown.len()));
    html.raw("<p>Each mark is the median of a day’s builds that succeeded, a line goes from its shortest to its longest. ");
    html.raw("The scale is logarithmic: each project has its own.</p>");
    html.raw("<ul class=\"legend\"><li><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\"><path class=\"warm\" d=\"M4 7a3 3 0 1 0 6 0a3 3 0 1 0-6 0z\"></path></svg>warm</li>");
    html.raw("<li><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\"><path class=\"cold\" d=\"M7 2l5 5-5 5-5-5z\"></path></svg>cold</li></ul>");
    html.raw("<div class=\"charts\">");
    for project in &shown {
        html.raw("<figure><figcaption>").element("h3", &[], &project.project);
        html.text(told(project)).raw("</figcaption>");
        let title = format!("Build times of {}: {}", project.project, told(project));
        html.piece(&plot::plot(&title, &project.days, data.first_day(), data.made.0));
        html.raw("</figure>");
    }
    html.raw("</div>");
    if !others.is_empty() {
        let builds: usize = others.iter().map(|project| project.uses.uses).sum();
        html.raw("<p class=\"note\">").text(format_args!(
            "Drawn are the projects that are built most often; {} with {} are in the table of projects below.",
            words::count(others.len(), "other", "others"),
            words::count(builds, "build", "builds"),
        ));
        html.raw("</p>");
    }
    html.raw("<details><summary>The same by week, as a table</summary>");
    let heads = [
        (false, "Project"),
        (false, "Week from"),
        (true, "Warm"),
        (true, "Median"),
        (true, "Longest"),
        (true, "Cold"),
        (true, "Median"),
        (true, "Longest"),
    ];
    let rows =
        shown.iter().flat_map(|project| project.weeks.iter().map(|week| of_week(project, week)));
    table(html, None, "Build times by week", &heads, rows);
    html.raw("</details>");
}

fn of_week(project: &ProjectFigures, week: &Times) -> Vec<Cell> {
    let mut cells = vec![
        Cell::Name(project.project.to_string()),
        Cell::Time(epoch(week.start.0), words::day(week.start.0)),
    ];
    for spread in [&week.warm, &week.cold] {
        let value = |of: fn(&Spread) -> f64| Cell::seconds(spread.as_ref().map(of));
        cells.push(Cell::count(spread.map_or(0, |spread| spread.builds)));
        cells.push(value(|spread| spread.median));
        cells.push(value(|spread| spread.most));
    }
    cells
}

/// The builds of a project in a few words.
fn told(project: &ProjectFigures) -> String {
    let sums = &project.uses;
    let saved = words::duration(sums.saved_seconds);
    format!("{}, {} cold, {saved} saved", words::count(sums.uses, "build", "builds"), sums.cold)
}

/// What was saved, by week and month.
pub(super) fn saved(data: &Data, html: &mut Html) {
    if data.weeks.iter().chain(&data.months).all(|period| period.sums.uses == 0) {
        html.raw("<p>No build is known of yet.</p>");
        return;
    }
    html.raw("<div class=\"charts\">");
    for (name, periods) in [("By week", &data.weeks), ("By 30 days", &data.months)] {
        let bar = |period: &Period| Bar {
            label: words::day(period.start.0),
            value: period.sums.saved_seconds,
            tip: format!(
                "{}: {} saved in {}",
                words::days(period.start.0, period.end.0),
                words::duration(period.sums.saved_seconds),
                words::count(period.sums.uses, "build", "builds")
            ),
        };
        let all: Vec<Bar> = periods.iter().map(bar).collect();
        html.raw("<figure><figcaption>").element("h3", &[], name);
        html.raw("Counted back from now</figcaption>");
        let title = format!("Time saved, {}", name.to_lowercase());
        html.piece(&bars::bars(&title, &all, &bars::SECONDS)).raw("</figure>");
    }
    html.raw("</div>");
    let heads = [
        (false, "Days"),
        (true, "Builds"),
        (true, "Cold"),
        (true, "Failed"),
        (true, "Took"),
        (true, "Saved"),
    ];
    for (name, caption, periods) in [
        ("The weeks as a table", "Time saved by week", &data.weeks),
        ("The months as a table", "Time saved by 30 days", &data.months),
    ] {
        html.raw("<details>").element("summary", &[], name);
        table(html, None, caption, &heads, periods.iter().rev().map(of_period));
        html.raw("</details>");
    }
}

fn of_period(period: &Period) -> Vec<Cell> {
    let sums = &period.sums;
    vec![
        Cell::Name(words::days(period.start.0, period.end.0)),
        Cell::count(sums.uses),
        Cell::count(sums.cold),
        Cell::count(sums.failed),
        Cell::seconds(Some(sums.seconds)),
        Cell::seconds(Some(sums.saved_seconds)),
    ]
}
