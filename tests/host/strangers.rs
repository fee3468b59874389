//! Checkouts and repositories of somebody else: larder has more rights than he, and starts nothing that he names.

use std::fs;
use std::os::unix::fs::lchown;
use std::path::Path;

use crate::world::World;

/// Nobody, on every machine.
const STRANGER: u32 = 65534;

/// Has a repository start `evil`, which leaves a trace beside the world's sources, on every occasion that git has.
fn arm(world: &World, top: &Path) {
    let evil = world.path("evil");
    let ran = world.path("ran");
    fs::write(&evil, format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\ncat\n", ran.display())).unwrap();
    mode(&evil, 0o755);
    let evil = evil.to_str().unwrap();
    for (key, value) in [
        ("core.fsmonitor", evil),
        ("core.hooksPath", world.path("hooks").to_str().unwrap()),
        ("core.sshCommand", evil),
        ("core.pager", evil),
        ("core.alternateRefsCommand", evil),
        ("diff.external", evil),
        ("filter.a=b.c.clean", evil),
        ("filter.a=b.c.smudge", evil),
        ("filter.a=b.c.required", "true"),
        ("filter.d.process", evil),
        ("filter..process", evil),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", "ssh://nowhere/x"),
    ] {
        world.git(top, &["config", key, value]);
    }
    world.git(top, &["config", "core.repositoryFormatVersion", "1"]);
    let hooks = world.path("hooks");
    fs::create_dir_all(&hooks).unwrap();
    for name in
        ["post-index-change", "post-checkout", "reference-transaction", "fsmonitor-watchman"]
    {
        fs::copy(world.path("evil"), hooks.join(name)).unwrap();
    }
    // What git noted of the files is no longer true of them: it looks at their content.
    fs::write(
        top.join(".git/info/attributes"),
        "*.txt filter=a=b.c\n*.md filter=d\n*.rs filter=\n* diff=e\n",
    )
    .unwrap();
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

/// A repository with the world's sources in it, or beside them; what it has outside of them changed since.
fn repository(world: &World, top: &Path) {
    world.git(top, &["init", "-q"]);
    let names = ["notes.txt", "notes.md", "notes.rs"];
    for name in names {
        fs::write(top.join(name), "one").unwrap();
        world.git(top, &["add", name]);
    }
    world.git(top, &["commit", "-q", "-m", "one"]);
    arm(world, top);
    for name in names {
        fs::write(top.join(name), "two").unwrap();
    }
}

fn give_away(path: &Path) {
    for entry in walkdir::WalkDir::new(path) {
        lchown(entry.unwrap().path(), Some(STRANGER), Some(STRANGER)).unwrap();
    }
}

fn nothing_ran(world: &World) {
    let ran = fs::read_to_string(world.path("ran")).unwrap_or_default();
    assert_eq!(ran, "", "what a repository names was started");
}

/// A build script that does not say what it reads, so that Cargo watches what git lists.
fn watches_all(world: &World) {
    world.write("build.rs", "fn main() { std::fs::read_to_string(\".hidden\").unwrap(); }\n");
    world.write(".hidden", "one");
}

#[test]
fn the_callers_own_repository_has_larder_start_nothing_either() {
    let world = World::new();
    watches_all(&world);
    repository(&world, world.dir.path());
    assert_eq!(world.build(), 2);
    assert_eq!(world.build(), 0, "{}", world.reasons());
    nothing_ran(&world);
    // A file that git found changed already, and that is another one now.
    fs::write(world.path("notes.txt"), "three").unwrap();
    world.build();
    assert!(world.reasons().contains("status outside of the checkout"), "{}", world.reasons());
    nothing_ran(&world);
    assert_eq!(world.binary(), world.cold());
}

#[test]
#[ignore = "is somebody else, which takes root: make test"]
fn root_a_repository_of_a_stranger_above_the_sources_is_not_asked() {
    let world = World::new();
    watches_all(&world);
    repository(&world, world.dir.path());
    give_away(&world.path(".git"));
    assert_eq!(world.build(), 2);
    assert_eq!(world.build(), 0, "{}", world.reasons());
    nothing_ran(&world);
    world.write(".hidden", "two");
    assert_eq!(world.build(), 1, "{}", world.reasons());
    assert_eq!(world.binary(), world.cold());
}

#[test]
#[ignore = "is somebody else, which takes root: make test"]
fn root_the_checkout_of_a_stranger_has_root_start_nothing() {
    let world = World::new();
    watches_all(&world);
    world.write("notes.txt", "one");
    repository(&world, &world.source());
    give_away(&world.source());
    assert_eq!(world.build(), 2);
    assert_eq!(world.build(), 0, "{}", world.reasons());
    nothing_ran(&world);
    // What git would answer counts all the same.
    let head = fs::read_to_string(world.source().join(".git/HEAD")).unwrap();
    let branch = world.source().join(".git").join(head.trim().strip_prefix("ref: ").unwrap());
    fs::write(branch, "0123456789012345678901234567890123456789\n").unwrap();
    world.build();
    assert!(world.reasons().contains("git changed: HEAD is 0123"), "{}", world.reasons());
    world.write(".hidden", "two");
    assert_eq!(world.build(), 1, "{}", world.reasons());
    nothing_ran(&world);
}

#[test]
fn what_is_endless_in_a_checkout_is_not_read() {
    for name in ["Cargo.lock", ".cargo/config.toml", ".git/HEAD", ".git/packed-refs", ".git/index"]
    {
        let world = World::new();
        world.git(&world.source(), &["init", "-q"]);
        let path = world.source().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        let mut command = world.command("sh");
        // As much memory as an honest build needs, and no more.
        command.args(["-c", "ulimit -v 4000000; exec \"$@\"", "sh"]);
        let larder = world.run_command(&["true"]);
        command.arg(larder.get_program()).args(larder.get_args()).current_dir(world.source());
        let began = std::time::Instant::now();
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code().is_some(), "{name}: {said}");
        assert!(!said.contains("panicked") && !said.contains("memory"), "{name}: {said}");
        assert!(began.elapsed().as_secs() < 60, "{name}: {said}");
    }
}

#[test]
#[ignore = "is somebody else, which takes root: make test"]
fn root_a_compiler_that_a_strangers_checkout_names_is_not_started() {
    let world = World::new();
    let ran = world.path("ran");
    let tools = world.source().join("tools/bin");
    fs::create_dir_all(&tools).unwrap();
    for name in ["rustc", "cargo"] {
        let script =
            format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\nexec {name} \"$@\"\n", ran.display());
        fs::write(tools.join(name), script).unwrap();
        mode(&tools.join(name), 0o755);
    }
    give_away(&world.source());
    for (name, text) in [
        (".cargo/config.toml", "[build]\nrustc = 'tools/bin/rustc'\n"),
        ("rust-toolchain.toml", "[toolchain]\npath = 'tools'\n"),
    ] {
        world.write(name, text);
        world
            .run(&["cargo", "build"])
            .refuses(125, &["tools/bin/rustc", "another user may change"]);
        nothing_ran(&world);
        fs::remove_file(world.source().join(name)).unwrap();
    }
    // Root's own is.
    world.write(".cargo/config.toml", "[build]\nrustc = 'tools/bin/rustc'\n");
    for entry in walkdir::WalkDir::new(world.source()) {
        lchown(entry.unwrap().path(), Some(0), Some(0)).unwrap();
    }
    assert_eq!(world.build(), 2);
    assert!(fs::read_to_string(ran).unwrap().contains("--print sysroot"));
}

