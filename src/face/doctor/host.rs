//! The machine: mounts, namespaces, its clock.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::Check;
use crate::host::{attach, command};

/// Whether a directory can be attached by a mount.
pub(crate) fn mounting(dir: &Path) -> Check {
    const NAME: &str = "mounting";
    match attach::try_mount(dir) {
        Ok(()) => match attach::try_to_fix(dir) {
            Ok(()) => Check::ok(
                NAME,
                "directories can be attached by a mount of their own, and what is installed kept from commands",
            ),
            Err(error) => Check::warning(
                NAME,
                format!("what is installed in the store cannot be mounted read-only: {error}"),
                "commands can replace it, and `larder init` puts it back: use Linux 5.12 or later, and allow mount_setattr",
            ),
        },
        Err(error) => Check::warning(
            NAME,
            error.to_string(),
            "without mounts larder attaches by a symlink, whose path may show in what is built: allow user namespaces, or run as root",
        ),
    }
}

/// Whether larder can watch what a build looks up, and answer in the kernel's place where it removes what is attached.
pub(crate) fn watching(dir: &Path) -> Check {
    const NAME: &str = "watching";
    match command::try_removal(dir) {
        Ok(()) => Check::ok(
            NAME,
            "what builds look up is seen, and they can remove a directory that is attached",
        ),
        Err(error) => Check::warning(
            NAME,
            format!("what builds look up cannot be seen: {error}"),
            "inputs are guessed, which is colder, and `cargo clean` inside of a run empties the directory and then fails: allow seccomp's user notification, and do not run larder inside of another run",
        ),
    }
}

/// Whether a plain user can make mounts. Root needs no user namespace on the host; mkosi does.
pub(crate) fn user_namespaces() -> Check {
    const NAME: &str = "user namespaces";
    match attach::try_user_namespace() {
        Ok(()) => Check::ok(NAME, "can be made"),
        Err(error) => Check::warning(
            NAME,
            format!("cannot be made: {error}"),
            "mkosi and larder need them for plain users: set user.max_user_namespaces and, where there are such, kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    }
}

/// 2025-01-01: larder is younger.
const EARLIEST: Duration = Duration::from_secs(1_735_689_600);

/// So far may the clocks of the machine and of a filesystem be apart.
const APART: Duration = Duration::from_secs(2);

/// Whether the clock can be right: it is after larder was made, the filesystem has the same, and no
/// build was in its future.
pub(crate) fn clock(
    now: SystemTime,
    written: Option<SystemTime>,
    last_use: Option<SystemTime>,
) -> Check {
    const NAME: &str = "clock";
    let far = |a: SystemTime, b: SystemTime| a.duration_since(b).is_ok_and(|time| time > APART);
    if now < SystemTime::UNIX_EPOCH + EARLIEST {
        let found = "the clock stands before larder was made";
        return Check::failed(NAME, found, "set the clock: ages and last uses are told by it");
    }
    match (written, last_use) {
        (Some(written), _) if far(written, now) || far(now, written) => Check::warning(
            NAME,
            "the store's filesystem has another time than the machine",
            "synchronise the clocks of both machines",
        ),
        (_, Some(last_use)) if far(last_use, now) => Check::warning(
            NAME,
            "the last build is in the future: the clock was set back",
            "set the clock; directories count as used last until it has passed that time",
        ),
        _ => Check::ok(NAME, "agrees with the filesystem and with the records"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_clock_that_cannot_be_right_is_told() {
        let now = SystemTime::UNIX_EPOCH + EARLIEST + Duration::from_secs(1000);
        let later = now + Duration::from_secs(60);
        let state = |now, written, used| clock(now, written, used).state;
        assert_eq!(state(now, Some(now), Some(now)), State::Ok);
        assert_eq!(state(now, None, None), State::Ok);
        assert_eq!(state(SystemTime::UNIX_EPOCH, None, None), State::Failed);
        assert_eq!(state(now, Some(later), None), State::Warning);
        assert_eq!(state(later, Some(now), None), State::Warning);
        assert_eq!(state(now, Some(now), Some(later)), State::Warning);
    }
}
