//! What is kept where nobody says it, and what is not: by the manifests that the sources hold.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::world::{Said, World};

/// Runs a command of the shell for a project with these files alone.
fn run(world: &World, files: &[(&str, &str)], options: &[&str], command: &[&str]) -> Said {
    let _ = fs::remove_dir_all(world.source());
    fs::create_dir(world.source()).unwrap();
    for (file, text) in files {
        world.write(file, text);
    }
    let source = world.source();
    let source = ["run", "mixed", "--source", source.to_str().unwrap()];
    let mut larder = world.larder_command(&[&source[..], options, &["--"], command].concat());
    Said::of(&larder.current_dir(world.source()).output().unwrap())
}

fn notes(said: &Said) -> Vec<&str> {
    said.stderr.lines().filter(|line| line.starts_with("larder: ")).collect()
}

/// Runs a script with the functions for build scripts in a shell.
fn sourced(world: &World, shell: &[&str], script: &str) -> Said {
    let snippet = concat!(env!("CARGO_MANIFEST_DIR"), "/mkosi-snippets/larder.sh");
    let mut command = world.command(shell[0]);
    command.args(&shell[1..]).args(["-c", &format!(". {snippet}\n{script}")]);
    Said::of(&command.env("LARDER_STORE", world.path("mounted")).output().unwrap())
}

const PACKAGE: (&str, &str) =
    ("Cargo.toml", "[package]\nname = 'mixed'\nversion = '0.1.0'\nedition = '2021'\n[workspace]\n");
const MAIN: (&str, &str) = ("src/main.rs", "fn main() {}\n");

#[test]
fn a_command_of_which_nothing_can_be_kept_is_what_it_is_without_larder() {
    let world = World::new();
    let script = "cat; umask; echo said >&2; exit 7";
    let said = run(&world, &[("Makefile", "")], &[], &["sh", "-c", script]);
    assert_eq!((said.code, said.stdout.as_str()), (7, "0022\n"), "{said:#?}");
    let notes = notes(&said);
    assert!(
        matches!(notes[..], [note] if ["--source", "--with"].iter().all(|it| note.contains(it)))
    );
    assert!(said.stderr.ends_with("\nsaid\n"), "{said:#?}");
    assert!(!world.source().join("target").exists(), "a place for nothing");
    assert!(!world.store().join("projects/mixed").exists(), "a directory for nothing");
    let said = run(&world, &[], &[], &["sh", "-c", "kill -TERM $$"]);
    assert_eq!(said.code, -1, "the signal is the command's own: {said:#?}");
    fs::write(world.path("text"), "no program").unwrap();
    let text = world.path("text");
    run(&world, &[], &[], &[text.to_str().unwrap()]).refuses(126, &["executable"]);
    // Nor is a store made.
    fs::remove_dir_all(world.store()).unwrap();
    run(&world, &[], &[], &["true"]).succeeds();
    assert!(!world.store().exists());
}

#[test]
fn what_the_sources_are_for_is_kept() {
    let world = World::new();
    let build = ["sh", "-c", "cargo build -q --release --offline"];
    run(&world, &[PACKAGE, MAIN], &[], &build).succeeds();
    let with = || {
        let status = world.larder(&["status", "mixed", "--json"]).succeeds().stdout;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        status["entries"][0]["record"]["with"].clone()
    };
    assert_eq!(with(), serde_json::json!(["cargo"]));
    let said = run(&world, &[PACKAGE, MAIN], &[], &build).succeeds();
    assert_eq!(notes(&said), [""; 0], "{said:#?}");
    // Who says what is kept is asked nothing.
    run(&world, &[], &["--with", "cargo"], &["true"]).succeeds();
    assert_eq!(with(), serde_json::json!(["cargo"]));
}

/// A workspace below of which the command knows is larder's as before: a directory, and a note that it was not used.
#[test]
fn a_manifest_below_that_the_command_names_is_said_to_be_elsewhere() {
    let world = World::new();
    let files = [(format!("sub/{}", PACKAGE.0), PACKAGE.1), (format!("sub/{}", MAIN.0), MAIN.1)];
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let build = ["cargo", "build", "-q", "--offline", "--manifest-path", "sub/Cargo.toml"];
    let said = run(&world, &files, &[], &build).succeeds();
    assert!(matches!(notes(&said)[..], [note] if note.contains("left alone")), "{said:#?}");
    assert!(world.source().join("sub/target/debug/mixed").is_file());
    let script = build.join(" ");
    let said = run(&world, &files, &[], &["sh", "-c", &script]).succeeds();
    assert!(matches!(notes(&said)[..], [note] if note.contains("--source")), "{said:#?}");
    // Where it cannot be known the remedy is the same.
    world.write("build.sh", &format!("#!/bin/sh\n{script}\n"));
    let said = run(&world, &files, &[], &["sh", "-c", "cd sub && command -v ls >/dev/null"]);
    assert!(notes(&said.succeeds())[0].contains("--source"));
    let said = run(&world, &[], &[], &["true"]);
    assert!(notes(&said.succeeds())[0].contains("--with"));
    let source = world.source();
    let provision = ["provision", "mixed", "--source", source.to_str().unwrap()];
    let provisioned = world.larder(&[&provision[..], &["--", "make"]].concat());
    provisioned.refuses(1, &["no Cargo.toml", "--source", "--with"]);
    world.larder(&provision).succeeds();
}

