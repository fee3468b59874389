//! `larder gc`, `rm`, `pin` and `move` on directories that the real cargo filled.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;
use std::process::Stdio;

use crate::world::{Said, World};

const BUILD: [&str; 4] = ["cargo", "build", "--release", "--offline"];

/// Builds with these flags, and so in a directory of its own; says the directory's id.
fn build_with(world: &World, flags: &str) -> String {
    let output = world.run_command(&BUILD).env("RUSTFLAGS", flags).output().unwrap();
    Said::of(&output).succeeds();
    world.last_entry()["toolchain"].as_str().unwrap().to_owned()
}

fn three(world: &World) -> [String; 3] {
    ["-Copt-level=1", "-Copt-level=2", "-Copt-level=3"].map(|flags| build_with(world, flags))
}

fn gc(world: &World, more: &[&str]) -> Said {
    world.larder(&[&["gc", "--grace", "0", "--min-free", "0"], more].concat())
}

fn ids(world: &World) -> Vec<String> {
    let status = world.larder(&["status", "--json"]).succeeds();
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let entries = status["entries"].as_array().unwrap().iter();
    entries.map(|entry| entry["toolchain"].as_str().unwrap().to_owned()).collect()
}

fn size_of_store(world: &World) -> u64 {
    let status = world.larder(&["status", "--json"]).succeeds();
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    status["size"].as_u64().unwrap()
}

/// All names below the store but for those that every store has.
fn names(world: &World) -> Vec<PathBuf> {
    let inside = walkdir::WalkDir::new(world.store().join("projects")).max_depth(3);
    let inside = inside.into_iter().map(|item| item.unwrap().into_path());
    inside
        .chain(fs::read_dir(world.store().join("trash")).unwrap().map(|x| x.unwrap().path()))
        .collect()
}

#[test]
fn the_dry_run_is_the_plan_and_gc_carries_it_out() {
    let world = World::new();
    let [first, second, third] = three(&world);
    let budget = format!("{}B", size_of_store(&world) - 1);
    let before = names(&world);
    let said = gc(&world, &["--max-size", &budget, "--dry-run", "--json"]).succeeds();
    let plan: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(plan["steps"].as_array().unwrap().len(), 1, "{plan:#}");
    let step = &plan["steps"][0];
    assert_eq!((&step["toolchain"], &step["why"]), (&first.into(), &"max-size".into()));
    assert_eq!(names(&world), before, "a dry run changes nothing");
    let said = gc(&world, &["--max-size", &budget, "--json"]).succeeds();
    let done: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(done["taken"][0]["result"], "gone");
    assert_eq!(done["taken"][0]["toolchain"], step["toolchain"]);
    assert_eq!(done["after"], plan["after"]);
    assert_eq!(ids(&world), [third, second]);
    let said = gc(&world, &["--max-size", &budget]).succeeds();
    assert!(!said.stdout.contains("WENT"), "once is enough: {said:#?}");
}

#[test]
fn nothing_is_left_of_what_goes() {
    let world = World::new();
    three(&world);
    gc(&world, &["--keep", "0"]).succeeds();
    let left = names(&world);
    assert_eq!(left, [world.store().join("projects")], "{left:?}");
    build_with(&world, "-Copt-level=1");
    assert_eq!(world.compiled(), 2);
}

#[test]
fn grace_pins_and_running_builds_are_stronger_than_any_budget() {
    let world = World::new();
    let [first, second, third] = three(&world);
    let said = world.larder(&["gc", "--max-size", "1KiB", "--min-free", "0"]);
    assert_eq!(said.code, 3, "{said:#?}");
    assert!(said.stdout.contains("of max-size 1 KiB, and what is left is"), "{said:#?}");
    assert!(said.stderr.contains("less than one build of bread"), "{said:#?}");
    assert_eq!(ids(&world).len(), 3);
    world.larder(&["pin", "bread", &first[..8]]).succeeds();
    let mut running = world.run_command(&["sleep", "60"]);
    let mut running =
        running.env("RUSTFLAGS", "-Copt-level=0").stderr(Stdio::null()).spawn().unwrap();
    while ids(&world).len() < 4 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let said = gc(&world, &["--max-size", "0"]);
    assert_eq!(said.code, 3, "{said:#?}");
    let left = ids(&world);
    assert!(left.len() == 2 && left.contains(&first), "{left:?}");
    assert!(!left.contains(&second) && !left.contains(&third));
    let pid = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    running.wait().unwrap();
    world.larder(&["rm", "bread", &first]).refuses(1, &["is pinned", "larder unpin bread"]);
    world.larder(&["unpin", "bread", &first]).succeeds();
    gc(&world, &["--max-size", "0"]).succeeds();
    assert_eq!(ids(&world), [""; 0]);
}

