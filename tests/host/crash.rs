//! larder is killed at each point at which something is about to change; the store is none the worse.
//!
//! A sample of the points; all of them with `LARDER_CRASH=all`.

#![expect(clippy::disallowed_macros, reason = "the points are the test's report")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

use crate::safety::without;
use crate::sound;
use crate::world::{Said, World, sysroot};

const BUILD: [&str; 4] = ["cargo", "build", "--release", "--offline"];

const LARDER: &str = env!("CARGO_BIN_EXE_larder");

/// So many points of each scenario, unless `LARDER_CRASH` says otherwise.
const SAMPLE: usize = 2;

/// A directory of `bread` for other flags: what there is to be collected.
const OTHER_FLAGS: &str = "-Copt-level=1";

/// A user that no system has.
const SOMEBODY: u32 = 12345;

/// What larder is killed at.
struct Scenario {
    name: &'static str,
    /// Whether it begins with a store without directories.
    cold: bool,
    /// Whether a source changed since the last build.
    changed: bool,
    /// What else is done before.
    prepare: fn(&World),
    /// Arguments of larder; none for a build.
    larder: &'static [&'static str],
    /// What a person or a script would simply do again.
    again: bool,
    by: By,
    /// What holds afterwards.
    check: fn(&Lab, &Scenario, bool),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// Who runs the tests.
    Whoever,
    /// Somebody who may not mount, in a user namespace.
    Somebody,
}

const PLAIN: Scenario = Scenario {
    name: "",
    cold: false,
    changed: false,
    prepare: |_| {},
    larder: &[],
    again: false,
    by: By::Whoever,
    check: Lab::check,
};

/// Everything may go, and how full the disk is otherwise is no matter.
const POLICY: &str = "grace = '0s'\nmin-free = '0%'\n";

/// Where a store is moved, seen from the sources: on the same filesystem, and on another one.
const MOVES: [&[&str]; 2] = [&["move", "../moved"], &["move", "../other/moved"]];

/// A world with a built store that is copied for each time that larder is killed.
struct Lab {
    world: World,
    /// Another filesystem, by way of `other`.
    other: tempfile::TempDir,
    /// The bytes of cold builds without larder: before and after the change.
    right: [Vec<u8>; 2],
}

impl Lab {
    fn new() -> Self {
        let world = World::new();
        fs::write(world.store().join("larder.toml"), POLICY).unwrap();
        // /dev/shm is a filesystem of its own; what is made there is gone after the test.
        let other = tempfile::Builder::new().prefix("larder-test-").tempdir_in("/dev/shm").unwrap();
        let device = |path: &Path| fs::metadata(path).unwrap().dev();
        assert_ne!(device(other.path()), device(world.dir.path()), "it takes two filesystems");
        symlink(other.path(), world.path("other")).unwrap();
        let lab = Self { right: [world.cold(), change_and_build(&world)], world, other };
        lab.keep("cold");
        let mut other = lab.world.run_command(&BUILD);
        Said::of(&other.env("RUSTFLAGS", OTHER_FLAGS).output().unwrap()).succeeds();
        lab.world.build();
        lab.keep("warm");
        lab
    }

    /// Everything that larder works with, to be put back at each point.
    fn keep(&self, name: &str) {
        self.shell(&format!("mkdir -p kept/{name} && cp -a store home bread kept/{name}/"));
    }

    fn put_back(&self, scenario: &Scenario) {
        let name = if scenario.cold { "cold" } else { "warm" };
        self.shell(&format!(
            "rm -rf store home bread moved .[a-z]*.larder-* && find other/ -mindepth 1 -delete
            cp -a kept/{name}/. ."
        ));
        if scenario.changed {
            change(&self.world);
        }
        (scenario.prepare)(&self.world);
    }

    fn shell(&self, script: &str) {
        let done = self.world.command("sh").args(["-ec", script]).output().unwrap();
        Said::of(&done).succeeds();
    }

