//! A copy of the example image repository, for one test and one way of running mkosi.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Who runs mkosi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Whoever runs the tests.
    Own,
    /// A plain user, made for the tests by root.
    User,
    /// The same user, in a namespace with a range of subordinate ids.
    Subordinate,
}

impl Mode {
    /// A command as this user, with a clean environment.
    pub fn command(self, program: impl AsRef<std::ffi::OsStr>, dir: &Path) -> Command {
        let user = ["runuser", "-u", USER, "--"];
        let subordinate =
            ["unshare", "--map-auto", "--map-root-user", "--setuid=0", "--setgid=0", "--"];
        let words: Vec<&str> = match self {
            Self::Own => vec![],
            Self::User => user.to_vec(),
            Self::Subordinate => [&user[..], &subordinate].concat(),
        };
        let mut command = Command::new("env");
        let home = if self == Self::Own {
            std::env::var("HOME").unwrap()
        } else {
            format!("/home/{USER}")
        };
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        command.env_clear().env("HOME", home).env("PATH", path).stdin(Stdio::null());
        command.args(words).arg(program).current_dir(dir);
        command
    }

    /// Has this user own a tree.
    pub fn give(self, path: &Path) {
        if self != Self::Own {
            make_user();
            chown(path);
        }
    }
}

/// The user that root makes for the tests.
const USER: &str = "larder-test";

/// Keeps builds waiting for as long as it is there.
pub struct Hold(PathBuf);

impl Drop for Hold {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What a command printed, on both streams, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub text: String,
}

impl Said {
    pub fn of(output: &Output) -> Self {
        let text = [output.stdout.as_slice(), &output.stderr].concat();
        Self {
            code: output.status.code().unwrap_or(-1),
            text: String::from_utf8_lossy(&text).into_owned(),
        }
    }

    #[track_caller]
    pub fn succeeds(&self) {
        assert_eq!(self.code, 0, "{self:#?}");
    }
}

/// The versions of mkosi that `scripts/mkosi-setup` provides.
pub fn versions() -> [&'static str; 2] {
    ["25.3", "27.1"]
}

