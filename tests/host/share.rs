//! What one machine compiled another one has: pushed, pulled, and nothing is compiled.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::Value;

use crate::crash;
use crate::share_lab::Lab;
use crate::sound;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn what_is_pulled_compiles_nothing_and_is_what_a_cold_build_makes() {
    let lab = Lab::new();
    let cold = lab.world.cold();
    let pulled = json(&lab.share("b", &["pull", "bread", "--json"]).succeeds().stdout);
    assert_eq!((&pulled["counter"], &pulled["signer"]), (&1.into(), &"builder@example".into()));
    assert_eq!(pulled["bytes_kept"], 0);
    let (a, b) = (lab.entry("a").unwrap(), lab.entry("b").unwrap());
    assert_eq!(a.file_name(), b.file_name());
    assert!(!b.join("target/release/bread").exists(), "what users take is linked by cargo itself");
    let mode = |path: &str| fs::metadata(b.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(""), mode("target")), (0o700, 0o755));
    assert_eq!(lab.build("b"), 0, "{}", lab.record("b")["last"]["why"]);
    assert_eq!(lab.record("b")["last"]["why"], Value::Array(Vec::new()));
    assert!(lab.binary() == cold, "not the bytes of a cold build");
    let verify: Vec<&str> =
        ["verify", "bread", "--"].into_iter().chain(crate::share_lab::BUILD).collect();
    assert!(lab.share("b", &verify).succeeds().stdout.contains("the same"));
    assert_eq!(lab.build("b"), 0, "and once more");
    let again = json(&lab.share("b", &["pull", "bread", "--json"]).succeeds().stdout);
    assert_eq!((&again["up_to_date"], &again["snapshot"]), (&1.into(), &Value::Null));
    let history = lab.share("b", &["history", "bread"]).succeeds().stdout;
    assert!(history.contains("push 1 of builder@example"), "{history}");
    let leftovers = lab.path("b").join("trash");
    lab.share("b", &["gc"]).succeeds();
    assert_eq!(fs::read_dir(leftovers).unwrap().count(), 0);
}

#[test]
fn a_change_is_pulled_as_a_change() {
    let lab = Lab::new();
    lab.pull().succeeds();
    assert_eq!(lab.build("b"), 0);
    let main = fs::read_to_string(lab.world.source().join("src/main.rs")).unwrap();
    lab.world.write("src/main.rs", &main.replace("{} {}", "{} + {}"));
    assert!(lab.build("a") > 0);
    let pushed = json(&lab.push().succeeds().stdout);
    assert_eq!(pushed["counter"], 2);
    let first = lab.snapshots("counter-1");
    assert_eq!(first.len(), 1, "what was pushed before stays");
    let pulled = json(&lab.share("b", &["pull", "bread", "--json"]).succeeds().stdout);
    let (kept, bytes) = (pulled["bytes_kept"].as_u64().unwrap(), pulled["bytes"].as_u64().unwrap());
    assert!(kept > 0 && kept < bytes, "{pulled}");
    let target = lab.entry("b").unwrap().join("target");
    let old = lab.path("b").join("trash");
    let inodes = |dir: &std::path::Path| -> std::collections::BTreeSet<u64> {
        let walk = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap);
        walk.filter(|item| item.file_type().is_file())
            .map(|item| item.metadata().unwrap().ino())
            .collect()
    };
    assert!(inodes(&target).is_disjoint(&inodes(&old)), "nothing is linked to what was there");
    assert_eq!(lab.build("b"), 0, "{}", lab.record("b")["last"]["why"]);
    assert!(lab.binary() == lab.world.cold(), "not the bytes of a cold build");
}

#[test]
fn a_cargo_that_larder_did_not_start_is_left_alone() {
    let lab = Lab::new();
    lab.pull().succeeds();
    assert_eq!(lab.build("b"), 0);
    lab.push().succeeds();
    let held = |store: &str| {
        let path = lab.entry(store).unwrap().join("target/release/.cargo-lock");
        let file = fs::File::open(path).unwrap();
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
        file
    };
    let busy = "a cargo that larder did not start builds in";
    let cargo = held("a");
    lab.share("a", &["push", "bread"]).refuses(1, &[busy]);
    drop(cargo);
    let cargo = held("b");
    let before = fs::read(lab.entry("b").unwrap().join("entry.json")).unwrap();
    lab.pull().refuses(1, &[busy]);
    assert_eq!(fs::read(lab.entry("b").unwrap().join("entry.json")).unwrap(), before);
    drop(cargo);
    lab.pull().succeeds();
}

