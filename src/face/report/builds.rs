//! How long builds took, and what the uses of stretches of time came to.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::Moment;
use crate::store::Outcome;
use crate::store::history::{Event, Happened, Sums, UseEvent};

/// Seconds that several builds took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub builds: usize,
    pub least: f64,
    /// As many were longer as were shorter.
    pub median: f64,
    pub most: f64,
}

/// The builds of a project that succeeded in some stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Times {
    pub start: Moment,
    /// Those that found a kept directory.
    pub warm: Option<Spread>,
    /// Those that began with an empty one.
    pub cold: Option<Spread>,
}

/// What the uses of a stretch of time came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Period {
    pub start: Moment,
    /// When the next one begins.
    pub end: Moment,
    /// What its uses came to.
    #[serde(flatten)]
    pub sums: Sums,
    /// Bytes that were collected; without what only left the trash.
    pub freed: u64,
}

impl Spread {
    fn of(mut seconds: Vec<f64>) -> Option<Self> {
        seconds.sort_by(f64::total_cmp);
        let (least, most) = (*seconds.first()?, *seconds.last()?);
        let (low, high) = (seconds[(seconds.len() - 1) / 2], seconds[seconds.len() / 2]);
        Some(Self { builds: seconds.len(), least, median: f64::midpoint(low, high), most })
    }
}

/// The stretches of time that end now, counted back: which one a moment is in, 0 for the latest. What is
/// later than now is in the latest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spans {
    now: SystemTime,
    length: Duration,
}

impl Spans {
    /// Stretches of this length.
    pub(super) fn new(now: SystemTime, length: Duration) -> Self {
        Self { now, length }
    }

    /// In which of them a moment is.
    pub(super) fn index(self, at: SystemTime) -> u32 {
        // What lies on an edge is in the later one, as `history::sums` has it.
        let mut index = 0;
        if let Ok(ago) = self.now.duration_since(at) {
            let (ago, length) = (ago.as_nanos(), self.length.as_nanos().max(1));
            index = u32::try_from(ago.saturating_sub(1) / length).unwrap_or(u32::MAX);
        }
        index
    }

    /// When one of them begins.
    pub(super) fn start(self, index: u32) -> SystemTime {
        let back = self.length.saturating_mul(index.saturating_add(1));
        self.now.checked_sub(back).unwrap_or(UNIX_EPOCH)
    }
}

/// What stretches of time came to, the earliest first: at most so many, and none before anything is known.
pub(super) fn periods(history: &[Happened], spans: Spans, most: u32) -> Vec<Period> {
    let earliest = history.iter().map(|happened| spans.index(happened.at)).max();
    let count = earliest.map_or(1, |index| index.saturating_add(1).min(most));
    let period = |index: u32| Period {
        start: Moment(spans.start(index)),
        end: Moment(if index == 0 { spans.now } else { spans.start(index - 1) }),
        sums: Sums::default(),
        freed: 0,
    };
    let mut periods: Vec<Period> = (0..count).map(period).collect();
    for happened in history {
        let index = usize::try_from(spans.index(happened.at)).unwrap_or(usize::MAX);
        let Some(period) = periods.get_mut(index) else { continue };
        match &happened.event {
            Event::Use(used) => period.sums.add(used),
            Event::Collection(collection) => {
                period.freed = period.freed.saturating_add(super::freed::newly(collection));
            }
            Event::Comparison { .. } | Event::Push(_) | Event::Pull(_) => {}
        }
    }
    periods.reverse();
    periods
}

/// The times of builds that succeeded, by where each belongs; the earliest first.
pub(super) fn times<'a>(
    uses: impl IntoIterator<Item = (SystemTime, &'a UseEvent)>,
    start: impl Fn(SystemTime) -> SystemTime,
) -> Vec<Times> {
    let mut groups: BTreeMap<SystemTime, [Vec<f64>; 2]> = BTreeMap::new();
    for (at, used) in uses {
        if used.outcome == Outcome::Succeeded {
            let group = groups.entry(start(at)).or_default();
            group[usize::from(used.cold)].push(used.seconds);
        }
    }
    let times = groups.into_iter().map(|(start, [warm, cold])| Times {
        start: Moment(start),
        warm: Spread::of(warm),
        cold: Spread::of(cold),
    });
    times.collect()
}

/// When the day of a moment began, in UTC.
pub(super) fn day(at: SystemTime) -> SystemTime {
    const DAY: u64 = 86_400;
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    UNIX_EPOCH + Duration::from_secs(seconds / DAY * DAY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::report::tests::{NOW, used};
    use crate::store::history::{WEEK, sums};

    #[test]
    fn the_latest_period_is_what_status_sums_up() {
        let now = UNIX_EPOCH + NOW;
        let hours = [1, 24 * 7 - 1, 24 * 7, 24 * 7 + 1, 24 * 20, 24 * 300];
        let mut history: Vec<Happened> = hours
            .iter()
            .rev()
            .map(|hours| used(now - Duration::from_secs(hours * 3600), "rye", false, 1.5))
            .collect();
        history.push(used(now + Duration::from_secs(60), "rye", true, 60.0));
        let periods = periods(&history, Spans::new(now, WEEK), 13);
        assert_eq!(periods.len(), 13);
        assert_eq!(periods[12].sums, sums(&history, None, now, WEEK));
        assert_eq!(periods[12].sums.uses, 4);
        assert_eq!(periods[11].sums.uses, 1);
        assert_eq!(periods.iter().map(|period| period.sums.uses).sum::<usize>(), 6);
        assert!(periods.windows(2).all(|pair| pair[0].end == pair[1].start));
    }

    #[test]
    fn nothing_known_is_one_empty_period() {
        let periods = periods(&[], Spans::new(UNIX_EPOCH + NOW, WEEK), 13);
        assert_eq!(periods.len(), 1);
        assert_eq!(periods[0].sums, Sums::default());
    }

    #[test]
    fn spreads_are_those_of_what_succeeded() {
        let now = UNIX_EPOCH + NOW;
        let mut history: Vec<Happened> =
            [4.0, 1.0, 2.0].iter().map(|seconds| used(now, "rye", false, *seconds)).collect();
        if let Event::Use(used) = &mut history[0].event {
            used.outcome = Outcome::Failed(1);
        }
        let uses = history.iter().filter_map(|happened| match &happened.event {
            Event::Use(used) => Some((happened.at, used)),
            _ => None,
        });
        let times = times(uses, day);
        let wanted = Spread { builds: 2, least: 1.0, median: 1.5, most: 2.0 };
        assert_eq!((times[0].warm, times[0].cold), (Some(wanted), None));
    }
}
