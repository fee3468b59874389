//! What is beside a run: git, an editor, a command that fails, another directory, a checkout that is read-only.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::world::{Said, World};

const BUILD: [&str; 4] = ["cargo", "build", "--release", "--offline"];

fn says(program: PathBuf) -> String {
    String::from_utf8(Command::new(program).output().unwrap().stdout).unwrap()
}

/// A workspace below the top of a repository, and a build script that asks whether the tree is clean.
fn asking(world: &World) -> PathBuf {
    let origin = world.path("origin");
    let manifest = "[package]\nname = 'bread'\nversion = '0.1.0'\nedition = '2021'\n[workspace]\n";
    let script = "fn main() {\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    let words = [\"diff-index\", \"--quiet\", \"HEAD\", \"--\"];\n    let clean = std::process::Command::new(\"git\").args(words).status().unwrap().success();\n    println!(\"cargo:rustc-env=CLEAN={clean}\");\n}\n";
    for (path, text) in [
        ("rust/Cargo.toml", manifest),
        ("rust/build.rs", script),
        ("rust/src/main.rs", "fn main() { println!(\"{}\", env!(\"CLEAN\")); }\n"),
        (".gitignore", "target/\nCargo.lock\n"),
    ] {
        fs::create_dir_all(origin.join(path).parent().unwrap()).unwrap();
        fs::write(origin.join(path), text).unwrap();
    }
    git(world, &["init", "-q", "origin"]);
    git(world, &["-C", "origin", "add", "-A"]);
    git(world, &["-C", "origin", "commit", "-qm", "one"]);
    origin
}

fn git(world: &World, words: &[&str]) -> String {
    world.git(&world.path("."), words)
}

#[test]
fn git_finds_clean_what_it_finds_clean_without_larder() {
    let world = World::new();
    asking(&world);
    let build = |source: &PathBuf| {
        let words = ["run", "clean", "--source", source.to_str().unwrap(), "--"];
        let mut command = world.larder_command(&[&words[..], &BUILD].concat());
        Said::of(&command.current_dir(source).output().unwrap()).succeeds();
        says(source.join("target/release/bread"))
    };
    for round in 0..2 {
        let _ = fs::remove_dir_all(world.path("clone"));
        git(&world, &["clone", "-q", "origin", "clone"]);
        let source = world.path("clone/rust");
        assert_eq!(build(&source), "true\n", "a fresh clone, {round}");
        assert_eq!(git(&world, &["-C", "clone", "status", "--porcelain"]), "");
        fs::write(
            source.join("src/main.rs"),
            "fn main() { print!(\"{}\\n\", env!(\"CLEAN\")); }\n",
        )
        .unwrap();
        assert_eq!(build(&source), "false\n", "an edit, {round}");
    }
    fs::remove_dir_all(world.path("clone")).unwrap();
    git(&world, &["clone", "-q", "origin", "clone"]);
    let source = world.path("clone");
    let words = ["verify", "top", "--source", source.to_str().unwrap(), "--"];
    let script = ["sh", "-c", "cd rust && cargo build --release --offline --target-dir ../target"];
    let mut verify = world.larder_command(&[&words[..], &script].concat());
    Said::of(&verify.current_dir(&source).output().unwrap()).succeeds();
    git(&world, &["-C", "origin", "worktree", "add", "-q", "../tree", "-b", "side"]);
    assert_eq!(build(&world.path("tree/rust")), "true\n", "a linked working tree");
}

#[test]
fn an_editor_that_builds_meanwhile_harms_nothing() {
    let world = World::new();
    world.build();
    let script = "cargo build --release --offline; touch ../built; while [ ! -e ../go ]; do sleep 0.02; done";
    let mut run = world.run_command(&["sh", "-c", script]).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while !world.path("built").exists() {
        assert!(Instant::now() < deadline, "it never built");
        std::thread::sleep(Duration::from_millis(20));
    }
    let check =
        world.command("cargo").args(["check", "--offline"]).current_dir(world.source()).output();
    Said::of(&check.unwrap()).succeeds();
    fs::write(world.path("go"), "").unwrap();
    assert!(run.wait().unwrap().success());
    let target = world.source().join("target");
    assert!(target.join("debug/deps").is_dir(), "the editor's own");
    assert_eq!(fs::read(target.join("release/bread")).unwrap(), world.binary());
    world.run(&BUILD).succeeds();
    assert_eq!(world.compiled(), 0, "{}", world.reasons());
}

#[test]
fn what_fails_before_it_builds_takes_nothing_away_and_leaves_nothing() {
    let world = World::new();
    world.build();
    let target = world.source().join("target");
    let (built, led_to) = (world.binary(), fs::read_link(target.join("release")).unwrap());
    let kept = world.entry_dir();
    for words in [&["cargo", "biuld"][..], &["false"], &["sh", "-c", "exit 7"]] {
        assert_ne!(world.run(words).code, 0, "{words:?}");
        assert_eq!(fs::read_link(target.join("release")).unwrap(), led_to, "{words:?}");
        assert_eq!(world.binary(), built, "{words:?}");
        assert_eq!(world.entry_dir(), kept, "{words:?}");
    }
    world.run(&["no-such-program"]).refuses(127, &["not found"]);
    assert_eq!((world.binary(), world.entry_dir()), (built, kept));
}

#[test]
fn from_elsewhere_it_is_said_where_cargo_ran() {
    let world = World::new();
    let source = world.source();
    let words = ["run", "bread", "--source", source.to_str().unwrap(), "--"];
    let said = world.larder(&[&words[..], &BUILD].concat());
    assert_eq!(said.code, 101);
    assert!(said.stderr.contains("change there first"), "{said:#?}");
    let manifest = source.join("Cargo.toml");
    let words = [&words[..], &BUILD, &["--manifest-path", manifest.to_str().unwrap()]].concat();
    world.larder(&words).succeeds();
    assert_eq!(world.compiled(), 2);
}

