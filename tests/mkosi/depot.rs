//! The example depot: all of the build runs inside of the image, from sources to which nothing is written, with a toolchain
//! that no package owns, and every commit brings another revision and another date.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::image::{Mode, Said, modes, versions, work};

const INCLUDE: &str = "mkosi-ephemeral-own-sources.conf";

/// The programs that say of which commit they are, and the other one.
const PROGRAMS: [&str; 4] =
    ["usr/bin/keeper", "usr/bin/clerk", "usr/bin/drill", "usr/lib/depot/measure"];

struct Depot {
    dir: PathBuf,
    mkosi: PathBuf,
    mode: Mode,
    commits: std::cell::Cell<u32>,
}

type Programs = BTreeMap<&'static str, Vec<u8>>;

impl Depot {
    fn new(name: &str, version: &str, mode: Mode) -> Self {
        let mkosi = work().join(format!("bin/mkosi-{version}"));
        assert!(mkosi.exists(), "no {}: run scripts/mkosi-setup", mkosi.display());
        let dir = work().join("test").join(format!("depot-{name}-{version}-{mode:?}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let depot = Self { dir, mkosi, mode, commits: 0.into() };
        let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/depot-setup");
        let made = Command::new(setup).arg(depot.root()).arg("--adopted").output().unwrap();
        Said::of(&made).succeeds();
        let kept = work().join("test").join(format!("depot-cache-{version}-{mode:?}"));
        fs::create_dir_all(&kept).unwrap();
        fs::remove_dir_all(depot.cache()).unwrap();
        symlink(&kept, depot.cache()).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_larder"), depot.dir.join("larder")).unwrap();
        mode.give(&kept);
        mode.give(&depot.dir);
        depot
    }

    /// With a store, and what leads to it.
    fn with_store(name: &str, version: &str, mode: Mode) -> Self {
        let depot = Self::new(name, version, mode);
        let directory = format!("--build-directory={}", depot.kept("build").display());
        fs::create_dir_all(depot.kept("build")).unwrap();
        mode.give(&depot.dir);
        let mkosi = depot.mkosi.to_str().unwrap();
        depot.larder(&depot.store(), &["init", "--mkosi", mkosi, "--", &directory]).succeeds();
        depot
    }

    fn root(&self) -> PathBuf {
        self.dir.join("image")
    }

    fn cache(&self) -> PathBuf {
        self.root().join("os/mkosi/mkosi.cache")
    }

    /// The store on the host.
    fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    fn kept(&self, build: &str) -> PathBuf {
        self.dir.join(build).join("kept")
    }

    /// The store in the build directory.
    fn inner(&self) -> PathBuf {
        self.kept("build").join("debian~trixie~x86-64/larder")
    }

    fn larder(&self, store: &Path, words: &[&str]) -> Said {
        let dir = self.root().join("os/mkosi");
        let mut larder = self.mode.command(self.dir.join("larder"), &dir);
        Said::of(&larder.arg("--store").arg(store).args(words).output().unwrap())
    }

    /// The image, as its repository builds it.
    fn image(&self, build: &str, more: &[&str]) -> Said {
        let mut script = self.mode.command("env", &self.root());
        script.arg(format!("BUILD={}", self.dir.join(build).display()));
        script.arg(format!("MKOSI={}", self.mkosi.display()));
        Said::of(&script.arg("os/build.sh").args(more).output().unwrap())
    }

    fn include(&self) -> String {
        format!("--include={}", self.store().join(INCLUDE).display())
    }

    fn warm(&self) -> (Said, Programs) {
        let said = self.image("build", &[&self.include()]);
        said.succeeds();
        (said, self.programs())
    }

    /// The same without larder, and with nothing that any build kept.
    fn cold(&self) -> Programs {
        let said = self.image("beside", &[]);
        said.succeeds();
        assert!(said.text.contains("larder_run: no store"), "{said:#?}");
        fs::remove_dir_all(self.dir.join("beside")).unwrap();
        self.programs()
    }

    fn programs(&self) -> Programs {
        let image = self.root().join("os/mkosi/mkosi.output/image");
        PROGRAMS.into_iter().map(|path| (path, fs::read(image.join(path)).unwrap())).collect()
    }

    /// Builds, with the same bytes as from nothing; says how many crates that took, of the programs and of the tools.
    #[track_caller]
    fn build(&self) -> [u64; 2] {
        let (said, warm) = self.warm();
        let compiled = ["depot", "depot-tools"].map(|project| self.compiled(project));
        let told = said.text.matches("   Compiling ").count() as u64;
        assert_eq!(told, compiled.iter().sum::<u64>(), "no crate twice: {said:#?}");
        for (path, bytes) in self.cold() {
            assert!(bytes == warm[path], "{path} is not what a cold build makes: {}", self.why());
        }
        compiled
    }

    fn status(&self, project: &str) -> serde_json::Value {
        let said = self.larder(&self.inner(), &["status", project, "--json"]);
        said.succeeds();
        let status: serde_json::Value = serde_json::from_str(&said.text).unwrap();
        let entries = status["entries"].as_array().unwrap();
        assert_eq!(entries.len(), 1, "one directory of {project}: {status:#}");
        entries[0]["record"].clone()
    }

    fn compiled(&self, project: &str) -> u64 {
        self.status(project)["last"]["closed"]["compiled"].as_u64().unwrap()
    }

    fn why(&self) -> String {
        ["depot", "depot-tools"].map(|name| self.status(name)["last"]["why"].to_string()).concat()
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.root().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file}: {text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// A commit, a minute after the first one.
    fn commit(&self) {
        self.commits.set(self.commits.get() + 1);
        let number = self.commits.get();
        fs::write(self.root().join("NEWS"), format!("{number}\n")).unwrap();
        for words in [&["add", "-A"][..], &["commit", "-q", "-m", "next"]] {
            let mut git = Command::new("git");
            git.args(["-c", "safe.directory=*", "-c", "user.name=larder"]);
            git.args(["-c", "user.email=larder@example.org"]).args(words).current_dir(self.root());
            git.env("GIT_COMMITTER_DATE", DATE).env("GIT_AUTHOR_DATE", DATE);
            Said::of(&git.output().unwrap()).succeeds();
        }
        self.mode.give(&self.root());
    }
}

/// Of all commits that tests make, and of none that the copy begins with.
const DATE: &str = "2026-01-01T00:01:00Z";

/// Root with the newest mkosi, a plain user with the oldest.
fn kinds() -> [(&'static str, Mode); 2] {
    let modes = modes();
    [(versions()[1], modes[0]), (versions()[0], modes.get(1).copied().unwrap_or(modes[0]))]
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn a_commit_costs_what_says_of_which_it_is() {
    for (version, mode) in kinds() {
        let depot = Depot::with_store("commits", version, mode);
        assert_eq!(depot.build(), [6, 2], "{version} {mode:?}");
        assert_eq!(depot.build(), [0, 0], "{version} {mode:?}: {}", depot.why());
        // Another date is a reason for all that is of the checkout.
        depot.commit();
        assert_eq!(depot.build(), [6, 2], "{version} {mode:?}: {}", depot.why());
        depot.commit();
        // Three programs, and the crate with the macro that names the variable.
        assert_eq!(depot.build(), [4, 0], "{version} {mode:?}: {}", depot.why());
        depot.edit("depot/crates/stock/shelves.txt", "salt\n", "");
        depot.commit();
        assert_eq!(depot.build(), [5, 2], "{version} {mode:?}: {}", depot.why());
        let said = depot.larder(&depot.inner(), &["history", "depot", "--json"]);
        let told: serde_json::Value = serde_json::from_str(&said.text).unwrap();
        let compiled: Vec<u64> = told["events"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|event| event["compiled"].as_u64())
            .collect();
        assert_eq!(compiled.len(), 5, "{told:#}");
    }
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn a_command_may_clean_up_and_build_where_it_likes() {
    const SCRIPT: &str = "os/mkosi/components/programs/programs-build.sh";
    for (version, mode) in kinds() {
        let depot = Depot::with_store("cleanup", version, mode);
        let (_, first) = depot.warm();
        let clean = "cargo clean --manifest-path '$ROOT/depot/Cargo.toml'\n    rm -rf '$CARGO_TARGET_DIR'\n";
        let build =
            "    cargo build --locked --release --manifest-path '$ROOT/depot/Cargo.toml' -p keeper";
        depot.edit(SCRIPT, build, &format!("    {clean}{build}"));
        let (said, again) = depot.warm();
        assert_eq!(said.text.matches("   Compiling ").count(), 6, "{said:#?}");
        assert!(again == first, "{version} {mode:?}: other bytes after a clean");
        let elsewhere = "cargo build --target-dir $WORK/elsewhere";
        let script = fs::read_to_string(depot.root().join(SCRIPT)).unwrap();
        let script = script.replace("cargo build", elsewhere);
        let script = script.replace("$CARGO_TARGET_DIR/release", "$WORK/elsewhere/release");
        fs::write(depot.root().join(SCRIPT), script).unwrap();
        let (said, elsewhere) = depot.warm();
        assert!(said.text.contains("built nothing with cargo in"), "{said:#?}");
        assert_eq!(elsewhere.keys().collect::<Vec<_>>(), first.keys().collect::<Vec<_>>());
    }
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn the_settings_of_a_store_in_the_build_directory_outlive_it() {
    let (version, mode) = kinds()[1];
    let depot = Depot::with_store("settings", version, mode);
    let settings = depot.store().join("larder-sandbox/larder.toml");
    assert!(fs::read_to_string(&settings).unwrap().contains("# max-size"), "those of the store");
    fs::write(&settings, "max-size = '9GiB'\n").unwrap();
    depot.warm();
    let inner = || fs::read_to_string(depot.inner().join("larder.toml")).unwrap();
    assert!(inner().ends_with("max-size = '9GiB'\n"), "{}", inner());
    assert!(inner().contains("larder-sandbox/larder.toml"), "it says where to change it");
    let said = depot.image("build", &["--force", &depot.include()]);
    said.succeeds();
    assert_eq!(depot.status("depot")["uses"], 1, "mkosi -ff left the store: {}", said.text);
    assert!(inner().ends_with("max-size = '9GiB'\n"), "{}", inner());
    fs::write(&settings, "max-sice = '9GiB'\n").unwrap();
    let said = depot.image("build", &[&depot.include()]);
    assert!(said.code != 0 && said.text.contains("max-sice"), "{said:#?}");
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn a_build_that_would_be_cold_by_mistake_says_so() {
    let (version, mode) = kinds()[0];
    let depot = Depot::with_store("mistakes", version, mode);
    let required = "--environment=LARDER_REQUIRE_STORE=1";
    let said = depot.image("build", &[required]);
    assert!(said.code != 0 && said.text.contains("--include=STORE/mkosi.conf"), "{said:#?}");
    assert!(!said.text.contains("   Compiling "), "{said:#?}");
    // The store in the build directory is made by the first build: that is no mistake.
    depot.image("build", &[required, &depot.include()]).succeeds();
    let said = depot.image("build", &["--build-directory=", &depot.include()]);
    let lines: Vec<&str> = said.text.lines().filter(|line| line.contains("larder")).collect();
    assert!(lines.iter().any(|line| line.contains("BuildDirectory=")), "{said:#?}");
}
