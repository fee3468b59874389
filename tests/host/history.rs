//! `larder history`, and what `larder status` sums up of it.

use std::fs;

use serde_json::Value;

use crate::world::World;

fn json(world: &World, words: &[&str]) -> Value {
    let said = world.larder(&[words, &["--json"]].concat()).succeeds();
    serde_json::from_str(&said.stdout).unwrap()
}

fn events(world: &World, words: &[&str]) -> Vec<Value> {
    json(world, &[&["history"], words].concat())["events"].as_array().unwrap().clone()
}

#[test]
fn every_use_and_what_was_collected_is_told_with_its_reason() {
    let world = World::new();
    let said = world.larder(&["history"]).succeeds();
    assert!(said.stdout.starts_with("nothing is known"), "{said:#?}");
    world.build();
    world.build();
    let flour = fs::read_to_string(world.source().join("flour/src/lib.rs")).unwrap();
    world.write("flour/src/lib.rs", &flour.replace("{ 7 }", "{ 8 }"));
    world.build();
    assert_ne!(world.run(&["sh", "-c", "cargo build --offline; false"]).code, 0);
    world.larder(&["gc", "--keep", "0", "--grace", "0", "--min-free", "0"]).succeeds();
    let told = events(&world, &[]);
    let uses: Vec<&Value> = told.iter().filter(|told| told["event"] == "use").collect();
    assert_eq!(uses.len(), 4, "{told:#?}");
    assert_eq!((&uses[0]["cold"], &uses[1]["cold"]), (&true.into(), &false.into()));
    assert_eq!((&uses[0]["compiled"], &uses[1]["compiled"]), (&2.into(), &0.into()));
    assert_eq!(uses[0]["cold_seconds"], uses[0]["seconds"]);
    let why = uses[2]["why"].to_string();
    assert!(why.contains("checkout changed: flour/src/lib.rs"), "{why}");
    assert_eq!(uses[3]["outcome"]["failed"], 1);
    let gone: Vec<&Value> = told.iter().filter(|told| told["event"] == "collection").collect();
    let [gone] = gone.as_slice() else { panic!("{told:#?}") };
    assert_eq!((&gone["by"], gone["gone"].as_array().unwrap().len()), (&"gc".into(), 2));
    assert!(gone["gone"][0]["why"].as_str().unwrap().contains("used before the 0"), "{gone:#}");

    // What went is still told of, and what its warm builds saved still counts.
    let status = json(&world, &["status"]);
    assert!(status["entries"].as_array().unwrap().is_empty());
    let saved: f64 = uses[1..3]
        .iter()
        .map(|used| used["cold_seconds"].as_f64().unwrap() - used["seconds"].as_f64().unwrap())
        .map(|saved| saved.max(0.0))
        .sum();
    let week = &status["week"];
    assert_eq!((&week["uses"], &week["cold"], &week["failed"]), (&4.into(), &2.into(), &1.into()));
    assert!((week["saved_seconds"].as_f64().unwrap() - saved).abs() < 1e-6, "{week}");
    assert_eq!(status["month"], *week);

    let said = world.larder(&["history", "--last", "2"]).succeeds();
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines[1].contains("failed (1)") && lines[2].contains("gc: "), "{lines:#?}");
    assert!(lines[3].starts_with("3 earlier"), "{lines:#?}");
    assert!(events(&world, &["nobody"]).is_empty());
    assert_eq!(events(&world, &["--since", "1h"]).len(), 5);
}

#[test]
fn a_history_that_is_no_file_fails_no_build_and_is_begun_anew() {
    let world = World::new();
    world.build();
    fs::remove_file(world.store().join("history")).unwrap();
    fs::create_dir(world.store().join("history")).unwrap();
    world.run(&["cargo", "build", "--release", "--offline"]).succeeds();
    assert_eq!(events(&world, &[]).len(), 1);
    fs::remove_file(world.store().join("history")).unwrap();
    fs::create_dir(world.store().join("history")).unwrap();
    // Nor does it keep anything from being removed.
    let said = world.larder(&["rm", "bread"]).succeeds();
    assert!(said.stdout.contains("removed bread "), "{said:#?}");
    assert_eq!(fs::read_dir(world.store().join("trash")).unwrap().count(), 0);
}
