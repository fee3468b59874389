//! What larder says of its own builds: verify, explain, fidelity.

use std::fs;

use crate::world::{Said, World};

const BUILD: [&str; 4] = ["cargo", "build", "--release", "--offline"];

/// `larder verify bread [--json] -- cargo build`
fn verify(world: &World, json: bool) -> Said {
    let source = world.source();
    let mut words = vec!["verify", "bread", "--source", source.to_str().unwrap()];
    words.extend(json.then_some("--json"));
    words.push("--");
    words.extend(BUILD);
    let mut command = world.larder_command(&words);
    Said::of(&command.current_dir(&source).output().unwrap())
}

/// A build script that reads a file by a path that nobody can know.
fn read_in_secret(world: &World) {
    fs::write(world.path("secret"), "one").unwrap();
    world.write(
        "flour/build.rs",
        "use std::{env, fs};\nfn main() {\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    let home = env::var(\"HOME\").unwrap();\n    let path = std::path::Path::new(&home).parent().unwrap().join(\"sec\".to_owned() + \"ret\");\n    let out = env::var(\"OUT_DIR\").unwrap();\n    fs::write(format!(\"{out}/kind.rs\"), format!(\"pub const KIND: &str = {:?};\", fs::read_to_string(path).unwrap())).unwrap();\n}\n",
    );
}

#[test]
fn a_good_build_is_verified_and_stays() {
    let world = World::new();
    world.build();
    let said = verify(&world, false).succeeds();
    assert!(said.stdout.contains("bread: warm and cold are the same, 1 artifacts"), "{said:#?}");
    assert_eq!(world.build(), 0, "{}", world.reasons());
    let status = world.larder(&["status", "bread"]).succeeds().stdout;
    assert!(status.contains("the same as a cold build"), "{status}");
    let left = fs::read_dir(world.entry_dir()).unwrap().count();
    assert_eq!(left, 5, "a cold build is left");
}

#[test]
fn a_stale_build_is_found_named_and_set_aside() {
    let world = World::new();
    read_in_secret(&world);
    world.build();
    fs::write(world.path("secret"), "two").unwrap();
    assert_eq!(world.build(), 0, "no cache could know");
    let said = verify(&world, true);
    assert_eq!(said.code, 3, "{said:#?}");
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["verdict"], "stale");
    assert_eq!(report["differing"][0], "release/bread");
    let unit = report["first_unit"].as_str().unwrap();
    assert!(unit.starts_with("flour") && unit.contains("kind.rs"), "{unit}");
    assert_eq!(world.build(), 2);
    assert_eq!(world.binary(), world.cold());
    assert_eq!(verify(&world, false).code, 0);
}

#[test]
fn what_no_cold_build_repeats_is_told_apart() {
    let world = World::new();
    world.write(
        "flour/build.rs",
        "use std::{env, fs, time::SystemTime};\nfn main() {\n    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();\n    let out = env::var(\"OUT_DIR\").unwrap();\n    fs::write(format!(\"{out}/kind.rs\"), format!(\"pub const KIND: &str = \\\"{now}\\\";\")).unwrap();\n}\n",
    );
    world.build();
    let said = verify(&world, false);
    assert_eq!(said.code, 3, "{said:#?}");
    assert!(said.stdout.contains("not reproducible"), "{said:#?}");
    assert_eq!(world.build(), 0, "the directory stays");
}

#[test]
fn every_second_use_is_verified_if_that_is_wanted() {
    let world = World::new();
    read_in_secret(&world);
    fs::write(world.store().join("larder.toml"), "verify-every = 2\n").unwrap();
    let first = world.run(&BUILD).succeeds();
    assert!(!first.stderr.contains("verified"), "{first:#?}");
    let second = world.run(&BUILD).succeeds();
    assert!(second.stderr.contains("verified bread: warm and cold are the same"), "{second:#?}");
    world.run(&BUILD).succeeds();
    fs::write(world.path("secret"), "two").unwrap();
    world.run(&BUILD).refuses(125, &["bread was stale", "flour", "run the build again"]);
    world.run(&BUILD).succeeds();
    assert_eq!(world.binary(), world.cold());
}

