//! What is told of a use: what went, and which input of which unit was another one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// So many inputs are told at most; of packages, all.
pub(crate) const INPUTS: usize = 50;

/// What went at the start of a use, to be made again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remade {
    /// The packages of which all units went, with those that depend on them.
    pub packages: BTreeSet<String>,
    /// Of how many there were units.
    pub of: usize,
    /// What single units had looked up and is not what it was; the first [`INPUTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<ChangedInput>,
}

/// One input of one unit, which is another one now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangedInput {
    /// The package of the unit.
    pub package: String,
    /// What kind of unit it is, in words.
    pub unit: String,
    /// As the compiler sees it.
    pub path: String,
    /// The package of the distribution that has the file, where dpkg tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What was there, in words.
    pub before: String,
    /// What is there now.
    pub now: String,
}

impl Remade {
    /// Whether nothing went.
    pub(crate) fn is_nothing(&self) -> bool {
        self.packages.is_empty()
    }

    /// Whether nothing stayed.
    pub(crate) fn is_all(&self) -> bool {
        !self.is_nothing() && self.packages.len() == self.of
    }

    /// For people.
    pub(crate) fn lines(&self) -> Vec<String> {
        if self.is_nothing() {
            return Vec::new();
        }
        let inputs = self.inputs.iter().map(|input| {
            let ChangedInput { package, unit, path, owner, before, now } = input;
            let owner = owner.as_ref().map(|owner| format!(" of {owner}")).unwrap_or_default();
            let path = path.replace('\n', "\u{fffd}");
            format!("{package} ({unit}) looked up {path}{owner}: {before}, now {now}")
        });
        let packages = self.packages.iter().cloned().collect::<Vec<_>>().join(", ");
        let (some, all) = (self.packages.len(), self.of);
        inputs.chain([format!("made again, {some} of {all}: {packages}")]).collect()
    }
}
