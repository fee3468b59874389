//! What became of the last uses of a directory, and why.

use std::fmt::Write;
use std::time::SystemTime;

use crate::face::overview::Line;
use crate::output;
use crate::store::UseRecord;
use crate::store::history::{UseEvent, first_of, temper};

/// So many uses before the last one are told of.
const USES: usize = 8;

impl Line {
    /// Why the last use of this directory was cold, or what it rebuilt; and the uses before.
    pub(crate) fn story(&self, now: SystemTime) -> String {
        let Some(last) = self.record().and_then(|record| record.last.as_ref()) else {
            return String::new();
        };
        let mut text =
            format!("\n{} was {}", self.toolchain.short(), temper(last.cold, last.remade.is_all()));
        text.push_str(&of_last(last));
        text.push_str(&self.verified(now));
        // The last one, unless it is not over yet, is what was told of already.
        let told = usize::from(last.closed.is_some());
        let before = self.uses.iter().rev().skip(told).take(USES);
        before.for_each(|(used, at)| text.push_str(&of_use(used, *at, now)));
        text
    }

    fn verified(&self, now: SystemTime) -> String {
        let verified = self.record().and_then(|record| record.verified.as_ref());
        verified.map_or_else(String::new, |verified| {
            let verdict = verified.verdict.in_words();
            format!("  verified {}: {verdict}\n", output::ago(verified.at, now))
        })
    }
}

fn of_last(last: &UseRecord) -> String {
    if last.why.is_empty() {
        return ": nothing changed\n".to_owned();
    }
    let mut text = ":\n".to_owned();
    for reason in &last.why {
        let _ = writeln!(text, "  {reason}");
    }
    text
}

/// One line for a use before the last one.
fn of_use(used: &UseEvent, at: SystemTime, now: SystemTime) -> String {
    let (when, took) = (output::ago(at, now), output::seconds(used.seconds));
    let why =
        if used.why.is_empty() { "nothing changed".to_owned() } else { first_of(&used.why, 0) };
    format!("  {when}: {}, {took}: {why}\n", used.in_words())
}
