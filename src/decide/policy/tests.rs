//! The plan against an oracle that removes one thing at a time and begins anew, and single rules by
//! example.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::base::digest::Digest;
use crate::base::quantity::Amount;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn hours(count: u64) -> Span {
    Span(Duration::from_secs(count * HOUR))
}

fn name(project: u8) -> ProjectName {
    format!("p{project}").parse().unwrap()
}

/// A directory of 100 bytes that was last used at a moment.
fn candidate(project: u8, number: u64, last_use: u64) -> Candidate {
    Candidate {
        project: name(project),
        toolchain: ToolchainId(Digest::of(&number.to_be_bytes())),
        broken: None,
        usage: Usage { bytes: 100, inodes: 10 },
        last_use: at(last_use),
        successes: 1,
        unused: Vec::new(),
        in_use: false,
        pinned: false,
    }
}

fn observed(candidates: Vec<Candidate>) -> StoreView {
    StoreView { candidates, ..StoreView::default() }
}

/// A disk on which nothing is missing.
fn roomy() -> Disk {
    let much = Usage { bytes: 1 << 40, inodes: 1 << 30 };
    Disk { total: much, free: much }
}

fn no_grace() -> Policy {
    let general = Limits { grace: hours(0), ..Limits::default() };
    Policy { min_free: None, general, ..Policy::default() }
}

fn gone(plan: &Plan) -> Vec<ToolchainId> {
    let directories = plan.steps.iter().filter_map(|step| match step.what {
        What::Directory { toolchain, .. } => Some(toolchain),
        _ => None,
    });
    directories.collect()
}

fn decide(observed: &StoreView, policy: &Policy, now: u64) -> Plan {
    plan(observed, policy, &roomy(), Headroom::Exact, at(now))
}

#[test]
fn the_least_recently_used_goes_first_however_large_it_is() {
    let mut store = observed(vec![candidate(1, 1, 30), candidate(1, 2, 10), candidate(2, 3, 20)]);
    store.candidates[1].usage.bytes = 1;
    let policy = Policy { max_size: Some(ByteSize(150)), ..no_grace() };
    let plan = decide(&store, &policy, 1000);
    let order = [1, 2].map(|index: usize| store.candidates[index].toolchain);
    assert_eq!(gone(&plan), order);
    assert_eq!(plan.after.bytes, 100);
    assert_eq!(plan.unmet, []);
}

#[test]
fn what_is_in_use_pinned_or_recent_stays_and_that_is_said() {
    let mut store = observed((0..4).map(|number| candidate(1, number, 10 + number)).collect());
    store.candidates[0].in_use = true;
    store.candidates[1].pinned = true;
    store.candidates[2].last_use = at(990);
    let general = Limits { grace: Span(Duration::from_secs(60)), ..Limits::default() };
    let policy = Policy { max_size: Some(ByteSize(50)), general, ..no_grace() };
    let plan = decide(&store, &policy, 1000);
    assert_eq!(gone(&plan), [store.candidates[3].toolchain]);
    let (size, max_size) = (ByteSize(300), ByteSize(50));
    assert_eq!(plan.unmet, [Unmet::MaxSize { size, max_size }]);
    let build = ByteSize(100);
    assert_eq!(plan.too_small, [TooSmall { project: name(1), build, max_size, own: false }]);
}

#[test]
fn a_pinned_project_stays_whole() {
    let store = observed(vec![candidate(1, 1, 10), candidate(2, 2, 20)]);
    let mut policy = Policy { max_size: Some(ByteSize(0)), ..no_grace() };
    policy.pinned.insert(name(1));
    assert_eq!(gone(&decide(&store, &policy, 1000)), [store.candidates[1].toolchain]);
    policy.pinned.clear();
    let pin = Limits { pin: true, ..policy.general };
    policy.projects.insert(name(2), pin);
    assert_eq!(gone(&decide(&store, &policy, 1000)), [store.candidates[0].toolchain]);
}

#[test]
fn age_and_keep_and_the_projects_own_budget_come_before_that_of_the_store() {
    let mut store = observed(vec![
        candidate(1, 1, 10 * DAY),
        candidate(1, 2, 90 * DAY),
        candidate(1, 3, 91 * DAY),
        candidate(2, 4, 50 * DAY),
        candidate(2, 5, 60 * DAY),
    ]);
    store.trashed = 1;
    let mut policy = no_grace();
    policy.general.max_age = Some(hours(60 * 24));
    policy.general.keep = Some(2);
    let own = Limits { max_size: Some(ByteSize(100)), ..policy.general };
    policy.projects.insert(name(1), own);
    let plan = decide(&store, &policy, 100 * DAY);
    let whys: Vec<String> = plan.steps.iter().map(|step| step.why.to_string()).collect();
    assert_eq!(
        whys,
        [
            "set aside earlier",
            "unused for 90 d, max-age 60 d",
            "least recently used, project over 100 B",
        ]
    );
    policy.general.keep = Some(1);
    let plan = decide(&store, &policy, 100 * DAY);
    assert!(plan.steps.iter().any(|step| step.why == Why::Keep { keep: 1 }));
}

