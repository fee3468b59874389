//! Many larders, and a cargo that larder did not start, in one store at once.

#![expect(clippy::disallowed_macros, reason = "the counts are the test's report")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::sound;
use crate::world::{Said, World};

/// It lasts so many seconds, unless `LARDER_STORM` says otherwise.
const SECONDS: &str = "20";

/// Between two larders of one kind that do not build.
const PAUSE: Duration = Duration::from_millis(50);

const CARGO: [&str; 3] = ["build", "--release", "--offline"];

/// What `flour` weighs in one round and the next.
const WEIGHTS: [u32; 2] = [7, 8];

/// A checkout, with what cold builds make of it.
struct Checkout {
    project: &'static str,
    source: PathBuf,
    right: [Vec<u8>; 2],
}

impl Checkout {
    fn new(world: &World, name: &str, project: &'static str) -> Self {
        let source = world.path(name);
        let copied = world.command("cp").arg("-a").args([&world.source(), &source]).output();
        Said::of(&copied.unwrap()).succeeds();
        let mut checkout = Self { project, source, right: [Vec::new(), Vec::new()] };
        for round in [0, 1] {
            checkout.weigh(round);
            Said::of(&checkout.cargo(world).output().unwrap()).succeeds();
            checkout.right[round] = fs::read(checkout.source.join("target/release/bread")).unwrap();
            fs::remove_dir_all(checkout.source.join("target")).unwrap();
        }
        checkout
    }

    fn weigh(&self, round: usize) {
        let path = self.source.join("flour/src/lib.rs");
        let text = fs::read_to_string(&path).unwrap();
        let (now, then) = (WEIGHTS[round].to_string(), WEIGHTS[1 - round].to_string());
        fs::write(path, text.replace(&then, &now)).unwrap();
    }

    fn cargo(&self, world: &World) -> std::process::Command {
        let mut cargo = world.command("cargo");
        cargo.args(CARGO).current_dir(&self.source);
        cargo
    }

    /// `larder run`, which keeps what it made where nobody collects it.
    fn run(&self, world: &World, round: usize) -> Result<(), String> {
        let (kept, canary) = (self.source.join("kept"), world.path("canary"));
        let script = format!(
            "cargo {} && ln -sfn {} target/release/out && cp target/release/bread kept",
            CARGO.join(" "),
            canary.display()
        );
        let source = self.source.to_str().unwrap();
        let words = ["run", self.project, "--source", source, "--", "sh", "-c", &script];
        let mut larder = world.larder_command(&words);
        let said = Said::of(&larder.current_dir(&self.source).output().unwrap());
        if said.code != 0 || said.stderr.contains("larder: warning") {
            return Err(format!("{said:#?}"));
        }
        let right = fs::read(&kept).unwrap() == self.right[round];
        fs::remove_file(kept).unwrap();
        if right { Ok(()) } else { Err(format!("{source}: not the bytes of a cold build")) }
    }

