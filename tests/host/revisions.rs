//! An image repository that tells its builds of which commit they are: by variables that are new with each, and by
//! `git describe --dirty`, with prefix maps over directories that the build itself fills, and one command for
//! each program.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::world::{Said, World};

const MEMBERS: [(&str, &str, &str); 2] = [
    (
        "agent",
        "fn main() { println!(\"{} {}\", option_env!(\"APP_SOURCE_REVISION\").unwrap_or(\"\"), common::NAME); }\n",
        "",
    ),
    (
        "guest",
        "fn main() { println!(\"{} {} {}\", env!(\"DESCRIBED\"), common::NAME, proto::answer!()); }\n",
        "proto = { path = '../proto' }\n",
    ),
];

struct Image {
    world: World,
    commits: std::cell::Cell<u32>,
    /// What is in `SOURCE_DATE_EPOCH`.
    date: std::cell::Cell<u32>,
}

impl Image {
    fn new() -> Self {
        let image = Self { world: World::new(), commits: 0.into(), date: 1000.into() };
        let world = &image.world;
        fs::remove_dir_all(world.source()).unwrap();
        world.write(
            "Cargo.toml",
            "[workspace]\nresolver = '2'\nmembers = ['agent', 'guest', 'common', 'proto']\n",
        );
        for (name, main, more) in MEMBERS {
            world.write(&format!("{name}/Cargo.toml"), &format!("[package]\nname = '{name}'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\ncommon = {{ path = '../common' }}\n{more}"));
            world.write(&format!("{name}/src/main.rs"), main);
        }
        world.write("guest/build.rs", "use std::process::Command;\nfn main() {\n    let git = Command::new(\"git\").args([\"describe\", \"--always\", \"--dirty\"]).output().unwrap();\n    println!(\"cargo:rustc-env=DESCRIBED={}\", String::from_utf8(git.stdout).unwrap().trim());\n}\n");
        world.write(
            "common/Cargo.toml",
            "[package]\nname = 'common'\nversion = '0.1.0'\nedition = '2021'\n",
        );
        world.write("common/build.rs", "fn main() {\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    std::fs::write(format!(\"{out}/name.rs\"), \"pub const NAME: &str = \\\"common\\\";\").unwrap();\n}\n");
        world.write("common/src/lib.rs", "include!(concat!(env!(\"OUT_DIR\"), \"/name.rs\"));\n");
        world.write("proto/Cargo.toml", "[package]\nname = 'proto'\nversion = '0.1.0'\nedition = '2021'\n[lib]\nproc-macro = true\n");
        world.write("proto/src/lib.rs", "#[proc_macro]\npub fn answer(_: proc_macro::TokenStream) -> proc_macro::TokenStream { \"42\".parse().unwrap() }\n");
        world.write(".gitignore", "/target\n");
        Said::of(
            &world
                .command("cargo")
                .arg("generate-lockfile")
                .current_dir(world.source())
                .output()
                .unwrap(),
        )
        .succeeds();
        fs::rename(world.source(), image.origin()).unwrap();
        image.git(&["init", "-q", "-b", "main"]);
        image.commit();
        image
    }

    /// Where it is developed; what is built is a clone of that.
    fn origin(&self) -> PathBuf {
        self.world.path("origin")
    }

    fn edit(&self, file: &str, text: &str) {
        fs::write(self.origin().join(file), text).unwrap();
    }

    fn git(&self, words: &[&str]) {
        self.world.git(&self.origin(), words);
    }

