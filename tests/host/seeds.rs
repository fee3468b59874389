//! A directory that begins with what of the nearest one holds for it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use crate::world::{Said, World};

const BUILD: [&str; 4] = ["cargo", "build", "--release", "--offline"];

/// As for flour, with a file that its build script reads besides.
const SCRIPT: &str = r#"use std::{env, fs};
fn main() {
    println!("cargo:rerun-if-env-changed=NOTHING");
    let kind = fs::read_to_string(format!("{}/kind", env::var("FLOUR_DIR").unwrap())).unwrap();
    let out = env::var("OUT_DIR").unwrap();
    fs::write(format!("{out}/kind.rs"), format!("pub const KIND: &str = {:?};", kind.trim())).unwrap();
}
"#;

/// What lies outside of the sources, and is a part of the identity because a variable names it.
fn sdk(world: &World) -> PathBuf {
    let sdk = world.path("sdk");
    fs::create_dir_all(&sdk).unwrap();
    fs::write(sdk.join("kind"), "spelt\n").unwrap();
    fs::write(sdk.join("manual"), "first\n").unwrap();
    world.write("flour/build.rs", SCRIPT);
    sdk
}

fn with_sdk(world: &World, words: &[&str]) -> Command {
    let mut command = world.run_command(words);
    command.env("FLOUR_DIR", world.path("sdk"));
    command
}

fn run(command: &mut Command) -> Said {
    Said::of(&command.output().unwrap()).succeeds()
}

fn build(world: &World) -> usize {
    run(&mut with_sdk(world, &BUILD));
    world.compiled()
}

fn directories(world: &World) -> usize {
    let kept = fs::read_dir(world.store().join("projects/bread")).unwrap().map(Result::unwrap);
    kept.filter(|item| item.path().is_dir()).count()
}

#[test]
fn where_nobody_looked_the_directory_is_handed_over_and_back() {
    let world = World::new();
    let sdk = sdk(&world);
    assert_eq!(build(&world), 2);
    let bytes = world.binary();
    for text in ["second\n", "first\n"] {
        fs::write(sdk.join("manual"), text).unwrap();
        let said = run(&mut with_sdk(&world, &BUILD));
        assert!(said.stderr.contains("bread begins with all of "), "{said:?}");
        assert_eq!((world.compiled(), world.binary()), (0, bytes.clone()));
        assert!(world.reasons().contains("goes on with what "), "{}", world.reasons());
        assert!(world.reasons().contains("sdk: content changed"), "{}", world.reasons());
        assert_eq!(directories(&world), 1);
    }
    assert_eq!(build(&world), 0);
    assert_eq!(world.reasons(), "");
}

#[test]
fn who_looked_at_what_changed_is_made_anew_and_both_stay_warm() {
    let world = World::new();
    let sdk = sdk(&world);
    world.write(
        "grain/Cargo.toml",
        "[package]\nname = 'grain'\nversion = '0.1.0'\nedition = '2021'\n",
    );
    world.write("grain/src/lib.rs", "pub fn corn() -> u32 { 3 }\n");
    world.write("Cargo.toml", "[workspace]\nmembers = ['flour', 'grain']\n[package]\nname = 'bread'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\nflour = { path = 'flour' }\ngrain = { path = 'grain' }\n");
    fs::remove_file(world.source().join("Cargo.lock")).unwrap();
    assert_eq!(build(&world), 3);
    let spelt = world.binary();
    fs::write(sdk.join("kind"), "emmer\n").unwrap();
    let said = run(&mut with_sdk(&world, &BUILD));
    assert!(said.stderr.contains(" units of "), "{said:?}");
    assert_eq!(world.compiled(), 2, "grain looked at none of it");
    let emmer = world.binary();
    assert!(emmer != spelt && directories(&world) == 2);
    fs::write(sdk.join("kind"), "spelt\n").unwrap();
    assert_eq!((build(&world), world.binary()), (0, spelt));
    fs::write(sdk.join("kind"), "emmer\n").unwrap();
    assert_eq!((build(&world), world.binary()), (0, emmer));
}

#[test]
fn a_kept_file_that_was_changed_is_not_taken() {
    let world = World::new();
    let sdk = sdk(&world);
    assert_eq!(build(&world), 2);
    let deps = world.entry_dir().join("target/release/deps");
    let library = fs::read_dir(deps).unwrap().map(|item| item.unwrap().path());
    let library = library.into_iter().find(|path| path.extension().is_some_and(|it| it == "rlib"));
    let library = library.unwrap();
    let mut bytes = fs::read(&library).unwrap();
    bytes.extend(b"poison");
    fs::write(library, bytes).unwrap();
    fs::write(sdk.join("manual"), "second\n").unwrap();
    build(&world);
    assert_eq!(world.binary(), cold_in_place(&world));
}

