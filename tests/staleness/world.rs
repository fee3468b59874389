//! What all cases share: the toolchain, the flags of this run, and a store whose first look at the
//! machine is done.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A run of the suite: one tool chain, one layout of the target directory.
pub struct World {
    /// Everything of this run; removed at its end.
    pub dir: PathBuf,
    /// The toolchain's own directory, without rustup's proxies.
    pub sysroot: PathBuf,
    /// `PATH` of all builds.
    pub path: String,
    new_layout: bool,
    /// When builds go on by another command of Cargo's, so that its directory begins with what that of the first one holds.
    pub seeds: Option<Seeds>,
}

/// When a directory begins with what another one holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// Before the change: it is made of what a seed brought.
    Before,
    /// After the change.
    After,
}

impl World {
    /// `LARDER_STALENESS=new-layout` asks for the layout that Cargo has from 1.100 on, `seeded` and
    /// `seeded-before` for another directory after the change and before it.
    pub fn new() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let work =
            std::env::var("LARDER_WORK").unwrap_or_else(|_| format!("/var/tmp/larder-dev-{uid}"));
        let dir = PathBuf::from(work).join("staleness").join(std::process::id().to_string());
        fs::create_dir_all(&dir).unwrap();
        let output = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
        let sysroot = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        let system = "/usr/local/bin:/usr/bin:/bin";
        let path = if sysroot == Path::new("/usr") {
            system.to_owned()
        } else {
            format!("{}/bin:{system}", sysroot.display())
        };
        let (new_layout, seeds) = match std::env::var("LARDER_STALENESS").as_deref() {
            Err(_) => (false, None),
            Ok("new-layout") => (true, None),
            Ok("seeded") => (false, Some(Seeds::After)),
            Ok("seeded-before") => (false, Some(Seeds::Before)),
            Ok(other) => {
                panic!(
                    "LARDER_STALENESS={other} is unknown; new-layout, seeded and seeded-before are"
                )
            }
        };
        let world = Self { dir, sysroot, path, new_layout, seeds };
        world.look_once();
        world
    }

    /// The first identification reads compilers, headers and sysroot, which takes seconds.
    fn look_once(&self) {
        let source = self.dir.join("template-source");
        fs::create_dir_all(&source).unwrap();
        let done = Command::new(env!("CARGO_BIN_EXE_larder"))
            .args(["provision", "scratch", "--source"])
            .arg(&source)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", &self.dir)
            .env("LARDER_STORE", self.dir.join("template"))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success());
    }

    /// A store that knows the machine and holds nothing.
    pub fn seed(&self, store: &Path) {
        crate::lab::copy(&self.dir.join("template"), store);
    }

    /// What this run sets besides: Cargo takes unstable options from variables too.
    pub fn variables(&self) -> BTreeMap<&'static str, &'static str> {
        let all = [("RUSTC_BOOTSTRAP", "1"), ("CARGO_UNSTABLE_BUILD_DIR_NEW_LAYOUT", "true")];
        all.into_iter().filter(|_| self.new_layout).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Where a program is on a `PATH`.
pub fn program(path: &str, name: &str) -> String {
    let found = std::env::split_paths(path).map(|dir| dir.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no {name} in {path}")).to_str().unwrap().to_owned()
}
