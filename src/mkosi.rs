//! What larder says to mkosi, and how it understands mkosi's answers. Pure.
//!
//! Facts from mkosi 25.3 and 27.1 (`mkosi/config.py`, `mkosi/__init__.py`): build sources are
//! mounted below `/work/src`, so that the target `../larder` becomes `/work/larder`; an explicit
//! `BuildSources=` drops the default mount of the working directory; lists append; there is no
//! quoting; `BuildSourcesEphemeral=` puts a throw-away overlay on every build source.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where the store appears inside the build sandbox.
pub const SANDBOX_STORE: &str = "/work/larder";

/// The target of the store's build source, relative to `/work/src`.
const TARGET: &str = "../larder";

/// What mkosi cannot take in the path of a build source.
const FORBIDDEN: [char; 5] = [',', ':', '#', '%', '$'];

/// A store or an image repository that mkosi and larder cannot share.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MkosiError {
    /// The path has a character that mkosi's configuration cannot carry.
    #[error(
        "mkosi cannot take the store path {path:?}: it contains {character:?} and mkosi has no quoting; use a path without whitespace, `,` `:` `#` `%` `$`"
    )]
    Path {
        /// The store.
        path: PathBuf,
        /// The first offending character.
        character: char,
    },
    /// mkosi's summary is not what mkosi 25 to 27 print.
    #[error("mkosi's summary cannot be understood: {0}; larder knows mkosi 25.3 to 27.1")]
    Summary(String),
    /// The include file did not have its effect.
    #[error("mkosi does not mount the store {} at {SANDBOX_STORE} with {}; is BuildSources= reset by a later file?", store.display(), include.display())]
    NotMounted {
        /// The store.
        store: PathBuf,
        /// The include file.
        include: PathBuf,
    },
    /// The include file took a mount away.
    #[error("with {} mkosi no longer mounts {}; please report this", include.display(), lost.display())]
    Lost {
        /// The include file.
        include: PathBuf,
        /// The source that was mounted before.
        lost: PathBuf,
    },
    /// Every build source is thrown away after the build.
    #[error(
        "the image sets BuildSourcesEphemeral=, so what a build writes to the store is thrown away; set BuildSourcesEphemeral=no for it"
    )]
    Ephemeral,
}

