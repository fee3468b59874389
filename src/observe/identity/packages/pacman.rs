//! pacman's database (`local/<name>-<version>/desc` and `mtree`): every package counts.

use std::path::Path;

use super::{Packages, PackagesError, listing, short};

/// The database, relative to the root.
pub(super) const LOCAL: &str = "var/lib/pacman/local";

/// All installed packages. Arch has no split into runtime and development packages.
pub(super) fn observe(root: &Path) -> Result<Packages, PackagesError> {
    let local = root.join(LOCAL);
    let mut packages = Packages { manager: "pacman".to_owned(), ..Packages::default() };
    for name in listing(&local)? {
        let dir = local.join(name);
        let Ok(desc) = std::fs::read_to_string(dir.join("desc")) else { continue };
        let value = |key: &str| {
            let mut lines = desc.lines().skip_while(|line| *line != key).skip(1);
            lines.next().unwrap_or_default().to_owned()
        };
        let files = std::fs::read(dir.join("mtree")).unwrap_or_default();
        packages
            .tracked
            .insert(value("%NAME%"), format!("{} {}", value("%VERSION%"), short(&files)));
    }
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_are_read() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join(LOCAL).join("zlib-1.3.1-2");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("desc"), "%NAME%\nzlib\n\n%VERSION%\n1:1.3.1-2\n").unwrap();
        let before = observe(root.path()).unwrap();
        assert!(before.tracked["zlib"].starts_with("1:1.3.1-2 "));
        std::fs::write(dir.join("mtree"), "other").unwrap();
        assert_ne!(observe(root.path()).unwrap(), before);
    }
}
