//! What a comparison with a cold build says.

use serde::{Deserialize, Serialize};

/// What came of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// Everything is bit for bit that of a cold build.
    Same,
    /// Two cold builds agree, and the warm one differs from both.
    Stale,
    /// Two cold builds differ from each other.
    NotReproducible,
}

impl Verdict {
    /// What it says of the directory.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Same => "the same as a cold build",
            Self::Stale => "it was stale, and begun anew",
            Self::NotReproducible => "not reproducible",
        }
    }
}
