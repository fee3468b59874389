//! What decides the bytes, its canonical form, and the name that follows from it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Way;
use super::ccache::Ccache;
use super::choices::{CacheKind, Fidelity, PackageMode};
use super::error::CanonicalError;
use super::go::Go;
use super::rust::Rust;
use crate::base::digest::Digest;
use crate::base::names::ToolchainId;

/// What stands between a domain's name, which cannot have it, and the number of one use that is thrown away.
pub(crate) const THROWAWAY: char = '!';

/// Everything that decides the bytes and that Cargo does not track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub format: u32,
    pub salt: String,
    pub way: Way,
    pub fidelity: Fidelity,
    #[serde(default)]
    pub with: BTreeSet<CacheKind>,
    pub source: String,
    pub cargo_home: String,
    pub store: Option<String>,
    pub command: Vec<String>,
    pub rust: Option<Rust>,
    #[serde(default)]
    pub go: Option<Go>,
    #[serde(default)]
    pub ccache: Option<Ccache>,
    pub distribution: String,
    pub package_manager: String,
    pub package_mode: PackageMode,
    pub packages: BTreeMap<String, String>,
    pub tools: BTreeMap<String, Digest>,
    pub libraries: BTreeMap<String, Digest>,
    pub places: BTreeMap<String, Digest>,
    pub named_paths: BTreeMap<String, Digest>,
    pub environment: BTreeMap<String, String>,
    pub cargo_config: BTreeMap<String, Digest>,
    pub cpu: Option<String>,
    /// For whom it is built; empty in the default domain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub domain: String,
}

/// The same in its canonical form, with the name of the directory that follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Inputs", into = "Inputs")]
pub struct Identity {
    inputs: Inputs,
    canonical: Vec<u8>,
    id: ToolchainId,
}

impl TryFrom<Inputs> for Identity {
    type Error = CanonicalError;

    fn try_from(inputs: Inputs) -> Result<Self, CanonicalError> {
        Self::of(inputs)
    }
}

impl From<Identity> for Inputs {
    fn from(identity: Identity) -> Self {
        identity.inputs
    }
}

impl Identity {
    pub(super) fn of(inputs: Inputs) -> Result<Self, CanonicalError> {
        let canonical = serde_json::to_vec(&inputs)?;
        let id = ToolchainId(Digest::of(&canonical));
        Ok(Self { inputs, canonical, id })
    }

    /// The canonical form: JSON, fields in the order in which [`Inputs`] has them, maps sorted by key.
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// The name of the directory that this identity gets: the digest of the canonical form.
    pub fn id(&self) -> ToolchainId {
        self.id
    }

    /// The source directory, as the compiler sees it.
    pub fn source(&self) -> &str {
        &self.inputs.source
    }

    /// Cargo's home, as the compiler sees it.
    pub fn cargo_home(&self) -> &str {
        &self.inputs.cargo_home
    }

    /// The same for no command: what all commands of one place have in common.
    pub fn without_command(&self) -> Result<Self, CanonicalError> {
        Self::of(Inputs { command: Vec::new(), ..self.inputs.clone() })
    }

    /// The same in another domain, as [`Request::domain`](super::Request::domain) names it.
    pub(crate) fn in_domain(&self, domain: &str) -> Result<Self, CanonicalError> {
        Self::of(Inputs { domain: domain.to_owned(), ..self.inputs.clone() })
    }

    /// The words of the command that decide what is built.
    pub fn command(&self) -> &[String] {
        &self.inputs.command
    }

    /// What is attached.
    pub fn with(&self) -> &BTreeSet<CacheKind> {
        &self.inputs.with
    }

    /// Whether it is of one use that is thrown away.
    pub(crate) fn is_throwaway(&self) -> bool {
        self.inputs.domain.contains(THROWAWAY)
    }

    /// Whether builds with it are bit for bit those of a cold one.
    pub fn is_exact(&self) -> bool {
        self.inputs.fidelity == Fidelity::Exact
    }

    /// In words: `rustc 1.85.1 · trixie · 2 flags`.
    pub fn summary(&self) -> String {
        let rust = self.inputs.rust.iter().map(|rust| format!("rustc {}", rust.release()));
        let go = self.inputs.go.iter().map(|go| format!("go {}", go.release()));
        let ccache = self.inputs.ccache.iter().map(|ccache| format!("ccache {}", ccache.version));
        let mut words: Vec<String> = rust.chain(go).chain(ccache).collect();
        if !self.inputs.distribution.is_empty() {
            words.push(self.inputs.distribution.clone());
        }
        let flags = self
            .inputs
            .environment
            .get("RUSTFLAGS")
            .map_or(0, |text| text.split_whitespace().count());
        match flags {
            0 => {}
            1 => words.push("1 flag".to_owned()),
            count => words.push(format!("{count} flags")),
        }
        if self.inputs.fidelity == Fidelity::Cargo {
            words.push("fidelity cargo".to_owned());
        }
        if self.inputs.way == Way::Symlink {
            words.push("symlink".to_owned());
        }
        match self.inputs.domain.split_once(THROWAWAY) {
            Some(("", _)) => words.push("to be discarded".to_owned()),
            Some((domain, _)) => words.push(format!("domain {domain}, to be discarded")),
            None if self.inputs.domain.is_empty() => {}
            None => words.push(format!("domain {}", self.inputs.domain)),
        }
        words.join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a directory of today has it. If this has to change, every directory becomes cold: raise the format.
    const GOLDEN: &str = concat!(
        r#"{"format":5,"salt":"","way":"bind","fidelity":"exact","with":["cargo"],"source":"/work/src","#,
        r#""cargo_home":"/root/.cargo","store":null,"command":["cargo","build"],"rust":null,"go":null,"#,
        r#""ccache":null,"distribution":"trixie","package_manager":"dpkg","package_mode":"build","#,
        r#""packages":{"a":"1","b":"2"},"tools":{},"libraries":{},"places":{},"named_paths":{},"#,
        r#""environment":{"PATH":"/usr/bin"},"cargo_config":{},"cpu":null}"#
    );

    #[test]
    fn the_canonical_form_is_that_of_the_directories_that_are_there() {
        let identity: Identity = serde_json::from_str(GOLDEN).unwrap();
        assert_eq!(String::from_utf8_lossy(identity.canonical()), GOLDEN);
        assert_eq!(identity.id(), ToolchainId(Digest::of(GOLDEN.as_bytes())));
        assert_eq!(serde_json::to_string(&identity).unwrap(), GOLDEN);
        let other = identity.without_command().unwrap();
        assert!(other.command().is_empty() && other.id() != identity.id());
        assert_eq!(other.source(), "/work/src");
    }
}
