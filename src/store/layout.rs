//! Where things are in a store, and whether a directory is one.

#![expect(clippy::disallowed_methods, reason = "makes a store")]

mod paths;

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::fs::{Access, Mode, OFlags};

pub(crate) use self::paths::EntryPaths;

use super::FORMAT;
use super::error::StoreError;
use super::marker::{self, TAG, format_in, format_of};
use super::vacant::{is_vacant, names_in};
use crate::base::names::{ProjectName, ToolchainId};
use crate::base::path_error::{At, PathError};
use crate::base::{atomic, fault, regular};

/// The policy file of a new store: everything at its default, said in comments.
const POLICY: &str = include_str!("larder.toml");

/// Nobody writes a longer one by hand.
pub(super) const LARGEST_POLICY: u64 = 1024 * 1024;

/// What identification saw of a whole toolchain is not a tenth of this.
const LARGEST_OBSERVED: u64 = 128 * 1024 * 1024;

/// The mode of a store of which nobody said otherwise (decision 113).
pub(super) const PRIVATE: u32 = 0o700;

/// A directory that was found to be a store.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    root: PathBuf,
    format: u32,
    /// `larder.toml` as it was when it was first asked for.
    policy: Arc<OnceLock<String>>,
}

impl Store {
    /// The store at a place of which it is known that one is there, or is about to be.
    pub(super) fn at(root: PathBuf, format: u32) -> Self {
        Self { root, format, policy: Arc::default() }
    }

