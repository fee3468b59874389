//! The only room that prints. stdout is data, stderr is everything else.

mod progress;
mod screen;
mod table;

pub use progress::Progress;
pub use screen::Screen;
pub use table::{Column, fitted, table};

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use crate::cli::{Color, Global};

/// The version of every JSON report.
pub const SCHEMA: u32 = 1;

/// Something that is printed for people or as JSON, from the same value.
pub trait Report: Serialize {
    /// The text for people, with a newline at its end, or nothing.
    fn text(&self) -> String;

    /// The same, for what has to fit on a screen.
    fn text_for(&self, _: Screen) -> String {
        self.text()
    }
}

#[derive(Serialize)]
struct Versioned<'a, R> {
    schema: u32,
    #[serde(flatten)]
    report: &'a R,
}

/// Where and how much to print.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    verbose: bool,
    quiet: bool,
    colored: bool,
}

impl Output {
    /// As the flags and the terminal say.
    pub fn new(global: &Global) -> Self {
        let colored = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                io::stderr().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        Self { verbose: global.verbose, quiet: global.quiet, colored }
    }

    /// Prints a report to stdout. A reader that went away is no error.
    pub fn report<R: Report>(self, report: &R, json: bool) -> io::Result<()> {
        let text = if json {
            serde_json::to_string_pretty(&Versioned { schema: SCHEMA, report })? + "\n"
        } else {
            let screen = Screen::stdout();
            screen.show(report.text_for(screen))
        };
        print(&text)
    }

    /// What the user should know while it happens.
    pub fn note(self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// What only `-v` shows.
    pub fn detail(self, text: &str) {
        if self.verbose {
            self.say(text);
        }
    }

    /// What went wrong, but does not end the work.
    pub fn warning(self, text: &str) {
        self.say(&format!("{}: {text}", self.paint("33", "warning")));
    }

    /// What ended the work: the error and its causes, on one line.
    pub fn error(self, error: &anyhow::Error) {
        self.say(&format!("{}: {}", self.paint("31", "error"), one_line(error)));
    }

    fn say(self, text: &str) {
        // There is nobody left to tell if stderr is closed.
        let line = text.replace('\n', " ");
        let _ = writeln!(io::stderr().lock(), "{}: {line}", self.paint("1", "larder"));
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colored { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Prints plain data to stdout. A reader that went away is no error.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// An error and its causes on one line.
pub fn one_line(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    join(&causes).replace('\n', " ")
}

/// Joins an error and its causes, leaving out a cause that its error already repeats.
fn join(causes: &[String]) -> String {
    let mut text = String::new();
    for cause in causes {
        if text.is_empty() {
            text.push_str(cause);
        } else if !text.contains(cause.as_str()) {
            text.push_str(": ");
            text.push_str(cause);
        }
    }
    text
}

/// Measures the steps of one command, for `-v`.
#[derive(Debug)]
pub struct Stopwatch {
    since: Instant,
    steps: Vec<(&'static str, Duration)>,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self { since: Instant::now(), steps: Vec::new() }
    }
}

impl Stopwatch {
    /// Ends the step that is under way.
    pub fn step(&mut self, name: &'static str) {
        let now = Instant::now();
        self.steps.push((name, now - self.since));
        self.since = now;
    }

    /// All steps on one line, in milliseconds, and the most memory that larder itself had.
    pub fn summary(&self) -> String {
        let step = |(name, time): &(&str, Duration)| {
            format!("{name} {:.1} ms", time.as_secs_f64() * 1000.0)
        };
        let memory = peak_memory().map(|bytes| format!("memory {}", size(bytes)));
        self.steps.iter().map(step).chain(memory).collect::<Vec<_>>().join(", ")
    }
}

/// The most memory that this process had at once, in bytes: `VmHWM` of proc(5).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// A size in binary units, such as `481 MiB`.
pub fn size(bytes: u64) -> String {
    humansize::format_size(bytes, humansize::BINARY.decimal_places(1))
}

/// A duration in seconds, such as `39.8 s`; minutes from 100 s on, then hours.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        ..100.0 => format!("{seconds:.1} s"),
        ..6000.0 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

/// A moment as date and time of day, in UTC.
pub fn moment(moment: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(moment).to_string();
    text.get(..16).unwrap_or(&text).replace('T', " ")
}

/// How long ago a moment was, in its largest unit.
pub fn ago(moment: SystemTime, now: SystemTime) -> String {
    let Ok(past) = now.duration_since(moment) else {
        return "just now".to_owned();
    };
    match past.as_secs() {
        0..=1 => "just now".to_owned(),
        s @ 2..=119 => format!("{s} s ago"),
        s @ 120..=7199 => format!("{} min ago", s / 60),
        s @ 7200..=172_799 => format!("{} h ago", s / 3600),
        s => format!("{} d ago", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_not_said_twice() {
        let causes = ["cannot read /x: gone", "gone", "really"].map(str::to_owned);
        assert_eq!(join(&causes), "cannot read /x: gone: really");
    }
}
