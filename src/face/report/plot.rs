//! Build times of one project over the days: warm against cold, on a logarithmic scale, because one is
//! often a hundredth of the other.

use std::time::{Duration, SystemTime};

use super::builds::{Spread, Times};
use super::html::{Attribute, Html, Px};
use super::words;

const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 20.0;

/// A project's chart has at least so many days.
const LEAST: Duration = Duration::from_secs(7 * 86_400);

/// Where lines are drawn, and what they are called.
const LINES: [(f64, &str); 9] = [
    (0.01, "0.01 s"),
    (0.1, "0.1 s"),
    (1.0, "1 s"),
    (10.0, "10 s"),
    (60.0, "1 min"),
    (600.0, "10 min"),
    (3600.0, "1 h"),
    (36_000.0, "10 h"),
    (360_000.0, "100 h"),
];

struct Frame {
    start: SystemTime,
    seconds: f64,
    low: f64,
    high: f64,
}

impl Frame {
    fn new(days: &[Times], start: SystemTime, end: SystemTime) -> Self {
        let spreads = || days.iter().flat_map(|day| [day.warm, day.cold]).flatten();
        let least = spreads().map(|spread| spread.least).fold(f64::INFINITY, f64::min);
        let most = spreads().map(|spread| spread.most).fold(0.0, f64::max);
        // The lines around what there is.
        let below = LINES.iter().rev().map(|line| line.0).find(|line| *line <= least);
        let above = LINES.iter().map(|line| line.0).find(|line| *line >= most);
        let low = below.unwrap_or(LINES[0].0);
        let high = above.unwrap_or(LINES[LINES.len() - 1].0).max(low * 10.0);
        let span = end.duration_since(start).unwrap_or_default();
        let start = if span < LEAST { end.checked_sub(LEAST).unwrap_or(start) } else { start };
        Self { start, seconds: words::seconds(span.max(LEAST)), low, high }
    }

    fn x(&self, at: SystemTime) -> f64 {
        let since = words::seconds(at.duration_since(self.start).unwrap_or_default());
        LEFT + (since / self.seconds).min(1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, seconds: f64) -> f64 {
        let seconds = seconds.clamp(self.low, self.high);
        let part = (seconds / self.low).ln() / (self.high / self.low).ln();
        HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - TOP)
    }
}

/// Draws the days of a project.
pub(super) fn plot(title: &str, days: &[Times], start: SystemTime, end: SystemTime) -> Html {
    let mut html = Html::default();
    let frame = Frame::new(days, start, end);
    let view = format!("0 0 {} {}", Px(WIDTH), Px(HEIGHT));
    let head: [Attribute<'_>; 4] =
        [("class", &"plot"), ("viewBox", &view), ("role", &"img"), ("aria-label", &title)];
    html.open("svg", &head);
    axes(&mut html, &frame, end);
    for times in days {
        // In the middle of the day.
        let noon = times.start.0 + Duration::from_secs(43_200);
        day(&mut html, &frame, times, frame.x(noon.min(end)));
    }
    html.close("svg");
    html
}

fn axes(html: &mut Html, frame: &Frame, end: SystemTime) {
    let lines = LINES.iter().filter(|(value, _)| *value >= frame.low && *value <= frame.high);
    for (value, name) in lines {
        let y = frame.y(*value);
        let class = if *value > frame.low { "grid" } else { "axis" };
        let d = format!("M{} {}H{}", Px(LEFT), Px(y), Px(WIDTH - RIGHT));
        html.open("path", &[("class", &class), ("d", &d)]).close("path");
        label(html, LEFT - 6.0, y + 4.0, "end", name);
    }
    let floor = HEIGHT - 5.0;
    let middle = frame.start + Duration::from_secs_f64(frame.seconds / 2.0);
    label(html, LEFT, floor, "start", &words::day(frame.start));
    label(html, f64::midpoint(LEFT, WIDTH - RIGHT), floor, "middle", &words::day(middle));
    label(html, WIDTH - RIGHT, floor, "end", &words::day(end));
}

fn label(html: &mut Html, x: f64, y: f64, anchor: &'static str, text: &str) {
    html.element("text", &[("x", &Px(x)), ("y", &Px(y)), ("text-anchor", &anchor)], text);
}

fn day(html: &mut Html, frame: &Frame, times: &Times, x: f64) {
    let mut tip = words::day(times.start.0);
    let (mut warm, mut cold) = (String::new(), String::new());
    if let Some(spread) = &times.cold {
        tip += &told("cold", spread);
        let y = frame.y(spread.median);
        let (left, upper) = (Px(x), Px(y - 4.0));
        cold = format!("{}M{left} {upper}l4 4l-4 4l-4-4z", range(frame, spread, x));
    }
    if let Some(spread) = &times.warm {
        tip += &told("warm", spread);
        let y = frame.y(spread.median);
        let dot = "a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0z";
        warm = format!("{}M{} {}{dot}", range(frame, spread, x), Px(x - 2.5), Px(y));
    }
    html.raw("<g>").element("title", &[], tip);
    for (class, d) in [("cold", cold), ("warm", warm)] {
        if !d.is_empty() {
            html.open("path", &[("class", &class), ("d", &d)]).close("path");
        }
    }
    html.close("g");
}

/// From the shortest build to the longest, where that can be seen.
fn range(frame: &Frame, spread: &Spread, x: f64) -> String {
    let (low, high) = (frame.y(spread.least), frame.y(spread.most));
    if low - high < 3.0 {
        return String::new();
    }
    format!("M{} {}V{}", Px(x), Px(low), Px(high))
}

/// Builds in words.
fn told(temper: &str, spread: &Spread) -> String {
    let median = words::duration(spread.median);
    if spread.builds == 1 {
        return format!("; 1 {temper} build, {median}");
    }
    let (least, most) = (words::duration(spread.least), words::duration(spread.most));
    format!("; {} {temper} builds, median {median}, {least} to {most}", spread.builds)
}
