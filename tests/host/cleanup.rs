//! The command removes `target` as it would without larder, although something is mounted there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::world::{Said, World, sysroot};

const BUILD: &str = "cargo build --release --offline -q";

fn sh(world: &World, script: &str) -> Said {
    let mut said = world.run(&["sh", "-c", script]);
    // Whether something was built with cargo is said elsewhere.
    let own = |line: &&str| !line.starts_with("larder: the command built nothing");
    said.stderr = said.stderr.split_inclusive('\n').filter(own).collect();
    said
}

/// Without larder, in the same place.
fn plain(world: &World, script: &str) -> Said {
    let mut command = world.command("sh");
    Said::of(&command.args(["-c", script]).current_dir(world.source()).output().unwrap())
}

#[test]
fn cleaning_and_building_again_is_one_command() {
    let world = World::new();
    world.build();
    let first = world.binary();
    for clean in ["rm -rf target", "cargo clean -q", "cargo clean -q && cargo clean -q"] {
        sh(&world, &format!("{clean} && {BUILD}")).succeeds();
        assert_eq!(world.compiled(), 2, "{clean}: {}", world.reasons());
        assert_eq!(world.binary(), first, "{clean}");
    }
}

/// Another command would have a directory of its own.
#[test]
fn the_next_run_of_the_same_command_is_right() {
    let world = World::new();
    // What a script says is an input: it says all, and does what there is a file for.
    let steps = [
        "rm -rf target",
        "cargo clean -q",
        "cargo clean",
        "cargo clean -q --release -p flour",
        BUILD,
        "test -d target/release",
    ];
    let place = |number: usize| world.path(&format!("step{number}"));
    let lines = steps.iter().enumerate();
    let lines: Vec<String> =
        lines.map(|(number, step)| format!("[ ! -e ../step{number} ] || {step}")).collect();
    let script = format!("set -e; {}", lines.join("; "));
    let next = |first: &str, then: &str| {
        for (number, step) in steps.iter().enumerate() {
            let _ = fs::remove_file(place(number));
            if [first, then].contains(step) {
                fs::write(place(number), "").unwrap();
            }
        }
        sh(&world, &script).succeeds();
    };
    next("", BUILD);
    assert_eq!(world.compiled(), 2);
    let first = world.binary();
    next("", BUILD);
    assert_eq!(world.compiled(), 0, "{}", world.reasons());
    for clean in ["rm -rf target", "cargo clean -q", "cargo clean"] {
        next(clean, BUILD);
        assert_eq!((world.compiled(), world.binary()), (2, first.clone()), "{clean}");
        next("", BUILD);
        assert_eq!((world.compiled(), world.binary()), (0, first.clone()), "{clean}");
        next(clean, "");
        assert!(!world.entry_dir().join("target/release").exists(), "{clean} left something");
        next("", BUILD);
        assert_eq!((world.compiled(), world.binary()), (2, first.clone()), "{clean}");
    }
    next("cargo clean -q --release -p flour", "test -d target/release");
    next("", BUILD);
    assert_eq!(world.binary(), first);
}

#[test]
fn every_way_to_remove_it_works() {
    let world = World::new();
    for way in [
        "rm -rf target",
        "rm -rf \"$PWD/target\"",
        "rm -rf target/",
        "rm -rf ./flour/../target//",
        "cd target && rm -rf ../target",
        "ln -sfn . here && rm -rf here/target",
        "find target -delete",
        "find . -depth -path './target*' -delete",
        "rm -f target/a/b target/CACHEDIR.TAG && rmdir target/a target",
        "python3 -c 'import shutil; shutil.rmtree(\"target\")'",
        "python3 -c 'import os, shutil; shutil.rmtree(\"target\"); os.mkdir(\"target\")'",
        "rm -rf target && mkdir target && mkdir -p target",
        "rm -rf target && mkdir -p target/release && rm -rf target && mkdir target",
    ] {
        let said = sh(&world, &format!("mkdir -p target/a && echo > target/a/b && {way}"));
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{way}");
    }
}

