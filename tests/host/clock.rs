//! What `emit` prints for systemd and cron, as their own tools read it, and what they then start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{Said, World};

/// A name with everything that units, crontabs and shells read in their own way.
const ODD: &str = "100% it's \"of\" a$b;d";

fn emit(world: &World, consumer: &str, binary: &Path, store: &Path) -> String {
    let (binary, store) = (binary.to_str().unwrap(), store.to_str().unwrap());
    let said = world.larder(&["emit", consumer, "--binary", binary, "--store", store]);
    said.succeeds().stdout
}

/// A program that writes its arguments to `said`, one on each line.
fn fake(world: &World, name: &str) -> PathBuf {
    let path = world.path(name);
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >{}/said\n", world.dir.path().display());
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A store that a user owns, where root can give it away; else the world's own.
fn users_store(world: &World) -> PathBuf {
    let store = world.path("theirs");
    fs::create_dir(&store).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&store, Some(12345), None).unwrap();
    }
    store
}

/// systemd itself finds nothing to say about the units.
fn verify(world: &World, manager: &str, binary: &Path, store: &Path) {
    let dir = world.path("units");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir(&dir).unwrap();
    for (consumer, name) in
        [("systemd-service", "larder-gc.service"), ("systemd-timer", "larder-gc.timer")]
    {
        fs::write(dir.join(name), emit(world, consumer, binary, store)).unwrap();
    }
    let runtime = world.path("runtime");
    fs::create_dir_all(&runtime).unwrap();
    let mut analyze = world.command("systemd-analyze");
    analyze.args([manager, "verify", "--man=no", "--recursive-errors=no"]);
    analyze.args([dir.join("larder-gc.service"), dir.join("larder-gc.timer")]);
    let said = Said::of(&analyze.env("XDG_RUNTIME_DIR", runtime).output().unwrap()).succeeds();
    assert!(!said.stderr.contains("larder"), "{said:#?}");
}

#[test]
fn systemd_understands_the_units() {
    let world = World::new();
    let (plain, odd) = (fake(&world, "larder"), fake(&world, "100% a$b;d"));
    for store in [world.store(), world.path(&format!("{ODD} store")), users_store(&world)] {
        for binary in [&plain, &odd] {
            verify(&world, "--system", binary, &store);
            verify(&world, "--user", binary, &store);
        }
    }
    let theirs = emit(&world, "systemd", &plain, &world.path("theirs"));
    assert!(theirs.contains("systemctl --user") && !theirs.contains("Protect"), "{theirs}");
}

#[test]
fn cron_starts_what_the_line_says() {
    let world = World::new();
    let binary = fake(&world, ODD);
    let (ours, theirs) = (world.path(&format!("{ODD} store")), users_store(&world));
    for store in [&ours, &theirs] {
        let text = emit(&world, "cron", &binary, store);
        let line = text.lines().find(|line| !line.starts_with('#')).unwrap();
        let (times, command) = line.split_at(line.match_indices(' ').nth(4).unwrap().0);
        let hourly = "import sys, datetime as d, croniter as c; i = c.croniter(sys.argv[1], d.datetime(2026, 1, 1)); t = [i.get_next(d.datetime) for _ in range(24)]; sys.exit(t[23] - t[0] != d.timedelta(hours=23))";
        let parsed = Command::new("/usr/bin/python3").args(["-c", hourly, times]).output().unwrap();
        Said::of(&parsed).succeeds();
        let is_roots = rustix::process::geteuid().is_root() && store == &ours;
        let command = command.trim_start();
        assert_eq!(command.starts_with("root "), is_roots, "{text}");
        let command = command.strip_prefix("root ").unwrap_or(command);
        assert_eq!(command.matches('%').count(), command.matches("\\%").count(), "{text}");
        // What cron hands to the shell (crontab(5)).
        let shell =
            world.command("sh").args(["-c", &command.replace("\\%", "%")]).output().unwrap();
        Said::of(&shell).succeeds();
        let said = fs::read_to_string(world.path("said")).unwrap();
        assert_eq!(said, format!("gc\n--store\n{}\n", store.display()));
    }
}

#[test]
fn the_installed_units_are_those_that_emit_prints() {
    let world = World::new();
    let (binary, root) = (env!("CARGO_BIN_EXE_larder"), world.path("root"));
    let make = Command::new("make")
        .args(["-s", "-C", env!("CARGO_MANIFEST_DIR"), "-o", "build", "install", "PREFIX=/usr"])
        .args([format!("BINARY={binary}"), format!("DESTDIR={}", root.display())])
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap();
    Said::of(&make).succeeds();
    let (larder, store) = (Path::new("/usr/bin/larder"), Path::new("/var/cache/larder"));
    for (consumer, name) in
        [("systemd-service", "larder-gc.service"), ("systemd-timer", "larder-gc.timer")]
    {
        let installed = fs::read_to_string(root.join("usr/lib/systemd/system").join(name)).unwrap();
        assert_eq!(installed, emit(&world, consumer, larder, store));
    }
}

/// What the service's settings come to, made by hand: there is no systemd where tests run.
#[test]
#[ignore = "makes mounts, which takes root: make test"]
fn root_a_collection_needs_nothing_but_the_store() {
    assert!(rustix::process::geteuid().is_root(), "only root can make mounts");
    let world = World::new();
    world.build();
    let script = "set -e
        mount --bind ../store ../store
        awk '{ print $5 }' /proc/self/mountinfo | while read -r place; do
            case $place in /proc*|/sys*|/dev*|\"$1\") continue ;; esac
            mount -o remount,bind,ro \"$place\" 2>/dev/null || :
        done
        if touch ../canary 2>/dev/null; then echo 'not read-only'; exit 9; fi
        exec nice -n 19 ionice -c 3 setpriv --no-new-privs --inh-caps=-all \\
            --bounding-set=-all,+dac_override,+fowner \\
            \"$0\" gc --store \"$1\" --max-size 1KiB --grace 0s";
    let mut command = world.command("unshare");
    command.args(["--mount", "--net", "--propagation", "private", "sh", "-c", script]);
    command.arg(env!("CARGO_BIN_EXE_larder")).arg(world.store());
    let said = Said::of(&command.current_dir(world.source()).output().unwrap());
    // Cargo's downloads are what cannot go below the budget.
    assert!([0, 3].contains(&said.code), "{said:#?}");
    assert!(said.stdout.contains("bread"), "{said:#?}");
    assert!(!world.store().join("projects/bread").exists());
    assert_eq!(fs::read_dir(world.store().join("trash")).unwrap().count(), 0);
}