    /// Cargo through the symlink that larder left. Before it has its lock the directory may go, and
    /// then it fails; once a build script runs, it has to succeed.
    fn plain(&self, world: &World, round: usize) -> Result<(), String> {
        let begun = self.source.join("begun");
        let _ = fs::remove_file(&begun);
        let said = Said::of(&self.cargo(world).output().unwrap());
        if said.code != 0 {
            return if begun.exists() {
                Err(format!("taken from cargo: {said:#?}"))
            } else {
                Ok(())
            };
        }
        match fs::read(self.source.join("target/release/bread")) {
            Ok(bytes) if bytes != self.right[round] => Err("plain cargo was stale".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Every name below, with all that a change would show.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, (u64, u32, i64, i64)> {
    let walk = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap);
    walk.map(|item| {
        let metadata = item.metadata().unwrap();
        let times = (metadata.mtime_nsec(), metadata.ctime_nsec());
        (item.path().to_owned(), (metadata.ino(), metadata.mode(), times.0, times.1))
    })
    .collect()
}

/// Does something again and again until the time is up; says how often, and what was wrong.
fn again(until: Instant, work: impl Fn(usize) -> Result<(), String>) -> (usize, Vec<String>) {
    let (mut rounds, mut wrong) = (0, Vec::new());
    while Instant::now() < until && wrong.len() < 3 {
        wrong.extend(work(rounds).err());
        rounds += 1;
    }
    (rounds, wrong)
}

/// A larder that ends with one of the codes. Builds get the processor in between.
fn larder(world: &World, words: &[&str], codes: &[i32]) -> Result<(), String> {
    thread::sleep(PAUSE);
    let said = world.larder(words);
    if codes.contains(&said.code) { Ok(()) } else { Err(format!("{words:?}: {said:#?}")) }
}

#[test]
fn a_storm_of_everything_spoils_nothing() {
    let world = World::new();
    // How full the disk of the host is shall not matter.
    fs::write(world.store().join("larder.toml"), "min-free = '0%'\n").unwrap();
    world.write("flour/build.rs", &slow(&world));
    let checkouts = [("one", "rye"), ("two", "rye"), ("three", "oat"), ("four", "spelt")]
        .map(|(name, project)| Checkout::new(&world, name, project));
    let inside_each_other = ["five", "six"].map(|name| Checkout::new(&world, name, name).source);
    let canary = world.path("canary");
    fs::create_dir_all(canary.join("deep")).unwrap();
    fs::write(canary.join("deep/alive"), "alive").unwrap();
    symlink("deep", canary.join("link")).unwrap();
    let before = snapshot(&canary);
    let seconds = std::env::var("LARDER_STORM").unwrap_or_else(|_| SECONDS.to_owned());
    let until = Instant::now() + Duration::from_secs(seconds.parse().unwrap());
    let (world, checkouts, moves) = (&world, &checkouts, &AtomicUsize::new(0));
    let told = thread::scope(|scope| {
        let mut workers = Vec::new();
        for checkout in checkouts {
            workers.push(scope.spawn(move || {
                again(until, |round| {
                    checkout.weigh(round % 2);
                    checkout.run(world, round % 2)?;
                    if checkout.project == "spelt" {
                        checkout.weigh((round + 1) % 2);
                        checkout.plain(world, (round + 1) % 2)?;
                    }
                    Ok(())
                })
            }));
        }
        let [outside, inside] = &inside_each_other;
        workers.push(scope.spawn(move || again(until, |_| nested(world, [outside, inside]))));
        workers.push(scope.spawn(move || {
            let gc = ["gc", "--max-size", "1MiB", "--grace", "0s"];
            again(until, |_| larder(world, &gc, &[0, 3]))
        }));
        workers.push(
            scope.spawn(move || again(until, |_| larder(world, &["gc", "--rescan"], &[0, 3]))),
        );
        // What is in use stays, and what is gone cannot be named.
        workers.push(scope.spawn(move || again(until, |_| larder(world, &["rm", "rye"], &[0, 1]))));
        workers.push(
            scope.spawn(move || again(until, |_| larder(world, &["status", "--json"], &[0]))),
        );
        workers.push(scope.spawn(move || again(until, |round| move_away(world, round, moves))));
        workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    let rounds: Vec<usize> = told.iter().map(|(rounds, _)| *rounds).collect();
    let moved = moves.load(Ordering::Relaxed);
    eprintln!(
        "rounds of four builders, a build inside a build, gc, gc --rescan, rm, status, move: \
         {rounds:?}; {moved} moves had the store alone and moved it"
    );
    let wrong: Vec<String> = told.into_iter().flat_map(|(_, wrong)| wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(moved > 0, "no move had its turn");
    assert_eq!(snapshot(&canary), before, "something outside of the store was touched");
    // What plain cargo changed in a kept directory, the next use puts right, and measures.
    for checkout in checkouts {
        checkout.weigh(0);
        checkout.run(world, 0).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
    sound::collect(world);
}

/// Moves the store to where nothing was yet, and counts when that was done. In between the builds have
/// their time. Each move leaves a symlink, and the kernel follows 40 of them.
fn move_away(world: &World, round: usize, moves: &AtomicUsize) -> Result<(), String> {
    thread::sleep(20 * PAUSE);
    if moves.load(Ordering::Relaxed) > 30 {
        return Ok(());
    }
    let to = world.path(&format!("place-{round}"));
    let said = world.larder(&["move", "--wait", "30s", to.to_str().unwrap()]);
    let has_moved = to.join("CACHEDIR.TAG").exists();
    match said.code {
        0 if has_moved => {
            moves.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        // Somebody was there for too long.
        1 if !has_moved && said.stderr.contains("try again later") => Ok(()),
        _ => Err(format!("move, has moved: {has_moved}: {said:#?}")),
    }
}

/// A build that starts another one inside it: neither may wait for a move that waits for the first.
fn nested(world: &World, [outside, inside]: [&Path; 2]) -> Result<(), String> {
    thread::sleep(PAUSE);
    let inner = format!(
        "cd {} && \"$LARDER\" run inner -- cargo build --release --offline",
        inside.display()
    );
    // What knows nothing of descriptors closes those that it does not know.
    for script in [inner.clone(), format!("exec 200>&- 201>&- 202>&- 203>&- 204>&-; {inner}")] {
        let outer = ["run", "outer", "--", "bash", "-c", &script];
        let mut larder = world.larder_command(&outer);
        larder.env("LARDER", env!("CARGO_BIN_EXE_larder")).current_dir(outside);
        let said = Said::of(&larder.output().unwrap());
        if said.code != 0 {
            return Err(format!("{said:#?}"));
        }
    }
    Ok(())
}

/// The build script of `flour` that also shows that it runs, and takes its time.
fn slow(world: &World) -> String {
    let script = fs::read_to_string(world.source().join("flour/build.rs")).unwrap();
    let more = "fn main() {\n    fs::write(\"../begun\", \"\").unwrap();\n    std::thread::sleep(std::time::Duration::from_millis(300));\n";
    script.replace("fn main() {\n", more)
}