    /// Opens a store to look at it, whatever its format.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let root = match fs::canonicalize(path) {
            Ok(root) => root,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Missing(path.to_owned()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(StoreError::NotADirectory(path.to_owned()));
            }
            Err(error) => return Err(PathError::new("open", path, error).into()),
        };
        if !root.is_dir() {
            return Err(StoreError::NotADirectory(root));
        }
        match format_of(&root)? {
            Some(format) => Ok(Self::at(root, format)),
            None => Err(StoreError::NotAStore(root)),
        }
    }

    /// Opens a store to change it: it must be the user's own, writable, and of a known format.
    pub(crate) fn open_writable(path: &Path) -> Result<Self, StoreError> {
        let store = Self::open(path)?;
        if store.format > FORMAT {
            return Err(StoreError::Newer { path: store.root, format: store.format });
        }
        store.check_owner()?;
        rustix::fs::access(&store.root, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
            StoreError::ReadOnly { path: store.root.clone(), source: error.into() }
        })?;
        if store.format == FORMAT {
            return Ok(store);
        }
        // What an older larder recorded is not understood, and set aside where it is come across; it may hold values
        // that are nobody's business, and larder made it open to everybody.
        fault::point("store.take-over");
        let private = Permissions::from_mode(PRIVATE);
        fs::set_permissions(&store.root, private).at("change the mode of", &store.root)?;
        store.write_tag()?;
        Ok(Self { format: FORMAT, ..store })
    }

    /// Makes a store at `path`, or completes the one that is there, and opens it.
    pub(crate) fn create(path: &Path) -> Result<Self, StoreError> {
        match Self::open_writable(path) {
            Err(StoreError::Missing(_)) => make_root(path)?,
            Err(StoreError::NotAStore(root)) if !is_vacant(&root)? => {
                return Err(StoreError::Occupied(root));
            }
            Err(StoreError::NotAStore(_)) | Ok(_) => {}
            Err(error) => return Err(error),
        }
        let root = fs::canonicalize(path).at("open", path)?;
        for dir in ["bin", "cargo-home", "observed", "projects", "trash"] {
            make_dir(&root.join(dir))?;
        }
        if !root.join("larder.toml").exists() {
            atomic::write(&root.join("larder.toml"), POLICY.as_bytes(), 0o644)?;
        }
        if format_of(&root)?.is_none() {
            Self::at(root, FORMAT).write_tag()?;
        }
        Self::open_writable(path)
    }

    fn write_tag(&self) -> Result<(), StoreError> {
        let tag = marker::text(FORMAT);
        Ok(atomic::write(&self.root.join(TAG), tag.as_bytes(), 0o644)?)
    }

    /// The store's own directory, with every symlink resolved.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The format's number as the store says it.
    pub(crate) fn format(&self) -> u32 {
        self.format
    }

    /// `larder.toml`
    pub(crate) fn policy(&self) -> PathBuf {
        self.root.join("larder.toml")
    }

    /// The text of `larder.toml`, nothing where there is none: read once, so that all of a run follows one policy.
    pub(crate) fn policy_text(&self) -> io::Result<&str> {
        if let Some(text) = self.policy.get() {
            return Ok(text);
        }
        let text = match regular::read_own(&self.policy(), LARGEST_POLICY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            other => String::from_utf8(other?).map_err(|_| {
                let why = "it is no UTF-8 text; write it as that";
                io::Error::new(io::ErrorKind::InvalidData, why)
            })?,
        };
        Ok(self.policy.get_or_init(|| text))
    }

    /// `bin/larder`
    pub(crate) fn binary(&self) -> PathBuf {
        self.root.join("bin/larder")
    }

    /// `larder.sh`: the function that build scripts source.
    pub(crate) fn snippet(&self) -> PathBuf {
        self.root.join("larder.sh")
    }

    /// `observed/<project>`: the stat cache of identification. A project that has none begins with
    /// that of another: the toolchain is mostly the same.
    pub(crate) fn seed_observed(&self, project: &ProjectName) -> PathBuf {
        let dir = self.root.join("observed");
        let own = dir.join(project.as_str());
        if !own.exists() {
            let others = fs::read_dir(&dir).into_iter().flatten().flatten();
            let dated = others
                .filter_map(|other| Some((other.metadata().ok()?.modified().ok()?, other.path())));
            if let Some((_, newest)) = dated.max() {
                // Only a cache: without it the first identification takes longer.
                fault::point("store.seed");
                let bytes = regular::read_own(&newest, LARGEST_OBSERVED);
                let _ = bytes.map(|bytes| atomic::write(&own, &bytes, 0o644));
            }
        }
        own
    }

    /// `lock`: shared by all who work in the store.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// `cargo-home/`
    pub(crate) fn cargo_home(&self) -> PathBuf {
        self.root.join("cargo-home")
    }

    /// `trash/`
    pub(crate) fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// `projects/<project>/`
    pub(crate) fn project(&self, project: &ProjectName) -> PathBuf {
        self.root.join("projects").join(project.as_str())
    }

    /// The paths of one target directory.
    pub(crate) fn entry(&self, project: &ProjectName, id: ToolchainId) -> EntryPaths {
        let dir = self.project(project).join(id.to_string());
        EntryPaths { dir }
    }

    /// Makes a directory of the store's own.
    pub(crate) fn make_inner(&self, name: &str) -> Result<PathBuf, StoreError> {
        let dir = self.root.join(name);
        make_dir(&dir)?;
        Ok(dir)
    }

    /// Makes the directory of a project.
    pub(crate) fn make_project(&self, project: &ProjectName) -> Result<PathBuf, StoreError> {
        let dir = self.project(project);
        make_dir(&dir)?;
        Ok(dir)
    }

    /// All projects that have a directory, by name.
    pub(crate) fn projects(&self) -> Result<Vec<ProjectName>, StoreError> {
        let names = names_in(&self.root.join("projects"))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Opens the store's own directory, if it still is a store, and the user's own: whoever deletes
    /// asks at the moment, and reaches all from this descriptor.
    pub(crate) fn reopen(&self) -> Result<OwnedFd, StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = rustix::fs::open(&self.root, flags, Mode::empty()).at("open", &self.root)?;
        let owner = rustix::fs::fstat(&root).at("read", &self.root)?.st_uid;
        self.compare_owner(owner)?;
        let text = regular::open_own_in(&root, TAG)
            .and_then(|tag| regular::read_open(&tag, marker::LONGEST));
        let text = match text {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) if regular::is_odd(&error) => Vec::new(),
            Err(error) => return Err(PathError::new("read", &self.root, error).into()),
        };
        match format_in(&String::from_utf8_lossy(&text)) {
            Some(format) if format <= FORMAT => Ok(root),
            Some(format) => Err(StoreError::Newer { path: self.root.clone(), format }),
            None => Err(StoreError::NotAStore(self.root.clone())),
        }
    }

    fn check_owner(&self) -> Result<(), StoreError> {
        let metadata = fs::metadata(&self.root).at("read", &self.root)?;
        self.compare_owner(metadata.uid())
    }

    fn compare_owner(&self, owner: u32) -> Result<(), StoreError> {
        let user = rustix::process::geteuid().as_raw();
        if owner == user {
            Ok(())
        } else {
            Err(StoreError::Foreign { path: self.root.clone(), owner, user })
        }
    }
}

