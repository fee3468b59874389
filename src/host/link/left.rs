//! Artifacts of a kept directory that goes: copies where users take them, of which a list says which they are, so that
//! the next use takes them away and nobody takes them for its own.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::{LinkError, is_another, leave_no_way, place_copies};
use crate::base::digest::Digest;
use crate::base::path_error::At;
use crate::base::{atomic, regular};
use crate::store::evict;

/// The list, in the directory at the name: of each copy the digest, a space, the path relative to it, and a zero.
const LIST: &str = ".larder-left";

/// No list is longer: a path has at most 4096 bytes.
const LONGEST: u64 = 16 << 20;

/// Leaves copies of artifacts at the name, by path relative to the kept directory. What led to another one goes: it
/// would pass for what this use made.
pub(crate) fn leave_copies(
    place: &Path,
    kept: &Path,
    artifacts: &[PathBuf],
) -> Result<(), LinkError> {
    leave_no_way(place)?;
    // What is there already with the same content is somebody's; what has another one is replaced.
    let is_ours = |path: &&PathBuf| {
        let is_there = place.join(path).symlink_metadata().is_ok();
        kept.join(path).is_file() && (!is_there || is_another(place, kept, path))
    };
    let mut list = Vec::new();
    for path in artifacts.iter().filter(is_ours) {
        let digest = Digest::of_file(&kept.join(path)).at("read", kept.join(path))?;
        list.extend_from_slice(digest.to_string().as_bytes());
        list.push(b' ');
        list.extend_from_slice(path.as_os_str().as_bytes());
        list.push(0);
    }
    if !list.is_empty() {
        // First: what is on it and not there is no harm.
        atomic::write_copy(&place.join(LIST), &list)?;
    }
    place_copies(place, kept, artifacts)
}

/// Takes away what an earlier use left so, as far as it is still that.
pub(super) fn take_back(place: &Path) -> Result<(), LinkError> {
    let path = place.join(LIST);
    let Ok(list) = regular::read_own(&path, LONGEST) else { return Ok(()) };
    for line in list.split(|byte| *byte == 0) {
        let Some(space) = memchr::memchr(b' ', line) else { continue };
        let digest = std::str::from_utf8(&line[..space]).ok().and_then(|text| text.parse().ok());
        let path = Path::new(std::ffi::OsStr::from_bytes(&line[space + 1..]));
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if let Some(digest) = digest.filter(|_| is_plain && is_below(place, path)) {
            evict::remove_left(&place.join(path), digest)?;
            for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
                evict::remove_empty_dir(&place.join(above))?;
            }
        }
    }
    Ok(evict::remove_unchanged(&path, &list)?)
}

/// Whether a path leads nowhere else on its way.
fn is_below(place: &Path, path: &Path) -> bool {
    let is_dir = |above: &Path| fs::symlink_metadata(place.join(above)).is_ok_and(|it| it.is_dir());
    path.ancestors().skip(1).all(is_dir)
}
