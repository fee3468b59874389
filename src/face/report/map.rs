//! The treemap: projects, their toolchains, and where it was measured their crates.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use super::html::{Attribute, Html, Px};
use super::treemap::{Rect, squarify};
use super::{Data, words};
use crate::base::names::ToolchainId;
use crate::decide::policy::What;
use crate::face::overview::Line;
use crate::output;

/// How a map is drawn.
pub(super) struct Canvas {
    /// What it is called in the style sheet, and the note below it.
    pub class: &'static str,
    pub note: &'static str,
    /// The names of its pattern, and of what refers to it.
    pub pattern: (&'static str, &'static str),
    pub frame: Rect,
    /// What has a smaller area is drawn together with others.
    pub least: f64,
}

/// For a screen, and for a narrow one.
pub(super) const CANVASES: [Canvas; 2] = [
    Canvas {
        class: "map wide",
        note: "note wide",
        pattern: ("goes-wide", "url(#goes-wide)"),
        frame: Rect { x: 0.0, y: 0.0, width: 1160.0, height: 520.0 },
        least: 900.0,
    },
    Canvas {
        class: "map narrow",
        note: "note narrow",
        pattern: ("goes-narrow", "url(#goes-narrow)"),
        frame: Rect { x: 0.0, y: 0.0, width: 380.0, height: 560.0 },
        least: 700.0,
    },
];

/// About so wide is a letter.
const LETTER: f64 = 6.3;

/// Bold ones are wider by this.
const BOLD: f64 = 1.2;

/// From line to line.
const LINE: f64 = 15.0;

/// Fewer letters of a longer name tell nothing, or of what else a directory is called.
const LEAST_LETTERS: usize = 5;
const LEAST_LABEL: usize = 11;

/// A map of so few directories is lower.
const FEW: f64 = 8.0;

/// A drawn map.
pub(super) struct Map {
    pub html: Html,
    /// So many directories are not drawn by themselves.
    pub merged: usize,
    pub merged_size: u64,
}

/// Something that is drawn.
struct Cell {
    /// What it takes, which is not cut off, because a part of a number is another number.
    size_text: String,
    /// What else it is called.
    label: String,
    tip: String,
    class: &'static str,
    goes: bool,
    size: u64,
    /// The crates of a directory, if measured.
    parts: Vec<(String, u64)>,
}

/// What belongs together.
struct Group {
    name: String,
    cells: Vec<Cell>,
}

impl Group {
    fn size(&self) -> u64 {
        self.cells.iter().fold(0, |sum, cell| sum.saturating_add(cell.size))
    }
}

