//! What larder says of its own builds: verify, explain, fidelity.

use std::fs;
use std::io::Write;
use std::net::TcpListener;

use crate::world::{Said, World, sysroot};

const BUILD: [&str; 4] = ["cargo", "build", "--release", "--offline"];

/// `larder verify bread [--json] -- cargo build`
fn verify(world: &World, json: bool) -> Said {
    let source = world.source();
    let mut words = vec!["verify", "bread", "--source", source.to_str().unwrap()];
    words.extend(json.then_some("--json"));
    words.push("--");
    words.extend(BUILD);
    let mut command = world.larder_command(&words);
    Said::of(&command.current_dir(&source).output().unwrap())
}

/// Tells whoever asks what is in the file `secret`, which is "one" now, over the network: no look at a build can
/// see that. Says on which port.
pub fn tell_secret(world: &World) -> String {
    let secret = world.path("secret");
    fs::write(&secret, "one").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Ends with the test: who asks after it finds no file.
    std::thread::spawn(move || {
        for asked in listener.incoming() {
            let Ok(text) = fs::read(&secret) else { return };
            asked.unwrap().write_all(&text).unwrap();
        }
    });
    port.to_string()
}

/// What a build script does to ask for it, as a text in `text`.
pub const ASK: &str = "let mut text = String::new();\n    std::io::Read::read_to_string(&mut std::net::TcpStream::connect(\"127.0.0.1:PORT\").unwrap(), &mut text).unwrap();\n";

/// A build script that asks for the secret.
pub fn read_in_secret(world: &World) {
    let script = format!(
        "use std::{{env, fs}};\nfn main() {{\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    {ASK}    let out = env::var(\"OUT_DIR\").unwrap();\n    fs::write(format!(\"{{out}}/kind.rs\"), format!(\"pub const KIND: &str = {{text:?}};\")).unwrap();\n}}\n"
    );
    world.write("flour/build.rs", &script.replace("PORT", &tell_secret(world)));
}

#[test]
fn a_good_build_is_verified_and_stays() {
    let world = World::new();
    world.build();
    let said = verify(&world, false).succeeds();
    assert!(said.stdout.contains("bread: warm and cold are the same, 1 compared"), "{said:#?}");
    assert_eq!(world.build(), 0, "{}", world.reasons());
    let status = world.larder(&["status", "bread"]).succeeds().stdout;
    assert!(status.contains("the same as a cold build"), "{status}");
    let left = fs::read_dir(world.entry_dir()).unwrap().count();
    assert_eq!(left, 6, "a cold build is left");
}

#[test]
fn a_stale_build_is_found_named_and_set_aside() {
    let world = World::new();
    read_in_secret(&world);
    world.build();
    fs::write(world.path("secret"), "two").unwrap();
    assert_eq!(world.build(), 0, "no cache could know");
    let said = verify(&world, true);
    assert_eq!(said.code, 3, "{said:#?}");
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["verdict"], "stale");
    assert_eq!(report["differing"][0], "release/bread");
    let unit = report["first_unit"].as_str().unwrap();
    assert!(unit.starts_with("flour") && unit.contains("kind.rs"), "{unit}");
    assert_eq!(world.build(), 2);
    assert_eq!(world.binary(), world.cold());
    assert_eq!(verify(&world, false).code, 0);
}

#[test]
fn what_no_cold_build_repeats_is_told_apart() {
    let world = World::new();
    world.write(
        "flour/build.rs",
        "use std::{env, fs, time::SystemTime};\nfn main() {\n    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();\n    let out = env::var(\"OUT_DIR\").unwrap();\n    fs::write(format!(\"{out}/kind.rs\"), format!(\"pub const KIND: &str = \\\"{now}\\\";\")).unwrap();\n}\n",
    );
    world.build();
    let said = verify(&world, false);
    assert_eq!(said.code, 3, "{said:#?}");
    assert!(said.stdout.contains("not reproducible"), "{said:#?}");
    assert_eq!(world.build(), 0, "the directory stays");
}

