//! Dead units: what the last builds did not need goes, and no build misses it.

#![expect(clippy::disallowed_macros, reason = "a test that cannot run says so")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{Said, World};

const BUILD: &str = "cargo build --release --offline";

/// A project with vendored packages of which it needs now these, now those.
struct Bakery {
    world: World,
    script: String,
    newer: bool,
    fresh: std::cell::Cell<u32>,
}

/// `bread` with a version of `yeast`, some of its features, and an optimisation level.
#[derive(Clone, Copy)]
struct Recipe {
    yeast: &'static str,
    features: &'static str,
    level: u32,
}

const PLAIN: Recipe = Recipe { yeast: "1.0.0", features: "", level: 3 };
const FAST: Recipe = Recipe { features: "'fast'", ..PLAIN };

fn package(name: &str, version: &str, more: &str) -> String {
    format!("[package]\nname = '{name}'\nversion = '{version}'\nedition = '2021'\n{more}")
}

impl Bakery {
    fn new(script: &str) -> Self {
        let bakery = Self {
            world: World::new(),
            script: script.to_owned(),
            newer: false,
            fresh: std::cell::Cell::new(0),
        };
        let yeast = "[features]\nfast = []\n[dependencies]\nsugar = '1'\nwater = '1'\n";
        bakery.vendor("yeast", "1.0.0", yeast, "pub fn rise() -> usize { water::wet() + if cfg!(feature = \"fast\") { 40 } else { 2 } }\n");
        bakery.vendor(
            "yeast",
            "2.0.0",
            "[features]\nfast = []\n",
            "pub fn rise() -> usize { 7 }\n",
        );
        let heavy = "pub static HEAVY: [u8; 300_000] = [7; 300_000];\npub fn wet() -> usize { HEAVY.len() }\n";
        bakery.vendor("water", "1.0.0", "", heavy);
        bakery.vendor("sugar", "1.0.0", "build = 'build.rs'\n", "pub fn sweet() {}\n");
        let sugar = "vendor/sugar-1.0.0/build.rs";
        bakery.world.write(sugar, "fn main() { println!(\"cargo:rerun-if-changed=build.rs\"); }\n");
        bakery.world.write(
            ".cargo/config.toml",
            "[source.crates-io]\nreplace-with = 'v'\n[source.v]\ndirectory = 'vendor'\n",
        );
        bakery.world.write(
            "src/main.rs",
            "fn main() { println!(\"{} {}\", flour::weight(), yeast::rise()); }\n#[test]\nfn rises() { assert!(yeast::rise() > 0); }\n",
        );
        bakery.cook(PLAIN);
        bakery
    }

    fn vendor(&self, name: &str, version: &str, more: &str, text: &str) {
        let dir = format!("vendor/{name}-{version}");
        self.world.write(&format!("{dir}/Cargo.toml"), &package(name, version, more));
        self.world.write(&format!("{dir}/src/lib.rs"), text);
        self.world.write(&format!("{dir}/.cargo-checksum.json"), "{\"files\":{},\"package\":null}");
    }

    fn cook(&self, recipe: Recipe) {
        let Recipe { yeast, features, level } = recipe;
        let more = format!(
            "[workspace]\nmembers = ['flour']\nexclude = ['vendor']\n[profile.release]\nopt-level = {level}\n[dependencies]\nflour = {{ path = 'flour' }}\nyeast = {{ version = '={yeast}', features = [{features}] }}\n"
        );
        self.world.write("Cargo.toml", &package("bread", "0.1.0", &more));
        let mut command = self.world.command("cargo");
        command.args(["generate-lockfile", "--offline"]).current_dir(self.world.source());
        Said::of(&command.output().unwrap()).succeeds();
    }

    fn run_as(&self, project: &str) -> Said {
        let source = self.world.source();
        let words = ["run", project, "--source", source.to_str().unwrap(), "--"];
        let mut command = self.world.larder_command(&words);
        command.args(["sh", "-ec", &self.script]).current_dir(&source);
        if self.newer {
            command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_UNSTABLE_BUILD_DIR_NEW_LAYOUT", "true");
        }
        Said::of(&command.output().unwrap())
    }

    /// Runs the script; says how many packages were compiled.
    fn run(&self) -> usize {
        self.run_as("bread").succeeds();
        self.world.compiled()
    }

    fn gc(&self, keep_units: &str) -> Said {
        self.world.larder(&["gc", "--grace", "0", "--keep-units", keep_units]).succeeds()
    }

    fn target(&self) -> PathBuf {
        self.world.entry_dir().join("target")
    }

    /// What the same script makes from nothing.
    fn fresh(&self) -> PathBuf {
        self.fresh.set(self.fresh.get() + 1);
        let name = format!("fresh{}", self.fresh.get());
        self.run_as(&name).succeeds();
        let project = self.world.store().join("projects").join(name);
        let dirs = fs::read_dir(project).unwrap().map(|entry| entry.unwrap().path());
        dirs.into_iter().find(|path| path.is_dir()).unwrap().join("target")
    }

