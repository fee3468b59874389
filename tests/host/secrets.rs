//! Values that are nobody's business, and where they are not; who may read what larder keeps.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use larder::Digest;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::share_lab::{BUILD, Lab};
use crate::world::{Said, World};

/// Variables of all kinds that are not to be told, each with a value of its own.
const SECRETS: [(&str, &str); 8] = [
    ("DATABASE_URL", "postgres://baker:hunter-one@db/bread"),
    ("DB_PASS", "hunter-two"),
    ("GH_PAT", "hunter-three"),
    ("NPM_AUTH", "hunter-four"),
    ("SLACK_WEBHOOK", "https://hooks.example/hunter-five"),
    ("SENTRY_DSN", "https://hunter-six@sentry.example/1"),
    ("CARGO_REGISTRIES_BAKERY_TOKEN", "hunter-seven"),
    ("AWS_SECRET_ACCESS_KEY", "hunter-eight"),
];

/// What is in the words of the command.
const IN_WORDS: [&str; 2] = ["hunter-nine", "hunter-ten"];

/// What may be nowhere: the values, parts of them, and what anybody can compute of them.
fn forbidden() -> Vec<(String, Vec<u8>)> {
    let values = SECRETS.iter().map(|(_, value)| *value).chain(IN_WORDS);
    let mut all = vec![("part of a value".to_owned(), b"hunter-".to_vec())];
    for value in values {
        let (sha, blake) = (Sha256::digest(value), Digest::of(value.as_bytes()));
        let digits: Vec<String> = sha.iter().map(|byte| format!("{byte:02x}")).collect();
        let digits = digits.concat();
        all.push((format!("SHA-256 of {value}"), sha.to_vec()));
        all.push((format!("SHA-256 of {value}"), digits.into_bytes()));
        all.push((format!("BLAKE3 of {value}"), blake.as_bytes().to_vec()));
        all.push((format!("BLAKE3 of {value}"), blake.to_string().into_bytes()));
    }
    all
}

#[track_caller]
fn tells_nothing(what: &str, bytes: &[u8]) {
    for (name, pattern) in forbidden() {
        let found = bytes.windows(pattern.len()).any(|window| window == pattern);
        assert!(!found, "{what} has a {name}");
    }
}

#[track_caller]
fn directory_tells_nothing(dir: &Path) -> usize {
    let files = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap);
    let files: Vec<_> = files.filter(|item| item.file_type().is_file()).collect();
    for file in &files {
        // The program names what it hides.
        if file.file_name() != "larder" {
            tells_nothing(&file.path().display().to_string(), &fs::read(file.path()).unwrap());
        }
        tells_nothing("a name", file.path().as_os_str().as_encoded_bytes());
    }
    files.len()
}

fn said(command: &mut Command) -> Said {
    let said = Said::of(&command.output().unwrap());
    for text in [&said.stdout, &said.stderr] {
        tells_nothing("what is said", text.as_bytes());
    }
    said.succeeds()
}

#[test]
fn a_secret_in_the_environment_or_the_command_is_in_nothing_that_larder_keeps_says_or_sends() {
    let lab = Lab::with_nothing();
    said(&mut lab.larder("a", &["share", "init"]));
    let config = format!("env.BAKERS_WORD='{}'", IN_WORDS[0]);
    let run = |words: &[&str], token: &str| {
        let words: Vec<&str> =
            ["-v", "run", "bread", "--"].into_iter().chain(words.iter().copied()).collect();
        let mut larder = lab.larder("a", &words);
        said(larder.envs(SECRETS).env("CARGO_REGISTRIES_BAKERY_TOKEN", token));
    };
    let words: Vec<&str> = BUILD.into_iter().chain(["--config", &config]).collect();
    run(&words, SECRETS[6].1);
    run(&words, SECRETS[6].1);
    assert!(directory_tells_nothing(&lab.path("a")) > 10);
    said(&mut lab.larder("a", &["push", "bread", "--json"]));
    // Another directory for another token, and one for another command.
    run(&words, "hunter-seven-and-a-half");
    let explained = said(&mut lab.larder("a", &["explain", "bread"])).stdout;
    let another = "environment CARGO_REGISTRIES_BAKERY_TOKEN: another value";
    assert!(explained.contains(another), "{explained}");
    let script = format!("cargo build --release --offline # {}", IN_WORDS[1]);
    run(&["sh", "-c", &script], SECRETS[6].1);
    let html = lab.path("report.html");
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["status", "bread", "--json"],
        &["explain", "bread"],
        &["explain", "bread", "--json"],
        &["explain", "bread", "--unit", "flour"],
        &["history"],
        &["history", "--json"],
        &["report", "--json"],
        &["report", "--html", html.to_str().unwrap()],
        &["gc", "--dry-run", "--json"],
        &["status", "--prometheus"],
        &["share", "status", "--json"],
    ] {
        said(&mut lab.larder("a", words));
    }
    tells_nothing("the report", &fs::read(html).unwrap());
    directory_tells_nothing(&lab.path("a"));
    // What was sent.
    let (manifest, tags, _) = lab.manifest();
    tells_nothing("the manifest", &manifest);
    tells_nothing("the tags", tags.concat().as_bytes());
    let data = &lab.snapshots("data")[0]["id"];
    let restored = lab.path("restored");
    lab.restic(&["restore", data.as_str().unwrap(), "--target", restored.to_str().unwrap()]);
    assert!(directory_tells_nothing(&restored) > 10);
    // The key is in none of it.
    let key = fs::read_to_string(lab.path("a/key")).unwrap();
    let key = key.trim_end().as_bytes();
    let has_key = |bytes: &[u8]| bytes.windows(key.len()).any(|window| window == key);
    assert!(!has_key(&manifest));
    // And who pulls has the same, and knows no more.
    said(lab.larder("b", &[&["pull", "bread", "--"][..], &words].concat()).envs(SECRETS));
    directory_tells_nothing(&lab.path("b"));
}

