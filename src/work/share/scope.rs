//! Whose directories can take each other's place.

use crate::base::digest::{Digest, DigestBuilder};
use crate::base::names::{ProjectName, ToolchainId};
use crate::observe::identity::IdentityRecord;

/// What a directory is shared by: the same project, identity, source path and path of Cargo's home.
///
/// The identity holds the paths already; they are named once more so that a manifest says what it is of.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Scope {
    pub project: ProjectName,
    /// The digest of the identity.
    pub toolchain: ToolchainId,
    /// The source directory, as the compiler sees it.
    pub source: String,
    /// Cargo's home, as the compiler sees it.
    pub cargo_home: String,
}

/// The tag of all snapshots that are larder's.
pub(crate) const OURS: &str = "larder-share";

/// The tag of snapshots with the data of a directory, which nothing but a manifest names.
pub(crate) const DATA: &str = "data";

impl Scope {
    /// The scope of a directory with an identity.
    pub(crate) fn of(project: &ProjectName, identity: &IdentityRecord) -> Self {
        Self {
            project: project.clone(),
            toolchain: identity.id(),
            source: identity.source().to_owned(),
            cargo_home: identity.cargo_home().to_owned(),
        }
    }

    /// The tag by which manifests of the scope are found.
    pub fn tag(&self) -> String {
        let mut builder = DigestBuilder::default();
        builder.field(self.project.as_str().as_bytes()).field(self.toolchain.0.as_bytes());
        builder.field(self.source.as_bytes()).field(self.cargo_home.as_bytes());
        format!("scope-{}", builder.finish())
    }

    /// The tag by which manifests of all commands of the same project, tools and paths are found.
    pub(crate) fn place_tag(project: &ProjectName, place: ToolchainId) -> String {
        let mut builder = DigestBuilder::default();
        builder.field(project.as_str().as_bytes()).field(place.0.as_bytes());
        format!("place-{}", builder.finish())
    }

    /// The tag of all manifests of a project, wherever and with whatever it is built.
    pub fn project_tag(project: &ProjectName) -> String {
        format!("project-{}", Digest::of(project.as_str().as_bytes()))
    }
}