#[test]
fn names_of_files_and_refs_are_no_orders_to_a_terminal() {
    const NAME: &str = "a\x1b[2J\u{9b}31m\r\u{202e}b\nwarm: nothing changed\u{200f}";
    let world = World::new();
    let source = world.source();
    world.git(&source, &["init", "-q"]);
    watches_all(&world);
    world.build();
    world.write(NAME, "");
    fs::write(source.join(".git/info").join(NAME), "").unwrap();
    let mut said = world.run(&["cargo", "build", "--release", "--offline", "-v"]).succeeds().stderr;
    world.write("flour/kind.txt", "\x1b[1m\u{202e}");
    for words in [&["-v", "explain", "bread"][..], &["status", "bread"], &["history"], &["status"]]
    {
        let told = world.larder(words).succeeds();
        said.extend([told.stdout, told.stderr]);
    }
    assert!(said.contains("\u{fffd}b"), "{said:?}");
    let is_order = |letter: char| {
        (letter.is_control() && letter != '\n') || ('\u{200b}'..='\u{206f}').contains(&letter)
    };
    // Cargo itself shows what it was given.
    let ours = said.lines().filter(|line| !line.trim_start().starts_with("Running"));
    for line in ours {
        assert!(!line.contains(is_order), "{line:?}");
        assert!(!line.starts_with("warm: nothing changed"), "{said}");
    }
}