#[test]
fn a_failing_command_is_passed_on_and_not_compared() {
    let world = World::new();
    world.write("src/main.rs", "fn main() { broken }\n");
    let said = verify(&world, true);
    assert_eq!((said.code, said.stdout.as_str()), (101, ""), "{said:#?}");
}

#[test]
fn explain_tells_what_was_new_what_changed_and_that_nothing_did() {
    let world = World::new();
    let explain = |more: &[&str]| {
        let words = [&["explain", "bread"], more].concat();
        world.larder(&words)
    };
    explain(&[]).refuses(1, &["nothing was built for bread"]);
    world.build();
    let text = explain(&[]).succeeds().stdout;
    assert!(
        text.contains(": cold, 2 packages compiled\n  first build of this project\n"),
        "{text}"
    );
    world.build();
    assert!(
        explain(&[]).succeeds().stdout.contains("warm, 0 packages compiled, nothing changed\n")
    );
    world.write("src/main.rs", "fn main() { println!(\"{}\", flour::weight()); }\n");
    world.build();
    let text = explain(&[]).succeeds().stdout;
    assert!(
        text.contains("warm") && text.contains("\n  checkout changed: src/main.rs\n"),
        "{text}"
    );
    let flags = world.run_command(&BUILD).env("RUSTFLAGS", "-Copt-level=1").output().unwrap();
    Said::of(&flags).succeeds();
    let said = explain(&["--json"]).succeeds();
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["kind"], "cold");
    let difference = &report["differences"][0];
    assert_eq!(
        (&difference["part"], &difference["name"], &difference["old"], &difference["new"]),
        (
            &"environment".into(),
            &"RUSTFLAGS".into(),
            &serde_json::Value::Null,
            &"-Copt-level=1".into()
        )
    );
    let (one, other) = (&report["toolchain"], &report["compared_with"]);
    let between = ["--between", one.as_str().unwrap(), &other.as_str().unwrap()[..8]];
    let text = explain(&between).succeeds().stdout;
    assert!(text.contains("  environment RUSTFLAGS: -Copt-level=1 → unset\n"), "{text}");
    explain(&["--between", "zz", "zz"]).refuses(1, &["begins with zz", "larder status"]);
}

#[test]
fn with_the_fidelity_of_cargo_one_edited_crate_costs_one_crate() {
    let world = World::new();
    fs::write(world.store().join("larder.toml"), "[project.bread]\nfidelity = 'cargo'\n").unwrap();
    assert_eq!(world.build(), 2);
    world.write("src/main.rs", "fn main() { println!(\"{}\", flour::weight()); }\n");
    let past = filetime::FileTime::from_unix_time(1_000_000_000, 0);
    filetime::set_file_mtime(world.source().join("src/main.rs"), past).unwrap();
    assert_eq!(world.build(), 1, "{}", world.reasons());
    assert_eq!(world.reasons(), "checkout changed: src/main.rs");
    assert_eq!(world.build(), 0);
    // What cargo cannot see, it does not see; that is the bargain.
    world.write("flour/kind.txt", "oat\n");
    filetime::set_file_mtime(world.source().join("flour/kind.txt"), past).unwrap();
    assert_eq!(world.build(), 0);
    assert!(world.larder(&["status"]).succeeds().stdout.contains("fidelity cargo"));
    // An exact build has a directory of its own.
    let source = world.source();
    let words = ["run", "bread", "--fidelity", "exact", "--source", source.to_str().unwrap(), "--"];
    let mut exact = world.larder_command(&[&words[..], &BUILD].concat());
    let exact = Said::of(&exact.current_dir(&source).output().unwrap()).succeeds();
    assert!(exact.stderr.contains("Compiling flour"), "{exact:#?}");
    assert_eq!(world.binary(), world.cold());
}
