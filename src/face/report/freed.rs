//! What collection freed, and why.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::decide::policy::Why;
use crate::store::history::{Collection, Event, Happened};

/// Things that went for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Reason {
    /// The reason, with `…` for its numbers.
    pub why: String,
    pub things: usize,
    /// Their bytes, as recorded.
    pub bytes: u64,
}

/// Bytes that a collection took from where builds look: what was in the trash before had gone already.
pub(super) fn newly(collection: &Collection) -> u64 {
    let earlier = Why::Trash.to_string();
    let in_trash = collection.gone.iter().filter(|gone| gone.why == earlier);
    in_trash.fold(collection.freed, |freed, gone| freed.saturating_sub(gone.bytes))
}

/// Why things went, what frees most first. A collection keeps only its first things; the others are
/// told of as such.
pub(super) fn reasons(history: &[Happened]) -> Vec<Reason> {
    let mut sums: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    let mut add = |why: String, things: usize, bytes: u64| {
        let sum = sums.entry(why).or_default();
        *sum = (sum.0 + things, sum.1.saturating_add(bytes));
    };
    for happened in history {
        let Event::Collection(collection) = &happened.event else { continue };
        for gone in &collection.gone {
            add(without_numbers(&gone.why), 1, gone.bytes);
        }
        if collection.more > 0 {
            let told =
                collection.gone.iter().fold(0u64, |sum, gone| sum.saturating_add(gone.bytes));
            let rest = collection.freed.saturating_sub(told);
            add("the reason was not kept".to_owned(), collection.more, rest);
        }
    }
    let mut reasons: Vec<Reason> =
        sums.into_iter().map(|(why, (things, bytes))| Reason { why, things, bytes }).collect();
    reasons.sort_by(|a, b| b.bytes.cmp(&a.bytes).then(a.why.cmp(&b.why)));
    reasons
}

/// A reason in words, with `…` for each number and its unit, and without what follows a colon: what
/// the same reason of other things has in common with it.
fn without_numbers(why: &str) -> String {
    const UNITS: [&str; 10] = ["s", "min", "h", "d", "B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let general = why.split_once(": ").map_or(why, |(general, _)| general);
    let mut words: Vec<String> = Vec::new();
    for word in general.split_whitespace() {
        let bare = word.trim_end_matches(',');
        let comma = &word[bare.len()..];
        let follows_number = words.last().is_some_and(|word| word == "…");
        if follows_number && UNITS.contains(&bare) {
            words.pop();
            words.push(format!("…{comma}"));
        } else if bare.starts_with(|letter: char| letter.is_ascii_digit()) {
            words.push(format!("…{comma}"));
        } else {
            words.push(word.to_owned());
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::base::quantity::ByteSize;
    use crate::store::history::{Collector, Gone};

    fn gone(why: &Why, bytes: u64) -> Gone {
        Gone { project: None, what: "x".to_owned(), why: why.to_string(), bytes }
    }

    #[test]
    fn like_reasons_are_one() {
        let age =
            |days: u64| Why::Age { unused_seconds: days * 86_400, max_age_seconds: 30 * 86_400 };
        let size = Why::MaxSize { max_size: ByteSize(20 << 30) };
        let broken = |problem: &str| Why::Broken { problem: problem.to_owned() };
        let things = vec![
            gone(&age(31), 10),
            gone(&age(400), 20),
            gone(&size, 7),
            gone(&broken("no entry.json"), 2),
            gone(&broken("42 is not 43"), 1),
        ];
        let mut collection = Collection::new(Collector::Gc, things, Vec::new()).unwrap();
        collection.more = 2;
        collection.freed += 5;
        let happened = Happened { at: UNIX_EPOCH, event: Event::Collection(collection) };
        let told: Vec<(String, usize, u64)> =
            reasons(&[happened]).into_iter().map(|it| (it.why, it.things, it.bytes)).collect();
        let wanted = [
            ("unused for …, max-age …", 2, 30),
            ("least recently used, store over …", 1, 7),
            ("the reason was not kept", 2, 5),
            ("cannot be used", 2, 3),
        ];
        assert_eq!(told, wanted.map(|(why, things, bytes)| (why.to_owned(), things, bytes)));
    }

    #[test]
    fn what_only_left_the_trash_is_not_counted_again() {
        let age = Why::Age { unused_seconds: 9, max_age_seconds: 1 };
        let things = vec![gone(&Why::Trash, 100), gone(&age, 11)];
        let collection = Collection::new(Collector::Gc, things, Vec::new()).unwrap();
        assert_eq!((collection.freed, newly(&collection)), (111, 11));
    }
}
