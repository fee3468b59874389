//! What stdout can show: how wide it is, and whether it knows more than ASCII.

use std::io::{self, IsTerminal};

use crate::base::environment;

/// What text is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Columns of a terminal; nothing where lines may be as long as they are.
    pub width: Option<usize>,
    /// Whether it shows more than ASCII.
    pub unicode: bool,
}

impl Screen {
    /// Not a terminal, and not limited.
    pub(crate) const PLAIN: Self = Self { width: None, unicode: true };

    /// Stdout as it is.
    pub(crate) fn stdout() -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self { width: is_terminal.then(width).flatten(), unicode: is_unicode() }
    }

    /// The text as it can be shown: what others wrote in it, names of files and of refs, is no order to the terminal.
    pub(crate) fn show(self, text: String) -> String {
        let hides = |letter: char| letter != '\n' && is_invisible(letter);
        if (self.unicode || text.is_ascii()) && !text.contains(hides) {
            return text;
        }
        let mut shown = String::with_capacity(text.len());
        for character in text.chars() {
            match character {
                other if hides(other) => shown.push(if self.unicode { HIDDEN } else { '?' }),
                other if self.unicode => shown.push(other),
                '·' => shown.push('-'),
                '…' => shown.push('~'),
                '→' => shown.push_str("->"),
                '█' => shown.push('#'),
                '░' => shown.push('.'),
                other if other.is_ascii() => shown.push(other),
                _ => shown.push('?'),
            }
        }
        shown
    }
}

/// Stands for what would not be seen.
pub(crate) const HIDDEN: char = '\u{fffd}';

/// What would not be seen, would move what is, or would have the text around it read in another direction.
pub(crate) fn is_invisible(letter: char) -> bool {
    let directs = matches!(
        letter,
        '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    letter.is_control() || directs
}

/// The terminal's own width, unless COLUMNS says otherwise.
fn width() -> Option<usize> {
    let said = environment::text("COLUMNS").and_then(|text| text.parse().ok());
    let own = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col.into());
    said.or_else(own).filter(|width| *width > 0)
}

/// Whether colours are wanted and understood, as far as the environment says (no-color.org, term(7)).
pub(super) fn has_colors() -> bool {
    let unset = |name| environment::get(name).is_none_or(|value| value.is_empty());
    unset("NO_COLOR") && !is_dumb()
}

/// Whether the terminal knows nothing but text from left to right.
pub(super) fn is_dumb() -> bool {
    environment::get("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// What the locale says (`locale(7)`): the first of these variables that is set.
pub(super) fn is_unicode() -> bool {
    let set = |name: &&str| environment::get(name).is_some_and(|value| !value.is_empty());
    let name = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(set);
    let locale = name.and_then(environment::text).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
