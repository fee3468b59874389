//! Domains: who may begin with what another one left, and who may write there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::world::{Said, World};

const CARGO: [&str; 4] = ["cargo", "build", "--release", "--offline"];

/// Replaces the library of `flour` by one of other content, and sets its times back.
const POISON: &str = "cargo build --release --offline &&
    for lib in target/release/deps/libflour-*.rlib; do
        touch -r $lib /tmp/larder-times-$$ && printf poison >>$lib && touch -r /tmp/larder-times-$$ $lib
    done; rm /tmp/larder-times-$$";

fn command(world: &World, options: &[&str], words: &[&str]) -> Command {
    let source = world.source();
    let mut command = world.larder_command(&["run", "bread", "--source", source.to_str().unwrap()]);
    command.args(options).arg("--").args(words).current_dir(source);
    command
}

fn run(world: &World, options: &[&str], words: &[&str]) -> Said {
    Said::of(&command(world, options, words).output().unwrap()).succeeds()
}

fn build(world: &World, options: &[&str]) -> usize {
    run(world, options, &CARGO);
    world.compiled()
}

/// Everything that is kept of the project, but who had its locks, by the digest of its content.
fn everything(world: &World) -> Vec<(PathBuf, blake3::Hash)> {
    let kept = world.store().join("projects/bread");
    let files = walkdir::WalkDir::new(kept).sort_by_file_name().into_iter().map(Result::unwrap);
    let is_kept = |path: &Path| path.is_file() && path.extension().is_none_or(|end| end != "lock");
    let files = files.map(walkdir::DirEntry::into_path).filter(|path| is_kept(path));
    files.map(|path| (path.clone(), blake3::hash(&fs::read(path).unwrap()))).collect()
}

fn directories(world: &World) -> usize {
    let kept = fs::read_dir(world.store().join("projects/bread"));
    let kept = kept.into_iter().flatten().map(Result::unwrap);
    kept.filter(|item| item.path().extension().is_none() && item.path().is_dir()).count()
}

#[test]
fn what_a_request_leaves_changed_reaches_no_release() {
    let world = World::new();
    assert_eq!(build(&world, &[]), 2);
    let clean = world.binary();
    let before = everything(&world);
    run(&world, &["--domain", "requests", "--from", "default"], &["sh", "-c", POISON]);
    let after = everything(&world);
    assert!(
        before.iter().all(|one| after.contains(one)),
        "a file of the default domain is another"
    );
    assert_eq!(build(&world, &[]), 0);
    assert_eq!(world.binary(), clean);
}

#[test]
fn a_domain_begins_with_what_another_one_left_and_goes_its_own_way() {
    let world = World::new();
    assert_eq!(build(&world, &[]), 2);
    let clean = world.binary();
    let requests = ["--domain", "requests", "--from", "default"];
    let said = run(&world, &requests, &CARGO);
    assert!(said.stderr.contains("bread begins with what domain default left"), "{said:?}");
    assert_eq!((world.compiled(), world.binary()), (0, clean.clone()));
    world.write("src/main.rs", "fn main() { println!(\"a request\"); }\n");
    assert_eq!(build(&world, &requests), 1);
    assert_eq!(world.binary(), world.cold());
    assert_eq!(build(&world, &requests), 0, "it has a directory of its own by now");
    assert_eq!(build(&world, &[]), 1);
    assert_eq!(directories(&world), 2);
    let status = world.larder(&["status", "bread"]).succeeds();
    assert!(status.stdout.contains("domain requests"), "{status:?}");
    // Another one, of which nothing says where it begins.
    assert_eq!(build(&world, &["--domain", "others"]), 2);
    assert!(world.reasons().contains("domain"), "{}", world.reasons());
}