    fn command(&self, scenario: &Scenario, fault: &str) -> Command {
        let source = self.world.source();
        let mut command = match scenario.larder {
            [] => self.world.run_command(&BUILD),
            words => self.world.larder_command(words),
        };
        if scenario.by == By::Somebody {
            command = self.by_somebody(&command);
        }
        command.current_dir(source).env("LARDER_FAULT", fault);
        command
    }

    /// The same command by somebody else, with larder and the toolchain where he may read them.
    fn by_somebody(&self, command: &Command) -> Command {
        let script = format!(
            "mkdir -p toolchain && touch points && chown -R {SOMEBODY} store home bread points
            mount --bind {} toolchain
            touch program && mount --bind {LARDER} program
            export PATH=\"$PWD/toolchain/bin:$PATH\"
            cd bread
            exec setpriv --reuid={SOMEBODY} --regid={SOMEBODY} --clear-groups -- \"$@\"",
            sysroot().display()
        );
        let mut other = self.world.command("unshare");
        let script = format!("cd .. && {script}");
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words = words.map(|word| if word == LARDER { "../program".as_ref() } else { word });
        other.args(["--mount", "sh", "-ec", &script, "sh"]).args(words);
        other
    }

    /// The names of the points that the scenario passes.
    fn points(&self, scenario: &Scenario) -> Vec<String> {
        self.put_back(scenario);
        let log = self.world.path("points");
        let _ = fs::remove_file(&log);
        let fault = format!("log:{}", log.display());
        let said = Said::of(&self.command(scenario, &fault).output().unwrap()).succeeds();
        assert!(!said.stderr.contains("larder: warning"), "{said:#?}");
        fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect()
    }

    /// Kills larder at a point; says whether it came there.
    fn kill(&self, scenario: &Scenario, at: usize) -> bool {
        self.put_back(scenario);
        let mut command = self.command(scenario, &at.to_string());
        let status = command.stdout(Stdio::null()).output().unwrap().status;
        let killed = status.signal() == Some(Signal::KILL.as_raw());
        assert!(killed || status.success(), "{status}");
        self.wait_until_nobody_is_left();
        if scenario.by == By::Somebody {
            self.shell("chown -R 0:0 store home bread");
        }
        killed
    }

    /// Its children die with larder, but not in the same instant.
    fn wait_until_nobody_is_left(&self) {
        let Ok(file) = fs::File::open(self.world.store().join("lock")) else { return };
        let deadline = Instant::now() + Duration::from_secs(30);
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            assert!(Instant::now() < deadline, "the store is still in use");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Builds are right and warm, and the store is as it should be; collected before or not.
    fn check(&self, scenario: &Scenario, collected: bool) {
        let world = &self.world;
        if scenario.again {
            let again = world.larder_command(scenario.larder).current_dir(world.source()).output();
            sound::asks_nothing(&Said::of(&again.unwrap()).succeeds());
            // A store that was made anew has the policy of one.
            fs::write(world.store().join("larder.toml"), POLICY).unwrap();
        }
        if collected {
            sound::collect(world);
        }
        let right = &self.right[usize::from(scenario.changed)];
        for round in ["after the crash", "once more"] {
            let said = world.run(&BUILD).succeeds();
            sound::asks_nothing(&said);
            assert!(world.binary() == *right, "not the bytes of a cold build, {round}");
        }
        assert_eq!(world.compiled(), 0, "not warm: {}", world.reasons());
        sound::collect(world);
    }
}

impl Lab {
    /// The same command again ends the move. Before that the store works, and is collected, or used.
    fn check_move(&self, scenario: &Scenario, collected: bool) {
        let world = &self.world;
        let to = world.source().join(scenario.larder[1]);
        let (mut right, mut compiled) = (&self.right[0], None);
        if collected {
            sound::collect(world);
            self.is_one_store(&to);
        } else {
            change(world);
            right = &self.right[1];
            sound::asks_nothing(&world.run(&BUILD).succeeds());
            compiled = Some(world.compiled());
            assert!(world.binary() == *right, "not the bytes of a cold build, before the move");
        }
        let again = world.larder_command(scenario.larder).current_dir(world.source()).output();
        sound::asks_nothing(&Said::of(&again.unwrap()).succeeds());
        self.is_one_store(&to);
        let resolved =
            fs::canonicalize(to.parent().unwrap()).unwrap().join(to.file_name().unwrap());
        assert_eq!(fs::canonicalize(world.store()).unwrap(), resolved, "it did not move");
        let left = ["moving.json", "moved-from.json"].map(|name| world.store().join(name).exists());
        assert_eq!(left, [false, false]);
        sound::asks_nothing(&world.run(&BUILD).succeeds());
        assert_eq!(world.compiled(), 0, "not warm, after {compiled:?}: {}", world.reasons());
        assert!(world.binary() == *right, "not the bytes of a cold build, after the move");
        sound::collect(world);
        self.is_one_store(&to);
    }

