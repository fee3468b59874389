//! What takes long: a bar on a terminal, and one line where there is none.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Output, screen};

/// Nothing is shown of what is done sooner.
const SOON: Duration = Duration::from_millis(300);

/// Without a terminal nothing is said of what is done sooner.
const LATE: Duration = Duration::from_secs(10);

/// How many bars are on the terminal.
static SHOWN: AtomicUsize = AtomicUsize::new(0);

/// Whether the cursor stands behind a bar, which a line has to take away before it is written.
pub(super) fn is_shown() -> bool {
    SHOWN.load(Ordering::Relaxed) > 0
}

/// A bar, gone when it is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// What shows the bar, or says the line, when it is time; and what stops that.
    later: Option<(Sender<()>, JoinHandle<bool>)>,
}

impl Progress {
    /// Of so many bytes.
    pub(crate) fn bytes(output: Output, what: impl Into<String>, total: u64) -> Self {
        let template = "larder: {msg} {wide_bar} {bytes} of {total_bytes} {eta}";
        Self::new(output, what.into(), Some(total), template)
    }

    /// Of files, nobody knows how many.
    pub(crate) fn files(output: Output, what: impl Into<String>) -> Self {
        Self::new(output, what.into(), None, "larder: {spinner} {msg} {human_pos} files, {elapsed}")
    }

    /// Of so many directories.
    pub(crate) fn directories(output: Output, what: impl Into<String>, total: usize) -> Self {
        let total = u64::try_from(total).ok();
        Self::new(output, what.into(), total, "larder: {msg} {wide_bar} {pos} of {len}")
    }

    /// Of a step of which nobody knows how far it is.
    pub(crate) fn step(output: Output, what: impl Into<String>) -> Self {
        Self::new(output, what.into(), None, "larder: {spinner} {msg}, {elapsed}")
    }

    fn new(output: Output, what: String, total: Option<u64>, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        if output.quiet {
            return Self { bar, later: None };
        }
        let (bars, spinner) = if screen::is_unicode() {
            ("━━ ", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
        } else {
            ("##-", "-\\|/ ")
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars(bars).tick_chars(spinner));
        }
        let is_drawn = io::stderr().is_terminal() && output.may_draw() && !screen::is_dumb();
        let (stop, stopped) = mpsc::channel();
        let shown = bar.clone().with_message(what.clone());
        let later = thread::spawn(move || {
            let patience = if is_drawn { SOON } else { LATE };
            if stopped.recv_timeout(patience) != Err(RecvTimeoutError::Timeout) {
                return false;
            }
            if is_drawn {
                SHOWN.fetch_add(1, Ordering::Relaxed);
                shown.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
                shown.enable_steady_tick(SOON);
            } else {
                output.info(&what);
            }
            is_drawn
        });
        Self { bar, later: Some((stop, later)) }
    }

    /// So much more is done.
    pub(crate) fn add(&self, count: u64) {
        self.bar.inc(count);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let later = self.later.take().map(|(stop, later)| {
            drop(stop);
            later.join()
        });
        self.bar.finish_and_clear();
        if matches!(later, Some(Ok(true))) {
            SHOWN.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
