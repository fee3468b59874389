//! Text of a page: what comes from elsewhere gets in only escaped, as it is only what stands in the code.

use std::fmt::{self, Display, Write};

use crate::output::{HIDDEN, is_invisible};

/// A piece of a page.
#[derive(Clone, Debug, Default)]
pub(super) struct Html(String);

/// An attribute of an element.
pub(super) type Attribute<'a> = (&'static str, &'a dyn Display);

impl Html {
    /// Adds markup.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text, escaped.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        let _ = write!(Escaping(&mut self.0), "{text}");
        self
    }

    /// Adds the start of an element.
    pub(super) fn open(&mut self, name: &'static str, attributes: &[Attribute<'_>]) -> &mut Self {
        self.0.push('<');
        self.0.push_str(name);
        for (name, value) in attributes {
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            let _ = write!(Escaping(&mut self.0), "{value}");
            self.0.push('"');
        }
        self.0.push('>');
        self
    }

    /// Adds the end of an element.
    pub(super) fn close(&mut self, name: &'static str) -> &mut Self {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
        self
    }

    /// Adds an element that holds a text.
    pub(super) fn element(
        &mut self,
        name: &'static str,
        attributes: &[Attribute<'_>],
        text: impl Display,
    ) -> &mut Self {
        self.open(name, attributes).text(text).close(name)
    }

    /// Adds a piece.
    pub(super) fn piece(&mut self, piece: &Self) -> &mut Self {
        self.0.push_str(&piece.0);
        self
    }

    /// The markup.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// A template with a piece in place of each `{{name}}`; pieces are not searched for names.
    pub(super) fn fill(template: &'static str, piece: impl Fn(&str) -> Self) -> Self {
        let mut page = Self::default();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").unwrap_or((after, ""));
            page.raw(before).piece(&piece(name));
            rest = after;
        }
        page.raw(rest);
        page
    }
}

/// Writes text so that it stays text, in an element as in an attribute.
struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                letter if !"\n\t".contains(letter) && is_invisible(letter) => self.0.push(HIDDEN),
                letter => self.0.push(letter),
            }
        }
        Ok(())
    }
}

/// A number in a drawing: to a tenth, which is less than can be seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Px(pub f64);

impl Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round() / 10.0;
        if tenths.fract() == 0.0 { write!(f, "{tenths:.0}") } else { write!(f, "{tenths:.1}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_elsewhere_stays_text() {
        let mut html = Html::default();
        let hostile = "</script><img src=x onerror='alert(1)'>\" & \u{202e}\0";
        html.element("td", &[("title", &hostile)], hostile);
        let escaped = "&lt;/script&gt;&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&quot; &amp; \u{fffd}\u{fffd}";
        assert_eq!(html.as_str(), format!("<td title=\"{escaped}\">{escaped}</td>"));
    }

    #[test]
    fn pieces_are_not_taken_for_templates() {
        let page = Html::fill("<p>{{a}}</p>{{b}}.", |name| {
            let mut html = Html::default();
            html.text(if name == "a" { "{{b}}" } else { "B" });
            html
        });
        assert_eq!(page.as_str(), "<p>{{b}}</p>B.");
    }

    #[test]
    fn numbers_are_short() {
        let shown = [1.0, 1.25, 0.04, -3.06].map(|number| Px(number).to_string());
        assert_eq!(shown, ["1", "1.3", "0", "-3.1"]);
    }
}