#[test]
fn every_second_use_is_verified_if_that_is_wanted() {
    let world = World::new();
    read_in_secret(&world);
    fs::write(world.store().join("larder.toml"), "verify-every = 2\n").unwrap();
    let first = world.run(&BUILD).succeeds();
    assert!(!first.stderr.contains("verified"), "{first:#?}");
    let second = world.run(&BUILD).succeeds();
    assert!(second.stderr.contains("verified bread: warm and cold are the same"), "{second:#?}");
    world.run(&BUILD).succeeds();
    fs::write(world.path("secret"), "two").unwrap();
    world.run(&BUILD).refuses(125, &["bread was stale", "flour", "run the build again"]);
    world.run(&BUILD).succeeds();
    assert_eq!(world.binary(), world.cold());
}

#[test]
fn a_failing_command_is_passed_on_and_not_compared() {
    let world = World::new();
    world.write("src/main.rs", "fn main() { broken }\n");
    let said = verify(&world, true);
    assert_eq!((said.code, said.stdout.as_str()), (101, ""), "{said:#?}");
}

#[test]
fn explain_tells_what_was_new_what_changed_and_that_nothing_did() {
    let world = World::new();
    let explain = |more: &[&str]| {
        let words = [&["explain", "bread"], more].concat();
        world.larder(&words)
    };
    explain(&[]).refuses(1, &["nothing was built for bread"]);
    world.build();
    let text = explain(&[]).succeeds().stdout;
    assert!(
        text.contains(": cold, 2 packages compiled\n  first build of this project\n"),
        "{text}"
    );
    world.build();
    assert!(
        explain(&[]).succeeds().stdout.contains("warm, 0 packages compiled, nothing changed\n")
    );
    world.write("src/main.rs", "fn main() { println!(\"{}\", flour::weight()); }\n");
    world.build();
    let text = explain(&[]).succeeds().stdout;
    assert!(
        text.contains("warm") && text.contains("\n  checkout changed: src/main.rs\n"),
        "{text}"
    );
    let flags = world.run_command(&BUILD).env("RUSTFLAGS", "-Copt-level=1").output().unwrap();
    Said::of(&flags).succeeds();
    let said = explain(&["--json"]).succeeds();
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["kind"], "cold");
    let difference = &report["differences"][0];
    assert_eq!(
        (&difference["part"], &difference["name"], &difference["old"], &difference["new"]),
        (
            &"environment".into(),
            &"RUSTFLAGS".into(),
            &serde_json::Value::Null,
            &"-Copt-level=1".into()
        )
    );
    let (one, other) = (&report["toolchain"], &report["compared_with"]);
    let between = ["--between", one.as_str().unwrap(), &other.as_str().unwrap()[..8]];
    let text = explain(&between).succeeds().stdout;
    assert!(text.contains("  environment RUSTFLAGS: -Copt-level=1 → unset\n"), "{text}");
    explain(&["--between", "zz", "zz"]).refuses(1, &["begins with zz", "larder status"]);
}

#[test]
fn with_the_fidelity_of_cargo_one_edited_crate_costs_one_crate() {
    let world = World::new();
    fs::write(world.store().join("larder.toml"), "[project.bread]\nfidelity = 'cargo'\n").unwrap();
    assert_eq!(world.build(), 2);
    world.write("src/main.rs", "fn main() { println!(\"{}\", flour::weight()); }\n");
    let past = filetime::FileTime::from_unix_time(1_000_000_000, 0);
    filetime::set_file_mtime(world.source().join("src/main.rs"), past).unwrap();
    assert_eq!(world.build(), 1, "{}", world.reasons());
    assert_eq!(world.reasons(), "checkout changed: src/main.rs");
    assert_eq!(world.build(), 0);
    // What cargo cannot see, it does not see; that is the bargain.
    world.write("flour/kind.txt", "oat\n");
    filetime::set_file_mtime(world.source().join("flour/kind.txt"), past).unwrap();
    assert_eq!(world.build(), 0);
    assert!(world.larder(&["status"]).succeeds().stdout.contains("fidelity cargo"));
    // An exact build has a directory of its own.
    let source = world.source();
    let words = ["run", "bread", "--fidelity", "exact", "--source", source.to_str().unwrap(), "--"];
    let mut exact = world.larder_command(&[&words[..], &BUILD].concat());
    let exact = Said::of(&exact.current_dir(&source).output().unwrap()).succeeds();
    assert!(exact.stderr.contains("Compiling flour"), "{exact:#?}");
    assert_eq!(world.binary(), world.cold());
}

