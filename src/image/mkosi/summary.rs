//! What `mkosi --json summary` says of images.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Include, MkosiError};

/// What mkosi does with what a build writes to its sources (`BuildSourcesEphemeral=`, mkosi 25.3 and
/// 27.1, `mkosi/config.py` and `mkosi/mounts.py`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ephemeral {
    /// It stays.
    #[default]
    No,
    /// An overlay on every build source takes it, and is thrown away.
    Yes,
    /// The overlays are kept in the build directory; the sources themselves stay as they are.
    BuildCache,
}

/// The part of the summary that matters here. It is never shown whole: the summary also holds the
/// values of `Environment=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    main: Image,
    /// The images that `main` is made from.
    others: Vec<Image>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Image {
    scripts: Vec<PathBuf>,
    sources: Vec<BuildSource>,
    ephemeral: Ephemeral,
    build_directory: Option<PathBuf>,
}

/// A directory that mkosi mounts below `/work/src`.
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
#[expect(clippy::struct_field_names, reason = "they are mkosi's names")]
struct RawImage {
    #[serde(default)]
    build_sources: Vec<BuildSource>,
    #[serde(default)]
    build_sources_ephemeral: serde_json::Value,
    #[serde(default)]
    build_directory: Option<PathBuf>,
    /// Only mkosi 27 says it; 25.3 puts distribution, release and architecture into the directory.
    #[serde(default)]
    build_subdirectory: Option<PathBuf>,
    #[serde(default)]
    build_scripts: Vec<PathBuf>,
}

impl Summary {
    /// Reads what `mkosi --json summary` prints: the last image is the main one.
    pub(crate) fn parse(text: &str) -> Result<Self, MkosiError> {
        let raw: RawSummary = serde_json::from_str(text).map_err(|error| {
            MkosiError::Summary(format!("line {} column {}", error.line(), error.column()))
        })?;
        let images: Result<Vec<Image>, _> = raw.images.into_iter().map(RawImage::read).collect();
        let mut others = images?;
        let main = others.pop().ok_or_else(|| MkosiError::Summary("it lists no image".into()))?;
        Ok(Self { main, others })
    }

    /// The main image, and those that compile besides.
    fn building(&self) -> impl Iterator<Item = &Image> {
        let others = self.others.iter().filter(|image| !image.scripts.is_empty());
        std::iter::once(&self.main).chain(others)
    }

    /// What becomes of what builds write to their sources.
    pub(crate) fn ephemeral(&self) -> Ephemeral {
        let mut kinds = self.building().map(|image| image.ephemeral);
        kinds.find(|kind| *kind != Ephemeral::No).unwrap_or_default()
    }

    /// The directory of the host that scripts see as `$BUILDDIR`, for this distribution, release and
    /// architecture.
    pub(crate) fn build_directory(&self) -> Option<&Path> {
        self.main.build_directory.as_deref()
    }

    /// The build scripts of all images, in their order.
    pub(crate) fn scripts(&self) -> Vec<PathBuf> {
        let mut scripts: Vec<PathBuf> = Vec::new();
        for script in self.others.iter().chain([&self.main]).flat_map(|image| &image.scripts) {
            if !scripts.contains(script) {
                scripts.push(script.clone());
            }
        }
        scripts
    }

    /// Where a file for the scripts can lie: a directory of the host below `repository`, and how
    /// scripts name it. The repository itself, if it is mounted; else the first source in it.
    pub(crate) fn shared_directory(&self, repository: &Path) -> Option<(PathBuf, String)> {
        let place = |item: &BuildSource| {
            let target = item.target.as_deref().unwrap_or(Path::new("")).to_str()?;
            let name = match target {
                "" | "." => "$SRCDIR".to_owned(),
                outside if outside.starts_with(['.', '/']) => return None,
                below => format!("$SRCDIR/{below}"),
            };
            Some((item.source.clone(), name))
        };
        let own = self.main.sources.iter().filter(|item| item.source.starts_with(repository));
        let mut places: Vec<_> = own.filter_map(place).collect();
        places.sort_by_key(|(_, name)| name.len());
        places.into_iter().next()
    }