/// All ways of running mkosi that the user of these tests can try.
pub fn modes() -> Vec<Mode> {
    if is_root() { vec![Mode::Own, Mode::User, Mode::Subordinate] } else { vec![Mode::Own] }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where everything that the tests make is.
pub fn work() -> PathBuf {
    let own = || format!("/var/tmp/larder-dev-{}", rustix::process::geteuid().as_raw());
    PathBuf::from(std::env::var("LARDER_WORK").unwrap_or_else(|_| own()))
}

pub struct Image {
    dir: PathBuf,
    store: PathBuf,
    mkosi: PathBuf,
    mode: Mode,
    /// The name of the project that is compiled, and of its binary.
    name: &'static str,
}

impl Image {
    /// A repository with nothing but a configuration, for what needs no image.
    pub fn bare(name: &str, version: &str, mode: Mode) -> Self {
        let image = Self::start(name, version, mode);
        image.reset();
        image
    }

    /// Such a repository in place of whatever there is.
    pub fn reset(&self) {
        let repository = self.repository();
        let _ = fs::remove_dir_all(&repository);
        fs::create_dir_all(&repository).unwrap();
        let conf = "[Distribution]\nDistribution=debian\nRelease=trixie\n[Output]\nFormat=none\n";
        fs::write(repository.join("mkosi.conf"), conf).unwrap();
        self.git_in(&repository, &["init", "-q", "-b", "main"]);
        self.give_away();
    }

    /// The example as it is.
    pub fn example(name: &str, version: &str, mode: Mode) -> Self {
        let image = Self::start(name, version, mode);
        let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/image-setup");
        let made = Command::new(setup).arg(image.repository()).output().unwrap();
        Said::of(&made).succeeds();
        image.keep_caches(version);
        image.rename(name);
        image.give_away();
        image
    }

    fn start(name: &str, version: &str, mode: Mode) -> Self {
        let mkosi = work().join(format!("bin/mkosi-{version}"));
        assert!(mkosi.exists(), "no {}: run scripts/mkosi-setup", mkosi.display());
        let dir = work().join("test").join(format!("{name}-{version}-{mode:?}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let image = Self { store: dir.join("store"), dir, mkosi, mode, name: "pantry" };
        image.copy_larder();
        image
    }

    /// The example with a small project in place of the large one: two packages, one with a build
    /// script, no dependencies.
    pub fn tiny(name: &str, version: &str, mode: Mode) -> Self {
        let image = Self::example(name, version, mode);
        let project = image.project();
        fs::remove_dir_all(&project).unwrap();
        for (file, text) in TINY {
            let path = project.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        image.git(&["init", "-q", "-b", "main"]);
        image.commit();
        image
    }

    /// The same with another name for the project.
    pub fn with_project(mut self, name: &'static str) -> Self {
        let old = self.project();
        for file in ["Cargo.toml", "Cargo.lock"] {
            let path = old.join(file);
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replace(self.name, name)).unwrap();
        }
        let script = self.repository().join("mkosi.build");
        let text = fs::read_to_string(&script).unwrap();
        fs::write(&script, text.replace(self.name, name)).unwrap();
        self.name = name;
        fs::rename(&old, self.project()).unwrap();
        self.commit();
        self
    }

    pub fn with_store_of(mut self, other: &Self) -> Self {
        self.store.clone_from(&other.store);
        self
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn store(&self) -> PathBuf {
        self.store.clone()
    }

    fn repository(&self) -> PathBuf {
        self.dir.join("image")
    }

    fn project(&self) -> PathBuf {
        self.repository().join(self.name)
    }

    pub fn larder(&self) -> PathBuf {
        self.dir.join("larder")
    }

    /// The binary where every user can start it.
    fn copy_larder(&self) {
        fs::copy(env!("CARGO_BIN_EXE_larder"), self.larder()).unwrap();
        fs::set_permissions(self.larder(), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// mkosi's own caches stay from one test to the next: a first image takes a minute.
    fn keep_caches(&self, version: &str) {
        let who = if self.mode == Mode::Own { "own" } else { "user" };
        let kept = work().join("test").join(format!("mkosi.cache-{version}-{who}"));
        fs::create_dir_all(&kept).unwrap();
        let cache = self.repository().join("mkosi.cache");
        fs::remove_dir_all(&cache).unwrap();
        symlink(&kept, &cache).unwrap();
        self.mode.give(&kept);
    }

    fn rename(&self, name: &str) {
        let conf = self.repository().join("mkosi.conf");
        let text = fs::read_to_string(&conf).unwrap();
        fs::write(&conf, text.replace("ImageId=pantry", &format!("ImageId={name}"))).unwrap();
    }

    fn give_away(&self) {
        self.mode.give(&self.dir);
    }

    /// A command as the user of this image, in the repository, with a clean environment.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.mode.command(program, &self.repository())
    }

    pub fn init(&self) {
        self.init_at(&self.store, &[]).succeeds();
    }

    pub fn init_at(&self, store: &Path, arguments: &[&str]) -> Said {
        let mut command = self.command(self.larder());
        command.arg("--store").arg(store).arg("init").arg("--mkosi").arg(&self.mkosi);
        Said::of(&command.arg("--").args(arguments).output().unwrap())
    }

    pub fn build_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&self.mkosi);
        command.arg("--force").arg(format!("--include={}/mkosi.conf", self.store.display()));
        command.args(arguments).arg("build");
        command
    }

    pub fn build(&self, arguments: &[&str]) -> Said {
        Said::of(&self.build_command(arguments).output().unwrap())
    }

    /// mkosi itself, with arguments and nothing of larder's.
    pub fn mkosi(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command(&self.mkosi).args(arguments).output().unwrap())
    }

    /// larder, with the image's store.
    pub fn larder_at(&self, store: &Path, arguments: &[&str]) -> Said {
        let mut command = self.command(self.larder());
        Said::of(&command.arg("--store").arg(store).args(arguments).output().unwrap())
    }

    /// `larder init` with options of its own and arguments for mkosi.
    pub fn init_with(&self, options: &[&str], arguments: &[&str]) -> Said {
        let mkosi = self.mkosi.to_str().unwrap();
        let words = [&["init", "--mkosi", mkosi], options, &["--"], arguments].concat();
        self.larder_at(&self.store, &words)
    }

    /// Puts files into the repository, executable if they are scripts, and commits all of it.
    pub fn put(&self, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = self.repository().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        self.git_in(&self.repository(), &["add", "-A"]);
        self.git_in(&self.repository(), &["commit", "-q", "--allow-empty", "-m", "next"]);
        self.give_away();
    }

    /// What git says of the repository.
    pub fn changed_files(&self) -> String {
        self.git_in(&self.repository(), &["status", "--porcelain"])
    }

    /// The repository, for those who look into it.
    pub fn root(&self) -> PathBuf {
        self.repository()
    }

    /// A copy of the repository elsewhere, with the same store.
    pub fn checkout(&self, name: &str) -> Self {
        let dir = work().join("test").join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let copied =
            Command::new("cp").arg("-a").arg(self.repository()).arg(&dir).output().unwrap();
        Said::of(&copied).succeeds();
        let copy = Self {
            store: self.store.clone(),
            dir,
            mkosi: self.mkosi.clone(),
            mode: self.mode,
            name: self.name,
        };
        copy.copy_larder();
        copy.give_away();
        copy
    }

    /// mkosi's caches as a copy of their own, for who removes them.
    pub fn own_caches(&self) {
        let cache = self.repository().join("mkosi.cache");
        let kept = fs::canonicalize(&cache).unwrap();
        fs::remove_file(&cache).unwrap();
        let copied = Command::new("cp").arg("-a").arg(kept).arg(&cache).output().unwrap();
        Said::of(&copied).succeeds();
        self.give_away();
    }

    /// How many packages the last use of the project in a store compiled.
    pub fn compiled_in(&self, store: &Path) -> u64 {
        let said = self.larder_at(store, &["status", self.name, "--json"]);
        said.succeeds();
        let status: serde_json::Value = serde_json::from_str(&said.text).unwrap();
        status["entries"][0]["record"]["last"]["closed"]["compiled"].as_u64().unwrap()
    }

    /// The command that starts mkosi.
    pub fn mkosi_path(&self) -> &str {
        self.mkosi.to_str().unwrap()
    }

    /// Removes the repository.
    pub fn delete(&self) {
        fs::remove_dir_all(self.repository()).unwrap();
    }

    pub fn build_without_larder(&self) -> Said {
        Said::of(&self.command(&self.mkosi).args(["--force", "build"]).output().unwrap())
    }

    /// The last use of the project, of all its directories.
    pub fn last(&self) -> serde_json::Value {
        let output = self
            .command(self.larder())
            .arg("--store")
            .arg(&self.store)
            .args(["status", self.name, "--json"])
            .output()
            .unwrap();
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let uses =
            status["entries"].as_array().unwrap().iter().map(|entry| &entry["record"]["last"]);
        let last =
            uses.filter(|last| !last.is_null()).max_by_key(|last| last["opened"]["at"].to_string());
        last.unwrap().clone()
    }

    /// What happened last, whatever became of the directory.
    pub fn last_event(&self) -> serde_json::Value {
        let said = self.larder_at(&self.store, &["history", "--last", "1", "--json"]);
        let told: serde_json::Value = serde_json::from_str(&said.text).unwrap();
        told["events"][0].clone()
    }

    pub fn status_text(&self) -> String {
        let output = self
            .command(self.larder())
            .arg("--store")
            .arg(&self.store)
            .arg("status")
            .output()
            .unwrap();
        Said::of(&output).text
    }

    /// Writes the store's policy.
    pub fn policy(&self, text: &str) {
        fs::write(self.store.join("larder.toml"), text).unwrap();
    }

    pub fn why(&self) -> String {
        let last = self.last();
        let why = last["why"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
        why.collect::<Vec<_>>().join("\n")
    }

    pub fn toolchain(&self, version: &str) {
        let done = self.command("./toolchain").arg(version).output().unwrap();
        Said::of(&done).succeeds();
    }

    /// One of the example's additions, each with a cache of its own.
    pub fn extra(&self, name: &str) {
        let link = self.repository().join("mkosi.conf.d/extra.conf");
        let _ = fs::remove_file(&link);
        let text =
            fs::read_to_string(self.repository().join(format!("extras/{name}.conf"))).unwrap();
        fs::write(&link, format!("{text}\n[Build]\nCacheDirectory=mkosi.cache/{name}\n")).unwrap();
        fs::create_dir_all(self.repository().join(format!("mkosi.cache/{name}"))).unwrap();
    }

    pub fn set_rust_version(&self, version: &str) {
        for manifest in ["Cargo.toml", "flour/Cargo.toml"] {
            let path = self.project().join(manifest);
            let text = fs::read_to_string(&path).unwrap();
            let wanted = format!("edition = '2021'\nrust-version = '{version}'\n");
            fs::write(&path, text.replace("edition = '2021'\n", &wanted)).unwrap();
        }
        self.commit();
    }

    /// Has the command that larder runs do something first; the text is inside of double quotes.
    pub fn begins_with(&self, text: &str) {
        let script = self.repository().join("mkosi.build");
        let before = fs::read_to_string(&script).unwrap();
        let command = "cargo fetch --locked";
        fs::write(&script, before.replace(command, &format!("{text}\n        {command}"))).unwrap();
    }

    /// Makes builds wait, inside of the command that larder runs, until what is returned is gone;
    /// two minutes at most.
    pub fn hold(&self) -> Hold {
        let script = self.repository().join("mkosi.build");
        let text = fs::read_to_string(&script).unwrap();
        if !text.contains("/hold ]") {
            // Its path in two parts: one that the command names would count as an input.
            let wait = r"timeout 120 sh -c 'w=/work; while [ -e \$w/src/hold ]; do sleep 0.1; done' || true";
            let command = "cargo fetch --locked";
            fs::write(&script, text.replace(command, &format!("{wait}\n        {command}")))
                .unwrap();
        }
        let file = self.repository().join("hold");
        fs::write(&file, "").unwrap();
        Hold(file)
    }

    /// Commits all of the project and pins the image to it.
    pub fn commit(&self) {
        let note = self.project().join("note.txt");
        let text = fs::read_to_string(&note).unwrap_or_default();
        fs::write(&note, text + "one more line\n").unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "next"]);
        let head = self.git(&["rev-parse", "HEAD"]);
        fs::write(self.repository().join(format!("{}.commit", self.name)), head).unwrap();
        self.give_away();
    }

    /// Fixed names and dates, so that equal sources are equal commits for every user.
    fn git(&self, arguments: &[&str]) -> String {
        self.git_in(&self.project(), arguments)
    }

    #[expect(clippy::unused_self, reason = "all that is done with an image is its own")]
    fn git_in(&self, dir: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "safe.directory=*"])
            .args(arguments)
            .current_dir(dir)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "larder")))
            .envs(
                ["AUTHOR", "COMMITTER"]
                    .map(|who| (format!("GIT_{who}_EMAIL"), "larder@example.org")),
            )
            .envs(
                ["AUTHOR", "COMMITTER"]
                    .map(|who| (format!("GIT_{who}_DATE"), "2026-01-01T00:00:00Z")),
            )
            .output()
            .unwrap();
        let said = Said::of(&output);
        said.succeeds();
        said.text
    }

    fn output(&self) -> PathBuf {
        self.repository().join("mkosi.output/image")
    }

    pub fn hash(&self) -> String {
        let binary = self.output().join("usr/bin").join(self.name);
        let output = self.command("sha256sum").arg(binary).output().unwrap();
        let said = Said::of(&output);
        said.succeeds();
        said.text.split_whitespace().next().unwrap().to_owned()
    }

    pub fn has(&self, path: &str) -> bool {
        self.output().join(path).exists()
    }

    pub fn find_in_output(&self, pattern: &str) -> String {
        let output =
            self.command("find").arg(self.output()).args(["-name", pattern]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// What the small project consists of.
const TINY: [(&str, &str); 6] = [
    (
        "Cargo.toml",
        "[workspace]\nmembers = ['flour']\n[package]\nname = 'pantry'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\nflour = { path = 'flour' }\n",
    ),
    (
        "Cargo.lock",
        "# This file is automatically @generated by Cargo.\n# It is not intended for manual editing.\nversion = 4\n\n[[package]]\nname = \"flour\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"pantry\"\nversion = \"0.1.0\"\ndependencies = [\n \"flour\",\n]\n",
    ),
    ("src/main.rs", "fn main() { println!(\"{}\", flour::KIND); }\n"),
    ("flour/Cargo.toml", "[package]\nname = 'flour'\nversion = '0.1.0'\nedition = '2021'\n"),
    (
        "flour/build.rs",
        "use std::{env, fs};\nfn main() {\n    let out = env::var(\"OUT_DIR\").unwrap();\n    fs::write(format!(\"{out}/kind.rs\"), format!(\"pub const KIND: &str = {out:?};\")).unwrap();\n}\n",
    ),
    ("flour/src/lib.rs", "include!(concat!(env!(\"OUT_DIR\"), \"/kind.rs\"));\n"),
];

fn chown(path: &Path) {
    let done =
        Command::new("chown").args(["-R", "-h", &format!("{USER}:")]).arg(path).output().unwrap();
    Said::of(&done).succeeds();
}

/// Makes the user, with subordinate ids that nobody has.
fn make_user() {
    let known = Command::new("id").arg(USER).output().unwrap();
    if !known.status.success() {
        let made = Command::new("useradd").args(["--create-home", USER]).output().unwrap();
        Said::of(&made).succeeds();
    }
    let ranges = fs::read_to_string("/etc/subuid").unwrap_or_default();
    if !ranges.lines().any(|line| line.starts_with(&format!("{USER}:"))) {
        let range = "600100000-600165535";
        let done = Command::new("usermod")
            .args(["--add-subuids", range, "--add-subgids", range, USER])
            .output()
            .unwrap();
        Said::of(&done).succeeds();
    }
}
