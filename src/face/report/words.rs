//! Numbers and times as the page writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::decide::policy::Step;
use crate::output;

/// A size in binary units.
pub(super) fn size(bytes: u64) -> String {
    output::size(bytes)
}

/// A stretch of time in its largest unit: `12.3 s`, `4.5 min`, `6.7 h`.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 360_000.0 => output::seconds(s),
        s => format!("{:.1} d", s / 86_400.0),
    }
}

/// A moment, to sort by.
pub(super) fn epoch(at: SystemTime) -> f64 {
    seconds(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Bytes that steps free.
pub(super) fn frees(steps: &[Step]) -> u64 {
    steps.iter().fold(0, |sum, step| sum.saturating_add(step.frees.bytes))
}

/// A number with a blank between thousands, and what is counted.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {many}", grouped(number)) }
}

/// A number with a narrow blank between thousands.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A day as `24 Nov`, in UTC.
pub(super) fn day(at: SystemTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = humantime::format_rfc3339_seconds(at).to_string();
    let part = |from, to| text.get(from..to).and_then(|part| part.parse::<usize>().ok());
    match (part(5, 7), part(8, 10)) {
        (Some(month @ 1..=12), Some(day)) => format!("{day} {}", MONTHS[month - 1]),
        _ => text,
    }
}

/// Two days as `18 Nov to 24 Nov`.
pub(super) fn days(start: SystemTime, end: SystemTime) -> String {
    format!("{} to {}", day(start), day(end))
}

/// A moment for programs.
pub(super) fn stamp(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}

/// The seconds of a stretch of time, as a number to draw with.
pub(super) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// A size or count as a number to draw with.
#[expect(clippy::cast_precision_loss, reason = "drawings need no more than 53 bits")]
pub(super) fn number(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn numbers_and_times_read_well() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(grouped(999), "999");
        let shown = [0.04, 99.94, 100.0, 7200.0, 400_000.0].map(duration);
        assert_eq!(shown, ["0.0 s", "99.9 s", "1.7 min", "2.0 h", "4.6 d"]);
        assert_eq!(day(UNIX_EPOCH + Duration::from_secs(1_000_000_000)), "9 Sep");
        assert_eq!(count(1, "use", "uses"), "1 use");
    }
}
