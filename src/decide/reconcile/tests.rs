//! The plan against an oracle that knows nothing but the rules, and single rules by example.

use std::path::{Path, PathBuf};

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::base::tree::ChangeKind;
use crate::observe::cargo_layout::{ProfileDir, Unit, UnitKind};
use crate::observe::sources::Package;

/// Packages `p0`, `p1`, …; each may depend on those with a lower number, so there is no cycle.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that may have changed")]
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
    /// Local packages, and others, of which not every lookup was seen.
    blind: BTreeSet<usize>,
    lookers: BTreeSet<usize>,
    configured: bool,
    epoch_changed: bool,
    outsiders: BTreeSet<usize>,
    /// Who may have made the extra, if there is one.
    extra: Option<BTreeSet<usize>>,
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
            kinds: [UnitKind::Lib].into(),
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

    fn plan(&self) -> Removals {
        let change = |path: &Path| Change { path: path.to_owned(), kind: ChangeKind::Changed };
        let changes = SourceChanges {
            checkout: self
                .checkout_changed
                .then(|| change(Path::new("a.rs")))
                .into_iter()
                .collect(),
            source_date_epoch: self.epoch_changed,
            ..SourceChanges::default()
        };
        let damage: Vec<Change> =
            self.damaged.iter().map(|package| change(&fingerprint(*package).join("lib"))).collect();
        let extra = |makers| (PathBuf::from("release/extra"), names(makers));
        let extras: BTreeMap<PathBuf, _> = self.extra.iter().map(extra).collect();
        let difference = Difference {
            changes: Some(changes),
            damage: Some(damage),
            succeeded: self.succeeded,
            tampered: names(&self.tampered),
            ..Difference::default()
        };
        let suspects = Suspects {
            local: names(&self.local),
            callers: self.callers.clone(),
            named: names(&self.callers),
            repacked: names(&self.changed_packages),
            blind: names(&self.blind),
            lookers: self.lookers.clone(),
            looked_up: self.lookers.iter().map(|_| PathBuf::from("/etc/looked-up")).collect(),
            configured: self
                .configured
                .then(|| PathBuf::from("/etc/config.toml"))
                .into_iter()
                .collect(),
            affected: self.affected.as_ref().map(names),
            outsiders: names(&self.outsiders),
            dated: if self.epoch_changed { self.runs.clone() } else { BTreeSet::new() },
            extras,
            ..Suspects::default()
        };
        let (layout, lock) = (self.layout(), self.lock());
        let (difference, suspects) = (&difference, &suspects);
        plan(&Situation { layout: &layout, lock: Some(&lock), difference, suspects })
    }

    /// Straight from the rules, by going round until nothing is added.
    fn oracle(&self) -> BTreeSet<usize> {
        let reached = self.affected.as_ref().unwrap_or(&self.local);
        let direct = |package: &usize| {
            (!self.succeeded && self.blind.contains(package))
                || self.configured
                || self.lookers.contains(package)
                || (self.checkout_changed && reached.contains(package))
                || (self.checkout_changed && self.outsiders.contains(package))
                || self.changed_packages.contains(package)
                || self.damaged.contains(package)
                || self.tampered.contains(package)
                || self.callers.contains(package)
                || (self.epoch_changed && self.runs.contains(package))
        };
        let mut doomed: BTreeSet<usize> = (0..PACKAGES).filter(direct).collect();
        loop {
            let makers = self.extra.iter().filter(|makers| !makers.is_disjoint(&doomed));
            let makers: Vec<usize> = makers.flatten().copied().collect();
            doomed.extend(makers);
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
    let extra = proptest::option::of(some());
    let seen = (some(), some(), proptest::bool::weighted(0.1));
    (depends, (some(), some(), some()), (some(), some(), some(), some()), (flags, extra, seen))
        .prop_map(
            |(
                depends,
                (local, runs, outsiders),
                (changed_packages, damaged, tampered, callers),
                (flags, extra, (blind, lookers, configured)),
            )| World {
                blind,
                lookers,
                configured,
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
                outsiders,
                extra,
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
        let keeps_extra = world
            .extra
            .as_ref()
            .is_some_and(|makers| !makers.is_empty() && makers.is_disjoint(&doomed));
        prop_assert_eq!(plan.paths.contains(Path::new("release/extra")), !keeps_extra);
        prop_assert_eq!(plan.why.is_empty(), !world.checkout_changed && (world.succeeded || world.blind.is_empty())
            && !world.epoch_changed && world.changed_packages.is_empty()
            && world.damaged.is_empty() && world.tampered.is_empty() && world.callers.is_empty()
            && world.lookers.is_empty() && !world.configured);
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
        blind: [7].into(),
        lookers: BTreeSet::new(),
        configured: false,
        affected: None,
        epoch_changed: false,
        outsiders: BTreeSet::new(),
        extra: None,
    }
}

fn situation_of(
    layout: &Layout,
    changes: Option<&SourceChanges>,
    damage: Option<&[Change]>,
) -> Removals {
    let (changes, damage) = (changes.cloned(), damage.map(<[Change]>::to_vec));
    let difference = &Difference { changes, damage, succeeded: true, ..Difference::default() };
    plan(&Situation { layout, lock: None, difference, suspects: &Suspects::default() })
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
        "release/build/p3/00000000000000ff/fingerprint/lib-p3",
        "release/build/p3/00000000000000ff",
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

/// A plan of what is beside Cargo's files, by who may have made it.
struct Beside {
    layout: Layout,
    lock: Lockfile,
    extras: BTreeMap<PathBuf, BTreeSet<String>>,
}

impl Beside {
    /// Directories and files at the top with their makers; `p7` depends on `p1`.
    fn of(all: &[(&str, &[usize])]) -> Self {
        let mut world = quiet();
        world.depends[7] = [1].into();
        let mut layout = world.layout();
        layout.foreign = all.iter().map(|(path, _)| PathBuf::from(path)).collect();
        let makers = |makers: &[usize]| makers.iter().map(|maker| name(*maker)).collect();
        let extras = all.iter().map(|(path, of)| (PathBuf::from(path), makers(of))).collect();
        Self { layout, lock: world.lock(), extras }
    }

    fn unit(&mut self, package: usize, hash: u64, kind: UnitKind) -> PathBuf {
        let fingerprint = PathBuf::from(format!("release/.fingerprint/p{package}-{hash:016x}"));
        let mut unit = self.layout.units().next().unwrap().clone();
        unit.package = name(package);
        unit.hash = format!("{hash:016x}");
        unit.kinds = [kind].into();
        unit.paths = vec![fingerprint.clone()];
        unit.fingerprint.clone_from(&fingerprint);
        self.layout.profiles[0].units.push(unit);
        fingerprint
    }

    fn plan(
        &self,
        checkout: &[&str],
        affected: &[usize],
        damage: &[(&str, ChangeKind)],
    ) -> Removals {
        let change = |path: &str, kind: ChangeKind| Change { path: PathBuf::from(path), kind };
        let checkout = checkout.iter().map(|path| change(path, ChangeKind::Changed)).collect();
        let changes = SourceChanges { checkout, ..SourceChanges::default() };
        let damage: Vec<Change> = damage.iter().map(|(path, kind)| change(path, *kind)).collect();
        let difference = Difference {
            changes: Some(changes),
            damage: Some(damage),
            succeeded: true,
            ..Difference::default()
        };
        let suspects = Suspects {
            affected: Some(affected.iter().map(|package| name(*package)).collect()),
            extras: self.extras.clone(),
            ..Suspects::default()
        };
        let (layout, lock) = (&self.layout, Some(&self.lock));
        plan(&Situation { layout, lock, difference: &difference, suspects: &suspects })
    }
}

/// The packages and, of some paths, those that go.
#[track_caller]
fn goes(plan: &Removals, packages: &[usize], beside: &Beside, paths: &[&str]) {
    let expected: BTreeSet<String> = packages.iter().map(|package| name(*package)).collect();
    assert_eq!(plan.packages, expected, "{plan:?}");
    let gone = |path: &&PathBuf| plan.paths.contains(*path);
    let gone: Vec<_> = beside.layout.foreign.iter().filter(gone).collect();
    assert_eq!(gone, paths.iter().map(Path::new).collect::<Vec<_>>(), "{plan:?}");
}

#[test]
fn an_extra_goes_with_its_makers_and_they_with_it() {
    let beside =
        Beside::of(&[("gen", &[1, 2]), ("more", &[2, 3]), ("other", &[4]), ("report", &[])]);
    goes(&beside.plan(&[], &[], &[]), &[], &beside, &["report"]);
    goes(&beside.plan(&["a.rs"], &[0], &[]), &[0], &beside, &["report"]);
    let plan = beside.plan(&["a.rs"], &[3], &[]);
    goes(&plan, &[1, 2, 3, 7], &beside, &["gen", "more", "report"]);
    // A manifest may take a maker out of the build.
    let plan = beside.plan(&["Cargo.toml"], &[0], &[]);
    goes(&plan, &[0, 1, 2, 3, 4, 7], &beside, &["gen", "more", "other", "report"]);
}

#[test]
fn an_extra_that_somebody_changed_is_made_anew() {
    let beside = Beside::of(&[("gen", &[2]), ("report", &[])]);
    for kind in [ChangeKind::Changed, ChangeKind::Removed] {
        let plan = beside.plan(&[], &[], &[("gen/x", kind), ("report/p3", kind)]);
        goes(&plan, &[2], &beside, &["gen", "report"]);
        assert_eq!(plan.why, ["not as the last build left it: gen/x"]);
    }
    let plan = beside.plan(&[], &[], &[("gen/new", ChangeKind::Added)]);
    goes(&plan, &[], &beside, &["report"]);
    assert!(plan.paths.contains(Path::new("gen/new")), "{plan:?}");
}

#[test]
fn documentation_goes_as_a_whole_with_its_own_units() {
    let mut beside = Beside::of(&[("doc", &[]), ("x86/doc", &[]), ("gen/deep/doc", &[])]);
    let doc = beside.unit(2, 0xd0c, UnitKind::Doc);
    goes(&beside.plan(&[], &[], &[]), &[], &beside, &["gen/deep/doc"]);
    let plan = beside.plan(&["a.rs"], &[0], &[]);
    goes(&plan, &[0], &beside, &["doc", "x86/doc", "gen/deep/doc"]);
    assert!(plan.paths.contains(&doc) && !plan.paths.contains(&fingerprint(2)), "{plan:?}");
    for kind in [ChangeKind::Added, ChangeKind::Changed, ChangeKind::Removed] {
        let plan = beside.plan(&[], &[], &[("doc/p2/index.html", kind)]);
        goes(&plan, &[], &beside, &["doc", "x86/doc", "gen/deep/doc"]);
        assert!(plan.paths.contains(&doc), "{plan:?}");
    }
    // Without a unit that makes it, it is somebody else's.
    let beside = Beside::of(&[("doc", &[2])]);
    goes(&beside.plan(&["a.rs"], &[0], &[]), &[0], &beside, &[]);
}

#[test]
fn units_that_nobody_knew_go_alone() {
    let mut beside = Beside::of(&[]);
    let new = beside.unit(1, 0xadd, UnitKind::Lib);
    let new_text = new.to_str().unwrap();
    let file = format!("{new_text}/lib-p1");
    let added = [(new_text, ChangeKind::Added), (file.as_str(), ChangeKind::Added)];
    let plan = beside.plan(&[], &[], &added);
    goes(&plan, &[], &beside, &[]);
    assert!(plan.paths.contains(&new) && !plan.paths.contains(&fingerprint(1)), "{plan:?}");
    assert!(plan.why.is_empty(), "{plan:?}");
    // A file without a hash that both units have: the new one overwrote it, or may have.
    let known = "release/deps/libp1.so";
    for unit in &mut beside.layout.profiles[0].units {
        if unit.package == "p1" {
            unit.paths.push(PathBuf::from(known));
        }
    }
    let changed = [added[0], added[1], (known, ChangeKind::Changed)];
    for damage in [&added[..], &changed[..]] {
        let plan = beside.plan(&[], &[], damage);
        goes(&plan, &[1, 7], &beside, &[]);
        assert_eq!(plan.why.len(), 1, "{plan:?}");
    }
    // Only a file is new, of a unit that is known.
    let beside = Beside::of(&[]);
    let file = fingerprint(1).join("output-lib-p1");
    let plan = beside.plan(&[], &[], &[(file.to_str().unwrap(), ChangeKind::Added)]);
    goes(&plan, &[1, 7], &beside, &[]);
}

#[test]
fn tests_need_their_directory() {
    let mut beside = Beside::of(&[]);
    beside.unit(2, 0x7e57, UnitKind::Test);
    for (path, packages) in [("tmp", &[2][..]), ("x86/tmp", &[2]), ("a/b/tmp", &[])] {
        goes(&beside.plan(&[], &[], &[(path, ChangeKind::Removed)]), packages, &beside, &[]);
    }
}

#[test]
fn what_took_most_is_told_first_and_refs_are_counted() {
    let world = World {
        local: BTreeSet::from([6, 7]),
        checkout_changed: true,
        lookers: BTreeSet::from([0, 1, 2]),
        affected: Some(BTreeSet::from([7])),
        ..quiet()
    };
    let why = world.plan().why;
    assert!(why[0].starts_with("inputs changed: "), "{why:?}");
    assert_eq!(why[1], "checkout changed: a.rs");
    let git = ["HEAD is b, was a", "refs/tags/1", "refs/tags/2", "refs/tags/3", "index"];
    let changes =
        SourceChanges { git: git.map(str::to_owned).to_vec(), ..SourceChanges::default() };
    let plan = situation_of(&world.layout(), Some(&changes), Some(&[]));
    let wanted = ["HEAD is b, was a", "refs/tags/1, refs/tags/2, refs/tags/3 and 1 more"];
    assert_eq!(plan.why, wanted.map(|what| format!("git changed: {what}")));
}