#[test]
fn what_a_push_hides_is_compared_by_who_has_the_same_key() {
    let lab = Lab::with_nothing();
    lab.share("a", &["share", "init"]).succeeds();
    let script = fs::read_to_string(lab.world.source().join("flour/build.rs")).unwrap();
    let reads = "fn main() {\n    let _ = env::var(\"BAKERS_SECRET\");";
    lab.world.write("flour/build.rs", &script.replace("fn main() {", reads));
    let run = |store: &str, secret: &str| {
        let words: Vec<&str> = ["run", "bread", "--"].into_iter().chain(BUILD).collect();
        said(lab.larder(store, &words).env("BAKERS_SECRET", secret));
        lab.record(store)["last"].clone()
    };
    run("a", "rye");
    lab.push().succeeds();
    let pull: Vec<&str> = ["pull", "bread", "--"].into_iter().chain(BUILD).collect();
    let pull = || said(lab.larder("b", &pull).env("BAKERS_SECRET", "rye"));
    pull();
    let last = run("b", "rye");
    assert_eq!(last["why"][0], "environment changed: BAKERS_SECRET", "nobody could know better");
    assert_eq!(run("b", "rye")["closed"]["compiled"], 0);
    fs::copy(lab.path("a/key"), lab.path("b/key")).unwrap();
    fs::remove_dir_all(lab.path("b/projects/bread")).unwrap();
    pull();
    assert_eq!(run("b", "rye")["closed"]["compiled"], 0);
    assert_eq!(run("b", "oat")["why"][0], "environment changed: BAKERS_SECRET");
}

