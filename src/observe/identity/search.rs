//! Where programs are found.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Environment;

/// The directories of `PATH`, and after them that of `CARGO_HOME`: a toolchain in places of its own is put on
/// the path within the command, where nobody else sees it.
pub(super) struct Search {
    path: Vec<PathBuf>,
}

impl Search {
    /// As the environment says; `execvp(3)`'s default where it does not.
    pub(super) fn new(environment: &Environment) -> Self {
        let path = environment.get(OsStr::new("PATH"));
        let path = path.map_or_else(|| "/bin:/usr/bin".into(), Clone::clone);
        let absolute = |dir: &PathBuf| dir.is_absolute();
        let home = environment.get(OsStr::new("CARGO_HOME"));
        let own = home.map(|home| Path::new(home).join("bin"));
        Self { path: std::env::split_paths(&path).chain(own).filter(absolute).collect() }
    }

    /// The directories, in order.
    pub(super) fn directories(&self) -> &[PathBuf] {
        &self.path
    }

    /// The program that a name stands for.
    pub(super) fn find(&self, name: &Path) -> Option<PathBuf> {
        let runs = |path: &PathBuf| {
            let metadata = std::fs::metadata(path);
            metadata.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        };
        if name.components().count() > 1 {
            return Some(name.to_owned()).filter(runs);
        }
        self.path.iter().map(|dir| dir.join(name)).find(runs)
    }

    /// Whether a name stands for a program that no interpreter reads, which might set variables.
    pub(super) fn finds_binary(&self, name: &Path) -> bool {
        use std::io::Read;
        let mut start = [0; 4];
        let opened = self.find(name).and_then(|path| std::fs::File::open(path).ok());
        let read = opened.is_some_and(|mut file| file.read_exact(&mut start).is_ok());
        read && start == *b"\x7fELF"
    }

    /// The directories as one text.
    pub(super) fn shown_path(&self) -> String {
        let parts = self.path.iter().map(|dir| dir.display().to_string());
        parts.collect::<Vec<_>>().join(":")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_toolchain_in_places_of_its_own_is_found_after_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let (usr, home) = (dir.path().join("usr/bin"), dir.path().join("cargo/bin"));
        for (place, name) in [(&usr, "cargo"), (&home, "cargo"), (&home, "rustc")] {
            fs::create_dir_all(place).unwrap();
            fs::write(place.join(name), "").unwrap();
            fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut environment = Environment::new();
        environment.insert("PATH".into(), usr.clone().into());
        assert_eq!(Search::new(&environment).find(Path::new("rustc")), None);
        environment.insert("CARGO_HOME".into(), dir.path().join("cargo").into());
        let search = Search::new(&environment);
        assert_eq!(search.find(Path::new("rustc")), Some(home.join("rustc")));
        assert_eq!(search.find(Path::new("cargo")), Some(usr.join("cargo")));
    }
}
