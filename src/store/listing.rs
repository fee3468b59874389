//! What is in a store, by names and small records; taken without a lock, because every record is
//! replaced in one step.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rayon::prelude::*;
use rustix::fs::{Mode, OFlags};

use super::FORMAT;
use super::entry::EntryRecord;
use super::error::StoreError;
use super::layout::{EntryPaths, Store};
use super::lock::{self, Lock};
use crate::base::atomic::{self, RecordError};
use crate::base::names::{ProjectName, ToolchainId};
use crate::base::path_error::{At, PathError};
use crate::base::tree::Stamp;
use crate::observe::identity::{IdentityRecord, differences};

/// A target directory as its record shows it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub project: ProjectName,
    pub toolchain: ToolchainId,
    /// The record, or what is wrong with it.
    pub record: Result<EntryRecord, String>,
    /// Whether it is not to be collected.
    pub pinned: bool,
    /// Whether something of a command may run that nobody has the lock for.
    pub may_live: bool,
}

/// The names that a project's directory holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub directories: Vec<ToolchainId>,
    /// Lock files and signs of life, also of directories that are gone.
    pub locks: Vec<ToolchainId>,
    /// Signs of life.
    pub alive: Vec<ToolchainId>,
    pub pins: Vec<ToolchainId>,
    /// What was being pulled.
    pub pulls: Vec<ToolchainId>,
    /// What was being pushed.
    pub pushes: Vec<ToolchainId>,
    /// Copies of sources, of verifications.
    pub copies: Vec<ToolchainId>,
    /// Whatever else is there: what a write that was cut off left.
    pub others: Vec<String>,
}

/// So many directories are looked through for the nearest.
const LATELY: usize = 16;

