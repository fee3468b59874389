//! The dep-info that rustc writes, a Makefile rule with the files that a crate was made from, and what Cargo
//! makes of it for users.
//!
//! Read as Cargo does (`core/compiler/fingerprint/dep_info.rs`, `parse_rustc_dep_info`, Cargo
//! 1.95): of the first rule only, where a backslash at the end of a word stands for a space.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

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

/// The name by which a silent build script's run is said to watch a path of its package, from there: nobody
/// else writes a path like that, so that it is found again where Cargo copies it to.
pub(crate) fn watched_as(package: &Path, path: &Path) -> Option<PathBuf> {
    let back = Path::new("..").join(package.file_name()?);
    Some(back.join(&back).join(path))
}

/// What Cargo writes for users, without the paths that only larder has it watch (`output_depinfo.rs` lists what
/// build scripts ask for; Cargo 1.95); nothing if there are none.
pub(crate) fn without_watched(content: &[u8]) -> Option<Vec<u8>> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut words = 0;
    let mut rest = content;
    while !rest.is_empty() {
        let is_end = |at: &usize| rest[*at] == b' ' && (*at == 0 || rest[at - 1] != b'\\');
        let end = (1..rest.len()).find(|at| is_end(at) || rest[*at] == b'\n').unwrap_or(rest.len());
        let (word, more) = rest.split_at(end);
        if is_watched(word) {
            words += 1;
        } else {
            kept.push(word);
        }
        rest = more;
    }
    (words > 0).then(|| kept.concat())
}

/// Whether a word holds `…/NAME/../NAME/../NAME/…`.
fn is_watched(word: &[u8]) -> bool {
    let parts: Vec<&[u8]> = word.split(|byte| *byte == b'/').collect();
    parts.windows(5).any(|five| {
        let up: &[u8] = b"..";
        five[1] == up && five[3] == up && five[0] == five[2] && five[2] == five[4]
    })
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
    fn what_larder_has_watched_is_taken_out_again() {
        let watched = watched_as(Path::new("/s/lib"), Path::new("a b.txt")).unwrap();
        assert_eq!(watched, Path::new("../lib/../lib/a b.txt"));
        let text =
            b"/t/app: /s/app/main.rs /s/lib/../lib/../lib/a\\ b.txt /s/lib/src/lib.rs /s/../x\n";
        let expected = b"/t/app: /s/app/main.rs /s/lib/src/lib.rs /s/../x\n";
        assert_eq!(without_watched(text).unwrap(), expected);
        assert_eq!(without_watched(b"/t/app: /s/lib/../lib/../lib/z\n").unwrap(), b"/t/app:\n");
        assert_eq!(without_watched(expected), None);
    }

    #[test]
    fn spaces_are_kept_and_only_the_first_rule_counts() {
        let text = b"/t/a.d: src/lib.rs ../a\\ b\\ c.txt /etc/x\n\n/t/a.rlib: other\n\n/etc/x:\n# env-dep:A=b: c\n";
        let expected = ["src/lib.rs", "../a b c.txt", "/etc/x"].map(PathBuf::from);
        assert_eq!(files(text), expected);
        assert!(files(b"").is_empty());
        assert!(files(b"a.d:\n").is_empty());
    }
}
