//! The store: that it can be used, the filesystem under it, and what fits into it.

#![expect(
    clippy::disallowed_methods,
    reason = "tries what a filesystem can do, with files of its own"
)]

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{Access, FlockOperation, StatVfsMountFlags};
use rustix::io::Errno;

use super::{Check, State};
use crate::decide::policy::{self, Disk, Headroom, Policy, StoreView, Unmet};
use crate::output;
use crate::store::{FORMAT, Store, StoreError, config};

/// Opens the store to work in it; what is wrong has its remedy in its own words.
pub(crate) fn opened(path: &Path) -> (Option<Store>, Check) {
    const NAME: &str = "store";
    let store = match Store::open(path) {
        Ok(store) => store,
        Err(error) => return (None, Check::error(NAME, error)),
    };
    let root = store.root().display();
    let check = match (check_writable(&store), store.format()) {
        (Err(error), _) => Check::error(NAME, error),
        (Ok(()), older) if older < FORMAT => Check::warning(
            NAME,
            format!("{root} has format {older}, this larder writes {FORMAT}"),
            "nothing to do: the next build takes the store over, and begins cold",
        ),
        (Ok(()), _) => Check::ok(NAME, format!("{root}, format {FORMAT}, yours")),
    };
    (Some(store), check)
}

/// As [`Store::open_writable`], which would also take an older store over.
fn check_writable(store: &Store) -> Result<(), StoreError> {
    store.reopen()?;
    let path = store.root().to_owned();
    rustix::fs::access(&path, Access::WRITE_OK)
        .map_err(|error| StoreError::ReadOnly { path, source: error.into() })
}

/// Who can read what is in the store: what its own directory grants, and nobody more.
pub(crate) fn readers(store: &Store) -> Check {
    const NAME: &str = "privacy";
    let key = store.key_file();
    let key_mode = std::fs::symlink_metadata(&key).map_or(0o600, |found| found.mode() & 0o777);
    if key_mode & 0o077 != 0 {
        let found = format!("others may read {}, by which values are hidden", key.display());
        return Check::failed(NAME, found, "remove it, and the next build makes another");
    }
    if let Some((path, mode)) = store.open_to(0o022) {
        return Check::failed(
            NAME,
            format!("others may write {} (mode {mode:o})", path.display()),
            "chmod go-w it: whoever writes there decides what is built",
        );
    }
    // What is in the store was made with the mode that it had then.
    let mode = store.mode();
    let grants = |bits: u32| mode & bits == bits;
    let who = match (grants(0o050), grants(0o005)) {
        (_, true) => "everybody on this machine can",
        (true, false) => "its group can",
        (false, false) if mode & 0o011 != 0 => "only you can; others can go through it",
        (false, false) => "only you can",
    };
    let found = format!("{who} read its records, and what builds left (mode {mode:o})");
    if grants(0o005) {
        Check::warning(NAME, found, "chmod 700 the store, unless it is meant to be so")
    } else {
        Check::ok(NAME, found)
    }
}

/// Filesystems that lie on another machine, or that do not behave like a local one: their magic
/// number (`statfs(2)`, `linux/magic.h` of Linux 6.1) and their name.
const REMOTE: [(u64, &str); 9] = [
    (0x6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x517b, "SMB"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6573_5546, "FUSE (sshfs, virtiofs or the like)"),
    (0x786f_4256, "a shared folder of VirtualBox"),
];

const TMPFS: u64 = 0x0102_1994;
const OVERLAY: u64 = 0x794c_7630;

/// What filesystem the store is on, and what it can do. What is tried needs a directory in the trash.
pub(crate) fn filesystem(store: &Store) -> Vec<Check> {
    let mut checks = vec![kind(store.root())];
    match tempfile::Builder::new().prefix("doctor-").tempdir_in(store.trash()) {
        Ok(dir) => {
            checks.push(locks(dir.path()));
            checks.push(links(dir.path()));
        }
        Err(error) => {
            let found = format!("cannot write into {}: {error}", store.trash().display());
            checks.push(Check::not_checked("locks", found.clone()));
            checks.push(Check::not_checked("links", found));
        }
    }
    checks.push(access_times(store.root()));
    checks
}

fn kind(root: &Path) -> Check {
    const NAME: &str = "filesystem";
    let found = match rustix::fs::statfs(root) {
        Ok(found) => u64::try_from(found.f_type).unwrap_or(0) & 0xffff_ffff,
        Err(error) => return Check::not_checked(NAME, error.to_string()),
    };
    if let Some((_, name)) = REMOTE.iter().find(|(magic, _)| *magic == found) {
        return Check::failed(
            NAME,
            format!("the store is on {name}: locks, owners and times cannot be relied on there"),
            "move it to a local disk: `larder move DIR`, or name another with --store",
        );
    }
    match found {
        TMPFS => Check::warning(
            NAME,
            "tmpfs: the store takes memory, and is gone after a reboot",
            "move it to a disk: `larder move DIR`",
        ),
        OVERLAY => Check::warning(
            NAME,
            "overlay: this looks like the inside of a container, with which the store is gone",
            "mount a volume for the store; `larder emit podman` and `larder emit docker` say how",
        ),
        _ => Check::ok(NAME, "local"),
    }
}

/// Two descriptors of their own must exclude each other.
fn locks(dir: &Path) -> Check {
    const NAME: &str = "locks";
    match try_locks(&dir.join("lock")) {
        Ok(true) => Check::ok(NAME, "flock excludes others"),
        Ok(false) => Check::failed(
            NAME,
            "flock excludes nobody here, so that two builds could write at once",
            "move the store to a local disk: `larder move DIR`",
        ),
        Err(error) => Check::failed(
            NAME,
            format!("flock does not work: {error}"),
            "move the store to a local disk: `larder move DIR`",
        ),
    }
}