impl Store {
    /// The names in a project's directory.
    pub(crate) fn names(&self, project: &ProjectName) -> Result<Names, StoreError> {
        let dir = self.project(project);
        let mut names = Names::default();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            // It is none of larder's, if there is anything.
            Err(error) if is_no_directory(&error) => return Ok(names),
            Err(error) => return Err(PathError::new("read", &dir, error).into()),
        };
        for entry in entries {
            let entry = entry.at("read", &dir)?;
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let name = entry.file_name().into_string();
            names.add(name.unwrap_or_else(|name| name.to_string_lossy().into_owned()), is_dir);
        }
        names.directories.sort();
        Ok(names)
    }

    /// All directories of a project as their records show them.
    pub(crate) fn rows(&self, project: &ProjectName) -> Result<Vec<Row>, StoreError> {
        self.map_rows(project, &|row| row)
    }

    /// What becomes of each directory of a project; the whole of its record is let go at once.
    fn map_rows<T: Send>(
        &self,
        project: &ProjectName,
        map: &(impl Fn(Row) -> T + Sync),
    ) -> Result<Vec<T>, StoreError> {
        let names = self.names(project)?;
        let dir = self.project_fd(project);
        let row = |id: &ToolchainId| Row {
            project: project.clone(),
            toolchain: *id,
            record: self.record_in(dir.as_ref(), project, *id),
            pinned: names.pins.contains(id),
            may_live: names.alive.contains(id),
        };
        Ok(names.directories.par_iter().map(|id| map(row(id))).collect())
    }

    /// Who uses each of the directories now, in words; nothing where it is free.
    pub(crate) fn users(&self, rows: &[Row]) -> Vec<Option<String>> {
        if rows.iter().all(|row| !row.may_live) && lock::is_free(&self.lock()) {
            // Nobody works in the store at all (decision 44).
            return vec![None; rows.len()];
        }
        let of_project: Vec<&[Row]> = rows.chunk_by(|a, b| a.project == b.project).collect();
        let users = of_project.into_par_iter().flat_map_iter(|rows| {
            let dir = rows.first().and_then(|row| self.project_fd(&row.project));
            rows.iter().map(move |row| match &dir {
                Some(dir)
                    if !row.may_live
                        && lock::is_free_in(dir, &format!("{}.lock", row.toolchain)) =>
                {
                    None
                }
                _ => row.in_use_by(self),
            })
        });
        users.collect()
    }

    fn project_fd(&self, project: &ProjectName) -> Option<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(self.project(project), flags, Mode::empty()).ok()
    }

    /// All directories of all projects as their records show them.
    pub(crate) fn all_rows(&self) -> Result<Vec<Row>, StoreError> {
        self.map_all_rows(|row| row)
    }

    /// What becomes of each directory of all projects.
    pub(crate) fn map_all_rows<T: Send>(
        &self,
        map: impl Fn(Row) -> T + Sync,
    ) -> Result<Vec<T>, StoreError> {
        let projects = self.projects()?;
        let of_each = projects.par_iter().map(|project| self.map_rows(project, &map));
        let of_all: Result<Vec<Vec<T>>, StoreError> = of_each.collect();
        Ok(of_all?.into_iter().flatten().collect())
    }

    /// One directory as its record shows it.
    pub(crate) fn row(&self, project: &ProjectName, toolchain: ToolchainId, pinned: bool) -> Row {
        let paths = self.entry(project, toolchain);
        let may_live = fs::symlink_metadata(paths.alive()).is_ok();
        Row { project: project.clone(), toolchain, record: record(&paths), pinned, may_live }
    }

    /// The record of one directory of many, with as few system calls as can be.
    fn record_in(
        &self,
        dir: Option<&OwnedFd>,
        project: &ProjectName,
        id: ToolchainId,
    ) -> Result<EntryRecord, String> {
        let read = |dir| atomic::read_small_json::<EntryRecord>(dir, &format!("{id}/entry.json"));
        match dir.and_then(read) {
            Some(record)
                if record.project == *project
                    && record.toolchain == id
                    && record.format == FORMAT
                    // Before the first use, `target/` may not have been made yet.
                    && record.last.is_some() =>
            {
                Ok(record)
            }
            // Whatever is not as it should be is looked at once more, to say what is wrong.
            _ => record(&self.entry(project, id)),
        }
    }

    /// The directory of the project that differs least from one, and its identity: what a new one is compared with. Of
    /// those that were used lately, and of several the one that was used last.
    pub(crate) fn nearest_sibling(
        &self,
        project: &ProjectName,
        identity: &IdentityRecord,
    ) -> Option<(ToolchainId, IdentityRecord)> {
        let lately = self.lately(project, identity.id()).into_iter();
        let known = lately.filter_map(|id| Some((id, self.identity(project, id)?)));
        known.min_by_key(|(_, other)| differences(other, identity).len())
    }

    /// The directories of the project that were used lately, the last one first, without one. Of each is looked only
    /// when its record was written.
    pub(crate) fn lately(&self, project: &ProjectName, without: ToolchainId) -> Vec<ToolchainId> {
        let all = self.names(project).unwrap_or_default().directories;
        let written = |id: &ToolchainId| {
            let record = fs::symlink_metadata(self.entry(project, *id).record()).ok()?;
            Some((Stamp::of(&record).mtime, *id))
        };
        let others = all.par_iter().filter(|id| **id != without);
        let mut others: Vec<_> = others.filter_map(written).collect();
        others.sort_by_key(|(written, _)| std::cmp::Reverse(*written));
        others.into_iter().take(LATELY).map(|(_, id)| id).collect()
    }

    /// What a directory was compiled with, where its record can be read.
    pub(crate) fn identity(
        &self,
        project: &ProjectName,
        id: ToolchainId,
    ) -> Option<IdentityRecord> {
        atomic::read_json(&self.entry(project, id).identity()).ok().flatten()
    }
}

