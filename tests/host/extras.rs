//! What stands beside Cargo's files in `target/`: as in a cold build after every build, and for the
//! price of what changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::world::{Said, World};

const BUILD: &str = "cargo build --release --offline";

/// Whatever decides what users see of a file.
type Snapshot = BTreeMap<String, blake3::Hash>;

/// A project `bread` with five vendored packages, of which three have build scripts.
struct Bakery {
    world: World,
    script: String,
    newer: bool,
}

/// A build script that reads a file of its package, writes it where a shell's expression says, and
/// declares everything.
fn writing(place: &str) -> String {
    format!(
        "use std::{{env, fs, path::PathBuf}};\nfn main() {{\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    println!(\"cargo:rerun-if-changed=heat\");\n    let out = PathBuf::from(env::var(\"OUT_DIR\").unwrap());\n    let target = out.ancestors().find(|above| above.ends_with(\"release\")).unwrap().parent().unwrap().to_owned();\n    let file = target.join(\"{place}\");\n    fs::create_dir_all(file.parent().unwrap()).unwrap();\n    fs::write(file, fs::read_to_string(\"heat\").unwrap()).unwrap();\n}}\n"
    )
}

impl Bakery {
    fn new(script: &str) -> Self {
        let bakery = Self { world: World::new(), script: script.to_owned(), newer: false };
        let needs = |name: &str| format!("[dependencies]\n{name} = '1'\n");
        bakery.vendor("water", "", None);
        bakery.vendor(
            "salt",
            "",
            Some("fn main() { println!(\"cargo:rerun-if-changed=build.rs\"); }\n"),
        );
        bakery.vendor(
            "yeast",
            &needs("water"),
            Some("fn main() { println!(\"cargo:rerun-if-changed=build.rs\"); }\n"),
        );
        bakery.vendor(
            "oven",
            &needs("salt"),
            Some("fn main() { println!(\"cargo:rerun-if-changed=build.rs\"); }\n"),
        );
        bakery.vendor("seeds", &needs("yeast"), None);
        let world = &bakery.world;
        world.write(
            ".cargo/config.toml",
            "[source.crates-io]\nreplace-with = 'v'\n[source.v]\ndirectory = 'vendor'\n",
        );
        world.write("Cargo.toml", "[workspace]\nexclude = ['vendor']\n[package]\nname = 'bread'\nversion = '0.1.0'\nedition = '2021'\ndescription = 'x'\nlicense = 'MIT'\nrepository = 'x'\n[dependencies]\nwater = '1'\nsalt = '1'\nyeast = '1'\noven = '1'\nseeds = '1'\n");
        world.write(
            "src/main.rs",
            "//! Bread.\nfn main() { println!(\"one {}\", water::name()); }\n",
        );
        fs::remove_dir_all(world.source().join("flour")).unwrap();
        bakery
    }

    fn vendor(&self, name: &str, more: &str, script: Option<&str>) {
        let dir = format!("vendor/{name}");
        let write = |file: &str, text: &str| self.world.write(&format!("{dir}/{file}"), text);
        write(
            "Cargo.toml",
            &format!("[package]\nname = '{name}'\nversion = '1.0.0'\nedition = '2021'\n{more}"),
        );
        write(
            "src/lib.rs",
            &format!(
                "//! Some {name}.\n/// Its name.\npub fn name() -> &'static str {{ \"{name}\" }}\n"
            ),
        );
        write(".cargo-checksum.json", "{\"files\":{},\"package\":null}");
        if let Some(script) = script {
            write("build.rs", script);
        }
    }

    /// The packages are to be locked before anything else, as in any repository.
    fn lock(self) -> Self {
        let mut command = self.world.command("cargo");
        command.args(["generate-lockfile", "--offline"]).current_dir(self.world.source());
        Said::of(&command.output().unwrap()).succeeds();
        self
    }

    /// Runs the script with larder; says how many packages were compiled, and what is there.
    #[track_caller]
    fn run(&self) -> (usize, Snapshot) {
        let mut command = self.world.run_command(&["sh", "-ec", &self.script]);
        self.layout(&mut command);
        let said = Said::of(&command.output().unwrap()).succeeds();
        (compiled(&said), snapshot(&self.world.entry_dir().join("target")))
    }

