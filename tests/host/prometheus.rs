//! What Prometheus reads of a store, by its own tool; and the alerts and the dashboard of the examples.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::world::{Said, World};

/// Unpacked by `scripts/mkosi-setup`.
fn promtool() -> PathBuf {
    let own = || format!("/var/tmp/larder-dev-{}", rustix::process::geteuid().as_raw());
    let work = std::env::var("LARDER_WORK").unwrap_or_else(|_| own());
    let tool = Path::new(&work).join("bin/promtool");
    assert!(tool.exists(), "no {}: run scripts/mkosi-setup", tool.display());
    tool
}

/// Has the tool read a text that it must not find fault with.
fn check(text: &str) {
    let mut tool = Command::new(promtool());
    tool.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut child = tool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = Said::of(&child.wait_with_output().unwrap());
    assert_eq!((said.code, &*said.stdout, &*said.stderr), (0, "", ""), "{said:#?}\n{text}");
}

/// The number that a sample has; labels as they are written.
fn sample(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

#[test]
fn what_prometheus_reads_is_what_status_says() {
    let world = World::new();
    check(&world.larder(&["status", "--prometheus"]).succeeds().stdout);
    world.build();
    world.build();
    world.run(&["sh", "-c", "cargo build --offline; false"]);
    let config = "max-size = '1GiB'\n[project.bread]\nmax-size = '1MiB'\n";
    fs::write(world.store().join("larder.toml"), config).unwrap();
    let file = world.path("larder.prom");
    let code = world.larder(&["gc", "--metrics", file.to_str().unwrap()]).code;
    assert!([0, 3].contains(&code));
    let text = fs::read_to_string(&file).unwrap();
    check(&text);
    let store = fs::canonicalize(world.store()).unwrap();
    let store = store.display();
    let status = world.larder(&["status", "--json"]).succeeds();
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let parts: f64 = ["directories", "downloads", "trash"]
        .map(|part| {
            sample(&text, &format!("larder_store_size_bytes{{store=\"{store}\",part=\"{part}\"}}"))
        })
        .iter()
        .sum();
    assert!((parts - status["size"].as_f64().unwrap()).abs() < 0.5, "{parts} {status:#}");
    let of_bread =
        |name: &str| sample(&text, &format!("{name}{{store=\"{store}\",project=\"bread\"}}"));
    assert!((of_bread("larder_project_max_size_bytes") - 1_048_576.0).abs() < 0.5);
    assert!((of_bread("larder_project_directories") - 2.0).abs() < 0.5);
    let saved = status["week"]["saved_seconds"].as_f64().unwrap();
    assert!((of_bread("larder_saved_seconds_total") - saved).abs() < 1e-6);
    let uses = |start: &str, outcome: &str| {
        let labels = format!("project=\"bread\",start=\"{start}\",outcome=\"{outcome}\"");
        sample(&text, &format!("larder_uses_total{{store=\"{store}\",{labels}}}"))
    };
    assert!((uses("cold", "succeeded") - 1.0).abs() < 0.5);
    assert!((uses("warm", "succeeded") - 1.0).abs() < 0.5);
    assert!((uses("cold", "failed") - 1.0).abs() < 0.5);
    let unmet =
        sample(&text, &format!("larder_last_collection_unmet_budgets{{store=\"{store}\"}}"));
    assert_eq!(unmet > 0.5, code == 3);
}

#[test]
fn alerts_and_dashboard_ask_for_what_there_is() {
    let world = World::new();
    world.build();
    fs::write(world.store().join("larder.toml"), "max-size = '1GiB'\n").unwrap();
    world.larder(&["gc"]).succeeds();
    let text = world.larder(&["status", "--prometheus"]).succeeds().stdout;
    let known: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/monitoring");
    let rules = examples.join("larder.rules.yml");
    let said = Command::new(promtool()).args(["check", "rules"]).arg(&rules).output().unwrap();
    Said::of(&said).succeeds();
    let dashboard = fs::read_to_string(examples.join("dashboard.json")).unwrap();
    let _: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    for text in [fs::read_to_string(rules).unwrap(), dashboard] {
        let letters = |letter: char| !(letter.is_ascii_alphanumeric() || letter == '_');
        let asked: BTreeSet<&str> =
            text.split(letters).filter(|word| word.starts_with("larder_")).collect();
        assert!(asked.len() >= 4, "{asked:?}");
        let strangers: Vec<_> = asked.difference(&known).collect();
        assert!(strangers.is_empty(), "{strangers:?} are not among {known:?}");
    }
}