    /// What is there is what a build from nothing makes, file by file and byte by byte; the size is
    /// as recorded; and the next build has nothing to do.
    fn is_as_fresh(&self) {
        let fresh = self.fresh();
        let here = self.target();
        assert_eq!(files(&here), files(&fresh));
        for file in uplifted(&fresh) {
            assert_eq!(fs::read(here.join(&file)).unwrap(), fs::read(fresh.join(&file)).unwrap());
        }
        let (here, expected) = (size(&here), size(&fresh));
        assert!(here.abs_diff(expected) * 20 <= expected, "{here} is not about {expected}");
        let recorded = self.world.last_entry()["size"].as_u64().unwrap();
        let whole = size(&self.world.entry_dir());
        assert!(recorded.abs_diff(whole) * 20 <= whole, "{recorded} is not about {whole}");
        assert_eq!(self.unused(), [0_u64; 0]);
        assert_eq!(self.run(), 0, "{}", self.world.reasons());
        assert_eq!(self.world.reasons(), "");
        assert_eq!(self.run(), 0);
    }

    /// The numbers of the groups of units that the last use did not need.
    fn unused(&self) -> Vec<u64> {
        let entry = self.world.last_entry();
        let groups = entry["unused"].as_array().unwrap();
        groups.iter().map(|group| group["since"].as_u64().unwrap()).collect()
    }

    fn gone_after(&self, successes: usize, keep_units: &str) {
        for index in 1..successes {
            assert!(self.gc(keep_units).stdout.lines().count() < 2, "after {index} uses");
            assert_eq!(self.run(), 0);
        }
        let before = size(&self.target());
        assert!(self.gc(keep_units).stdout.contains("dead units"), "{:#?}", self.gc(keep_units));
        assert!(size(&self.target()) < before);
    }
}

/// Everything below a target directory that Cargo keeps, but for what changes with each build.
fn files(target: &Path) -> BTreeSet<PathBuf> {
    let inside = walkdir::WalkDir::new(target).into_iter().map(Result::unwrap);
    let paths = inside.map(|item| item.path().strip_prefix(target).unwrap().to_owned());
    paths.filter(|path| !path.components().any(|part| part.as_os_str() == "incremental")).collect()
}

fn uplifted(target: &Path) -> Vec<PathBuf> {
    files(target).into_iter().filter(|path| path.ends_with("release/bread")).collect()
}

fn size(dir: &Path) -> u64 {
    let inside = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap);
    let files = inside.map(|item| item.metadata().unwrap());
    let mut seen = BTreeSet::new();
    files.filter(|file| seen.insert(file.ino())).map(|file| file.blocks() * 512).sum()
}

fn a_feature_that_is_not_used_any_more(newer: bool) {
    let mut bakery = Bakery::new(BUILD);
    bakery.newer = newer;
    bakery.run();
    bakery.cook(FAST);
    bakery.run();
    assert_eq!(bakery.unused(), [1], "the old yeast is left");
    bakery.cook(PLAIN);
    assert_eq!(
        bakery.run(),
        1,
        "the old yeast is used again, and only what the recipe is in is compiled"
    );
    assert_eq!(bakery.unused(), [2]);
    bakery.gone_after(3, "3");
    bakery.is_as_fresh();
}

#[test]
fn a_feature_that_is_not_used_any_more_goes() {
    a_feature_that_is_not_used_any_more(false);
}

#[test]
fn a_feature_that_is_not_used_any_more_goes_in_the_newer_layout() {
    let mut command = Command::new("cargo");
    let help = command.args(["-Z", "help"]).env("RUSTC_BOOTSTRAP", "1").output().unwrap();
    if String::from_utf8_lossy(&help.stdout).contains("build-dir-new-layout") {
        a_feature_that_is_not_used_any_more(true);
    } else {
        eprintln!("NOT TESTED: this cargo does not know the newer layout");
    }
}

#[test]
fn a_version_that_is_not_used_any_more_goes_with_what_it_needed() {
    let bakery = Bakery::new(BUILD);
    bakery.run();
    bakery.cook(Recipe { yeast: "2.0.0", ..PLAIN });
    bakery.run();
    assert_eq!(bakery.unused(), [1], "water is left");
    // Water is large, and is more than a fifth of the rest: it does not wait for its turn.
    bakery.gone_after(1, "100");
    bakery.is_as_fresh();
}

#[test]
fn the_oldest_of_a_surplus_goes_first() {
    let bakery = Bakery::new(BUILD);
    for level in [3, 2, 1] {
        bakery.cook(Recipe { level, ..PLAIN });
        bakery.run();
    }
    assert_eq!(bakery.unused(), [1, 2]);
    bakery.gone_after(1, "100");
    assert_eq!(bakery.unused(), [0_u64; 0], "each is as large as what is needed");
    bakery.is_as_fresh();
}

#[test]
fn several_commands_need_what_each_needs() {
    let script = "cargo build --release --offline && cargo test --release --offline --no-run && cargo check --release --offline";
    let bakery = Bakery::new(script);
    bakery.run();
    assert_eq!(bakery.unused(), [0_u64; 0]);
    bakery.cook(Recipe { level: 2, ..PLAIN });
    bakery.run();
    // All of it is there twice: a surplus, too.
    bakery.gone_after(1, "100");
    bakery.is_as_fresh();
}