    /// A commit, and a checkout of it that is new.
    fn commit(&self) {
        self.commits.set(self.commits.get() + 1);
        self.edit("NEWS", &format!("{}\n", self.commits.get()));
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "news"]);
        self.clone_again();
    }

    fn clone_again(&self) {
        let _ = fs::remove_dir_all(self.world.source());
        self.git(&["clone", "-q", ".", self.world.source().to_str().unwrap()]);
    }

    /// What configures all builds, with the number of the commit for its revision.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.world.path(name).display().to_string();
        let map = |from: &str, to: &str| format!("--remap-path-prefix={}={to}", path(from));
        let maps = [map("bread", "/src"), map("build", "/build"), map("build/cargo", "/cargo")];
        let revision = format!("{:040x}", self.commits.get());
        vec![
            ("APP_SOURCE_REVISION", revision.clone()),
            ("APP_BUILD_GIT_REVISION", revision),
            ("SOURCE_DATE_EPOCH", self.date.get().to_string()),
            ("CARGO_HOME", path("build/cargo")),
            ("CARGO_TARGET_DIR", path("build/target")),
            ("RUSTFLAGS", maps.join(" ")),
        ]
    }

    fn program(&self, name: &str) -> Vec<u8> {
        fs::read(self.world.path("build/target/release").join(name)).unwrap()
    }

    /// Builds both programs, and both from nothing, which has to give the same; says how many crates it took for each.
    fn build(&self) -> [usize; 2] {
        MEMBERS.map(|(name, _, _)| {
            let manifest = format!("{name}/Cargo.toml");
            let words = ["cargo", "build", "--release", "--offline", "--manifest-path", &manifest];
            let mut command = self.world.run_command(&words);
            Said::of(&command.envs(self.environment()).output().unwrap()).succeeds();
            let warm = self.program(name);
            assert!(warm == self.cold(name, &words), "warm and cold are not the same: {name}");
            self.world.compiled()
        })
    }

    /// Builds both by one command of a shell, and both from nothing in the same way; says how many crates it took.
    fn build_together(&self) -> usize {
        let cargo = |name: &str| {
            format!("cargo build --release --offline --manifest-path {name}/Cargo.toml")
        };
        let script = MEMBERS.map(|(name, _, _)| cargo(name)).join(" && ");
        let words = ["sh", "-euc", &script];
        let mut command = self.world.run_command(&words);
        Said::of(&command.envs(self.environment()).output().unwrap()).succeeds();
        for (name, _, _) in MEMBERS {
            let warm = self.program(name);
            assert!(warm == self.cold(name, &words), "warm and cold are not the same: {name}");
        }
        self.world.compiled()
    }

    /// A program that is built without larder, with nothing in the directory that builds fill.
    fn cold(&self, name: &str, words: &[&str]) -> Vec<u8> {
        let (build, kept) = (self.world.path("build"), self.world.path("kept"));
        fs::rename(&build, &kept).unwrap();
        let mut cargo = self.world.command(words[0]);
        cargo.args(&words[1..]).current_dir(self.world.source()).envs(self.environment());
        Said::of(&cargo.output().unwrap()).succeeds();
        let program = self.program(name);
        fs::remove_dir_all(&build).unwrap();
        fs::rename(kept, build).unwrap();
        program
    }
}

