//! Configuration for other programs: systemd and cron, Lima, GitHub's actions, containers.

pub(crate) mod container;
pub(crate) mod foreign;
pub(crate) mod timer;

/// What gives a virtual machine of Lima a store of its own.
///
/// Facts: <https://lima-vm.io/docs/config/disk/>, and `pkg/cidata/cidata.TEMPLATE.d` of Lima 1 and 2: a disk
/// NAME of `additionalDisks` is formatted once and mounted at `/mnt/lima-NAME`, before provisioning;
/// there `LIMA_CIDATA_USER` is the guest's user.
pub(crate) const LIMA: &str = include_str!("emit/lima.yaml");

/// What keeps a store between runs of a workflow of GitHub Actions: steps for a job.
///
/// Facts: `actions/cache` 4 packs paths with tar and never replaces a key; `restore-keys` are prefixes,
/// of which the newest match is taken; what takes more than 10 GB goes, oldest first. What becomes of
/// a store that comes back by tar is tried in `tests/host/emit.rs`.
pub(crate) const GITHUB_ACTIONS: &str = include_str!("emit/github-actions.yaml");
