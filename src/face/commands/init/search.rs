//! Scripts of a repository, searched for: so many names, so many files, no link, nothing that builds leave.

use std::fs::{self, DirEntry};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::base::regular;
use crate::image::script;

/// So many names are looked at. An image repository has a few hundred.
const NAMES: usize = 20_000;

/// So many scripts are read, and no longer ones.
const SCRIPTS: usize = 1_000;
const LENGTH: u64 = 256 << 10;

/// What is no part of the sources of an image: what mkosi keeps, what goes into the image, what others bring.
const OTHERS: [&str; 9] = [
    "mkosi.builddir",
    "mkosi.cache",
    "mkosi.extra",
    "mkosi.output",
    "mkosi.skeleton",
    "mkosi.tools",
    "mkosi.workspace",
    "node_modules",
    "target",
];

/// The shell scripts below a directory.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub scripts: Vec<(PathBuf, String)>,
    /// Whether there was more than is looked at.
    pub is_cut: bool,
}

/// Searches, what is nearer first.
pub(super) fn scripts(root: &Path) -> Found {
    let mut found = Found::default();
    let mut waiting = std::collections::VecDeque::from([root.to_owned()]);
    let mut seen = 0;
    while let Some(dir) = waiting.pop_front() {
        let Ok(names) = fs::read_dir(&dir) else { continue };
        let mut entries: Vec<DirEntry> = names.flatten().take(NAMES - seen + 1).collect();
        entries.sort_by_key(DirEntry::file_name);
        seen += entries.len();
        if seen > NAMES || found.scripts.len() > SCRIPTS {
            found.is_cut = true;
            return found;
        }
        for entry in entries {
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            if kind.is_dir() && is_ours(&path) {
                waiting.push_back(path);
            } else if kind.is_file() && may_be_script(&entry) {
                let bytes = regular::read(&path, LENGTH).ok();
                let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
                found
                    .scripts
                    .extend(text.filter(|text| script::is_shell(text)).map(|text| (path, text)));
            }
        }
    }
    found
}

/// Whether a directory is of this repository, and of its sources.
fn is_ours(dir: &Path) -> bool {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let inner = [".git", "CACHEDIR.TAG"].iter().any(|own| dir.join(own).exists());
    !name.starts_with('.') && !OTHERS.contains(&name.as_ref()) && !inner
}

fn may_be_script(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let named = [".sh", ".bash"].iter().any(|end| name.to_string_lossy().ends_with(end));
    let is_program = || {
        let mode = entry.metadata().map(|metadata| metadata.permissions().mode());
        mode.is_ok_and(|mode| mode & 0o111 != 0) && !name.to_string_lossy().contains('.')
    };
    named || is_program()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_found_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for (file, text, mode) in [
            ("a.sh", "cargo build\n", 0o644),
            ("b/c", "#!/bin/bash\n", 0o755),
            ("b/plain", "#!/bin/bash\n", 0o644),
            ("b/python", "#!/usr/bin/python3\n", 0o755),
            ("target/x.sh", "", 0o755),
            ("mkosi.builddir/x.sh", "", 0o755),
            (".hidden/x.sh", "", 0o755),
            ("project/.git", "", 0o644),
            ("project/x.sh", "", 0o755),
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        std::os::unix::fs::symlink("/", root.join("link")).unwrap();
        std::os::unix::fs::symlink("a.sh", root.join("link.sh")).unwrap();
        let found = scripts(root);
        let names: Vec<_> =
            found.scripts.iter().map(|(path, _)| path.strip_prefix(root).unwrap()).collect();
        assert_eq!((names, found.is_cut), (vec![Path::new("a.sh"), Path::new("b/c")], false));
    }
}
