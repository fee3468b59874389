//! The steps of a plan, one after the other.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::SystemTime;

use super::limits::Policy;
use super::{Candidate, Disk, Headroom, Plan, Step, StoreView, TooSmall, Unmet, What, Why};
use crate::base::names::ProjectName;
use crate::base::quantity::{ByteSize, Usage};

/// What the last use did not need may be this share of what it needed: one fifth (decision 31).
const SURPLUS: u64 = 5;

/// What a build frees beyond a budget: one twentieth of it (decision 34).
const SPARE: u64 = 20;

/// Decides what goes.
pub(crate) fn plan(
    observed: &StoreView,
    policy: &Policy,
    disk: &Disk,
    headroom: Headroom,
    now: SystemTime,
) -> Plan {
    let mut draft = Draft::new(observed, policy, disk, headroom, now);
    draft.clear_trash();
    draft.drop_broken();
    draft.drop_old();
    draft.drop_beyond_keep();
    draft.sweep_units();
    draft.fit_projects();
    draft.fit_store();
    draft.finish()
}

struct Draft<'a> {
    observed: &'a StoreView,
    policy: &'a Policy,
    disk: &'a Disk,
    headroom: Headroom,
    now: SystemTime,
    /// What each candidate takes as the plan stands; nothing once it goes.
    left: Vec<Option<Usage>>,
    downloads: Usage,
    steps: Vec<Step>,
}

impl<'a> Draft<'a> {
    fn new(
        observed: &'a StoreView,
        policy: &'a Policy,
        disk: &'a Disk,
        headroom: Headroom,
        now: SystemTime,
    ) -> Self {
        let left = observed.candidates.iter().map(|candidate| Some(candidate.usage)).collect();
        let downloads = observed.downloads;
        Self { observed, policy, disk, headroom, now, left, downloads, steps: Vec::new() }
    }

    fn clear_trash(&mut self) {
        let (count, frees) = (self.observed.trashed, self.observed.trash);
        if count > 0 {
            self.steps.push(Step { what: What::Trash { count }, why: Why::Trash, frees });
        }
    }

    fn drop_broken(&mut self) {
        for index in 0..self.left.len() {
            let candidate = &self.observed.candidates[index];
            if let Some(problem) = candidate.broken.clone().filter(|_| !candidate.in_use) {
                self.drop(index, Why::Broken { problem });
            }
        }
    }

    fn drop_old(&mut self) {
        for index in self.oldest_first() {
            let candidate = &self.observed.candidates[index];
            let max_age = self.policy.limits(&candidate.project).max_age;
            if let (Some(max), Some(age)) = (max_age, candidate.age(self.now)) {
                if age > max.0 {
                    let (unused_seconds, max_age_seconds) = (age.as_secs(), max.0.as_secs());
                    self.drop(index, Why::Age { unused_seconds, max_age_seconds });
                }
            }
        }
    }

    /// Those that may not go count too: they are among the newest, or somebody wants them.
    fn drop_beyond_keep(&mut self) {
        let mut beyond = BTreeMap::new();
        for (project, mut members) in self.by_project() {
            let Some(keep) = self.policy.limits(&project).keep else { continue };
            members.sort_by_key(|index| Reverse(self.order(*index)));
            beyond.extend(members.into_iter().skip(keep).map(|index| (index, keep)));
        }
        for index in self.oldest_first() {
            if let Some(keep) = beyond.get(&index) {
                self.drop(index, Why::Keep { keep: *keep });
            }
        }
    }

    fn sweep_units(&mut self) {
        for index in self.oldest_first() {
            let candidate = &self.observed.candidates[index];
            let keep = self.policy.limits(&candidate.project).keep_units.max(1);
            let Some((until, frees)) = dead_units(candidate, keep) else { continue };
            let (project, toolchain) = (candidate.project.clone(), candidate.toolchain);
            let builds = candidate.successes.saturating_sub(until);
            self.left[index] = self.left[index].map(|usage| usage.minus(frees));
            let what = What::Units { project, toolchain, until };
            self.steps.push(Step { what, why: Why::Dead { builds }, frees });
        }
    }

