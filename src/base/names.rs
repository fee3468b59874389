//! Names that are checked once, at the edge, and then trusted.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::digest::{Digest, ParseDigestError};

/// What a project is called: `[A-Za-z0-9._-]`, 1 to 128 bytes, no leading dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectName(String);

/// A project name that cannot be a directory of the store. Exit code 2, from `run` and `verify` 125.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a project name; take 1 to 128 of the letters A-Z a-z 0-9 . _ - with no dot at the beginning"
)]
pub struct ParseProjectNameError;

impl ProjectName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectName {
    type Err = ParseProjectNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let sized = (1..=128).contains(&text.len());
        if sized && !text.starts_with(['.', '-']) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseProjectNameError)
        }
    }
}

impl TryFrom<String> for ProjectName {
    type Error = ParseProjectNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ProjectName> for String {
    fn from(name: ProjectName) -> Self {
        name.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// For whom something is built: a name for who may write what others use, with the letters of a project name.
/// `default` is the domain of who has no other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct DomainName(ProjectName);

/// A domain's name that cannot be one. Exit code 2, from `run` and `verify` 125.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a domain's name; take 1 to 128 of the letters A-Z a-z 0-9 . _ - with no dot at the beginning"
)]
pub(crate) struct ParseDomainNameError;

impl DomainName {
    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is the domain of who has no other.
    pub(crate) fn is_default(&self) -> bool {
        self.as_str() == "default"
    }
}

impl Default for DomainName {
    fn default() -> Self {
        Self(ProjectName("default".to_owned()))
    }
}

impl FromStr for DomainName {
    type Err = ParseDomainNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| ParseDomainNameError)
    }
}

impl TryFrom<String> for DomainName {
    type Error = ParseDomainNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DomainName> for String {
    fn from(name: DomainName) -> Self {
        name.0.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The digest of an identity, and the name of its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ToolchainId(pub Digest);

impl ToolchainId {
    /// The first 12 digits: enough for people.
    pub fn short(&self) -> String {
        self.0.to_string()[..12].to_owned()
    }
}

impl FromStr for ToolchainId {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for ToolchainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_store_are_refused() {
        for bad in ["", ".", "..", "../x", "a/b", "a b", ".hidden", "ü", "a\n", "-x"] {
            assert_eq!(bad.parse::<ProjectName>(), Err(ParseProjectNameError), "{bad:?}");
        }
        assert!("x".repeat(129).parse::<ProjectName>().is_err());
        for good in ["op-rbuilder", "a", "A_1.2", "x..y"] {
            assert_eq!(good.parse::<ProjectName>().unwrap().as_str(), good);
        }
    }
}