#[test]
fn broken_directories_go_unless_somebody_is_at_work() {
    let mut store = observed(vec![candidate(1, 1, 999), candidate(1, 2, 999)]);
    for broken in &mut store.candidates {
        broken.broken = Some("it has no entry.json".to_owned());
    }
    store.candidates[1].in_use = true;
    let plan = decide(&store, &Policy::default(), 1000);
    assert_eq!(gone(&plan), [store.candidates[0].toolchain]);
}

#[test]
fn dead_units_go_before_any_directory_does() {
    let mut store = observed(vec![candidate(1, 1, 10), candidate(1, 2, 20)]);
    store.candidates[0].successes = 9;
    store.candidates[0].unused =
        vec![Unused { since: 6, size: 4, inodes: 1 }, Unused { since: 8, size: 5, inodes: 1 }];
    let policy = Policy { max_size: Some(ByteSize(196)), ..no_grace() };
    let plan = decide(&store, &policy, 1000);
    let (project, toolchain) = (name(1), store.candidates[0].toolchain);
    let what = What::Units { project, toolchain, until: 6 };
    let frees = Usage { bytes: 4, inodes: 1 };
    assert_eq!(plan.steps, [Step { what, why: Why::Dead { builds: 3 }, frees }]);
}

#[test]
fn more_than_a_fifth_of_dead_units_goes_at_once_oldest_first() {
    let mut store = observed(vec![candidate(1, 1, 10)]);
    store.candidates[0].successes = 9;
    let unused = |since, size| Unused { since, size, inodes: 0 };
    store.candidates[0].unused = vec![unused(8, 14), unused(7, 10)];
    let plan = decide(&store, &no_grace(), 1000);
    assert_eq!(plan.after.bytes, 90);
    store.candidates[0].unused = vec![unused(8, 20)];
    assert_eq!(decide(&store, &no_grace(), 1000).after.bytes, 80);
    store.candidates[0].unused = vec![unused(8, 16)];
    assert_eq!(decide(&store, &no_grace(), 1000).steps, []);
}

#[test]
fn the_downloads_go_last_and_only_if_nobody_uses_them() {
    let mut store = observed(vec![candidate(1, 1, 10)]);
    store.downloads = Usage { bytes: 1000, inodes: 1 };
    let mut policy = Policy { max_size: Some(ByteSize(1000)), ..no_grace() };
    assert_eq!(gone(&decide(&store, &policy, 1000)).len(), 1);
    policy.max_size = Some(ByteSize(999));
    let plan = decide(&store, &policy, 1000);
    assert_eq!(plan.steps.last().map(|step| &step.what), Some(&What::Downloads));
    assert_eq!(plan.unmet, []);
    store.downloads_in_use = true;
    assert_eq!(decide(&store, &policy, 1000).unmet.len(), 1);
}

#[test]
fn free_space_and_inodes_count_what_the_plan_already_frees() {
    let mut store = observed((0..4).map(|number| candidate(1, number, number)).collect());
    store.trash = Usage { bytes: 50, inodes: 0 };
    store.trashed = 1;
    let policy = Policy { min_free: Some("10%".parse().unwrap()), ..no_grace() };
    let total = Usage { bytes: 10_000, inodes: 100 };
    let mut disk = Disk { total, free: Usage { bytes: 750, inodes: 100 } };
    let decide = |disk: &Disk| plan(&store, &policy, disk, Headroom::Exact, at(1000));
    assert_eq!(gone(&decide(&disk)).len(), 2);
    disk.free = Usage { bytes: 5000, inodes: 5 };
    assert_eq!(gone(&decide(&disk)).len(), 1);
    disk.free.inodes = 0;
    disk.total.inodes = 0;
    assert_eq!(gone(&decide(&disk)).len(), 0, "a filesystem without a count of inodes");
    disk.free.bytes = 0;
    let plan = decide(&disk);
    assert_eq!(gone(&plan).len(), 4);
    assert_eq!(plan.unmet.len(), 1);
}