#[test]
fn the_policy_says_who_is_in_which_domain() {
    let world = World::new();
    let policy = "min-free = '0%'\n[domain.requests]\nfrom = 'main'\nwhen = ['GITHUB_EVENT_NAME=pull_request']\n\
                  [domain.main]\nfrom = 'default'\n";
    fs::write(world.store().join("larder.toml"), policy).unwrap();
    assert_eq!(build(&world, &[]), 2);
    let request = |words: &[&str]| {
        let mut command = command(&world, words, &CARGO);
        Said::of(&command.env("GITHUB_EVENT_NAME", "pull_request").output().unwrap()).succeeds()
    };
    let said = request(&[]);
    assert!(said.stderr.contains("begins with what domain default left"), "{said:?}");
    assert_eq!(world.compiled(), 0, "main has nothing, and begins from default itself");
    assert_eq!(directories(&world), 2);
    request(&["--domain", "default"]);
    assert_eq!(directories(&world), 2, "what is named counts more than what the policy says");
    let variable =
        Said::of(&command(&world, &[], &CARGO).env("LARDER_DOMAIN", "requests").output().unwrap());
    variable.succeeds();
    assert_eq!((directories(&world), world.compiled()), (2, 0));
    fs::write(
        world.store().join("larder.toml"),
        "[domain.a]\nfrom = 'b'\n[domain.b]\nfrom = 'a'\n",
    )
    .unwrap();
    let said = Said::of(&command(&world, &[], &CARGO).output().unwrap());
    said.refuses(125, &["larder.toml cannot be used", "it would begin from itself"]);
}

#[test]
fn what_is_discarded_leaves_its_artifacts_and_nothing_else() {
    let world = World::new();
    assert_eq!(build(&world, &[]), 2);
    let (clean, before) = (world.binary(), everything(&world));
    world.write("src/main.rs", "fn main() { println!(\"tried\"); }\n");
    let said = run(&world, &["--discard"], &CARGO);
    assert!(said.stderr.contains("bread begins with what domain default left"), "{said:?}");
    assert_eq!(everything(&world), before);
    let artifact = world.source().join("target/release/bread");
    assert!(!artifact.parent().unwrap().is_symlink() && !artifact.is_symlink());
    let output = Command::new(&artifact).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "tried\n");
    world
        .write("src/main.rs", "fn main() { println!(\"{} {}\", flour::KIND, flour::weight()); }\n");
    assert_eq!(build(&world, &[]), 0, "the kept directory was not touched");
    assert_eq!(world.binary(), clean);
}

#[test]
fn what_is_discarded_where_nothing_is_kept_leaves_no_directory() {
    let world = World::new();
    let said = run(&world, &["--discard"], &CARGO);
    assert!(said.stderr.contains("nothing is kept of bread in domain default"), "{said:?}");
    assert_eq!(directories(&world), 0);
    assert!(world.source().join("target/release/bread").is_file());
    let failed = Said::of(&command(&world, &["--discard"], &["false"]).output().unwrap());
    assert_eq!((failed.code, directories(&world)), (1, 0));
}

#[test]
fn what_was_discarded_passes_for_nothing_that_a_later_use_made() {
    let world = World::new();
    let release = world.source().join("target/release");
    run(
        &world,
        &["--discard"],
        &["sh", "-c", "cargo build --release --offline && echo evil >target/release/libevil.so"],
    );
    assert!(release.join("libevil.so").is_file());
    fs::write(release.join("mine"), "mine").unwrap();
    assert_eq!(build(&world, &[]), 2);
    assert!(!release.join("libevil.so").exists());
    assert_eq!(fs::read_to_string(release.join("mine")).unwrap(), "mine");
    assert_eq!(world.binary(), world.cold());
    // Where a plain cargo's own was replaced, too; but not what is the same by its content.
    fs::remove_dir_all(world.source().join("target")).ok();
    fs::create_dir_all(&release).unwrap();
    fs::write(release.join("bread"), "a plain cargo's").unwrap();
    fs::write(release.join("libevil.so"), "evil\n").unwrap();
    run(
        &world,
        &["--discard"],
        &["sh", "-c", "cargo build --release --offline && echo evil >target/release/libevil.so"],
    );
    assert!(fs::read(release.join("bread")).unwrap().len() > 1000);
    run(&world, &[], &["true"]);
    assert!(!release.join("bread").exists());
    assert_eq!(fs::read_to_string(release.join("libevil.so")).unwrap(), "evil\n");
    // Nor does what an ordinary use made pass for that of one that is discarded.
    fs::remove_dir_all(world.source().join("target")).ok();
    run(&world, &[], &["cargo", "doc", "--offline"]);
    assert!(world.source().join("target/doc").exists());
    run(&world, &["--discard"], &["cargo", "doc", "--offline"]);
    assert!(!world.source().join("target/doc").exists());
}

