//! Cargo's downloads: what one build leaves in them reaches no other project, and no later build of its own.
//!
//! Each project runs `sh build.sh`, so that all its builds have one directory, whatever they do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::world::{Said, World};

/// A registry in files with one package, `grain`, which weighs 1, and a store.
struct Market {
    world: World,
}

/// Where Cargo unpacked it, as the command sees it.
const UNPACKED: &str = "$(echo $HOME/.cargo/registry/src/*/grain-0.1.0)";

const RELEASE: &str = "cargo build --release";

/// Ways to have the next build compile another `grain`, in the directory that Cargo unpacked it into.
const POISON: [(&str, &str); 5] = [
    ("another source", "sed -i 's/{ 1/{ 2/' $g/src/lib.rs; touch $g/.cargo-ok"),
    (
        "another source, by a copy with the time of before",
        "cp -p $g/src/lib.rs $g/x; sed -i 's/{ 1/{ 2/' $g/src/lib.rs; touch -r $g/x $g/src/lib.rs; rm $g/x; touch $g/.cargo-ok",
    ),
    (
        "one file more",
        "echo 'fn main() { println!(\"cargo:rustc-cfg=spoilt\"); }' > $g/build.rs; touch $g/.cargo-ok",
    ),
    (
        "a link in its place",
        "mv $g ../moved; sed -i 's/{ 1/{ 2/' ../moved/src/lib.rs; ln -s $PWD/../moved $g",
    ),
    (
        "another archive too",
        "sed -i 's/{ 1/{ 2/' $g/src/lib.rs; (cd $g/..; tar czf ../../cache/*/grain-0.1.0.crate grain-0.1.0); touch $g/.cargo-ok",
    ),
];

