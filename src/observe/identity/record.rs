//! What is kept of an identity, in `identity.json` and in pushes: its name, and its inputs as far as they may be told.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::choices::CacheKind;
use super::error::CanonicalError;
use super::inputs::{Identity, Inputs};
use super::veil::{Veil, hidden_again};
use crate::base::key::Key;
use crate::base::names::ToolchainId;

/// An identity as it is kept (decision 103).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdentityRecord {
    /// The name of the directory: the digest of all as it is.
    id: ToolchainId,
    /// The same for no command: what all commands of one place have in common.
    place: ToolchainId,
    #[serde(flatten)]
    inputs: Inputs,
}

impl Identity {
    /// What is kept of it.
    pub(crate) fn recorded(&self, veil: &Veil) -> Result<IdentityRecord, CanonicalError> {
        let inputs = self.inputs();
        let veil = veil.over(&inputs.environment);
        Ok(IdentityRecord {
            id: self.id(),
            place: self.without_command()?.id(),
            inputs: inputs
                .with(veil.command(&inputs.command), |name, value| veil.value(name, value)),
        })
    }
}

impl IdentityRecord {
    /// The name of the directory.
    pub(crate) fn id(&self) -> ToolchainId {
        self.id
    }

    /// What it would be for no command.
    pub(crate) fn place(&self) -> ToolchainId {
        self.place
    }

    /// The source directory, as the compiler sees it.
    pub(crate) fn source(&self) -> &str {
        &self.inputs.source
    }

    /// Cargo's home, as the compiler sees it.
    pub(crate) fn cargo_home(&self) -> &str {
        &self.inputs.cargo_home
    }

    /// What decides the bytes, as far as it is kept.
    pub(super) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// What is attached.
    pub(crate) fn with(&self) -> &BTreeSet<CacheKind> {
        &self.inputs.with
    }

    /// Whether builds with it are bit for bit those of a cold one.
    pub(crate) fn is_exact(&self) -> bool {
        self.inputs.is_exact()
    }

    /// Whether it is of one use that is thrown away.
    pub(crate) fn is_throwaway(&self) -> bool {
        self.inputs.is_throwaway()
    }

    /// In words: `rustc 1.85.1 · trixie · 2 flags`.
    pub(crate) fn summary(&self) -> String {
        self.inputs.summary()
    }

    /// As it is written.
    pub(crate) fn encoded(&self) -> Result<Vec<u8>, CanonicalError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// The same for no command, to be compared.
    pub(crate) fn without_command(&self) -> Self {
        let inputs = Inputs { command: Vec::new(), ..self.inputs.clone() };
        Self { id: self.place, place: self.place, inputs }
    }

    /// This one's, with the name and the command of another one of the same place.
    pub(crate) fn as_that_of(&self, other: &Self) -> Self {
        let inputs = Inputs { command: other.inputs.command.clone(), ..self.inputs.clone() };
        Self { id: other.id, place: other.place, inputs }
    }

    /// The same with all that is hidden hidden by another key besides.
    pub(crate) fn hidden_by(&self, key: &Key) -> Self {
        let command = self.inputs.command.iter().map(|word| hidden_again(word, key)).collect();
        let inputs = self.inputs.with(command, |_, value| hidden_again(value, key));
        Self { inputs, ..self.clone() }
    }
}
