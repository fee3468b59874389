//! What larder says to mkosi, and how it understands mkosi's answers. Pure.
//!
//! Facts from mkosi 25.3 and 27.1 (`mkosi/config.py`, `mkosi/__init__.py`): build sources are
//! mounted below `/work/src`, so that the target `../larder` becomes `/work/larder`; an explicit
//! `BuildSources=` drops the default mount of the working directory; lists append; there is no
//! quoting; `BuildSourcesEphemeral=` puts an overlay on every build source, `BuildDirectory=` is
//! mounted at `/work/build` as it is.

pub(crate) mod arguments;
mod include;
mod summary;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub(crate) use include::{FOR_EPHEMERAL, Include};
pub(crate) use summary::Summary;

/// The function that build scripts source, as it is in this version.
pub(crate) const SNIPPET: &str = include_str!("../../mkosi-snippets/larder.sh");

/// The target of the store's build source, relative to `/work/src`.
const TARGET: &str = "../larder";

/// Where the store appears inside the build sandbox.
pub(crate) const SANDBOX_STORE: &str = "/work/larder";

/// Where the store is inside the build sandbox of an image whose build sources are ephemeral.
pub(crate) const SANDBOX_BUILD_STORE: &str = "/work/build/larder";

/// The name of that store in the build directory.
pub(crate) const BUILD_STORE: &str = "larder";

/// What mkosi cannot take in the path of a build source.
const FORBIDDEN: [char; 5] = [',', ':', '#', '%', '$'];

/// A store or an image repository that mkosi and larder cannot share.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MkosiError {
    /// The path has a character that mkosi's configuration cannot carry.
    #[error(
        "mkosi cannot take the store path {path:?}: it contains {character:?} and mkosi has no quoting; use a path without whitespace, `,` `:` `#` `%` `$`"
    )]
    Path {
        path: PathBuf,
        /// The first offending character.
        character: char,
    },
    /// mkosi's summary is not what mkosi 25 to 27 print.
    #[error(
        "mkosi's summary cannot be understood: {0}; use mkosi 25.3 to 27.1, which larder knows"
    )]
    Summary(String),
    /// The include file did not have its effect.
    #[error("mkosi does not mount the store {} at {SANDBOX_STORE} with {}; look whether a later file resets BuildSources=", store.display(), include.display())]
    NotMounted { store: PathBuf, include: PathBuf },
    /// The include file took a mount away.
    #[error("with {} mkosi no longer mounts {}; please report this", include.display(), lost.display())]
    Lost {
        include: PathBuf,
        /// The source that was mounted before.
        lost: PathBuf,
    },
    /// The include file changed what it should leave alone.
    #[error("with {} mkosi treats build sources or the build directory in another way; please report this", include.display())]
    Changed { include: PathBuf },
    /// What a build writes to its sources is lost, and there is no directory where it would last.
    #[error(
        "the image sets BuildSourcesEphemeral={value}, so what a build writes to the store is lost, and it has no BuildDirectory= where a store would last; make the directory mkosi.builddir, set BuildDirectory=, give larder the --build-directory= that your builds give to mkosi, or set BuildSourcesEphemeral=no"
    )]
    Ephemeral {
        /// What the image sets.
        value: &'static str,
    },
}

/// Refuses a path that mkosi's configuration cannot carry.
pub(crate) fn check_path(store: &Path) -> Result<(), MkosiError> {
    let text = store.to_string_lossy();
    let bad = |character: &char| {
        character.is_whitespace()
            || character.is_control()
            || FORBIDDEN.contains(character)
            || *character == char::REPLACEMENT_CHARACTER
    };
    match text.chars().find(bad) {
        Some(character) => Err(MkosiError::Path { path: store.to_owned(), character }),
        None => Ok(()),
    }
}

/// The names in `BuildPackages=` of the configuration that mkosi shows its scripts
/// (`$MKOSI_CONFIG`, JSON).
pub(crate) fn build_packages(config: &str) -> Vec<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Config {
        #[serde(default)]
        build_packages: Vec<String>,
    }
    serde_json::from_str::<Config>(config).map(|config| config.build_packages).unwrap_or_default()
}

/// The version in what `mkosi --version` prints, such as `mkosi 25.3`.
pub(crate) fn version(text: &str) -> Option<&str> {
    let version = text.trim().strip_prefix("mkosi ")?;
    version.starts_with(|first: char| first.is_ascii_digit()).then_some(version)
}

/// Whether it is one of the versions that larder is tested with, or one between them.
pub(crate) fn is_known(version: &str) -> bool {
    let major = version.split(['.', '~', '-']).next().and_then(|part| part.parse::<u32>().ok());
    major.is_some_and(|major| (25..=27).contains(&major))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_mkosi_would_misread_are_refused() {
        for bad in ["/a b", "/a,b", "/a:b", "/a#b", "/a%b", "/a$b", "/a\nb", "/a\tb", "/a\u{a0}b"] {
            assert!(matches!(check_path(Path::new(bad)), Err(MkosiError::Path { .. })), "{bad:?}");
        }
    }

    #[test]
    fn build_packages_come_from_the_scripts_configuration() {
        assert_eq!(build_packages(r#"{"BuildPackages": ["gcc", "rustc"]}"#), ["gcc", "rustc"]);
        assert_eq!(build_packages("{}"), Vec::<String>::new());
        assert_eq!(build_packages("no json"), Vec::<String>::new());
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(version("mkosi 25.3\n"), Some("25.3"));
        assert_eq!(version("no such thing"), None);
        assert!(is_known("25.3") && is_known("26~devel") && is_known("27.1"));
        assert!(!is_known("14") && !is_known("28"));
    }
}
