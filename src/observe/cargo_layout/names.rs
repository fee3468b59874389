//! What Cargo's file names say.

use super::UnitKind;

/// The digits of a unit's hash (`util/hex.rs`, `short_hash`: 64 bits, Cargo 1.95).
const DIGITS: usize = 16;

/// Whether a text is a unit's hash.
pub(super) fn is_hash(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A directory's `<pkg>-<H>` as package and hash.
pub(super) fn split_unit(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('-').filter(|(package, hash)| !package.is_empty() && is_hash(hash))
}

/// The hash in an artifact's name: `libserde-<H>.rlib`, `app-<H>`, `app-<H>.app.1-cgu.0.rcgu.o`.
pub(super) fn hash_in(name: &str) -> Option<&str> {
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    split_unit(stem).map(|(_, hash)| hash)
}

/// The crate in the name of an artifact that has no hash, such as `libffi.so` or `ffi.d`.
pub(super) fn crates_in(name: &str) -> impl Iterator<Item = &str> {
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    [Some(stem), stem.strip_prefix("lib")].into_iter().flatten()
}

/// A file of a fingerprint directory that says what the unit is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mark<'a> {
    /// What the unit is.
    pub kind: UnitKind,
    /// The target's name, `-` kept.
    pub target: &'a str,
}

/// The meaning of a fingerprint file's name; `dep-*`, `*.json` and the rest have none of their own.
pub(super) fn mark(name: &str) -> Option<Mark<'_>> {
    if name == "invoked.timestamp" || name.starts_with("dep-") || name.contains('.') {
        return None;
    }
    if let Some(target) = name.strip_prefix("run-build-script-") {
        return Some(Mark { kind: UnitKind::BuildScriptRun, target });
    }
    if name.starts_with("doc-") {
        return Some(Mark { kind: UnitKind::Doc, target: "" });
    }
    if let Some(rest) = name.strip_prefix("test-") {
        return target_of(rest).map(|(_, target)| Mark { kind: UnitKind::Test, target });
    }
    let known = target_of(name).map(|(kind, target)| Mark { kind, target });
    known.or(Some(Mark { kind: UnitKind::Other, target: "" }))
}

fn target_of(name: &str) -> Option<(UnitKind, &str)> {
    let kinds = [
        ("lib-", UnitKind::Lib),
        ("bin-", UnitKind::Bin),
        ("example-", UnitKind::Example),
        ("integration-test-", UnitKind::Test),
        ("bench-", UnitKind::Test),
        ("build-script-", UnitKind::BuildScriptCompile),
    ];
    kinds.iter().find_map(|(prefix, kind)| Some((*kind, name.strip_prefix(prefix)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_split_at_the_last_dash() {
        assert_eq!(split_unit("my-lib-021e2849616f18d1"), Some(("my-lib", "021e2849616f18d1")));
        for other in ["my-lib", "-021e2849616f18d1", "my-021E2849616F18D1", "021e2849616f18d1"] {
            assert_eq!(split_unit(other), None, "{other}");
        }
    }

    #[test]
    fn an_artifact_names_its_unit() {
        let hash = Some("021e2849616f18d1");
        for name in
            ["a-021e2849616f18d1", "liba_b-021e2849616f18d1.rlib", "a-021e2849616f18d1.a.1.o"]
        {
            assert_eq!(hash_in(name), hash, "{name}");
        }
        assert_eq!(hash_in("libffi.so"), None);
        assert_eq!(crates_in("libffi.so").collect::<Vec<_>>(), ["libffi", "ffi"]);
    }

    #[test]
    fn a_fingerprint_says_what_the_unit_is() {
        let kind = |name| mark(name).map(|mark| (mark.kind, mark.target));
        assert_eq!(kind("lib-my_lib"), Some((UnitKind::Lib, "my_lib")));
        assert_eq!(kind("bin-my-app"), Some((UnitKind::Bin, "my-app")));
        assert_eq!(kind("test-integration-test-it"), Some((UnitKind::Test, "it")));
        assert_eq!(
            kind("build-script-build-script-build"),
            Some((UnitKind::BuildScriptCompile, "build-script-build"))
        );
        assert_eq!(
            kind("run-build-script-build-script-build"),
            Some((UnitKind::BuildScriptRun, "build-script-build"))
        );
        assert_eq!(kind("doc-lib-a"), Some((UnitKind::Doc, "")));
        assert_eq!(kind("new-lib-a"), Some((UnitKind::Other, "")));
        for silent in ["invoked.timestamp", "dep-lib-a", "lib-a.json", "output-lib-a.log"] {
            assert_eq!(kind(silent), None, "{silent}");
        }
    }
}
