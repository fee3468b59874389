//! What Cargo's file names say.

use std::ffi::OsStr;
use std::path::Path;

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

/// Files that are no unit's and may differ without harm: the tag, Cargo's locks on a profile's directory
/// (`core/compiler/layout.rs`), and those on its caches (`util/cache_lock.rs`; Cargo 1.95).
const HARMLESS: [&str; 6] = [
    "CACHEDIR.TAG",
    ".cargo-lock",
    ".cargo-build-lock",
    ".cargo-artifact-lock",
    ".package-cache",
    ".package-cache-mutate",
];

/// Whether a file of a target directory may differ without harm.
pub(crate) fn is_harmless(path: &Path) -> bool {
    path.file_name().is_some_and(|name| HARMLESS.iter().any(|harmless| name == *harmless))
}

/// What in a unit's directories only notes times and paths, in either layout; dep-info besides.
const UNIT_NOTES: [&str; 3] = ["fingerprint", "invoked.timestamp", "root-output"];

/// Whether a file or directory of a unit only notes times and paths, so that two builds of the same have it
/// otherwise.
pub(crate) fn is_unit_note(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    path.extension() == Some(OsStr::new("d")) || UNIT_NOTES.iter().any(|note| name == *note)
}

/// The package of the unit whose directory a path is or lies in, by the names alone, for a unit that may be gone
/// altogether: `serde` of `release/.fingerprint/serde-<H>/…` and `release/build/serde-<H>/…`, or of
/// `release/build/serde/<H>/…` in the newer layout.
pub(crate) fn package_in(path: &Path) -> Option<String> {
    let names: Vec<&str> = path.components().filter_map(|part| part.as_os_str().to_str()).collect();
    let older = names.windows(2).find_map(|pair| {
        let (package, _) = split_unit(pair[1])?;
        [".fingerprint", "build"].contains(&pair[0]).then_some(package)
    });
    let newer = || {
        let three = names.windows(3).find(|three| three[0] == "build" && is_hash(three[2]));
        three.map(|three| three[1])
    };
    older.or_else(newer).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_is_gone_is_known_by_the_name_of_its_directory() {
        let package = |path: &str| package_in(Path::new(path));
        let hash = "021e2849616f18d1";
        for path in [
            format!("release/.fingerprint/my-lib-{hash}/lib-my_lib"),
            format!("x86_64-unknown-linux-gnu/release/.fingerprint/my-lib-{hash}"),
            format!("release/build/my-lib-{hash}/out/text"),
            format!("release/build/my-lib/{hash}"),
            format!("release/build/my-lib/{hash}/fingerprint/lib-my_lib"),
            format!("release/build/my-lib/{hash}/out/build/other/{hash}"),
        ] {
            assert_eq!(package(&path).as_deref(), Some("my-lib"), "{path}");
        }
        assert_eq!(package(&format!("release/build/build/{hash}")).as_deref(), Some("build"));
        for path in ["release/.fingerprint/my-lib", "release/build/my-lib", "release/deps/my_lib.d"]
        {
            assert_eq!(package(path), None, "{path}");
        }
        assert_eq!(package("release/build/my-lib/021E2849616F18D1"), None, "digits are small");
    }

    #[test]
    fn what_only_notes_times_and_paths_is_told_from_the_rest_in_both_layouts() {
        let hash = "021e2849616f18d1";
        for note in [
            format!("release/build/a-{hash}/root-output"),
            format!("release/build/a-{hash}/invoked.timestamp"),
            format!("release/build/a/{hash}/run/root-output"),
            format!("release/build/a/{hash}/run/invoked.timestamp"),
            format!("release/build/a/{hash}/fingerprint"),
            format!("release/deps/a-{hash}.d"),
        ] {
            assert!(is_unit_note(Path::new(&note)), "{note}");
        }
        for other in ["release/build/a/0/run/stdout", "release/build/a-0/output", "release/a"] {
            assert!(!is_unit_note(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn locks_and_the_tag_are_harmless() {
        for path in ["CACHEDIR.TAG", "release/.cargo-lock", "x/release/.cargo-build-lock"] {
            assert!(is_harmless(Path::new(path)), "{path}");
        }
        assert!(!is_harmless(Path::new("release/app")));
    }

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
