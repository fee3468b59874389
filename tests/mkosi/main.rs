//! larder inside the real mkosi. Run by `make test`, which unpacks mkosi first:
//! `cargo test --test mkosi -- --ignored --test-threads=1`.
//!
//! Tests whose names begin with `soak_` take long and are run by `make soak`.
//!
//! A test that cannot run fails. As root, all ways of running mkosi are tried (root, a plain user,
//! a user with a range of subordinate ids); as a plain user only that user's own.

#![expect(clippy::disallowed_methods, reason = "tests remove what they made")]

mod adopting;
mod clean;
mod depot;
mod fleet;
mod forms;
mod image;
mod scripts;
mod settings;

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use image::{Image, Mode, modes, versions};

/// An image build that runs while the test looks on.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn start(image: &Image) -> Self {
        let log = image.dir().join("running");
        let file = fs::File::create(&log).unwrap();
        let mut command = image.build_command(&[]);
        command.stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: command.spawn().unwrap(), log }
    }

    /// What it has said so far.
    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    #[track_caller]
    fn succeeds(mut self) -> String {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.said());
        self.said()
    }
}

/// Waits until a text says what it should.
#[track_caller]
fn wait_for(wanted: &str, text: impl Fn() -> String) {
    let deadline = Instant::now() + Duration::from_secs(110);
    while !text().contains(wanted) {
        assert!(Instant::now() < deadline, "{wanted:?} never came: {}", text());
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn soak_warm_is_cold_with_every_mkosi_and_for_every_user() {
    let mut hashes = Vec::new();
    for version in versions() {
        for mode in modes() {
            let image = Image::tiny("modes", version, mode);
            image.init();
            image.build(&[]).succeeds();
            assert_eq!(image.last()["closed"]["compiled"], 2, "{version} {mode:?}");
            hashes.push(image.hash());
            image.build(&[]).succeeds();
            assert_eq!(
                image.last()["closed"]["compiled"],
                0,
                "{version} {mode:?}: {}",
                image.why()
            );
            assert_eq!(image.why(), "");
            hashes.push(image.hash());
            image.build_without_larder().succeeds();
            hashes.push(image.hash());
            let left = image.find_in_output("*larder*");
            assert_eq!(left, "", "larder is left in the image: {left}");
            image.command("rm").arg("-rf").arg(image.store()).status().unwrap();
            assert!(!image.store().exists(), "{mode:?} cannot delete the store");
        }
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 1, "the bytes differ: {hashes:?}");
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn a_toolchain_that_moves_is_noticed_and_coming_back_is_warm() {
    let image = Image::tiny("flip", "25.3", modes()[0]);
    image.set_rust_version("1.90");
    image.toolchain("1.96");
    image.init();
    image.build(&[]).succeeds();
    let hash = image.hash();
    image.toolchain("1.85");
    let said = image.build(&[]);
    assert_eq!(said.code, 101, "cargo's own code: {said:#?}");
    assert!(said.text.contains("rustc 1.85") && said.text.contains("1.90"), "{said:#?}");
    // Nothing was compiled: no directory is left, and the history tells of it.
    assert_eq!(image.last()["closed"]["outcome"], "succeeded");
    let told = image.last_event();
    assert_eq!(told["outcome"]["failed"], 101, "{told:#}");
    assert!(told["why"].to_string().contains("rustc"), "{told:#}");
    image.toolchain("1.96");
    image.build(&[]).succeeds();
    assert_eq!(image.last()["closed"]["compiled"], 0, "{}", image.why());
    assert_eq!(image.hash(), hash);
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn an_unrelated_package_stays_warm_and_a_development_package_does_not() {
    for version in versions() {
        let image = Image::tiny("packages", version, modes()[0]);
        image.init();
        image.build(&[]).succeeds();
        let hash = image.hash();
        image.extra("curl");
        image.build(&[]).succeeds();
        assert!(image.has("usr/bin/curl"), "curl is not in the image");
        assert_eq!(image.last()["closed"]["compiled"], 0, "{version}: {}", image.why());
        image.extra("zlib-dev");
        image.build(&[]).succeeds();
        assert_eq!(image.last()["closed"]["compiled"], 2, "{version}");
        assert!(image.why().contains("package zlib1g-dev"), "{version}: {}", image.why());
        assert_eq!(image.hash(), hash);
    }
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn two_images_share_a_project_and_one_waits() {
    let one = Image::tiny("one", "25.3", modes()[0]);
    let two = Image::tiny("two", "25.3", modes()[0]).with_store_of(&one);
    one.init();
    two.init();
    one.build(&[]).succeeds();
    one.commit();
    two.commit();
    let held = two.hold();
    // The other image has the same project, compiled by the same command.
    drop(one.hold());
    let first = Running::start(&two);
    wait_for("in use by image two", || one.status_text());
    let second = Running::start(&one);
    wait_for("waiting for pantry", || second.said());
    assert!(second.said().contains("in use by image two"), "{}", second.said());
    drop(held);
    first.succeeds();
    second.succeeds();
    assert_eq!(one.hash(), two.hash());
}

/// mkosi mounts the store so that it can be written; what is installed in it larder keeps from the command.
#[test]
#[ignore = "needs mkosi; make test runs it"]
fn a_command_cannot_replace_what_other_images_start() {
    let modes = modes();
    for (version, mode) in [(versions()[0], modes[0]), (versions()[1], modes[modes.len() - 1])] {
        let image = Image::tiny("fixed", version, mode);
        image.init();
        // Its path in two parts: one that the command names would count as an input.
        image.begins_with(
            r"w=/work; for name in bin/larder larder.sh mkosi.conf larder.toml; do
            if [ ! -e \$w/larder/\$name ] || (: >>\$w/larder/\$name) 2>/dev/null; then echo \$name was open; exit 1; fi
        done
        touch \$w/larder/trash/mine; rm \$w/larder/trash/mine",
        );
        image.build(&[]).succeeds();
        image.commit();
        image.build(&[]).succeeds();
        let larder = fs::read(image.store().join("bin/larder")).unwrap();
        assert!(larder == fs::read(image.larder()).unwrap(), "{version} as {mode:?}");
    }
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn different_projects_are_built_side_by_side() {
    let one = Image::tiny("side", "25.3", modes()[0]);
    let two = Image::tiny("beside", "25.3", modes()[0]).with_project("cellar").with_store_of(&one);
    one.init();
    two.init();
    // mkosi's own cache is shared by the tests: two at once must not find it out of date.
    one.build_without_larder().succeeds();
    let held = [one.hold(), two.hold()];
    let builds = [Running::start(&one), Running::start(&two)];
    // Both at the same moment, in one store.
    wait_for("in use by image beside", || one.status_text());
    wait_for("in use by image side", || one.status_text());
    assert!(one.status_text().contains("in use by image beside"), "one did not stay");
    drop(held);
    for build in builds {
        let said = build.succeeds();
        assert!(!said.contains("larder: waiting"), "{said}");
    }
    for image in [&one, &two] {
        let hash = image.hash();
        image.build(&[]).succeeds();
        assert_eq!(image.last()["closed"]["compiled"], 0, "{}", image.why());
        image.build_without_larder().succeeds();
        assert_eq!(image.hash(), hash);
    }
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn every_package_of_the_sandbox_counts_if_that_is_wanted() {
    let image = Image::tiny("sandbox", "27.1", modes()[0]);
    image.init();
    image.policy("packages = 'sandbox'\n");
    image.build(&[]).succeeds();
    image.build(&[]).succeeds();
    assert_eq!(image.last()["closed"]["compiled"], 0, "{}", image.why());
    image.extra("curl");
    image.build(&[]).succeeds();
    assert_eq!(image.last()["closed"]["compiled"], 2);
    assert!(image.why().contains("package curl"), "{}", image.why());
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn init_refuses_what_mkosi_cannot_take_and_leaves_nothing() {
    let image = Image::tiny("refusals", "25.3", modes()[0]);
    for name in ["a b", "a,b", "a:b", "a#b", "a%b", "a$b"] {
        let store = image.dir().join(name).join("store");
        let said = image.init_at(&store, &[]);
        assert_eq!(said.code, 1, "{said:#?}");
        assert!(said.text.contains("mkosi cannot take the store path"), "{said:#?}");
        assert!(!image.dir().join(name).exists());
    }
    let said = image.init_at(&image.store(), &["--build-sources-ephemeral=yes"]);
    assert_eq!(said.code, 1, "{said:#?}");
    assert!(said.text.contains("BuildSourcesEphemeral=no"), "{said:#?}");
    let said = image.init_at(&image.store(), &["--no-such-option"]);
    assert_eq!(said.code, 1, "{said:#?}");
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn the_example_is_the_same_cold_warm_and_without_larder() {
    let image = Image::example("example", "25.3", Mode::Own);
    image.init();
    image.build(&[]).succeeds();
    assert!(image.last()["closed"]["compiled"].as_u64().unwrap() >= 40);
    let hash = image.hash();
    fs::remove_dir_all(image.store().join("cargo-home")).unwrap();
    image.build(&[]).succeeds();
    assert_eq!(image.hash(), hash, "downloads that were fetched again");
    image.build(&[]).succeeds();
    assert_eq!(image.last()["closed"]["compiled"], 0, "{}", image.why());
    assert_eq!(image.hash(), hash);
    image.build_without_larder().succeeds();
    assert_eq!(image.hash(), hash);
}