#[test]
fn a_commit_costs_what_embeds_its_revision_and_what_was_edited() {
    let image = Image::new();
    assert_eq!(image.build(), [2, 3]);
    image.clone_again();
    assert_eq!(image.build(), [0, 0], "{}", image.world.reasons());
    image.commit();
    assert_eq!(image.build(), [1, 1], "{}", image.world.reasons());
    image.clone_again();
    assert_eq!(image.build(), [0, 0], "{}", image.world.reasons());
    image.edit("proto/src/lib.rs", "#[proc_macro]\npub fn answer(_: proc_macro::TokenStream) -> proc_macro::TokenStream { \"43\".parse().unwrap() }\n");
    image.commit();
    assert_eq!(image.build(), [1, 2], "{}", image.world.reasons());
    // What is not committed shows in what git describes, and in nothing else.
    image.world.write("NEWS", "not committed\n");
    assert_eq!(image.build(), [0, 1], "{}", image.world.reasons());
    // Another date is a reason for all that is of the checkout, and for no other directory.
    image.date.set(2000);
    assert_eq!(image.build(), [2, 3], "{}", image.world.reasons());
    let directories = fs::read_dir(image.world.store().join("projects/bread")).unwrap();
    let directories = directories.filter(|item| item.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(directories, 2, "one for each command");
}

#[test]
fn several_commands_of_cargo_in_one_are_warm_after_a_commit() {
    let image = Image::new();
    assert_eq!(image.build_together(), 4, "what both need is compiled once");
    image.clone_again();
    assert_eq!(image.build_together(), 0, "{}", image.world.reasons());
    image.commit();
    assert_eq!(image.build_together(), 2, "{}", image.world.reasons());
    image.edit(
        "common/src/lib.rs",
        "include!(concat!(env!(\"OUT_DIR\"), \"/name.rs\"));\n// again\n",
    );
    image.commit();
    assert_eq!(image.build_together(), 3, "{}", image.world.reasons());
    let directories = fs::read_dir(image.world.store().join("projects/bread")).unwrap();
    assert_eq!(directories.filter(|item| item.as_ref().unwrap().path().is_dir()).count(), 1);
}

/// A program that says what its build script found in the variable `LOAF`, which that does not tell Cargo.
fn says_what_it_found(world: &World) {
    fs::remove_dir_all(world.source()).unwrap();
    world.write(
        "Cargo.toml",
        "[package]\nname = 'bread'\nversion = '0.1.0'\nedition = '2021'\n[workspace]\n",
    );
    world.write("build.rs", "fn main() {\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    println!(\"cargo:rustc-env=TEXT={}\", std::env::var(\"LOAF\").unwrap_or_default());\n}\n");
    world.write("src/main.rs", "fn main() { println!(\"{}\", env!(\"TEXT\")); }\n");
}

/// Runs a command with a revision; says what the program then says.
fn says(world: &World, words: &[&str], revision: &str) -> String {
    let mut command = world.run_command(words);
    command.env("APP_REVISION", revision).env("SOURCE_DATE_EPOCH", revision.len().to_string());
    // One of mkosi's own.
    command.env("IMAGE_VERSION", revision);
    Said::of(&command.output().unwrap()).succeeds();
    let program = world.source().join("target/release/bread");
    let said = world.command(program).output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_a_script_hands_on_by_another_name_is_never_stale() {
    const CARGO: &str = "cargo build -q --release";
    for (settings, first, then) in [
        ("export LOAF=$APP_REVISION", "one", "three"),
        ("export LOAF=$(env | sed -n 's/^APP_REV[I]SION=//p')", "one", "three"),
        ("export LOAF=$(set | tr -d \"'\" | sed -n 's/^APP_REV[I]SION=//p')", "one", "three"),
        ("name=APP_REV; name=${name}ISION; export LOAF=$(eval echo \\$$name)", "one", "three"),
        ("export LOAF=$(awk 'BEGIN { print ENVIRON[\"APP_\" \"REVISION\"] }')", "one", "three"),
        (
            "export LOAF=$(python3 -c 'import os; print(os.environ[\"APP_\" + \"REVISION\"])')",
            "one",
            "three",
        ),
        ("export LOAF=$SOURCE_DATE_EPOCH", "3", "5"),
        ("export LOAF=$IMAGE_VERSION", "one", "three"),
        (
            "export LOAF=$(set 2>/dev/null | tr -d \"'\" | sed -n 's/^APP_REV[I]SION=//p')",
            "one",
            "three",
        ),
        ("k=REVISION; export LOAF=$(sh -c \"echo \\$APP_$k\")", "one", "three"),
        ("k=REVISION; export LOAF=$(echo \"echo \\$APP_$k\" | sh)", "one", "three"),
    ] {
        for words in [&["sh", "-ec", &format!(". ./settings; {CARGO}")][..], &["./build"]] {
            let world = World::new();
            says_what_it_found(&world);
            world.write("settings", &format!("{settings}\n"));
            world.write("build", &format!("#!/usr/bin/env bash\nset -eu\n. ./settings\n{CARGO}\n"));
            fs::set_permissions(world.source().join("build"), fs::Permissions::from_mode(0o755))
                .unwrap();
            assert_eq!(says(&world, words, "one"), first, "{settings}");
            assert_eq!(says(&world, words, "three"), then, "{settings}: {}", world.reasons());
        }
    }
}

/// A program that the build itself makes, and that starts Cargo with what it read.
#[test]
fn what_a_program_of_the_build_hands_on_counts() {
    for variable in ["APP_REVISION", "SOURCE_DATE_EPOCH"] {
        for words in [&["cargo", "xtask"][..], &["sh", "-c", "cargo xtask"]] {
            let world = World::new();
            says_what_it_found(&world);
            world.write("Cargo.toml", "[package]\nname = 'bread'\nversion = '0.1.0'\nedition = '2021'\n[workspace]\nmembers = ['xtask']\n");
            world.write(
                "xtask/Cargo.toml",
                "[package]\nname = 'xtask'\nversion = '0.1.0'\nedition = '2021'\n",
            );
            let starts = "std::process::Command::new(std::env::var(\"CARGO\").unwrap()).args([\"build\", \"--release\", \"-p\", \"bread\"])";
            let main = format!(
                "fn main() {{ let loaf = std::env::var(\"{variable}\").unwrap(); assert!({starts}.env(\"LOAF\", loaf).status().unwrap().success()); }}\n"
            );
            world.write("xtask/src/main.rs", &main);
            world.write(".cargo/config.toml", "[alias]\nxtask = 'run -q -p xtask --'\n");
            let wanted = if variable == "APP_REVISION" { ["one", "three"] } else { ["3", "5"] };
            assert_eq!(says(&world, words, "one"), wanted[0], "{variable} {words:?}");
            assert_eq!(says(&world, words, "three"), wanted[1], "{variable} {words:?}");
        }
    }
}

#[test]
fn a_script_of_the_sources_that_says_something_else_makes_all_anew() {
    let world = World::new();
    says_what_it_found(&world);
    let write = |text: &str| world.write("settings", &format!("export LOAF={text}\n"));
    world.write("build", "#!/bin/sh\nset -eu\n. ./settings\ncargo build -q --release\n");
    fs::set_permissions(world.source().join("build"), fs::Permissions::from_mode(0o755)).unwrap();
    for words in [
        &["./build"][..],
        &["sh", "build"],
        &["sh", "-ec", ". ./settings; cargo build -q --release"],
    ] {
        for text in ["rye", "oats", "rye"] {
            write(text);
            assert_eq!(says(&world, words, "one"), text, "{words:?}: {}", world.reasons());
        }
        assert_eq!(says(&world, words, "one"), "rye");
        assert_eq!(world.compiled(), 0, "{words:?}: {}", world.reasons());
        // Of a revision that it does not name nobody is made again; the date stays what it was.
        assert_eq!(says(&world, words, "two"), "rye");
        assert_eq!(world.compiled(), 0, "{words:?}: {}", world.reasons());
    }
    world.write("build", "#!/bin/sh\nset -eu\nexport LOAF=malt\ncargo build -q --release\n");
    assert_eq!(says(&world, &["./build"], "one"), "malt", "{}", world.reasons());
}