/// Draws what the store holds.
pub(super) fn draw(data: &Data, canvas: &Canvas) -> Map {
    let total = data.overview.size.max(1);
    let entries = words::number(data.overview.entries.len() as u64);
    let height = canvas.frame.height * (0.25 + 0.75 * (entries / FEW).min(1.0));
    let frame = Rect { height, ..canvas.frame };
    let least = canvas.least / frame.area() * words::number(total);
    let mut map = Map { html: Html::default(), merged: 0, merged_size: 0 };
    let groups = map.groups(data, least);
    let title = format!(
        "What takes the {} of the store, by project and toolchain; the table below has the same figures",
        words::size(data.overview.size)
    );
    let (width, height) = (Px(frame.width), Px(frame.height));
    let view = format!("0 0 {width} {height}");
    let attributes: [Attribute<'_>; 4] =
        [("class", &canvas.class), ("viewBox", &view), ("role", &"img"), ("aria-label", &title)];
    map.html.open("svg", &attributes).raw("<defs>");
    let pattern: [Attribute<'_>; 1] = [("id", &canvas.pattern.0)];
    map.html.open(
        "pattern",
        &[
            pattern[0],
            ("width", &7),
            ("height", &7),
            ("patternUnits", &"userSpaceOnUse"),
            ("patternTransform", &"rotate(45)"),
        ],
    );
    map.html.raw("<path class=\"hatch\" d=\"M0 0V7\"></path></pattern></defs>");
    let sizes: Vec<f64> = groups.iter().map(|group| words::number(group.size())).collect();
    for (group, rect) in groups.iter().zip(squarify(&sizes, frame)) {
        map.group(group, rect, canvas);
    }
    map.html.close("svg");
    map
}

impl Map {
    fn groups(&mut self, data: &Data, least: f64) -> Vec<Group> {
        let goes: BTreeSet<ToolchainId> = data
            .plan
            .steps
            .iter()
            .filter_map(|step| match &step.what {
                What::Directory { toolchain, .. } => Some(*toolchain),
                _ => None,
            })
            .collect();
        let mut groups = Vec::new();
        let (mut small, mut small_size, mut small_projects) = (0, 0u64, 0);
        for lines in data.overview.entries.chunk_by(|a, b| a.project == b.project) {
            let size = lines.iter().fold(0u64, |sum, line| sum.saturating_add(line.size()));
            if words::number(size) < least {
                small += lines.len();
                small_size = small_size.saturating_add(size);
                small_projects += 1;
            } else {
                groups.push(self.project(data, lines, &goes, least));
            }
        }
        self.merged += small;
        self.merged_size = self.merged_size.saturating_add(small_size);
        if small_size > 0 {
            let text = words::count(small_projects, "small project", "small projects");
            groups.push(plain(&text, small_size, "rest"));
        }
        for (name, size) in [("downloads", data.overview.downloads), ("trash", data.overview.trash)]
        {
            if size > 0 {
                groups.push(plain(name, size, "other"));
            }
        }
        groups
    }

    fn project(
        &mut self,
        data: &Data,
        lines: &[Line],
        goes: &BTreeSet<ToolchainId>,
        least: f64,
    ) -> Group {
        let mut cells = Vec::new();
        let (mut merged, mut merged_size) = (0, 0u64);
        for line in lines {
            if words::number(line.size()) < least {
                merged += 1;
                merged_size = merged_size.saturating_add(line.size());
            } else {
                cells.push(cell(data, line, goes.contains(&line.toolchain)));
            }
        }
        self.merged += merged;
        self.merged_size = self.merged_size.saturating_add(merged_size);
        let name = lines.first().map(|line| line.project.to_string()).unwrap_or_default();
        if merged_size > 0 {
            let label = format!("{merged} more");
            let tip = format!("{name}: {merged} more, {}", words::size(merged_size));
            let (class, parts) = ("rest", Vec::new());
            cells.push(Cell {
                size_text: words::size(merged_size),
                label,
                tip,
                class,
                goes: false,
                size: merged_size,
                parts,
            });
        }
        cells.sort_by_key(|cell| Reverse(cell.size));
        Group { name, cells }
    }

    fn group(&mut self, group: &Group, frame: Rect, canvas: &Canvas) {
        self.html.open("g", &[("data-project", &group.name)]);
        // The name stands over all of the group, if any of it can be seen.
        let name = fitting(&group.name, (frame.width - 10.0) / BOLD, LEAST_LETTERS);
        let name = name.filter(|_| frame.height > LINE + 4.0);
        let sizes: Vec<f64> = group.cells.iter().map(|cell| words::number(cell.size)).collect();
        for (cell, rect) in group.cells.iter().zip(squarify(&sizes, frame)) {
            let is_below_name = name.is_some() && rect.y - frame.y < LINE;
            self.cell(cell, rect, if is_below_name { LINE } else { 0.0 }, canvas);
        }
        rectangle(&mut self.html, "project", frame);
        if let Some(name) = name {
            label(&mut self.html, frame, LINE + 1.0, "head", &name);
        }
        self.html.close("g");
    }

    fn cell(&mut self, cell: &Cell, rect: Rect, skip: f64, canvas: &Canvas) {
        self.html.raw("<g>").element("title", &[], &cell.tip);
        rectangle(&mut self.html, cell.class, rect);
        self.parts(cell, rect, canvas);
        if cell.goes {
            let fill: [Attribute<'_>; 1] = [("fill", &canvas.pattern.1)];
            shape(&mut self.html, rect, &fill);
        }
        let width = rect.width - 10.0;
        // What else it is called tells nothing without what it takes.
        let size = fitting(&cell.size_text, width, usize::MAX);
        let name = size.as_ref().and_then(|_| fitting(&cell.label, width, LEAST_LABEL));
        let mut y = skip + LINE + 1.0;
        for (class, text) in [("size", size), ("label", name)] {
            if let Some(text) = text.filter(|_| y < rect.height - 3.0) {
                label(&mut self.html, rect, y, class, &text);
                y += LINE;
            }
        }
        self.html.close("g");
    }

    /// The crates of a directory, inside of it; those too small to be seen are left blank.
    fn parts(&mut self, cell: &Cell, rect: Rect, canvas: &Canvas) {
        let sizes: Vec<f64> = cell.parts.iter().map(|(_, size)| words::number(*size)).collect();
        for ((name, size), rect) in cell.parts.iter().zip(squarify(&sizes, rect)) {
            if rect.area() < canvas.least / 4.0 {
                continue;
            }
            let tip = format!("{}: {name}, {}", cell.tip, words::size(*size));
            self.html.raw("<g>").element("title", &[], tip);
            rectangle(&mut self.html, "part", rect);
            let text =
                fitting(name, rect.width - 8.0, LEAST_LETTERS).filter(|_| rect.height > 16.0);
            if let Some(text) = text {
                let y = rect.y + rect.height - 5.0;
                let at: [Attribute<'_>; 3] =
                    [("x", &Px(rect.x + 4.0)), ("y", &Px(y)), ("class", &"crate")];
                self.html.element("text", &at, text);
            }
            self.html.close("g");
        }
    }
}

fn cell(data: &Data, line: &Line, goes: bool) -> Cell {
    let summary = line.record().map_or("", |record| record.summary.as_str());
    let ago = line.last_use().map_or(Duration::MAX, |at| data.since_made(at));
    let class = match ago.as_secs() / 86_400 {
        0 => "age0",
        1..=6 => "age1",
        7..=29 => "age2",
        _ => "age3",
    };
    let size = words::size(line.size());
    let when = line.last_use().map_or_else(String::new, |at| output::ago(at, data.made.0));
    let fate = if goes { ", about to go" } else { "" };
    let (project, id) = (&line.project, line.toolchain.short());
    let tip = format!("{project} {id}: {size}, {summary}, used {when}{fate}");
    let parts = line.detail.iter().map(|part| (part.name.clone(), part.usage.bytes)).collect();
    Cell { size_text: size, label: summary.to_owned(), tip, class, goes, size: line.size(), parts }
}

fn plain(name: &str, size: u64, class: &'static str) -> Group {
    let (size_text, label) = (words::size(size), String::new());
    let tip = format!("{name}: {size_text}");
    let cell = Cell { size_text, label, tip, class, goes: false, size, parts: Vec::new() };
    Group { name: name.to_owned(), cells: vec![cell] }
}

fn rectangle(html: &mut Html, class: &'static str, rect: Rect) {
    shape(html, rect, &[("class", &class)]);
}

fn shape(html: &mut Html, rect: Rect, more: &[Attribute<'_>]) {
    let (x, y, width, height) = (Px(rect.x), Px(rect.y), Px(rect.width), Px(rect.height));
    let place: [Attribute<'_>; 4] = [("x", &x), ("y", &y), ("width", &width), ("height", &height)];
    html.open("rect", &[&place, more].concat()).close("rect");
}

fn label(html: &mut Html, rect: Rect, y: f64, class: &'static str, text: &str) {
    let (x, y) = (Px(rect.x + 6.0), Px(rect.y + y));
    html.element("text", &[("x", &x), ("y", &y), ("class", &class)], text);
}

/// As much of a text as fits into a width; nothing if that is cut to fewer than so many letters.
fn fitting(text: &str, width: f64, least: usize) -> Option<String> {
    let fits = |letters: usize| words::number(letters as u64) * LETTER <= width;
    let letters = text.chars().count();
    if fits(letters) {
        return Some(text.to_owned()).filter(|text| !text.is_empty());
    }
    let kept = (0..letters).take_while(|kept| fits(kept + 2)).count();
    if kept < least {
        return None;
    }
    let cut: String = text.chars().take(kept).collect();
    Some(cut.trim_end().to_owned() + "…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_cut_where_there_is_no_room() {
        assert_eq!(fitting("pantry", 100.0, 5).unwrap(), "pantry");
        assert_eq!(fitting("pantry-of-the-king", 60.0, 5).unwrap(), "pantry-o…");
        assert_eq!(fitting("pantry", 20.0, 5), None);
        assert_eq!(fitting("1021.7 MiB", 60.0, usize::MAX), None);
    }
}