impl Market {
    fn new() -> Self {
        let market = Self { world: World::new() };
        market.write(
            "grain-0.1.0/Cargo.toml",
            "[package]\nname = 'grain'\nversion = '0.1.0'\nedition = '2021'\n[features]\nheavy = []\n",
        );
        market.write(
            "grain-0.1.0/src/lib.rs",
            "pub fn weight() -> u32 { 1 + 10 * (cfg!(spoilt) as u32) + 100 * (cfg!(feature = \"heavy\") as u32) }\n",
        );
        let crates = market.path("crates").display().to_string();
        market.sh("mkdir crates; tar czf crates/grain-0.1.0.crate grain-0.1.0");
        let sum = market.sh("sha256sum crates/grain-0.1.0.crate | cut -d ' ' -f 1");
        market.write(
            "index/config.json",
            &format!("{{\"dl\": \"file://{crates}/{{crate}}-{{version}}.crate\"}}\n"),
        );
        market.write("index/gr/ai/grain", &format!("{{\"name\":\"grain\",\"vers\":\"0.1.0\",\"deps\":[],\"cksum\":\"{}\",\"features\":{{\"heavy\":[]}},\"yanked\":false}}\n", sum.trim()));
        market.commit("index");
        market
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.path(name)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What a shell prints beside the projects.
    fn sh(&self, script: &str) -> String {
        let mut shell = self.world.command("sh");
        Said::of(&shell.args(["-ec", script]).output().unwrap()).succeeds().stdout
    }

    fn commit(&self, dir: &str) {
        let dir = self.path(dir);
        self.world.git(&dir, &["init", "-q"]);
        self.world.git(&dir, &["add", "-A"]);
        self.world.git(&dir, &["commit", "-qm", "one"]);
    }

    /// A project that prints what `grain` weighs.
    fn project(&self, name: &str, dependency: &str) {
        self.write(
            &format!("{name}/Cargo.toml"),
            &format!("[package]\nname = '{name}'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\ngrain = {dependency}\n"),
        );
        let index = self.path("index").display().to_string();
        self.write(
            &format!("{name}/.cargo/config.toml"),
            &format!("[registries.own]\nindex = 'file://{index}'\n"),
        );
        self.write(
            &format!("{name}/src/main.rs"),
            "fn main() { println!(\"{}\", grain::weight()); }\n",
        );
    }

    fn uses_registry(&self, name: &str) {
        self.project(name, "{ version = '0.1', registry = 'own' }");
    }

    fn command(&self, verb: &str, name: &str, script: &str) -> Command {
        let source = self.path(name);
        self.write(&format!("{name}/build.sh"), &format!("set -e\n{script}\n"));
        let start = [verb, name, "--source", source.to_str().unwrap(), "--", "sh", "build.sh"];
        let mut command = self.world.larder_command(&start);
        command.current_dir(&source).env("CARGO_NET_GIT_FETCH_WITH_CLI", "true");
        command
    }

    /// Builds a project with larder.
    #[track_caller]
    fn build(&self, name: &str, script: &str) -> Said {
        Said::of(&self.command("run", name, script).output().unwrap()).succeeds()
    }

    /// What the program says that the last build made.
    #[track_caller]
    fn says(&self, name: &str, profile: &str) -> String {
        let program = self.path(name).join("target").join(profile).join(name);
        let said = Said::of(&self.world.command(program).output().unwrap()).succeeds();
        said.stdout.trim().to_owned()
    }

    /// The only kept directory of a project.
    fn kept(&self, name: &str) -> PathBuf {
        let dirs = fs::read_dir(self.world.store().join("projects").join(name)).unwrap();
        let mut dirs = dirs.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        dirs.next().unwrap()
    }
}

fn found_by(dir: &Path, end: &str) -> PathBuf {
    let mut all = walkdir::WalkDir::new(dir).into_iter().map(|item| item.unwrap().into_path());
    all.find(|path| path.ends_with(end)).unwrap_or_else(|| panic!("no {end}"))
}

#[test]
fn what_a_build_leaves_in_the_downloads_reaches_no_other_project() {
    let market = Market::new();
    market.uses_registry("evil");
    let index = "for f in $(find $HOME/.cargo/registry/index -type f); do sed -i 's/\"features\":{/\"features\":{\"default\":[\"heavy\"],/; s#file://[^{]*crates#file:///nowhere#' $f || true; done";
    let poison = POISON.iter().map(|(_, poison)| format!("({poison}) || true"));
    let poison = poison.collect::<Vec<_>>().join("\n");
    market.build("evil", &format!("{RELEASE}\ng={UNPACKED}\n{poison}\n{index}\necho '[build]\nrustc-wrapper = \"/bin/false\"' > $HOME/.cargo/registry/config.toml\necho evil > $HOME/.cargo/registry/src/rust-toolchain.toml"));
    for name in ["first", "second"] {
        market.uses_registry(name);
        market.build(name, RELEASE);
        assert_eq!(market.says(name, "release"), "1", "{name}");
    }
}

#[test]
fn what_the_store_has_for_all_is_what_a_lock_file_says_or_is_not_taken() {
    let market = Market::new();
    market.uses_registry("first");
    market.build("first", RELEASE);
    let shared = found_by(&market.world.store().join("cargo-home"), "grain-0.1.0.crate");
    let good = fs::read(&shared).unwrap();
    let lock = fs::read(market.path("first/Cargo.lock")).unwrap();
    let shared_text = shared.display();
    let ways = [
        String::new(),
        format!("cp grain.crate {shared_text}"),
        format!("ln -s $PWD/grain.crate {shared_text}"),
        format!("mkfifo {shared_text}"),
        format!("mkdir {shared_text}"),
    ];
    market.sh("mkdir evil; cp -r grain-0.1.0 evil/; sed -i 's/{ 1/{ 2/' evil/grain-0.1.0/src/lib.rs; cd evil; tar czf ../grain.crate grain-0.1.0");
    for (number, way) in ways.iter().enumerate() {
        let name = format!("other{number}");
        market.uses_registry(&name);
        market.write(
            &format!("{name}/Cargo.lock"),
            &String::from_utf8_lossy(&lock).replace("\"first\"", &format!("\"{name}\"")),
        );
        if number > 0 {
            market.sh(&format!("rm -r {shared_text}; {way}"));
        } else {
            // Nobody else has it: what one project downloaded serves all that lock the same.
            market.sh("mv crates away");
        }
        market.build(&name, RELEASE);
        assert_eq!(market.says(&name, "release"), "1", "{way}");
        if number == 0 {
            market.sh("mv away crates");
        }
        assert_eq!(fs::read(&shared).unwrap(), good, "{way}");
    }
}

#[test]
fn what_was_changed_in_unpacked_packages_is_not_compiled() {
    for (what, poison) in POISON {
        let market = Market::new();
        market.uses_registry("bread");
        market.build("bread", &format!("{RELEASE}\ng={UNPACKED}\n{poison}"));
        // What was compiled before stays as it is; for the other profile it is compiled from what is there.
        let said = market.build("bread", "cargo build; cargo build --release");
        assert_eq!(market.says("bread", "debug"), "1", "{what}");
        assert_eq!(market.says("bread", "release"), "1", "{what}");
        assert!(said.stderr.contains("not as it was downloaded"), "{what}: {said:#?}");
        let said = market.build("bread", "cargo build; cargo build --release");
        assert!(!said.stderr.contains("not as it was downloaded"), "{what}: {said:#?}");
        assert!(!said.stderr.contains("Compiling"), "{what}: {said:#?}");
    }
}

#[test]
fn a_seed_takes_packages_with_what_was_unpacked_for_them() {
    let market = Market::new();
    market.uses_registry("bread");
    let source = market.path("bread");
    let build = |more: &[&str]| {
        let words = ["run", "bread", "--source", source.to_str().unwrap(), "--", "cargo", "build"];
        let mut command = market.world.larder_command(&[&words[..], &["--release"], more].concat());
        command.current_dir(&source).env("CARGO_NET_GIT_FETCH_WITH_CLI", "true");
        Said::of(&command.output().unwrap()).succeeds()
    };
    assert!(build(&[]).stderr.contains("Compiling grain"));
    let said = build(&["--keep-going"]);
    assert!(said.stderr.contains("bread begins with 2 of 2 units"), "{said:#?}");
    assert!(!said.stderr.contains("Compiling"), "{said:#?}");
}

#[test]
fn what_was_compiled_from_changed_packages_goes() {
    let back = "sed -i 's/{ 2/{ 1/' $g/src/lib.rs; touch -d @1 $g/src/lib.rs; touch $g/.cargo-ok";
    for (poison, after) in [(POISON[0].1, ""), (POISON[2].1, ""), (POISON[0].1, back)] {
        let market = Market::new();
        market.uses_registry("bread");
        market.build("bread", &format!("cargo fetch\ng={UNPACKED}\n{poison}\n{RELEASE}\n{after}"));
        // This is what a cold build makes too.
        assert_ne!(market.says("bread", "release"), "1");
        market.build("bread", RELEASE);
        assert_eq!(market.says("bread", "release"), "1", "{poison}; {after}");
    }
}

#[test]
fn archives_that_were_changed_are_not_unpacked() {
    let market = Market::new();
    market.uses_registry("bread");
    let changed = "sed -i 's/{ 1/{ 2/' $g/src/lib.rs; (cd $g/..; tar czf ../../cache/*/grain-0.1.0.crate grain-0.1.0); rm -r $g";
    let fifo =
        "f=$(echo $HOME/.cargo/registry/cache/*/grain-0.1.0.crate); rm $f; mkfifo $f; rm -r $g";
    for left in [changed, fifo] {
        market.build("bread", &format!("{RELEASE}\ng={UNPACKED}\n{left}"));
        market.build("bread", "cargo build; cargo build --release");
        assert_eq!(market.says("bread", "debug"), "1", "{left}");
        assert_eq!(market.says("bread", "release"), "1", "{left}");
    }
}

#[test]
fn verify_unpacks_no_archive_that_was_changed() {
    let market = Market::new();
    market.uses_registry("bread");
    market.build("bread", RELEASE);
    market.sh("mkdir evil; cp -r grain-0.1.0 evil/; sed -i 's/{ 1/{ 2/' evil/grain-0.1.0/src/lib.rs; cd evil; tar czf ../grain.crate grain-0.1.0");
    let own = found_by(&market.kept("bread").join("cargo"), "grain-0.1.0.crate");
    fs::copy(market.path("grain.crate"), own).unwrap();
    let verified = market.command("verify", "bread", RELEASE).output().unwrap();
    let said = Said::of(&verified).succeeds();
    assert!(said.stdout.contains("same") || said.stderr.contains("same"), "{said:#?}");
}

#[test]
fn what_stands_in_the_way_of_cargo_goes() {
    let market = Market::new();
    market.uses_registry("bread");
    market.build("bread", RELEASE);
    let cargo = market.kept("bread").join("cargo");
    let here = cargo.display();
    let evil = market.path("evil");
    fs::create_dir(&evil).unwrap();
    for left in [
        format!("rm {here}/.package-cache; mkfifo {here}/.package-cache"),
        format!("rm {here}/.package-cache-mutate; mkdir {here}/.package-cache-mutate"),
        format!("chmod 0 {here}/.package-cache {here}/registry"),
        format!(
            "mv {here}/registry {0}/registry; ln -s {0}/registry {here}/registry",
            evil.display()
        ),
        format!("rm -r {here}/git; mkfifo {here}/git"),
        format!(
            "mv {here}/registry/src {0}/src; ln -s {0}/src {here}/registry/src",
            evil.display()
        ),
        format!("mv {here} {0}/cargo; ln -s {0}/cargo {here}", evil.display()),
        format!(
            "cd {here}/registry/src/*; touch Cargo.toml rust-toolchain; mkdir .cargo; echo '[build]\nrustc = \"false\"' > .cargo/config.toml"
        ),
    ] {
        market.sh(&left);
        let begun = Instant::now();
        let said = market.build("bread", "cargo build --release; cargo build");
        assert!(begun.elapsed() < Duration::from_secs(60), "{left}");
        assert!(said.stderr.contains("not as it was downloaded"), "{left}: {said:#?}");
        assert_eq!(market.says("bread", "release"), "1", "{left}");
    }
    assert!(!cargo.join("registry/src").join("Cargo.toml").exists());
    assert!(evil.join("cargo/registry").is_dir(), "what a link leads to stays");
}

#[test]
fn a_build_beside_cannot_change_what_another_compiles() {
    let market = Market::new();
    market.uses_registry("bread");
    market.uses_registry("evil");
    let wait = "cargo fetch; touch ../ready; while [ ! -e ../go ]; do sleep 0.02; done";
    let mut bread = market.command("run", "bread", &format!("{wait}; {RELEASE}"));
    let mut bread = bread.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while !market.path("ready").exists() {
        assert!(Instant::now() < deadline && bread.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    market.build("evil", &format!("{RELEASE}\ng={UNPACKED}\n{}", POISON[0].1));
    fs::write(market.path("go"), "").unwrap();
    assert!(bread.wait().unwrap().success());
    assert_eq!(market.says("bread", "release"), "1");
}

#[test]
fn a_git_dependency_is_what_its_commit_says() {
    let market = Market::new();
    market.sh("mkdir -p sub; echo one > sub/data; cp -r grain-0.1.0 grain; mkdir grain/bin; echo '#!/bin/sh' > grain/bin/run; chmod +x grain/bin/run; ln -s run grain/bin/link; mkdir grain/src.d; touch grain/src.d/x");
    market.commit("sub");
    market.commit("grain");
    let (grain, sub) = (market.path("grain"), market.path("sub"));
    let sub = format!("file://{}", sub.display());
    market
        .world
        .git(&grain, &["-c", "protocol.file.allow=always", "submodule", "add", "-q", &sub, "sub"]);
    market.world.git(&grain, &["commit", "-qm", "two"]);
    market.project("bread", &format!("{{ git = 'file://{}' }}", grain.display()));
    market.build("bread", RELEASE);
    let said = market.build("bread", RELEASE);
    assert!(!said.stderr.contains("not as it was downloaded"), "{said:#?}");
    assert!(!said.stderr.contains("Compiling"), "{said:#?}");
    let checkout = "g=$(echo $HOME/.cargo/git/checkouts/*/*)";
    for (_, poison) in &POISON[..3] {
        market.build("bread", &format!("{RELEASE}\n{checkout}\n{poison}"));
        let said = market.build("bread", "cargo build; cargo build --release");
        assert!(said.stderr.contains("not as it was downloaded"), "{said:#?}");
        assert_eq!(market.says("bread", "debug"), "1", "{poison}");
        assert_eq!(market.says("bread", "release"), "1", "{poison}");
        market.sh(&format!("rm -rf {}/target/debug", market.kept("bread").display()));
    }
    for more in [
        "echo two > $g/sub/data",
        "mkdir $g/empty",
        "chmod -x $g/bin/run",
        "touch $g/sub/.git/../more",
    ] {
        market.build("bread", &format!("{RELEASE}\n{checkout}\n{more}; touch $g/.cargo-ok"));
        let said = market.build("bread", RELEASE);
        assert!(said.stderr.contains("not as it was downloaded"), "{more}: {said:#?}");
    }
}

#[test]
fn a_damaged_git_database_stops_no_later_build() {
    let market = Market::new();
    market.sh("cp -r grain-0.1.0 grain");
    market.commit("grain");
    market.project("bread", &format!("{{ git = 'file://{}' }}", market.path("grain").display()));
    market.build("bread", RELEASE);
    // Every object of the database loose, and the one of the source another.
    let damage = "cd $HOME/.cargo/git/db/*/ && mkdir ../../packs && mv objects/pack/* ../../packs &&
        for pack in ../../packs/*.pack; do git unpack-objects -q <$pack; done; rm -rf ../../packs
        blob=$(git rev-parse $(git for-each-ref --format='%(objectname)' | head -n 1):src/lib.rs)
        object=objects/$(echo $blob | cut -c 1-2)/$(echo $blob | cut -c 3-); chmod u+w $object
        printf 'blob 5\\0other' | python3 -c 'import sys, zlib; sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read()))' >$object";
    for (what, more) in [
        ("and the checkout is gone", "rm -rf ../../checkouts/*"),
        ("and the checkout is another", "echo more >>$(echo ../../checkouts/*/*)/src/lib.rs"),
    ] {
        market.build("bread", &format!("{RELEASE}\n({damage}\n{more})"));
        let said = market.build("bread", "cargo build; cargo build --release");
        assert!(said.stderr.contains("git/db/"), "{what}: {said:#?}");
        assert_eq!(market.says("bread", "release"), "1", "{what}");
        market.sh(&format!("rm -rf {}/target/debug", market.kept("bread").display()));
    }
}
