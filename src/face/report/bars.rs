//! Bars: one for each stretch of time, and one for what shares a space.

use super::html::{Attribute, Html, Px};
use super::words;

const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 22.0;

/// A bar.
pub(super) struct Bar {
    /// What stands below it, if there is room.
    pub label: String,
    pub value: f64,
    pub tip: String,
}

/// How values are written, and what steps the scale has.
pub(super) struct Scale {
    /// A value as text.
    pub text: fn(f64) -> String,
    /// Steps between lines, the smallest first; further ones are ten times as large.
    pub steps: &'static [f64],
}

/// Seconds.
pub(super) const SECONDS: Scale = Scale {
    text: |seconds| match seconds {
        s if s < 60.0 => format!("{s} s"),
        s if s < 3600.0 => format!("{} min", (s / 6.0).round() / 10.0),
        s if s < 172_800.0 => format!("{} h", (s / 360.0).round() / 10.0),
        s => format!("{} d", (s / 8640.0).round() / 10.0),
    },
    steps: &[
        0.5,
        1.0,
        5.0,
        10.0,
        30.0,
        60.0,
        300.0,
        600.0,
        1800.0,
        3600.0,
        7200.0,
        18_000.0,
        36_000.0,
        72_000.0,
        180_000.0,
        360_000.0,
        864_000.0,
        1_728_000.0,
        4_320_000.0,
        8_640_000.0,
    ],
};

/// Bytes.
pub(super) const BYTES: Scale = Scale {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "steps are whole and positive"
    )]
    text: |bytes| words::size(bytes as u64),
    steps: &[
        1024.0,
        65_536.0,
        262_144.0,
        1_048_576.0,
        5_242_880.0,
        10_485_760.0,
        52_428_800.0,
        104_857_600.0,
        262_144_000.0,
        536_870_912.0,
        1_073_741_824.0,
        2_147_483_648.0,
        5_368_709_120.0,
        10_737_418_240.0,
        21_474_836_480.0,
        53_687_091_200.0,
        107_374_182_400.0,
        214_748_364_800.0,
        536_870_912_000.0,
        1_099_511_627_776.0,
    ],
};

impl Scale {
    /// The distance of lines that gives at most four of them.
    fn step(&self, most: f64) -> f64 {
        let fits = |step: &f64| most / step <= 4.0;
        let largest = self.steps.last().copied().unwrap_or(1.0);
        let mut step = self.steps.iter().copied().find(fits).unwrap_or(largest);
        while most.is_finite() && !fits(&step) {
            step *= 2.0;
        }
        step
    }
}

/// Draws bars beside each other.
pub(super) fn bars(title: &str, bars: &[Bar], scale: &Scale) -> Html {
    let mut html = Html::default();
    let view = format!("0 0 {} {}", Px(WIDTH), Px(HEIGHT));
    let head: [Attribute<'_>; 4] =
        [("class", &"bars"), ("viewBox", &view), ("role", &"img"), ("aria-label", &title)];
    html.open("svg", &head);
    let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let step = scale.step(most);
    let top = if most > 0.0 { (most / step).ceil() * step } else { step };
    let floor = HEIGHT - BOTTOM;
    let y = |value: f64| floor - value / top * (floor - TOP);
    let mut line = 0.0;
    while line <= top {
        grid(&mut html, y(line), &(scale.text)(line), line > 0.0);
        line += step;
    }
    let room = (WIDTH - LEFT - RIGHT) / words::number(bars.len().max(1) as u64);
    let every = (44.0 / room).ceil().max(1.0);
    for (index, bar) in bars.iter().enumerate() {
        let index = words::number(index as u64);
        let (x, wide) = (LEFT + index * room, (room * 0.72).min(40.0));
        let middle = x + room / 2.0;
        html.raw("<g>").element("title", &[], &bar.tip);
        // All of the column answers to the pointer, also where the bar is short.
        let column = format!("M{} {}h{}V{}H{}z", Px(x), Px(TOP), Px(room), Px(floor), Px(x));
        html.open("path", &[("class", &"hit"), ("d", &column)]).close("path");
        if bar.value > 0.0 {
            // What is there can be seen.
            let upper = y(bar.value).min(floor - 1.0);
            let left = middle - wide / 2.0;
            let d = format!("M{} {}h{}V{}H{}z", Px(left), Px(upper), Px(wide), Px(floor), Px(left));
            html.open("path", &[("class", &"bar"), ("d", &d)]).close("path");
        }
        html.close("g");
        let from_end = words::number(bars.len() as u64) - 1.0 - index;
        if from_end % every == 0.0 {
            let at: [Attribute<'_>; 3] =
                [("x", &Px(middle)), ("y", &Px(HEIGHT - 6.0)), ("text-anchor", &"middle")];
            html.element("text", &at, &bar.label);
        }
    }
    html.close("svg");
    html
}

fn grid(html: &mut Html, y: f64, text: &str, is_line: bool) {
    let class = if is_line { "grid" } else { "axis" };
    let d = format!("M{} {}H{}", Px(LEFT), Px(y), Px(WIDTH - RIGHT));
    html.open("path", &[("class", &class), ("d", &d)]).close("path");
    let at: [Attribute<'_>; 3] =
        [("x", &Px(LEFT - 6.0)), ("y", &Px(y + 4.0)), ("text-anchor", &"end")];
    html.element("text", &at, text);
}

/// A part of a space.
pub(super) struct Share {
    /// What it is called in the style sheet.
    pub class: &'static str,
    pub tip: String,
    pub bytes: u64,
}

/// Draws what shares a space, with a mark at a limit.
pub(super) fn space(title: &str, shares: &[Share], whole: u64, limit: Option<u64>) -> Html {
    let mut html = Html::default();
    let whole = words::number(whole.max(1));
    let head: [Attribute<'_>; 5] = [
        ("class", &"space"),
        ("viewBox", &"0 0 1000 20"),
        ("preserveAspectRatio", &"none"),
        ("role", &"img"),
        ("aria-label", &title),
    ];
    html.open("svg", &head);
    html.raw("<rect class=\"room\" width=\"1000\" height=\"20\"></rect>");
    let mut x = 0.0;
    for share in shares.iter().filter(|share| share.bytes > 0) {
        let wide = (words::number(share.bytes) / whole * 1000.0).min(1000.0 - x);
        html.raw("<g>").element("title", &[], &share.tip);
        let place: [Attribute<'_>; 4] =
            [("class", &share.class), ("x", &Px(x)), ("width", &Px(wide)), ("height", &20)];
        html.open("rect", &place).close("rect").close("g");
        x += wide;
    }
    if let Some(limit) = limit {
        let x = (words::number(limit) / whole * 1000.0).min(998.0);
        let place: [Attribute<'_>; 4] =
            [("class", &"limit"), ("x", &Px(x)), ("width", &2), ("height", &20)];
        html.open("rect", &place).close("rect");
    }
    html.close("svg");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_have_few_lines_whatever_the_values() {
        for scale in [SECONDS, BYTES] {
            for exponent in -3..18 {
                let most = 10f64.powi(exponent) * 1.7;
                let lines = most / scale.step(most);
                assert!(lines <= 4.0, "{most}: {lines}");
            }
        }
    }

    #[test]
    fn what_a_bar_says_stays_text() {
        let tip = "<img src=x>".to_owned();
        let html = bars("t", &[Bar { label: "a".to_owned(), value: 1.0, tip }], &SECONDS);
        assert!(html.as_str().contains("<title>&lt;img src=x&gt;</title>"));
    }
}
