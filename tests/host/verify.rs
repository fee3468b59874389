//! What a cold build finds beside the sources: git, directories for artifacts, headers; and what is said when it
//! fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use filetime::FileTime;

use crate::proof::{ASK, tell_secret};
use crate::proof::{read_in_secret, stamps};
use crate::world::{Said, World};

const BUILD: [&str; 3] = ["cargo", "build", "--offline"];

/// `larder verify bread [OPTIONS] -- COMMAND`
fn verify(world: &World, options: &[&str], words: &[&str]) -> Said {
    let source = world.source();
    let start = ["verify", "bread", "--source", source.to_str().unwrap()];
    let mut command = world.larder_command(&[&start, options, &["--"], words].concat());
    Said::of(&command.current_dir(&source).env("RUSTC_BOOTSTRAP", "1").output().unwrap())
}

/// The same for `run`.
fn run(world: &World, words: &[&str]) {
    Said::of(&world.run_command(words).env("RUSTC_BOOTSTRAP", "1").output().unwrap()).succeeds();
}

fn printed(world: &World, program: &Path) -> String {
    Said::of(&world.command(program).output().unwrap()).succeeds().stdout
}

fn git(world: &World, dir: &Path, words: &[&str]) {
    let name = ["-c", "user.name=x", "-c", "user.email=x@localhost"];
    let git = world.command("git").args(name).args(words).current_dir(dir).output().unwrap();
    Said::of(&git).succeeds();
}

/// Has the index know the files, which are older than it: then git looks at their times alone.
fn settle(world: &World, top: &Path, sources: &Path) {
    for item in walkdir::WalkDir::new(sources).into_iter().map(Result::unwrap) {
        if item.file_type().is_file() && !item.path().to_string_lossy().contains("/.git") {
            let past = FileTime::from_unix_time(1_700_000_000, 5);
            filetime::set_file_mtime(item.path(), past).unwrap();
        }
    }
    git(world, top, &["update-index", "-q", "--refresh"]);
}

/// A repository with a filter that leaves a trace, where `commit` says; the project says whether it is clean.
fn commit(world: &World, top: &Path) {
    let clean = format!("touch {}; cat", world.path("ran").display());
    fs::write(top.join(".gitattributes"), "kind.txt filter=spy\n").unwrap();
    fs::write(top.join(".gitignore"), "target\n/store\n/home\n/ran\n").unwrap();
    git(world, top, &["init", "-q"]);
    git(world, top, &["config", "filter.spy.clean", &clean]);
    git(world, top, &["add", "-A"]);
    git(world, top, &["commit", "-qm", "bread"]);
}

#[test]
fn git_says_of_the_copy_what_it_says_of_the_checkout() {
    for layout in ["plain", "linked", "below", "packed in itself"] {
        let world = World::new();
        let (source, above) = (world.source(), world.dir.path().to_owned());
        world.write(
            "flour/build.rs",
            "use std::{env, fs, process::Command};\nfn main() {\n    println!(\"cargo:rerun-if-env-changed=NOTHING\");\n    let git = Command::new(\"git\").args([\"diff-index\", \"--quiet\", \"HEAD\"]).status().unwrap();\n    let out = env::var(\"OUT_DIR\").unwrap();\n    let kind = format!(\"pub const KIND: &str = \\\"git {}\\\";\", git.code().unwrap());\n    fs::write(format!(\"{out}/kind.rs\"), kind).unwrap();\n}\n",
        );
        let (top, dot_git) = match layout {
            "linked" => {
                let main = world.path("main");
                fs::rename(&source, &main).unwrap();
                commit(&world, &main);
                git(&world, &main, &["worktree", "add", "-q", "../bread"]);
                (source.clone(), main.join(".git"))
            }
            "below" => {
                commit(&world, &above);
                (above.clone(), above.join(".git"))
            }
            _ => {
                commit(&world, &source);
                (source.clone(), source.join(".git"))
            }
        };
        if layout == "packed in itself" {
            git(&world, &top, &["update-index", "--index-version", "4"]);
        }
        settle(&world, &top, &source);
        fs::remove_file(world.path("ran")).unwrap();
        run(&world, &BUILD);
        let before = stamps(&dot_git);
        let said = verify(&world, &[], &BUILD);
        assert_eq!(said.code, 0, "{layout}: {said:#?}");
        assert!(!world.path("ran").exists(), "{layout}: a filter ran");
        assert_eq!(stamps(&dot_git), before, "{layout}");
        let bread = source.join("target/debug/bread");
        assert_eq!(printed(&world, &bread), "git 0 7\n", "{layout}");
        // What is changed is changed in the copy too.
        world.write("flour/kind.txt", "oats\n");
        let said = verify(&world, &[], &BUILD);
        assert_eq!(said.code, 0, "{layout}: {said:#?}");
        assert_eq!(printed(&world, &bread), "git 1 7\n", "{layout}");
    }
}