#[test]
fn a_cargo_that_larder_did_not_start_is_not_robbed() {
    let world = World::new();
    world.build();
    world.write(
        "flour/build.rs",
        "fn main() {\n    std::fs::write(\"../../begun\", \"\").unwrap();\n    while !std::path::Path::new(\"../../go\").exists() {\n        std::thread::sleep(std::time::Duration::from_millis(10));\n    }\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    std::fs::write(format!(\"{out}/kind.rs\"), \"pub const KIND: &str = \\\"x\\\";\").unwrap();\n}\n",
    );
    let mut cargo = world.command("cargo");
    let cargo = cargo.args(&BUILD[1..]).current_dir(world.source()).stderr(Stdio::piped());
    let cargo = cargo.spawn().unwrap();
    while !world.path("begun").exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let said = gc(&world, &["--max-size", "0"]);
    assert_eq!(said.code, 3, "{said:#?}");
    let stays = world.larder(&["rm", "bread"]);
    assert!(
        stays.code == 1 && stays.stdout.contains("a cargo that larder did not start"),
        "{stays:#?}"
    );
    let moved = world.larder(&["move", world.path("elsewhere").to_str().unwrap()]);
    moved.refuses(1, &["a cargo that larder did not start builds in bread"]);
    let source = world.source();
    let words = ["run", "bread", "--source", source.to_str().unwrap(), "--wait", "1s", "--"];
    let mut waits = world.larder_command(&[&words[..], &BUILD[..]].concat());
    let waits = Said::of(&waits.current_dir(&source).output().unwrap());
    waits.refuses(125, &["a cargo that larder did not start builds in", "--wait"]);
    let elsewhere = world.path("elsewhere");
    let mut patient = world.larder_command(&["move", "--wait", "10m", elsewhere.to_str().unwrap()]);
    let patient = patient.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut patient = patient.spawn().unwrap();
    let mut announced = String::new();
    BufReader::new(patient.stderr.take().unwrap()).read_line(&mut announced).unwrap();
    assert!(announced.contains("a cargo that larder did not start"), "{announced}");
    assert!(!elsewhere.exists());
    fs::write(world.path("go"), "").unwrap();
    let done = cargo.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(patient.wait().unwrap().success() && elsewhere.join("CACHEDIR.TAG").exists());
    gc(&world, &["--max-size", "0"]).succeeds();
}

#[test]
fn a_run_makes_room_by_renaming_and_leaves_the_rest_to_gc() {
    let world = World::new();
    let [first, second, _] = three(&world);
    let budget = size_of_store(&world);
    let policy = format!("max-size = '{budget}B'\ngrace = '0'\nmin-free = '0'\n");
    fs::write(world.store().join("larder.toml"), policy).unwrap();
    let fourth = world.run_command(&BUILD).env("RUSTFLAGS", "-Copt-level=0").output().unwrap();
    let said = Said::of(&fourth).succeeds();
    assert!(said.stderr.contains("larder: made room: "), "{said:#?}");
    let left = ids(&world);
    assert!(!left.contains(&first), "{left:?}");
    assert!(left.len() == 3 || !left.contains(&second), "{left:?}");
    let trash = || fs::read_dir(world.store().join("trash")).unwrap().count();
    assert!(trash() > 0, "a build deletes nothing");
    world.larder(&["gc"]).succeeds();
    assert_eq!(trash(), 0);
}

#[test]
fn rm_takes_what_is_named() {
    let world = World::new();
    let [first, second, third] = three(&world);
    world.larder(&["rm", "bread", "zz"]).refuses(1, &["begins with zz"]);
    world.larder(&["rm", "cake"]).refuses(1, &["no directory of cake", "larder status"]);
    world.larder(&["rm", "bread", &second[..10]]).succeeds();
    assert_eq!(ids(&world), [third, first]);
    world.larder(&["rm", "bread"]).succeeds();
    assert_eq!(ids(&world), [""; 0]);
}

