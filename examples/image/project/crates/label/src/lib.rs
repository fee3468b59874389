//! Names and checksums of things on a shelf.

use semver::Version;
use serde::{Deserialize, Serialize};

/// What is written on a jar: a name, the recipe's version, and a checksum over both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub name: String,
    pub recipe: Version,
    pub checksum: String,
}

impl Label {
    #[must_use]
    pub fn new(name: &str, recipe: Version) -> Self {
        let checksum = checksum(format!("{name} {recipe}").as_bytes());
        Self {
            name: name.to_owned(),
            recipe,
            checksum,
        }
    }
}

/// CRC-32 in hexadecimal digits.
#[must_use]
pub fn checksum(data: &[u8]) -> String {
    hex::encode(crc32fast::hash(data).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_have_equal_labels() {
        let label = Label::new("plums", Version::new(1, 0, 0));
        assert_eq!(label, Label::new("plums", Version::new(1, 0, 0)));
        assert_ne!(
            label.checksum,
            Label::new("pears", Version::new(1, 0, 0)).checksum
        );
    }
}
