//! Tables.

use std::fmt::Display;

use super::html::{Attribute, Html};
use super::words;

/// A cell.
pub(super) enum Cell {
    /// Text that may break.
    Text(String),
    /// A name.
    Name(String),
    /// The short id of a toolchain.
    Id(String),
    /// A number by which a table can be sorted, and how it is written.
    Number(f64, String),
    /// A moment, the same way.
    Time(f64, String),
}

impl Cell {
    /// A size in bytes.
    pub(super) fn size(bytes: u64) -> Self {
        Self::Number(words::number(bytes), words::size(bytes))
    }

    /// A count.
    pub(super) fn count(count: usize) -> Self {
        Self::Number(words::number(count as u64), words::grouped(count))
    }

    /// Seconds, or a dash.
    pub(super) fn seconds(seconds: Option<f64>) -> Self {
        Self::Number(seconds.unwrap_or(-1.0), seconds.map_or_else(dash, words::duration))
    }

    fn class(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Name(_) => "name",
            Self::Id(_) => "id",
            Self::Number(..) => "n",
            Self::Time(..) => "nowrap",
        }
    }

    fn add(&self, html: &mut Html, is_head: bool) {
        let name = if is_head { "th" } else { "td" };
        let class = self.class();
        let scope: Attribute<'_> = ("scope", &"row");
        let mut attributes: Vec<Attribute<'_>> = vec![("class", &class)];
        attributes.extend(is_head.then_some(scope));
        match self {
            Self::Text(text) | Self::Name(text) | Self::Id(text) => {
                html.element(name, &attributes, text);
            }
            Self::Number(value, text) | Self::Time(value, text) => {
                let value = format!("{value:.3}");
                let value = value.trim_end_matches('0').trim_end_matches('.');
                attributes.push(("data-v", &value));
                html.element(name, &attributes, text);
            }
        }
    }
}

/// What stands where nothing is known.
pub(super) fn dash() -> String {
    "–".to_owned()
}

/// Whether numbers or text stand in a column, and what its head says.
pub(super) type Head = (bool, &'static str);

/// Adds a table; the first cell of each row is its head. With an id it can be sorted.
pub(super) fn table(
    html: &mut Html,
    id: Option<&'static str>,
    caption: impl Display,
    heads: &[Head],
    rows: impl IntoIterator<Item = Vec<Cell>>,
) {
    // What can be scrolled can be reached by keyboard, and has a name.
    let caption = caption.to_string();
    let scroll: [Attribute<'_>; 4] =
        [("class", &"scroll"), ("tabindex", &0), ("role", &"region"), ("aria-label", &caption)];
    html.element("p", &[("class", &"caption"), ("aria-hidden", &"true")], &caption);
    html.open("div", &scroll);
    match id {
        Some(id) => {
            html.open("table", &[("id", &id), ("data-sort", &""), ("aria-label", &caption)])
        }
        None => html.open("table", &[("aria-label", &caption)]),
    };
    html.raw("<thead><tr>");
    for (is_number, head) in heads {
        let class = if *is_number { "n" } else { "" };
        html.element("th", &[("scope", &"col"), ("class", &class)], head);
    }
    html.raw("</tr></thead><tbody>");
    for row in rows {
        html.raw("<tr>");
        for (index, cell) in row.iter().enumerate() {
            cell.add(html, index == 0);
        }
        html.raw("</tr>\n");
    }
    html.raw("</tbody></table></div>");
}
