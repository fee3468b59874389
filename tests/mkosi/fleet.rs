//! The example fleet, before it takes larder in and afterwards: the same images and the same files beside them,
//! whoever builds and whatever is kept; and what the old cache of binaries gets wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::image::{Image, Mode, Said, modes, work};

/// A word that nobody may read anywhere afterwards.
const TOKEN: &str = "ghs_0123456789abcdefTOKEN";

/// Packages of which Cargo's directory is kept, by the name of their project.
const RUST: [&str; 7] = ["crumb", "kettle", "mint", "oven", "saucer", "stove", "strainer"];
const GO: [&str; 3] = ["ladle", "scale", "tongs"];
/// Of these nothing can be kept.
const OTHERS: [&str; 2] = ["spoon", "tray"];

/// Everything but what has real dependencies.
const QUICK: &str = "[Include]\nInclude=shared/mkosi.conf\nInclude=modules/common/mkosi.conf\n\
    Include=modules/cutlery/mkosi.conf\nInclude=modules/crockery/mkosi.conf\n\
    Include=modules/bar/mkosi.conf\n[Config]\nProfiles=cellar\n";
/// What mint is in, and oven; without the variables that the others have by modules and profiles.
const BAR: &str = "[Include]\nInclude=shared/mkosi.conf\nInclude=modules/bar/mkosi.conf\n";

/// A copy of the fleet, with what mkosi and the scripts keep beside it.
struct Fleet {
    dir: PathBuf,
    mkosi: PathBuf,
    mode: Mode,
    store: Option<PathBuf>,
}

