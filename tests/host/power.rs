//! The power fails in the middle of builds: what was not synced is lost.

#![expect(clippy::disallowed_macros, reason = "the instants are the test's report")]

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::world::{Said, World};

/// Builds are interrupted so often, unless `LARDER_POWER_LOSS` says otherwise.
const INSTANTS: &str = "8";

/// What became of a store that was found after the power failed.
#[derive(Debug, Deserialize)]
struct Found {
    instant: u32,
    /// Milliseconds after the build's start.
    after: u32,
    /// Whether the first build there began with an empty directory.
    cold: bool,
    /// What it compiled.
    compiled: u32,
    /// What the build after that compiled, with nothing changed.
    again: u32,
    /// What larder said if it set the directory aside.
    said: String,
    /// The bytes of the first build.
    hash: String,
    /// The bytes of a cold build without larder.
    right: String,
}

fn cut_the_power(options: &str) {
    assert!(rustix::process::geteuid().is_root(), "only root can mount an image");
    let world = World::new();
    let instants = std::env::var("LARDER_POWER_LOSS").unwrap_or_else(|_| INSTANTS.to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/power-loss.sh");
    let mut command = world.command("unshare");
    command.args(["--mount", "--propagation", "private", script]);
    command.args([env!("CARGO_BIN_EXE_larder")]).arg(world.dir.path()).args([&instants, options]);
    let said = Said::of(&command.output().unwrap()).succeeds();
    let mut ways: BTreeMap<&str, u32> = BTreeMap::new();
    for line in said.stdout.lines() {
        let found: Found = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert_eq!(found.hash, found.right, "stale: {found:?}");
        assert_eq!(found.again, 0, "not warm afterwards: {found:?}");
        let way = match (found.cold, found.said.is_empty(), found.compiled) {
            (true, false, _) => "set aside",
            (true, true, _) => "nothing there yet",
            (false, _, 0) => "warm, nothing to do",
            (false, _, _) => "warm, something to do",
        };
        *ways.entry(way).or_default() += 1;
        eprintln!("{:4} after {:4} ms: {way}", found.instant, found.after);
    }
    eprintln!("{options}: {ways:?}");
    assert_eq!(ways.values().sum::<u32>().to_string(), instants);
}

#[test]
#[ignore = "mounts images, which takes root: make power-loss"]
fn power_fails_on_a_journal_of_everything_in_order() {
    cut_the_power("commit=1,data=ordered");
}

#[test]
#[ignore = "mounts images, which takes root: make power-loss"]
fn power_fails_on_a_journal_of_names_alone() {
    cut_the_power("commit=1,data=writeback");
}