#[test]
#[ignore = "is somebody else, which takes root: make test"]
fn root_a_toolchain_file_is_followed_as_rustup_follows_it_or_refused() {
    let world = World::new();
    let source = world.source();
    let tools = world.path("tools");
    for name in ["rustc", "cargo"] {
        let path = tools.join("bin").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let script = format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\n", world.path("ran").display());
        fs::write(&path, script).unwrap();
        mode(&path, 0o755);
    }
    give_away(&tools);
    let tools = tools.to_str().unwrap();
    let long = format!("[toolchain]\npath = '{tools}'\n{}\n", "#".repeat(65 << 20));
    let changed = "another user may change";
    for (name, text, part) in [
        ("rust-toolchain", format!("{tools}\n"), changed),
        ("rust-toolchain", format!("\u{feff}[toolchain]\npath = '{tools}'\n"), changed),
        ("rust-toolchain.toml", long, "more than"),
    ] {
        world.write(name, &text);
        world.run(&["cargo", "build"]).refuses(125, &[part]);
        nothing_ran(&world);
        fs::remove_file(source.join(name)).unwrap();
    }
    let fifo = source.join("rust-toolchain.toml");
    assert!(world.command("mkfifo").arg(&fifo).status().unwrap().success());
    world.run(&["cargo", "build"]).refuses(125, &["no regular file"]);
    fs::remove_file(fifo).unwrap();
    // By a link that leads out of the sources.
    fs::create_dir_all(world.path("elsewhere/inner")).unwrap();
    fs::write(world.path("elsewhere/rust-toolchain"), tools).unwrap();
    std::os::unix::fs::symlink("../elsewhere/inner", source.join("link")).unwrap();
    let words = ["cargo", "-Z", "unstable-options", "-C", "link", "build"];
    world.run(&words).refuses(125, &[changed]);
    nothing_ran(&world);
    assert_eq!(world.build(), 2);
}

#[test]
fn configuration_that_includes_itself_is_read_once() {
    let world = World::new();
    world.build();
    world.write(".cargo/config.toml", &format!("include = [{}]\n", "'config.toml', ".repeat(20)));
    let began = std::time::Instant::now();
    world.run(&["cargo", "build", "--offline"]);
    assert!(began.elapsed().as_secs() < 60);
}

#[test]
fn a_manifest_that_would_be_waited_for_is_refused() {
    let world = World::new();
    world.build();
    let manifest = world.source().join("Cargo.toml");
    fs::remove_file(&manifest).unwrap();
    assert!(world.command("mkfifo").arg(&manifest).status().unwrap().success());
    world.run(&["cargo", "build"]).refuses(125, &["Cargo.toml", "no regular file"]);
}
