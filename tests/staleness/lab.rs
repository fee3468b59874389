//! One case's own machine: a project, a store, a home, and the system's directories to change.
//!
//! A lab has a thread and a mount namespace of its own, so that a case can replace the compiler or
//! a system header below an overlay, and nobody else sees it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use filetime::FileTime;

use crate::world::{Seeds, World, program};

/// Long ago, as dates from packages and commits are.
const OLD: i64 = 1_000_000_000;

/// What builds between two changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `larder run`, with a fresh store for each case.
    Larder,
    /// Plain cargo, with `target/` and its home left in place.
    Cargo,
    /// Another tool, by a script that is given the build command and runs in the sources.
    Peer,
}

impl Tool {
    /// What the environment asks for, larder if nothing.
    pub fn asked_for() -> Self {
        match std::env::var("LARDER_STALENESS_TOOL").as_deref() {
            Err(_) | Ok("larder") => Self::Larder,
            Ok("cargo") => Self::Cargo,
            Ok(words) if words.starts_with('/') => Self::Peer,
            Ok(other) => panic!(
                "LARDER_STALENESS_TOOL={other} is unknown; larder, cargo and absolute paths of scripts are known"
            ),
        }
    }
}

/// How a build ended.
#[derive(Clone, Debug)]
pub struct Built {
    pub code: i32,
    /// How many crates were compiled.
    pub compiled: usize,
    /// What stands where users take it, by name, as digests.
    pub artifacts: BTreeMap<String, blake3::Hash>,
    pub text: String,
}

pub struct Lab<'w> {
    world: &'w World,
    dir: PathBuf,
    tool: Tool,
    source: RefCell<PathBuf>,
    environment: RefCell<BTreeMap<String, String>>,
    words: RefCell<Vec<String>>,
    /// Where the artifacts are, below `target/`.
    profile: Cell<&'static str>,
    changes_system: Cell<bool>,
}

impl<'w> Lab<'w> {
    /// With the project `loaf`: one program that prints what its module `crumb` says.
    pub fn new(world: &'w World, dir: PathBuf, tool: Tool) -> Self {
        let lab = Self {
            source: RefCell::new(dir.join("loaf")),
            world,
            dir,
            tool,
            environment: RefCell::default(),
            words: RefCell::new(["cargo", "build", "--release"].map(str::to_owned).to_vec()),
            profile: Cell::new("release"),
            changes_system: Cell::new(false),
        };
        fs::create_dir_all(lab.home()).unwrap();
        lab.write("Cargo.toml", "[package]\nname = 'loaf'\nversion = '0.1.0'\nedition = '2021'\n");
        lab.write("src/main.rs", "mod crumb;\nfn main() { println!(\"{}\", crumb::TEXT); }\n");
        lab.write("src/crumb.rs", "pub const TEXT: &str = \"one\";\n");
        let home = lab.home();
        lab.set("HOME", home.to_str().unwrap());
        lab.set("PATH", &world.path);
        world.seed(&lab.store());
        lab
    }

    pub fn tool(&self) -> Tool {
        self.tool
    }

    /// Whether what is kept is in larder's store; else it is `target/` in the sources.
    pub fn is_larder(&self) -> bool {
        self.tool == Tool::Larder
    }