    /// What the script leaves without larder, at the same path, from nothing.
    #[track_caller]
    fn cold(&self) -> Snapshot {
        let target = self.world.source().join("target");
        let kept = self.world.path("kept-link");
        let _ = fs::rename(&target, &kept);
        let mut command = self.world.command("sh");
        command.args(["-ec", &self.script]).current_dir(self.world.source());
        self.layout(&mut command);
        Said::of(&command.output().unwrap()).succeeds();
        let snapshot = snapshot(&target);
        fs::remove_dir_all(&target).unwrap();
        let _ = fs::rename(&kept, &target);
        snapshot
    }

    fn layout(&self, command: &mut std::process::Command) {
        if self.newer {
            command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_UNSTABLE_BUILD_DIR_NEW_LAYOUT", "true");
        }
    }

    /// The first build, one with nothing to do, and one after an edit of `main.rs`, each as cold.
    #[track_caller]
    fn costs_one(&self) {
        let (first, snapshot) = self.run();
        assert!(first >= 6, "{first}");
        let cold = self.cold();
        assert_same(&snapshot, &cold);
        self.costs(0);
        self.edit("src/main.rs", "one", "two");
        self.costs(1);
        self.costs(0);
        self.edit("src/main.rs", "two", "one");
        let (compiled, snapshot) = self.run();
        assert_eq!(compiled, 1);
        assert_same(&snapshot, &cold);
    }

    #[track_caller]
    fn costs(&self, crates: usize) {
        let (compiled, snapshot) = self.run();
        assert_eq!(compiled, crates, "{}", self.world.reasons());
        assert_same(&snapshot, &self.cold());
    }

    fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.world.source().join(path)).unwrap();
        assert!(text.contains(from), "{path} has no {from}");
        self.world.write(path, &text.replace(from, to));
    }
}

fn compiled(said: &Said) -> usize {
    said.stderr.lines().filter(|line| line.trim_start().starts_with("Compiling ")).count()
}

/// What is in a target directory besides Cargo's own.
fn snapshot(target: &Path) -> Snapshot {
    let mut snapshot = Snapshot::new();
    add(target, target, &mut snapshot);
    snapshot
}

/// Times and durations of `--timings` differ from build to build, in the name and in the page.
fn add(top: &Path, dir: &Path, snapshot: &mut Snapshot) {
    const CARGOS: [&str; 5] = ["deps", "build", "incremental", "CACHEDIR.TAG", "examples"];
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let shown = path.strip_prefix(top).unwrap().to_str().unwrap();
        if name.starts_with('.') || CARGOS.contains(&name) {
            continue;
        }
        if path.is_dir() {
            snapshot.insert(format!("{shown}/"), blake3::hash(b""));
            add(top, &path, snapshot);
        } else if name.starts_with("cargo-timing") {
            let shown = if name.contains("-2") { "cargo-timings/dated" } else { shown };
            let number = snapshot.keys().filter(|key| key.starts_with(shown)).count();
            snapshot.insert(format!("{shown} {number}"), blake3::hash(b""));
        } else {
            snapshot.insert(shown.to_owned(), blake3::hash(&fs::read(&path).unwrap()));
        }
    }
}

#[track_caller]
fn assert_same(got: &Snapshot, cold: &Snapshot) {
    let differs = |name: &&String| got.get(*name) != cold.get(*name);
    let names: Vec<_> = got.keys().chain(cold.keys()).filter(differs).collect();
    assert!(names.is_empty(), "not as in a cold build: {names:#?}");
}

#[test]
fn tests_find_their_directory_and_nothing_in_it() {
    let bakery = Bakery::new("cargo test --release --offline >&2");
    bakery.world.write(
        "tests/taste.rs",
        "#[test]\nfn writes() {\n    let file = concat!(env!(\"CARGO_TARGET_TMPDIR\"), \"/made\");\n    assert!(!std::path::Path::new(file).exists());\n    std::fs::write(file, \"x\").unwrap();\n}\n",
    );
    bakery.lock().costs_one();
}

#[test]
fn timings_cost_nothing() {
    Bakery::new(&format!("{BUILD} --timings")).lock().costs_one();
}

#[test]
fn copies_beside_cargos_files_cost_nothing() {
    let copies = "cp target/release/bread target/taken; cp target/release/bread target/release/taken; mkdir -p target/wheels; cp target/release/bread target/wheels/x.whl";
    Bakery::new(&format!("{BUILD}; {copies}")).lock().costs_one();
}

#[test]
fn a_package_costs_nothing() {
    let package = "cargo package -q --offline --allow-dirty --no-verify";
    Bakery::new(&format!("{BUILD}; {package}")).lock().costs_one();
}

