//! What a build leaves on purpose: no later one waits for it, fails on it, or needs a person (decision 104).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::FileType;
use rustix::process::{Pid, Signal, kill_process};

use crate::share_forge::mknod;
use crate::world::{Said, World};

/// So long anything may take; what hangs takes for ever.
const LIMIT: Duration = Duration::from_secs(90);

const BUILD: [&str; 4] = ["cargo", "build", "--release", "--offline"];

/// Runs something to its end; what does not end is killed, and fails.
#[track_caller]
fn within_limit(what: &str, mut command: Command) -> Said {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_child(&child);
    let (done, waiting) = mpsc::channel();
    let waiter = thread::spawn(move || done.send(child.wait_with_output()));
    let Ok(output) = waiting.recv_timeout(LIMIT) else {
        kill_process(pid, Signal::KILL).unwrap();
        waiter.join().unwrap().unwrap();
        panic!("{what} hung");
    };
    let said = Said::of(&output.unwrap());
    assert!(said.code >= 0 && said.code != 101, "{what}: {said:#?}");
    assert!(!said.stderr.contains("panicked"), "{what}: {said:#?}");
    said
}

/// The kinds of things that are no record.
const NODES: [&str; 8] =
    ["fifo", "socket", "device", "endless link", "link", "sparse", "huge", "directory"];

/// Puts something else in the place of a record.
fn put(kind: &str, path: &Path) {
    let is_dir = path.symlink_metadata().is_ok_and(|it| it.is_dir());
    let _ = if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match kind {
        "fifo" => mknod(path, FileType::Fifo),
        "socket" => mknod(path, FileType::Socket),
        // Only root makes devices.
        "device" if rustix::process::geteuid().is_root() => mknod(path, FileType::CharacterDevice),
        "device" | "endless link" => symlink("/dev/zero", path).unwrap(),
        "link" => symlink("/etc/passwd", path).unwrap(),
        "sparse" => fs::File::create(path).unwrap().set_len(40 << 30).unwrap(),
        "huge" => fs::write(path, vec![b'x'; 32 << 20]).unwrap(),
        "directory" => fs::create_dir_all(path.join("full")).unwrap(),
        other => panic!("{other}"),
    }
}

/// Every verb, with a record that is none.
fn try_verbs(world: &World, what: &str) {
    let source = world.source();
    let source = source.to_str().unwrap();
    for words in [
        &["status"][..],
        &["status", "bread", "--detail"],
        &["status", "--prometheus"],
        &["history"],
        &["report"],
        &["explain", "bread", "--source", source, "--", "true"],
        &["gc", "--dry-run"],
        &["gc", "--rescan"],
    ] {
        within_limit(&format!("{words:?} with {what}"), world.larder_command(words));
    }
}

#[test]
fn no_record_of_a_store_is_waited_for_whatever_it_is() {
    let world = World::new();
    world.run(&["true"]).succeeds();
    let id = world.entry_dir().file_name().unwrap().to_owned().into_string().unwrap();
    let lock = format!("projects/bread/{id}.lock");
    let records = [
        "history",
        "history.old",
        "totals.json",
        "downloads.json",
        "observed/bread",
        "lock",
        "moving.lock",
        "downloads.lock",
        &lock,
    ];
    for record in records {
        for kind in NODES {
            let what = format!("{kind} for {record}");
            put(kind, &world.store().join(record));
            try_verbs(&world, &what);
            put(kind, &world.store().join(record));
            let said = within_limit(&what, world.run_command(&["true"]));
            assert_eq!(said.code, 0, "{what}: {said:#?}");
        }
    }
    within_limit("gc", world.larder_command(&["gc"])).succeeds();
    world.build();
    assert_eq!(world.binary(), world.cold());
}

#[test]
fn no_record_of_a_directory_is_waited_for_whatever_it_is() {
    let world = World::new();
    for record in ["entry.json", "identity.json", "state", "manifest", "sweep", "kept"] {
        world.run(&["true"]).succeeds();
        let path = world.entry_dir().join(record);
        for kind in NODES {
            let what = format!("{kind} for {record}");
            if path.parent().unwrap().exists() {
                put(kind, &path);
            }
            try_verbs(&world, &what);
            within_limit(&what, world.run_command(&["true"])).succeeds();
            if path.parent().unwrap().exists() {
                put(kind, &path);
            }
            let said = within_limit(&what, world.run_command(&["true"]));
            assert_eq!(said.code, 0, "{what}: {said:#?}");
        }
        put("fifo", &path);
        let source = world.source();
        let verify = ["verify", "bread", "--source", source.to_str().unwrap(), "--"];
        let mut command = world.larder_command(&[&verify[..], &["true"]].concat());
        command.current_dir(&source);
        within_limit(&format!("verify with {record}"), command);
    }
    within_limit("gc", world.larder_command(&["gc"])).succeeds();
    world.build();
    assert_eq!(world.binary(), world.cold());
}