impl Fleet {
    fn new(test: &str, name: &str, version: &str, mode: Mode, more: &[&str]) -> Self {
        let dir = work().join("test").join(format!("fleet-{test}-{name}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.parent().unwrap()).unwrap();
        let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/fleet-setup");
        Said::of(&Command::new(setup).arg(&dir).args(more).output().unwrap()).succeeds();
        let who = if mode == Mode::Own { "own" } else { "user" };
        let kept = work().join(format!("test/fleet-mkosi.cache-{version}-{who}"));
        for toolchain in ["rustc-1.85", "rustc-1.96"] {
            fs::create_dir_all(kept.join(toolchain)).unwrap();
        }
        fs::remove_dir_all(dir.join("cache")).unwrap();
        symlink(&kept, dir.join("cache")).unwrap();
        for (image, text) in [("quick", QUICK), ("bar", BAR)] {
            fs::write(dir.join(format!("images/{image}.conf")), text).unwrap();
        }
        mode.give(&kept);
        mode.give(&dir);
        let mkosi = work().join(format!("bin/mkosi-{version}"));
        assert!(mkosi.exists(), "no {}: run scripts/mkosi-setup", mkosi.display());
        Self { dir, mkosi, mode, store: None }
    }

    fn old(test: &str, version: &str, mode: Mode) -> Self {
        Self::new(test, "old", version, mode, &[])
    }

    /// The fleet that took larder in, without a store.
    fn adopted(test: &str, version: &str, mode: Mode) -> Self {
        Self::new(test, "adopted", version, mode, &["--adopted"])
    }

    /// A store of its own.
    fn make_store(&mut self, test: &str, version: &str) {
        let image = Image::bare(&format!("fleet-{test}-store"), version, self.mode);
        image.init();
        self.store = Some(image.store());
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.mode.command(program, &self.dir)
    }

    /// Builds an image as its users do; says what was printed.
    #[track_caller]
    fn make(&self, target: &str, image: &str) -> String {
        let mut make = self.command("make");
        make.arg(target).arg(format!("IMAGE={image}"));
        make.arg(format!("MKOSI={}", self.mkosi.display()));
        if let Some(store) = &self.store {
            make.arg(format!("MKOSI_EXTRA_ARGS=--include={}/mkosi.conf", store.display()));
        }
        let said = Said::of(&make.output().unwrap());
        said.succeeds();
        said.text
    }

    #[track_caller]
    fn build(&self, image: &str) -> String {
        self.make("build", image)
    }

    fn output(&self, image: &str) -> PathBuf {
        self.dir.join("mkosi.output").join(image)
    }

    fn mint(&self) -> Vec<u8> {
        fs::read(self.output("bar").join("usr/bin/mint")).unwrap()
    }

    fn build_dir(&self) -> PathBuf {
        let mut dirs: Vec<PathBuf> = fs::read_dir(self.dir.join("mkosi.builddir"))
            .unwrap()
            .map(|dir| dir.unwrap().path())
            .collect();
        assert_eq!(dirs.len(), 1, "{dirs:?}");
        dirs.pop().unwrap()
    }

    /// The files in `$BUILDDIR`, with what they hold and their mode; the old scripts have directories of
    /// binaries besides.
    fn beside(&self) -> BTreeMap<String, (u32, String)> {
        let items = fs::read_dir(self.build_dir()).unwrap().map(Result::unwrap);
        let files = items.filter(|item| item.file_type().unwrap().is_file());
        files
            .map(|item| {
                let mode = item.metadata().unwrap().permissions().mode();
                let text = fs::read_to_string(item.path()).unwrap();
                (item.file_name().into_string().unwrap(), (mode, text))
            })
            .collect()
    }

    /// The manifest's lines, by package.
    fn manifest(&self) -> BTreeMap<String, Line> {
        let text = fs::read_to_string(self.build_dir().join("manifest.md")).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("| what  | version  | how  | size  | took  |"));
        assert!(lines.next().unwrap().starts_with("| -----"));
        lines
            .map(|line| {
                let cells: Vec<&str> = line.split('|').collect();
                assert!(cells.len() == 7 && cells[0].is_empty() && cells[6].is_empty(), "{line}");
                let [name, version, how, size, took] =
                    [1, 2, 3, 4, 5].map(|cell: usize| cells[cell].to_owned());
                (name, Line { version, how: how.trim().to_owned(), size, took })
            })
            .collect()
    }

    fn how(&self) -> BTreeMap<String, String> {
        let plain = |name: &str| name.trim().trim_matches('`').to_owned();
        self.manifest().into_iter().map(|(name, line)| (plain(&name), line.how)).collect()
    }

    /// How many packages the last use of a project compiled, and whether it was cold.
    fn last(&self, project: &str) -> (u64, bool) {
        let mut larder = self.command(self.store.as_ref().unwrap().join("bin/larder"));
        larder.arg("--store").arg(self.store.as_ref().unwrap());
        let said =
            Said::of(&larder.args(["history", project, "--last", "1", "--json"]).output().unwrap());
        said.succeeds();
        let told: Value = serde_json::from_str(&said.text).unwrap();
        let used = &told["events"][0];
        (used["compiled"].as_u64().unwrap(), used["cold"].as_bool().unwrap())
    }

    /// What the old scripts keep, gone: what they build next is what everything says now.
    fn forget(&self) {
        let dir = self.build_dir();
        fs::remove_dir_all(&dir).unwrap();
        fs::create_dir(&dir).unwrap();
        self.mode.give(&dir);
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.dir.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    fn git(&self, project: &str, words: &[&str]) -> String {
        let mut git = self.command("git");
        git.arg("-C").arg(project).args(["-c", "user.name=x", "-c", "user.email=x@example.org"]);
        let said = Said::of(&git.args(words).output().unwrap());
        said.succeeds();
        said.text
    }
}

/// A line of the manifest, but for the package.
#[derive(Debug)]
struct Line {
    version: String,
    how: String,
    size: String,
    took: String,
}

/// What a file is, but for its content.
fn shape(path: &Path) -> String {
    let meta = fs::symlink_metadata(path).unwrap();
    let link = fs::read_link(path).unwrap_or_default();
    let link = link.display();
    let (mode, uid, gid) = (meta.mode(), meta.uid(), meta.gid());
    let size = if meta.is_file() { meta.size() } else { 0 };
    format!("{mode:o} {uid}:{gid} {size} {}.{:09} {link}", meta.mtime(), meta.mtime_nsec())
}

/// All files of a tree.
fn names(root: &Path) -> BTreeSet<PathBuf> {
    let items = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap);
    items.map(|item| item.path().strip_prefix(root).unwrap().to_owned()).collect()
}

/// In which files two trees differ, and how.
fn differences(one: &Path, other: &Path) -> Vec<String> {
    let (here, there) = (names(one), names(other));
    assert!(here.len() > 1000, "{} holds {} files", one.display(), here.len());
    let mut found: Vec<String> = here
        .symmetric_difference(&there)
        .map(|name| format!("only once: {}", name.display()))
        .collect();
    for name in here.intersection(&there) {
        let (one, other) = (one.join(name), other.join(name));
        let shapes = (shape(&one), shape(&other));
        if shapes.0 != shapes.1 {
            found.push(format!("{}: {} and {}", name.display(), shapes.0, shapes.1));
        } else if one.is_file()
            && !one.is_symlink()
            && fs::read(&one).unwrap() != fs::read(&other).unwrap()
        {
            found.push(format!("{}: another content", name.display()));
        }
    }
    found
}

/// An image, and what is beside it, as the old scripts have them.
#[track_caller]
fn assert_same(old: &Fleet, new: &Fleet, image: &str, when: &str) {
    let found = differences(&old.output(image), &new.output(image));
    assert!(found.is_empty(), "{image}, {when}: {found:#?}");
    let (mut wanted, mut got) = (old.beside(), new.beside());
    let (one, other) = (wanted.remove("manifest.md").unwrap(), got.remove("manifest.md").unwrap());
    assert_eq!(wanted, got, "{image}, {when}: $BUILDDIR");
    assert!(wanted.len() >= 2, "{wanted:?}");
    assert_eq!(one.0, other.0, "{image}, {when}: the mode of the manifest");
    let (wanted, got) = (old.manifest(), new.manifest());
    assert_eq!(
        wanted.iter().map(|(name, line)| (name, &line.version)).collect::<Vec<_>>(),
        got.iter().map(|(name, line)| (name, &line.version)).collect::<Vec<_>>(),
        "{image}, {when}: the manifest"
    );
    for (name, line) in got {
        assert!(["built", "warm"].contains(&line.how.as_str()), "{name}: {line:?}");
        let is_code = |cell: &str| cell.starts_with(" `") && cell.ends_with("`  ");
        assert!(is_code(&line.size) && is_code(&line.took), "{name}: {line:?}");
        let took = line
            .took
            .trim()
            .trim_matches('`')
            .strip_suffix('s')
            .and_then(|took| took.split_once('m'));
        let took = took.map(|(minutes, seconds)| (minutes.parse::<u32>(), seconds.parse::<u32>()));
        assert!(matches!(took, Some((Ok(_), Ok(0..60)))), "{name}: {line:?}");
    }
}

fn how<'a>(built: impl IntoIterator<Item = &'a str>, warm: &[&str]) -> BTreeMap<String, String> {
    let built = built.into_iter().map(|name| (name.to_owned(), "built".to_owned()));
    built.chain(warm.iter().map(|name| ((*name).to_owned(), "warm".to_owned()))).collect()
}

