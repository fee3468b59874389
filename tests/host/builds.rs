//! Warm is cold, bit for bit, and nothing changed is nothing done.

use std::fs;
use std::process::Command;

use filetime::FileTime;

use crate::world::{Said, World, sysroot};

fn set_mtime(world: &World, file: &str, seconds: i64) {
    let time = FileTime::from_unix_time(seconds, 0);
    filetime::set_file_mtime(world.source().join(file), time).unwrap();
}

#[test]
fn downloads_that_somebody_removed_are_no_hindrance() {
    let world = World::new();
    world.build();
    fs::remove_dir_all(world.store().join("cargo-home")).unwrap();
    assert_eq!(world.build(), 0, "{}", world.reasons());
}

#[test]
fn nothing_changed_is_nothing_compiled() {
    let world = World::new();
    assert_eq!(world.build(), 2);
    let first = world.binary();
    assert_eq!(world.build(), 0);
    assert_eq!(world.reasons(), "");
    assert_eq!(world.binary(), first);
    assert_eq!(world.cold(), first);
}

#[test]
fn a_fresh_clone_of_the_same_commit_is_nothing_compiled() {
    let world = World::new();
    let origin = world.path("origin");
    fs::rename(world.source(), &origin).unwrap();
    let git = |words: &[&str]| world.git(&world.path("."), words);
    let origin = origin.to_str().unwrap();
    git(&["init", "-q", origin]);
    git(&["-C", origin, "add", "-A"]);
    git(&["-C", origin, "commit", "-qm", "one"]);
    let source = world.source();
    for expected in [2, 0, 0] {
        let _ = fs::remove_dir_all(&source);
        git(&["clone", "-q", origin, source.to_str().unwrap()]);
        assert_eq!(world.build(), expected, "{}", world.reasons());
        git(&["-C", source.to_str().unwrap(), "diff-index", "--exit-code", "-p", "HEAD", "--"]);
    }
}

#[test]
fn a_change_is_seen_whatever_its_time() {
    let world = World::new();
    world.build();
    let main = |text: &str| format!("fn main() {{ println!(\"{text}\"); }}\n");
    for (round, time) in [1, 1_000_000_000, 4_000_000_000].into_iter().enumerate() {
        world.write("src/main.rs", &main(&format!("round {round}")));
        set_mtime(&world, "src/main.rs", time);
        world.build();
        assert!(world.reasons().contains("checkout changed: src/main.rs"), "{}", world.reasons());
        let output = Command::new(world.source().join("target/release/bread")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("round {round}"));
        assert_eq!(world.binary(), world.cold());
    }
}

#[test]
fn what_a_build_script_reads_unseen_by_cargo_is_seen() {
    let world = World::new();
    world.build();
    world.write("flour/kind.txt", "oat\n");
    set_mtime(&world, "flour/kind.txt", 1_000_000_000);
    assert_eq!(world.build(), 2);
    assert_eq!(world.binary(), world.cold());
}

#[test]
fn a_failed_attempt_in_between_leaves_nothing_stale() {
    let world = World::new();
    world.build();
    let good = fs::read_to_string(world.source().join("flour/src/lib.rs")).unwrap();
    let first = world.binary();
    world.write("flour/src/lib.rs", &good.replace('7', "8"));
    world.write("src/main.rs", "fn main() { broken }\n");
    let failed = world.run(&["cargo", "build", "--release", "--offline"]);
    assert_eq!(failed.code, 101, "cargo's own code is passed on");
    assert!(!world.source().join("target/release/bread").exists(), "an old binary is left");
    world.write("flour/src/lib.rs", &good);
    world
        .write("src/main.rs", "fn main() { println!(\"{} {}\", flour::KIND, flour::weight()); }\n");
    world.build();
    assert_eq!(world.binary(), first);
}

#[test]
fn damage_inside_the_directory_costs_the_unit_not_the_truth() {
    let world = World::new();
    world.build();
    let first = world.binary();
    let deps = world.entry_dir().join("target/release/deps");
    let names = fs::read_dir(&deps).unwrap().map(|entry| entry.unwrap().path());
    for path in names.filter(|path| path.extension().is_none_or(|ending| ending != "d")) {
        let mtime = FileTime::from_last_modification_time(&fs::metadata(&path).unwrap());
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        filetime::set_file_mtime(&path, mtime).unwrap();
        world.build();
        assert!(world.reasons().contains("not as the last build left it"), "{}", world.reasons());
        assert_eq!(world.binary(), first, "{}", path.display());
        assert_eq!(world.build(), 0);
    }
}

