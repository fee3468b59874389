//! What `emit` prints for containers, virtual machines and workflows, as parsers read it; and what it
//! says of a store that comes back by tar.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::world::{Said, World};

fn emit(world: &World, consumer: &str) -> Said {
    world.larder(&["emit", consumer]).succeeds()
}

/// YAML as Python's parser reads it.
pub fn yaml(text: &str) -> Value {
    use std::io::Write;
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)";
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = Said::of(&python.wait_with_output().unwrap()).succeeds();
    serde_json::from_str(&said.stdout).unwrap()
}

#[test]
fn flags_can_be_given_as_they_are_printed() {
    let world = World::new();
    for consumer in ["podman", "docker"] {
        let said = emit(&world, consumer);
        // As the shell splits `$(larder emit podman)`.
        let words: Vec<&str> = said.stdout.split_whitespace().collect();
        assert!(words.iter().all(|word| word.starts_with("--") && word.contains('=')), "{words:?}");
        let mount = words[0].strip_prefix("--mount=").unwrap();
        let fields: Vec<&str> = mount.split(',').collect();
        let source = format!("source={}", world.store().display());
        assert_eq!(fields, ["type=bind", &source, "target=/work/larder"]);
        let fixed = format!("--mount=type=bind,{source}/bin,target=/work/larder/bin,readonly");
        assert_eq!(words[1], fixed);
        assert!(said.stderr.contains("/work/larder"), "{said:#?}");
    }
    let odd = world.path("a,b");
    world.larder(&["--store", odd.to_str().unwrap(), "emit", "podman"]).refuses(1, &["a,b"]);
}

#[test]
fn compose_lima_and_workflows_are_yaml_that_says_what_it_should() {
    let world = World::new();
    let compose = yaml(&emit(&world, "compose").stdout);
    let volume = &compose["services"]["build"]["volumes"][0];
    let wanted = json!({"type": "bind", "source": world.store(), "target": "/work/larder"});
    assert_eq!(*volume, wanted);
    let binary = &compose["services"]["build"]["volumes"][1];
    assert_eq!(binary["target"], "/work/larder/bin");
    assert_eq!(binary["read_only"], true);
    let lima = emit(&world, "lima").stdout;
    assert!(lima.contains("virtiofs, 9p and sshfs"), "{lima}");
    let lima = yaml(&lima);
    let disk = json!([{"name": "larder", "format": true, "fsType": "ext4"}]);
    assert_eq!(lima["additionalDisks"], disk);
    assert_eq!(lima["env"]["LARDER_STORE"], "/mnt/lima-larder/store");
    let script = lima["provision"][0]["script"].as_str().unwrap();
    assert!(script.starts_with("#!/bin/sh\nset -eu\n"), "{script}");
    assert!(script.contains("/mnt/lima-larder/store"), "{script}");
    let steps = yaml(&emit(&world, "github-actions").stdout);
    let names: Vec<&str> =
        steps.as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Fetch the larder store", "Build", "Collect", "Keep the larder store"]);
    assert_eq!(steps[0]["with"]["key"], steps[3]["with"]["key"]);
    assert_eq!(steps[0]["with"]["path"], steps[3]["with"]["path"]);
    let prefix = steps[0]["with"]["restore-keys"].as_str().unwrap();
    assert!(steps[0]["with"]["key"].as_str().unwrap().starts_with(prefix));
    let mut unnamed = world.larder_command(&["emit", "github-actions"]);
    let unnamed = Said::of(&unnamed.env_remove("LARDER_STORE").output().unwrap()).succeeds();
    assert_eq!(yaml(&unnamed.stdout)[0]["with"]["path"], "~/.cache/larder");
    // Of the store that is named, in each step.
    let named = |path: &str| world.larder(&["--store", path, "emit", "github-actions"]);
    let steps = yaml(&named("/srv/larder").succeeds().stdout);
    for at in [0, 3] {
        assert_eq!(steps[at]["with"]["path"], "/srv/larder");
    }
    for at in [1, 2] {
        let run = steps[at]["run"].as_str().unwrap();
        assert!(run.starts_with("larder --store /srv/larder "), "{run}");
    }
    named("/srv/$(id)").refuses(1, &["a workflow cannot take the path", "use another path"]);
}

/// The options in the step that collects are those that there are.
#[test]
fn the_collection_of_a_workflow_runs() {
    let world = World::new();
    // However full the disk is on which tests run.
    fs::write(world.store().join("larder.toml"), "min-free = '0%'\n").unwrap();
    world.build();
    let steps = yaml(&emit(&world, "github-actions").stdout);
    let words: Vec<&str> = steps[2]["run"].as_str().unwrap().split_whitespace().collect();
    assert_eq!(words[0], "larder");
    world.larder(&words[1..]).succeeds();
    assert_eq!(world.build(), 0, "{}", world.reasons());
}

/// Packs the store away, and unpacks it at its place again.
fn by_tar(world: &World, unpack: &[&str]) {
    let run = |program: &str, words: &[&str]| {
        Said::of(&world.command(program).args(words).output().unwrap()).succeeds();
    };
    run("tar", &["--posix", "-cf", "store.tar", "store"]);
    fs::remove_dir_all(world.store()).unwrap();
    run("tar", &[&["-xf", "store.tar"], unpack].concat());
}

#[test]
fn a_store_that_comes_back_by_tar_is_warm_and_never_stale() {
    let world = World::new();
    world.build();
    let bytes = world.binary();
    by_tar(&world, &[]);
    assert_eq!(world.build(), 0, "{}", world.reasons());
    // With the time of unpacking on every file.
    by_tar(&world, &["--touch"]);
    assert_eq!(world.build(), 0, "{}", world.reasons());
    assert!(world.binary() == bytes);
    // Somebody changed what is in it meanwhile.
    let deps = world.entry_dir().join("target/release/deps");
    let library = fs::read_dir(deps).unwrap().map(|entry| entry.unwrap().path());
    let library =
        library.into_iter().find(|path| path.extension().is_some_and(|it| it == "rlib")).unwrap();
    by_tar(&world, &[]);
    let mut damaged = fs::read(&library).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&library, damaged).unwrap();
    by_tar(&world, &["--touch"]);
    assert!(world.build() > 0, "a changed file was taken for a good one");
    assert!(world.binary() == bytes);
}
