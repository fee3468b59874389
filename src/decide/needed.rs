//! Which units of a target directory its uses need: pure, from what a use showed.
//!
//! A successful use shows it in one of two ways. Cargo reads a file of each unit that it considers, which
//! the access times tell, exactly; and what it links to where users take it is made from units that are
//! found along the edges between them. The second way is blind for what is not taken anywhere: checks,
//! tests, several commands in one script. So it counts only where it explains all that was compiled, from
//! the first build on. Otherwise it is not known what is needed, and all of it counts (decision 39).
//!
//! A failed use shows nothing. A use before which nothing changed needs what the one before it needed, and
//! is not watched: so there is nothing to record, and the numbers below stay as they are.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::observe::cargo_layout::Graph;

/// By what it is known what the last successful use needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Known {
    /// It is not.
    #[default]
    Not,
    /// By what was linked to where users take it, which explained all that was compiled.
    Uplifted,
    /// By what Cargo read.
    Read,
}

/// What the last successful use of a directory needed: all units but those that are named here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Needed {
    /// By what that is known.
    pub known: Known,
    /// By fingerprint directory, as bytes: units that it did not need, and the number of the last
    /// successful use that did; 0 for none.
    pub since: BTreeMap<Vec<u8>, u64>,
}

/// What a successful use showed, by the units' places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Units that it started.
    pub started: BTreeSet<usize>,
    /// Units that Cargo considered, where that can be told.
    pub read: Option<BTreeSet<usize>>,
    /// Units that were linked to where users take them.
    pub uplifted: BTreeSet<usize>,
}

impl Needed {
    /// What is needed after the successful use with a number, which `shown` is of. `units` are the
    /// fingerprint directories of all units.
    #[must_use]
    pub(crate) fn after(&self, number: u64, units: &[&[u8]], graph: &Graph, shown: &Shown) -> Self {
        let (known, needed) = self.judge(units.len(), graph, shown);
        if known == Known::Not {
            return Self::default();
        }
        // Until the use before it, all that is not named was needed.
        let before = number.saturating_sub(1);
        let mut since: BTreeMap<usize, u64> = BTreeMap::new();
        for (index, unit) in units.iter().enumerate().filter(|(index, _)| !needed.contains(index)) {
            since.insert(index, self.since.get(*unit).copied().unwrap_or(before));
        }
        carry(&mut since, graph);
        let named = since.into_iter().map(|(index, number)| (units[index].to_vec(), number));
        Self { known, since: named.collect() }
    }

    /// What is needed after a successful use that was not watched, because nothing had changed; what it
    /// started all the same was needed.
    #[must_use]
    pub(crate) fn and(&self, units: &[&[u8]], graph: &Graph, started: &BTreeSet<usize>) -> Self {
        let needed: BTreeSet<&[u8]> =
            reach(started, graph).into_iter().map(|index| units[index]).collect();
        let mut after = self.clone();
        after.since.retain(|unit, _| !needed.contains(unit.as_slice()));
        after
    }

    fn judge(&self, count: usize, graph: &Graph, shown: &Shown) -> (Known, BTreeSet<usize>) {
        if let Some(read) = &shown.read {
            let seen: BTreeSet<usize> = read.union(&shown.started).copied().collect();
            let all = reach(&seen, graph);
            // What was compiled was made from units that Cargo must have considered.
            let is_blind = seen == shown.started && all != seen;
            return if all.is_empty() || is_blind { (Known::Not, all) } else { (Known::Read, all) };
        }
        let all = reach(&shown.uplifted, graph);
        let explains = shown.started.is_subset(&all) && all.is_disjoint(&graph.open);
        let always_did = self.known == Known::Uplifted || all.len() == count;
        let known = explains && always_did && !all.is_empty();
        (if known { Known::Uplifted } else { Known::Not }, all)
    }

    /// The units that no successful use after the one with a number needed, by their places; never one
    /// that a unit which stays was made from.
    pub(crate) fn dead(&self, until: u64, units: &[&[u8]], graph: &Graph) -> BTreeSet<usize> {
        let is_dead = |unit: &[u8]| self.since.get(unit).is_some_and(|since| *since <= until);
        let (dead, alive): (BTreeSet<usize>, BTreeSet<usize>) =
            (0..units.len()).partition(|index| is_dead(units[*index]));
        &dead - &reach(&alive, graph)
    }
}