#[test]
fn a_clock_that_was_set_back_protects_nothing_for_ever() {
    let store = observed(vec![candidate(1, 1, 500 * DAY), candidate(1, 2, 99 * DAY)]);
    let general = Limits { max_age: Some(hours(24)), ..Limits::default() };
    let policy = Policy { max_size: Some(ByteSize(0)), general, ..no_grace() };
    let plan = decide(&store, &policy, 100 * DAY);
    assert_eq!(gone(&plan).len(), 2);
    assert_eq!(gone(&plan)[1], store.candidates[0].toolchain, "the future counts as the newest");
    let soon = observed(vec![candidate(1, 1, 100 * DAY + 60)]);
    assert_eq!(decide(&soon, &policy, 100 * DAY).steps, []);
}

#[test]
fn sizes_that_overflow_are_the_largest_there_are() {
    let mut store = observed(vec![candidate(1, 1, 1), candidate(1, 2, 2)]);
    for large in &mut store.candidates {
        large.usage = Usage { bytes: u64::MAX, inodes: u64::MAX };
        large.unused = vec![Unused { since: 0, size: u64::MAX, inodes: u64::MAX }; 2];
    }
    store.downloads.bytes = u64::MAX;
    let policy = Policy { max_size: Some(ByteSize(1)), ..no_grace() };
    for headroom in [Headroom::Exact, Headroom::Spare] {
        let plan = plan(&store, &policy, &Disk::default(), headroom, at(1000));
        assert_eq!((plan.before.bytes, plan.after.bytes), (u64::MAX, 0));
    }
}

/// What may be in a store and in its policy, in numbers small enough to meet each other.
#[derive(Clone, Debug)]
struct World {
    store: StoreView,
    policy: Policy,
    disk: Disk,
    headroom: Headroom,
}

const NOW: u64 = 100 * DAY;

fn a_candidate() -> impl Strategy<Value = Candidate> {
    let times = prop_oneof![0..200 * DAY, NOW - 3 * HOUR..NOW + 3 * HOUR];
    let flags = (prop::bool::weighted(0.1), prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    let unused = vec((0..6_u64, 0..40_u64), 0..3);
    (0..4_u8, any::<u64>(), times, 0..200_u64, 0..8_u64, flags, unused).prop_map(
        |(project, number, last_use, bytes, successes, (in_use, pinned, broken), unused)| {
            let unused = unused
                .into_iter()
                .map(|(since, size)| Unused { since, size, inodes: size })
                .filter(|unused| unused.since < successes)
                .collect();
            Candidate {
                broken: broken.then(|| "broken".to_owned()),
                usage: Usage { bytes, inodes: bytes },
                successes,
                unused,
                in_use,
                pinned,
                ..candidate(project, number, last_use)
            }
        },
    )
}

prop_compose! {
    fn some_limits()(
        max_size in prop::option::of(0..400_u64),
        max_age in prop::option::of(0..150_u64),
        keep in prop::option::of(0..4_usize),
        grace in 0..3_u64,
        keep_units in 0..4_u64,
        pin in prop::bool::weighted(0.1),
    ) -> Limits {
        Limits {
            max_size: max_size.map(ByteSize),
            max_age: max_age.map(|days| hours(24 * days)),
            keep,
            grace: hours(grace),
            keep_units,
            pin,
        }
    }
}

prop_compose! {
    fn a_world()(
        candidates in vec(a_candidate(), 0..12),
        downloads in 0..100_u64,
        trash in 0..100_u64,
        downloads_in_use in any::<bool>(),
        general in some_limits(),
        own in some_limits(),
        max_size in prop::option::of(0..1000_u64),
        share in prop::option::of(0..10_000_u64),
        free in (0..1000_u64, 0..1000_u64),
        spare in any::<bool>(),
    ) -> World {
        let mut candidates = candidates;
        for (index, one) in candidates.iter_mut().enumerate() {
            let seed = [one.toolchain.0.as_bytes().as_slice(), &index.to_be_bytes()].concat();
            one.toolchain = ToolchainId(Digest::of(&seed));
        }
        let store = StoreView {
            candidates,
            trash: Usage { bytes: trash, inodes: 0 },
            trashed: u64::from(trash > 0),
            downloads: Usage { bytes: downloads, inodes: 0 },
            downloads_in_use,
        };
        let policy = Policy {
            max_size: max_size.map(ByteSize),
            min_free: share.map(Amount::Share),
            general: Limits { max_size: None, ..general },
            projects: BTreeMap::from([(name(0), own)]),
            pinned: BTreeSet::new(),
        };
        let total = Usage { bytes: 1000, inodes: 1000 };
        let disk = Disk { total, free: Usage { bytes: free.0, inodes: free.1 } };
        let headroom = if spare { Headroom::Spare } else { Headroom::Exact };
        World { store, policy, disk, headroom }
    }
}

/// Removes one thing at a time by the first rule that asks for it, and looks at everything again.
struct Oracle<'a> {
    world: &'a World,
    left: Vec<Candidate>,
    freed: Usage,
    gone: Vec<ToolchainId>,
    swept: BTreeSet<ToolchainId>,
    /// Budgets that were once found exceeded, and are cleared with headroom.
    clearing: BTreeSet<String>,
}

