//! Bad input: one clear line, the remedy, the documented exit code, nothing lost or half made.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use crate::world::{Said, World};

const BUILD: [&str; 4] = ["cargo", "build", "--release", "--offline"];

/// Runs a script as root of a namespace of its own, with mounts that end with it.
fn in_namespace(world: &World, script: &str) -> Said {
    let root = rustix::process::geteuid().is_root();
    let flags = if root { "-m" } else { "-rm" };
    let mut command = world.command("unshare");
    command.args([flags, "sh", "-c", script, env!("CARGO_BIN_EXE_larder")]);
    Said::of(&command.current_dir(world.source()).output().unwrap())
}

#[test]
fn names_and_usage() {
    let world = World::new();
    for name in ["../x", "a/b", ".hidden", ""] {
        let said = world.larder(&["run", name, "--", "true"]);
        assert_eq!(said.code, 125, "{said:#?}");
        assert!(said.stderr.contains("project name"), "{said:#?}");
    }
    assert_eq!(world.larder(&["run", "x"]).code, 125);
    let nothing = world.larder(&[]);
    assert!(nothing.code == 2 && nothing.stderr.contains("Commands:"), "{nothing:#?}");
    assert!(!nothing.stderr.contains("probe"), "what larder runs by itself is shown: {nothing:#?}");
    let soon = world.larder(&["run", "x", "--wait", "soon", "--", "true"]);
    assert!(soon.code == 125 && soon.stderr.contains("write it as 10m, or forever"), "{soon:#?}");
    assert_eq!(world.larder(&["status", "--nonsense"]).code, 2);
    assert_eq!(world.larder(&["provision", "../x"]).code, 2);
    assert_eq!(world.larder(&["--version"]).code, 0);
    world.larder(&["status", "nobody"]).refuses(1, &["no project nobody", "larder status"]);
    assert!(!world.store().join("projects/x").exists());
}

#[test]
fn sources() {
    let world = World::new();
    let missing = world.larder(&["run", "bread", "--source", "/no/such", "--", "true"]);
    missing.refuses(125, &["/no/such", "--source"]);
    let file = world.source().join("Cargo.toml");
    let file = world.larder(&["run", "bread", "--source", file.to_str().unwrap(), "--", "true"]);
    file.refuses(125, &["not a directory"]);
}

#[test]
fn what_somebody_else_has_in_target_is_never_touched() {
    let world = World::new();
    let target = world.source().join("target");
    world.write("target/precious", "mine");
    world.write("target/release/bread", "an older one");
    world.write("target/release/deps/theirs", "mine");
    world.run(&BUILD).succeeds();
    for path in ["precious", "release/deps/theirs"] {
        assert_eq!(fs::read_to_string(target.join(path)).unwrap(), "mine");
    }
    let kept = fs::read(world.entry_dir().join("target/release/bread")).unwrap();
    assert_eq!(world.binary(), kept, "the artifact is where users take it");
    world.run(&BUILD).succeeds();
    assert_eq!(world.compiled(), 0);
    fs::remove_dir_all(&target).unwrap();
    symlink(world.path("elsewhere"), &target).unwrap();
    world.run(&BUILD).refuses(125, &["not made by larder"]);
    fs::create_dir(world.path("elsewhere")).unwrap();
    world.run(&BUILD).succeeds();
    assert_eq!(world.binary(), kept);
    assert_eq!(fs::read_link(&target).unwrap(), world.path("elsewhere"));
}

#[test]
fn stores_that_are_none() {
    let world = World::new();
    let run = |store: &std::path::Path| {
        Said::of(&world.run_command(&["true"]).env("LARDER_STORE", store).output().unwrap())
    };
    run(&world.path("nowhere/at/all")).refuses(125, &["no store at", "larder init"]);
    let made = run(&world.path("beside")).succeeds();
    assert!(made.stderr.contains("made the store") && made.stderr.contains("of the disk is free"));
    assert!(!run(&world.path("beside")).succeeds().stderr.contains("made the store"));
    let mut inside = world.run_command(&["true"]);
    inside.env("LARDER_STORE", world.path("gone")).env("BUILDROOT", "/buildroot");
    Said::of(&inside.output().unwrap()).refuses(125, &["no store at", "larder init"]);
    fs::create_dir(world.path("unmounted")).unwrap();
    run(&world.path("unmounted")).refuses(125, &["not a larder store", "mount"]);
    assert_eq!(fs::read_dir(world.path("unmounted")).unwrap().count(), 0);
    run(&world.source().join("Cargo.toml")).refuses(125, &["not a directory", "--store"]);
    fs::create_dir(world.path("photos")).unwrap();
    fs::write(world.path("photos/a.jpg"), "").unwrap();
    let photos = world.path("photos");
    let provision = world.larder(&["--store", photos.to_str().unwrap(), "provision", "x"]);
    provision.refuses(1, &["not empty", "--store"]);
    assert_eq!(fs::read_dir(&photos).unwrap().count(), 1);
}

#[test]
fn a_store_of_a_newer_format_is_read_and_not_written() {
    let world = World::new();
    world.build();
    let tag = world.store().join("CACHEDIR.TAG");
    let text = fs::read_to_string(&tag).unwrap().replace("format 4", "format 9");
    fs::write(&tag, text).unwrap();
    world.run(&BUILD).refuses(125, &["format 9", "upgrade"]);
    assert!(world.larder(&["status"]).succeeds().stdout.contains("bread"));
}

