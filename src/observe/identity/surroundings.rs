//! What a build needs to know besides its identity.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::cargo_config::CargoConfig;
use super::directories::Directories;
use super::{Environment, Surroundings, environment, shown};

impl Surroundings {
    pub(super) fn new(
        cargo_home: PathBuf,
        directories: Directories,
        config: CargoConfig,
        environment: &Environment,
        others: &Environment,
    ) -> Self {
        let get = |name: &str| environment.get(OsStr::new(name));
        Self {
            cargo_home,
            target: directories.units,
            results: directories.results,
            artifacts: directories.artifacts,
            note: directories.note,
            vendor: config.vendor,
            extra_roots: config.extra_roots,
            source_date_epoch: get("SOURCE_DATE_EPOCH").map(|value| shown(value.as_bytes())),
            variables: environment::named(environment, others),
            home: get("HOME").map(PathBuf::from),
            go: None,
            ccache: None,
        }
    }
}