impl Oracle<'_> {
    fn may_go(&self, candidate: &Candidate) -> bool {
        let limits = self.world.policy.limits(&candidate.project);
        let (now, last) = (NOW, candidate.last_use.duration_since(UNIX_EPOCH).unwrap().as_secs());
        let held = candidate.in_use || candidate.pinned || limits.pin;
        !held && now.abs_diff(last) >= limits.grace.0.as_secs()
    }

    fn oldest(&self, wanted: impl Fn(&Candidate) -> bool) -> Option<usize> {
        let free = (0..self.left.len()).filter(|index| self.may_go(&self.left[*index]));
        let wanted = free.filter(|index| wanted(&self.left[*index]));
        wanted.min_by_key(|index| {
            let candidate = &self.left[*index];
            (candidate.last_use, candidate.project.clone(), candidate.toolchain)
        })
    }

    fn newer_in_project(&self, of: &Candidate) -> usize {
        let key = |candidate: &Candidate| (candidate.last_use, candidate.toolchain);
        let others = self.left.iter().filter(|other| other.project == of.project);
        others.filter(|other| key(other) > key(of)).count()
    }

    fn is_over(&mut self, budget: &str, now: u64, limit: u64) -> bool {
        let low = match self.world.headroom {
            Headroom::Spare if self.clearing.contains(budget) => limit - limit / 20,
            _ => limit,
        };
        if now > limit {
            self.clearing.insert(budget.to_owned());
        }
        now > low
    }

    fn size(&self, wanted: impl Fn(&Candidate) -> bool) -> u64 {
        self.left.iter().filter(|candidate| wanted(candidate)).map(|one| one.usage.bytes).sum()
    }

    fn next(&mut self) -> Option<usize> {
        let policy = self.world.policy.clone();
        let broken = |one: &Candidate| one.broken.is_some() && !one.in_use;
        if let Some(index) = self.left.iter().position(broken) {
            return Some(index);
        }
        let old = |one: &Candidate| {
            let max = policy.limits(&one.project).max_age;
            let age = at(NOW).duration_since(one.last_use);
            max.is_some_and(|max| age.is_ok_and(|age| age > max.0))
        };
        if let Some(index) = self.oldest(old) {
            return Some(index);
        }
        let beyond = |one: &Candidate| {
            let keep = policy.limits(&one.project).keep;
            keep.is_some_and(|keep| self.newer_in_project(one) >= keep)
        };
        if let Some(index) = self.oldest(beyond) {
            return Some(index);
        }
        self.sweep();
        for project in (0..4).map(name) {
            let Some(max) = policy.limits(&project).max_size else { continue };
            let size = self.size(|one| one.project == project);
            if self.is_over(project.as_str(), size, max.0) {
                if let Some(index) = self.oldest(|one| one.project == project) {
                    return Some(index);
                }
            }
        }
        let size = self.size(|_| true) + self.world.store.downloads.bytes;
        let free = self.world.disk.free.plus(self.freed).plus(self.world.store.trash);
        let total = self.world.disk.total;
        let least = policy.least_free(&self.world.disk);
        let free =
            Usage { bytes: free.bytes.min(total.bytes), inodes: free.inodes.min(total.inodes) };
        let exceeded = |part: u64| {
            let over = policy.max_size.is_some_and(|max| size > max.0 - max.0 / 20 * part);
            let short = |free: u64, least: u64| free < least + least / 20 * part;
            over || short(free.bytes, least.bytes) || short(free.inodes, least.inodes)
        };
        if exceeded(0) {
            self.clearing.insert("store".to_owned());
        }
        let spare = self.world.headroom == Headroom::Spare && self.clearing.contains("store");
        let over = exceeded(0) || (spare && exceeded(1));
        if over { self.oldest(|_| true) } else { None }
    }

    /// Removes units group by group, in every directory once.
    fn sweep(&mut self) {
        for index in 0..self.left.len() {
            let id = self.left[index].toolchain;
            if !self.may_go(&self.left[index]) || !self.swept.insert(id) {
                continue;
            }
            let candidate = &mut self.left[index];
            let keep = self.world.policy.limits(&candidate.project).keep_units.max(1);
            let needed = {
                let dead: u64 = candidate.unused.iter().map(|unused| unused.size).sum();
                candidate.usage.bytes.saturating_sub(dead)
            };
            candidate.unused.sort_by_key(|unused| unused.since);
            let mut freed = 0;
            while let Some(oldest) = candidate.unused.first().cloned() {
                let left: u64 = candidate.unused.iter().map(|unused| unused.size).sum();
                let expired = candidate.successes - oldest.since >= keep;
                if !expired && left <= needed / 5 {
                    break;
                }
                freed += oldest.size;
                candidate.unused.remove(0);
            }
            let freed = Usage { bytes: freed, inodes: freed };
            candidate.usage = candidate.usage.minus(freed);
            self.freed = self.freed.plus(freed);
        }
    }

    fn run(mut self) -> Vec<ToolchainId> {
        while let Some(index) = self.next() {
            let candidate = self.left.remove(index);
            self.freed = self.freed.plus(candidate.usage);
            self.gone.push(candidate.toolchain);
        }
        self.gone
    }
}