    /// The build sources in a repository: the directory of the host, and where it is below `/work/src`.
    pub(crate) fn sources_in(&self, repository: &Path) -> Vec<(PathBuf, PathBuf)> {
        let own = self.main.sources.iter().filter(|item| item.source.starts_with(repository));
        own.map(|item| (item.source.clone(), item.target.clone().unwrap_or_default())).collect()
    }

    /// The file of the host that scripts find at a path below `/work/src`.
    pub(crate) fn host(&self, inside: &Path) -> Option<PathBuf> {
        let place = |item: &BuildSource| {
            let target = item.target.clone().unwrap_or_default();
            let target = target.strip_prefix(".").unwrap_or(&target);
            let rest = inside.strip_prefix(target).ok()?;
            Some((target.components().count(), item.source.join(rest)))
        };
        let places = self.main.sources.iter().filter_map(place);
        Some(places.max_by_key(|(depth, _)| *depth)?.1)
    }

    /// The include file for the image, or why there is none. Whether mkosi mounts the directory that it is run in
    /// because somebody named it (`own_sources`) or by default, its summary does not tell; by default it no
    /// longer does once something else is named.
    pub(crate) fn include(&self, own_sources: bool) -> Result<Include, MkosiError> {
        match (self.ephemeral(), self.build_directory()) {
            (Ephemeral::No, _) => Ok(Include { own_sources, ephemeral: false }),
            (_, Some(_)) => Ok(Include { own_sources, ephemeral: true }),
            (kind, None) => Err(MkosiError::Ephemeral { value: kind.name() }),
        }
    }

    /// Checks that with the include file the store is mounted, and that all of `before` still is.
    pub(crate) fn verify(
        &self,
        before: &Self,
        store: &Path,
        include: Include,
    ) -> Result<(), MkosiError> {
        let path = include.path(store);
        let mounted = include.mounted(store);
        let ours = |item: &&BuildSource| {
            item.source == mounted && item.target.as_deref() == Some(Path::new(super::TARGET))
        };
        if self.building().any(|image| !image.sources.iter().any(|item| ours(&item))) {
            return Err(MkosiError::NotMounted { store: mounted, include: path });
        }
        for (now, then) in self.building().zip(before.building()) {
            if let Some(item) = then.sources.iter().find(|item| !now.sources.contains(item)) {
                return Err(MkosiError::Lost { include: path, lost: item.source.clone() });
            }
            if (now.ephemeral, &now.build_directory) != (then.ephemeral, &then.build_directory) {
                return Err(MkosiError::Changed { include: path });
            }
        }
        Ok(())
    }
}

impl RawImage {
    fn read(self) -> Result<Image, MkosiError> {
        let ephemeral = match &self.build_sources_ephemeral {
            serde_json::Value::Null | serde_json::Value::Bool(false) => Ephemeral::No,
            serde_json::Value::Bool(true) => Ephemeral::Yes,
            serde_json::Value::String(value) => match value.as_str() {
                "no" => Ephemeral::No,
                "yes" => Ephemeral::Yes,
                "buildcache" => Ephemeral::BuildCache,
                other => return Err(unknown(other)),
            },
            other => return Err(unknown(&other.to_string())),
        };
        let build_directory = self.build_subdirectory.or(self.build_directory);
        let scripts = self.build_scripts;
        Ok(Image { scripts, sources: self.build_sources, ephemeral, build_directory })
    }
}

fn unknown(value: &str) -> MkosiError {
    MkosiError::Summary(format!("BuildSourcesEphemeral is {value:?}"))
}

impl Ephemeral {
    /// As mkosi's configuration says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Yes => "yes",
            Self::BuildCache => "buildcache",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: &str = "/var/cache/larder";
    const REPOSITORY: &str = r#"{"Source": "/repo", "Target": null}"#;

