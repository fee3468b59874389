//! The filter by which the kernel asks larder before a few system calls of the command.
//!
//! Facts: seccomp(2) and `kernel/seccomp.c`. A call of another architecture (32 bit, x32) passes unasked.
//! The constants of the program are those of `linux/bpf_common.h`; offsets are of `struct seccomp_data`.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use super::tracer::{ASKED, OLD, WITH_A_PATH};

const LOAD: u16 = 0x20;
const EQUAL: u16 = 0x15;
const HAS_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// The first argument; the others follow, eight bytes each. Both architectures are little-endian.
const ARGUMENTS: u32 = 16;

/// `AUDIT_ARCH_*` of the architecture that larder is made for; without one there is no filter.
const NATIVE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xC000_003E)
} else if cfg!(target_arch = "aarch64") {
    Some(0xC000_00B7)
} else {
    None
};

/// Calls that are always asked about.
#[cfg(target_arch = "x86_64")]
const ALWAYS: &[libc::c_long] = &[libc::SYS_rmdir, libc::SYS_mkdir, libc::SYS_mkdirat];
#[cfg(not(target_arch = "x86_64"))]
const ALWAYS: &[libc::c_long] = &[libc::SYS_mkdirat];

/// Before which calls the kernel asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    /// If the argument in that place has a bit.
    With(u32, u32),
    /// If it has not.
    Without(u32, u32),
}

/// A program, made before the fork.
#[derive(Debug)]
pub(super) struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// Asks about the making and removing of directories, and nothing else.
    pub(super) fn of_directories() -> Option<Self> {
        Self::of(&directories())
    }

    /// Asks about these, and about all that looks up a path.
    pub(super) fn of_lookups() -> Option<Self> {
        let empty = bits(libc::AT_EMPTY_PATH);
        let always = ASKED.iter().chain(OLD).map(|call| (*call, When::Always));
        let mut rules: Vec<_> = always.collect();
        rules.extend(WITH_A_PATH.iter().map(|(call, flags)| (*call, When::Without(*flags, empty))));
        rules.extend(directories());
        Self::of(&rules)
    }

    fn of(rules: &[(libc::c_long, When)]) -> Option<Self> {
        let number =
            |(call, when): &(libc::c_long, When)| Some((u32::try_from(*call).ok()?, *when));
        let rules: Option<Vec<_>> = rules.iter().map(number).collect();
        Some(Self(program(NATIVE?, &rules?)))
    }

    /// For the calling process and all that it will start; what is answered comes from who holds the
    /// descriptor, which is close-on-exec. Allocates nothing.
    fn install(&self) -> io::Result<OwnedFd> {
        // Without `SPEC_ALLOW`, kernels before 5.16 slow the process down.
        let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        // Linux 5.19: only a deadly signal interrupts a call whose answer is being found.
        match self.install_with(flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => self.install_with(flags),
            other => other,
        }
    }

    fn install_with(&self, flags: libc::c_ulong) -> io::Result<OwnedFd> {
        let len = u16::try_from(self.0.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let program = libc::sock_fprog { len, filter: self.0.as_ptr().cast_mut() };
        let set = libc::SECCOMP_SET_MODE_FILTER;
        // SAFETY: the kernel reads `len` instructions, which are there, and writes none.
        let made = unsafe { libc::syscall(libc::SYS_seccomp, set, flags, &raw const program) };
        match i32::try_from(made) {
            // SAFETY: the kernel has just made this descriptor for the caller.
            Ok(made) if made >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(made) }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Between `fork` and `exec`: installs it and hands the descriptor, or why there is none, to larder.
    /// Fails only where the filter is in force and nobody would answer.
    pub(super) fn enter(&self, to: &OwnedFd) -> io::Result<()> {
        match self.install() {
            Ok(listener) => send(to, 0, &[listener.as_fd()]),
            Err(error) => {
                let _ = send(to, error.raw_os_error().unwrap_or(libc::EINVAL), &[]);
                Ok(())
            }
        }
    }
}

/// The calls that make and remove directories.
fn directories() -> Vec<(libc::c_long, When)> {
    let always = ALWAYS.iter().map(|call| (*call, When::Always));
    let removal = (libc::SYS_unlinkat, When::With(2, bits(libc::AT_REMOVEDIR)));
    always.chain([removal]).collect()
}

/// Flags, as the kernel compares them.
fn bits(flags: libc::c_int) -> u32 {
    u32::from_ne_bytes(flags.to_ne_bytes())
}

/// Native calls by these rules, and no other one.
fn program(native: u32, rules: &[(u32, When)]) -> Vec<libc::sock_filter> {
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let ask = step(RETURN, libc::SECCOMP_RET_USER_NOTIF, 0, 0);
    let pass = step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0);
    let mut steps = vec![step(LOAD, ARCHITECTURE, 0, 0), step(EQUAL, native, 1, 0), pass];
    steps.push(step(LOAD, NUMBER, 0, 0));
    for (call, when) in rules {
        match *when {
            When::Always => steps.extend([step(EQUAL, *call, 0, 1), ask]),
            When::With(argument, bit) | When::Without(argument, bit) => {
                let asks = matches!(when, When::With(..));
                let (set, clear) = if asks { (ask, pass) } else { (pass, ask) };
                steps.push(step(EQUAL, *call, 0, 4));
                steps.push(step(LOAD, ARGUMENTS + 8 * argument, 0, 0));
                steps.extend([step(HAS_BIT, bit, 0, 1), set, clear]);
            }
        }
    }
    steps.push(pass);
    steps
}

