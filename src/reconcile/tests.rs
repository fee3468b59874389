//! The plan against an oracle that knows nothing but the rules, and single rules by example.

use std::path::{Path, PathBuf};

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::cargo_layout::{Kind, ProfileDir, Unit};
use crate::sources::Package;

/// Packages `p0`, `p1`, …; each may depend on those with a lower number, so there is no cycle.
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that may happen")]
#[derive(Clone, Debug)]
struct World {
    depends: Vec<BTreeSet<usize>>,
    local: BTreeSet<usize>,
    runs: BTreeSet<usize>,
    checkout_changed: bool,
    affected: Option<BTreeSet<usize>>,
    succeeded: bool,
    changed_packages: BTreeSet<usize>,
    damaged: BTreeSet<usize>,
    tampered: BTreeSet<usize>,
    callers: BTreeSet<usize>,
    epoch_changed: bool,
    extra: bool,
}

const PACKAGES: usize = 8;

fn name(package: usize) -> String {
    format!("p{package}")
}

fn names(packages: &BTreeSet<usize>) -> BTreeSet<String> {
    packages.iter().map(|package| name(*package)).collect()
}

fn fingerprint(package: usize) -> PathBuf {
    PathBuf::from(format!("release/.fingerprint/p{package}-{package:016x}"))
}

impl World {
    fn layout(&self) -> Layout {
        let unit = |package: usize| Unit {
            package: name(package),
            hash: format!("{package:016x}"),
            kinds: [Kind::Lib].into(),
            crates: [name(package)].into(),
            paths: vec![
                fingerprint(package),
                PathBuf::from(format!("release/deps/libp{package}-{package:016x}.rlib")),
            ],
            fingerprint: fingerprint(package),
            finished: None,
            started: None,
            read: None,
            out_dir: self.runs.contains(&package).then(|| PathBuf::from("out")),
        };
        let profile = ProfileDir {
            path: PathBuf::from("release"),
            units: (0..PACKAGES).map(unit).collect(),
            uplifted: vec![PathBuf::from("release/app"), PathBuf::from("release/extra")],
            incremental: Some(PathBuf::from("release/incremental")),
            ..ProfileDir::default()
        };
        let target = PathBuf::from("/nowhere");
        Layout { target, version: Version::V1, profiles: vec![profile], foreign: Vec::new() }
    }

    fn lock(&self) -> Lockfile {
        let package = |index: usize| Package {
            name: name(index),
            version: "1.0.0".into(),
            checksum: None,
            source: (!self.local.contains(&index)).then(|| "registry+x".into()),
            dependencies: self.depends[index].iter().map(|other| name(*other)).collect(),
        };
        Lockfile { packages: (0..PACKAGES).map(package).collect() }
    }

    fn plan(&self) -> Plan {
        let change = |path: &Path| Change { path: path.to_owned(), kind: ChangeKind::Changed };
        let changes = SourceChanges {
            checkout: self
                .checkout_changed
                .then(|| change(Path::new("a.rs")))
                .into_iter()
                .collect(),
            packages: names(&self.changed_packages),
            source_date_epoch: self.epoch_changed,
            ..SourceChanges::default()
        };
        let damage: Vec<Change> =
            self.damaged.iter().map(|package| change(&fingerprint(*package).join("lib"))).collect();
        let extras: BTreeSet<PathBuf> =
            self.extra.then(|| PathBuf::from("release/extra")).into_iter().collect();
        plan(&Situation {
            layout: &self.layout(),
            changes: Some(&changes),
            damage: Some(&damage),
            succeeded: self.succeeded,
            local: &names(&self.local),
            lock: Some(&self.lock()),
            readers: &BTreeSet::new(),
            callers: &self.callers,
            named: &names(&self.callers),
            affected: self.affected.as_ref().map(names).as_ref(),
            unmade: &[],
            dated: if self.epoch_changed { &self.runs } else { const { &BTreeSet::new() } },
            tampered: &names(&self.tampered),
            extras: &extras,
        })
    }

    /// Straight from the rules, by going round until nothing is added.
    fn oracle(&self) -> BTreeSet<usize> {
        let hits_local = !self.succeeded || self.epoch_changed;
        let reached = self.affected.as_ref().unwrap_or(&self.local);
        let direct = |package: &usize| {
            (hits_local && self.local.contains(package))
                || (self.checkout_changed && reached.contains(package))
                || self.changed_packages.contains(package)
                || self.damaged.contains(package)
                || self.tampered.contains(package)
                || self.callers.contains(package)
                || (self.epoch_changed && self.runs.contains(package))
        };
        let mut doomed: BTreeSet<usize> = (0..PACKAGES).filter(direct).collect();
        if self.extra && !doomed.is_empty() {
            doomed.extend(&self.runs);
        }
        loop {
            let depends = |package: &usize| !self.depends[*package].is_disjoint(&doomed);
            let more: Vec<usize> =
                (0..PACKAGES).filter(|p| !doomed.contains(p)).filter(depends).collect();
            if more.is_empty() {
                return doomed;
            }
            doomed.extend(more);
        }
    }
}