    fn fit_projects(&mut self) {
        for (project, members) in self.by_project() {
            let Some(max_size) = self.policy.limits(&project).max_size else { continue };
            let takes = |draft: &Self| {
                let usages = members.iter().filter_map(|index| draft.left[*index]);
                usages.fold(Usage::default(), Usage::plus).bytes
            };
            if takes(self) <= max_size.0 {
                continue;
            }
            for index in self.oldest_first() {
                if takes(self) <= self.low(max_size.0) {
                    break;
                }
                if self.observed.candidates[index].project == project {
                    self.drop(index, Why::ProjectSize { max_size });
                }
            }
        }
    }

    fn fit_store(&mut self) {
        if self.excess(Headroom::Exact).is_none() {
            return;
        }
        for index in self.oldest_first() {
            let Some(why) = self.excess(self.headroom) else { return };
            self.drop(index, why);
        }
        if let Some(why) = self.excess(self.headroom) {
            if self.downloads != Usage::default() && !self.observed.downloads_in_use {
                let frees = std::mem::take(&mut self.downloads);
                self.steps.push(Step { what: What::Downloads, why, frees });
            }
        }
    }

    /// The first budget of the store that does not hold as the plan stands.
    fn excess(&self, headroom: Headroom) -> Option<Why> {
        let more = |least: u64| match headroom {
            Headroom::Exact => least,
            Headroom::Spare => least.saturating_add(least / SPARE),
        };
        let size = self.takes().bytes;
        let over = |max: &ByteSize| match headroom {
            Headroom::Exact => size > max.0,
            Headroom::Spare => size > max.0 - max.0 / SPARE,
        };
        if let Some(max_size) = self.policy.max_size.filter(over) {
            return Some(Why::MaxSize { max_size });
        }
        let Usage { bytes, inodes } = self.policy.least_free(self.disk);
        let free = self.free();
        if free.bytes < more(bytes) {
            return Some(Why::MinFree { min_free: ByteSize(bytes) });
        }
        (free.inodes < more(inodes)).then_some(Why::MinFreeInodes { min_free: inodes })
    }

    /// What the store takes as the plan stands; the trash is gone by then.
    fn takes(&self) -> Usage {
        self.left.iter().flatten().fold(self.downloads, |sum, usage| sum.plus(*usage))
    }

    fn frees(&self) -> Usage {
        self.steps.iter().fold(Usage::default(), |sum, step| sum.plus(step.frees))
    }

    fn free(&self) -> Usage {
        let free = self.disk.free.plus(self.frees());
        let total = self.disk.total;
        Usage { bytes: free.bytes.min(total.bytes), inodes: free.inodes.min(total.inodes) }
    }

    fn low(&self, budget: u64) -> u64 {
        match self.headroom {
            Headroom::Exact => budget,
            Headroom::Spare => budget - budget / SPARE,
        }
    }

    fn drop(&mut self, index: usize, why: Why) {
        let candidate = &self.observed.candidates[index];
        if let Some(frees) = self.left[index].take() {
            let (project, toolchain) = (candidate.project.clone(), candidate.toolchain);
            self.steps.push(Step { what: What::Directory { project, toolchain }, why, frees });
        }
    }

    /// What is still there and may go, least recently used first.
    fn oldest_first(&self) -> Vec<usize> {
        let mut free: Vec<usize> =
            (0..self.left.len()).filter(|index| self.left[*index].is_some()).collect();
        free.retain(|index| self.may_go(&self.observed.candidates[*index]));
        free.sort_by_key(|index| self.order(*index));
        free
    }

    fn order(&self, index: usize) -> (SystemTime, &ProjectName, crate::base::names::ToolchainId) {
        let candidate = &self.observed.candidates[index];
        (candidate.last_use, &candidate.project, candidate.toolchain)
    }