#[test]
fn what_is_no_units_is_not_pushed_and_made_again_where_it_is_pulled() {
    let lab = Lab::with_nothing();
    lab.share("a", &["share", "init"]).succeeds();
    let script = fs::read_to_string(lab.world.source().join("flour/build.rs")).unwrap();
    let leaves = "fn main() {\n    fs::create_dir_all(\"../target/tmp\").unwrap();\n    \
                  fs::write(\"../target/.env\", \"KEY=1\").unwrap();\n    \
                  fs::write(\"../target/tmp/netrc\", \"login\").unwrap();";
    lab.world.write("flour/build.rs", &script.replace("fn main() {", leaves));
    let cold = lab.world.cold();
    lab.build("a");
    assert_eq!(lab.build("a"), 0);
    let said = lab.share("a", &["push", "bread"]).succeeds().stdout;
    assert!(
        said.contains("is not pushed, and made again where it is pulled: .env, tmp/netrc"),
        "{said}"
    );
    let left: Value = serde_json::from_str(&lab.push().succeeds().stdout).unwrap();
    assert_eq!(left["left_out"], serde_json::json!([".env", "tmp/netrc"]));
    for data in lab.snapshots("data") {
        let restored = lab.path(data["short_id"].as_str().unwrap());
        let id = data["id"].as_str().unwrap();
        lab.restic(&["restore", id, "--target", restored.to_str().unwrap()]);
        assert!(restored.join("release/build").is_dir());
        assert!(!restored.join(".env").exists() && !restored.join("tmp/netrc").exists());
    }
    lab.pull().succeeds();
    let target = lab.entry("b").unwrap().join("target");
    assert!(!target.join(".env").exists());
    assert!(lab.build("b") > 0);
    let why = &lab.record("b")["last"]["why"];
    assert_eq!(why[0], "not pushed, because it is no unit's: .env, tmp/netrc");
    assert_eq!(fs::read_to_string(target.join("tmp/netrc")).unwrap(), "login");
    assert!(lab.binary() == cold, "not the bytes of a cold build");
    assert_eq!(lab.build("b"), 0);
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_store_is_its_owners_alone_unless_its_directory_says_otherwise() {
    let world = World::new();
    fs::remove_dir_all(world.store()).unwrap();
    let source = world.source();
    let make = ["provision", "bread", "--source", source.to_str().unwrap()];
    world.larder(&make).succeeds();
    world.build();
    assert_eq!(mode(&world.store()), 0o700);
    let is_others = |path: &Path| {
        let inside = path.strip_prefix(world.store()).unwrap();
        inside.starts_with("cargo-home")
            || inside
                .components()
                .any(|it| ["target", "cargo"].iter().any(|own| it.as_os_str() == *own))
    };
    let mut seen = 0;
    for item in walkdir::WalkDir::new(world.store()).into_iter().map(Result::unwrap) {
        if !is_others(item.path()) && !item.file_type().is_symlink() {
            assert_eq!(mode(item.path()) & 0o077, 0, "{}", item.path().display());
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
    assert_eq!(mode(&world.entry_dir().join("target")), 0o755);
    assert_eq!(mode(&world.entry_dir().join("target/release/bread")), 0o755);
    let doctor = world.larder(&["doctor"]).stdout;
    assert!(doctor.contains("privacy: only you can read its records"), "{doctor}");
    // What was made in it stays closed.
    fs::set_permissions(world.store(), fs::Permissions::from_mode(0o755)).unwrap();
    let doctor = world.larder(&["doctor"]).stdout;
    assert!(doctor.contains("privacy: only you can read its records"), "{doctor}");
    // Somebody wants others to read it.
    fs::remove_dir_all(world.store()).unwrap();
    fs::create_dir(world.store()).unwrap();
    fs::set_permissions(world.store(), fs::Permissions::from_mode(0o755)).unwrap();
    world.larder(&make).succeeds();
    world.build();
    let entry = world.entry_dir();
    assert_eq!((mode(&entry), mode(&entry.join("identity.json"))), (0o755, 0o644));
    assert_eq!(mode(&world.store().join("key")), 0o600);
    let doctor = world.larder(&["doctor"]).stdout;
    assert!(doctor.contains("privacy: everybody on this machine can read"), "{doctor}");
    fs::set_permissions(world.store().join("key"), fs::Permissions::from_mode(0o644)).unwrap();
    let doctor = world.larder(&["doctor"]);
    assert!(doctor.code == 1 && doctor.stdout.contains("by which values are hidden"), "{doctor:?}");
}

#[test]
#[ignore = "gives files to somebody else, which takes root: make test"]
fn root_who_became_root_by_sudo_has_what_he_built() {
    let world = World::new();
    fs::set_permissions(world.store(), fs::Permissions::from_mode(0o700)).unwrap();
    let user = 12345;
    for item in walkdir::WalkDir::new(world.source()).into_iter().map(Result::unwrap) {
        std::os::unix::fs::lchown(item.path(), Some(user), Some(user)).unwrap();
    }
    let run = || {
        let mut run = world.run_command(&["cargo", "build", "--release", "--offline"]);
        Said::of(&run.env("SUDO_UID", user.to_string()).output().unwrap()).succeeds();
        let built = world.source().join("target/release/bread");
        assert!(!world.source().join("target/release").is_symlink());
        assert!(fs::symlink_metadata(&built).unwrap().is_file());
        assert_eq!((mode(&built), mode(built.parent().unwrap())), (0o755, 0o755));
        fs::metadata(built).unwrap().ino()
    };
    assert_eq!(run(), run(), "what is there already stays");
    fs::set_permissions(world.store(), fs::Permissions::from_mode(0o711)).unwrap();
    world.write("src/main.rs", "fn main() { println!(\"{}\", flour::weight()); }\n");
    let built = world.run(&["cargo", "build", "--release", "--offline"]).succeeds();
    assert!(!built.stderr.contains("warning"), "{built:?}");
}