#[test]
fn a_store_that_is_required_has_to_be_there() {
    let world = World::new();
    for files in [&[PACKAGE, MAIN][..], &[]] {
        run(&world, files, &["--require-store"], &["true"]).succeeds();
        let store = world.path("elsewhere");
        let options = ["--require-store", "--store", store.to_str().unwrap()];
        run(&world, files, &options, &["touch", "ran"])
            .refuses(125, &["no store at", "larder init"]);
        assert!(!world.source().join("ran").exists() && !store.exists());
    }
    let required = |value: &str| {
        let mut larder = world.run_command(&["true"]);
        larder.env("LARDER_STORE", world.path("elsewhere")).env("LARDER_REQUIRE_STORE", value);
        Said::of(&larder.output().unwrap())
    };
    required("1").refuses(125, &["no store at"]);
    required("0").succeeds();
}

#[test]
fn a_script_without_a_store_is_told_once_and_not_at_all_where_one_is_required() {
    let world = World::new();
    let shells: [&[&str]; 5] = [
        &["dash", "-eu"],
        &["bash", "-eu"],
        &["bash", "--posix", "-eu"],
        &["dash", "-a"],
        &["bash", "-a"],
    ];
    let is_said = |line: &&str| line.starts_with("larder_run: ");
    for shell in shells {
        let said = sourced(
            &world,
            shell,
            "larder_run one -- env; larder_run two --source . -- echo again; larder_run three -- sh -c 'exit 7'",
        );
        assert_eq!(said.code, 7, "{shell:?}: {said:#?}");
        let lines: Vec<&str> = said.stderr.lines().filter(is_said).collect();
        assert!(
            matches!(lines[..], [line] if line.contains("no store at") && line.contains("--include=STORE/mkosi.conf")),
            "{shell:?}: {said:#?}"
        );
        let names = |name: &str| said.stdout.lines().filter(|line| line.starts_with(name)).count();
        assert_eq!((names("_larder"), names("again")), (0, 1), "{shell:?}: {said:#?}");
        for required in [
            "larder_run --require-store one -- echo ran",
            "larder_run one --source . --require-store -- echo ran",
            "LARDER_REQUIRE_STORE=1; larder_run one -- echo ran",
        ] {
            let said = sourced(&world, shell, required);
            assert_eq!((said.code, said.stdout.as_str()), (125, ""), "{shell:?}: {said:#?}");
            assert!(said.stderr.contains("no store at"), "{said:#?}");
        }
        let said = sourced(
            &world,
            shell,
            "LARDER_REQUIRE_STORE=no; larder_run one -- echo --require-store",
        );
        assert_eq!((said.code, said.stdout.as_str()), (0, "--require-store\n"), "{said:#?}");
    }
    // What is said is not doubled by a shell that tells what it does.
    let said = sourced(&world, &["dash", "-eux"], "larder_run one -- true; larder_run two -- true");
    assert_eq!(said.stderr.lines().filter(is_said).count(), 1, "{said:#?}");
    fs::create_dir(world.path("mounted")).unwrap();
    let said = sourced(&world, &["dash", "-eu"], "larder_run one -- true").succeeds();
    assert!(said.stderr.contains("no larder in the store"), "{said:#?}");
    assert!(said.stderr.contains("larder init"), "{said:#?}");
    // With one the same line has the same words.
    fs::create_dir_all(world.path("mounted/bin")).unwrap();
    fs::write(world.path("mounted/bin/larder"), "#!/bin/sh\necho \"$@\"\n").unwrap();
    fs::set_permissions(world.path("mounted/bin/larder"), fs::Permissions::from_mode(0o755))
        .unwrap();
    let said =
        sourced(&world, &["dash", "-eu"], "larder_run --require-store one -- true").succeeds();
    assert_eq!(
        (said.stdout.as_str(), said.stderr.as_str()),
        ("run --require-store one -- true\n", "")
    );
}
