//! How far something is that takes long: a line on a terminal, and nothing anywhere else.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Output;

/// Nothing is shown of what is done sooner.
const SOON: Duration = Duration::from_millis(300);

/// A bar, gone when it is dropped.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Of so many bytes.
    pub fn bytes(output: Output, what: &'static str, total: u64) -> Self {
        let template = "larder: {msg} {wide_bar} {bytes} of {total_bytes} {eta}";
        Self::new(output, what, Some(total), template)
    }

    /// Of files, nobody knows how many.
    pub fn files(output: Output, what: &'static str) -> Self {
        Self::new(output, what, None, "larder: {spinner} {msg} {human_pos} files, {elapsed}")
    }

    /// Of so many directories.
    pub fn directories(output: Output, what: &'static str, total: usize) -> Self {
        let total = u64::try_from(total).ok();
        Self::new(output, what, total, "larder: {msg} {wide_bar} {pos} of {len}")
    }

    fn new(output: Output, what: &'static str, total: Option<u64>, template: &str) -> Self {
        let is_seen = io::stderr().is_terminal() && !output.quiet;
        let target = if is_seen {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(total, target).with_message(what);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━━ "));
        }
        if is_seen {
            bar.enable_steady_tick(SOON);
        }
        Self { bar }
    }

    /// So much more is done.
    pub fn add(&self, count: u64) {
        self.bar.inc(count);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