/// `larder verify bread -- COMMAND` from a directory.
fn verify_words(world: &World, words: &[&str], here: &std::path::Path) -> Said {
    let source = world.source();
    let verify = ["verify", "bread", "--source", source.to_str().unwrap(), "--"];
    let mut command = world.larder_command(&[&verify[..], words].concat());
    Said::of(&command.current_dir(here).output().unwrap())
}

/// A build script that makes something of `secret` at a place, by a path that nobody can know.
fn make_of_secret(world: &World, place: &str) {
    let script = format!(
        "use std::{{env, fs, path::Path}};\nfn main() {{\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    {ASK}    let out = env::var(\"OUT_DIR\").unwrap();\n    fs::write(format!(\"{{out}}/kind.rs\"), \"pub const KIND: &str = \\\"x\\\";\").unwrap();\n    let target = Path::new(&out).ancestors().nth(4).unwrap();\n    let place = PLACE;\n    fs::create_dir_all(place.parent().unwrap()).unwrap();\n    fs::write(place, text).unwrap();\n}}\n"
    );
    let script = script.replace("PORT", &tell_secret(world));
    world.write("flour/build.rs", &script.replace("PLACE", place));
}

#[test]
fn what_is_stale_beside_the_artifacts_is_stale() {
    for (place, said_of) in [
        ("target.join(\"notes/text\")", "differs in target/: notes/text"),
        (
            "{ let _ = target; Path::new(&env::var(\"CARGO_MANIFEST_DIR\").unwrap()).join(\"made/text\") }",
            "differs in the sources: flour/made/text",
        ),
    ] {
        let world = World::new();
        make_of_secret(&world, place);
        world.build();
        let same = verify(&world, false).succeeds();
        assert!(same.stdout.contains("the same"), "{same:#?}");
        fs::write(world.path("secret"), "two").unwrap();
        let said = verify(&world, false);
        assert_eq!(said.code, 3, "{said:#?}");
        assert!(said.stdout.contains("STALE") && said.stdout.contains(said_of), "{said:#?}");
    }
}

#[test]
fn other_profiles_and_targets_are_compared_from_any_directory() {
    let host =
        Said::of(&World::new().command("rustc").args(["--print", "host-tuple"]).output().unwrap());
    let host = host.succeeds().stdout.trim().to_owned();
    let cases: [(&[&str], String); 2] = [
        (&["cargo", "build", "--offline"], "debug/bread".to_owned()),
        (&["cargo", "build", "--offline", "--target", &host], format!("{host}/debug/bread")),
    ];
    for (words, artifact) in cases {
        let world = World::new();
        read_in_secret(&world);
        world.run(words).succeeds();
        let below = world.source().join("src");
        let same = verify_words(&world, words, &below).succeeds();
        assert!(same.stdout.contains("the same, 1 compared"), "{same:#?}");
        fs::write(world.path("secret"), "two").unwrap();
        let said = verify_words(&world, words, &below);
        assert_eq!(said.code, 3, "{said:#?}");
        assert!(said.stdout.contains(&format!("differs in target/: {artifact}")), "{said:#?}");
    }
}

#[test]
fn where_there_is_nothing_to_compare_nothing_is_called_the_same() {
    let world = World::new();
    let said = verify_words(&world, &["true"], &world.source());
    said.refuses(125, &["nothing to compare", "the command that builds"]);
    let project = world.store().join("projects/bread");
    let left = fs::read_dir(project).unwrap().map(|entry| entry.unwrap().path());
    let copies: Vec<_> =
        left.filter(|path| path.extension().is_some_and(|end| end == "cold")).collect();
    assert!(copies.is_empty(), "{copies:?}");
}

/// Every name below a directory with what `lstat` says of it, but for what larder leaves.
pub fn stamps(top: &std::path::Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = Vec::new();
    let mut left = vec![top.to_owned()];
    while let Some(path) = left.pop() {
        let seen = fs::symlink_metadata(&path).unwrap();
        if seen.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let (time, change) = ((seen.mtime(), seen.mtime_nsec()), (seen.ctime(), seen.ctime_nsec()));
        found.push(format!("{} {} {time:?} {change:?}", path.display(), seen.ino()));
    }
    found.sort();
    found
}

