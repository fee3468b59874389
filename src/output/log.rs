//! A line on stderr: for people, for the systemd journal, or for programs.

use std::io::{self, IsTerminal, Write};
use std::time::SystemTime;

use clap::ValueEnum;
use serde::Serialize;

use super::screen::{self, Screen};
use super::{SCHEMA, progress};

use crate::base::environment;

/// Whether to colour what people read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How lines on stderr are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people; in the systemd journal with priorities
    #[default]
    Text,
    /// A JSON object on each line
    Json,
}

/// How much a line matters: the priorities of sd-daemon(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// What ended the work.
    Error = 3,
    /// What went wrong, but does not end the work.
    Warning = 4,
    /// What the user should know.
    Notice = 5,
    /// What takes long.
    Info = 6,
    /// What only `-v` shows.
    Debug = 7,
}

/// For whom lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// People.
    People {
        /// Whether words are coloured.
        colored: bool,
        /// Whether more than ASCII is understood.
        unicode: bool,
    },
    /// The systemd journal.
    Journal,
    /// Programs.
    Json,
}

/// What an error has besides its line.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Failure {
    /// What caused it, the nearest first.
    pub causes: Vec<String>,
    /// The exit code that follows.
    pub exit_code: u8,
}

/// A line for programs.
#[derive(Serialize)]
struct Record<'a> {
    schema: u32,
    time: String,
    level: Level,
    message: &'a str,
    #[serde(flatten)]
    failure: Option<&'a Failure>,
}

impl Log {
    /// As the flags, the terminal and the environment say.
    pub(super) fn new(format: LogFormat, color: Color) -> Self {
        let colored = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stderr().is_terminal() && screen::has_colors(),
        };
        match format {
            LogFormat::Json => Self::Json,
            LogFormat::Text if is_journal() => Self::Journal,
            LogFormat::Text => Self::People { colored, unicode: screen::is_unicode() },
        }
    }

    /// Writes a line, whole in one step: the command may write there at the same time.
    pub(super) fn write(self, level: Level, text: &str, failure: Option<&Failure>) {
        // One record is one line.
        let text = text.replace(['\n', '\r', '\t'], " ");
        let line = self.line(level, &text, failure) + "\n";
        let line = if progress::is_shown() { format!("\r\x1b[K{line}") } else { line };
        // There is nobody left to tell if stderr is closed.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }

    fn line(self, level: Level, text: &str, failure: Option<&Failure>) -> String {
        let (colored, unicode) = match self {
            Self::Json => return json(level, text, failure),
            Self::Journal => (false, true),
            Self::People { colored, unicode } => (colored, unicode),
        };
        let paint = |code: &str, text: &str| {
            if colored { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
        };
        let priority =
            if self == Self::Journal { format!("<{}>", level as u8) } else { String::new() };
        let word = match level {
            Level::Error => paint("31", "error") + ": ",
            Level::Warning => paint("33", "warning") + ": ",
            Level::Notice | Level::Info | Level::Debug => String::new(),
        };
        let text = Screen { width: None, unicode }.show(text.to_owned());
        format!("{priority}{}: {word}{text}", paint("1", "larder"))
    }
}

fn json(level: Level, message: &str, failure: Option<&Failure>) -> String {
    let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let record = Record { schema: SCHEMA, time, level, message, failure };
    // Text, numbers and lists of text: nothing that JSON could not hold.
    serde_json::to_string(&record).unwrap_or_default()
}

/// Whether stderr is connected to the journal (systemd.exec(5) of systemd 257, `$JOURNAL_STREAM`):
/// then the variable holds the device and the inode of what stderr is.
fn is_journal() -> bool {
    let Some(stream) = environment::text("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(io::stderr())
        .is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_words_the_journal_priorities_and_programs_fields() {
        let plain = Log::People { colored: false, unicode: false };
        assert_eq!(plain.line(Level::Warning, "a → b", None), "larder: warning: a -> b");
        let painted = Log::People { colored: true, unicode: true }.line(Level::Error, "x", None);
        assert_eq!(painted, "\x1b[1mlarder\x1b[0m: \x1b[31merror\x1b[0m: x");
        let journal = |level| Log::Journal.line(level, "x", None);
        assert_eq!(journal(Level::Error), "<3>larder: error: x");
        assert_eq!(journal(Level::Notice), "<5>larder: x");
        assert_eq!(journal(Level::Debug), "<7>larder: x");
        let failure = Failure { causes: Vec::new(), exit_code: 125 };
        let line = Log::Json.line(Level::Error, "x", Some(&failure));
        let record: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&record["level"], &record["exit_code"]), (&"error".into(), &125.into()));
    }
}