#[test]
fn missing_files_are_made_again() {
    let world = World::new();
    world.build();
    let first = world.binary();
    let target = world.entry_dir().join("target/release");
    for dir in ["deps", ".fingerprint", "build"] {
        let victims = fs::read_dir(target.join(dir)).unwrap().map(|entry| entry.unwrap().path());
        let flour = |path: &std::path::PathBuf| path.to_string_lossy().contains("flour");
        for victim in victims.filter(flour).collect::<Vec<_>>() {
            if victim.is_dir() {
                let _ = fs::remove_dir_all(&victim);
            } else {
                let _ = fs::remove_file(&victim);
            }
            world.build();
            assert_eq!(world.binary(), first, "{}", victim.display());
        }
    }
    assert_eq!(world.build(), 0);
}

#[test]
fn stripping_in_place_does_not_reach_the_cache() {
    let world = World::new();
    world.build();
    let first = world.binary();
    let binary = world.source().join("target/release/bread");
    fs::write(&binary, "stripped").unwrap();
    assert_eq!(world.build(), 0);
    assert_eq!(world.binary(), first);
}

#[test]
fn a_binary_that_is_no_longer_built_is_gone() {
    let world = World::new();
    world.write("src/bin/extra.rs", "fn main() {}\n");
    world.build();
    assert!(world.source().join("target/release/extra").exists());
    fs::remove_dir_all(world.source().join("src/bin")).unwrap();
    world.build();
    assert!(!world.source().join("target/release/extra").exists());
}

#[test]
fn other_inputs_get_a_directory_of_their_own_and_going_back_is_warm() {
    let world = World::new();
    world.build();
    let build = ["cargo", "build", "--release", "--offline"];
    let with = |name: &str, value: &str| {
        let said = world.run_command(&build).env(name, value).output().unwrap();
        Said::of(&said).succeeds();
        (world.compiled(), world.reasons())
    };
    let (compiled, why) = with("RUSTFLAGS", "-Copt-level=1");
    assert_eq!(
        (compiled, why.as_str()),
        (2, "new toolchain: environment RUSTFLAGS: unset → -Copt-level=1")
    );
    assert_eq!(world.build(), 0);
    assert_eq!(with("RUSTFLAGS", "-Copt-level=1").0, 0);
    assert_eq!(with("IMAGE_VERSION", "7").0, 0, "mkosi's own variables do not count");
    let header = world.path("sdk/include/x.h");
    fs::create_dir_all(header.parent().unwrap()).unwrap();
    fs::write(&header, "int x;").unwrap();
    let flags = format!("-I{}", header.parent().unwrap().display());
    assert_eq!(with("CFLAGS", &flags).0, 2);
    assert_eq!(with("CFLAGS", &flags).0, 0);
    fs::write(&header, "int y;").unwrap();
    filetime::set_file_mtime(&header, FileTime::from_unix_time(1, 0)).unwrap();
    let (compiled, why) = with("CFLAGS", &flags);
    assert_eq!(compiled, 0, "it is another directory, and nobody looked at the header");
    assert!(why.contains("content changed"), "{why}");
}

#[test]
fn a_source_that_is_no_git_repository_simply_works() {
    let world = World::new();
    assert!(!world.source().join(".git").exists());
    assert_eq!(world.build(), 2);
    assert_eq!(world.build(), 0);
}

#[test]
fn a_copied_store_is_still_warm_and_exact() {
    let world = World::new();
    world.build();
    let first = world.binary();
    let (store, copy) = (world.store(), world.path("copy"));
    let copied = world.command("cp").arg("-r").args([&store, &copy]).status().unwrap();
    assert!(copied.success());
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&copy, &store).unwrap();
    assert_eq!(world.build(), 0, "{}", world.reasons());
    assert_eq!(world.binary(), first);
}

#[test]
fn a_configured_target_dir_is_followed() {
    let world = World::new();
    let elsewhere = world.path("elsewhere");
    let build = ["cargo", "build", "--release", "--offline"];
    for expected in [2, 0] {
        let said = world.run_command(&build).env("CARGO_TARGET_DIR", &elsewhere).output().unwrap();
        Said::of(&said).succeeds();
        assert_eq!(world.compiled(), expected);
        assert!(elsewhere.join("release/bread").exists());
    }
}

