//! The only mount system calls.
//!
//! Mounts are made by the command's own process, between `fork` and `exec`, in a mount namespace
//! of its own: they are seen by the command and what it starts, by nobody else, and die with
//! them however they die. Where the right to mount is missing, the process first enters a user
//! namespace in which it stays the same user; a plain user can do this on most hosts (decision 8).
//!
//! Nothing here allocates after the fork: all strings are made beforehand.

#![expect(clippy::disallowed_methods, reason = "mounts, and starts trials of whether it could")]

use std::ffi::{CStr, CString, OsStr};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;
use rustix::thread::UnshareFlags;

use crate::base::fault::point_after_fork;

/// Bind mounts to be made for one command.
#[derive(Debug)]
pub(crate) struct Mounts {
    binds: Vec<Bind>,
    /// What is to be read and not written.
    fixed: Vec<CString>,
    here: Option<CString>,
    user_map: CString,
    group_map: CString,
}

#[derive(Debug)]
struct Bind {
    source: CString,
    place: CString,
    /// Whether what is mounted inside of the source comes along.
    whole: bool,
}

/// Why the target directory cannot be bind-mounted here.
#[derive(Debug)]
pub(crate) struct CannotMount(io::Error);

impl fmt::Display for CannotMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mounting is not possible here: {}", self.0)
    }
}

impl Default for Mounts {
    fn default() -> Self {
        let own = |id: u32| CString::new(format!("{id} {id} 1")).unwrap_or_default();
        Self {
            binds: Vec::new(),
            fixed: Vec::new(),
            here: None,
            user_map: own(rustix::process::geteuid().as_raw()),
            group_map: own(rustix::process::getegid().as_raw()),
        }
    }
}

impl Mounts {
    /// Adds a bind of `source` on `place`; both must exist when the command starts.
    pub(crate) fn bind(&mut self, source: &Path, place: &Path) -> io::Result<()> {
        self.add(source, place, false)
    }

    /// The same, with everything that is mounted inside of `source` by then.
    pub(crate) fn bind_whole(&mut self, source: &Path, place: &Path) -> io::Result<()> {
        self.add(source, place, true)
    }

    fn add(&mut self, source: &Path, place: &Path, whole: bool) -> io::Result<()> {
        let text = |path: &Path| CString::new(path.as_os_str().as_bytes());
        self.binds.push(Bind { source: text(source)?, place: text(place)?, whole });
        Ok(())
    }

    /// Has the command read a file or a directory and not write it, where the kernel can do that.
    pub(crate) fn fix(&mut self, path: &Path) -> io::Result<()> {
        self.fixed.push(CString::new(path.as_os_str().as_bytes())?);
        Ok(())
    }

    /// Whether there is nothing to mount.
    pub(crate) fn is_empty(&self) -> bool {
        self.binds.is_empty()
    }

    /// What is to be mounted.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Path> {
        self.binds.iter().map(|bind| Path::new(OsStr::from_bytes(bind.source.to_bytes())))
    }

    /// Has the command start in a directory, as it is under its path when everything is mounted.
    pub(crate) fn start_in(&mut self, dir: &Path) -> io::Result<()> {
        self.here = Some(CString::new(dir.as_os_str().as_bytes())?);
        Ok(())
    }

    /// The places that something is mounted on.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Path> {
        self.binds.iter().map(|bind| Path::new(OsStr::from_bytes(bind.place.to_bytes())))
    }

    /// Makes the mounts in a namespace of the calling process alone.
    ///
    /// To be called between `fork` and `exec`: it allocates nothing and takes no lock.
    pub(crate) fn enter(&self) -> io::Result<()> {
        if self.binds.is_empty() && self.fixed.is_empty() {
            return Ok(());
        }
        point_after_fork("attach.unshare");
        match unshare(UnshareFlags::NEWNS) {
            Err(Errno::PERM) => self.enter_user_namespace()?,
            other => other?,
        }
        // Mounts of the host still arrive here; ours do not arrive there.
        let downstream = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        rustix::mount::mount_change(c"/", downstream)?;
        for bind in &self.binds {
            point_after_fork("attach.mount");
            bind.make()?;
        }
        for place in &self.fixed {
            // Somebody may have removed it meanwhile; and what cannot be fixed, doctor says.
            let _ = fix(place);
        }
        // The directory that it was started in is the one below the mounts.
        if let Some(here) = &self.here {
            rustix::process::chdir(here.as_c_str())?;
        }
        Ok(())
    }

    /// The user and the group stay who they are; nobody else has a name inside.
    fn enter_user_namespace(&self) -> Result<(), Errno> {
        unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)?;
        write(c"/proc/self/setgroups", c"deny")?;
        write(c"/proc/self/uid_map", &self.user_map)?;
        write(c"/proc/self/gid_map", &self.group_map)
    }
}

impl Bind {
    fn make(&self) -> Result<(), Errno> {
        let (source, place) = (self.source.as_c_str(), self.place.as_c_str());
        if self.whole {
            rustix::mount::mount_bind_recursive(source, place)
        } else {
            rustix::mount::mount_bind(source, place)
        }
    }
}

/// Mounts a path on itself, to be read and not written. What else a mount has stays: some of it may not be taken from
/// one that was made outside of a user namespace (`mount_setattr(2)`, since Linux 5.12).
fn fix(place: &CStr) -> io::Result<()> {
    // `struct mount_attr`: what is set, what is cleared, propagation, a user namespace.
    let attributes: [u64; 4] = [libc::MOUNT_ATTR_RDONLY, 0, 0, 0];
    rustix::mount::mount_bind(place, place)?;
    // SAFETY: the path ends with a zero, and the kernel reads as many bytes as the structure has.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            place.as_ptr(),
            0,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Finds out, in a process that ends at once, whether `dir` could be kept from being written.
pub(crate) fn try_to_fix(dir: &Path) -> io::Result<()> {
    let place = CString::new(dir.as_os_str().as_bytes())?;
    try_mount_and(dir, move || fix(&place))
}

/// Finds out, in a process that ends at once, whether `dir` could be bind-mounted.
pub(crate) fn try_mount(dir: &Path) -> Result<(), CannotMount> {
    try_mount_and(dir, || Ok(())).map_err(CannotMount)
}

/// The same, and whether then `more` can be done, which may neither allocate nor lock.
pub(crate) fn try_mount_and(
    dir: &Path,
    more: impl Fn() -> io::Result<()> + Send + Sync + 'static,
) -> io::Result<()> {
    let mut mounts = Mounts::default();
    mounts.bind(dir, dir)?;
    let mut trial = Command::new("/proc/self/exe");
    trial.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: `enter` makes system calls only, and so does `more`; neither allocates nor locks.
    unsafe { trial.pre_exec(move || mounts.enter().and_then(|()| more())) };
    trial.spawn().and_then(|mut child| child.wait()).map(|_| ())
}

/// Finds out, in a process that ends at once, whether a user namespace can be made.
pub(crate) fn try_user_namespace() -> io::Result<()> {
    let mut trial = Command::new("/proc/self/exe");
    trial.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let enter = || Ok(unshare(UnshareFlags::NEWUSER)?);
    // SAFETY: one system call, which neither allocates nor locks.
    unsafe { trial.pre_exec(enter) };
    trial.spawn().and_then(|mut child| child.wait()).map(drop)
}

fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: only called in the single-threaded child of a fork, which shares no file
    // descriptor table that another thread could rely on.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

fn write(path: &CStr, text: &CStr) -> Result<(), Errno> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(file, text.to_bytes()).map(|_| ())
}