#[test]
fn a_rescan_mends_the_records() {
    let world = World::new();
    world.build();
    let size = size_of_store(&world);
    fs::write(world.entry_dir().join("target/release/more"), vec![1; 1 << 20]).unwrap();
    assert_eq!(size_of_store(&world), size);
    world.larder(&["gc", "--rescan", "--dry-run"]).succeeds();
    assert!(size_of_store(&world) >= size + (1 << 20));
}

#[test]
fn leftovers_of_work_that_was_cut_off_go() {
    let world = World::new();
    world.build();
    let entry = world.entry_dir();
    world.larder(&["gc"]).succeeds();
    let before = names(&world);
    fs::write(entry.join(".new-abc"), "half").unwrap();
    fs::create_dir_all(entry.join("cold-1/release")).unwrap();
    fs::write(world.store().join(".new-def"), "half").unwrap();
    let lost = world.store().join("projects/cake").join("0".repeat(64));
    fs::create_dir_all(lost.parent().unwrap()).unwrap();
    fs::write(lost.with_extension("lock"), "").unwrap();
    fs::write(lost.with_extension("pin"), "").unwrap();
    let said = world.larder(&["gc"]).succeeds();
    assert!(said.stdout.contains("left by work that was cut off"), "{said:#?}");
    assert_eq!(names(&world), before);
    assert!(!world.store().join(".new-def").exists());
    assert_eq!(world.build(), 0);
}

#[test]
fn a_store_moves_with_all_that_is_warm_in_it() {
    let world = World::new();
    world.build();
    let to = world.path("elsewhere");
    let moved = world.larder(&["move", to.to_str().unwrap()]).succeeds();
    assert!(moved.stdout.contains("moved from"), "{moved:#?}");
    assert_eq!(fs::read_link(world.store()).unwrap(), to);
    assert_eq!(world.build(), 0, "{}", world.reasons());
    world
        .larder(&["move", world.path("store").to_str().unwrap()])
        .refuses(1, &["inside each other"]);
    fs::create_dir(world.path("full")).unwrap();
    fs::write(world.path("full/mine"), "").unwrap();
    world.larder(&["move", world.path("full").to_str().unwrap()]).refuses(1, &["is taken"]);
    assert_eq!(world.build(), 0);
}

#[test]
fn a_store_moves_to_another_filesystem() {
    let world = World::new();
    world.build();
    let cold = world.binary();
    // /dev/shm is a filesystem of its own; what is made there is gone after the test.
    let other = tempfile::Builder::new().prefix("larder-test-").tempdir_in("/dev/shm").unwrap();
    let device = |path: &std::path::Path| fs::metadata(path).unwrap().dev();
    assert_ne!(device(other.path()), device(world.dir.path()), "the test needs two filesystems");
    symlink("nowhere", world.entry_dir().join("target/dangling")).unwrap();
    let to = other.path().join("store");
    // Half a copy of an attempt that was cut off is no hindrance.
    fs::create_dir(other.path().join(".store.larder-new")).unwrap();
    fs::write(other.path().join(".store.larder-new/half"), "").unwrap();
    // But only if it is larder's.
    world.larder(&["move", to.to_str().unwrap()]).refuses(1, &["no marker of larder's"]);
    fs::write(other.path().join(".store.larder-new/moved-from.json"), "{}").unwrap();
    world.larder(&["move", to.to_str().unwrap()]).succeeds();
    assert_eq!(fs::read_link(world.store()).unwrap(), to);
    let names = |dir: &std::path::Path| -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|name| name.unwrap().file_name());
        names
            .map(|name| name.into_string().unwrap())
            .filter(|name| name.contains("larder-"))
            .collect()
    };
    assert_eq!(names(other.path()), [""; 0]);
    assert_eq!(names(world.dir.path()), [""; 0]);
    assert!(!to.join("moved-from.json").exists());
    let metadata = fs::symlink_metadata(world.entry_dir().join("target/dangling")).unwrap();
    assert!(metadata.is_symlink());
    assert_eq!(world.build(), 0, "{}", world.reasons());
    assert_eq!(world.binary(), cold);
}
