//! What helps against what the system says, where the error itself does not say what helps (decision 58).

use std::io;

use rustix::io::Errno;

/// What the system says (errno(3)), and what helps.
pub const REMEDIES: [(Errno, &str); 18] = [
    (Errno::ACCESS, "run larder as the owner of that path, or mend the permissions of the path"),
    (Errno::PERM, "run larder as the owner of that path; `lsattr` shows whether it is immutable"),
    (Errno::NOENT, "make what is missing, or correct the path"),
    (Errno::NOSPC, "free some space: `larder gc` deletes what the policy does not keep"),
    (
        Errno::DQUOT,
        "free some space of your quota: `larder gc` deletes what the policy does not keep",
    ),
    (Errno::ROFS, "remount the filesystem read-write, or name a store on another with --store"),
    (Errno::IO, "look into the kernel's log (`dmesg`): the disk or its filesystem has a fault"),
    (Errno::STALE, "move the store to a local disk: larder does not work on network filesystems"),
    (Errno::NOLCK, "move the store to a local disk: the filesystem has no locks to give"),
    (Errno::MFILE, "allow more open files: `ulimit -n 4096`"),
    (Errno::NFILE, "allow more open files on this machine: raise the sysctl fs.file-max"),
    (Errno::NOMEM, "free some memory, or allow larder more of it"),
    (Errno::AGAIN, "allow more processes: `ulimit -u`, or TasksMax= of the service"),
    (Errno::NOTDIR, "move away the file that is where a directory has to be"),
    (Errno::ISDIR, "move away the directory that is where a file has to be"),
    (Errno::LOOP, "remove the symlink that leads to itself"),
    (Errno::NAMETOOLONG, "use a shorter path for the store or the sources"),
    (Errno::BUSY, "unmount what is mounted there, then try again"),
];

/// Where nothing better is known.
pub const OTHERWISE: &str = "`larder doctor` looks whether everything holds that larder needs";

/// What helps against the error of the system that is among the causes.
pub(super) fn remedy(error: &anyhow::Error) -> Option<&'static str> {
    let said = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>())?;
    let is_same = |errno: &Errno| match said.raw_os_error() {
        Some(number) => errno.raw_os_error() == number,
        // Somebody put words around it, and only the kind is left, where there is one for it.
        None => io::Error::from(*errno).kind() == said.kind() && said.kind() != vague(),
    };
    let is_of_system = said.raw_os_error().is_some();
    let known = REMEDIES.iter().find(|(errno, _)| is_same(errno)).map(|(_, remedy)| *remedy);
    known.or(is_of_system.then_some(OTHERWISE))
}

/// The kind of what has no kind of its own.
fn vague() -> io::ErrorKind {
    io::Error::from(Errno::IO).kind()
}