/// The part of `mkosi --json summary` that matters here. It is never shown whole: the summary
/// also holds the values of `Environment=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    sources: Vec<BuildSource>,
    ephemeral: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BuildSource {
    source: PathBuf,
    target: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawSummary {
    images: Vec<RawImage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawImage {
    #[serde(default)]
    build_sources: Vec<BuildSource>,
    #[serde(default)]
    build_sources_ephemeral: serde_json::Value,
}

/// The include file that brings `store` into the sandbox. `keep_default` repeats the mount of the
/// image repository itself, which mkosi drops as soon as any build source is named.
pub fn include(store: &Path, keep_default: bool) -> Result<String, MkosiError> {
    check_path(store)?;
    let own = if keep_default { "BuildSources=.\n" } else { "" };
    Ok(format!(
        "# Made by `larder init`; it is written anew each time. Use it by\n\
         #   mkosi --include={store}/mkosi.conf\n\
         \n\
         [Build]\n\
         {own}BuildSources={store}:{TARGET}\n",
        store = store.display(),
    ))
}

/// Refuses a path that mkosi's configuration cannot carry.
pub fn check_path(store: &Path) -> Result<(), MkosiError> {
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

impl Summary {
    /// Reads what `mkosi --json summary` prints: the last image is the main one.
    pub fn parse(text: &str) -> Result<Self, MkosiError> {
        let raw: RawSummary = serde_json::from_str(text).map_err(|error| {
            MkosiError::Summary(format!("line {} column {}", error.line(), error.column()))
        })?;
        let image = raw.images.into_iter().next_back();
        let image = image.ok_or_else(|| MkosiError::Summary("it lists no image".into()))?;
        let ephemeral = match image.build_sources_ephemeral {
            serde_json::Value::Bool(value) => value,
            serde_json::Value::String(value) => value != "no",
            _ => false,
        };
        Ok(Self { sources: image.build_sources, ephemeral })
    }

    /// Whether mkosi mounts the working directory only because nobody named a build source.
    pub fn has_default_sources(&self, repository: &Path) -> bool {
        let only = BuildSource { source: repository.to_owned(), target: None };
        self.sources.is_empty() || self.sources == [only]
    }

    /// Refuses an image whose build sources are thrown away after the build.
    pub fn check_lasting(&self) -> Result<(), MkosiError> {
        if self.ephemeral { Err(MkosiError::Ephemeral) } else { Ok(()) }
    }

    /// Checks that with the include file the store is mounted, and that all of `before` still is.
    pub fn verify(&self, before: &Self, store: &Path, include: &Path) -> Result<(), MkosiError> {
        self.check_lasting()?;
        let ours = |item: &&BuildSource| {
            item.source == store && item.target.as_deref() == Some(Path::new(TARGET))
        };
        if !self.sources.iter().any(|item| ours(&item)) {
            let (store, include) = (store.to_owned(), include.to_owned());
            return Err(MkosiError::NotMounted { store, include });
        }
        match before.sources.iter().find(|item| !self.sources.contains(item)) {
            Some(item) => {
                Err(MkosiError::Lost { include: include.to_owned(), lost: item.source.clone() })
            }
            None => Ok(()),
        }
    }
}

/// The names in `BuildPackages=` of the configuration that mkosi shows its scripts
/// (`$MKOSI_CONFIG`, JSON).
pub fn build_packages(config: &str) -> Vec<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Config {
        #[serde(default)]
        build_packages: Vec<String>,
    }
    serde_json::from_str::<Config>(config).map(|config| config.build_packages).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: &str = "/var/cache/larder";

    fn summary(sources: &str, ephemeral: &str) -> Summary {
        let text = format!(
            r#"{{"Images": [{{}}, {{"BuildSources": [{sources}], "BuildSourcesEphemeral": {ephemeral}}}]}}"#
        );
        Summary::parse(&text).unwrap()
    }

    #[test]
    fn the_include_names_one_source_a_line() {
        let text = include(Path::new(STORE), true).unwrap();
        snapbox::assert_data_eq!(
            text,
            snapbox::str![[r"
# Made by `larder init`; it is written anew each time. Use it by
#   mkosi --include=/var/cache/larder/mkosi.conf

[Build]
BuildSources=.
BuildSources=/var/cache/larder:../larder

"]]
        );
        assert!(!include(Path::new(STORE), false).unwrap().contains("BuildSources=.\n"));
    }

    #[test]
    fn paths_that_mkosi_would_misread_are_refused() {
        for bad in ["/a b", "/a,b", "/a:b", "/a#b", "/a%b", "/a$b", "/a\nb", "/a\tb", "/a\u{a0}b"] {
            assert!(
                matches!(include(Path::new(bad), true), Err(MkosiError::Path { .. })),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn the_summary_is_checked_for_what_came_and_what_went() {
        let (store, include) = (Path::new(STORE), Path::new("/var/cache/larder/mkosi.conf"));
        let repo = r#"{"Source": "/repo", "Target": null}"#;
        let ours = r#"{"Source": "/var/cache/larder", "Target": "../larder"}"#;
        let both = format!("{repo}, {ours}");
        let before = summary(repo, "\"no\"");
        assert!(before.has_default_sources(Path::new("/repo")));
        assert_eq!(summary(&both, "\"no\"").verify(&before, store, include), Ok(()));
        let lost = summary(ours, "false").verify(&before, store, include);
        assert!(matches!(lost, Err(MkosiError::Lost { .. })));
        let missing = summary(repo, "false").verify(&before, store, include);
        assert!(matches!(missing, Err(MkosiError::NotMounted { .. })));
        let ephemeral = summary(&both, "\"yes\"").verify(&before, store, include);
        assert_eq!(ephemeral, Err(MkosiError::Ephemeral));
    }

    #[test]
    fn build_packages_come_from_the_scripts_configuration() {
        assert_eq!(build_packages(r#"{"BuildPackages": ["gcc", "rustc"]}"#), ["gcc", "rustc"]);
        assert_eq!(build_packages("{}"), Vec::<String>::new());
        assert_eq!(build_packages("no json"), Vec::<String>::new());
    }
}
