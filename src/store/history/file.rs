//! `history`: a line of JSON for each thing that happened, the oldest first.
//!
//! Lines are appended in one write, under the file's own lock. A line that a crash cut off is passed over
//! by who reads, and ended by who writes next. When the file is full it becomes `history.old`, in place of
//! the one before. What they add up to is in `totals.json`, written under the same lock.

#![expect(clippy::disallowed_methods, reason = "turns over the file when it is full")]

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, SystemTime};

use crate::base::path_error::At;
use crate::base::{atomic, fault, regular};
use crate::store::error::StoreError;
use crate::store::history::{Event, Happened, Totals};
use crate::store::layout::Store;
use crate::store::lock::{self, How};

/// A file with more bytes is full: some 6000 uses.
const FULL: u64 = 2 * 1024 * 1024;

/// How long somebody else may take to write a line.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the lines add up to.
const TOTALS: &str = "totals.json";

/// The two files, the older one first.
const FILES: [&str; 2] = ["history.old", "history"];

impl Store {
    /// Adds what has just happened.
    pub(crate) fn remember(&self, event: Event) -> Result<(), StoreError> {
        let happened = Happened { at: SystemTime::now(), event };
        Ok(self.append(&happened, FULL).at("write", self.root().join(FILES[1]))?)
    }

    /// What happened since the store was made.
    pub(crate) fn totals(&self) -> Totals {
        atomic::read_json(&self.root().join(TOTALS)).ok().flatten().unwrap_or_default()
    }

    /// All that is known to have happened, the oldest first.
    pub(crate) fn history(&self) -> Vec<Happened> {
        // A file that is much longer than full is none of larder's.
        let read = |name| regular::read_own(&self.root().join(name), 2 * FULL);
        let texts = FILES.map(|name| read(name).unwrap_or_default());
        let lines = texts.iter().flat_map(|text| text.split(|byte| *byte == b'\n'));
        lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    fn append(&self, happened: &Happened, full: u64) -> io::Result<()> {
        let mut line = serde_json::to_vec(happened)?;
        line.push(b'\n');
        loop {
            let mut file = self.open_history()?;
            let length = file.seek(SeekFrom::End(0))?;
            if length >= full {
                let [old, new] = FILES.map(|name| self.root().join(name));
                fault::point("store.turn-history");
                fs::rename(new, old)?;
                continue;
            }
            if length > 0 && !ends_a_line(&mut file)? {
                line.insert(0, b'\n');
            }
            if happened.event.is_worth_a_line() {
                fault::point("store.append-history");
                file.write_all(&line)?;
            }
            let mut totals = self.totals();
            totals.add(happened);
            let written = atomic::write_json_cache(&self.root().join(TOTALS), &totals);
            return written.map_err(io::Error::other);
        }
    }

    /// The file that is written now, under its lock.
    fn open_history(&self) -> io::Result<File> {
        let path = self.root().join(FILES[1]);
        loop {
            let file = lock::open(&path)?;
            if !lock::try_for(&file, How::Alone, PATIENCE)? {
                return Err(io::Error::other(
                    "somebody else is writing to it all the time; nothing is lost but this line",
                ));
            }
            if lock::is_at(&file, &path)? {
                return Ok(file);
            }
        }
    }
}

fn ends_a_line(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::history::{Collection, Collector, Gone};

    fn event(number: u64) -> Event {
        let gone = Gone { project: None, what: "x".into(), why: "y".into(), bytes: number };
        Event::Collection(Collection::new(Collector::Rm, vec![gone], Vec::new()).unwrap())
    }

    fn freed(store: &Store) -> Vec<u64> {
        let history = store.history().into_iter();
        history
            .filter_map(|happened| match happened.event {
                Event::Collection(collection) => Some(collection.freed),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn many_write_at_once_and_nothing_of_it_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("store")).unwrap();
        assert!(store.history().is_empty());
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let store = &store;
                scope.spawn(move || {
                    (0..50).for_each(|n| store.remember(event(thread * 50 + n)).unwrap());
                });
            }
        });
        let mut freed = freed(&store);
        freed.sort_unstable();
        assert_eq!(freed, (0..400).collect::<Vec<u64>>());
        assert_eq!(store.totals().freed[&Collector::Rm], 399 * 400 / 2);
    }

    #[test]
    fn a_full_file_is_turned_and_the_newest_lines_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("store")).unwrap();
        let happened = |n| Happened { at: SystemTime::now(), event: event(n) };
        for number in 0..100 {
            store.append(&happened(number), 1000).unwrap();
        }
        let freed = freed(&store);
        assert_eq!(freed.last(), Some(&99));
        assert!((5..40).contains(&freed.len()), "{freed:?}");
        assert!(freed.windows(2).all(|pair| pair[1] == pair[0] + 1), "{freed:?}");
    }

    #[test]
    fn a_line_has_the_bytes_that_it_always_had() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let mut line = serde_json::to_vec(&Happened { at, event: event(7) }).unwrap();
        line.push(b'\n');
        crate::base::atomic::tests::assert_golden("history", &line);
        let read: Happened = serde_json::from_slice(&line).unwrap();
        assert_eq!(read, Happened { at, event: event(7) });
    }

    #[test]
    fn lines_that_are_not_known_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("store")).unwrap();
        store.remember(event(1)).unwrap();
        let path = store.root().join("history");
        let mut text = fs::read_to_string(&path).unwrap();
        text += "{\"at\":\"2023-11-14T22:13:20.123Z\",\"event\":\"kneading\",\"loaves\":3}\n";
        let known = text.lines().next().unwrap().replacen('{', "{\"flavour\":\"sour\",", 1);
        fs::write(&path, text + &known + "\n").unwrap();
        store.remember(event(2)).unwrap();
        assert_eq!(freed(&store), [1, 1, 2]);
        fs::write(store.root().join(TOTALS), "{\"loaves\":3}").unwrap();
        assert_eq!(store.totals(), Totals::default());
    }

    #[test]
    fn a_line_that_was_cut_off_costs_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("store")).unwrap();
        store.remember(event(1)).unwrap();
        let path = store.root().join("history");
        let text = fs::read(&path).unwrap();
        fs::write(&path, [&text[..], &text[..text.len() / 2]].concat()).unwrap();
        store.remember(event(2)).unwrap();
        assert_eq!(freed(&store), [1, 2]);
    }
}
