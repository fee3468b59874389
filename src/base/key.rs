//! Keys, and digests that tell values apart to nobody but who has the key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::digest::{Digest, ParseDigestError};

/// 32 random bytes, written as 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key([u8; 32]);

/// A value of which only a digest is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mark {
    /// Of a value that anybody may know.
    Plain(Digest),
    /// Of any other, by a key.
    Keyed(Digest),
}

impl Mark {
    /// The same, where it is of a value that not everybody may know by another key besides.
    pub(crate) fn hidden_by(self, key: &Key) -> Self {
        match self {
            Self::Plain(_) => self,
            Self::Keyed(digest) => Self::Keyed(key.digest(digest.as_bytes())),
        }
    }
}

impl Key {
    /// Of random bytes.
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest by this key.
    pub(crate) fn digest(&self, bytes: &[u8]) -> Digest {
        Digest::keyed(&self.0, bytes)
    }

    /// The key for one purpose alone: it tells nothing of this one.
    pub(crate) fn derived(&self, purpose: &str) -> Self {
        Self(*self.digest(format!("key for {purpose}").as_bytes()).as_bytes())
    }

    /// By what digests by this key are known from those by another: 8 hexadecimal digits, which tell nothing of it.
    pub(crate) fn name(&self) -> String {
        self.derived("names").digest(b"name").to_string()[..8].to_owned()
    }

    /// As it is kept.
    pub(crate) fn text(&self) -> String {
        crate::base::encoding::hexadecimal(&self.0)
    }
}

impl FromStr for Key {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(*text.parse::<Digest>()?.as_bytes()))
    }
}

/// Nobody prints a key by accident.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_and_another_one_gives_other_digests() {
        let (one, two) = (Key::new([1; 32]), Key::new([2; 32]));
        assert_eq!(one.text().parse::<Key>().unwrap(), one);
        assert_eq!(one.digest(b"x"), one.digest(b"x"));
        let others = [two.digest(b"x"), one.derived("x").digest(b"x"), Digest::of(b"x")];
        assert!(others.iter().all(|other| *other != one.digest(b"x")));
        assert_ne!(one.name(), two.name());
        assert!(!one.text().contains(&one.name()));
        assert_eq!(format!("{one:?}"), "Key");
    }
}