    fn may_go(&self, candidate: &Candidate) -> bool {
        let limits = self.policy.limits(&candidate.project);
        let held = candidate.in_use || candidate.pinned || limits.pin;
        !held && !candidate.within(limits.grace, self.now)
    }

    fn by_project(&self) -> BTreeMap<ProjectName, Vec<usize>> {
        let mut projects: BTreeMap<ProjectName, Vec<usize>> = BTreeMap::new();
        for (index, candidate) in self.observed.candidates.iter().enumerate() {
            if self.left[index].is_some() {
                projects.entry(candidate.project.clone()).or_default().push(index);
            }
        }
        projects
    }

    fn finish(self) -> Plan {
        let before = self.observed.usage();
        let (after, free_after) = (self.takes(), self.free());
        let (unmet, too_small) = (self.unmet(), self.too_small());
        Plan { steps: self.steps, before, after, free_after, unmet, too_small }
    }

    fn unmet(&self) -> Vec<Unmet> {
        let mut unmet = Vec::new();
        for (project, members) in self.by_project() {
            let usages = members.iter().filter_map(|index| self.left[*index]);
            let size = ByteSize(usages.fold(Usage::default(), Usage::plus).bytes);
            let max_size = self.policy.limits(&project).max_size;
            if let Some(max_size) = max_size.filter(|max| size > *max) {
                unmet.push(Unmet::ProjectSize { project, size, max_size });
            }
        }
        let size = ByteSize(self.takes().bytes);
        if let Some(max_size) = self.policy.max_size.filter(|max| size > *max) {
            unmet.push(Unmet::MaxSize { size, max_size });
        }
        let (Usage { bytes, inodes }, free) = (self.policy.least_free(self.disk), self.free());
        if free.bytes < bytes {
            let (free, min_free) = (ByteSize(free.bytes), ByteSize(bytes));
            unmet.push(Unmet::MinFree { free, min_free });
        }
        if free.inodes < inodes {
            unmet.push(Unmet::MinFreeInodes { free: free.inodes, min_free: inodes });
        }
        unmet
    }

    /// Budgets in which the largest directory of a project does not fit by itself.
    fn too_small(&self) -> Vec<TooSmall> {
        let mut largest: BTreeMap<&ProjectName, u64> = BTreeMap::new();
        for candidate in &self.observed.candidates {
            let sizes = candidate.unused.iter().map(|unused| unused.size);
            let dead = sizes.fold(0, u64::saturating_add);
            let size = largest.entry(&candidate.project).or_default();
            *size = (*size).max(candidate.usage.bytes.saturating_sub(dead));
        }
        let mut found = Vec::new();
        for (project, build) in largest {
            let budgets =
                [(true, self.policy.limits(project).max_size), (false, self.policy.max_size)];
            for (own, max_size) in budgets {
                if let Some(max_size) = max_size.filter(|max| max.0 < build) {
                    let (project, build) = (project.clone(), ByteSize(build));
                    found.push(TooSmall { project, build, max_size, own });
                }
            }
        }
        found
    }
}

/// Up to which use what was last needed goes, and what that frees.
fn dead_units(candidate: &Candidate, keep: u64) -> Option<(u64, Usage)> {
    let mut unused: Vec<_> = candidate.unused.iter().collect();
    unused.sort_by_key(|unused| unused.since);
    let usage = |unused: &&super::Unused| Usage { bytes: unused.size, inodes: unused.inodes };
    let all = unused.iter().map(usage).fold(Usage::default(), Usage::plus);
    let needed = candidate.usage.minus(all);
    let mut left = all;
    let mut until = None;
    for group in unused {
        let expired = candidate.successes.saturating_sub(group.since) >= keep;
        let surplus = left.bytes > needed.bytes / SURPLUS;
        if group.since >= candidate.successes.max(1) || !(expired || surplus) {
            break;
        }
        left = left.minus(usage(&group));
        until = Some(group.since);
    }
    until.map(|until| (until, all.minus(left)))
}
