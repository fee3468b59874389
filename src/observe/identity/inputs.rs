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

/// The same as it is, with the name of the directory that follows from its canonical form: JSON, fields in the order in
/// which [`Inputs`] has them, maps sorted by key. It is in memory only; what is kept of it is a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Inputs", into = "Inputs")]
pub(crate) struct Identity {
    inputs: Inputs,
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
        Ok(Self { inputs, id })
    }

    /// The name of the directory that this identity gets: the digest of the canonical form.
    pub(crate) fn id(&self) -> ToolchainId {
        self.id
    }

    pub(super) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// The same for no command: what all commands of one place have in common.
    pub(super) fn without_command(&self) -> Result<Self, CanonicalError> {
        Self::of(Inputs { command: Vec::new(), ..self.inputs.clone() })
    }

    /// The same in another domain, as [`Request::domain`](super::Request::domain) names it.
    pub(crate) fn in_domain(&self, domain: &str) -> Result<Self, CanonicalError> {
        Self::of(Inputs { domain: domain.to_owned(), ..self.inputs.clone() })
    }

    /// The words of the command that decide what is built.
    pub(crate) fn command(&self) -> &[String] {
        &self.inputs.command
    }

    /// In words: `rustc 1.85.1 · trixie · 2 flags`.
    pub(crate) fn summary(&self) -> String {
        self.inputs.summary()
    }
}

impl Inputs {
    /// The same with another command, and with what becomes of each value that a user or a tool set, by its name.
    pub(super) fn with(&self, command: Vec<String>, value: impl Fn(&str, &str) -> String) -> Self {
        let values = |values: &BTreeMap<String, String>| {
            values.iter().map(|(name, text)| (name.clone(), value(name, text))).collect()
        };
        Self {
            command,
            environment: values(&self.environment),
            go: self.go.as_ref().map(|go| go.with(values)),
            ccache: self.ccache.as_ref().map(|ccache| ccache.with(values)),
            ..self.clone()
        }
    }

    pub(super) fn is_throwaway(&self) -> bool {
        self.domain.contains(THROWAWAY)
    }

    pub(super) fn is_exact(&self) -> bool {
        self.fidelity == Fidelity::Exact
    }

    pub(super) fn summary(&self) -> String {
        let rust = self.rust.iter().map(|rust| format!("rustc {}", rust.release()));
        let go = self.go.iter().map(|go| format!("go {}", go.release()));
        let ccache = self.ccache.iter().map(|ccache| format!("ccache {}", ccache.version));
        let mut words: Vec<String> = rust.chain(go).chain(ccache).collect();
        if !self.distribution.is_empty() {
            words.push(self.distribution.clone());
        }
        let flags = self.environment.get("RUSTFLAGS");
        let flags = flags.map_or(0, |text| text.split_whitespace().count());
        match flags {
            0 => {}
            1 => words.push("1 flag".to_owned()),
            count => words.push(format!("{count} flags")),
        }
        if self.fidelity == Fidelity::Cargo {
            words.push("fidelity cargo".to_owned());
        }
        if self.way == Way::Symlink {
            words.push("symlink".to_owned());
        }
        match self.domain.split_once(THROWAWAY) {
            Some(("", _)) => words.push("to be discarded".to_owned()),
            Some((domain, _)) => words.push(format!("domain {domain}, to be discarded")),
            None if self.domain.is_empty() => {}
            None => words.push(format!("domain {}", self.domain)),
        }
        words.join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a directory of today has it. If this has to change, every directory becomes cold: raise the format.
    const GOLDEN: &str = concat!(
        r#"{"format":8,"salt":"","way":"bind","fidelity":"exact","with":["cargo"],"source":"/work/src","#,
        r#""cargo_home":"/root/.cargo","store":null,"command":["cargo","build"],"rust":null,"go":null,"#,
        r#""ccache":null,"distribution":"trixie","package_manager":"dpkg","package_mode":"build","#,
        r#""packages":{"a":"1","b":"2"},"tools":{},"libraries":{},"places":{},"named_paths":{},"#,
        r#""environment":{"PATH":"/usr/bin"},"cargo_config":{},"cpu":null}"#
    );

    #[test]
    fn the_canonical_form_is_that_of_the_directories_that_are_there() {
        let identity: Identity = serde_json::from_str(GOLDEN).unwrap();
        assert_eq!(identity.id(), ToolchainId(Digest::of(GOLDEN.as_bytes())));
        assert_eq!(serde_json::to_string(&identity).unwrap(), GOLDEN);
        let other = identity.without_command().unwrap();
        assert!(other.command().is_empty() && other.id() != identity.id());
        assert_ne!(
            identity.id(),
            Identity::of(Inputs { salt: "x".into(), ..identity.inputs }).unwrap().id()
        );
    }
}
