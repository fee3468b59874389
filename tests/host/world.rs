//! A small Rust project, a store, and an environment of its own for each test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// Everything that one test works with; gone afterwards.
pub struct World {
    pub dir: tempfile::TempDir,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A file of the template, or a directory.
struct Item {
    name: PathBuf,
    mode: fs::Permissions,
    bytes: Option<Vec<u8>>,
}

impl World {
    /// A project `bread` with a local dependency whose build script writes code.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("larder-test-").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let world = Self { dir };
        fs::create_dir_all(world.path("home")).unwrap();
        write_project(&world.source());
        world.seed(&world.store());
        // Whether anything goes must not depend on how full this machine's disk is.
        fs::write(world.store().join("larder.toml"), "min-free = '0%'\n").unwrap();
        world
    }

    /// A store that knows the machine and holds nothing: what `larder provision scratch` leaves.
    pub fn seed(&self, store: &Path) {
        for item in self.template() {
            let path = store.join(&item.name);
            match &item.bytes {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::create_dir_all(&path).unwrap(),
            }
            fs::set_permissions(path, item.mode.clone()).unwrap();
        }
    }

    /// The first identification reads compilers, headers and sysroot, which takes seconds: it is done
    /// once for all tests, with a project that is empty.
    fn template(&self) -> &'static [Item] {
        static TEMPLATE: OnceLock<Vec<Item>> = OnceLock::new();
        TEMPLATE.get_or_init(|| {
            let (source, store) = (self.path("nothing"), self.path("template"));
            fs::create_dir(&source).unwrap();
            let words = ["provision", "scratch", "--source", source.to_str().unwrap()];
            let mut larder = self.larder_command(&words);
            Said::of(&larder.env("LARDER_STORE", &store).output().unwrap()).succeeds();
            let items = walkdir::WalkDir::new(&store).into_iter().map(|item| {
                let item = item.unwrap();
                let mode = item.metadata().unwrap().permissions();
                let bytes = item.file_type().is_file().then(|| fs::read(item.path()).unwrap());
                Item { name: item.path().strip_prefix(&store).unwrap().to_owned(), mode, bytes }
            });
            let items = items.collect();
            fs::remove_dir_all(source).unwrap();
            fs::remove_dir_all(store).unwrap();
            items
        })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn source(&self) -> PathBuf {
        self.path("bread")
    }

    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// A command with nothing of this process's environment but what it needs.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", format!("{}/bin:/usr/sbin:/usr/bin:/sbin:/bin", sysroot().display()))
            .env("HOME", self.path("home"))
            .env("LANG", "C.UTF-8")
            .env("LARDER_STORE", self.store())
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// git in a directory of the world's, as somebody; what it says.
    pub fn git(&self, dir: &Path, words: &[&str]) -> String {
        let mut git = self.command("git");
        git.args(["-c", "user.name=larder", "-c", "user.email=larder@example.org"]).args(words);
        let output = git.current_dir(dir).output().unwrap();
        Said::of(&output).succeeds().stdout.trim_end().to_owned()
    }