/// Some units, and all that they were made from.
pub(crate) fn reach(from: &BTreeSet<usize>, graph: &Graph) -> BTreeSet<usize> {
    let made_from = adjacency(graph);
    let mut found = BTreeSet::new();
    let mut open: Vec<usize> = from.iter().copied().collect();
    while let Some(unit) = open.pop() {
        if found.insert(unit) {
            open.extend(made_from.get(&unit).into_iter().flatten());
        }
    }
    found
}

/// Whatever needed a unit needed what it was made from too: newer numbers first, each goes along the
/// edges to where no newer one came.
fn carry(since: &mut BTreeMap<usize, u64>, graph: &Graph) {
    let made_from = adjacency(graph);
    let mut newest: Vec<(u64, usize)> =
        since.iter().map(|(unit, number)| (*number, *unit)).collect();
    newest.sort_unstable();
    let mut done = BTreeSet::new();
    while let Some((number, unit)) = newest.pop() {
        let mut open = vec![unit];
        while let Some(unit) = open.pop() {
            let Some(own) = since.get_mut(&unit).filter(|_| done.insert(unit)) else { continue };
            *own = number.max(*own);
            open.extend(made_from.get(&unit).into_iter().flatten());
        }
    }
}

fn adjacency(graph: &Graph) -> BTreeMap<usize, Vec<usize>> {
    let mut made_from: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, to) in &graph.edges {
        made_from.entry(*from).or_default().push(*to);
    }
    made_from
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNITS: usize = 12;

    fn names() -> Vec<Vec<u8>> {
        (0..UNITS).map(|index| format!("u{index:02}").into_bytes()).collect()
    }

    fn set(indexes: &[usize]) -> BTreeSet<usize> {
        indexes.iter().copied().collect()
    }

    fn graph(edges: &[(usize, usize)]) -> Graph {
        Graph { edges: edges.to_vec(), open: BTreeSet::new() }
    }

    fn read(read: &[usize]) -> Shown {
        Shown { read: Some(set(read)), ..Shown::default() }
    }

    fn uplifted(started: &[usize], uplifted: &[usize]) -> Shown {
        Shown { started: set(started), read: None, uplifted: set(uplifted) }
    }

    fn numbers(needed: &Needed) -> Vec<(usize, u64)> {
        let names = names();
        let place = |unit: &Vec<u8>| names.iter().position(|name| name == unit).unwrap();
        needed.since.iter().map(|(unit, since)| (place(unit), *since)).collect()
    }

    #[test]
    fn what_is_not_needed_any_more_keeps_the_number_of_the_last_use_that_did() {
        let names = names();
        let units: Vec<&[u8]> = names[..4].iter().map(Vec::as_slice).collect();
        let graph = graph(&[(0, 1), (2, 3)]);
        let one = Needed::default().after(1, &units, &graph, &read(&[0, 1, 2, 3]));
        assert_eq!((one.known, numbers(&one)), (Known::Read, vec![]));
        let two = one.after(2, &units, &graph, &read(&[0, 1]));
        assert_eq!(numbers(&two), [(2, 1), (3, 1)]);
        // Three unchanged uses later, which recorded nothing.
        let six = two.after(6, &units, &graph, &read(&[2, 3]));
        assert_eq!(numbers(&six), [(0, 5), (1, 5)]);
        assert_eq!(six.dead(4, &units, &graph), set(&[]));
        assert_eq!(six.dead(5, &units, &graph), set(&[0, 1]));
        assert_eq!(numbers(&six.and(&units, &graph, &set(&[0]))), []);
        assert_eq!(six.and(&units, &graph, &set(&[])), six);
    }

    #[test]
    fn what_uplifted_files_do_not_explain_is_not_known() {
        let names = names();
        let units: Vec<&[u8]> = names[..4].iter().map(Vec::as_slice).collect();
        let edges = graph(&[(0, 1), (2, 3)]);
        let first = |shown: &Shown| Needed::default().after(1, &units[..2], &edges, shown).known;
        assert_eq!(first(&uplifted(&[0, 1], &[0])), Known::Uplifted);
        assert_eq!(first(&uplifted(&[0, 1], &[])), Known::Not, "nothing was uplifted");
        assert_eq!(first(&uplifted(&[0, 1], &[1])), Known::Not, "the second is not explained");
        let open = Graph { open: set(&[1]), ..edges.clone() };
        let cut = Needed::default().after(1, &units[..2], &open, &uplifted(&[0, 1], &[0]));
        assert_eq!(cut.known, Known::Not, "it may be made from more");
        let known = Needed { known: Known::Uplifted, ..Needed::default() };
        let next = known.after(2, &units, &edges, &uplifted(&[2, 3], &[2]));
        assert_eq!((next.known, numbers(&next)), (Known::Uplifted, vec![(0, 1), (1, 1)]));
        for before in [Known::Not, Known::Read] {
            let before = Needed { known: before, ..Needed::default() };
            let next = before.after(2, &units, &edges, &uplifted(&[2, 3], &[2]));
            assert_eq!(next, Needed::default(), "nobody knows who needs the first two");
        }
    }

    #[test]
    fn access_times_that_cannot_be_right_say_nothing() {
        let names = names();
        let units: Vec<&[u8]> = names[..2].iter().map(Vec::as_slice).collect();
        let edges = graph(&[(0, 1)]);
        let shown = |started: &[usize], read: &[usize]| Shown {
            started: set(started),
            read: Some(set(read)),
            uplifted: BTreeSet::new(),
        };
        let known = |shown: &Shown| Needed::default().after(2, &units, &edges, shown).known;
        assert_eq!(known(&shown(&[], &[])), Known::Not, "no cargo ran");
        assert_eq!(known(&shown(&[0], &[0])), Known::Not, "compiled from what nobody considered");
        assert_eq!(known(&shown(&[0], &[0, 1])), Known::Read);
    }

    fn graphs() -> impl Strategy<Value = Graph> {
        let edge = (0..UNITS, 0..UNITS).prop_map(|(a, b)| (a.max(b), a.min(b)));
        proptest::collection::vec(edge, 0..30).prop_map(|mut edges| {
            edges.retain(|(from, to)| from != to);
            graph(&edges)
        })
    }

    proptest! {
        #[test]
        fn nothing_goes_that_what_stays_was_made_from(
            graph in graphs(),
            since in proptest::collection::btree_map(0..UNITS, 0_u64..6, 0..UNITS),
            until in 0_u64..6,
        ) {
            let names = names();
            let units: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
            let since = since.into_iter().map(|(unit, since)| (names[unit].clone(), since));
            let needed = Needed { known: Known::Read, since: since.collect() };
            let dead = needed.dead(until, &units, &graph);
            for (from, to) in &graph.edges {
                prop_assert!(dead.contains(from) || !dead.contains(to), "{from} needs {to}");
            }
            for unit in dead {
                prop_assert!(needed.since.get(&names[unit]).is_some_and(|since| *since <= until));
            }
        }

        /// Over any history, all that one of the last uses read stays, with all that it was made
        /// from; and exactly the rest is dead.
        #[test]
        fn what_the_last_uses_needed_stays_and_nothing_else(
            graph in graphs(),
            uses in proptest::collection::vec(proptest::collection::btree_set(0..UNITS, 1..4), 1..8),
            keep in 1_usize..4,
        ) {
            let names = names();
            let units: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
            let mut needed = Needed::default();
            for (index, seen) in uses.iter().enumerate() {
                let number = u64::try_from(index).unwrap() + 1;
                let shown = Shown { read: Some(seen.clone()), ..Shown::default() };
                needed = needed.after(number, &units, &graph, &shown);
            }
            let last = uses.len().saturating_sub(keep);
            let used: BTreeSet<usize> = uses[last..].iter().flatten().copied().collect();
            let dead = needed.dead(u64::try_from(last).unwrap(), &units, &graph);
            let all: BTreeSet<usize> = (0..UNITS).collect();
            // The first use has all in front of it; what it does not need counts from 0 on.
            prop_assert_eq!(dead, &all - &reach(&used, &graph));
        }
    }
}