/// At the same path, because it is in the bytes.
fn cold_in_place(world: &World) -> Vec<u8> {
    let target = world.source().join("target");
    fs::remove_dir_all(&target).unwrap();
    let mut cargo = world.command("cargo");
    run(cargo.args(&BUILD[1..]).current_dir(world.source()).env("FLOUR_DIR", world.path("sdk")));
    fs::read(target.join("release/bread")).unwrap()
}

#[test]
fn another_of_cargos_own_commands_takes_what_is_the_same_for_it() {
    let world = World::new();
    assert_eq!(world.build(), 2);
    let bytes = world.binary();
    let all = ["cargo", "build", "--release", "--offline", "-p", "flour", "--lib"];
    world.run(&all).succeeds();
    assert_eq!(world.compiled(), 0, "{}", world.reasons());
    assert!(world.reasons().contains("command: "), "{}", world.reasons());
    assert_eq!((world.build(), world.binary()), (0, bytes.clone()));
    world.write("flour/kind.txt", "oat\n");
    world.run(&["cargo", "build", "--release", "--offline", "--all-targets"]).succeeds();
    world.build();
    assert_eq!(world.binary(), world.cold());
}

#[test]
fn what_cargo_says_of_a_package_that_the_command_selects_is_heeded() {
    let world = World::new();
    let library = "include!(concat!(env!(\"OUT_DIR\"), \"/kind.rs\"));\npub fn weight() -> u32 { option_env!(\"CARGO_PRIMARY_PACKAGE\").map_or(7, |_| 8) }\n";
    world.write("flour/src/lib.rs", library);
    world.run(&["cargo", "build", "--release", "--offline", "--workspace"]).succeeds();
    world.build();
    assert_eq!(world.binary(), world.cold());
}

/// What a build script leaves beside Cargo's files has no hash in its name.
const LEAVES: &str = r#"use std::{env, fs};
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let out = env::var("OUT_DIR").unwrap();
    let text = if cfg!(feature = "fine") { "fine" } else { "coarse" };
    fs::write(format!("{out}/../../../assets.txt"), text).unwrap();
    fs::write(format!("{out}/kind.rs"), "pub const KIND: &str = \"rye\";").unwrap();
}
"#;

#[test]
fn what_another_command_left_beside_the_units_is_not_taken() {
    let world = World::new();
    world.write("flour/build.rs", LEAVES);
    world.write(
        "flour/Cargo.toml",
        "[package]\nname = 'flour'\nversion = '0.1.0'\nedition = '2021'\n[features]\nfine = []\n",
    );
    let assets = world.source().join("target/release/assets.txt");
    for (words, left) in [
        (&["--features", "flour/fine"][..], "fine"),
        (&[], "coarse"),
        (&["--features", "flour/fine", "--bins"], "fine"),
    ] {
        world.run(&[&BUILD[..], words].concat()).succeeds();
        assert_eq!(fs::read_to_string(&assets).unwrap(), left);
    }
}

/// Runs the program that a variable names.
const RUNS: &str = r#"use std::{env, fs, process::Command};
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let said = Command::new(env::var("FLOUR_TOOL").unwrap()).output().unwrap().stdout;
    let kind = String::from_utf8(said).unwrap();
    let out = env::var("OUT_DIR").unwrap();
    fs::write(format!("{out}/kind.rs"), format!("pub const KIND: &str = {:?};", kind.trim())).unwrap();
}
"#;

/// Prints what lies beside where it is.
const TOOL: &str = r#"fn main() {
    let data = std::env::current_exe().unwrap().parent().unwrap().join("../data");
    print!("{}", std::fs::read_to_string(data).unwrap());
}
"#;

/// Two versions of a directory have the same program, and a link leads to the one and to the other. `tool` says how the
/// build starts it, where the link is `current` in the world.
fn is_seen_behind_a_link(tool: impl Fn(&World) -> PathBuf) {
    let world = World::new();
    world.write("flour/build.rs", RUNS);
    let (source, made) = (world.path("tool.rs"), world.path("tool"));
    fs::write(&source, TOOL).unwrap();
    run(world.command("rustc").arg(&source).arg("-o").arg(&made));
    for version in ["one", "two"] {
        let bin = world.path(&format!("versions/{version}/bin"));
        fs::create_dir_all(&bin).unwrap();
        fs::copy(&made, bin.join("tool")).unwrap();
        fs::write(bin.join("../data"), version).unwrap();
    }
    let current = world.path("current");
    // In one directory, and where a variable that names all of it makes each another identity.
    for (version, names_all) in
        ["one", "two", "one"].iter().flat_map(|it| [(it, false), (it, true)])
    {
        let _ = fs::remove_file(&current);
        symlink(world.path(&format!("versions/{version}")), &current).unwrap();
        let mut command = world.run_command(&BUILD);
        command.envs(names_all.then_some(("FLOUR_DIR", &current)));
        run(command.env("FLOUR_TOOL", tool(&world)));
        let said = world.command(world.source().join("target/release/bread")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), format!("{version} 7\n"));
    }
}

#[test]
fn a_program_behind_a_link_that_leads_elsewhere_is_another_one() {
    is_seen_behind_a_link(|world| world.path("current/bin/tool"));
}