#[test]
fn artifacts_that_go_elsewhere_are_compared_and_left_alone() {
    let to = "--config=build.build-dir='../between'";
    let cases: [(&[&str], &str); 3] = [
        (&["-Zunstable-options", "--artifact-dir", "../there"], "there/bread"),
        (&[to, "--target-dir", "../there"], "there/debug/bread"),
        (&[to], "bread/target/debug/bread"),
    ];
    for (more, program) in cases {
        let world = World::new();
        read_in_secret(&world);
        fs::create_dir(world.path("there")).unwrap();
        fs::write(world.path("there/mine"), "mine").unwrap();
        let words = [&BUILD[..], more].concat();
        run(&world, &words);
        let same = verify(&world, &[], &words).succeeds();
        assert!(same.stdout.contains("the same"), "{same:#?}");
        fs::write(world.path("secret"), "two").unwrap();
        let said = verify(&world, &[], &words);
        assert_eq!(said.code, 3, "{more:?}: {said:#?}");
        assert!(said.stdout.contains("STALE"), "{said:#?}");
        let named = program.strip_prefix("bread/").unwrap_or(program);
        assert!(said.stdout.contains(&format!("{named}\n")), "{said:#?}");
        assert_eq!(printed(&world, &world.path(program)), "one 7\n", "a cold build wrote there");
        assert_eq!(fs::read_to_string(world.path("there/mine")).unwrap(), "mine");
    }
}

#[test]
fn what_make_takes_for_new_enough_is_right_or_stale() {
    for watched in [false, true] {
        let world = World::new();
        world.write("src/main.rs", "fn main() { println!(\"{}\", flour::TEXT); }\n");
        world.write(
            "flour/src/lib.rs",
            "pub const TEXT: &str = include_str!(concat!(env!(\"OUT_DIR\"), \"/text\"));\n",
        );
        world.write(
            "flour/build.rs",
            "use std::{env, fs, path::Path, process::Command};\nfn main() {\n    println!(\"cargo:rerun-if-changed=none\");\n    let (out, home) = (env::var(\"OUT_DIR\").unwrap(), env::var(\"HOME\").unwrap());\n    let header = Path::new(&home).parent().unwrap().join(\"hea\".to_owned() + \"der\");\n    let rule = format!(\"text: {}\\n\\tcp $< $@\\n\", header.display());\n    fs::write(Path::new(&out).join(\"Makefile\"), rule).unwrap();\n    let made = Command::new(\"make\").args([\"-sf\", \"Makefile\"]).current_dir(out).status();\n    assert!(made.unwrap().success());\n}\n",
        );
        if watched {
            world.write("flour/none", "");
        }
        let header = |text: &str| {
            fs::write(world.path("header"), text).unwrap();
            let past = FileTime::from_unix_time(1_000_000_000, 0);
            filetime::set_file_mtime(world.path("header"), past).unwrap();
        };
        header("one");
        run(&world, &BUILD);
        header("two");
        let said = verify(&world, &[], &BUILD);
        if said.code == 3 {
            assert!(said.stdout.contains("STALE"), "{said:#?}");
            run(&world, &BUILD);
        } else {
            said.succeeds();
        }
        let bread = world.source().join("target/debug/bread");
        assert_eq!(printed(&world, &bread), "two\n", "none is there: {watched}");
    }
}

#[test]
fn a_command_that_fails_in_a_cold_build_is_said_to() {
    let world = World::new();
    let script = format!(
        "use std::{{env, fs}};\nfn main() {{\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    {ASK}    assert_eq!(text, \"one\");\n    let out = env::var(\"OUT_DIR\").unwrap();\n    fs::write(format!(\"{{out}}/kind.rs\"), \"pub const KIND: &str = \\\"x\\\";\").unwrap();\n}}\n"
    );
    world.write("flour/build.rs", &script.replace("PORT", &tell_secret(&world)));
    run(&world, &BUILD);
    fs::write(world.path("secret"), "two").unwrap();
    let said = verify(&world, &["--json"], &BUILD);
    assert_eq!(said.code, 3, "{said:#?}");
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&report["verdict"], &report["failed_cold"]), (&"stale".into(), &101.into()));
    fs::write(world.path("secret"), "one").unwrap();
    run(&world, &BUILD);
    fs::write(world.path("secret"), "two").unwrap();
    let said = verify(&world, &[], &BUILD);
    let line = "  the command failed in a cold build, with code 101\n";
    assert!(said.code == 3 && said.stdout.contains(line), "{said:#?}");
}

#[test]
fn nothing_is_left_of_a_comparison_that_fails() {
    let world = World::new();
    let program = world.path("once");
    fs::write(&program, "#!/bin/sh\ncargo build --offline && rm \"$0\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let said = verify(&world, &[], &[program.to_str().unwrap()]);
    assert!(said.code != 0 && said.stderr.contains("cold beside the warm one"), "{said:#?}");
    let walk = walkdir::WalkDir::new(world.store().join("projects")).into_iter();
    let left: Vec<_> = walk
        .map(|item| item.unwrap().into_path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().contains("cold"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