    fn summary(sources: &str, more: &str) -> Summary {
        let text = format!(r#"{{"Images": [{{}}, {{"BuildSources": [{sources}]{more}}}]}}"#);
        Summary::parse(&text).unwrap()
    }

    #[test]
    fn the_summary_is_checked_for_what_came_and_what_went() {
        let (store, include) = (Path::new(STORE), Include::default());
        let ours = r#"{"Source": "/var/cache/larder", "Target": "../larder"}"#;
        let both = format!("{REPOSITORY}, {ours}");
        let before = summary(REPOSITORY, "");
        assert_eq!(summary(&both, "").verify(&before, store, include), Ok(()));
        let lost = summary(ours, "").verify(&before, store, include);
        assert!(matches!(lost, Err(MkosiError::Lost { .. })));
        let missing = summary(REPOSITORY, "").verify(&before, store, include);
        assert!(matches!(missing, Err(MkosiError::NotMounted { .. })));
        let changed = summary(&both, r#", "BuildSourcesEphemeral": "yes""#);
        let changed = changed.verify(&before, store, include);
        assert!(matches!(changed, Err(MkosiError::Changed { .. })));
    }

    #[test]
    fn what_both_versions_say_of_the_build_directory_is_the_same() {
        let old = summary("", r#", "BuildDirectory": "/b/debian~trixie~x86-64""#);
        let new = summary(
            "",
            r#", "BuildDirectory": "/b", "BuildSubdirectory": "/b/debian~trixie~x86-64""#,
        );
        assert_eq!(old.build_directory(), Some(Path::new("/b/debian~trixie~x86-64")));
        assert_eq!(old.build_directory(), new.build_directory());
        assert_eq!(summary("", "").build_directory(), None);
    }

    #[test]
    fn an_image_that_compiles_for_the_main_one_counts_too() {
        let of = |sources: &str| {
            let text = format!(
                r#"{{"Images": [{{"BuildScripts": ["/s"], "BuildSources": [{sources}], "BuildSourcesEphemeral": "yes"}}, {{"BuildSources": [{{"Source": "/var/cache/larder", "Target": "../larder"}}]}}]}}"#
            );
            Summary::parse(&text).unwrap()
        };
        let without = of("");
        assert_eq!((without.ephemeral(), without.scripts()), (Ephemeral::Yes, vec!["/s".into()]));
        let missing = without.verify(&without, Path::new(STORE), Include::default());
        assert!(matches!(missing, Err(MkosiError::NotMounted { .. })), "{missing:?}");
        let with = of(r#"{"Source": "/var/cache/larder", "Target": "../larder"}"#);
        assert_eq!(with.verify(&without, Path::new(STORE), Include::default()), Ok(()));
    }

    #[test]
    fn what_is_kept_of_sources_has_three_values() {
        let of = |value: &str| {
            let text = format!(r#"{{"Images": [{{"BuildSourcesEphemeral": {value}}}]}}"#);
            Summary::parse(&text).map(|summary| summary.ephemeral())
        };
        assert_eq!(of("\"no\""), Ok(Ephemeral::No));
        assert_eq!(of("true"), Ok(Ephemeral::Yes));
        assert_eq!(of("\"buildcache\""), Ok(Ephemeral::BuildCache));
        assert!(of("\"perhaps\"").is_err());
    }

    #[test]
    fn a_file_for_the_scripts_lies_where_they_see_it() {
        let place = |sources: &str| summary(sources, "").shared_directory(Path::new("/repo"));
        assert_eq!(place(REPOSITORY), Some(("/repo".into(), "$SRCDIR".into())));
        let own =
            r#"{"Source": "/elsewhere", "Target": "x"}, {"Source": "/repo/src", "Target": "app"}"#;
        assert_eq!(place(own), Some(("/repo/src".into(), "$SRCDIR/app".into())));
        assert_eq!(place(r#"{"Source": "/elsewhere", "Target": null}"#), None);
        let host = |inside: &str| summary(own, "").host(Path::new(inside));
        assert_eq!(host("app/lib/x.sh"), Some("/repo/src/lib/x.sh".into()));
        assert_eq!((host("x/y"), host("lib/x.sh")), (Some("/elsewhere/y".into()), None));
        let host = summary(REPOSITORY, "").host(Path::new("lib/x.sh"));
        assert_eq!(host, Some("/repo/lib/x.sh".into()));
    }
}