fn expected(world: &World) -> Vec<ToolchainId> {
    let left = world.store.candidates.clone();
    let (freed, gone, swept) = (Usage::default(), Vec::new(), BTreeSet::new());
    Oracle { world, left, freed, gone, swept, clearing: BTreeSet::new() }.run()
}

/// The store after a plan was carried out.
fn after(world: &World, plan: &Plan) -> (StoreView, Disk) {
    let mut store = StoreView { trash: Usage::default(), trashed: 0, ..world.store.clone() };
    for step in &plan.steps {
        match &step.what {
            What::Directory { toolchain, .. } => {
                store.candidates.retain(|candidate| candidate.toolchain != *toolchain);
            }
            What::Units { toolchain, until, .. } => {
                let mut all = store.candidates.iter_mut();
                let swept = all.find(|candidate| candidate.toolchain == *toolchain).unwrap();
                swept.usage = swept.usage.minus(step.frees);
                swept.unused.retain(|unused| unused.since > *until);
            }
            What::Downloads => store.downloads = Usage::default(),
            What::Trash { .. } => {}
        }
    }
    let free = plan.steps.iter().fold(world.disk.free, |free, step| free.plus(step.frees));
    let total = world.disk.total;
    let free = Usage { bytes: free.bytes.min(total.bytes), inodes: free.inodes.min(total.inodes) };
    (store, Disk { free, ..world.disk })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_is_the_oracles(world in a_world()) {
        let World { store, policy, disk, headroom } = &world;
        let plan = plan(store, policy, disk, *headroom, at(NOW));
        prop_assert_eq!(gone(&plan), expected(&world));
    }

    #[test]
    fn what_is_held_stays(world in a_world()) {
        let World { store, policy, disk, headroom } = &world;
        let gone = gone(&plan(store, policy, disk, *headroom, at(NOW)));
        for candidate in &store.candidates {
            let limits = policy.limits(&candidate.project);
            let held = candidate.pinned || limits.pin || candidate.within(limits.grace, at(NOW));
            let held = candidate.in_use || (held && candidate.broken.is_none());
            prop_assert!(!held || !gone.contains(&candidate.toolchain));
        }
    }

    /// A plan that was carried out leaves nothing to do, and a budget that holds stays untouched.
    #[test]
    fn once_is_enough(world in a_world()) {
        let World { store, policy, disk, headroom } = &world;
        let first = plan(store, policy, disk, *headroom, at(NOW));
        let (store, disk) = after(&world, &first);
        let second = plan(&store, policy, &disk, Headroom::Exact, at(NOW));
        let stays = |step: &&Step| !matches!(step.what, What::Units { .. });
        prop_assert_eq!(second.steps.iter().filter(stays).count(), 0);
        prop_assert_eq!(second.unmet, first.unmet);
        prop_assert_eq!(store.usage(), first.after);
    }

    /// More room never means that more goes.
    #[test]
    fn a_larger_budget_takes_less(world in a_world(), more in 0..500_u64) {
        let World { store, policy, disk, headroom } = &world;
        let tight = plan(store, policy, disk, *headroom, at(NOW));
        let max_size = policy.max_size.map(|max| ByteSize(max.0 + more));
        let wide = Policy { max_size, ..policy.clone() };
        let wide = plan(store, &wide, disk, *headroom, at(NOW));
        prop_assert!(gone(&tight).starts_with(&gone(&wide)));
    }
}
