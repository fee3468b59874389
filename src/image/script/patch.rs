//! Changes to the lines of a file: made, shown, and taken back, each on its own.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// So many lines are shown around a change.
const CONTEXT: usize = 3;

/// Lines that take the place of others. Each has its newline, as far as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hunk {
    /// The number of the first one in the file before, from 0.
    pub line: usize,
    /// What was there; nothing where lines are added.
    pub before: Vec<String>,
    /// What takes its place.
    pub after: Vec<String>,
}

/// The lines of a text, with their newlines.
pub(crate) fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Makes changes, which are in the order of their lines and do not overlap.
pub(crate) fn apply(text: &str, hunks: &[Hunk]) -> String {
    let lines = lines(text);
    let (mut out, mut next) = (String::new(), 0);
    for hunk in hunks {
        out.extend(lines[next..hunk.line].iter().copied());
        out.extend(hunk.after.iter().map(String::as_str));
        next = hunk.line + hunk.before.len();
    }
    out.extend(lines[next..].iter().copied());
    out
}

/// Takes changes back, wherever their lines are now. Gives the text and the changes whose lines are
/// not there as they were left.
pub(crate) fn revert<'a>(text: &str, hunks: &'a [Hunk]) -> (String, Vec<&'a Hunk>) {
    let mut now: Vec<String> = lines(text).into_iter().map(str::to_owned).collect();
    let mut lost = Vec::new();
    let shifts: Vec<usize> = shifted(hunks);
    for (hunk, expected) in hunks.iter().zip(shifts).rev() {
        match find(&now, &hunk.after, expected) {
            Some(at) => drop(now.splice(at..at + hunk.after.len(), hunk.before.iter().cloned())),
            // A change that was never made, because larder was stopped before.
            None if find(&now, &hunk.before, hunk.line).is_some() && !hunk.before.is_empty() => {}
            None => lost.push(hunk),
        }
    }
    (now.concat(), lost)
}

/// Where the changed lines are in the changed file.
fn shifted(hunks: &[Hunk]) -> Vec<usize> {
    let (mut added, mut removed) = (0, 0);
    let mut place = |hunk: &Hunk| {
        let at = hunk.line + added - removed;
        added += hunk.after.len();
        removed += hunk.before.len();
        at
    };
    hunks.iter().map(&mut place).collect()
}

/// The place nearest to `expected` at which the lines are.
fn find(now: &[String], wanted: &[String], expected: usize) -> Option<usize> {
    if wanted.is_empty() || wanted.len() > now.len() {
        return None;
    }
    let places = (0..=now.len() - wanted.len()).filter(|at| now[*at..].starts_with(wanted));
    places.min_by_key(|at| at.abs_diff(expected))
}

/// The changes as a unified diff of a file, which `git apply` and `patch` understand.
pub(crate) fn diff(path: &str, text: &str, hunks: &[Hunk]) -> String {
    let lines = lines(text);
    let mut out = format!("--- a/{path}\n+++ b/{path}\n");
    let (mut added, mut removed) = (0, 0);
    for group in groups(hunks) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let start = first.line.saturating_sub(CONTEXT);
        let end = (last.line + last.before.len() + CONTEXT).min(lines.len());
        let to = start + added - removed;
        let (mut body, mut next, mut new) = (String::new(), start, end - start);
        for hunk in group {
            show(&mut body, ' ', lines[next..hunk.line].iter().copied());
            show(&mut body, '-', hunk.before.iter().map(String::as_str));
            show(&mut body, '+', hunk.after.iter().map(String::as_str));
            next = hunk.line + hunk.before.len();
            new = new + hunk.after.len() - hunk.before.len();
            added += hunk.after.len();
            removed += hunk.before.len();
        }
        show(&mut body, ' ', lines[next..end].iter().copied());
        let old = end - start;
        let (from, to) = (start + usize::from(old > 0), to + usize::from(new > 0));
        let _ = write!(out, "@@ -{from},{old} +{to},{new} @@\n{body}");
    }
    out
}

fn show<'a>(out: &mut String, mark: char, lines: impl Iterator<Item = &'a str>) {
    for line in lines {
        out.push(mark);
        out.push_str(line);
        if !line.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// Changes that are shown together, because their surroundings touch.
fn groups(hunks: &[Hunk]) -> Vec<&[Hunk]> {
    let far = |a: &Hunk, b: &Hunk| b.line > a.line + a.before.len() + 2 * CONTEXT;
    hunks.chunk_by(|a, b| !far(a, b)).collect()
}

/// A whole new file as a unified diff.
pub(crate) fn addition(path: &str, text: &str) -> String {
    let count = lines(text).len();
    let mut out = format!("--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{count} @@\n");
    show(&mut out, '+', lines(text).into_iter());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hunk(line: usize, before: &[&str], after: &[&str]) -> Hunk {
        let own = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Hunk { line, before: own(before), after: own(after) }
    }

    #[test]
    fn a_change_is_taken_back_to_the_byte() {
        let text = "a\nb\nc\nd";
        let hunks = [hunk(1, &[], &["new\n"]), hunk(3, &["d"], &["D"])];
        let changed = apply(text, &hunks);
        assert_eq!(changed, "a\nnew\nb\nc\nD");
        assert_eq!(revert(&changed, &hunks), (text.to_owned(), vec![]));
    }

    #[test]
    fn only_its_own_lines_are_taken_back() {
        let hunks = [hunk(0, &[], &["new\n"]), hunk(2, &["c\n"], &["C\n"])];
        let edited = format!("top\n{}bottom\n", apply("a\nb\nc\n", &hunks));
        assert_eq!(revert(&edited, &hunks), ("top\na\nb\nc\nbottom\n".to_owned(), vec![]));
        let (text, lost) = revert("new\na\nb\nCC\n", &hunks);
        assert_eq!((text.as_str(), lost), ("a\nb\nCC\n", vec![&hunks[1]]));
        assert_eq!(revert("a\nb\nc\n", &hunks[1..]), ("a\nb\nc\n".to_owned(), vec![]));
    }

    #[test]
    fn of_equal_lines_the_nearest_is_taken() {
        let hunks = [hunk(3, &["y\n"], &["x\n"])];
        assert_eq!(revert("x\na\nb\nx\nx\n", &hunks).0, "x\na\nb\ny\nx\n");
    }

    #[test]
    fn the_diff_is_unified() {
        let text = (1..=20).fold(String::new(), |text, number| text + &format!("{number}\n"));
        let hunks = [hunk(1, &[], &["new\n"]), hunk(18, &["19\n"], &["XIX\n"])];
        snapbox::assert_data_eq!(
            diff("x", &text, &hunks),
            snapbox::str![[r"
--- a/x
+++ b/x
@@ -1,4 +1,5 @@
 1
+new
 2
 3
 4
@@ -16,5 +17,5 @@
 16
 17
 18
-19
+XIX
 20

"]]
        );
    }
}
