//! The include files that bring the store into the sandbox. Their text depends on the store and on
//! the kind of image alone, so that repositories of all kinds can share a store (decision 53).
//!
//! mkosi mounts build sources so that they can be written, and knows no other way (`finalize_source_mounts` in
//! `mkosi/mounts.py`, 25.3 and 27.1). What of the store no build has to write, larder keeps from commands by mounts of
//! its own (decision 101).

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{BUILD_STORE, MkosiError, SANDBOX_BUILD_STORE, SANDBOX_STORE, TARGET};

/// The directory in the store that images with ephemeral build sources mount.
pub(crate) const FOR_EPHEMERAL: &str = "larder-sandbox";

/// Which include file an image takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Include {
    /// The image names its build sources. Otherwise the include repeats the mount of the repository
    /// itself, which mkosi drops as soon as any build source is named.
    pub own_sources: bool,
    /// What the image's builds write to build sources is lost, so that the store has to be in the
    /// build directory.
    pub ephemeral: bool,
}

impl Include {
    /// All there are.
    pub(crate) fn all() -> [Self; 4] {
        let kind = |own_sources, ephemeral| Self { own_sources, ephemeral };
        [kind(false, false), kind(true, false), kind(false, true), kind(true, true)]
    }

    /// The file's name in the store.
    pub(crate) fn name(self) -> &'static str {
        match (self.own_sources, self.ephemeral) {
            (false, false) => "mkosi.conf",
            (true, false) => "mkosi-own-sources.conf",
            (false, true) => "mkosi-ephemeral.conf",
            (true, true) => "mkosi-ephemeral-own-sources.conf",
        }
    }

    /// The file itself.
    pub(crate) fn path(self, store: &Path) -> PathBuf {
        store.join(self.name())
    }

    /// The directory that it mounts at [`SANDBOX_STORE`].
    pub(crate) fn mounted(self, store: &Path) -> PathBuf {
        if self.ephemeral { store.join(FOR_EPHEMERAL) } else { store.to_owned() }
    }

    /// Where builds find the store, seen from inside.
    pub(crate) fn inside(self) -> &'static str {
        if self.ephemeral { SANDBOX_BUILD_STORE } else { SANDBOX_STORE }
    }

    /// The store that the image's builds work with, seen from the host.
    pub(crate) fn store(self, store: &Path, build_directory: Option<&Path>) -> PathBuf {
        match build_directory {
            Some(directory) if self.ephemeral => directory.join(BUILD_STORE),
            _ => store.to_owned(),
        }
    }

    /// The file's text.
    pub(crate) fn text(self, store: &Path) -> Result<String, MkosiError> {
        super::check_path(store)?;
        let own = if self.own_sources { "" } else { "BuildSources=.\n" };
        Ok(format!(
            "# Made by `larder init`; it is written anew each time. Use it by\n\
             #   mkosi --include={include}\n\
             \n\
             [Build]\n\
             {own}BuildSources={mounted}:{TARGET}\n",
            include = self.path(store).display(),
            mounted = self.mounted(store).display(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: &str = "/var/cache/larder";

    #[test]
    fn the_include_names_one_source_a_line() {
        let text = Include::default().text(Path::new(STORE)).unwrap();
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
        let own = Include { own_sources: true, ephemeral: false };
        assert!(!own.text(Path::new(STORE)).unwrap().contains("BuildSources=.\n"));
        let ephemeral = Include { own_sources: true, ephemeral: true };
        snapbox::assert_data_eq!(
            ephemeral.text(Path::new(STORE)).unwrap(),
            snapbox::str![[r"
# Made by `larder init`; it is written anew each time. Use it by
#   mkosi --include=/var/cache/larder/mkosi-ephemeral-own-sources.conf

[Build]
BuildSources=/var/cache/larder/larder-sandbox:../larder

"]]
        );
    }

    #[test]
    fn no_two_kinds_of_image_share_a_file() {
        let names: std::collections::BTreeSet<_> = Include::all().map(Include::name).into();
        assert_eq!(names.len(), 4);
    }
}