    /// larder, with the signals that whoever runs the tests in the background may have ignored.
    pub fn larder_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("/usr/bin/env");
        command.args(["--default-signal=INT,QUIT", env!("CARGO_BIN_EXE_larder")]).args(arguments);
        command
    }

    pub fn larder(&self, arguments: &[&str]) -> Said {
        Said::of(&self.larder_command(arguments).output().unwrap())
    }

    /// `larder run bread --source … -- COMMAND`
    pub fn run(&self, command: &[&str]) -> Said {
        Said::of(&self.run_command(command).output().unwrap())
    }

    pub fn run_command(&self, words: &[&str]) -> Command {
        let source = self.source();
        let mut command =
            self.larder_command(&["run", "bread", "--source", source.to_str().unwrap(), "--"]);
        command.args(words).current_dir(source);
        command
    }

    /// Builds with larder; says how many packages were compiled.
    pub fn build(&self) -> usize {
        self.run(&["cargo", "build", "--release", "--offline"]).succeeds();
        self.compiled()
    }

    pub fn compiled(&self) -> usize {
        let last = &self.last_entry()["last"]["closed"]["compiled"];
        usize::try_from(last.as_u64().unwrap()).unwrap()
    }

    /// The record of the directory of `bread` that was used last.
    pub fn last_entry(&self) -> serde_json::Value {
        let status = self.larder(&["status", "bread", "--json"]).succeeds();
        let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
        status["entries"][0]["record"].clone()
    }

    pub fn reasons(&self) -> String {
        let entry = self.last_entry();
        let why = entry["last"]["why"].as_array().unwrap();
        why.iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n")
    }

    /// The binary's bytes as larder left them.
    pub fn binary(&self) -> Vec<u8> {
        fs::read(self.source().join("target/release/bread")).unwrap()
    }

    /// The bytes of a cold build without larder, at the same path, in place of what is there.
    pub fn cold(&self) -> Vec<u8> {
        let target = self.source().join("target");
        if target.exists() {
            fs::remove_dir_all(&target).unwrap();
        }
        let built = self
            .command("cargo")
            .args(["build", "--release", "--offline"])
            .current_dir(self.source())
            .output()
            .unwrap();
        Said::of(&built).succeeds();
        let bytes = fs::read(target.join("release/bread")).unwrap();
        fs::remove_dir_all(target).unwrap();
        bytes
    }

    pub fn write(&self, file: &str, text: &str) {
        let path = self.source().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The only target directory of `bread`.
    pub fn entry_dir(&self) -> PathBuf {
        let project = self.store().join("projects/bread");
        let dirs = fs::read_dir(project).unwrap().map(|entry| entry.unwrap().path());
        let mut dirs: Vec<PathBuf> = dirs.filter(|path| path.is_dir()).collect();
        assert_eq!(dirs.len(), 1, "one directory was expected: {dirs:?}");
        dirs.pop().unwrap()
    }
}

impl Said {
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// Ended with a code and exactly one line of larder's that holds all `parts`.
    #[track_caller]
    pub fn refuses(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        let errors = self.stderr.lines().filter(|line| line.starts_with("larder: error: "));
        let errors: Vec<&str> = errors.collect();
        assert_eq!(errors.len(), 1, "{self:#?}");
        for part in parts {
            assert!(errors[0].contains(part), "{part:?} is missing: {self:#?}");
        }
    }
}

/// The toolchain's own directory: without rustup's proxies, which need their own home.
pub fn sysroot() -> &'static Path {
    static SYSROOT: OnceLock<PathBuf> = OnceLock::new();
    SYSROOT.get_or_init(|| {
        let output = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    })
}

fn write_project(source: &Path) {
    let files = [
        (
            "Cargo.toml",
            "[workspace]\nmembers = ['flour']\n[package]\nname = 'bread'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\nflour = { path = 'flour' }\n",
        ),
        ("src/main.rs", "fn main() { println!(\"{} {}\", flour::KIND, flour::weight()); }\n"),
        ("flour/Cargo.toml", "[package]\nname = 'flour'\nversion = '0.1.0'\nedition = '2021'\n"),
        (
            "flour/src/lib.rs",
            "include!(concat!(env!(\"OUT_DIR\"), \"/kind.rs\"));\npub fn weight() -> u32 { 7 }\n",
        ),
        (
            "flour/build.rs",
            "use std::{env, fs};\nfn main() {\n    println!(\"cargo:rerun-if-env-changed=NOTHING\");\n    let kind = fs::read_to_string(\"kind.txt\").unwrap();\n    let out = env::var(\"OUT_DIR\").unwrap();\n    fs::write(format!(\"{out}/kind.rs\"), format!(\"pub const KIND: &str = {:?};\", kind.trim())).unwrap();\n}\n",
        ),
        ("flour/kind.txt", "rye\n"),
        (
            "Cargo.lock",
            "# This file is automatically @generated by Cargo.\n# It is not intended for manual editing.\nversion = 4\n\n[[package]]\nname = \"bread\"\nversion = \"0.1.0\"\ndependencies = [\n \"flour\",\n]\n\n[[package]]\nname = \"flour\"\nversion = \"0.1.0\"\n",
        ),
    ];
    for (name, text) in files {
        let path = source.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}
