//! Rectangles whose areas are in proportion to weights, as near to squares as they get: the squarified
//! treemap of Bruls, Huizing and van Wijk (2000).

/// A rectangle; `y` grows downwards.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rect {
    pub x: f64,
    pub y: f64,
    /// From left to right.
    pub width: f64,
    /// From top to bottom.
    pub height: f64,
}

impl Rect {
    /// Width times height.
    pub(super) fn area(&self) -> f64 {
        self.width * self.height
    }

    fn shorter(&self) -> f64 {
        self.width.min(self.height)
    }
}

/// Divides a frame among weights, each in the place that its weight has; the heaviest is at the upper left.
/// What weighs nothing gets a rectangle without area.
pub(super) fn squarify(weights: &[f64], frame: Rect) -> Vec<Rect> {
    let mut rects = vec![Rect { x: frame.x, y: frame.y, width: 0.0, height: 0.0 }; weights.len()];
    let total: f64 = weights.iter().sum();
    if !(total > 0.0 && frame.area() > 0.0) {
        return rects;
    }
    let mut order: Vec<usize> = (0..weights.len()).filter(|it| weights[*it] > 0.0).collect();
    order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]));
    let scale = frame.area() / total;
    let areas: Vec<f64> = order.iter().map(|index| weights[*index] * scale).collect();
    let (mut free, mut next) = (frame, 0);
    while next < areas.len() {
        let end = row_end(&areas, next, free.shorter());
        let is_last = end == areas.len();
        let row = lay(&areas[next..end], &mut free, is_last);
        for (index, rect) in order[next..end].iter().zip(row) {
            rects[*index] = rect;
        }
        next = end;
    }
    rects
}

/// Where the row that begins at `start` ends: as long as one more makes its worst rectangle better.
fn row_end(areas: &[f64], start: usize, side: f64) -> usize {
    let mut sum = areas[start];
    let mut end = start + 1;
    let largest = areas[start];
    while end < areas.len() {
        let longer = sum + areas[end];
        if worst(largest, areas[end], longer, side) > worst(largest, areas[end - 1], sum, side) {
            break;
        }
        sum = longer;
        end += 1;
    }
    end
}

/// The largest ratio of the sides in a row, by its largest and smallest areas and their sum.
fn worst(largest: f64, smallest: f64, sum: f64, side: f64) -> f64 {
    let (sum, side) = (sum * sum, side * side);
    (side * largest / sum).max(sum / (side * smallest))
}

/// Lays a row along the shorter side of what is free, and takes it from there.
fn lay(areas: &[f64], free: &mut Rect, is_last: bool) -> Vec<Rect> {
    let sum: f64 = areas.iter().sum();
    let lies = free.width < free.height;
    let (long, side) = if lies { (free.height, free.width) } else { (free.width, free.height) };
    // What rounding leaves over goes to the last row and to the last in each row.
    let depth = if is_last { long } else { (sum / side).min(long) };
    let mut offset = 0.0;
    let mut rects = Vec::with_capacity(areas.len());
    for (index, area) in areas.iter().enumerate() {
        let rest = side - offset;
        let length = if index + 1 == areas.len() { rest } else { (side * area / sum).min(rest) };
        let (x, y) = (free.x, free.y);
        rects.push(if lies {
            Rect { x: x + offset, y, width: length, height: depth }
        } else {
            Rect { x, y: y + offset, width: depth, height: length }
        });
        offset += length;
    }
    if lies {
        free.y += depth;
        free.height -= depth;
    } else {
        free.x += depth;
        free.width -= depth;
    }
    rects
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRAME: Rect = Rect { x: 10.0, y: 20.0, width: 1200.0, height: 560.0 };

    fn overlap(a: &Rect, b: &Rect) -> f64 {
        let along = |a: f64, wide: f64, b: f64, high: f64| (a + wide).min(b + high) - a.max(b);
        let (x, y) = (along(a.x, a.width, b.x, b.width), along(a.y, a.height, b.y, b.height));
        x.max(0.0) * y.max(0.0)
    }

    proptest! {
        #[test]
        fn areas_are_weights_and_nothing_overlaps(
            weights in prop::collection::vec(
                prop_oneof![Just(0.0), 1.0..1e3, 1e6..1e13f64], 0..60),
            width in 1.0..3000.0f64,
            height in 1.0..3000.0f64,
        ) {
            let frame = Rect { width, height, ..FRAME };
            let rects = squarify(&weights, frame);
            prop_assert_eq!(rects.len(), weights.len());
            let total: f64 = weights.iter().sum();
            for (rect, weight) in rects.iter().zip(&weights) {
                let wanted = if total > 0.0 { weight / total * frame.area() } else { 0.0 };
                prop_assert!((rect.area() - wanted).abs() <= frame.area() * 1e-9, "{:?} {}", rect, wanted);
                prop_assert!(rect.width >= 0.0 && rect.height >= 0.0, "{:?}", rect);
                let slack = 1e-6;
                prop_assert!(rect.x >= frame.x - slack && rect.y >= frame.y - slack, "{:?}", rect);
                prop_assert!(rect.x + rect.width <= frame.x + frame.width + slack, "{:?}", rect);
                prop_assert!(rect.y + rect.height <= frame.y + frame.height + slack, "{:?}", rect);
            }
            for (index, a) in rects.iter().enumerate() {
                for b in &rects[index + 1..] {
                    prop_assert!(overlap(a, b) <= frame.area() * 1e-9, "{:?} {:?}", a, b);
                }
            }
        }
    }

    #[test]
    fn equal_weights_are_near_squares() {
        let frame = Rect { width: 1000.0, height: 1000.0, ..FRAME };
        for rect in squarify(&[1.0; 25], frame) {
            assert!((rect.width / rect.height - 1.0).abs() < 0.01, "{rect:?}");
        }
    }

    #[test]
    fn the_heaviest_is_at_the_upper_left_whatever_its_place() {
        let rects = squarify(&[1.0, 5.0, 2.0], FRAME);
        assert!((rects[1].x - FRAME.x).abs() < 1e-9 && (rects[1].y - FRAME.y).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_divided_among_nobody() {
        assert!(squarify(&[], FRAME).is_empty());
        assert_eq!(squarify(&[0.0], FRAME)[0].area().to_bits(), 0f64.to_bits());
    }
}