/// Makes the directory of a store, for its owner alone. Whoever wants others to read it gives it another mode, or makes it
/// beforehand.
fn make_root(path: &Path) -> Result<(), StoreError> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_shown(parent)?;
    }
    fault::point("store.make");
    made(path, fs::DirBuilder::new().recursive(true).mode(PRIVATE).create(path))
}

/// Makes a directory, and those above it, as programs do.
fn make_shown(path: &Path) -> Result<(), StoreError> {
    fault::point("store.make");
    made(path, fs::create_dir_all(path))
}

fn make_dir(path: &Path) -> Result<(), StoreError> {
    made(path, atomic::make_inner(path))
}

fn made(path: &Path, made: io::Result<()>) -> Result<(), StoreError> {
    made.map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            StoreError::NotADirectory(path.to_owned())
        }
        _ => PathError::new("make", path, error).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_store_opens_and_making_it_again_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/store");
        assert!(matches!(Store::open(&path), Err(StoreError::Missing(_))));
        Store::create(&path).unwrap();
        fs::write(path.join("larder.toml"), "salt = \"x\"\n").unwrap();
        let again = Store::create(&path).unwrap();
        assert_eq!(again.format(), FORMAT);
        assert_eq!(fs::read_to_string(again.policy()).unwrap(), "salt = \"x\"\n");
    }

    #[test]
    fn no_store_is_made_in_somebody_elses_directory() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("photo.jpg"), "").unwrap();
        assert!(matches!(Store::create(dir.path()), Err(StoreError::Occupied(_))));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let file = dir.path().join("photo.jpg");
        assert!(matches!(Store::create(&file), Err(StoreError::NotADirectory(_))));
        let below = file.join("store");
        assert!(matches!(Store::create(&below), Err(StoreError::NotADirectory(_))));
    }

    #[test]
    fn an_older_store_is_taken_over_by_who_writes_and_by_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        Store::create(dir.path()).unwrap();
        let older = marker::text(FORMAT - 1);
        fs::write(dir.path().join(TAG), &older).unwrap();
        assert_eq!(Store::open(dir.path()).unwrap().format(), FORMAT - 1);
        assert_eq!(fs::read_to_string(dir.path().join(TAG)).unwrap(), older);
        assert_eq!(Store::open_writable(dir.path()).unwrap().format(), FORMAT);
        assert_eq!(fs::read_to_string(dir.path().join(TAG)).unwrap(), marker::text(FORMAT));
    }

    #[test]
    fn a_newer_store_can_be_looked_at_but_not_used() {
        let dir = tempfile::tempdir().unwrap();
        Store::create(dir.path()).unwrap();
        let newer = FORMAT + 1;
        fs::write(dir.path().join(TAG), marker::text(newer)).unwrap();
        assert_eq!(Store::open(dir.path()).unwrap().format(), newer);
        let refused = Store::open_writable(dir.path());
        assert!(matches!(refused, Err(StoreError::Newer { format, .. }) if format == newer));
    }
}
