//! Whose file something is, for people.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::super::places::usr_merged;
use super::{dpkg, listing};

/// Where packages put files.
const TOPS: [&str; 3] = ["/etc/", "/opt/", "/usr/"];

/// The packages of dpkg's that have some of these files, which are as seen from `root`. What cannot be read has no
/// owner.
pub(crate) fn owners(root: &Path, paths: &BTreeSet<&Path>) -> BTreeMap<PathBuf, String> {
    let mut wanted: BTreeMap<String, Vec<&Path>> = BTreeMap::new();
    for path in paths {
        let text = usr_merged(&path.to_string_lossy());
        if TOPS.iter().any(|top| text.starts_with(top)) {
            wanted.entry(text).or_default().push(path);
        }
    }
    let mut owners = BTreeMap::new();
    if wanted.is_empty() {
        return owners;
    }
    let info = root.join(dpkg::INFO);
    for name in listing(&info).unwrap_or_default() {
        let Some(package) = name.strip_suffix(".list") else { continue };
        let Ok(list) = std::fs::read_to_string(info.join(&name)) else { continue };
        for path in list.lines().filter_map(|file| wanted.get(&usr_merged(file))).flatten() {
            owners.insert((*path).to_owned(), package.to_owned());
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_of_the_package_that_lists_it_wherever_usr_is_merged() {
        let root = tempfile::tempdir().unwrap();
        let info = root.path().join(dpkg::INFO);
        fs::create_dir_all(&info).unwrap();
        fs::write(info.join("libc6:amd64.list"), "/.\n/lib/x/libc.so.6\n/etc/a.conf\n").unwrap();
        fs::write(info.join("zlib1g-dev:amd64.list"), "/usr/include/zlib.h\n").unwrap();
        let paths = [
            "/usr/lib/x/libc.so.6",
            "/lib/x/libc.so.6",
            "/usr/include/zlib.h",
            "/usr/none",
            "/tmp",
        ];
        let owners = owners(root.path(), &paths.iter().map(Path::new).collect());
        let of = |path: &str| owners.get(Path::new(path)).map(String::as_str);
        let expected =
            [Some("libc6:amd64"), Some("libc6:amd64"), Some("zlib1g-dev:amd64"), None, None];
        assert_eq!(paths.map(of), expected);
    }
}