/// What is for people to write is not passed over, but nobody waits for it.
#[test]
fn a_policy_that_is_no_file_is_refused_at_once() {
    let world = World::new();
    for record in ["larder.toml", "CACHEDIR.TAG"] {
        let path = world.store().join(record);
        let text = fs::read(&path).unwrap();
        for kind in NODES {
            let what = format!("{kind} for {record}");
            put(kind, &path);
            try_verbs(&world, &what);
            let said = within_limit(&what, world.run_command(&["true"]));
            said.refuses(125, &["store"]);
        }
        put("directory", &path);
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, text).unwrap();
    }
    world.build();
}

/// One after the other: a build leaves something, and the next one is as if it had not.
fn try_leftovers(leftovers: &[(&str, &str)]) {
    let world = World::new();
    let cold = world.cold();
    // One command, so that it is always the same directory.
    let build = ["bash", "-ec", &format!("{} && . ../more", BUILD.join(" "))];
    for (what, script) in leftovers {
        let script = format!(
            "cd target/release; fingerprint=$(ls -d .fingerprint/flour-*/lib-flour)\n\
             out=$(ls -d build/flour-*/out)\n{script}\n"
        );
        fs::write(world.path("more"), script).unwrap();
        let said = within_limit(what, world.run_command(&build));
        fs::write(world.path("more"), "").unwrap();
        assert_eq!(said.code, 0, "{what}: {said:#?}");
        let said_of_it = |said: &Said| {
            let lines = said.stderr.lines().filter(|line| line.starts_with("larder: "));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(said_of_it(&said).len() <= 1, "{what}: {said:#?}");
        // What was built is where users take it.
        assert_eq!(world.binary(), cold, "{what}");
        for words in [&["status"][..], &["explain", "bread"], &["report"], &["gc"]] {
            let source = world.source();
            let mut command = world.larder_command(words);
            command.current_dir(source);
            within_limit(&format!("{words:?} after {what}"), command);
        }
        let said = within_limit(what, world.run_command(&build));
        assert_eq!(said.code, 0, "{what}: {said:#?}");
        assert!(said_of_it(&said).len() <= 1, "{what}: {said:#?}");
        assert_eq!(world.binary(), cold, "{what}");
        let said = within_limit(what, world.run_command(&build)).succeeds();
        // A unit without its note is made again first, and what needs it with the next build.
        assert!(world.compiled() <= 1 && said_of_it(&said).is_empty(), "{what}: {said:#?}");
        within_limit(what, world.larder_command(&["gc"])).succeeds();
        assert_eq!(fs::read_dir(world.store().join("trash")).unwrap().count(), 0, "{what}");
    }
}

#[test]
fn what_cargo_would_wait_for_or_fail_on_is_not_kept() {
    try_leftovers(&[
        ("a FIFO for a fingerprint", "rm $fingerprint; mkfifo $fingerprint"),
        (
            "a FIFO for dep-info",
            "rm deps/flour-*.d; mkfifo deps/flour-0123456789abcdef.d; d=$(basename $(dirname $fingerprint)); mkfifo deps/$d.d",
        ),
        ("a FIFO for what rustc is", "rm ../.rustc_info.json; mkfifo ../.rustc_info.json"),
        ("an endless link for what rustc is", "ln -sf /dev/zero ../.rustc_info.json"),
        ("an endless link for a fingerprint", "ln -sf /dev/zero $fingerprint"),
        ("a huge fingerprint", "truncate -s 63M $fingerprint"),
        ("a FIFO for a lock", "rm .cargo-lock; mkfifo .cargo-lock"),
        ("a directory for a lock", "rm .cargo-lock; mkdir -p .cargo-lock/full"),
        ("a directory for a fingerprint", "rm $fingerprint; mkdir -p $fingerprint/full"),
        ("a file for a directory", "rm -r .fingerprint; echo >.fingerprint"),
        (
            "a FIFO for a profile",
            "cd ..; cp -a release/bread .; rm -r release; mkdir release; mv bread release; mkfifo other",
        ),
    ]);
}

#[test]
fn what_is_beyond_every_limit_is_not_kept() {
    let deep = "perl -e 'for (1..2500) { mkdir \"d\"; chdir \"d\" }'";
    let long = "perl -e 'for (1..40) { mkdir \"d\" x 200; chdir \"d\" x 200 }'";
    try_leftovers(&[
        ("directories in each other", &format!("cd ..; {deep}")),
        ("the same where a build script builds", &format!("cd $out; {deep}")),
        ("a long path", &format!("cd deps; {long}")),
        ("a sparse file", "truncate -s 40G deps/libbig-0123456789abcdef.rlib"),
        ("the same where a build script builds", "truncate -s 40G $out/big"),
        ("a sparse file beside all", "truncate -s 40G ../big"),
    ]);
}

#[test]
fn what_a_build_script_leaves_for_itself_is_no_reason_to_begin_anew() {
    let world = World::new();
    let script = fs::read_to_string(world.source().join("flour/build.rs")).unwrap();
    let more = "    std::process::Command::new(\"mkfifo\").arg(format!(\"{out}/fifo\")).status().unwrap();\n}\n";
    let script = script.trim_end().strip_suffix('}').unwrap().to_owned() + more;
    world.write("flour/build.rs", &script);
    assert_eq!(world.build(), 2);
    assert_eq!(world.build(), 0, "{}", world.reasons());
}

/// The attributes are taken off whatever is about to go, so that nothing of it is left.
#[test]
#[ignore = "needs root: run it with make test-root"]
fn root_what_was_made_unchangeable_stops_nobody() {
    let chattr = |what: &str| format!("for it in {what}; do chattr +i \"$it\" || exit 9; done");
    let entry = "$(dirname $(readlink -f ../../../store/projects/bread/*/entry.json))";
    try_leftovers(&[
        ("an unchangeable file", &chattr("deps/libflour-*.rlib")),
        ("an unchangeable stray", &format!("echo >deps/x; {}", chattr("deps/x"))),
        ("an unchangeable fingerprint", &chattr("$fingerprint")),
        ("an unchangeable directory", &chattr("deps")),
        (
            "an unchangeable file where a build script builds",
            &format!("echo >$out/x; {}", chattr("$out/x $out")),
        ),
        ("an unchangeable record", &chattr(&format!("{entry}/entry.json"))),
        ("an unchangeable state", &chattr(&format!("{entry}/state"))),
        ("an unchangeable entry", &chattr(entry)),
        ("an unchangeable lock", &chattr("../../../store/projects/bread/*.lock")),
        ("a file that can only grow", "chattr +a deps/libflour-*.rlib"),
    ]);
}

#[test]
fn what_is_none_of_larders_among_the_projects_is_counted_named_and_left() {
    let world = World::new();
    world.build();
    let projects = world.store().join("projects");
    let foreign: [PathBuf; 3] =
        [projects.join("My Photos"), projects.join("notes.txt"), projects.join("bread/cake.iso")];
    fs::create_dir(&foreign[0]).unwrap();
    fs::write(foreign[0].join("one.jpg"), vec![1; 5 << 20]).unwrap();
    fs::write(&foreign[1], "one").unwrap();
    fs::write(&foreign[2], vec![1; 3 << 20]).unwrap();
    let source = world.source();
    for words in [&["status"][..], &["gc", "--dry-run"], &["gc"], &["doctor"]] {
        let mut command = world.larder_command(words);
        let said = Said::of(&command.current_dir(&source).output().unwrap());
        for path in &foreign {
            let is_of_it = |line: &str| line.contains(path.to_str().unwrap());
            let text = said.stdout.replace("\n  ", " ");
            assert!(text.lines().any(is_of_it), "{words:?}, {path:?}: {said:#?}");
        }
        // A directory itself takes something, but in memory.
        assert!(["5 MiB", "5.0 MiB"].iter().any(|size| said.stdout.contains(size)), "{said:#?}");
        assert!(said.stdout.contains("remove it by hand"), "{said:#?}");
    }
    let said = world.larder(&["status", "--json"]).succeeds();
    let status: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(status["foreign"].as_array().unwrap().len(), 3);
    assert!(status["size"].as_u64().unwrap() > 8 << 20);
    assert!(foreign.iter().all(|path| path.exists()));
}

#[test]
fn a_store_inside_of_the_sources_is_no_part_of_them() {
    let world = World::new();
    let store = world.source().join("kept");
    world.seed(&store);
    fs::write(store.join("larder.toml"), "min-free = '0%'\n").unwrap();
    let run = || {
        let mut command = world.run_command(&BUILD);
        Said::of(&command.env("LARDER_STORE", &store).output().unwrap()).succeeds();
        let mut status = world.larder_command(&["status", "bread", "--json"]);
        let said = Said::of(&status.env("LARDER_STORE", &store).output().unwrap()).succeeds();
        let status: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        let last = status["entries"][0]["record"]["last"].clone();
        (last["closed"]["compiled"].as_u64().unwrap(), last["why"].to_string())
    };
    assert_eq!(run().0, 2);
    assert_eq!(run(), (0, "[]".to_owned()));
    world.write("flour/kind.txt", "oat\n");
    assert!(run().0 > 0);
    assert_eq!(run(), (0, "[]".to_owned()));
}

/// Cargo itself waits for a member's manifest that is a FIFO; larder asks it no longer than it has to.
#[test]
fn a_members_manifest_that_is_no_file_is_not_waited_for() {
    let world = World::new();
    world.write("sub/Cargo.toml", "[package]\nname = 'sub'\nversion = '0.1.0'\n");
    mknod(&world.source().join("flour/Cargo.toml.fifo"), FileType::Fifo);
    fs::rename(
        world.source().join("flour/Cargo.toml.fifo"),
        world.source().join("flour/Cargo.toml"),
    )
    .unwrap();
    let source = world.source();
    let words = ["run", "bread", "--source", source.to_str().unwrap(), "--"];
    let mut command = world.larder_command(&[&words[..], &["timeout", "5", "true"]].concat());
    command.current_dir(source.join("sub"));
    within_limit("a FIFO for a manifest", command).succeeds();
    let words = ["explain", "bread", "--source", source.to_str().unwrap(), "--"];
    let mut command = world.larder_command(&[&words[..], &BUILD].concat());
    command.current_dir(source.join("sub"));
    within_limit("a FIFO for a manifest", command);
}
