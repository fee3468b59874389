//! Nobody can use larder's locks against others: neither what a command inherits, nor what it opens by itself.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::world::{Said, World};

const BUILD: [&str; 4] = ["cargo", "build", "--release", "--offline"];

/// Unlocks, locks for itself alone and closes whatever it inherited, says so, and waits.
const SPOILS: &str = r#"
extern "C" {
    fn flock(fd: i32, operation: i32) -> i32;
    fn fcntl(fd: i32, command: i32, ...) -> i32;
    fn close(fd: i32) -> i32;
}
#[repr(C)]
struct Lock { kind: i16, whence: i16, start: i64, length: i64, pid: i32 }
fn main() {
    println!("cargo:rerun-if-env-changed=NOTHING");
    for fd in 100..1024 {
        let mut none = Lock { kind: 2, whence: 0, start: 0, length: 0, pid: 0 };
        unsafe {
            flock(fd, 8);
            fcntl(fd, 37, &mut none);
            flock(fd, 2 | 4);
            flock(fd, 8);
            close(fd);
        }
    }
    std::fs::write("../../begun", "").unwrap();
    for _ in 0..6000 {
        if std::path::Path::new("../../go").exists() { break; }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let out = std::env::var("OUT_DIR").unwrap();
    std::fs::write(format!("{out}/kind.rs"), "pub const KIND: &str = \"x\";").unwrap();
}
"#;

/// Hands all that it inherited to whoever listens.
const HANDS_ON: &str = r"
import os, socket
own = [int(name) for name in os.listdir('/proc/self/fd') if int(name) >= 100]
way = socket.socket(socket.AF_UNIX)
way.connect('../socket')
socket.send_fds(way, [b'x'], own)
assert way.recv(1) == b'y'
";

/// Takes it, and once it is told to, locks it for itself alone, in every way there is.
const TAKES: &str = r"
import fcntl, os, socket, struct, time
way = socket.socket(socket.AF_UNIX)
way.bind('socket')
way.listen(1)
open('listens', 'w').close()
peer = way.accept()[0]
own = socket.recv_fds(peer, 1, 100)[1]
peer.send(b'y')
while not os.path.exists('lock-now'):
    time.sleep(0.01)
names = []
for fd in own:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.fcntl(fd, 37, struct.pack('hhqqi4x', 0, 0, 0, 0, 0))
    except OSError as error:
        names.append(str(error))
    names.append(os.readlink(f'/proc/self/fd/{fd}'))
open('locked.new', 'w').write('\n'.join(names))
os.rename('locked.new', 'locked')
while True:
    time.sleep(1)
";

#[track_caller]
fn wait_for(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} did not come", path.display());
        thread::sleep(Duration::from_millis(10));
    }
}

/// Ended with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `larder run PROJECT` in a directory of the world's.
fn run(world: &World, project: &str, source: &Path, wait: &str, words: &[&str]) -> Said {
    fs::create_dir_all(source).unwrap();
    let options = ["run", project, "--source", source.to_str().unwrap(), "--wait", wait, "--"];
    let mut command = world.larder_command(&[&options[..], words].concat());
    Said::of(&command.current_dir(source).output().unwrap())
}

#[track_caller]
fn gc(world: &World) -> Said {
    world.larder(&["gc", "--max-size", "0", "--grace", "0s"])
}

#[test]
fn what_a_command_inherits_can_be_given_up_and_locked_and_takes_nothing_from_anybody() {
    let world = World::new();
    world.build();
    let entry = world.entry_dir();
    world.write("flour/build.rs", SPOILS);
    let building = world.run_command(&BUILD).stderr(Stdio::null()).spawn().unwrap();
    let mut building = Ends(building);
    wait_for(&world.path("begun"));
    assert_eq!(gc(&world).code, 3, "the budget does not hold, because the directory is in use");
    assert!(entry.join("target/release").exists());
    let stays = world.larder(&["rm", "bread"]);
    assert!(stays.code == 1 && stays.stdout.contains("in use by larder run"), "{stays:#?}");
    let status = world.larder(&["status"]).succeeds();
    assert!(status.stdout.contains("in use by larder run"), "{}", status.stdout);
    let moved = world.larder(&["move", world.path("elsewhere").to_str().unwrap()]);
    moved.refuses(1, &["is in use by", "--wait"]);
    let second = run(&world, "bread", &world.path("copy"), "1s", &["true"]);
    assert_eq!(second.code, 0, "another checkout is another directory: {second:#?}");
    let second = run(&world, "bread", &world.source(), "200ms", &BUILD);
    second.refuses(125, &["in use by", "--wait", "larder.toml"]);
    fs::write(world.path("go"), "").unwrap();
    assert!(building.0.wait().unwrap().success());
    // What it looked for is there now, which is a change.
    world.run(&BUILD).succeeds();
    assert_eq!(world.build(), 0, "{}", world.reasons());
    assert!(!entry.with_extension("alive").exists());
    gc(&world).succeeds();
    assert!(!entry.exists());
}