#[test]
fn incremental_goes_and_is_not_missed() {
    let bakery = Bakery::new("cargo build --offline");
    bakery.run();
    assert!(bakery.target().join("debug/incremental").exists());
    assert_eq!(bakery.unused(), [0]);
    bakery.gc("1");
    assert!(!bakery.target().join("debug/incremental").exists());
    assert_eq!(bakery.run(), 0);
    assert_eq!((bakery.world.reasons().as_str(), bakery.unused()), ("", Vec::<u64>::new()));
}

#[test]
fn a_failed_use_teaches_nothing() {
    let bakery = Bakery::new(BUILD);
    bakery.run();
    bakery.cook(FAST);
    bakery.world.write("src/main.rs", "fn main() { broken }\n");
    assert_ne!(bakery.run_as("bread").code, 0);
    assert_eq!(bakery.unused(), [0_u64; 0]);
    bakery.gc("1");
    bakery.world.write("src/main.rs", "fn main() { println!(\"{}\", yeast::rise()); }\n");
    assert_eq!(bakery.run(), 1, "yeast with its feature was built by the attempt that failed");
    bakery.gone_after(1, "1");
    bakery.is_as_fresh();
}

#[test]
fn an_unchanged_use_records_nothing_new_and_a_command_without_cargo_needs_nothing_less() {
    let bakery = Bakery::new("[ -e idle ] || cargo build --release --offline");
    bakery.run();
    bakery.run();
    let manifest = bakery.world.entry_dir().join("manifest");
    let inode = || fs::metadata(&manifest).unwrap().ino();
    let first = inode();
    bakery.run();
    assert_eq!(inode(), first, "the manifest was written again");
    bakery.world.write("idle", "");
    bakery.run();
    assert_eq!(bakery.unused(), [0_u64; 0]);
    bakery.gc("1");
    fs::remove_file(bakery.world.source().join("idle")).unwrap();
    assert!(bakery.run() <= 2, "what comes from outside is there");
}

/// Runs a script as root in a mount namespace of its own; says so where that cannot be.
fn apart(bakery: &Bakery, script: &str) -> Option<Said> {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "this test needs root");
        eprintln!("NOT TESTED: mounting needs root");
        return None;
    }
    let mut command = bakery.world.command("unshare");
    command.args(["--mount", "sh", "-exc", script]).env("LARDER", env!("CARGO_BIN_EXE_larder"));
    command.env("TARGET", bakery.target()).current_dir(bakery.world.source());
    Some(Said::of(&command.output().unwrap()))
}

#[test]
fn a_sweep_that_is_cut_off_is_ended_by_the_next_use_or_collection() {
    for next_is_use in [true, false] {
        let bakery = Bakery::new(BUILD);
        bakery.run();
        bakery.cook(Recipe { level: 1, ..PLAIN });
        bakery.run();
        // What cannot be renamed is like a crash at that place.
        let script = "mount --bind \"$TARGET/release/deps\" \"$TARGET/release/deps\"\n! \"$LARDER\" gc --grace 0";
        let Some(said) = apart(&bakery, script) else { return };
        said.succeeds();
        let fingerprints = fs::read_dir(bakery.target().join("release/.fingerprint")).unwrap();
        assert_eq!(fingerprints.count(), 9, "half of the units is gone");
        assert!(bakery.world.entry_dir().join("sweep").exists());
        if next_is_use {
            assert_eq!(bakery.run(), 0, "{}", bakery.world.reasons());
            assert_eq!(bakery.world.reasons(), "");
        } else {
            bakery.gc("3");
        }
        assert!(!bakery.world.entry_dir().join("sweep").exists());
        bakery.is_as_fresh();
    }
}

#[test]
fn without_access_times_only_what_is_explained_counts() {
    let check = format!("{BUILD} && cargo check --release --offline");
    for (script, is_known) in [(BUILD, true), (check.as_str(), false)] {
        let bakery = Bakery::new(script);
        let store = bakery.world.path("noatime");
        let script = format!(
            "mkdir {store}
            mount -t tmpfs -o noatime,mode=755 none {store}
            export LARDER_STORE={store}
            build() {{ \"$LARDER\" run bread -- sh -ec '{script}'; }}
            \"$LARDER\" provision bread
            build
            sed -i 's/opt-level = 3/opt-level = 2/' Cargo.toml
            build
            grep -A3 '\"unused\"' {store}/projects/bread/*/entry.json
            \"$LARDER\" gc --grace 0
            build
            ls {store}/projects/bread/*/target/release/.fingerprint",
            store = store.display(),
        );
        bakery.run();
        let Some(said) = apart(&bakery, &script) else { return };
        let said = said.succeeds();
        let yeasts = said.stdout.lines().filter(|line| line.starts_with("yeast-")).count();
        assert_eq!(yeasts, if is_known { 1 } else { 4 }, "{said:#?}");
        assert_eq!(said.stdout.contains("\"since\": 1"), is_known, "{said:#?}");
    }
}