    /// The directory of everything in the lab.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn source(&self) -> PathBuf {
        self.source.borrow().clone()
    }

    pub fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    pub fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// A path in the source directory; an absolute one as it is.
    pub fn at(&self, path: &str) -> PathBuf {
        self.source().join(path)
    }

    /// A path in the lab, outside of the sources.
    pub fn outside(&self, path: &str) -> String {
        self.dir.join("outside").join(path).to_str().unwrap().to_owned()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    /// Writes a file, and gives it a time long ago.
    pub fn write_old(&self, path: &str, text: &str) {
        self.write(path, text);
        self.old(path);
    }

    /// Writes a program, with a time long ago.
    pub fn write_program(&self, path: &str, text: &str) {
        let _ = fs::remove_file(self.at(path));
        self.write(path, text);
        self.mode(path, 0o755);
        self.old(path);
    }

    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has no {from:?}");
        self.write(path, &text.replace(from, to));
    }

    /// Edits a file, and gives it a time long ago.
    pub fn edit_old(&self, path: &str, from: &str, to: &str) {
        self.edit(path, from, to);
        self.old(path);
    }

    pub fn old(&self, path: &str) {
        self.time(path, FileTime::from_unix_time(OLD, 0));
    }

    pub fn time(&self, path: &str, time: FileTime) {
        filetime::set_symlink_file_times(self.at(path), time, time).unwrap();
    }

    pub fn mtime(&self, path: &str) -> FileTime {
        FileTime::from_last_modification_time(&fs::symlink_metadata(self.at(path)).unwrap())
    }

    /// Does something and sets all modification times in the sources back, as `rsync -t` or a
    /// restored backup would; what is new gets a time long ago.
    pub fn with_times_kept(&self, change: impl FnOnce()) {
        let all = |dir: &Path| {
            let walk = walkdir::WalkDir::new(dir).into_iter();
            let walk = walk.filter_entry(|entry| entry.file_name() != "target");
            walk.map(|entry| entry.unwrap().into_path()).collect::<Vec<_>>()
        };
        let time = |path: &Path| {
            FileTime::from_last_modification_time(&fs::symlink_metadata(path).unwrap())
        };
        let before: BTreeMap<PathBuf, FileTime> =
            all(&self.source()).into_iter().map(|path| (path.clone(), time(&path))).collect();
        change();
        for path in all(&self.source()).iter().rev() {
            let time = before.get(path).copied().unwrap_or(FileTime::from_unix_time(OLD, 0));
            filetime::set_symlink_file_times(path, time, time).unwrap();
        }
    }

    pub fn remove(&self, path: &str) {
        let path = self.at(path);
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    pub fn rename(&self, from: &str, to: &str) {
        let to = self.at(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(self.at(from), to).unwrap();
    }

    pub fn link(&self, to: &str, path: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        symlink(to, path).unwrap();
    }

    pub fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Sets a variable of the builds that follow.
    pub fn set(&self, name: &str, value: &str) {
        self.environment.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    pub fn unset(&self, name: &str) {
        self.environment.borrow_mut().remove(name);
    }

    pub fn path_first(&self, dir: &str) {
        self.set("PATH", &format!("{dir}:{}", self.world.path));
    }

    /// What the builds that follow run.
    pub fn command(&self, words: &[&str]) {
        *self.words.borrow_mut() = words.iter().map(ToString::to_string).collect();
    }

    /// Where the builds that follow leave their artifacts, below `target/`.
    pub fn profile(&self, name: &'static str) {
        self.profile.set(name);
    }

    /// Lets the case change `/usr`, `/etc`, `/opt` and the Rust toolchain, for itself alone.
    pub fn change_system(&self) {
        if self.changes_system.replace(true) {
            return;
        }
        let mut places = vec![PathBuf::from("/usr"), PathBuf::from("/etc"), PathBuf::from("/opt")];
        if !self.world.sysroot.starts_with("/usr") {
            places.push(self.world.sysroot.clone());
        }
        for (index, place) in places.iter().enumerate() {
            let [upper, work] =
                ["upper", "work"].map(|name| self.dir.join(format!("{name}-{index}")));
            fs::create_dir_all(&upper).unwrap();
            fs::create_dir_all(&work).unwrap();
            let options = format!(
                "lowerdir={},upperdir={},workdir={}",
                place.display(),
                upper.display(),
                work.display()
            );
            self.sh(&format!("mount -t overlay overlay -o '{options}' '{}'", place.display()));
        }
    }

    /// Runs a shell script in the source directory, with the builds' environment.
    pub fn sh(&self, script: &str) -> String {
        let output = self.plain(&["sh", "-ec", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {output:#?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub fn git(&self, arguments: &str) -> String {
        let id = "-c user.name=x -c user.email=x@example.org -c init.defaultBranch=main";
        self.sh(&format!("git {id} {arguments}"))
    }

    /// The sources as a git repository with one commit.
    pub fn commit(&self) {
        if !self.at(".git").exists() {
            if !self.at(".gitignore").exists() {
                self.write(".gitignore", "/target\n");
            }
            self.git("init -q");
        }
        self.git("add -A");
        self.git("commit -qm next");
    }

    /// A directory of the Rust toolchain, with `bin` and `lib` in it.
    pub fn sysroot(&self) -> &Path {
        &self.world.sysroot
    }

    /// The machine's own copy of a tool.
    pub fn tool_path(&self, name: &str) -> String {
        program(&self.world.path, name)
    }

    /// Where the target directory is kept between two builds.
    pub fn target(&self) -> PathBuf {
        let profile = self.at("target").join(self.profile.get());
        let real = fs::canonicalize(profile).unwrap();
        real.ancestors().find(|dir| dir.ends_with("target")).unwrap().to_owned()
    }

    /// The first file that fits one of the patterns, below the profile's directory.
    pub fn in_target(&self, globs: &str) -> PathBuf {
        let dir = self.target().join(self.profile.get());
        let found =
            self.sh(&format!("cd '{}' && ls -d {globs} 2>/dev/null | head -n 1", dir.display()));
        assert!(!found.is_empty(), "nothing fits {globs}");
        dir.join(found)
    }

    /// Builds with the tool.
    pub fn build(&self) -> Built {
        let child = self.spawn();
        self.finish(&child.wait_with_output().unwrap())
    }

    /// Where seeds are tried now: builds go on by another command of Cargo's, by which nothing else is built. Says whether
    /// the next one has to begin with a seed.
    pub fn ask_otherwise(&self, when: Seeds) -> bool {
        let mut words = self.words.borrow_mut();
        let asks = self.world.seeds == Some(when) && words[0] == "cargo";
        if asks {
            words.push("--keep-going".to_owned());
        }
        asks
    }

    /// Starts a build with the tool, in a process group of its own.
    pub fn spawn(&self) -> Child {
        use std::os::unix::process::CommandExt;
        let words = self.words.borrow();
        let mut command = match self.tool {
            Tool::Larder => {
                let mut command = self.heeding(&[env!("CARGO_BIN_EXE_larder"), "run", "loaf"]);
                command.arg("--source").arg(self.source()).args(["--wait", "2m", "--"]);
                command.args(&*words);
                command.env("LARDER_STORE", self.store());
                command
            }
            Tool::Cargo => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                self.heeding(&words)
            }
            Tool::Peer => {
                let script = std::env::var("LARDER_STALENESS_TOOL").unwrap();
                let script = script.split(' ');
                self.heeding(&script.chain(words.iter().map(String::as_str)).collect::<Vec<_>>())
            }
        };
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command.spawn().unwrap()
    }

    /// A command that heeds the signals which whoever runs the tests in the background ignores.
    fn heeding(&self, words: &[&str]) -> Command {
        self.plain(&[&["env", "--default-signal=INT,QUIT"], words].concat())
    }

    fn plain(&self, words: &[impl AsRef<std::ffi::OsStr>]) -> Command {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().envs(&*self.environment.borrow());
        command.envs(self.world.variables()).current_dir(self.source()).stdin(Stdio::null());
        command
    }

    fn finish(&self, output: &Output) -> Built {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let compiled = text.lines().filter(|line| line.trim_start().starts_with("Compiling "));
        Built {
            code: output.status.code().unwrap_or(-1),
            compiled: compiled.count(),
            artifacts: self.artifacts(),
            text,
        }
    }

    /// What stands where users take it; dep-info, locks and a peer's own notes are nobody's artifacts.
    fn artifacts(&self) -> BTreeMap<String, blake3::Hash> {
        let mut found = BTreeMap::new();
        let dir = self.at("target").join(self.profile.get());
        for part in ["", "examples"] {
            let entries = fs::read_dir(dir.join(part)).into_iter().flatten().flatten();
            for entry in entries.filter(|entry| entry.file_type().unwrap().is_file()) {
                let name = entry.file_name().into_string().unwrap();
                let hashed = part == "examples" && name.rsplit_once('-').is_some();
                if entry.path().extension().is_none_or(|ending| ending != "d")
                    && !name.starts_with(".cargo-")
                    && !name.starts_with(".mbx-")
                    && !hashed
                {
                    let bytes = fs::read(entry.path()).unwrap();
                    found.insert(format!("{part}{name}"), blake3::hash(&bytes));
                }
            }
        }
        found
    }

    /// Builds from nothing without larder at the same path: from the sources as `pristine` has
    /// them, with an empty cache of Cargo's. Afterwards everything is as it was.
    pub fn cold(&self, pristine: &Path) -> Built {
        let (source, home) = (self.source(), self.home());
        let (used, kept) = (self.dir.join("used"), self.dir.join("kept-home"));
        fs::rename(&source, &used).unwrap();
        fs::rename(pristine, &source).unwrap();
        copy(&home, &kept);
        let cargo = home.join(".cargo");
        for name in ["registry", "git", ".package-cache", ".package-cache-mutate"] {
            let _ = fs::remove_dir_all(cargo.join(name));
            let _ = fs::remove_file(cargo.join(name));
        }
        let built = self.finish(&self.plain(&self.words.borrow()).output().unwrap());
        fs::remove_dir_all(&source).unwrap();
        fs::rename(&used, &source).unwrap();
        fs::remove_dir_all(&home).unwrap();
        fs::rename(&kept, &home).unwrap();
        built
    }

    /// A copy of the sources, times included, without `target`.
    pub fn copy_sources(&self) -> PathBuf {
        let (source, pristine) = (self.source(), self.dir.join("pristine"));
        let (target, aside) = (source.join("target"), self.dir.join("target-aside"));
        let has_target = target.symlink_metadata().is_ok();
        let time = FileTime::from_last_modification_time(&fs::metadata(&source).unwrap());
        if has_target {
            fs::rename(&target, &aside).unwrap();
        }
        filetime::set_file_mtime(&source, time).unwrap();
        copy(&source, &pristine);
        if has_target {
            fs::rename(&aside, &target).unwrap();
        }
        filetime::set_file_mtime(&source, time).unwrap();
        pristine
    }

    /// Moves the sources elsewhere, with what plain cargo keeps in them.
    pub fn move_sources(&self, name: &str) {
        let to = self.dir.join(name);
        fs::rename(self.source(), &to).unwrap();
        *self.source.borrow_mut() = to;
    }

    /// Replaces the sources by a fresh clone of a commit; plain cargo's `target/` moves along.
    pub fn clone_again(&self, commit: &str) {
        let (source, origin) = (self.source(), self.dir.join("origin"));
        let _ = fs::remove_dir_all(&origin);
        self.git(&format!("clone -q --bare . '{}'", origin.display()));
        let aside = self.dir.join("target-aside");
        let was_built = source.join("target").symlink_metadata().is_ok();
        if was_built {
            fs::rename(source.join("target"), &aside).unwrap();
        }
        fs::remove_dir_all(&source).unwrap();
        fs::create_dir(&source).unwrap();
        self.git(&format!("clone -q '{}' .", origin.display()));
        self.git(&format!("-c advice.detachedHead=false checkout -q {commit}"));
        if was_built && !self.is_larder() {
            fs::rename(&aside, source.join("target")).unwrap();
        } else if was_built {
            fs::remove_dir_all(&aside).unwrap();
        }
    }
}

pub fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(done.success());
}
