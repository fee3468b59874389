//! The dep-info that rustc writes: a Makefile rule with the files that a crate was made from.
//!
//! Read as Cargo does (`core/compiler/fingerprint/dep_info.rs`, `parse_rustc_dep_info`, Cargo
//! 1.95): of the first rule only, where a backslash at the end of a word stands for a space.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The files that a dep-info names; relative ones are relative to where rustc was started.
pub(super) fn files(content: &[u8]) -> Vec<PathBuf> {
    let rule = content.split(|byte| *byte == b'\n').find_map(after_colon);
    let mut files = Vec::new();
    let mut name = Vec::new();
    let words = rule.unwrap_or_default().split(u8::is_ascii_whitespace);
    for word in words.filter(|word| !word.is_empty()) {
        if let Some(part) = word.strip_suffix(b"\\") {
            name.extend_from_slice(part);
            name.push(b' ');
        } else {
            name.extend_from_slice(word);
            files.push(PathBuf::from(OsString::from_vec(std::mem::take(&mut name))));
        }
    }
    files
}

fn after_colon(line: &[u8]) -> Option<&[u8]> {
    if line.starts_with(b"#") {
        return None;
    }
    let colon = line.windows(2).position(|pair| pair == b": ")?;
    Some(&line[colon + 2..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_are_kept_and_only_the_first_rule_counts() {
        let text = b"/t/a.d: src/lib.rs ../a\\ b\\ c.txt /etc/x\n\n/t/a.rlib: other\n\n/etc/x:\n# env-dep:A=b: c\n";
        let expected = ["src/lib.rs", "../a b c.txt", "/etc/x"].map(PathBuf::from);
        assert_eq!(files(text), expected);
        assert!(files(b"").is_empty());
        assert!(files(b"a.d:\n").is_empty());
    }
}
