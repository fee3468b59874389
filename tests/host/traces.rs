//! What is watched of a build, and what follows from it.

use std::fs;

use crate::world::{Said, World};

const BUILD: [&str; 4] = ["cargo", "build", "--release", "--offline"];

/// `flour`'s build script, which reads a file outside of the sources by a path put together from pieces.
fn reading(world: &World) {
    let dir = world.path("far");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("kind"), "rye").unwrap();
    let backwards: String = dir.join("kind").to_str().unwrap().chars().rev().collect();
    world.write("flour/build.rs", &format!("fn main() {{\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    let path: String = {backwards:?}.chars().rev().collect();\n    let kind = std::fs::read_to_string(path).unwrap();\n    std::fs::write(format!(\"{{}}/kind.rs\", std::env::var(\"OUT_DIR\").unwrap()), format!(\"pub const KIND: &str = {{kind:?}};\")).unwrap();\n}}\n"));
}

#[test]
fn what_a_unit_looked_up_is_told_and_decides_whether_it_stays() {
    let world = World::new();
    reading(&world);
    assert_eq!(world.build(), 2);
    let told = world.larder(&["explain", "bread", "--unit", "flour"]).succeeds().stdout;
    let kind = world.path("far/kind");
    assert!(told.contains(&format!("\n  {}: file ", kind.display())), "{told}");
    assert!(told.contains("build script, run"), "{told}");
    let json = world.larder(&["explain", "bread", "--unit", "flour", "--json"]).succeeds().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let units = json["units"].as_array().unwrap();
    assert!(units.iter().all(|unit| unit["observed"] == true), "{json:#}");
    world.larder(&["explain", "bread", "--unit", "oats"]).refuses(1, &["no unit of oats"]);
    fs::write(&kind, "oat").unwrap();
    assert_eq!(world.build(), 2);
    assert_eq!(world.reasons(), format!("inputs changed: {}", kind.display()));
    let told = world.larder(&["explain", "bread"]).succeeds().stdout;
    let input = format!("flour (build script, run) looked up {}: file ", kind.display());
    assert!(told.contains(&input) && told.contains(", now file "), "{told}");
    assert!(told.contains("all anew, 2 packages compiled"), "{told}");
    assert!(told.contains("made again, 2 of 2: bread, flour"), "{told}");
    for words in [&["history"][..], &["status", "bread"]] {
        let told = world.larder(words).succeeds().stdout;
        assert!(told.contains("all anew"), "{told}");
    }
    assert_eq!(world.binary(), world.cold());
    world.write("notes", "nobody reads this");
    assert_eq!(world.build(), 0, "{}", world.reasons());
}

#[test]
fn where_nothing_can_be_watched_inputs_are_guessed_and_that_is_said() {
    let world = World::new();
    reading(&world);
    // One chain of filters has one listener: that of the run outside.
    let inner = world.run_command(&BUILD);
    let nested = || {
        let mut outer = world.larder_command(&[
            "run",
            "outer",
            "--source",
            world.path("far").to_str().unwrap(),
            "--",
        ]);
        outer.arg(inner.get_program()).args(inner.get_args());
        outer.current_dir(world.source());
        Said::of(&outer.output().unwrap()).succeeds()
    };
    let said = nested();
    assert!(said.stderr.contains("cannot be seen"), "{}", said.stderr);
    assert_eq!(world.compiled(), 2);
    nested();
    assert_eq!(world.compiled(), 0, "{}", world.reasons());
    world.write("notes", "nobody reads this");
    nested();
    assert_eq!(world.compiled(), 2, "{}", world.reasons());
    let told = world.larder(&["explain", "bread", "--unit", "flour"]).succeeds().stdout;
    assert!(told.contains("not watched when it was made"), "{told}");
    // Watched again, what was not is made once more when something changes, and known from then on.
    world.write("notes", "nor this");
    assert_eq!(world.build(), 2, "{}", world.reasons());
    world.write("notes", "nor that");
    assert_eq!(world.build(), 0, "{}", world.reasons());
}

#[test]
fn what_comes_over_the_network_leaves_a_gap() {
    let world = World::new();
    world.write("flour/build.rs", "fn main() {\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    let _ = std::net::TcpStream::connect(\"127.0.0.1:9\");\n    std::fs::write(format!(\"{}/kind.rs\", std::env::var(\"OUT_DIR\").unwrap()), \"pub const KIND: &str = \\\"rye\\\";\").unwrap();\n}\n");
    assert_eq!(world.build(), 2);
    let told = world.larder(&["explain", "bread", "--unit", "flour"]).succeeds().stdout;
    assert!(told.contains("something came over the network"), "{told}");
    world.write("notes", "anybody may read this");
    assert_eq!(world.build(), 2, "{}", world.reasons());
    assert_eq!(world.binary(), world.cold());
}

