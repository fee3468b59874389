//! The toolchains that the attached caches belong to, asked side by side.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::ask::Caller;
use super::cargo_config::CargoConfig;
use super::ccache::{self, Ccache, CcachePlace};
use super::go::{self, Go, GoPlace};
use super::rust::{self, Rust, Versions};
use super::search::Search;
use super::tools;
use super::{Environment, IdentifyError, Looker, Request, libraries};
use crate::base::digest::Digest;
use crate::observe::identity::CacheKind;

/// Questions that are under way.
pub(super) struct Questions {
    rust: Option<rust::RustQuestion>,
    go: Option<go::GoQuestion>,
    ccache: Option<ccache::CcacheQuestion>,
}

/// What the toolchains are.
pub(super) struct Toolchains {
    pub rust: Option<Rust>,
    pub go: Option<(Go, GoPlace)>,
    pub ccache: Option<(Ccache, CcachePlace)>,
    /// Shared libraries that they and the other tools load, by path.
    pub libraries: BTreeMap<String, Digest>,
    /// What rustc and cargo said of themselves, for the next time.
    pub versions: Option<Versions>,
}

impl Questions {
    /// Asks those that are attached.
    pub(super) fn ask(
        request: &Request,
        environment: &Environment,
        config: &CargoConfig,
        search: &Search,
    ) -> Result<Self, IdentifyError> {
        let place = Caller { dir: request.source.clone(), environment: environment.clone() };
        let with = |kept: CacheKind| request.with.contains(&kept);
        let rust = with(CacheKind::Cargo).then(|| rust::ask(request, environment, config, search));
        let go = with(CacheKind::Go).then(|| go::ask(&place, search));
        let ccache = with(CacheKind::Ccache).then(|| ccache::ask(&place, search));
        Ok(Self { rust: rust.transpose()?, go: go.transpose()?, ccache: ccache.transpose()? })
    }

    /// Waits for the answers, and reads the programs as far as they are not known. `found` are the other
    /// tools of the place.
    pub(super) fn observe(
        self,
        request: &Request,
        search: &Search,
        found: &BTreeMap<String, Digest>,
        before: Option<&Versions>,
        looker: &mut Looker<'_>,
    ) -> Result<Toolchains, IdentifyError> {
        let rust = self.rust.map(|rust| rust.observe(looker)).transpose()?;
        let go = self.go.map(|go| go.observe(request, search, looker)).transpose()?;
        let ccache =
            self.ccache.map(|ccache| ccache.judge(request.fidelity, looker)).transpose()?;
        let own = rust.iter().flat_map(|rust| rust.files.keys());
        let programs = found.keys().chain(own).map(PathBuf::from);
        let libraries = libraries::observe(programs.chain(tools::compilers()), looker)?;
        let rust = rust.map(|rust| rust.versions(&libraries, before)).transpose()?;
        let (rust, versions) = rust.unzip();
        Ok(Toolchains { rust, go, ccache, libraries, versions })
    }
}