    /// Exactly one of two places is a store, and nothing lies beside them.
    fn is_one_store(&self, to: &Path) {
        let from = self.world.store();
        let is_store = |path: &Path| path.join("CACHEDIR.TAG").exists() && !path.is_symlink();
        let places = (is_store(&from), is_store(to));
        assert!(places == (true, false) || places == (false, true), "stores: {places:?}");
        assert!(places.0 || from.is_symlink(), "nothing is left where the store was");
        assert!(places.1 || !to.is_symlink() && !to.exists(), "something is left at the new place");
        let inside = |dir: &Path| fs::read_dir(dir).unwrap().map(|item| item.unwrap().file_name());
        for name in inside(self.world.dir.path()).chain(inside(self.other.path())) {
            assert!(!name.to_string_lossy().starts_with('.'), "left: {name:?}");
        }
    }

    /// Dead units are gone, and nothing is compiled that was there.
    fn check_sweep(&self, scenario: &Scenario, collected: bool) {
        let world = &self.world;
        if scenario.larder[0] == "run" {
            // What a build that was killed compiled is not vouched for.
            build_with(world, "");
        }
        if collected {
            sweep(world);
        }
        assert_eq!(build_with(world, ""), 0, "not warm: {}", world.reasons());
        assert_eq!(world.reasons(), "");
        let right = fs::read(world.path("right")).unwrap();
        assert!(world.binary() == right, "not the bytes of a cold build");
        sweep(world);
        assert_eq!(world.last_entry()["unused"], serde_json::json!([]));
        let fresh = fs::read_to_string(world.path("fresh")).unwrap();
        let here = units(&last_dir(world)).join("\n");
        assert_eq!(here, fresh, "other units than those of a fresh build");
        sound::collect(world);
        // What went can be compiled again.
        assert_eq!(build_with(world, OTHER_PROFILE), 3, "{}", world.reasons());
    }
}

/// The names of all units in a directory.
fn units(dir: &Path) -> Vec<String> {
    let walk = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().map(Result::unwrap);
    let units = walk.filter(|item| item.path().parent().unwrap().ends_with(".fingerprint"));
    units.map(|item| item.file_name().to_str().unwrap().to_owned()).collect()
}

/// Collects what the last use did not need.
fn sweep(world: &World) {
    let said = Said::of(&world.larder_command(SWEEP).output().unwrap());
    sound::asks_nothing(&said.succeeds());
}

const SWEEP: &[&str] = &["gc", "--grace", "0", "--keep-units", "1"];

/// One command, and so one directory, that compiles now with these options, now with those.
const BY_OPTIONS: [&str; 3] = ["sh", "-c", "cargo build --release --offline $(cat ../options)"];

const OTHER_PROFILE: &str = "--config profile.release.opt-level=1";

fn build_with(world: &World, options: &str) -> u64 {
    fs::write(world.path("options"), options).unwrap();
    sound::asks_nothing(&world.run(&BY_OPTIONS).succeeds());
    world.last_entry()["last"]["closed"]["compiled"].as_u64().unwrap()
}

/// The directory that is used last.
fn last_dir(world: &World) -> PathBuf {
    let id = world.last_entry()["toolchain"].as_str().unwrap().to_owned();
    world.store().join("projects/bread").join(id)
}

/// A directory with units that the last use did not need: of `water`, which did not change since.
fn with_dead_units(world: &World) {
    let shell = |script| {
        Said::of(&world.command("sh").args(["-ec", script]).output().unwrap()).succeeds();
    };
    if !world.path("kept/dead").exists() {
        add_water(world);
        fs::write(world.path("right"), world.cold()).unwrap();
        assert_eq!(build_with(world, ""), 3);
        fs::write(world.path("fresh"), units(&last_dir(world)).join("\n")).unwrap();
        assert_eq!(build_with(world, OTHER_PROFILE), 3);
        let script = fs::read_to_string(world.source().join("flour/build.rs")).unwrap();
        world.write("flour/build.rs", &format!("{script}//\n"));
        assert_eq!(build_with(world, ""), 2, "{}", world.reasons());
        shell("mkdir kept/dead && cp -a store home bread kept/dead");
    }
    shell("rm -rf store home bread && cp -a kept/dead/. .");
    // What is killed is to need what the last build needed.
    fs::write(world.path("options"), "").unwrap();
    assert_eq!(world.last_entry()["unused"].as_array().unwrap().len(), 1);
}

/// Another dependency of `bread`, without a build script.
pub fn add_water(world: &World) {
    let manifest = "[package]\nname = 'water'\nversion = '0.1.0'\nedition = '2021'\n";
    world.write("water/Cargo.toml", manifest);
    world.write("water/src/lib.rs", "pub fn wet() -> u32 { 3 }\n");
    let append = "echo \"water = { path = 'water' }\" >> Cargo.toml
        sed -i \"s/flour::weight()/flour::weight() + water::wet()/\" src/main.rs
        sed -i \"s/'flour'\\]/'flour','water']/\" Cargo.toml
        cargo generate-lockfile --offline";
    let mut shell = world.command("sh");
    shell.args(["-ec", append]).current_dir(world.source());
    Said::of(&shell.output().unwrap()).succeeds();
}

/// The same, half of which a collection took that was killed.
fn with_half_a_sweep(world: &World) {
    with_dead_units(world);
    let mut larder = world.larder_command(SWEEP);
    let killed = larder.env("LARDER_FAULT", "sweep.sync:2").output().unwrap();
    assert_eq!(killed.status.signal(), Some(Signal::KILL.as_raw()));
}

fn change(world: &World) {
    let path = "flour/src/lib.rs";
    let text = fs::read_to_string(world.source().join(path)).unwrap();
    world.write(path, &text.replace('7', "8"));
}

/// The bytes of a cold build of the changed source, which is then as before.
fn change_and_build(world: &World) -> Vec<u8> {
    let path = world.source().join("flour/src/lib.rs");
    let before = fs::read(&path).unwrap();
    change(world);
    let bytes = world.cold();
    fs::write(path, before).unwrap();
    bytes
}

/// The points at which larder is killed: a few that are spread over all of them, or all.
fn instants(points: usize, shift: usize) -> Box<dyn Iterator<Item = usize>> {
    let wanted = std::env::var("LARDER_CRASH").unwrap_or_else(|_| SAMPLE.to_string());
    match wanted.as_str() {
        "all" => Box::new(1..),
        number => {
            let stride = (points / number.parse::<usize>().unwrap()).max(1);
            Box::new((1 + shift % stride..=points).step_by(stride))
        }
    }
}

/// Kills larder at points of the scenarios, one after the other, and tells what was not right.
fn campaign(scenarios: &[Scenario]) {
    let lab = Lab::new();
    let mut failures = Vec::new();
    for (number, scenario) in scenarios.iter().enumerate() {
        let started = Instant::now();
        let points = lab.points(scenario);
        let mut killed: BTreeMap<&str, u32> = BTreeMap::new();
        for (index, at) in instants(points.len(), 7 * number + 3).enumerate() {
            let name = points.get(at - 1).map_or("?", String::as_str);
            let done = catch_unwind(AssertUnwindSafe(|| {
                let hit = lab.kill(scenario, at);
                if hit {
                    (scenario.check)(&lab, scenario, index % 2 == 0);
                }
                hit
            }));
            match done {
                Ok(true) => *killed.entry(name).or_default() += 1,
                Ok(false) => break,
                Err(_) => failures.push(format!("{}: point {at}, {name}", scenario.name)),
            }
        }
        let (times, seconds) = (killed.values().sum::<u32>(), started.elapsed().as_secs());
        let name = scenario.name;
        eprintln!("{name}: {times} of {} points, {seconds} s: {killed:?}", points.len());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_killed_build_costs_nothing_but_time() {
    campaign(&[
        Scenario { name: "cold build", cold: true, ..PLAIN },
        Scenario { name: "build after a change", changed: true, ..PLAIN },
        Scenario { name: "build with nothing to do", ..PLAIN },
        Scenario {
            name: "build that makes room",
            prepare: |world| {
                let policy = "grace = '0s'\nmin-free = '0%'\nmax-size = '2MiB'\n";
                fs::write(world.store().join("larder.toml"), policy).unwrap();
            },
            ..PLAIN
        },
    ]);
}

#[test]
fn a_killed_collection_is_completed_by_the_next() {
    campaign(&[
        Scenario { name: "gc", larder: &["gc", "--keep", "1"], ..PLAIN },
        Scenario {
            name: "gc --rescan",
            prepare: forget_sizes,
            larder: &["gc", "--rescan"],
            again: true,
            ..PLAIN
        },
        Scenario { name: "rm", larder: &["rm", "bread"], ..PLAIN },
    ]);
}

#[test]
fn whatever_else_is_killed_leaves_nothing() {
    let provision = &["provision", "bread", "--", "cargo", "build", "--release", "--offline"];
    let verify = &["verify", "bread", "--", "cargo", "build", "--release", "--offline"];
    campaign(&[
        Scenario { name: "pin", larder: &["pin", "bread"], ..PLAIN },
        Scenario {
            name: "unpin",
            prepare: |world| drop(world.larder(&["pin", "bread"]).succeeds()),
            larder: &["unpin", "bread"],
            ..PLAIN
        },
        Scenario { name: "provision", cold: true, larder: provision, ..PLAIN },
        Scenario {
            name: "provision without a store",
            cold: true,
            prepare: |world| fs::remove_dir_all(world.store()).unwrap(),
            larder: provision,
            again: true,
            ..PLAIN
        },
        Scenario { name: "verify", larder: verify, ..PLAIN },
    ]);
}

#[test]
fn a_killed_sweep_is_ended_and_nothing_else_is_compiled() {
    let swept = Scenario { check: Lab::check_sweep, prepare: with_dead_units, ..PLAIN };
    let half = Scenario { prepare: with_half_a_sweep, ..swept };
    let run = &["run", "bread", "--", BY_OPTIONS[0], BY_OPTIONS[1], BY_OPTIONS[2]];
    campaign(&[
        Scenario { name: "gc of dead units", larder: SWEEP, ..swept },
        Scenario { name: "gc after half a sweep", larder: SWEEP, ..half },
        Scenario { name: "build after half a sweep", larder: run, ..half },
    ]);
}

#[test]
fn a_killed_build_in_a_user_namespace_costs_nothing_but_time() {
    if !rustix::process::geteuid().is_root() {
        // Then the other builds here are in one.
        return;
    }
    let by_somebody = Scenario { by: By::Somebody, ..PLAIN };
    campaign(&[
        Scenario { name: "build in a user namespace, cold", cold: true, ..by_somebody },
        Scenario { name: "build in a user namespace, changed", changed: true, ..by_somebody },
    ]);
}

#[test]
fn a_killed_move_is_ended_by_the_same_command() {
    let one_directory = |world: &World| drop(world.larder(&["gc", "--keep", "1"]).succeeds());
    let moved = Scenario { check: Lab::check_move, prepare: one_directory, ..PLAIN };
    campaign(&[
        Scenario { name: "move", larder: MOVES[0], ..moved },
        Scenario { name: "move to another filesystem", larder: MOVES[1], ..moved },
    ]);
}

#[test]
fn a_move_is_ended_where_two_names_cannot_be_exchanged() {
    let world = World::new();
    world.build();
    let to = world.path("moved");
    let words = ["move", to.to_str().unwrap()];
    // In between, nothing is where the store was.
    let mut larder = world.larder_command(&words);
    without(&mut larder, libc::SYS_renameat2);
    let killed = larder.env("LARDER_FAULT", "relocate.link:2").output().unwrap();
    assert_eq!(killed.status.signal(), Some(Signal::KILL.as_raw()), "{killed:?}");
    assert!(!world.store().exists() && !world.store().is_symlink());
    let elsewhere = world.larder(&["move", world.path("elsewhere").to_str().unwrap()]);
    elsewhere.refuses(1, &["no store at"]);
    let mut larder = world.larder_command(&words);
    without(&mut larder, libc::SYS_renameat2);
    sound::asks_nothing(&Said::of(&larder.output().unwrap()).succeeds());
    assert_eq!(fs::read_link(world.store()).unwrap(), to);
    assert_eq!(world.build(), 0, "{}", world.reasons());
    sound::collect(&world);
}

#[test]
fn a_killed_move_of_a_filesystem_of_its_own_is_ended_by_the_same_command() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "this test needs root");
        eprintln!("NOT TESTED: mounting needs root");
        return;
    }
    let world = World::new();
    world.build();
    fs::write(world.store().join("larder.toml"), "min-free = '0%'\n").unwrap();
    let step = if std::env::var("LARDER_CRASH").is_ok_and(|it| it == "all") { 1 } else { 23 };
    let script = format!(
        "mkdir mounted && mount -t tmpfs -o mode=755 none mounted
        export LARDER_STORE=\"$PWD/mounted\"
        count=0
        for at in $(seq 3 {step} 2000); do
            find mounted -mindepth 1 -delete
            rm -rf moved .moved.larder-new
            cp -a store/. mounted
            if LARDER_FAULT=$at \"$LARDER\" move moved; then break; fi
            count=$((count + 1))
            \"$LARDER\" move moved
            [ -z \"$(ls -A mounted)\" ] && [ -e moved/CACHEDIR.TAG ] && [ ! -e moved/moved-from.json ]
            LARDER_STORE=\"$PWD/moved\" \"$LARDER\" gc
            [ -z \"$(find . -maxdepth 1 -name '.*.larder-*')\" ]
            cmp store/projects/bread/*/target/release/bread moved/projects/bread/*/target/release/bread
        done
        echo \"killed $count times\""
    );
    let mut command = world.command("unshare");
    command.args(["--mount", "sh", "-ec", &script]).env("LARDER", env!("CARGO_BIN_EXE_larder"));
    let said = Said::of(&command.output().unwrap()).succeeds();
    let last = said.stdout.lines().last().unwrap();
    assert!(last.starts_with("killed ") && last != "killed 0 times", "{said:#?}");
    eprintln!("move of a filesystem of its own: {last}");
}

/// Records that say another size than the directories have.
fn forget_sizes(world: &World) {
    let records = walkdir::WalkDir::new(world.store().join("projects")).max_depth(3);
    for item in records.into_iter().map(Result::unwrap) {
        if item.file_name() == "entry.json" {
            let text = fs::read_to_string(item.path()).unwrap();
            let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
            record["size"] = 1.into();
            fs::write(item.path(), record.to_string()).unwrap();
        }
    }
}
