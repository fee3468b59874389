//! What a build script's run left behind.

use std::path::Path;

use super::inputs::{printed, read_output};
use super::listing::Reader;
use super::{Layout, LayoutError, Unit};

/// What matters about an `OUT_DIR`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutDir {
    /// Something is in it.
    pub filled: bool,
    /// An object file or a library is in it, at any depth.
    pub objects: bool,
    /// The run gave variables to the compilation (`rustc-env`).
    pub sets_env: bool,
}

impl Layout {
    /// What the run of a build script left; nothing for any other unit.
    pub(crate) fn out_dir(&self, unit: &Unit) -> Result<Option<OutDir>, LayoutError> {
        let reader = Reader { target: &self.target };
        let Some(path) = &unit.out_dir else {
            return Ok(None);
        };
        let mut seen = OutDir::default();
        look(&reader, path, &mut seen)?;
        let output = read_output(&reader, unit)?.unwrap_or_default();
        seen.sets_env = printed(&output, "rustc-env").next().is_some();
        Ok(Some(seen))
    }
}

fn look(reader: &Reader<'_>, directory: &Path, seen: &mut OutDir) -> Result<(), LayoutError> {
    for item in reader.list(directory)? {
        seen.filled = true;
        if item.kind.is_dir() {
            look(reader, &item.path, seen)?;
        } else if is_object(&item.name) {
            seen.objects = true;
        }
        if seen.objects {
            break;
        }
    }
    Ok(())
}

/// Object files and libraries by name, `libz.so.1.2` too.
fn is_object(name: &str) -> bool {
    let mut endings = name.split('.').skip(1);
    let last = name.rsplit_once('.').map_or("", |(_, last)| last);
    ["o", "a", "obj", "lib", "rlib", "dylib"].contains(&last) || endings.any(|part| part == "so")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_known_by_name() {
        for name in ["a.o", "libz.a", "libz.so", "libz.so.1.2", "x.obj", "x.lib", "x.rlib"] {
            assert!(is_object(name), "{name}");
        }
        for name in ["a.rs", "o", "so", "a.out", "x.sol", "a.o.d"] {
            assert!(!is_object(name), "{name}");
        }
    }
}
