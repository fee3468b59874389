//! Exit codes, signals, orphans, locks, and what a killed larder leaves.

use std::fs;
use std::io::Read;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::world::{Said, World};

fn wait_for(what: &str, ready: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !ready() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Starts a command that writes its process id to `pid` and then goes on.
fn start(world: &World, script: &str) -> Child {
    let _ = fs::remove_file(world.path("pid"));
    let script = format!("echo $$ > ../pid.new; mv ../pid.new ../pid; {script}");
    let inner = world.run_command(&["sh", "-c", &script]);
    // Whoever runs the tests in the background may have them ignore some.
    let mut command = world.command("env");
    command.arg("--default-signal=HUP,INT,QUIT,TERM").arg(inner.get_program());
    command.args(inner.get_args()).current_dir(world.source());
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the command's start", || world.path("pid").exists());
    child
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn the_commands_own_exit_code_is_passed_on() {
    let world = World::new();
    assert_eq!(world.run(&["sh", "-c", "exit 7"]).code, 7);
    assert_eq!(world.run(&["sh", "-c", "kill -TERM $$"]).code, 143);
    assert_eq!(world.run(&["sh", "-c", "kill -KILL $$"]).code, 137);
    world.run(&["no-such-command"]).refuses(127, &["no-such-command", "not found"]);
    world.write("script", "echo hello\n");
    world.run(&["./script"]).refuses(126, &["./script", "ermission denied"]);
}

#[test]
fn signals_reach_the_command_and_its_end_is_recorded() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let world = World::new();
        let wait = "[ -e ../go ] || exit 0; exec sleep 60";
        start(&world, wait).wait().unwrap();
        fs::write(world.path("go"), "").unwrap();
        let mut larder = start(&world, wait);
        kill_process(Pid::from_child(&larder), signal).unwrap();
        assert_eq!(larder.wait().unwrap().code(), Some(code));
        assert_eq!(world.last_entry()["last"]["closed"]["outcome"]["failed"], code);
    }
}

#[test]
fn nothing_outlives_the_use() {
    let world = World::new();
    let script = "setsid sh -c 'echo $$ > ../orphan; exec sleep 60' & while [ ! -s ../orphan ]; do sleep 0.01; done";
    world.run(&["sh", "-c", script]).succeeds();
    let orphan = fs::read_to_string(world.path("orphan")).unwrap();
    assert!(!is_alive(&orphan), "process {orphan} is still there");
}

#[test]
fn a_killed_larder_takes_the_command_along_and_the_lock_waits_for_the_rest() {
    let world = World::new();
    let script = "setsid sh -c 'echo $$ > ../orphan; exec sleep 60' & while [ ! -s ../orphan ]; do sleep 0.01; done; exec sleep 60";
    let mut larder = start(&world, script);
    wait_for("the orphan", || {
        let orphan = fs::read_to_string(world.path("orphan")).unwrap_or_default();
        let name = fs::read_to_string(format!("/proc/{}/comm", orphan.trim()));
        // Calls that are asked about fail without larder: it is to be past them.
        name.is_ok_and(|name| name == "sleep\n")
    });
    thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&larder), Signal::KILL).unwrap();
    larder.wait().unwrap();
    let command = fs::read_to_string(world.path("pid")).unwrap();
    wait_for("the command's end", || !is_alive(&command));
    let orphan = fs::read_to_string(world.path("orphan")).unwrap();
    assert!(is_alive(&orphan), "the test needs a survivor");
    let same = ["sh", "-c", &format!("echo $$ > ../pid.new; mv ../pid.new ../pid; {script}")];
    let mut impatient = world.larder_command(&["run", "bread", "--wait", "100ms", "--source"]);
    impatient.arg(world.source()).arg("--").args(same).current_dir(world.source());
    Said::of(&impatient.output().unwrap()).refuses(125, &["in use by", "left running", "--wait"]);
    // Another command has another directory, and waits for what is attached in the same checkout.
    let other = ["run", "bread", "--wait", "100ms", "--", "cargo", "build", "--offline"];
    let other = world.larder_command(&other).current_dir(world.source()).output().unwrap();
    Said::of(&other).refuses(125, &["in use by what an earlier larder run left running there"]);
    let entry = world.entry_dir();
    world.larder(&["gc", "--keep", "0", "--max-size", "0", "--grace", "0s"]);
    assert!(entry.exists(), "the collection took what is in use");
    let stays = world.larder(&["rm", "bread"]);
    assert!(stays.code == 1 && stays.stdout.contains("in use by what larder run"), "{stays:#?}");
    let status = world.larder(&["status"]).succeeds();
    assert!(status.stdout.contains("in use by what larder run"), "{}", status.stdout);
    let moved = world.larder(&["move", world.path("elsewhere").to_str().unwrap()]);
    moved.refuses(1, &["the command of an earlier use still runs in bread"]);
    let pid = Pid::from_raw(orphan.trim().parse().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    wait_for("the orphan's end", || !is_alive(&orphan));
    assert_eq!(world.last_entry()["last"]["closed"], serde_json::Value::Null);
    world.larder(&["rm", "bread"]).succeeds();
    assert!(!entry.exists() && !entry.with_extension("alive").exists());
}