#[test]
fn what_fails_without_larder_fails_with_it() {
    let world = World::new();
    for script in [
        "mkdir -p target/a; rmdir target",
        "mkdir -p target; mkdir target",
        "mkdir -p target; rm -rf target; mkdir target; mkdir target",
        "mkdir -p target; rm -rf target; mkdir -p target/a; mkdir target",
        "mkdir -p target; rmdir target/.",
        "rmdir missing",
        "rmdir src",
        "mkdir src",
        "ln -sfn target link; rmdir link",
        "touch file; rmdir file",
        "rmdir /proc",
        "rmdir /",
        "python3 -c 'import ctypes; l = ctypes.CDLL(None, use_errno=True); l.rmdir(8); print(ctypes.get_errno())'",
    ] {
        let with = sh(&world, script);
        // The link that larder leaves is not what the command saw.
        let target = world.source().join("target");
        fs::remove_file(&target).or_else(|_| fs::remove_dir_all(&target)).unwrap();
        let without = plain(&world, script);
        let all = |said: &Said| (said.code, said.stdout.clone(), said.stderr.clone());
        assert_eq!(all(&with), all(&without), "{script}");
        let _ = fs::remove_dir_all(&target);
    }
}

#[test]
fn many_at_once_end_quickly() {
    let world = World::new();
    let script = "for i in $(seq 100); do (for j in $(seq 10); do mkdir d$i && rmdir d$i || exit 1; rm -rf target || exit 1; done) & pids=\"$pids $!\"; done; for pid in $pids; do wait $pid || exit 1; done";
    let started = Instant::now();
    sh(&world, script).succeeds();
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn the_command_sees_no_other_descriptors() {
    let world = World::new();
    let said = sh(&world, "ls -l /proc/$$/fd; ls -l /proc/self/fd").succeeds();
    assert!(!said.stdout.contains("seccomp") && !said.stdout.contains("socket:"), "{said:?}");
    assert!(!plain(&world, "grep NoNewPrivs /proc/self/status").stdout.is_empty());
    let privileges = "grep NoNewPrivs /proc/self/status";
    assert_eq!(sh(&world, privileges).stdout, plain(&world, privileges).stdout);
}

#[test]
fn a_setuid_program_gets_its_rights() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let world = World::new();
    fs::copy("/usr/bin/id", world.path("id")).unwrap();
    fs::set_permissions(world.path("id"), fs::Permissions::from_mode(0o4755)).unwrap();
    let script = "setpriv --reuid=12345 --regid=12345 --clear-groups ../id -u";
    let without = plain(&world, script).stdout;
    assert_eq!(without, "0\n", "the test needs a filesystem where setuid counts");
    assert_eq!(sh(&world, script).stdout, without);
}

#[test]
fn a_plain_user_can_too() {
    let world = World::new();
    if !rustix::process::geteuid().is_root() {
        // Then every other test here shows it.
        return;
    }
    // The toolchain where that user may read it, as long as the namespace is there.
    let script = format!(
        "set -e; mkdir ../toolchain; rm -rf ../store; cp \"$0\" ../larder; chown -R 12345:12345 ..
        mount --bind {} ../toolchain
        export PATH=\"$PWD/../toolchain/bin:$PATH\"
        as_user() {{ setpriv --reuid=12345 --regid=12345 --clear-groups -- \"$@\"; }}
        as_user ../larder provision bread >&2
        echo 'min-free = \"0%\"' >../store/larder.toml
        as_user ../larder run bread -- sh -c '{BUILD} && rm -rf target && mkdir target && {BUILD} && cargo clean -q && rm -rf \"$PWD/target\" && {BUILD}'
        stat -c %u target/release/bread",
        sysroot().display()
    );
    let mut command = world.command("unshare");
    command.args(["-m", "sh", "-c", &script, env!("CARGO_BIN_EXE_larder")]);
    let said = Said::of(&command.current_dir(world.source()).output().unwrap()).succeeds();
    assert!(!said.stderr.contains("symlink"), "{said:#?}");
    assert_eq!(said.stdout, "12345\n", "{said:#?}");
}

#[test]
fn a_signal_ends_a_run_that_removes() {
    let world = World::new();
    let script = "echo > ../began; while :; do mkdir -p target/a; rm -rf target; done";
    let mut larder = world.run_command(&["sh", "-c", script]).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !world.path("began").exists() {
        assert!(Instant::now() < deadline, "the command did not begin");
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(100));
    kill_process(Pid::from_child(&larder), Signal::TERM).unwrap();
    assert_eq!(larder.wait().unwrap().code(), Some(143));
}

#[test]
fn another_run_inside_goes_on_without() {
    let world = World::new();
    let inner = format!(
        "{} run other --source ../other -- sh -c 'mkdir -p target/a; exit 3'; echo $?",
        env!("CARGO_BIN_EXE_larder")
    );
    plain(&world, "cp -r . ../other").succeeds();
    let said = sh(&world, &inner);
    assert!(said.stdout.trim() == "3", "{said:?}");
}