#[test]
fn a_cold_build_touches_neither_the_checkout_nor_the_home() {
    let world = World::new();
    make_of_secret(
        &world,
        "Path::new(&env::var(\"CARGO_MANIFEST_DIR\").unwrap()).join(target.file_name().unwrap())",
    );
    fs::create_dir(world.source().join(".git")).unwrap();
    world.write(".git/HEAD", "ref: refs/heads/none\n");
    world.build();
    world.build();
    let look = || (stamps(&world.source()), stamps(&world.path("home")));
    let before = look();
    verify(&world, false).succeeds();
    assert_eq!(look(), before);
}

#[test]
fn a_checkout_in_the_home_that_somebody_changed_is_not_believed() {
    let world = World::new();
    let salt = world.path("salt");
    fs::create_dir_all(salt.join("src")).unwrap();
    fs::write(
        salt.join("Cargo.toml"),
        "[package]\nname = 'salt'\nversion = '0.1.0'\nedition = '2021'\n",
    )
    .unwrap();
    fs::write(salt.join("src/lib.rs"), "pub const SALT: u32 = 1;\n").unwrap();
    let name = ["-c", "user.name=x", "-c", "user.email=x@localhost"];
    for words in [&["init", "-q"][..], &["add", "-A"], &["commit", "-qm", "salt"]] {
        let git = world.command("git").args(name).args(words).current_dir(&salt).output().unwrap();
        Said::of(&git).succeeds();
    }
    let manifest = fs::read_to_string(world.source().join("Cargo.toml")).unwrap();
    world.write(
        "Cargo.toml",
        &format!("{manifest}salt = {{ git = 'file://{}' }}\n", salt.display()),
    );
    world.write(
        "src/main.rs",
        "fn main() { println!(\"{} {}\", flour::KIND, salt::SALT + flour::weight()); }\n",
    );
    // Downloads of the user's own: of the store's, larder knows what they have to be.
    let fetched = world.command("cargo").arg("fetch").current_dir(world.source()).output().unwrap();
    Said::of(&fetched).succeeds();
    let checkouts = world.path("home/.cargo/git/checkouts");
    let one = |dir: &std::path::Path| {
        fs::read_dir(dir)
            .unwrap()
            .find_map(|entry| Some(entry.unwrap().path()).filter(|path| path.is_dir()))
            .unwrap()
    };
    let lib = one(&one(&checkouts)).join("src/lib.rs");
    fs::write(&lib, "pub const SALT: u32 = 9;\n").unwrap();
    let said = verify(&world, false);
    assert_eq!(said.code, 3, "{said:#?}");
    assert!(said.stdout.contains("STALE"), "{said:#?}");
    assert!(fs::read_to_string(lib).unwrap().contains('9'), "the home was changed");
}

#[test]
fn a_plain_user_verifies_in_a_user_namespace() {
    let world = World::new();
    if !rustix::process::geteuid().is_root() {
        // Then every other test here shows it.
        return;
    }
    make_of_secret(&world, "{ let _ = target; Path::new(\"made\").to_owned().join(\"text\") }");
    // The toolchain where that user may read it, as long as the namespace is there.
    let script = format!(
        "set -e; mkdir ../toolchain; rm -rf ../store; chown -R 12345:12345 ..
        mount --bind {} ../toolchain
        export PATH=\"$PWD/../toolchain/bin:$PATH\"
        as_user() {{ setpriv --reuid=12345 --regid=12345 --clear-groups -- \"$@\"; }}
        as_user \"$0\" provision bread >&2
        echo 'min-free = \"0%\"' >../store/larder.toml
        as_user \"$0\" verify bread -- cargo build --offline
        as_user \"$0\" run bread -- cargo build --offline
        echo two >../secret
        as_user \"$0\" verify bread -- cargo build --offline || echo $?",
        sysroot().display()
    );
    let mut command = world.command("unshare");
    command.args(["-m", "sh", "-c", &script, env!("CARGO_BIN_EXE_larder")]);
    let said = Said::of(&command.current_dir(world.source()).output().unwrap()).succeeds();
    let expected = ["are the same", "STALE", "differs in the sources: flour/made/text", "\n3\n"];
    for part in expected {
        assert!(said.stdout.contains(part), "{part}: {said:#?}");
    }
    assert!(!said.stderr.contains("cold build has the sources as"), "{said:#?}");
}
