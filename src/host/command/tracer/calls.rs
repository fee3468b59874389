//! What the calls that are asked about do with paths.

use crate::observe::trace::{How, Seen};

/// The calls about which the kernel asks so that units can be watched, besides [`OLD`] ones and those of
/// [`WITH_A_PATH`].
pub(in super::super) const ASKED: &[libc::c_long] = &[
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_chdir,
    libc::SYS_mount,
    libc::SYS_move_mount,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_connect,
    libc::SYS_io_uring_setup,
    libc::SYS_open_by_handle_at,
];

/// Calls that newer architectures do not have.
#[cfg(target_arch = "x86_64")]
pub(in super::super) const OLD: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
];
#[cfg(not(target_arch = "x86_64"))]
pub(in super::super) const OLD: &[libc::c_long] = &[];

/// Those of them that are mostly made for an open file and take no path then, with the place of their flags
/// among their arguments: `AT_EMPTY_PATH` says so.
pub(in super::super) const WITH_A_PATH: [(libc::c_long, u32); 2] =
    [(libc::SYS_newfstatat, 3), (libc::SYS_statx, 2)];

/// One path of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup {
    /// The descriptor that a relative path begins at; nothing for the current directory.
    pub base: Option<i32>,
    /// Where the text is in the process.
    pub path: u64,
    pub seen: Seen,
}

/// Where the arguments and the variables of a program to be started are in the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arguments {
    pub words: u64,
    pub variables: u64,
}

/// A call, as far as it matters.
pub(super) enum Call {
    /// It looks up, or makes, what is at one path or two.
    Paths(Lookup, Option<Lookup>),
    /// It starts a program.
    Start(Lookup, Arguments),
    /// Something is mounted: what a path leads to is another thing there than here.
    Mount,
    /// The process gets another root.
    NewRoot,
    /// It asks a service: address and length.
    Connect(u64, u64),
    /// What it opens has no path that could be seen.
    Blind,
}

const LISTS: How = How { names: true, link: false };
const FOLLOWS: How = How { names: false, link: false };
const LINK: How = How { names: false, link: true };

fn looks(how: How) -> Seen {
    Seen { how, ..Seen::default() }
}

const WROTE: Seen = Seen { how: FOLLOWS, read: false, wrote: true, ran: false, linked: false };
const LINKED: Seen = Seen { how: LINK, read: false, wrote: false, ran: false, linked: true };

impl Call {
    /// What a call means; nothing if it is none of these.
    pub(super) fn of(data: &libc::seccomp_data) -> Option<Self> {
        let [a, b, c, d, ..] = data.args;
        let at = |base: u64, path, seen| Lookup { base: descriptor(base), path, seen };
        let here = |path, seen| Lookup { base: None, path, seen };
        let one = |lookup| Some(Self::Paths(lookup, None));
        if let Some(old) = Self::old(data) {
            return Some(old);
        }
        match libc::c_long::from(data.nr) {
            libc::SYS_openat => one(at(a, b, opened(c))),
            // struct open_how begins with the flags; without reading it the most is assumed.
            libc::SYS_openat2 => one(at(a, b, Seen { how: LISTS, ..Seen::default() })),
            libc::SYS_execve => {
                let lookup = here(a, Seen { ran: true, ..Seen::default() });
                Some(Self::Start(lookup, Arguments { words: b, variables: c }))
            }
            libc::SYS_execveat => {
                let lookup = at(a, b, Seen { ran: true, ..Seen::default() });
                Some(Self::Start(lookup, Arguments { words: c, variables: d }))
            }
            libc::SYS_statx => one(at(a, b, looks(followed(c)))),
            libc::SYS_faccessat => one(at(a, b, looks(FOLLOWS))),
            libc::SYS_newfstatat | libc::SYS_faccessat2 => one(at(a, b, looks(followed(d)))),
            libc::SYS_readlinkat => one(at(a, b, looks(LINK))),
            libc::SYS_mkdirat => one(at(a, b, WROTE)),
            libc::SYS_renameat | libc::SYS_renameat2 | libc::SYS_linkat => {
                Some(Self::Paths(at(a, b, LINKED), Some(at(c, d, WROTE))))
            }
            libc::SYS_symlinkat => one(at(b, c, WROTE)),
            libc::SYS_chdir => one(here(a, looks(FOLLOWS))),
            libc::SYS_mount if is_propagation(d) => None,
            libc::SYS_mount | libc::SYS_move_mount => Some(Self::Mount),
            libc::SYS_chroot | libc::SYS_pivot_root | libc::SYS_setns => Some(Self::NewRoot),
            libc::SYS_connect => Some(Self::Connect(b, c)),
            libc::SYS_io_uring_setup | libc::SYS_open_by_handle_at => Some(Self::Blind),
            _ => None,
        }
    }

    /// What one of [`OLD`] means.
    #[cfg(target_arch = "x86_64")]
    fn old(data: &libc::seccomp_data) -> Option<Self> {
        let [a, b, ..] = data.args;
        let here = |path, seen| Lookup { base: None, path, seen };
        let one = |path, seen| Some(Self::Paths(here(path, seen), None));
        match libc::c_long::from(data.nr) {
            libc::SYS_open => one(a, opened(b)),
            libc::SYS_creat | libc::SYS_mkdir => one(a, WROTE),
            libc::SYS_stat | libc::SYS_access => one(a, looks(FOLLOWS)),
            libc::SYS_lstat | libc::SYS_readlink => one(a, looks(LINK)),
            libc::SYS_rename | libc::SYS_link => {
                Some(Self::Paths(here(a, LINKED), Some(here(b, WROTE))))
            }
            libc::SYS_symlink => one(b, WROTE),
            _ => None,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn old(_: &libc::seccomp_data) -> Option<Self> {
        None
    }
}

/// Whether a `mount` says only who sees later mounts, as who makes a mount namespace does (`mount(2)`).
fn is_propagation(flags: u64) -> bool {
    flags & (libc::MS_PRIVATE | libc::MS_SLAVE | libc::MS_SHARED | libc::MS_UNBINDABLE) != 0
}

#[expect(clippy::cast_possible_truncation, reason = "the kernel takes the lower half too")]
fn descriptor(base: u64) -> Option<i32> {
    Some(base as i32).filter(|base| *base != libc::AT_FDCWD)
}

/// By the flags of `open`. What is emptied or made is not read; what may be read and written may be either.
#[expect(clippy::cast_possible_truncation, reason = "the kernel takes the lower half too")]
fn opened(flags: u64) -> Seen {
    let flags = flags as i32;
    let access = flags & libc::O_ACCMODE;
    if flags & libc::O_PATH != 0 {
        return looks(FOLLOWS);
    }
    let is_emptied = flags & (libc::O_TRUNC | libc::O_EXCL) != 0 && access != libc::O_RDONLY;
    let wrote = access != libc::O_RDONLY || flags & libc::O_CREAT != 0;
    let read = access == libc::O_RDONLY || (access == libc::O_RDWR && !is_emptied);
    // Whoever opens a directory so may list it, with O_DIRECTORY or without.
    let names = access == libc::O_RDONLY && flags & libc::O_CREAT == 0;
    Seen { how: How { names, link: false }, read, wrote, ..Seen::default() }
}

/// By the flags of the stat family.
#[expect(clippy::cast_possible_truncation, reason = "the kernel takes the lower half too")]
fn followed(flags: u64) -> How {
    if flags as i32 & libc::AT_SYMLINK_NOFOLLOW != 0 { LINK } else { FOLLOWS }
}