#[test]
fn a_store_of_another_user_is_refused() {
    let world = World::new();
    if rustix::process::geteuid().is_root() {
        chown(world.store(), Some(12345), None).unwrap();
        world.run(&BUILD).refuses(125, &["belongs to user 12345"]);
    } else {
        let said = world.run_command(&["true"]).env("LARDER_STORE", "/").output().unwrap();
        Said::of(&said).refuses(125, &["not a larder store"]);
    }
}

#[test]
fn a_store_that_everybody_may_write_is_refused() {
    let world = World::new();
    world.build();
    for name in ["", "projects", "larder.toml"] {
        let path = world.store().join(name);
        let before = fs::metadata(&path).unwrap().permissions();
        let mode = before.mode() & 0o777;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o002)).unwrap();
        let said = format!("everybody may write {}", world.store().join(name).display());
        world.run(&BUILD).refuses(125, &[said.trim_end_matches('/'), "chmod o-w"]);
        let doctor = world.larder(&["doctor"]);
        assert!(doctor.code == 1 && doctor.stdout.contains("others may write"), "{doctor:?}");
        fs::set_permissions(&path, before).unwrap();
    }
    assert_eq!(world.build(), 0);
}

#[test]
fn a_read_only_store_is_refused() {
    let world = World::new();
    let script = "mount --bind ../store ../store && mount -o remount,bind,ro ../store && exec \"$0\" run bread -- true";
    in_namespace(&world, script).refuses(125, &["cannot be written"]);
}

#[test]
fn a_full_store_ends_before_the_command_and_loses_nothing() {
    let world = World::new();
    world.build();
    let first = world.binary();
    // Only root may mount an image; the namespace takes the loop device with it.
    let small = if rustix::process::geteuid().is_root() {
        "truncate -s 2M ../small.img
        mkfs.ext4 -q -O ^has_journal -m 0 ../small.img
        mount -o loop ../small.img ../small"
    } else {
        "mount -t tmpfs -o size=400k,mode=755 none ../small"
    };
    let script = format!(
        "set -e; mkdir ../small; {small}
        export LARDER_STORE=\"$PWD/../small/store\"
        \"$0\" provision other >&2
        ! head -c 4M /dev/zero > ../small/filler 2>/dev/null
        exec \"$0\" run bread -- touch ../command-ran"
    );
    in_namespace(&world, &script).refuses(125, &["o space left", "small/store", "larder gc"]);
    assert!(!world.path("command-ran").exists());
    assert_eq!(world.build(), 0);
    assert_eq!(world.binary(), first);
}

#[test]
fn a_damaged_record_is_set_aside_and_said() {
    let world = World::new();
    world.build();
    let first = world.binary();
    let record = world.entry_dir().join("entry.json");
    for text in ["", "{", "{}", "null", "\u{0}\u{1}"] {
        fs::write(&record, text).unwrap();
        assert!(world.larder(&["status"]).succeeds().stdout.contains("begins anew"));
        let said = world.run(&BUILD).succeeds();
        assert!(said.stderr.contains("set aside, because"), "{said:#?}");
        assert_eq!(world.compiled(), 2);
        assert_eq!(world.binary(), first);
    }
}

#[test]
fn damaged_state_or_manifest_is_never_believed() {
    let world = World::new();
    world.build();
    let first = world.binary();
    for name in ["state", "manifest"] {
        let path = world.entry_dir().join(name);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(world.build(), 2);
        assert!(world.reasons().contains("no record tells"), "{}", world.reasons());
        assert_eq!(world.binary(), first);
        assert_eq!(world.build(), 0);
    }
}

#[test]
fn a_misspelt_policy_names_the_file() {
    let world = World::new();
    fs::write(world.store().join("larder.toml"), "pakages = 'build'\n").unwrap();
    world.run(&BUILD).refuses(125, &["larder.toml", "pakages"]);
    for (text, said) in [
        (
            "keep = -1\n",
            "keep: invalid value: integer `-1`, expected a number from 0 on; correct it",
        ),
        ("[project.bread]\nmax-size = 5\n", "[project.bread] max-size: invalid type"),
        ("salt = ''\nwait = \n", "line 2: "),
    ] {
        fs::write(world.store().join("larder.toml"), text).unwrap();
        world.run(&BUILD).refuses(125, &["larder.toml", said]);
    }
}

#[test]
fn without_rustc_the_remedy_is_said() {
    let world = World::new();
    let said = world.run_command(&["/bin/true"]).env("PATH", "/nonexistent").output().unwrap();
    Said::of(&said).refuses(125, &["no `rustc`", "BuildPackages="]);
}

/// larder where nobody may mount.
fn without_mounts(world: &World, verb: &str) -> Said {
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && \
        exec setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all \
        \"$0\" \"$1\" bread -- cargo build --release --offline";
    let mut command = world.command("unshare");
    command.args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_larder"), verb]);
    Said::of(&command.current_dir(world.source()).output().unwrap())
}

#[test]
fn without_the_right_to_mount_a_build_is_verified_all_the_same() {
    let world = World::new();
    let said = without_mounts(&world, "verify").succeeds();
    assert!(said.stdout.contains("warm and cold are the same"), "{said:#?}");
    assert_eq!(without_mounts(&world, "verify").code, 0);
}

#[test]
fn without_the_right_to_mount_a_symlink_does_and_is_said() {
    let world = World::new();
    world.build();
    let first = world.binary();
    let said = without_mounts(&world, "run").succeeds();
    assert!(said.stderr.contains("target/ is a symlink instead"), "{said:#?}");
    assert!(world.reasons().contains("way of attaching: bind → symlink"), "{}", world.reasons());
    assert_eq!(world.compiled(), 2);
    assert_eq!(world.build(), 0);
    assert_eq!(world.binary(), first);
}