#[test]
fn an_attempt_that_starts_no_unit_changes_nothing() {
    let world = World::new();
    assert_eq!(world.build(), 2);
    let manifest = fs::read_to_string(world.source().join("Cargo.toml")).unwrap();
    for broken in
        ["", "[package", "[package]\nname = 'bread'\nversion = '1'\nrust-version = '9.0'\n"]
    {
        world.write("Cargo.toml", broken);
        assert_ne!(world.run(&BUILD).code, 0, "{broken}");
        assert_eq!(world.compiled(), 0);
        world.write("Cargo.toml", &manifest);
        assert_eq!(world.build(), 0, "{broken}: {}", world.reasons());
    }
    // One that starts some is an attempt.
    world.write("src/extra.rs", "");
    let main = fs::read_to_string(world.source().join("src/main.rs")).unwrap();
    world.write("src/main.rs", "fn main() { no }\n");
    assert_ne!(world.run(&BUILD).code, 0);
    world.write("src/main.rs", &main);
    assert_eq!(world.build(), 1, "{}", world.reasons());
    assert_eq!(world.binary(), world.cold());
}

#[test]
fn an_attempt_that_starts_no_unit_makes_nothing_whole_that_was_not() {
    let world = World::new();
    assert_eq!(world.build(), 2);
    let right = world.binary();
    let manifest = fs::read_to_string(world.source().join("Cargo.toml")).unwrap();
    let deps = world.entry_dir().join("target/release/deps");
    let library = fs::read_dir(deps).unwrap().map(|entry| entry.unwrap().path());
    let library = library.into_iter().find(|path| path.extension().is_some_and(|it| it == "rlib"));
    let library = library.unwrap();
    let bytes = fs::read(&library).unwrap();
    fs::write(&library, [&bytes[..], b"more"].concat()).unwrap();
    world.write("Cargo.toml", "[package");
    assert_ne!(world.run(&BUILD).code, 0);
    world.write("Cargo.toml", &manifest);
    assert!(world.build() > 0, "what was damaged is used");
    assert_eq!(world.binary(), right);
    // Nor is what configured Cargo in an attempt that failed what units were made with.
    world.write(".cargo/config.toml", "[env]\nKIND = 'x'\n");
    world.write("Cargo.toml", "[package");
    assert_ne!(world.run(&BUILD).code, 0);
    world.write("Cargo.toml", &manifest);
    assert!(world.build() > 0, "what Cargo was configured by changed");
}

#[test]
fn a_line_in_one_manifest_takes_that_package_and_its_dependents() {
    let world = World::new();
    assert_eq!(world.build(), 2);
    let manifest = fs::read_to_string(world.source().join("Cargo.toml")).unwrap();
    world.write("Cargo.toml", &manifest.replace("[package]\n", "[package]\ndescription = 'x'\n"));
    assert_eq!(world.build(), 1, "{}", world.reasons());
    assert_eq!(world.binary(), world.cold());
}

#[test]
fn without_a_lock_file_in_the_repository_a_fresh_clone_compiles_nothing() {
    let world = World::new();
    assert_eq!(world.build(), 2);
    for _ in 0..2 {
        fs::remove_file(world.source().join("Cargo.lock")).unwrap();
        assert_eq!(world.build(), 0, "{}", world.reasons());
    }
    assert_eq!(world.binary(), world.cold());
}

#[test]
fn a_file_of_another_unit_that_a_build_script_writes_is_named_and_its_unit_goes() {
    let world = World::new();
    world.write("Cargo.toml", "[workspace]\nmembers = ['flour']\n[package]\nname = 'bread'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\nflour = { path = 'flour' }\n[build-dependencies]\nflour = { path = 'flour' }\n");
    world.write("build.rs", "use std::{env, fs, path::Path};\nfn main() {\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    let _ = flour::weight();\n    let deps = Path::new(&env::var(\"OUT_DIR\").unwrap()).join(\"../../../deps\");\n    for item in fs::read_dir(deps).unwrap().map(Result::unwrap) {\n        let name = item.file_name().into_string().unwrap();\n        if name.starts_with(\"libflour\") && name.ends_with(\".rlib\") {\n            let (bytes, times) = (fs::read(item.path()).unwrap(), item.metadata().unwrap().modified().unwrap());\n            fs::write(item.path(), bytes).unwrap();\n            fs::File::options().append(true).open(item.path()).unwrap().set_modified(times).unwrap();\n        }\n    }\n}\n");
    let said = world.run(&BUILD).succeeds().stderr;
    assert!(said.contains("bread wrote ") && said.contains("which is flour's"), "{said}");
    assert_eq!(world.build(), 2);
    assert!(world.reasons().contains("flour"), "{}", world.reasons());
}