#[test]
fn run_pulls_when_cold_and_pushes_what_it_compiled() {
    let lab = Lab::with_nothing();
    lab.share("a", &["share", "init"]).succeeds();
    let repository = lab.path("repository").display().to_string();
    for store in ["a", "b"] {
        lab.configure(store, &repository, "push = 'on-success'\npull = 'when-cold'");
    }
    let first = lab.run("a").succeeds();
    assert!(
        first.stderr.contains("nothing was pushed of bread that fits: there is no push of it that counts; building cold"),
        "{first:#?}"
    );
    assert!(first.stderr.contains("pushed bread: push 1"), "{first:#?}");
    let second = lab.run("b").succeeds();
    assert!(second.stderr.contains("pulled bread: push 1 of builder@example"), "{second:#?}");
    assert!(
        !second.stderr.contains("Compiling") && !second.stderr.contains("pushed"),
        "{second:#?}"
    );
    let third = lab.run("b").succeeds();
    assert!(!third.stderr.contains("larder"), "{third:#?}");
    // What failed is not pushed, and the exit code stays.
    lab.world.write("src/main.rs", "fn main() { nonsense }\n");
    let failed = lab.run("b");
    assert!(failed.code == 101 && !failed.stderr.contains("pushed"), "{failed:#?}");
    lab.share("b", &["push", "bread"]).refuses(1, &["not pushed", "did not succeed"]);
}

#[test]
fn another_toolchain_path_or_flag_is_another_scope() {
    let lab = Lab::new();
    let nothing = |command: &mut std::process::Command, why: &str| {
        let said = crate::world::Said::of(&command.output().unwrap());
        let other = format!("push 1 of builder@example, the latest, is of another {why}");
        said.refuses(1, &["nothing was pushed of bread that fits: ", &other]);
    };
    let flags = "environment RUSTFLAGS: unset → -Copt-level=1; build it";
    nothing(lab.larder("b", &["pull", "bread"]).env("RUSTFLAGS", "-Copt-level=1"), flags);
    nothing(
        lab.larder("b", &["pull", "bread"]).env("CARGO_HOME", lab.path("elsewhere")),
        "environment CARGO_HOME: unset → ",
    );
    nothing(&mut lab.larder("b", &["pull", "bread", "--", "cargo", "build"]), "command");
    let copy = lab.path("copy");
    let done = lab.command("cp").arg("-a").arg(lab.world.source()).arg(&copy).output().unwrap();
    crate::world::Said::of(&done).succeeds();
    let elsewhere = ["pull", "bread", "--source", copy.to_str().unwrap()];
    nothing(&mut lab.larder("b", &elsewhere), "source path");
    lab.has_nothing("b");
    // What restic reads makes no directory of its own.
    let mut other = lab.larder("b", &["pull", "bread"]);
    other.env("AWS_ACCESS_KEY_ID", "x").env("RESTIC_REST_PASSWORD", "y");
    crate::world::Said::of(&other.output().unwrap()).succeeds();
}

#[test]
fn dead_units_and_what_is_incremental_are_not_pushed() {
    let lab = Lab::with_nothing();
    lab.share("a", &["share", "init"]).succeeds();
    crash::add_water(&lab.world);
    let by_options = ["run", "bread", "--", "sh", "-c", "cargo build --offline $(cat ../options)"];
    for options in ["--config profile.dev.opt-level=1", ""] {
        fs::write(lab.path("options"), options).unwrap();
        lab.share("a", &by_options).succeeds();
    }
    let main = fs::read_to_string(lab.world.source().join("src/main.rs")).unwrap();
    lab.world.write("src/main.rs", &format!("{main}//\n"));
    lab.share("a", &by_options).succeeds();
    assert_ne!(lab.record("a")["unused"], Value::Array(Vec::new()), "there are dead units");
    let target = lab.entry("a").unwrap().join("target");
    assert!(target.join("debug/incremental").is_dir());
    let pushed = json(&lab.push().succeeds().stdout);
    let id = pushed["snapshot"].as_str().unwrap().to_owned();
    let listed = lab.restic(&["ls", &id]).stdout;
    assert!(!listed.contains("incremental") && !listed.contains("\"/debug/bread\""), "{listed}");
    lab.pull().succeeds();
    let units = |store: &str| {
        let dir = lab.entry(store).unwrap().join("target/debug/.fingerprint");
        fs::read_dir(dir).unwrap().count()
    };
    assert!(units("b") < units("a"), "{} of {}", units("b"), units("a"));
    let built = lab.share("b", &by_options).succeeds();
    assert!(!built.stderr.contains("Compiling"), "{built:#?}");
    sound::asks_nothing(&lab.share("b", &["gc"]).succeeds());
}
