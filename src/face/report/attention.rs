//! What somebody should look at.

use std::time::SystemTime;

use crate::decide::policy::Plan;
use crate::decide::verdict::Verdict;
use crate::face::overview::Overview;
use crate::output;
use crate::store::Foreign;
use crate::store::history::{Event, Happened, MONTH, Totals, WEEK};

/// So many things of a kind are named.
const NAMED: usize = 5;

/// What should be looked at, in words, with what helps.
pub(super) fn attention(
    overview: &Overview,
    plan: &Plan,
    comparisons: &[Happened],
    totals: &Totals,
    now: SystemTime,
) -> Vec<String> {
    let mut all: Vec<String> = plan.unmet.iter().map(ToString::to_string).collect();
    all.extend(some(plan.too_small.iter().map(ToString::to_string).collect()));
    all.extend(some(verdicts(comparisons, now)));
    let damaged = overview.entries.iter().filter(|line| line.record().is_none()).count();
    if damaged > 0 {
        all.push(format!(
            "{} cannot be used: the next build of each begins anew, and `larder gc` removes it",
            count(damaged, "directory", "directories")
        ));
    }
    let is_cut_off = |last: &crate::store::UseRecord| last.closed.is_none();
    let cut_off = overview.entries.iter().filter(|line| {
        let last = line.record().and_then(|record| record.last.as_ref());
        line.in_use_by.is_none() && last.is_some_and(is_cut_off)
    });
    let cut_off = cut_off.count();
    if cut_off > 0 {
        all.push(format!(
            "the last build of {} was cut off; the next one puts that right by itself",
            count(cut_off, "directory", "directories")
        ));
    }
    all.extend(some(overview.foreign.iter().map(Foreign::in_words).collect()));
    all.extend(collector(overview, totals, now));
    all
}

/// Comparisons of the last month that did not find the same.
fn verdicts(comparisons: &[Happened], now: SystemTime) -> Vec<String> {
    let since = now.checked_sub(MONTH).unwrap_or(SystemTime::UNIX_EPOCH);
    let recent = comparisons.iter().rev().filter(|happened| happened.at >= since);
    let bad = recent.filter_map(|happened| match &happened.event {
        Event::Comparison { project, toolchain, verdict } if *verdict != Verdict::Same => {
            let (id, when) = (toolchain.short(), output::ago(happened.at, now));
            Some(format!("{project} {id}, compared {when}: {}", verdict.in_words()))
        }
        _ => None,
    });
    bad.collect()
}

/// Whether anything collects by the clock.
fn collector(overview: &Overview, totals: &Totals, now: SystemTime) -> Option<String> {
    if overview.entries.is_empty() {
        return None;
    }
    let timer = "`larder emit systemd` prints a timer that does";
    let Some(last) = &totals.last_collection else {
        return Some(format!("nothing has ever collected here by the clock; {timer}"));
    };
    let late = now.duration_since(last.at).is_ok_and(|ago| ago > WEEK);
    late.then(|| format!("`larder gc` was last done {}; {timer}", output::ago(last.at, now)))
}

fn some(mut all: Vec<String>) -> Vec<String> {
    let more = all.len().saturating_sub(NAMED);
    all.truncate(NAMED);
    if more > 0 {
        all.push(format!("and {more} more like this"));
    }
    all
}

fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}