/// A script's interpreter can ask where it is, too.
#[test]
fn an_interpreter_behind_a_link_that_leads_elsewhere_is_another_one() {
    is_seen_behind_a_link(|world| {
        let script = world.path("script");
        let interpreter = world.path("current/bin/tool");
        fs::write(&script, format!("#!{}\n", interpreter.display())).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        script
    });
}

#[test]
fn a_script_that_says_only_what_to_compile_is_seeded() {
    let world = World::new();
    let sdk = sdk(&world);
    let script = ["sh", "-c", "set -e; export KIND=fine\ncargo build --release --offline"];
    run(&mut with_sdk(&world, &script));
    fs::write(sdk.join("manual"), "second\n").unwrap();
    let said = run(&mut with_sdk(&world, &script));
    assert!(said.stderr.contains("begins with all"), "{said:?}");
    assert_eq!(world.compiled(), 0);
}

#[test]
fn a_script_is_not_seeded_because_of_what_it_may_read_of_the_system() {
    let world = World::new();
    let sdk = sdk(&world);
    let script = ["sh", "-c", "KIND=$(cat $FLOUR_DIR/manual) cargo build --release --offline"];
    world.write(
        "src/main.rs",
        "fn main() { println!(\"{} {:?}\", flour::KIND, option_env!(\"KIND\")); }\n",
    );
    run(&mut with_sdk(&world, &script));
    fs::write(sdk.join("manual"), "second\n").unwrap();
    run(&mut with_sdk(&world, &script));
    assert_eq!(world.compiled(), 2);
    let said = world.command(world.source().join("target/release/bread")).output().unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).contains("second"));
}

#[test]
fn nothing_is_taken_of_what_nobody_vouches_for() {
    let world = World::new();
    assert_eq!(world.build(), 2);
    for (words, variable) in [
        (["sh", "-c", "cargo build --release --offline", "x"], None),
        (["cargo", "build", "--offline", "--keep-going"], None),
        (BUILD, Some(("CC", "gcc"))),
        (BUILD, Some(("CARGO_BUILD_RUSTFLAGS", "-Cdebuginfo=1"))),
    ] {
        let mut command = world.run_command(&words);
        command.envs(variable);
        let said = run(&mut command);
        assert!(!said.stderr.contains("begins with"), "{said:?}");
        assert_eq!(world.compiled(), 2);
    }
}

#[test]
fn a_directory_of_another_domain_or_in_use_is_left_alone() {
    let world = World::new();
    let sdk = sdk(&world);
    assert_eq!(build(&world), 2);
    fs::write(sdk.join("manual"), "second\n").unwrap();
    let source = world.source();
    let words =
        ["run", "bread", "--source", source.to_str().unwrap(), "--domain", "requests", "--"];
    let mut other = world.larder_command(&[&words[..], &BUILD].concat());
    let said = run(other.current_dir(&source).env("FLOUR_DIR", &sdk));
    assert!(!said.stderr.contains("begins with"), "{said:?}");
    assert_eq!(world.compiled(), 2);
    fs::write(sdk.join("manual"), "third\n").unwrap();
    let locks = fs::read_dir(world.store().join("projects/bread")).unwrap();
    let locks = locks.map(|item| item.unwrap().path());
    let locks: Vec<fs::File> = locks
        .filter(|path| path.extension().is_some_and(|end| end == "lock"))
        .map(|path| fs::File::open(path).unwrap())
        .collect();
    for lock in &locks {
        rustix::fs::flock(lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    }
    assert_eq!(build(&world), 2, "it neither waits nor takes");
}

/// What a build that failed made is of more use than what another directory has.
#[test]
fn a_directory_in_which_a_build_failed_is_gone_on_with() {
    let world = World::new();
    world.write("src/main.rs", "fn main() { nothing }\n");
    assert_ne!(world.run(&BUILD).code, 0);
    world
        .write("src/main.rs", "fn main() { println!(\"{} {}\", flour::KIND, flour::weight()); }\n");
    world.run(&[&BUILD[..], &["--bins"]].concat()).succeeds();
    let said = world.run(&BUILD).succeeds();
    assert!(!said.stderr.contains("begins with"), "{said:?}");
    assert_eq!(world.binary(), world.cold());
}

#[test]
fn a_profile_by_a_variable_takes_what_it_does_not_concern() {
    let world = World::new();
    assert_eq!(world.build(), 2);
    let mut debug = world.run_command(&BUILD);
    let said = run(debug.env("CARGO_PROFILE_RELEASE_DEBUG", "1"));
    assert!(said.stderr.contains(" units of "), "{said:?}");
    let bytes = world.binary();
    fs::remove_dir_all(world.source().join("target")).unwrap();
    let mut cargo = world.command("cargo");
    cargo.args(&BUILD[1..]).current_dir(world.source()).env("CARGO_PROFILE_RELEASE_DEBUG", "1");
    run(&mut cargo);
    assert_eq!(world.binary(), bytes);
}
