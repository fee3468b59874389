//! What every store is like after `larder gc`, whatever happened to it before.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::world::{Said, World};

/// Words that send a person to do something, or that say that something is wrong.
const REQUESTS: [&str; 11] = [
    "larder: warning",
    "larder: error",
    "by hand",
    "move it away",
    "remove it",
    "remount",
    "try again",
    "run the build again",
    "name another",
    "please",
    "mend its",
];

/// Nothing in what larder said asks anybody for anything.
#[track_caller]
pub fn asks_nothing(said: &Said) {
    for request in REQUESTS {
        let heard = said.stderr.contains(request) || said.stdout.contains(request);
        assert!(!heard, "{request:?} is asked of a person: {said:#?}");
    }
}

/// Collects; afterwards the store holds what its records say, and nothing else.
#[track_caller]
pub fn collect(world: &World) {
    let said = world.larder(&["gc"]);
    assert!([0, 3].contains(&said.code), "{said:#?}");
    asks_nothing(&said);
    let store = world.store();
    assert_eq!(names(&store.join("trash")), Vec::<String>::new(), "the trash is not empty");
    no_halves(&store);
    for project in names(&store.join("projects")) {
        check_project(&store.join("projects").join(project));
    }
    let recorded = sizes(&store);
    let said = world.larder(&["gc", "--rescan"]);
    assert!([0, 3].contains(&said.code), "{said:#?}");
    asks_nothing(&said);
    assert_eq!(recorded, sizes(&store), "recorded, and measured again");
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// No file that some write, copy or cold build left when it was cut off.
fn no_halves(store: &Path) {
    let is_half = |name: &str| [".new-", "cold-", ".larder-"].iter().any(|it| name.starts_with(it));
    let walk = walkdir::WalkDir::new(store).into_iter().map(Result::unwrap);
    let halves: Vec<PathBuf> = walk
        .filter(|item| is_half(&item.file_name().to_string_lossy()))
        .map(|item| item.path().to_owned())
        .collect();
    assert!(halves.is_empty(), "left: {halves:?}");
}

/// Every directory has its records, and nothing is there that has no directory.
fn check_project(project: &Path) {
    let names = names(project);
    let dirs: Vec<&String> = names.iter().filter(|name| project.join(name).is_dir()).collect();
    assert!(!dirs.is_empty(), "{} is left empty: {names:?}", project.display());
    for name in &names {
        let id = name.strip_suffix(".lock").or_else(|| name.strip_suffix(".pin")).unwrap_or(name);
        assert!(dirs.iter().any(|dir| *dir == id), "{name} has no directory: {names:?}");
    }
    for id in dirs {
        let dir = project.join(id);
        let record = record(&dir);
        assert_eq!(record["toolchain"], Value::from(id.as_str()));
        assert_eq!(record["project"], project.file_name().unwrap().to_str().unwrap());
        let identity: Value =
            serde_json::from_slice(&fs::read(dir.join("identity.json")).unwrap()).unwrap();
        assert_eq!(
            identity["id"],
            Value::from(id.as_str()),
            "identity.json is of another directory"
        );
        assert!(dir.join("target").is_dir(), "{} has no target", dir.display());
    }
}

fn record(dir: &Path) -> Value {
    let path = dir.join("entry.json");
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Bytes and inodes of every directory as the records say.
fn sizes(store: &Path) -> BTreeMap<PathBuf, (u64, u64)> {
    let mut sizes = BTreeMap::new();
    for project in names(&store.join("projects")) {
        let project = store.join("projects").join(project);
        for name in names(&project) {
            let dir = project.join(name);
            if dir.is_dir() {
                let record = record(&dir);
                let number = |key: &str| record[key].as_u64().unwrap();
                sizes.insert(dir, (number("size"), number("inodes")));
            }
        }
    }
    sizes
}
