//! larder is killed at each point at which something is about to change; the store is none the worse.
//!
//! A sample of the points; all of them with `LARDER_CRASH=all`.

#![expect(clippy::disallowed_macros, reason = "the points are the test's report")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

use crate::sound;
use crate::world::{Said, World};

const BUILD: [&str; 4] = ["cargo", "build", "--release", "--offline"];

/// So many points of each scenario, unless `LARDER_CRASH` says otherwise.
const SAMPLE: usize = 2;

/// A directory of `bread` for other flags: what there is to be collected.
const OTHER_FLAGS: &str = "-Copt-level=1";

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
}

const PLAIN: Scenario =
    Scenario { name: "", cold: false, changed: false, prepare: |_| {}, larder: &[], again: false };

/// A world with a built store that is copied for each time that larder is killed.
struct Lab {
    world: World,
    /// The bytes of cold builds without larder: before and after the change.
    right: [Vec<u8>; 2],
}

impl Lab {
    fn new() -> Self {
        let world = World::new();
        fs::write(world.store().join("larder.toml"), "grace = '0s'\nmin-free = '0%'\n").unwrap();
        let lab = Self { right: [world.cold(), change_and_build(&world)], world };
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
        self.shell(&format!("rm -rf store home bread && cp -a kept/{name}/. ."));
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
        command.current_dir(source).env("LARDER_FAULT", fault);
        command
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
                    lab.check(scenario, index % 2 == 0);
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
