//! Sharing over a network, and what `examples/ci` says of it: two builders and a real server between them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::emit::yaml;
use crate::world::{Said, World};

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One line of what `two-builders` prints.
#[derive(Debug)]
struct Round {
    what: String,
    compiled_by_a: u32,
    pushed: u64,
    compiled_by_b: u32,
    /// Digests of what A, B and a build without larder made.
    made: [String; 3],
}

impl Round {
    fn of(line: &str) -> Option<Self> {
        let columns: Vec<&str> =
            line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
        let [what, compiled_by_a, pushed, compiled_by_b, a, b, cold] = columns[..] else {
            return None;
        };
        Some(Self {
            what: what.to_owned(),
            compiled_by_a: compiled_by_a.parse().ok()?,
            pushed: pushed.parse().ok()?,
            compiled_by_b: compiled_by_b.parse().ok()?,
            made: [a, b, cold].map(str::to_owned),
        })
    }
}

fn two_builders(server: &str) -> String {
    assert!(rustix::process::geteuid().is_root(), "only root can make networks");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/ci/two-builders");
    let dir = tempfile::Builder::new().prefix("larder-test-").tempdir_in("/var/tmp").unwrap();
    let output = Command::new(script)
        .args([env!("CARGO_BIN_EXE_larder"), server])
        .env("TMPDIR", dir.path())
        .output()
        .unwrap();
    let said = Said::of(&output).succeeds();
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert!(left.is_empty(), "the example left files: {left:?}");
    said.stdout
}

fn what_one_compiled_the_other_has(server: &str) -> String {
    let said = two_builders(server);
    let rounds: Vec<Round> = said.lines().filter_map(Round::of).collect();
    let names: Vec<&str> = rounds.iter().map(|round| round.what.as_str()).collect();
    assert_eq!(
        names,
        ["first", "a leaf edited", "two dependencies bumped", "other RUSTFLAGS"],
        "{said}"
    );
    for round in &rounds {
        assert!(round.compiled_by_a > 0, "{round:?}");
        assert!(round.pushed > 0, "{round:?}");
        assert_eq!(round.compiled_by_b, 0, "{round:?}");
        let [a, b, cold] = &round.made;
        assert_eq!(a, cold, "{round:?}");
        assert_eq!(b, cold, "{round:?}");
        assert_eq!(cold.len(), 16, "{round:?}");
    }
    let made: std::collections::BTreeSet<&str> =
        rounds.iter().map(|round| round.made[2].as_str()).collect();
    assert_eq!(made.len(), rounds.len(), "each change shows in the bytes: {said}");
    // The first is everything, an edit one package.
    let compiled: Vec<u32> = rounds.iter().map(|round| round.compiled_by_a).collect();
    assert_eq!(compiled, [6, 1, 3, 6], "{said}");
    assert!(rounds[1].pushed * 2 < rounds[0].pushed, "{said}");
    assert!(said.contains("B has no key, and cannot push: larder: "), "{said}");
    assert!(said.contains("The server is gone: B compiled 6 by itself"), "{said}");
    said
}

#[test]
#[ignore = "makes networks, which takes root: make test"]
fn root_builders_share_over_the_rest_server() {
    let said = what_one_compiled_the_other_has("rest");
    assert!(said.contains("A may add and nothing else, and cannot tidy up: larder: "), "{said}");
}

#[test]
#[ignore = "makes networks, which takes root: make test"]
fn root_builders_share_over_s3() {
    what_one_compiled_the_other_has("s3");
}

