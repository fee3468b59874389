//! What `doctor` says of a good host, and of each thing that is not as it should be.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::world::{Said, World};

/// The state, and the whole text, of one check.
#[track_caller]
fn check(said: &Said, name: &str) -> (String, String) {
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["schema"], 1);
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no check {name}: {report:#}"));
    (found["state"].as_str().unwrap().to_owned(), found.to_string())
}

fn doctor(world: &World) -> Said {
    // No mkosi of the machine's own is asked.
    world.larder(&["doctor", "--json", "--mkosi", "/nonexistent/mkosi"])
}

/// Where it is so, it fails or warns, and says what helps.
#[track_caller]
fn finds(world: &World, name: &str, state: &str, parts: &[&str]) {
    let said = doctor(world);
    let (found, text) = check(&said, name);
    assert_eq!(found, state, "{text}");
    assert_eq!(said.code, i32::from(state == "failed"), "{said:#?}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
}

#[test]
fn a_good_host_passes() {
    let world = World::new();
    // However full the disk is on which tests run.
    fs::write(world.store().join("larder.toml"), "min-free = '0%'\n").unwrap();
    world.build();
    let said = doctor(&world);
    assert_eq!(said.code, 0, "{said:#?}");
    // As `/tmp` is by default from Debian 13 on (`TMPFS_MAGIC` of linux/magic.h).
    let is_in_memory = rustix::fs::statfs(world.dir.path()).unwrap().f_type == 0x0102_1994;
    let filesystem = if is_in_memory { "warning" } else { "ok" };
    assert_eq!(check(&said, "filesystem").0, filesystem, "{said:#?}");
    for name in ["store", "mounting", "user namespaces", "locks", "links", "watching"] {
        assert_eq!(check(&said, name).0, "ok", "{said:#?}");
    }
    for name in ["access times", "budgets", "trash", "clock"] {
        assert_eq!(check(&said, name).0, "ok", "{said:#?}");
    }
    assert_eq!(check(&said, "mkosi").0, "not-checked");
    let text = world.larder(&["doctor", "--mkosi", "/nonexistent/mkosi"]).succeeds().stdout;
    assert!(text.lines().all(|line| line.contains(": ")), "{text}");
    assert!(text.contains("ok           locks: "), "{text}");
    let trash = fs::read_dir(world.store().join("trash")).unwrap().count();
    assert_eq!(trash, 0, "doctor left something");
}

#[test]
fn a_store_that_is_missing_newer_or_somebody_elses_fails() {
    let world = World::new();
    let tag = world.store().join("CACHEDIR.TAG");
    let text = fs::read_to_string(&tag).unwrap();
    fs::write(&tag, text.replace("format ", "format 9")).unwrap();
    finds(&world, "store", "failed", &["newer", "upgrade"]);
    fs::write(&tag, text.replace("format 4", "format 1")).unwrap();
    finds(&world, "store", "warning", &["format 1"]);
    let kept = fs::read_to_string(&tag).unwrap();
    assert!(kept.contains("format 1"), "doctor changed the store");
    fs::write(&tag, "no store's").unwrap();
    finds(&world, "store", "failed", &["not a larder store"]);
    fs::write(&tag, text).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(world.store(), Some(12345), None).unwrap();
        finds(&world, "store", "failed", &["belongs to user 12345"]);
    }
    fs::remove_dir_all(world.store()).unwrap();
    finds(&world, "store", "failed", &["no store at", "larder init"]);
}

#[test]
fn a_budget_that_no_build_fits_into_fails() {
    let world = World::new();
    world.build();
    fs::write(world.store().join("larder.toml"), "max-size = '100KiB'\n").unwrap();
    finds(&world, "budgets", "failed", &["100", "larder.toml"]);
    fs::write(world.store().join("larder.toml"), "max-size = '1GiB'\nmin-free = '100%'\n").unwrap();
    finds(&world, "free space", "warning", &["min-free", "larder gc"]);
    fs::write(world.store().join("larder.toml"), "nonsense = 1\n").unwrap();
    finds(&world, "policy", "failed", &["larder.toml"]);
}

#[test]
fn what_was_set_aside_and_a_clock_that_went_back_are_said() {
    let world = World::new();
    world.build();
    let record = world.entry_dir().join("entry.json");
    let text = fs::read_to_string(&record).unwrap();
    let mut entry: Value = serde_json::from_str(&text).unwrap();
    entry["last"]["opened"]["at"] = "2199-01-01T00:00:00Z".into();
    fs::write(&record, entry.to_string()).unwrap();
    finds(&world, "clock", "warning", &["future"]);
    fs::write(&record, text).unwrap();
    fs::create_dir_all(world.store().join("trash/bag/thing")).unwrap();
    finds(&world, "trash", "warning", &["1 set aside", "larder gc"]);
}

#[test]
fn a_binary_that_cannot_start_in_a_sandbox_fails() {
    let world = World::new();
    let binary = world.store().join("bin/larder");
    finds(&world, "binary", "not-checked", &["larder init"]);
    fs::write(world.store().join("mkosi.conf"), "").unwrap();
    finds(&world, "binary", "failed", &["larder init"]);
    put(Path::new("/bin/true"), &binary);
    finds(&world, "binary", "failed", &["is not this larder", "digest", "larder init"]);
    put(Path::new(env!("CARGO_BIN_EXE_larder")), &binary);
    let whole = check(&doctor(&world), "binary");
    assert!(whole.0 == "ok" && whole.1.contains(env!("CARGO_PKG_VERSION")), "{whole:?}");
    let bytes = fs::read(&binary).unwrap();
    fs::write(&binary, &bytes[..4096]).unwrap();
    let (state, text) = check(&doctor(&world), "binary");
    assert_eq!(state, "failed", "{text}");
}

fn put(from: &Path, to: &Path) {
    let _ = fs::remove_file(to);
    fs::copy(from, to).unwrap();
}

#[test]
fn a_store_in_memory_is_said() {
    let world = World::new();
    let memory = tempfile::Builder::new().prefix("larder-test-").tempdir_in("/dev/shm").unwrap();
    let store = memory.path().join("store");
    let store = store.to_str().unwrap();
    let source = world.source();
    let source = source.to_str().unwrap();
    world.larder(&["--store", store, "provision", "bread", "--source", source]).succeeds();
    let words = ["--store", store, "doctor", "--json", "--mkosi", "/nonexistent/mkosi"];
    let said = world.larder(&words).succeeds();
    let (state, text) = check(&said, "filesystem");
    assert_eq!(state, "warning", "{text}");
    assert!(text.contains("tmpfs") && text.contains("larder move"), "{text}");
}
