//! The inventory and its compressed file format.

use std::fs;
use std::io;
use std::path::Path;

use indexmap::IndexMap;
use label::Label;
use serde::{Deserialize, Serialize};
use thiserror::Error;

include!(concat!(env!("OUT_DIR"), "/units.rs"));

/// The package's version, and the commit it was built from as git describes it.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("PANTRY_COMMIT"), ")");

const COMPRESSION_LEVEL: i32 = 9;

#[derive(Debug, Error)]
pub enum Error {
    #[error("unit {0:?} is not known")]
    Unit(String),
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error("not an inventory: {0}")]
    Format(#[from] serde_json::Error),
}

/// What stands on the shelf, in the order in which it was put there.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shelf {
    jars: IndexMap<String, Jar>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jar {
    pub label: Label,
    pub pieces: u64,
}

impl Shelf {
    /// Adds `count` of `unit` (such as 2 of "dozen").
    ///
    /// # Errors
    /// When the unit is not in the table.
    pub fn put(&mut self, label: Label, count: u64, unit: &str) -> Result<(), Error> {
        let pieces = count * base_units(unit).ok_or_else(|| Error::Unit(unit.to_owned()))?;
        let jar = self
            .jars
            .entry(label.name.clone())
            .or_insert(Jar { label, pieces: 0 });
        jar.pieces += pieces;
        Ok(())
    }

    pub fn jars(&self) -> impl Iterator<Item = &Jar> {
        self.jars.values()
    }

    /// # Errors
    /// When the file cannot be read or is no inventory.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let read = || zstd::decode_all(fs::File::open(path)?);
        let json = read().map_err(|source| at(path, source))?;
        Ok(serde_json::from_slice(&json)?)
    }

    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let json = serde_json::to_vec(self)?;
        let write = || fs::write(path, zstd::encode_all(&json[..], COMPRESSION_LEVEL)?);
        write().map_err(|source| at(path, source))
    }
}

fn at(path: &Path, source: io::Error) -> Error {
    Error::File {
        path: path.display().to_string(),
        source,
    }
}