#[test]
fn a_checkout_that_is_read_only_is_warm() {
    let world = World::new();
    let script = "set -e; cargo generate-lockfile --offline; mount --bind . . && mount -o remount,bind,ro . && cd \"$PWD\"
        export CARGO_TARGET_DIR=\"$PWD/../there\"
        for round in 1 2; do \"$0\" run bread -- cargo build --release --offline; done; ../there/release/bread";
    let mut command = world.command("unshare");
    command.args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_larder")]);
    Said::of(&command.current_dir(world.source()).output().unwrap()).succeeds();
    assert_eq!(world.compiled(), 0, "{}", world.reasons());
}

/// A build script that lists a directory beside the sources and names it from its package.
const LISTS: &str = "fn main() {\n    println!(\"cargo:rerun-if-changed=../../shared\");\n    let dir = std::fs::read_dir(\"../../shared\").unwrap();\n    let mut texts: Vec<String> = dir.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();\n    texts.sort();\n    println!(\"cargo:rustc-env=TEXT={}\", texts.concat());\n}\n";

#[test]
fn what_a_build_script_names_beside_the_sources_counts_by_content() {
    let world = World::new();
    let share = |name: &str, text: &str, time: Option<u64>| {
        let path = world.path("shared").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let time = time.map(|time| SystemTime::UNIX_EPOCH + Duration::from_secs(time));
        fs::File::open(&path).unwrap().set_modified(time.unwrap_or_else(SystemTime::now)).unwrap();
    };
    let build = || {
        world.build();
        says(world.source().join("target/release/bread"))
    };
    share("a", "one", Some(1_600_000_000));
    share("b", "two", None);
    world.write("flour/build.rs", LISTS);
    world.write("flour/src/lib.rs", "pub const KIND: &str = env!(\"TEXT\");\n");
    world.write("src/main.rs", "fn main() { println!(\"{}\", flour::KIND); }\n");
    assert_eq!(build(), "onetwo\n");
    share("a", "six", Some(1_600_000_000));
    assert_eq!(build(), "sixtwo\n", "an edit that is as old as what was there");
    share("b", "ten", Some(1_500_000_000));
    assert_eq!(build(), "sixten\n", "an edit that is older");
    share("a", "six", None);
    share("b", "ten", None);
    world.run(&BUILD).succeeds();
    assert_eq!(world.compiled(), 0, "other times alone: {}", world.reasons());
    fs::remove_file(world.path("shared/a")).unwrap();
    assert_eq!(build(), "ten\n", "a file is gone");
}

#[test]
fn what_units_name_in_a_filesystem_that_is_mounted_in_the_sources_counts_by_content() {
    let world = World::new();
    world.write("data/keep", "");
    world.write(
        "flour/build.rs",
        "fn main() {\n    println!(\"cargo:rerun-if-changed=../data/named\");\n    println!(\"cargo:rustc-env=KIND={}\", std::fs::read_to_string(\"../data/named\").unwrap());\n}\n",
    );
    world.write("flour/src/lib.rs", "pub const KIND: &str = env!(\"KIND\");\n");
    let main =
        "fn main() { println!(\"{} {}\", flour::KIND, include_str!(\"../data/included\")); }\n";
    world.write("src/main.rs", main);
    let script = "set -e; mount -t tmpfs none data
        write() { printf %s \"$2\" > data/$1; touch -d 2001-01-01 data/$1; }
        build() { \"$0\" run bread -- cargo build --release --offline; target/release/bread; }
        write named one; write included two; build; write included six; build; write named ten; build; build";
    let mut command = world.command("unshare");
    command.args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_larder")]);
    let said = Said::of(&command.current_dir(world.source()).output().unwrap()).succeeds();
    assert_eq!(said.stdout, "one two\none six\nten six\nten six\n");
    assert_eq!(world.compiled(), 0, "{}", world.reasons());
}

#[test]
fn what_make_could_not_see_come_it_sees_when_it_is_touched() {
    let world = World::new();
    world.write(
        "flour/build.rs",
        "fn main() {\n    println!(\"cargo:rerun-if-changed=c\");\n    assert!(std::process::Command::new(\"make\").args([\"-s\", \"-C\", \"c\"]).status().unwrap().success());\n    println!(\"cargo:rustc-env=KIND={}\", std::fs::read_to_string(\"c/out.txt\").unwrap());\n}\n",
    );
    world.write("flour/src/lib.rs", "pub const KIND: &str = env!(\"KIND\");\n");
    world.write("src/main.rs", "fn main() { println!(\"{}\", flour::KIND); }\n");
    world.write("flour/c/Makefile", "out.txt: x.h\n\tcp x.h out.txt\n");
    world.write("flour/c/x.h", "one");
    let header = world.source().join("flour/c/x.h");
    let build = || {
        world.build();
        says(world.source().join("target/release/bread"))
    };
    fs::rename(&header, world.path("kept")).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    world.write("flour/c/x.h", "two");
    assert_eq!(build(), "two\n");
    fs::rename(world.path("kept"), &header).unwrap();
    assert_eq!(build(), "two\n", "make does not see it, in a cold build neither");
    fs::File::open(&header).unwrap().set_modified(SystemTime::now()).unwrap();
    assert_eq!(build(), "one\n");
    // What make wrote is a change of its own.
    world.build();
    assert_eq!(world.build(), 0, "{}", world.reasons());
}