#[test]
fn the_second_of_two_waits_and_says_for_whom() {
    let world = World::new();
    let script = "while [ ! -e ../go ]; do sleep 0.01; done; cargo build --release --offline";
    let mut first = start(&world, script);
    let full = format!("echo $$ > ../pid.new; mv ../pid.new ../pid; {script}");
    let mut second =
        world.run_command(&["sh", "-c", &full]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut stderr = second.stderr.take().unwrap();
    while !said.contains('\n') {
        let mut byte = [0];
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "no word of waiting: {said}");
        said.push(char::from(byte[0]));
    }
    assert!(said.contains("waiting for bread") && said.contains("in use by larder run"), "{said}");
    let status = world.larder(&["status"]).succeeds();
    assert!(status.stdout.contains("in use by larder run (process"), "{}", status.stdout);
    fs::write(world.path("go"), "").unwrap();
    assert!(first.wait().unwrap().success());
    assert!(second.wait().unwrap().success());
    assert_eq!(world.compiled(), 0, "the second found what the first built");
}

#[test]
fn the_environment_of_the_command_shows_nothing_of_larder() {
    let world = World::new();
    let script = "env | sort > ../with; ls -a . > ../names";
    world.run(&["sh", "-c", script]).succeeds();
    let plain = world
        .command("sh")
        .args(["-c", "env | sort > ../without; ls -a > /dev/null"])
        .current_dir(world.source())
        .status()
        .unwrap();
    assert!(plain.success());
    let read = |name: &str| fs::read_to_string(world.path(name)).unwrap();
    assert_eq!(read("with"), read("without"));
    assert!(read("names").contains("target"));
}

#[test]
fn two_commands_on_one_checkout_do_not_pull_the_mount_from_each_other() {
    let world = World::new();
    let script = "while [ ! -e ../go ]; do sleep 0.01; done; echo mine > target/from-first";
    let mut first = start(&world, script);
    let other = ["sh", "-c", "echo > ../second-ran; echo theirs > target/from-second"];
    let mut second = world.run_command(&other).stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_millis(500));
    assert!(!world.path("second-ran").exists(), "the second did not wait");
    fs::write(world.path("go"), "").unwrap();
    assert!(first.wait().unwrap().success());
    assert!(second.wait().unwrap().success());
    let holders = |name: &str| {
        let pattern = format!("{}/projects/bread/*/target/{name}", world.store().display());
        let found =
            world.command("sh").args(["-c", &format!("ls {pattern} | wc -l")]).output().unwrap();
        Said::of(&found).succeeds().stdout.trim().to_owned()
    };
    assert_eq!((holders("from-first").as_str(), holders("from-second").as_str()), ("1", "1"));
}

/// Somebody holds what larder waits for when the command is over.
#[test]
fn a_signal_ends_larder_at_once_when_the_command_is_over() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let world = World::new();
        world.build();
        let history = fs::File::options().append(true).open(world.store().join("history")).unwrap();
        rustix::fs::flock(&history, rustix::fs::FlockOperation::LockExclusive).unwrap();
        let mut larder = start(&world, "exit 0");
        let pid = fs::read_to_string(world.path("pid")).unwrap();
        wait_for("the command's end", || !is_alive(&pid));
        // It waits for ten seconds.
        thread::sleep(Duration::from_secs(1));
        assert_eq!(larder.try_wait().unwrap(), None);
        let began = Instant::now();
        kill_process(Pid::from_child(&larder), signal).unwrap();
        let status = larder.wait().unwrap();
        let number = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(number, Some(signal.as_raw()), "{status:?}");
        assert!(began.elapsed() < Duration::from_secs(1));
        drop(history);
        assert_eq!(world.build(), 0, "{}", world.reasons());
    }
}

#[test]
fn few_descriptors_are_enough() {
    let world = World::new();
    let inner = world.run_command(&["cargo", "build", "--release", "--offline"]);
    let mut outer = world.command("sh");
    outer.args(["-c", "ulimit -n 120; exec \"$@\"", "sh"]).arg(inner.get_program());
    outer.args(inner.get_args()).current_dir(world.source());
    Said::of(&outer.output().unwrap()).succeeds();
    assert_eq!(world.compiled(), 2);
}

/// The command has the mask that larder was started with.
#[test]
fn nothing_of_larders_is_open_to_everybody() {
    let world = World::new();
    let inner = world.run_command(&["sh", "-c", "touch open; cargo build --release --offline"]);
    let mut outer = world.command("sh");
    outer.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(inner.get_program());
    outer.args(inner.get_args()).current_dir(world.source());
    Said::of(&outer.output().unwrap()).succeeds();
    let mode = |path: &std::path::Path| {
        std::os::unix::fs::PermissionsExt::mode(&path.symlink_metadata().unwrap().permissions())
    };
    assert_eq!(mode(&world.source().join("open")) & 0o777, 0o666);
    let entry = world.entry_dir();
    for path in [
        entry.parent().unwrap(),
        &entry,
        &entry.join("target"),
        &entry.join("state"),
        &world.source().join("target"),
    ] {
        assert_eq!(mode(path) & 0o002, 0, "{}", path.display());
    }
}