#[test]
fn documentation_of_one_package_costs_nothing() {
    Bakery::new(&format!("{BUILD}; cargo doc --offline --no-deps")).lock().costs_one();
}

#[test]
fn documentation_of_all_packages_is_as_in_a_cold_build() {
    Bakery::new(&format!("{BUILD}; cargo doc --offline")).lock().costs_one();
    let target = "$(rustc -vV | sed -n 's/^host: //p')";
    Bakery::new(&format!("{BUILD}; cargo doc --offline --target {target}")).lock().costs_one();
}

#[test]
fn what_a_build_script_puts_there_is_made_again_with_it_alone() {
    for newer in [false, true] {
        let mut bakery = Bakery::new(BUILD);
        bakery.newer = newer;
        bakery.vendor("oven", "[dependencies]\nsalt = '1'\n", Some(&writing("gen/oven/x")));
        bakery.world.write("vendor/oven/heat", "220");
        let bakery = bakery.lock();
        bakery.costs_one();
        bakery.edit("vendor/oven/heat", "220", "200");
        // The oven, and bread.
        bakery.costs(2);
        bakery.costs(0);
        // Somebody takes it away.
        fs::remove_file(bakery.world.entry_dir().join("target/gen/oven/x")).unwrap();
        bakery.costs(2);
        // It is not made any more.
        bakery.edit("vendor/oven/build.rs", "fs::write(file", "drop((file");
        bakery.edit("vendor/oven/build.rs", "unwrap()).unwrap();\n}", "unwrap()));\n}");
        bakery.costs(2);
    }
}

#[test]
fn what_a_build_script_puts_beside_the_libraries_stays_with_it() {
    let bakery = Bakery::new(&format!("{BUILD}; cp target/release/deps/libheat.so target/taken"));
    bakery.vendor("oven", "", Some(&writing("release/deps/libheat.so")));
    bakery.world.write("vendor/oven/heat", "220");
    bakery.lock().costs_one();
}

#[test]
fn a_bridge_of_the_packages_own_is_made_again_with_it_alone() {
    let bakery = Bakery::new(BUILD);
    let ours = writing("cxxbridge/bread/main.rs.h").replace("\"heat\"", "\"src/main.rs\"");
    bakery.world.write("build.rs", &ours);
    bakery.world.write("heat", "");
    bakery.vendor(
        "seeds",
        "[dependencies]\nyeast = '1'\n",
        Some(&writing("other/seeds/main.rs.h")),
    );
    bakery.world.write("vendor/seeds/heat", "220");
    bakery.lock().costs_one();
}

#[test]
fn what_is_left_between_two_calls_is_not_there_for_the_first_of_the_next_run() {
    let first = "cp target/release/bread target/release/first; sleep 0.1; echo late >target/left";
    let bakery = Bakery::new(&format!("{BUILD}; {first}; {BUILD}"));
    bakery.world.write("build.rs", "fn main() {\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    let file = std::path::Path::new(&out).join(\"../../../../left\");\n    println!(\"cargo:rerun-if-changed={}\", file.display());\n    let text = std::fs::read_to_string(file).unwrap_or_default();\n    println!(\"cargo:rustc-env=LEFT={}\", text.trim());\n}\n");
    bakery.edit("src/main.rs", "\"one {}\"", "\"one {} {}\", env!(\"LEFT\")");
    let bakery = bakery.lock();
    for _ in 0..3 {
        assert_same(&bakery.run().1, &bakery.cold());
    }
    bakery.edit("src/main.rs", "one", "two");
    assert_same(&bakery.run().1, &bakery.cold());
}

#[test]
fn an_editor_beside_it_costs_nothing() {
    let bakery = Bakery::new(BUILD).lock();
    let (_, snapshot) = bakery.run();
    let fingerprints = || {
        let dir = bakery.world.entry_dir().join("target/release/.fingerprint");
        fs::read_dir(dir).unwrap().count()
    };
    let before = fingerprints();
    for profile in ["--release", "--profile=dev"] {
        let mut check = bakery.world.command("cargo");
        check.args(["check", "--offline", profile]).current_dir(bakery.world.source());
        Said::of(&check.output().unwrap()).succeeds();
        let (compiled, after) = bakery.run();
        assert_eq!(compiled, 0, "{}", bakery.world.reasons());
        assert_same(&after, &snapshot);
        assert_eq!(fingerprints(), before, "of the editor's units nothing is left");
        assert!(!bakery.world.entry_dir().join("target/debug").exists());
    }
    bakery.edit("src/main.rs", "one", "two");
    bakery.costs(1);
}