/// Builds an image of each fleet in every way there is, and compares all of it.
fn same_in_every_way(test: &str, version: &str, mode: Mode) {
    let test = format!("{test}-{version}-{mode:?}");
    let old = Fleet::old(&test, version, mode);
    let mut new = Fleet::adopted(&test, version, mode);
    old.build("quick");
    // Once more: what the old cache gives, and the lines that say so.
    old.build("quick");
    assert!(old.manifest().values().all(|line| line.how == "kept"), "{:?}", old.how());

    let said = new.build("quick");
    assert_same(&old, &new, "quick", "without a store");
    // Four scripts that compile.
    assert_eq!(said.matches("\nlarder_run: no store at /work/larder").count(), 4, "{said}");

    new.make_store(&test, version);
    let said = new.build("quick");
    assert_same(&old, &new, "quick", "cold");
    assert!(!said.contains("larder_run: no store at"), "{said}");
    assert_eq!(new.how(), how([&RUST[..], &GO, &OTHERS].concat(), &[]));
    for project in RUST {
        assert!(matches!(new.last(project), (1.., true)), "{project}: {:?}", new.last(project));
    }

    // Another commit of the image repository, and so another version of the image.
    new.git(".", &["commit", "-q", "--allow-empty", "-m", "next"]);
    new.build("quick");
    assert_same(&old, &new, "quick", "warm");
    assert_eq!(new.how(), how(OTHERS, &[&RUST[..], &GO].concat()));
    for project in RUST {
        assert_eq!(new.last(project), (0, false), "{project}");
    }

    // A second image.
    old.build("bar");
    new.build("bar");
    assert_same(&old, &new, "bar", "a second image");
    assert_eq!(new.how(), how([], &["mint", "oven"]));
    assert_eq!([new.last("mint"), new.last("oven")], [(0, false); 2]);
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn the_fleet_is_the_same_in_every_way_for_a_plain_user() {
    let mode = modes().get(1).copied().unwrap_or(Mode::Own);
    same_in_every_way("ways", "27.1", mode);
}

#[test]
#[ignore = "needs mkosi; make soak runs it"]
fn soak_the_fleet_is_the_same_in_every_way_for_all_others() {
    for mode in modes() {
        same_in_every_way("ways", "25.3", mode);
        if Some(&mode) != modes().get(1) {
            same_in_every_way("ways", "27.1", mode);
        }
    }
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn images_of_the_fleet_share_packages_and_no_token_is_left_behind() {
    let (old, mut new) =
        (Fleet::old("bytes", "25.3", Mode::Own), Fleet::adopted("bytes", "25.3", Mode::Own));
    new.make_store("bytes", "25.3");
    // No build script is another one.
    let stat = new.git(".", &["diff", "--name-only", "HEAD~1"]);
    let wanted = ["git_package", "larder", "packages", "rust_package"]
        .map(|name| format!("scripts/{name}.sh\n"));
    assert_eq!(stat, wanted.concat());
    let images = ["gateway", "kitchen"];
    old.build(images[0]);
    // A token is there, and goes nowhere.
    let dir = new.dir.join("mkosi.builddir").join(old.build_dir().file_name().unwrap());
    fs::create_dir(&dir).unwrap();
    for dir in [&dir, &old.build_dir()] {
        fs::write(dir.join(".ghtoken"), TOKEN).unwrap();
    }
    let mut logs = String::new();
    for image in images {
        logs += &new.build(image);
        // Twice, so that what there is comes from the old cache.
        old.build(image);
        old.build(image);
        assert_same(&old, &new, image, "cold");
    }
    let warm = new.how().into_iter().filter(|(_, how)| how == "warm").map(|(name, _)| name);
    assert_eq!(warm.collect::<Vec<_>>(), ["crumb", "pantry"], "what the first image has");
    // With tools to look into the image.
    logs += &new.make("build-dev", "gateway");
    old.make("build-dev", "gateway");
    assert_same(&old, &new, "gateway-dev", "a profile");
    assert!(new.output("gateway-dev").join("etc/devmode").exists());
    assert_eq!(new.last("pantry"), (0, false));
    // The commands are in the log, as before, but not what is in the clone's environment.
    assert!(logs.contains("+ mkosi-chroot bash -c"), "{logs}");
    assert!(!logs.contains(TOKEN));
    for place in [new.store.as_ref().unwrap(), &new.dir.join("mkosi.output")] {
        let grep = Command::new("grep").args(["-rlF", TOKEN]).arg(place).output().unwrap();
        let found = String::from_utf8(grep.stdout).unwrap();
        assert_eq!(found, "", "the token is in {}", place.display());
    }
}

/// Changes one input in both fleets: the old scripts go on serving what they have, larder builds what a
/// build from nothing does.
fn change(old: &Fleet, new: &Fleet, what: &str, change: impl Fn(&Fleet)) {
    let before = old.mint();
    change(old);
    change(new);
    old.build("bar");
    assert!(old.mint() == before, "{what}: the old cache is expected to hide it");
    assert_eq!(old.how()["mint"], "kept", "{what}");
    new.build("bar");
    old.forget();
    old.build("bar");
    assert!(old.mint() != before, "{what} has to change the bytes");
    old.build("bar");
    assert_same(old, new, "bar", what);
    new.build("bar");
    assert_eq!(new.how()["mint"], "warm", "{what}: warm afterwards");
    assert_same(old, new, "bar", what);
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn what_the_old_cache_serves_although_it_is_stale_larder_builds() {
    let (old, mut new) =
        (Fleet::old("stale", "25.3", Mode::Own), Fleet::adopted("stale", "25.3", Mode::Own));
    new.make_store("stale", "25.3");
    old.build("bar");
    new.build("bar");
    assert!(new.mint() == old.mint());
    let settings = "scripts/rust_package.sh";
    change(&old, &new, "RUSTFLAGS", |fleet| {
        fleet.edit(settings, "build-id=none", "build-id=0x1234");
    });
    change(&old, &new, "the profile", |fleet| fleet.edit(settings, "abort", "unwind"));
    change(&old, &new, "a C library", |fleet| {
        fleet.edit("upstream/sugar/sugar.c", "leaves / 4", "leaves / 3 + 7");
        fleet.git("upstream/sugar", &["commit", "-qam", "Sweeter"]);
        fleet.git("upstream/sugar", &["tag", "v1.1.0"]);
        fleet.edit("modules/bar/mkosi.build", "SUGAR=v1.0.0", "SUGAR=v1.1.0");
    });
    change(&old, &new, "the rustc package", |fleet| {
        Said::of(&fleet.command("toolchains/switch").arg("1.96").output().unwrap()).succeeds();
    });
}