/// Nothing that pull requests start may name a secret.
#[test]
fn the_workflow_gives_secrets_to_the_push_of_the_main_branch_alone() {
    let workflow = yaml(&example("workflow.yml"));
    // YAML 1.1 reads the key `on` as true.
    let events = &workflow["true"];
    let names: Vec<&String> = events.as_object().unwrap().keys().collect();
    assert_eq!(names, ["pull_request", "push"]);
    assert_eq!(events["push"]["branches"], serde_json::json!(["main"]));
    assert_eq!(workflow["permissions"], serde_json::json!({"contents": "read"}));
    let jobs = &workflow["jobs"];
    let (others, main) = (&jobs["pull-request"], &jobs["main"]);
    assert_eq!(main["if"], "github.event_name == 'push' && github.ref == 'refs/heads/main'");
    assert_eq!(main["environment"], "share");
    assert_eq!(others["if"], "github.event_name == 'pull_request'");
    assert!(!others.to_string().contains("secrets."), "{others}");
    let names = |job: &Value| -> Vec<String> {
        let steps = job["steps"].as_array().unwrap().iter();
        steps.map(|step| step["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        names(others),
        ["Install", "Check out", "Install larder", "Configure sharing", "Pull", "Build"]
    );
    assert_eq!(names(main)[..6], names(others));
    assert_eq!(names(main)[6..], ["Push"]);
    let (push, before) = main["steps"].as_array().unwrap().split_last().unwrap();
    assert!(push["run"].as_str().unwrap().trim_end().ends_with("larder push app"));
    for step in before {
        assert!(!step.to_string().contains("secrets."), "{step}");
        assert!(!step.to_string().contains("larder push"), "{step}");
    }
}

/// The files for each role are such as larder reads, and name no key that it does not know.
#[test]
fn the_roles_of_the_example_are_configurations() {
    let world = World::new();
    for name in ["reader", "builder", "release", "owner"] {
        let text = example(&format!("{name}.toml"));
        fs::write(world.store().join("larder.toml"), &text).unwrap();
        world.larder(&["status"]).succeeds();
        let wrong = text.replace("[share]", "[share]\nno-such-key = 1");
        fs::write(world.store().join("larder.toml"), wrong).unwrap();
        world.larder(&["status"]).refuses(1, &["no-such-key"]);
    }
}

/// Who signs is on the list of each, and only who pushes has a key.
#[test]
fn only_the_roles_that_push_have_keys() {
    for (name, pushes, accepts) in [
        ("reader", false, ""),
        ("builder", true, ""),
        ("release", true, "accept = [\"release@example.org\"]"),
        ("owner", false, ""),
    ] {
        let text = example(&format!("{name}.toml"));
        assert_eq!(text.contains("signing-key"), pushes, "{name}");
        assert_eq!(text.contains("signer ="), pushes, "{name}");
        assert!(text.contains("allowed-signers"), "{name}");
        assert_eq!(text.contains("accept ="), !accepts.is_empty(), "{name}");
        assert!(text.contains(accepts), "{name}");
    }
}

/// systemd finds nothing to say about the units, and only the one that nobody else reaches may delete.
#[test]
fn the_units_of_the_server_say_who_may_write() {
    let world = World::new();
    let mut units = Vec::new();
    for (role, words, directory) in [
        ("reader", "--listen :8000 ", "ReadOnlyPaths="),
        ("builder", "--listen :8001 --append-only --htpasswd-file ", "ReadWritePaths="),
        ("owner", "--listen 127.0.0.1:8002 ", "ReadWritePaths="),
    ] {
        let name = format!("larder-share-{role}.service");
        let text = example(&name);
        assert!(text.contains(words), "{name}");
        assert!(text.contains(&format!("\n{directory}/srv/larder\n")), "{name}");
        let unit = world.path(&name);
        // The server is not installed where tests run.
        fs::write(&unit, text.replace("/usr/bin/restic-rest-server", "/bin/true")).unwrap();
        units.push(unit);
    }
    let mut analyze = world.command("systemd-analyze");
    analyze.args(["--system", "verify", "--man=no", "--recursive-errors=no"]).args(units);
    let said = Said::of(&analyze.output().unwrap()).succeeds();
    assert!(!said.stderr.contains("larder"), "{said:#?}");
}