fn try_locks(path: &Path) -> io::Result<bool> {
    let (one, two) = (File::create(path)?, File::open(path)?);
    rustix::fs::flock(&one, FlockOperation::NonBlockingLockExclusive)?;
    match rustix::fs::flock(&two, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(true),
        Ok(()) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Cargo links what it builds hard, and copies where it cannot; reflinks are not needed.
fn links(dir: &Path) -> Check {
    const NAME: &str = "links";
    let (one, two) = (dir.join("one"), dir.join("two"));
    let tried = std::fs::write(&one, "x").and_then(|()| std::fs::hard_link(&one, &two));
    let reflinks = || -> io::Result<()> {
        let to = File::create(dir.join("three"))?;
        Ok(rustix::fs::ioctl_ficlone(to, File::open(&one)?)?)
    };
    let reflinks =
        if reflinks().is_ok() { "reflinks too" } else { "no reflinks, which are not needed" };
    match tried {
        Ok(()) => Check::ok(NAME, format!("hard links work; {reflinks}")),
        Err(error) => Check::warning(
            NAME,
            format!("hard links do not work: {error}; {reflinks}"),
            "nothing breaks, but cargo copies what it would link: a store on ext4, xfs or btrfs is smaller",
        ),
    }
}

fn access_times(root: &Path) -> Check {
    const NAME: &str = "access times";
    let flags = rustix::fs::statvfs(root).map(|found| found.f_flag);
    let found = match flags {
        Ok(flags) if flags.contains(StatVfsMountFlags::NOATIME) => {
            "noatime: what a build needed is told by other means"
        }
        Ok(flags) if flags.contains(StatVfsMountFlags::RELATIME) => {
            "relatime: they tell what a build needed"
        }
        Ok(_) => "kept: they tell what a build needed",
        Err(error) => return Check::not_checked(NAME, error.to_string()),
    };
    Check::ok(NAME, found)
}

/// What is free against `min-free`.
pub(crate) fn free(policy: &Policy, disk: &Disk) -> Check {
    const NAME: &str = "free space";
    let least = policy.least_free(disk);
    let inodes = |count: u64| match disk.total.inodes {
        0 => String::new(),
        _ => format!(" and {count} inodes"),
    };
    let free = format!("{}{} free", output::size(disk.free.bytes), inodes(disk.free.inodes));
    if policy.is_free_enough(disk) {
        return Check::ok(NAME, free);
    }
    let least = format!("{}{}", output::size(least.bytes), inodes(least.inodes));
    Check::warning(
        NAME,
        format!("{free}, less than min-free, {least}: builds delete what is warm"),
        "run `larder gc`, free something else, move the store, or lower min-free in larder.toml",
    )
}

/// Whether what builds leave fits into what they may take.
pub(crate) fn budgets(
    policy: &Policy,
    observed: &StoreView,
    disk: &Disk,
    now: SystemTime,
) -> Check {
    const NAME: &str = "budgets";
    let plan = policy::plan(observed, policy, disk, Headroom::Exact, now);
    if let Some(small) = plan.too_small.first() {
        return Check::said(NAME, State::Failed, &small.to_string());
    }
    // What is free is a check of its own.
    let is_size =
        |unmet: &&Unmet| !matches!(unmet, Unmet::MinFree { .. } | Unmet::MinFreeInodes { .. });
    match plan.unmet.iter().find(is_size) {
        Some(unmet) => Check::said(NAME, State::Warning, &unmet.to_string()),
        None if policy.max_size.is_none() => {
            Check::ok(NAME, "no max-size is set; min-free alone limits the store")
        }
        None => Check::ok(NAME, "they hold, and the last builds fit"),
    }
}

/// The events of GitHub's workflows that may build what somebody asks to be taken in.
const REQUESTS: [&str; 2] = ["pull_request", "pull_request_target"];

/// In which domain a build that is started here would be.
pub(crate) fn domain(store: &Store, variable: impl Fn(&str) -> Option<String>) -> Check {
    const NAME: &str = "domain";
    let domains = match config::domains(store, None, None) {
        Ok(domains) => domains,
        Err(error) => return Check::error(NAME, error),
    };
    let is_request = variable("GITHUB_EVENT_NAME")
        .is_some_and(|event| REQUESTS.contains(&event.as_str()))
        || variable("CI_MERGE_REQUEST_IID").is_some_and(|id| !id.is_empty());
    if is_request && domains.own.is_default() {
        return Check::warning(
            NAME,
            "default: what this request's build leaves, the builds of others go on with, unless it is started with --discard",
            "build requests with `larder run --domain requests --from default`, or with `--discard` (docs/trust.md)",
        );
    }
    let own = domains.own;
    Check::ok(
        NAME,
        match domains.from.first() {
            Some(from) => format!("{own}, which begins from {from}"),
            None => own.to_string(),
        },
    )
}

/// What is among the projects and is none of larder's.
pub(crate) fn foreign(store: &Store) -> Vec<Check> {
    const NAME: &str = "projects";
    match store.foreign() {
        Ok(foreign) if foreign.is_empty() => vec![Check::ok(NAME, "all that is there is larder's")],
        Ok(foreign) => {
            foreign.iter().map(|it| Check::said(NAME, State::Warning, &it.in_words())).collect()
        }
        Err(error) => vec![Check::error(NAME, error)],
    }
}

/// What was set aside and waits to be deleted.
pub(crate) fn leftovers(observed: &StoreView) -> Check {
    const NAME: &str = "trash";
    match observed.trashed {
        0 => Check::ok(NAME, "empty"),
        count => {
            let size = output::size(observed.trash.bytes);
            Check::warning(NAME, format!("{count} set aside, {size}"), "run `larder gc`")
        }
    }
}