#[test]
fn a_plain_user_gets_a_bind_mount_in_a_user_namespace() {
    let world = World::new();
    if !rustix::process::geteuid().is_root() {
        // Then every other test here shows it.
        return;
    }
    // The toolchain where that user may read it, as long as the namespace is there.
    let script = format!(
        "set -e; mkdir ../toolchain; rm -rf ../store; chown -R 12345:12345 ..
        mount --bind {} ../toolchain
        export PATH=\"$PWD/../toolchain/bin:$PATH\"
        as_user() {{ setpriv --reuid=12345 --regid=12345 --clear-groups -- \"$@\"; }}
        as_user \"$0\" provision bread >&2
        echo 'min-free = \"0%\"' >../store/larder.toml
        for round in 1 2; do
            as_user \"$0\" run bread -- cargo build --release --offline
            as_user \"$0\" history --last 1 --json >&2
        done
        stat -c %u target target/release/bread
        mv target/release/bread warm; rm -r target
        as_user cargo build --release --offline
        cmp warm target/release/bread && echo same",
        sysroot().display()
    );
    let mut command = world.command("unshare");
    command.args(["-m", "sh", "-c", &script, env!("CARGO_BIN_EXE_larder")]);
    let said = Said::of(&command.current_dir(world.source()).output().unwrap()).succeeds();
    assert!(!said.stderr.contains("symlink"), "{said:#?}");
    assert_eq!(said.stdout, "12345\n12345\nsame\n", "{said:#?}");
    let compiled: Vec<&str> =
        said.stderr.lines().filter_map(|line| line.trim().strip_prefix("\"compiled\": ")).collect();
    assert_eq!(compiled, ["2,", "0,"], "{said:#?}");
}

/// A workspace of 30 members besides `bread` and `flour`: each depends on the one with half its
/// number, and `bread` on all.
fn thirty_members(world: &World) {
    let names: Vec<String> = (0..30).map(|number| format!("m{number}")).collect();
    let members = names.join("','");
    let all = names.iter().map(|name| format!("{name} = {{ path = '{name}' }}\n"));
    let all: String = all.collect::<Vec<_>>().concat();
    world.write("Cargo.toml", &format!("[workspace]\nmembers = ['flour','{members}']\n[package]\nname = 'bread'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\nflour = {{ path = 'flour' }}\n{all}"));
    for (number, name) in names.iter().enumerate() {
        let half = (number > 0).then(|| format!("m{}", number / 2));
        let dependency = half.iter().map(|half| format!("{half} = {{ path = '../{half}' }}\n"));
        let manifest = format!(
            "[package]\nname = '{name}'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\n{}",
            dependency.collect::<String>()
        );
        world.write(&format!("{name}/Cargo.toml"), &manifest);
        let call = half.map_or_else(|| "0".to_owned(), |half| format!("{half}::weigh()"));
        world.write(
            &format!("{name}/src/lib.rs"),
            &format!("pub fn weigh() -> u32 {{ {call} + {number} }}\n"),
        );
    }
    let sum: Vec<String> = names.iter().map(|name| format!("{name}::weigh()")).collect();
    world.write(
        "src/main.rs",
        &format!("fn main() {{ println!(\"{{}} {{}}\", flour::KIND, {}); }}\n", sum.join(" + ")),
    );
    fs::remove_file(world.source().join("Cargo.lock")).unwrap();
}

#[test]
fn a_change_of_one_member_rebuilds_it_and_its_dependents() {
    let world = World::new();
    thirty_members(&world);
    assert_eq!(world.build(), 32);
    let edit = |name: &str, from: &str, to: &str| {
        let path = format!("{name}/src/lib.rs");
        let text = fs::read_to_string(world.source().join(&path)).unwrap();
        world.write(&path, &text.replace(from, to));
        set_mtime(&world, &path, 1_000_000_000);
    };
    // A leaf, and `bread`, which depends on it. The build script of `flour` did not look at it.
    edit("m29", "+ 29", "+ 290");
    assert_eq!(world.build(), 2, "{}", world.reasons());
    assert_eq!(world.binary(), world.cold());
    // m14 is used by m28 and m29.
    edit("m14", "+ 14", "+ 140");
    assert_eq!(world.build(), 4, "{}", world.reasons());
    assert_eq!(world.binary(), world.cold());
    // Without a build script in the workspace, nothing but the leaf and what depends on it.
    fs::remove_file(world.source().join("flour/build.rs")).unwrap();
    world.write("flour/src/lib.rs", "pub const KIND: &str = \"rye\";\n");
    world.build();
    edit("m29", "+ 290", "+ 29");
    assert_eq!(world.build(), 2, "{}", world.reasons());
    assert_eq!(world.binary(), world.cold());
    // A file that no unit looked up is nobody's.
    world.write("m3/notes.txt", "one\n");
    assert_eq!(world.build(), 0, "{}", world.reasons());
    assert_eq!(world.binary(), world.cold());
    assert_eq!(world.build(), 0);
}

#[test]
fn a_variable_that_names_where_the_store_lies_does_not_make_every_build_cold() {
    let world = World::new();
    let (cache, store) = (world.path("cache"), world.path("cache/store"));
    fs::create_dir(&cache).unwrap();
    world.larder(&["provision", "bread", "--store", store.to_str().unwrap()]).succeeds();
    let (mut compiled, mut why) = (Vec::new(), String::new());
    for kind in ["rye", "rye", "oat"] {
        fs::write(cache.join("kind"), kind).unwrap();
        let mut command = world.run_command(&["cargo", "build", "--release", "--offline"]);
        command.env("LARDER_STORE", &store).env("KIND_DIR", &cache);
        Said::of(&command.output().unwrap()).succeeds();
        let store = store.to_str().unwrap();
        let status = world.larder(&["status", "bread", "--json", "--store", store]).succeeds();
        let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
        let last = &status["entries"][0]["record"]["last"];
        compiled.push(last["closed"]["compiled"].as_u64().unwrap());
        why = last["why"].to_string();
    }
    assert_eq!(compiled, [2, 0, 0]);
    assert!(
        why.contains("cache: content changed"),
        "other files there count, the store does not: {why}"
    );
}

/// A build script that says nothing of what it reads: Cargo looks at the files of the package, which the command itself
/// changes before it calls Cargo.
#[test]
fn what_cargo_looks_at_where_a_script_says_nothing_is_never_less() {
    type Prepare = fn(&World);
    let prepare: [(&str, &str, Prepare); 5] = [
        ("tracked", "data", |world| {
            world.git(&world.source(), &["add", "-A"]);
        }),
        ("ignored, and the manifest is not tracked", "data", |world| {
            world.write(".gitignore", "data\n");
            world.git(&world.source(), &["add", "src"]);
        }),
        ("ignored, and included", "data", |world| {
            world.write(".gitignore", "data\n");
            let manifest = fs::read_to_string(world.source().join("Cargo.toml")).unwrap();
            let included = "version = '0.1.0'\ninclude = ['src', 'build.rs', 'data']";
            world.write("Cargo.toml", &manifest.replace("version = '0.1.0'", included));
            world.git(&world.source(), &["add", "Cargo.toml", "src"]);
        }),
        ("hidden, and included", ".data", |world| {
            fs::remove_dir_all(world.source().join(".git")).unwrap();
            let manifest = fs::read_to_string(world.source().join("Cargo.toml")).unwrap();
            let included = "version = '0.1.0'\ninclude = ['src', 'build.rs', '.data']";
            world.write("Cargo.toml", &manifest.replace("version = '0.1.0'", included));
        }),
        ("beside a manifest that is ignored", "sub/data", |world| {
            world.write("sub/Cargo.toml", "[package]\nname = 'sub'\nversion = '0.1.0'\n");
            world.write(".gitignore", "sub/Cargo.toml\n");
            world.git(&world.source(), &["add", "-A"]);
        }),
    ];
    for (case, data, prepare) in prepare {
        let world = World::new();
        world.write("Cargo.toml", "[workspace]\nexclude = ['sub']\n[package]\nname = 'bread'\nversion = '0.1.0'\nedition = '2021'\n");
        world.write(
            "Cargo.lock",
            "version = 4\n\n[[package]]\nname = \"bread\"\nversion = \"0.1.0\"\n",
        );
        world.write("build.rs", &format!("fn main() {{ std::fs::copy({data:?}, std::env::var(\"OUT_DIR\").unwrap() + \"/text\").unwrap(); }}\n"));
        world.write("src/main.rs", "fn main() { println!(\"{}\", include_str!(concat!(env!(\"OUT_DIR\"), \"/text\"))); }\n");
        world.write(data, "one");
        fs::remove_dir_all(world.source().join("flour")).unwrap();
        world.git(&world.source(), &["init", "-q"]);
        prepare(&world);
        let script = format!(
            "set -e; if test -e ../step; then sleep 1.1; echo two > {data}; fi; cargo build --release --offline"
        );
        let build = || world.run(&["sh", "-c", &script]).succeeds();
        build();
        build();
        // A new time and the same content: stamps are raised, and Cargo is told what to watch.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        filetime::set_file_mtime(world.source().join("src/main.rs"), FileTime::now()).unwrap();
        fs::write(world.path("step"), "").unwrap();
        build();
        let warm = world.binary();
        assert!(warm == world.cold(), "{case}: Cargo did not see that {data} changed");
    }
}