#[test]
fn what_a_command_hands_on_is_worth_nothing_when_it_has_ended() {
    let world = World::new();
    world.build();
    let mut takes = world.command("/usr/bin/python3");
    let _takes = Ends(takes.args(["-c", TAKES]).spawn().unwrap());
    wait_for(&world.path("listens"));
    world.run(&["/usr/bin/python3", "-c", HANDS_ON]).succeeds();
    fs::write(world.path("lock-now"), "").unwrap();
    wait_for(&world.path("locked"));
    let names = fs::read_to_string(world.path("locked")).unwrap();
    assert!(names.lines().count() >= 2, "the test needs descriptors: {names}");
    let in_store: Vec<&str> = names.lines().filter(|name| name.contains("/projects/")).collect();
    assert!(in_store.iter().all(|name| name.ends_with(".alive (deleted)")), "{names}");
    // The same command in the same directory, from another checkout; and whatever else there is.
    let checkout = world.path("elsewhere");
    fs::create_dir(&checkout).unwrap();
    let again = ["/usr/bin/python3", "-c", "pass"];
    run(&world, "bread", &checkout, "1s", &again).succeeds();
    run(&world, "cake", &checkout, "1s", &["true"]).succeeds();
    let status = world.larder(&["status"]).succeeds();
    assert!(!status.stdout.contains("in use"), "{}", status.stdout);
    gc(&world).succeeds();
    assert_eq!(fs::read_dir(world.store().join("projects")).unwrap().count(), 0);
    world.larder(&["move", world.path("moved").to_str().unwrap()]).succeeds();
    // The checkout itself anybody may lock who may read it: that is waited for as long as one says, and no longer.
    run(&world, "bread", &world.source(), "200ms", &BUILD).refuses(125, &["in use by", "--wait"]);
}

fn hold(path: &Path) -> File {
    let file = File::open(path).unwrap();
    flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    file
}

#[test]
fn nobody_waits_longer_than_the_policy_says() {
    let world = World::new();
    world.build();
    fs::write(world.store().join("larder.toml"), "min-free = '0%'\nwait = '200ms'\n").unwrap();
    let source = world.source();
    let source = source.to_str().unwrap();
    let within = |what: &str, words: &[&str], code: i32| {
        let began = Instant::now();
        let mut command = world.larder_command(words);
        let said = Said::of(&command.current_dir(world.source()).output().unwrap());
        said.refuses(code, &["is in use by", "`wait` in larder.toml"]);
        assert!(began.elapsed() < Duration::from_secs(20), "{what}: {words:?}");
        assert!(said.stderr.contains("waiting for "), "{what}: {said:#?}");
        assert!(said.stderr.contains("for at most 200ms"), "{what}: {said:#?}");
    };
    let build = [&["run", "bread", "--source", source, "--"][..], &BUILD].concat();
    let verify = [&["verify", "bread", "--source", source, "--"][..], &BUILD].concat();
    let of_store = hold(&world.store().join("lock"));
    within("the store", &build, 125);
    within("the store", &verify, 125);
    for words in [&["gc"][..], &["rm", "bread"], &["pin", "bread"], &["init", "--undo"]] {
        within("the store", words, 1);
    }
    within("the store", &["provision", "bread", "--source", source], 1);
    drop(of_store);
    let entry = world.entry_dir();
    for path in [world.store().join("downloads.lock"), entry.with_extension("lock"), world.source()]
    {
        let held = hold(&path);
        within(&path.display().to_string(), &build, 125);
        drop(held);
    }
    // Who waits to move the store is given way to for a while, and no longer.
    let turn = hold(&world.store().join("moving.lock"));
    assert_eq!(world.build(), 0, "{}", world.reasons());
    drop(turn);
    assert_eq!(world.build(), 0, "{}", world.reasons());
}

#[test]
fn lock_files_are_closed_to_others() {
    let world = World::new();
    world.build();
    let lock = world.entry_dir().with_extension("lock");
    let of_store =
        ["lock", "moving.lock", "downloads.lock", "history"].map(|name| world.store().join(name));
    for path in of_store.iter().chain([&lock]) {
        let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn a_use_inside_of_another_does_not_wait_for_that() {
    let world = World::new();
    let larder: PathBuf = env!("CARGO_BIN_EXE_larder").into();
    let larder = larder.to_str().unwrap();
    let began = Instant::now();
    let said = world.run(&["sh", "-c", &format!("{larder} run cake --source . -- true")]);
    said.refuses(125, &["in use by the command that this larder was started in"]);
    fs::create_dir(world.path("copy")).unwrap();
    let elsewhere = format!("cd ../copy && exec {larder} run cake -- {larder} status");
    world.run(&["sh", "-c", &elsewhere]).succeeds();
    assert!(began.elapsed() < Duration::from_secs(60));
}
