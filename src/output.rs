//! The only room that prints. stdout is data, stderr is everything else.

mod log;
mod progress;
mod remedy;
mod screen;
mod table;

pub(crate) use log::{Color, LogFormat};
pub(crate) use progress::Progress;
pub use remedy::{OTHERWISE, REMEDIES};
pub(crate) use screen::{HIDDEN, Screen, is_invisible};
pub(crate) use table::{Column, fitted, table, wrapped};

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

use crate::base::environment;

use clap::error::ErrorKind;
use serde::Serialize;

use self::log::{Failure, Level, Log};

/// The version of every JSON report.
pub(crate) const SCHEMA: u32 = 1;

/// Something that is printed for people or as JSON, from the same value.
pub(crate) trait Report: Serialize {
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
pub(crate) struct Output {
    verbose: bool,
    quiet: bool,
    log: Log,
}

impl Output {
    /// As the flags and the terminal say.
    pub(crate) fn new(verbose: bool, quiet: bool, format: LogFormat, color: Color) -> Self {
        Self { verbose, quiet, log: Log::new(format, color) }
    }

    /// For a command line that cannot be understood.
    pub(crate) fn of_wrong(arguments: &[OsString]) -> Self {
        let variable = environment::get("LARDER_LOG_FORMAT");
        let own = || arguments.iter().take_while(|word| *word != "--");
        let named = own().zip(own().skip(1)).find(|(option, _)| *option == "--log-format");
        let named = named.map(|(_, format)| format.clone());
        let joined = || own().find_map(|word| word.to_str()?.strip_prefix("--log-format="));
        let format = named.or_else(|| joined().map(OsString::from)).or(variable);
        let is_json = format.is_some_and(|format| format == "json");
        let format = if is_json { LogFormat::Json } else { LogFormat::Text };
        Self { verbose: false, quiet: false, log: Log::new(format, Color::Auto) }
    }

    /// Prints a report to stdout. A reader that went away is no error.
    #[expect(clippy::unused_self, reason = "who may not print has no output")]
    pub(crate) fn report<R: Report>(self, report: &R, json: bool) -> io::Result<()> {
        let text = if json {
            serde_json::to_string_pretty(&Versioned { schema: SCHEMA, report })? + "\n"
        } else {
            let screen = Screen::stdout();
            screen.show(report.text_for(screen))
        };
        print(&text)
    }

    /// What the user should know while it happens.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            self.log.write(Level::Notice, text, None);
        }
    }

    /// What only `-v` shows.
    pub(crate) fn detail(self, text: &str) {
        if self.verbose {
            self.log.write(Level::Debug, text, None);
        }
    }

    /// What went wrong, but does not end the work.
    pub(crate) fn warning(self, text: &str) {
        self.log.write(Level::Warning, text, None);
    }

    /// What ended the work: the error and its causes, on one line; and the exit code that follows.
    pub(crate) fn error(self, error: &anyhow::Error, exit_code: u8) {
        let causes = error.chain().skip(1).map(|cause| flat(&cause.to_string())).collect();
        self.log.write(Level::Error, &one_line(error), Some(&Failure { causes, exit_code }));
    }

    /// What is wrong with the command line, in as many lines as people can have; `help` where nothing was said.
    pub(crate) fn usage(self, error: &clap::Error, help: impl Display, exit_code: u8) {
        if matches!(self.log, Log::People { .. }) || !error.use_stderr() {
            // There is nobody left to tell if the terminal is gone.
            let _ = match error.kind() {
                // With a variable of larder's in the environment clap does not see that nothing was said.
                ErrorKind::MissingSubcommand => {
                    write!(io::stderr(), "{help}")
                }
                _ => error.print(),
            };
            return;
        }
        let text = flat(&error.render().to_string());
        let text = text.strip_prefix("error: ").unwrap_or(&text).to_owned();
        let failure = Failure { causes: Vec::new(), exit_code };
        self.log.write(Level::Error, &text, Some(&failure));
    }

    /// What takes long, where no bar can be shown.
    fn info(self, text: &str) {
        self.log.write(Level::Info, text, None);
    }

    /// Whether progress may be drawn, if there is a terminal.
    fn may_draw(self) -> bool {
        !self.quiet && matches!(self.log, Log::People { .. })
    }
}

/// Prints plain data to stdout. A reader that went away is no error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// An error and its causes on one line, and what helps at its end.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(|cause| flat(&cause.to_string())).collect();
    join(&causes, remedy::remedy(error))
}

/// Several lines on one.
fn flat(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// Joins an error and its causes, leaving out a cause that its error already repeats. What stands
/// behind a semicolon is the remedy, and comes last; if there is none, `otherwise` is.
fn join(causes: &[String], otherwise: Option<&str>) -> String {
    let (mut text, mut remedies) = (String::new(), Vec::new());
    for cause in causes {
        if text.contains(cause.as_str()) {
            continue;
        }
        let (what, remedy) = match cause.split_once("; ") {
            Some((what, remedy)) => (what, Some(remedy)),
            None => (cause.as_str(), None),
        };
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(what);
        remedies.extend(remedy);
    }
    if remedies.is_empty() {
        remedies.extend(otherwise);
    }
    for remedy in remedies {
        text.extend(["; ", remedy]);
    }
    text
}

/// Measures the steps of one command, for `-v`.
#[derive(Debug)]
pub(crate) struct Stopwatch {
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
    pub(crate) fn step(&mut self, name: &'static str) {
        let now = Instant::now();
        self.steps.push((name, now - self.since));
        self.since = now;
    }

    /// All steps on one line, in milliseconds, and the most memory that larder itself had.
    pub(crate) fn summary(&self) -> String {
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
pub(crate) fn size(bytes: u64) -> String {
    humansize::format_size(bytes, humansize::BINARY.decimal_places(1))
}

/// A duration in seconds, such as `39.8 s`; minutes from 100 s on, then hours.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        ..100.0 => format!("{seconds:.1} s"),
        ..6000.0 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

/// A moment as date and time of day, in UTC.
pub(crate) fn moment(moment: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(moment).to_string();
    text.get(..16).unwrap_or(&text).replace('T', " ")
}

/// How long ago a moment was, in its largest unit.
pub(crate) fn ago(moment: SystemTime, now: SystemTime) -> String {
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
        assert_eq!(join(&causes, None), "cannot read /x: gone: really");
    }

    #[test]
    fn what_helps_comes_last_and_is_never_missing() {
        let causes = ["cannot write /x; mount it", "no space"].map(str::to_owned);
        assert_eq!(join(&causes, Some("free some")), "cannot write /x: no space; mount it");
        let full = io::Error::from(rustix::io::Errno::NOSPC);
        let said = one_line(&anyhow::Error::new(full).context("cannot write /x"));
        assert!(said.starts_with("cannot write /x: No space left on device"), "{said}");
        assert!(said.ends_with("`larder gc` deletes what the policy does not keep"), "{said}");
        let wrapped = io::Error::new(io::ErrorKind::NotFound, "not found at /x");
        let said = one_line(&anyhow::Error::new(wrapped).context("cannot write /x"));
        assert_eq!(
            said,
            "cannot write /x: not found at /x; make what is missing, or correct the path"
        );
    }
}
