//! Files that build scripts and proc macros name in their text, and tell Cargo nothing of (decision 23).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::place::{Where, plain};

/// Places that are looked at otherwise, or that are no files of anybody's.
const ELSEWHERE: [&str; 16] = [
    "/bin",
    "/dev",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr/bin",
    "/usr/include",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/sbin",
];

impl Where {
    /// Whether a text of a program may be the path of a file that nobody else looks at: an
    /// absolute one whose first name is there, a hidden one at home, or one that climbs.
    pub(crate) fn may_be_mentioned(&self, text: &[u8]) -> bool {
        let path = Path::new(OsStr::from_bytes(text));
        if text.starts_with(b"/../") || text.starts_with(b"/.") && text.len() > 3 {
            return true;
        }
        let first = path.components().nth(1).map(|name| Path::new("/").join(name));
        first.is_some_and(|first| {
            path.components().count() > 2
                && !ELSEWHERE.iter().any(|other| path.starts_with(other))
                && self.real_of_compiler(&first).is_dir()
        })
    }

    /// The files, as the compiler sees them, that such texts stand for now.
    pub(crate) fn mentioned(
        &self,
        texts: &BTreeSet<Vec<u8>>,
        packages: &[PathBuf],
    ) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        for text in texts {
            let text = Path::new(OsStr::from_bytes(text));
            let inner = text.strip_prefix("/").unwrap_or(text);
            if inner.starts_with("..") {
                found.extend(packages.iter().filter_map(|package| self.longest(package, inner)));
            } else {
                found.extend(self.longest(Path::new("/"), inner));
                found.extend(self.home.iter().filter_map(|home| self.longest(home, inner)));
            }
        }
        found
    }

    /// The file that a text begins with, below a directory: the longest name of each directory
    /// that the text can mean.
    fn longest(&self, base: &Path, text: &Path) -> Option<PathBuf> {
        let mut path = base.to_owned();
        for part in text {
            if part == ".." {
                path.pop();
                continue;
            }
            let next = path.join(part);
            if self.real_of_compiler(&next).symlink_metadata().is_ok() {
                path = next;
                continue;
            }
            // The next literal may begin with a slash of its own.
            if self.real_of_compiler(&path).is_file() {
                break;
            }
            let entries = std::fs::read_dir(self.real_of_compiler(&path)).ok()?;
            let names = entries.flatten().map(|entry| entry.file_name());
            let fits = names.filter(|name| part.as_bytes().starts_with(name.as_bytes()));
            path = path.join(fits.max_by_key(|name| name.len())?);
            break;
        }
        let path = plain(&path);
        let counts = !ELSEWHERE.iter().any(|other| path.starts_with(other))
            && !self.real_of_compiler(&path).starts_with(&self.built.target)
            && !path.starts_with(self.seen_by_compiler(&self.source));
        (counts && self.real_of_compiler(&path).is_file()).then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::Built;
    use super::*;

    #[test]
    fn texts_stand_for_files_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for file in [
            "etc/os-release",
            "etc/hosts",
            "home/.loafrc",
            "src/loaf/Cargo.toml",
            "src/data",
            "usr/bin/cc",
        ] {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let place = Where {
            root: root.to_owned(),
            source: root.join("src/loaf"),
            built: Built::at(root.join("src/loaf/target")),
            home: Some(PathBuf::from("/home")),
            ..Where::default()
        };
        let texts = [
            "/etc/os-releaseOUT_DIR/text",
            "/text",
            "/.loafrcHOME",
            "/../dataCARGO",
            "/usr/bin/cc",
            "/etc/hosts/textOUT_DIR",
            "/etc/shadowed",
            "/etc",
        ];
        let counting: BTreeSet<Vec<u8>> = texts
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .filter(|text| place.may_be_mentioned(text))
            .collect();
        let found = place.mentioned(&counting, &[PathBuf::from("/src/loaf")]);
        let expected = ["/etc/hosts", "/etc/os-release", "/home/.loafrc", "/src/data"];
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected.map(PathBuf::from));
    }
}
