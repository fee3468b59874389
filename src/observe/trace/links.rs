//! Links on the way to what is looked up.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::How;
use super::found::Glass;
use super::recorder::{Recorder, Seen, Who};
use crate::observe::sources::plain;

/// Links that follow one another, as many as the kernel follows (`MAXSYMLINKS`, `include/linux/namei.h`).
const LINKS: usize = 40;

const LINK: How = How { names: false, link: true };

impl Recorder {
    /// Directories are entered and worked in by where they really are, so that the links on the way there are
    /// asked for by nobody again.
    pub(super) fn links_on(&self, who: &Who, path: &Path, glass: &Glass<'_>) {
        let above = path.ancestors().filter(|above| glass.link(above).is_some());
        for link in above {
            self.saw(who, link.as_os_str().as_bytes(), Seen { how: LINK, ..Seen::default() });
        }
    }

    /// A program can ask where it is, and its loader does: by all links on the way, one after the other.
    pub(super) fn links_to(&self, who: &Who, program: &Path, glass: &Glass<'_>) {
        let mut path = program.to_owned();
        for _ in 0..LINKS {
            self.links_on(who, &path, glass);
            let mut above: Vec<&Path> = path.ancestors().collect();
            above.reverse();
            let next = above.into_iter().find_map(|link| {
                let text = PathBuf::from(OsString::from_vec(glass.link(link)?));
                let behind = path.strip_prefix(link).ok()?;
                Some(plain(&link.parent()?.join(text).join(behind)))
            });
            let Some(next) = next else { return };
            path = next;
        }
    }
}
