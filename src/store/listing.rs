//! What is in a store, by names and small records; taken without a lock, because every record is
//! replaced in one step.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rayon::prelude::*;
use rustix::fs::{Mode, OFlags};

use super::atomic;
use super::entry::EntryRecord;
use super::layout::{EntryPaths, FORMAT, Store, StoreError};
use super::lock::Lock;
use crate::identity::Identity;
use crate::names::{ProjectName, ToolchainId};

/// A target directory as its record shows it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The project.
    pub project: ProjectName,
    /// The directory's name.
    pub toolchain: ToolchainId,
    /// The record, or what is wrong with it.
    pub record: Result<EntryRecord, String>,
    /// Whether it is not to be collected.
    pub pinned: bool,
}

/// The names that a project's directory holds.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Target directories.
    pub directories: Vec<ToolchainId>,
    /// Lock files, also of directories that are gone.
    pub locks: Vec<ToolchainId>,
    /// Pins.
    pub pins: Vec<ToolchainId>,
    /// Whatever else is there: what a write that was cut off left.
    pub others: Vec<String>,
}

impl Store {
    /// The names in a project's directory.
    pub fn names(&self, project: &ProjectName) -> Result<Names, StoreError> {
        let dir = self.project(project);
        let mut names = Names::default();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
            Err(error) => return Err(StoreError::io("read", &dir)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(StoreError::io("read", &dir))?;
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let name = entry.file_name().to_string_lossy().into_owned();
            names.add(name, is_dir);
        }
        names.directories.sort();
        Ok(names)
    }

    /// All directories of a project as their records show them.
    pub fn rows(&self, project: &ProjectName) -> Result<Vec<Row>, StoreError> {
        let names = self.names(project)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(self.project(project), flags, Mode::empty()).ok();
        let row = |id: &ToolchainId| Row {
            project: project.clone(),
            toolchain: *id,
            record: self.record_in(dir.as_ref(), project, *id),
            pinned: names.pins.contains(id),
        };
        Ok(names.directories.par_iter().map(row).collect())
    }

    /// All directories of all projects as their records show them.
    pub fn all_rows(&self) -> Result<Vec<Row>, StoreError> {
        let projects = self.projects()?;
        let rows: Result<Vec<Vec<Row>>, StoreError> =
            projects.par_iter().map(|project| self.rows(project)).collect();
        Ok(rows?.into_iter().flatten().collect())
    }

    /// One directory as its record shows it.
    pub fn row(&self, project: &ProjectName, toolchain: ToolchainId, pinned: bool) -> Row {
        let record = record(&self.entry(project, toolchain));
        Row { project: project.clone(), toolchain, record, pinned }
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

    /// The identity of the directory of the project that was used last, other than `id`: what a new
    /// one is compared with.
    pub fn latest_sibling(&self, project: &ProjectName, id: ToolchainId) -> Option<Identity> {
        let rows = self.rows(project).ok()?;
        let others = rows.into_iter().filter(|row| row.toolchain != id);
        let last = others.filter_map(|row| row.record.ok()).max_by_key(EntryRecord::last_use)?;
        self.identity(project, last.toolchain)
    }

    /// What a directory was compiled with, where its record can be read.
    pub fn identity(&self, project: &ProjectName, id: ToolchainId) -> Option<Identity> {
        atomic::read_json(&self.entry(project, id).identity).ok().flatten()
    }
}

impl Names {
    fn add(&mut self, name: String, is_dir: bool) {
        let id = |ending: &str| name.strip_suffix(ending).and_then(|name| name.parse().ok());
        if let Some(id) = id("").filter(|_| is_dir) {
            self.directories.push(id);
        } else if let Some(id) = id(".lock").filter(|_| !is_dir) {
            self.locks.push(id);
        } else if let Some(id) = id(".pin").filter(|_| !is_dir) {
            self.pins.push(id);
        } else {
            self.others.push(name);
        }
    }
}

impl Row {
    /// Who uses the directory now, in words.
    pub fn in_use_by(&self, store: &Store) -> Option<String> {
        let lock = format!("{}.lock", self.toolchain);
        Lock::holder(&store.project(&self.project).join(lock))
    }
}

/// The record of a directory, or why a build may not use the directory; without looking at more than
/// the record and the name `target`.
pub(super) fn record(paths: &EntryPaths) -> Result<EntryRecord, String> {
    match atomic::read_json::<EntryRecord>(&paths.record) {
        Ok(Some(record)) if !record.belongs_to(paths) => {
            Err("its entry.json is of another directory".to_owned())
        }
        Ok(Some(record)) if record.format != FORMAT => {
            Err("another version of larder made it".to_owned())
        }
        Ok(Some(_)) if !fs::symlink_metadata(&paths.target).is_ok_and(|it| it.is_dir()) => {
            Err("its target directory is gone".to_owned())
        }
        Ok(Some(record)) => Ok(record),
        Ok(None) => Err("it has no entry.json".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