fn is_no_directory(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

impl Names {
    fn add(&mut self, name: String, is_dir: bool) {
        let id = |ending: &str| name.strip_suffix(ending)?.parse().ok();
        if let Some(id) = id("").filter(|_| is_dir) {
            self.directories.push(id);
        } else if let Some(id) = id(".lock").filter(|_| !is_dir) {
            self.locks.push(id);
        } else if let Some(id) = id(".alive").filter(|_| !is_dir) {
            self.locks.push(id);
            self.alive.push(id);
        } else if let Some(id) = id(".pin").filter(|_| !is_dir) {
            self.pins.push(id);
        } else if let Some(id) = id(".pull").filter(|_| is_dir) {
            self.pulls.push(id);
        } else if let Some(id) = id(".push").filter(|_| is_dir) {
            self.pushes.push(id);
        } else if let Some(id) = id(".cold").filter(|_| is_dir) {
            self.copies.push(id);
        } else {
            self.others.push(name);
        }
    }
}

impl Row {
    /// Who uses the directory now, in words.
    pub(crate) fn in_use_by(&self, store: &Store) -> Option<String> {
        let lock = format!("{}.lock", self.toolchain);
        Lock::holder(&store.project(&self.project).join(lock))
    }
}

/// The record of a directory, or why a build may not use the directory; without looking at more than
/// the record and the name `target`.
pub(super) fn record(paths: &EntryPaths) -> Result<EntryRecord, String> {
    match atomic::read_json::<EntryRecord>(&paths.record()) {
        Ok(Some(record)) if !record.belongs_to(paths) => {
            Err("its entry.json is of another directory".to_owned())
        }
        Ok(Some(record)) if record.format != FORMAT => {
            Err("another version of larder made it".to_owned())
        }
        Ok(Some(_)) if !fs::symlink_metadata(paths.target()).is_ok_and(|it| it.is_dir()) => {
            Err("its target directory is gone".to_owned())
        }
        Ok(Some(record)) => Ok(record),
        Ok(None) => Err("it has no entry.json".to_owned()),
        Err(RecordError::Damaged { .. }) => Err("its entry.json is damaged".to_owned()),
        Err(error) => Err(crate::output::one_line(&error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Digest;
    use crate::store::Wait;

    #[test]
    fn a_record_of_another_format_sets_its_directory_aside() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("store")).unwrap();
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats/entry.json");
        let golden = fs::read_to_string(golden).unwrap();
        let project: ProjectName = "rye".parse().unwrap();
        let paths = store.entry(&project, ToolchainId(Digest::of(b"x")));
        fs::create_dir_all(paths.target()).unwrap();
        let with_format = |format: u32| {
            let (now, then) = (format!("\"format\": {FORMAT}"), format!("\"format\": {format}"));
            fs::write(paths.record(), golden.replacen(&now, &then, 1)).unwrap();
            let rows = store.rows(&project).unwrap();
            let both = [record(&paths), rows[0].record.clone()];
            both.map(|record| record.map(|record| record.uses))
        };
        assert_eq!(with_format(FORMAT), [const { Ok(2) }; 2]);
        for other in [FORMAT - 1, FORMAT + 1] {
            let why = "another version of larder made it".to_owned();
            assert_eq!(with_format(other), [Err(why.clone()), Err(why)]);
        }
        fs::write(paths.record(), "{\"format\": 2}").unwrap();
        assert_eq!(record(&paths).unwrap_err(), "its entry.json is damaged");
    }

    #[test]
    fn an_identity_of_another_format_is_compared_with_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("store")).unwrap();
        let (project, id): (ProjectName, _) =
            ("rye".parse().unwrap(), ToolchainId(Digest::of(b"x")));
        let paths = store.entry(&project, id);
        fs::create_dir_all(&paths.dir).unwrap();
        assert!(store.identity(&project, id).is_none());
        fs::write(paths.identity(), "{\"format\":99,\"flour\":\"rye\"}").unwrap();
        assert!(store.identity(&project, id).is_none());
    }

    #[test]
    fn who_uses_a_directory_is_known_whoever_else_works_in_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("store")).unwrap();
        let id = |number: u8| ToolchainId(Digest::of(&[number]));
        for name in ["rye", "oat"] {
            let project: ProjectName = name.parse().unwrap();
            store.make_project(&project).unwrap();
            for number in [1, 2] {
                let paths = store.entry(&project, id(number));
                fs::create_dir(&paths.dir).unwrap();
                fs::write(paths.lock(), "").unwrap();
            }
        }
        let rows = store.all_rows().unwrap();
        assert_eq!(rows.len(), 4);
        assert_eq!(store.users(&rows), [const { None }; 4]);
        let guard = store.hold(Wait::default(), |_| {}).unwrap();
        assert_eq!(store.users(&rows), [const { None }; 4]);
        let busy = store.entry(&"oat".parse().unwrap(), id(2)).lock();
        let lock = Lock::acquire(&busy, "image one", Wait::default(), |_| {}).unwrap();
        for (row, user) in rows.iter().zip(store.users(&rows)) {
            let is_busy = row.project.as_str() == "oat" && row.toolchain == id(2);
            assert_eq!(user.is_some_and(|user| user.starts_with("image one")), is_busy);
        }
        drop((lock, guard));
        assert_eq!(store.users(&rows), [const { None }; 4]);
    }
}
