//! Configuration for other programs: systemd and cron, Lima, GitHub's actions, containers.

pub(crate) mod container;
pub(crate) mod foreign;
pub(crate) mod timer;

use std::path::Path;

use foreign::ForeignPathError;

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
const GITHUB_ACTIONS: &str = include_str!("emit/github-actions.yaml");

/// Where the store of a runner's user is.
const RUNNERS: &str = "~/.cache/larder";

/// The steps for the store that somebody named, or for that of the runner's user.
///
/// # Errors
/// [`ForeignPathError`]: the path would have to be quoted in YAML, or in the shell.
pub(crate) fn github_actions(named: Option<&Path>) -> Result<String, ForeignPathError> {
    let Some(path) = named else { return Ok(GITHUB_ACTIONS.to_owned()) };
    let consumer = "a workflow";
    let store = foreign::text(path, consumer)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+-@".contains(&byte);
    if !store.bytes().all(is_plain) {
        let what = "something else than the letters A-Z a-z 0-9 / . _ + - @";
        return Err(ForeignPathError::new(consumer, path, what));
    }
    let text = GITHUB_ACTIONS.replace(RUNNERS, store);
    Ok(text.replace("run: larder ", &format!("run: larder --store {store} ")))
}