fn some() -> impl Strategy<Value = BTreeSet<usize>> {
    btree_set(0..PACKAGES, 0..3)
}

fn worlds() -> impl Strategy<Value = World> {
    let depends = vec(btree_set(0..PACKAGES, 0..4), PACKAGES).prop_map(|sets| {
        let lower = |(index, set): (usize, BTreeSet<usize>)| {
            set.into_iter().filter(|o| *o < index).collect()
        };
        sets.into_iter().enumerate().map(lower).collect::<Vec<BTreeSet<usize>>>()
    });
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (depends, (some(), some()), (some(), some(), some(), some()), flags).prop_map(
        |(depends, (local, runs), (changed_packages, damaged, tampered, callers), flags)| World {
            affected: flags.3.then(|| local.iter().copied().take(1).collect()),
            callers,
            depends,
            local,
            runs,
            changed_packages,
            damaged,
            tampered,
            checkout_changed: flags.0,
            succeeded: flags.1,
            epoch_changed: flags.2,
            extra: flags.3,
        },
    )
}

proptest! {
    #[test]
    fn exactly_what_the_rules_name_goes(world in worlds()) {
        let plan = world.plan();
        let doomed = world.oracle();
        prop_assert_eq!(&plan.packages, &names(&doomed));
        for package in 0..PACKAGES {
            prop_assert_eq!(plan.paths.contains(&fingerprint(package)), doomed.contains(&package));
        }
        prop_assert!(plan.paths.contains(Path::new("release/app")));
        prop_assert!(plan.paths.contains(Path::new("release/incremental")));
        let keeps_extra = world.extra && doomed.is_empty();
        prop_assert_eq!(plan.paths.contains(Path::new("release/extra")), !keeps_extra);
        prop_assert_eq!(plan.why.is_empty(), !world.checkout_changed && world.succeeded
            && !world.epoch_changed && world.changed_packages.is_empty()
            && world.damaged.is_empty() && world.tampered.is_empty() && world.callers.is_empty());
    }
}

fn quiet() -> World {
    World {
        depends: vec![BTreeSet::new(); PACKAGES],
        local: [7].into(),
        runs: BTreeSet::new(),
        checkout_changed: false,
        succeeded: true,
        changed_packages: BTreeSet::new(),
        damaged: BTreeSet::new(),
        tampered: BTreeSet::new(),
        callers: BTreeSet::new(),
        affected: None,
        epoch_changed: false,
        extra: false,
    }
}

fn situation_of(
    layout: &Layout,
    changes: Option<&SourceChanges>,
    damage: Option<&[Change]>,
) -> Plan {
    let (none, units, extras) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    plan(&Situation {
        layout,
        changes,
        damage,
        succeeded: true,
        local: &none,
        lock: None,
        readers: &units,
        callers: &units,
        named: &none,
        affected: None,
        unmade: &[],
        dated: &units,
        tampered: &none,
        extras: &extras,
    })
}

#[test]
fn without_records_nothing_stays() {
    let (layout, changes) = (quiet().layout(), SourceChanges::default());
    assert!(situation_of(&layout, None, Some(&[])).everything);
    assert!(situation_of(&layout, Some(&changes), None).everything);
    assert!(!situation_of(&layout, Some(&changes), Some(&[])).everything);
}

#[test]
fn an_unknown_layout_stays_whole_or_goes_whole() {
    let layout = Layout { version: Version::Unknown, ..quiet().layout() };
    let mut changes = SourceChanges::default();
    assert!(!situation_of(&layout, Some(&changes), Some(&[])).everything);
    changes.git.push("HEAD".into());
    let plan = situation_of(&layout, Some(&changes), Some(&[]));
    assert!(plan.everything);
    assert_eq!(plan.why.len(), 2, "{:?}", plan.why);
}

#[test]
fn a_file_that_is_gone_dooms_the_unit_that_is_left() {
    let layout = quiet().layout();
    let gone = |path: &str| Change { path: PathBuf::from(path), kind: ChangeKind::Removed };
    for path in [
        "release/deps/libp3-0000000000000003.rmeta",
        "release/deps/libp3.so",
        "release/.fingerprint/p3-00000000000000ff/lib-p3",
    ] {
        let plan = situation_of(&layout, Some(&SourceChanges::default()), Some(&[gone(path)]));
        assert!(plan.packages.contains("p3"), "{path}: {plan:?}");
    }
}

#[test]
fn locks_and_tags_may_differ() {
    let layout = quiet().layout();
    let changed = ["CACHEDIR.TAG", "release/.cargo-lock"]
        .map(|path| Change { path: PathBuf::from(path), kind: ChangeKind::Changed });
    let plan = situation_of(&layout, Some(&SourceChanges::default()), Some(&changed));
    assert_eq!((plan.packages.len(), plan.why.len()), (0, 0), "{plan:?}");
}