/// Two ends, for the descriptor's way from the child to larder: (child's, larder's).
pub(super) fn way() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

fn send(to: &OwnedFd, error: i32, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let bytes = error.to_ne_bytes();
    let data = [io::IoSlice::new(&bytes)];
    rustix::net::sendmsg(to, &data, &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for what the child sends, or for its end.
pub(super) fn wait(from: &OwnedFd) -> io::Result<io::Result<OwnedFd>> {
    loop {
        match rustix::event::poll(&mut [PollFd::new(from, PollFlags::IN)], None) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return receive(from),
        }
    }
}

/// What the child sent: a descriptor, or why the kernel made none. Fails if nothing can be told.
pub(super) fn receive(from: &OwnedFd) -> io::Result<io::Result<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 4];
    let mut data = [io::IoSliceMut::new(&mut bytes)];
    rustix::net::recvmsg(from, &mut data, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let listener = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    match (listener, i32::from_ne_bytes(bytes)) {
        (Some(listener), _) => Ok(Ok(listener)),
        (None, 0) => Err(io::Error::other("the filter's descriptor was lost; run it again")),
        (None, error) => Ok(Err(io::Error::from_raw_os_error(error))),
    }
}

/// One question or answer over the descriptor.
pub(super) fn control<T>(listener: &OwnedFd, request: libc::Ioctl, data: &mut T) -> io::Result<()> {
    // SAFETY: the requests of seccomp have the size of their data in them, and callers pass that type.
    match unsafe { libc::ioctl(listener.as_raw_fd(), request, std::ptr::from_mut(data)) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: u32 = 0xC000_003E;

    /// What the kernel would make of a call, all of whose arguments are the same.
    fn verdict(steps: &[libc::sock_filter], arch: u32, number: u32, arguments: u64) -> u32 {
        let (mut at, mut held) = (0, 0);
        loop {
            let step = &steps[at];
            at += 1;
            let jump = |is: bool| usize::from(if is { step.jt } else { step.jf });
            match step.code {
                LOAD if step.k == ARCHITECTURE => held = arch,
                LOAD if step.k == NUMBER => held = number,
                LOAD => held = u32::try_from(arguments & 0xFFFF_FFFF).unwrap(),
                EQUAL => at += jump(held == step.k),
                HAS_BIT => at += jump(held & step.k != 0),
                RETURN => return step.k,
                other => panic!("{other:#x}"),
            }
        }
    }

    #[test]
    fn only_native_calls_of_the_rules_are_asked_about() {
        let rules =
            [(84, When::Always), (262, When::Without(3, 0x1000)), (263, When::With(2, 0x200))];
        let steps = program(HERE, &rules);
        let asks = |arch, number, third| {
            verdict(&steps, arch, number, third) == libc::SECCOMP_RET_USER_NOTIF
        };
        for call in [84, 262, 263] {
            assert!(asks(HERE, call, 0x200), "{call}");
            assert!(!asks(0x4000_0003, call, 0x200), "{call} of i386");
            assert!(!asks(HERE, call | 0x4000_0000, 0x200), "{call} of x32");
        }
        assert!(asks(HERE, 263, 0x300) && !asks(HERE, 263, 0) && !asks(HERE, 263, 0x200 << 32));
        assert!(asks(HERE, 262, 0x100) && !asks(HERE, 262, 0x1100));
        assert!((0..600).filter(|call| asks(HERE, *call, u64::MAX)).count() == 2);
    }

    #[test]
    fn what_takes_no_path_is_let_pass() {
        let Filter(steps) = Filter::of_lookups().unwrap();
        let asks = |call: libc::c_long, flags: libc::c_int| {
            let number = u32::try_from(call).unwrap();
            verdict(&steps, HERE, number, u64::from(bits(flags))) == libc::SECCOMP_RET_USER_NOTIF
        };
        for call in [libc::SYS_newfstatat, libc::SYS_statx] {
            assert!(asks(call, 0) && asks(call, libc::AT_SYMLINK_NOFOLLOW));
            assert!(!asks(call, libc::AT_EMPTY_PATH));
        }
        for call in [libc::SYS_openat, libc::SYS_execve, libc::SYS_readlinkat, libc::SYS_mkdirat] {
            assert!(asks(call, 0), "{call}");
        }
        for call in [libc::SYS_read, libc::SYS_mmap, libc::SYS_futex, libc::SYS_unlinkat] {
            assert!(!asks(call, 0), "{call}");
        }
    }
}