#[test]
fn a_cargo_of_a_build_script_may_have_its_own_directory_inside_of_the_target_directory() {
    let world = World::new();
    world.write("Cargo.toml", "[workspace]\nmembers = ['flour']\n[package]\nname = 'bread'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\nflour = { path = 'flour' }\n");
    world.write("build.rs", "use std::{env, path::Path, process::Command};\nfn main() {\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    let target = Path::new(&env::var(\"OUT_DIR\").unwrap()).join(\"../../../../wbuild\");\n    let words = [\"build\", \"--release\", \"--offline\", \"-p\", \"flour\", \"--target-dir\"];\n    let mut cargo = Command::new(env::var(\"CARGO\").unwrap());\n    assert!(cargo.args(words).arg(target).status().unwrap().success());\n}\n");
    let build = || {
        let said = world.run(&BUILD).succeeds().stderr;
        assert!(!said.contains("which is flour's"), "{said}");
        world.compiled()
    };
    assert_eq!(build(), 2);
    assert!(world.source().join("target/wbuild/release/libflour.rlib").exists());
    assert_eq!(build(), 0, "{}", world.reasons());
    world.write("flour/kind.txt", "oat\n");
    assert_eq!(build(), 2, "{}", world.reasons());
    assert_eq!(world.binary(), world.cold());
}

/// What Cargo takes for fresh, whoever changed it and whatever times he gave it.
#[test]
fn what_nobody_made_and_is_another_after_a_build_goes() {
    let evil = "for file in target/release/deps/libflour-*.rlib; do
            touch -r \"$file\" ../reference; printf x >> \"$file\"; touch -r ../reference \"$file\"
        done";
    let newer = "touch target/release/.fingerprint/flour-*/invoked.timestamp";
    let gone = "rm target/release/build/flour-*/out/kind.rs";
    for harm in [evil.to_owned(), format!("{newer}; {evil}"), gone.to_owned()] {
        let world = World::new();
        let command =
            format!("set -e; cargo build --release --offline; if test -e harm; then {harm}; fi");
        let command = ["sh", "-c", &command];
        world.run(&command).succeeds();
        world.write("harm", "");
        world.run(&command).succeeds();
        fs::remove_file(world.source().join("harm")).unwrap();
        world.run(&command).succeeds();
        assert_eq!(world.compiled(), 2, "{harm}: {}", world.reasons());
        assert!(
            world.reasons().contains("changed in place after it was built: flour"),
            "{}",
            world.reasons()
        );
        assert_eq!(world.binary(), world.cold());
        world.run(&command).succeeds();
        assert_eq!(world.compiled(), 0, "{}", world.reasons());
    }
}

#[test]
fn a_build_that_broke_off_is_not_called_a_change_in_place() {
    let world = World::new();
    world.build();
    world.write("flour/src/lib.rs", "not Rust\n");
    assert_ne!(world.run(&BUILD).code, 0);
    world.write("flour/src/lib.rs", "pub const KIND: u8 = 1;\npub fn weight() -> u32 { 8 }\n");
    assert_eq!(world.build(), 2);
    assert!(!world.reasons().contains("changed in place"), "{}", world.reasons());
    assert_eq!(world.binary(), world.cold());
}

#[test]
fn a_run_that_builds_nothing_after_the_directory_is_gone_says_nothing_of_it() {
    let world = World::new();
    world.build();
    world.larder(&["rm", "bread"]).succeeds();
    let said = world.run(&["false"]);
    assert_eq!(said.code, 1);
    assert!(!said.stderr.contains("warning"), "{}", said.stderr);
    assert_eq!(world.build(), 2);
    assert_eq!(world.binary(), world.cold());
}

/// `[target.….NAME]` in Cargo's configuration stands for a build script of what is linked by that name.
#[test]
fn a_script_whose_answer_cargo_is_told_costs_nothing() {
    let world = World::new();
    world.write(
        "flour/Cargo.toml",
        "[package]\nname = 'flour'\nversion = '0.1.0'\nedition = '2021'\nlinks = 'grain'\n",
    );
    world.write(
        "flour/src/lib.rs",
        "pub const KIND: &str = \"none\";\npub fn weight() -> u32 { 7 }\n",
    );
    world.write(
        ".cargo/config.toml",
        "[target.x86_64-unknown-linux-gnu.grain]\nrustc-cfg = ['told']\n",
    );
    assert_eq!(world.build(), 2);
    assert_eq!(world.build(), 0, "{}", world.reasons());
    assert_eq!(world.binary(), world.cold());
}