#[test]
fn an_artifact_that_cannot_be_put_where_another_one_is_fails_the_build() {
    let world = World::new();
    let artifact = world.source().join("target/release/bread");
    let ordinary = (&[] as &[&str], "is not what the build made");
    for (options, what) in [ordinary, (&["--discard"], "not all that the build made is left")] {
        fs::create_dir_all(artifact.join("in the way")).unwrap();
        let said = Said::of(&command(&world, options, &CARGO).output().unwrap());
        said.refuses(125, &[what, "Is a directory"]);
        fs::remove_dir_all(&artifact).unwrap();
        run(&world, options, &CARGO);
        assert_eq!(fs::read(&artifact).unwrap().len(), world.binary().len());
        fs::remove_dir_all(world.source().join("target")).unwrap();
    }
}

#[test]
fn a_use_that_was_to_be_discarded_and_could_not_begin_leaves_nothing() {
    let world = World::new();
    assert_eq!(build(&world, &[]), 2);
    let mut other = command(&world, &[], &["sh", "-c", "touch begun; sleep 60"]).spawn().unwrap();
    wait_until(|| world.source().join("begun").exists());
    let before = directories(&world);
    let said =
        Said::of(&command(&world, &["--discard", "--wait", "200ms"], &CARGO).output().unwrap());
    said.refuses(125, &["in use by"]);
    assert_eq!(directories(&world), before);
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn nothing_of_a_discarded_use_waits_in_the_trash() {
    let world = World::new();
    assert_eq!(build(&world, &[]), 2);
    run(&world, &["--discard"], &CARGO);
    assert_eq!(fs::read_dir(world.store().join("trash")).unwrap().count(), 0);
}

#[test]
fn a_variable_that_is_empty_names_no_domain() {
    let world = World::new();
    let with = |value: &str| {
        Said::of(&command(&world, &[], &CARGO).env("LARDER_DOMAIN", value).output().unwrap())
    };
    with("").succeeds();
    assert_eq!(build(&world, &[]), 0, "it was the default domain");
    with("a/b").refuses(125, &["LARDER_DOMAIN is no domain's name; take 1 to 128"]);
}

#[test]
fn what_a_killed_use_would_have_discarded_is_collected() {
    let world = World::new();
    assert_eq!(build(&world, &[]), 2);
    let mut larder = command(&world, &["--discard"], &["sleep", "60"]).spawn().unwrap();
    wait_until(|| directories(&world) == 2);
    larder.kill().unwrap();
    larder.wait().unwrap();
    wait_until(|| {
        world.larder(&["gc", "--grace", "1h"]).succeeds();
        directories(&world) == 1
    });
    assert_eq!(build(&world, &[]), 0);
}

#[test]
fn what_cannot_be_copied_makes_a_cold_build_and_no_failed_one() {
    let world = World::new();
    assert_eq!(build(&world, &[]), 2);
    // Files may be as long as records are, and programs may not.
    let script = "trap '' XFSZ; ulimit -f 256; exec \"$@\"";
    let requests = ["--domain", "requests", "--from", "default"];
    let larder = command(&world, &requests, &CARGO);
    let mut limited = world.command("sh");
    limited.args(["-c", script, "sh"]).arg(larder.get_program()).args(larder.get_args());
    let said = Said::of(&limited.current_dir(world.source()).output().unwrap());
    assert!(said.stderr.contains("domain default left, building cold: cannot copy"), "{said:?}");
    assert_eq!(said.code, 101, "cargo's own end, which may write no program either: {said:?}");
    assert_eq!(build(&world, &requests), 0);
}

#[test]
fn domains_that_begin_from_each_other_do_not_wait_for_each_other() {
    let world = World::new();
    let start = |options: &[&str]| -> Child {
        let mut command = command(&world, options, &["cargo", "check", "--offline"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    for _ in 0..3 {
        let mut one = start(&["--domain", "one", "--from", "other"]);
        let mut other = start(&["--domain", "other", "--from", "one"]);
        assert!(one.wait().unwrap().success() && other.wait().unwrap().success());
        world.larder(&["rm", "bread"]).succeeds();
    }
}

/// Waits for something that comes within a minute.
fn wait_until(is_so: impl Fn() -> bool) {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !is_so() {
        assert!(std::time::Instant::now() < until, "it did not come");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
