//! By behaviour, with the real git.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use filetime::FileTime;

use super::*;
use crate::base::moment::Moment;
use crate::base::tree::ChangeKind;

/// A directory with a checkout, caches of Cargo, and whatever a test puts beside them.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        scene.write("source/Cargo.toml", "[package]\nname = \"app\"\n");
        scene.write("source/src/main.rs", "fn main() {}");
        scene.write("source/.gitignore", "ignored\n/target/\n");
        scene
    }

    /// With a repository of one commit and one tag.
    fn with_git() -> Self {
        let scene = Self::new();
        scene.git("source", &["init", "-q", "-b", "main"]);
        scene.commit("source", "one");
        scene.git("source", &["tag", "-a", "v1", "-m", "v1"]);
        scene
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn place(&self) -> Where {
        Where {
            source: self.path("source"),
            built: Built::at(self.path("source/target")),
            downloads: Downloads {
                registry: self.path("cargo/registry"),
                git: self.path("cargo/git"),
                kept: false,
            },
            root: PathBuf::from("/"),
            ..Where::default()
        }
    }

    fn try_git(&self, at: &str, arguments: &[&str]) -> (String, bool) {
        let mut command = Command::new("git");
        command.args([
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@y",
            "-c",
            "protocol.file.allow=always",
        ]);
        let output = command.current_dir(self.path(at)).args(arguments).output().unwrap();
        (String::from_utf8(output.stdout).unwrap().trim().to_owned(), output.status.success())
    }

    fn git(&self, at: &str, arguments: &[&str]) -> String {
        let (text, success) = self.try_git(at, arguments);
        assert!(success, "git {arguments:?}");
        text
    }

    fn commit(&self, at: &str, message: &str) {
        self.git(at, &["add", "-A"]);
        self.git(at, &["commit", "-q", "--allow-empty", "-m", message]);
    }

    fn clone_to(&self, name: &str) -> Where {
        self.git(".", &["clone", "-q", "source", name]);
        Where {
            source: self.path(name),
            built: Built::at(self.path(name).join("target")),
            ..self.place()
        }
    }
}

fn look(place: &Where) -> SourceState {
    observe(place, None).unwrap()
}

fn ctime(path: &Path) -> Moment {
    let metadata = path.symlink_metadata().unwrap();
    Moment::of(metadata.ctime(), metadata.ctime_nsec())
}

#[test]
fn every_change_of_the_checkout_is_seen_but_not_of_git_and_target() {
    let scene = Scene::with_git();
    scene.write("source/ignored", "1");
    let old = look(&scene.place());
    scene.write("source/target/debug/x", "");
    scene.write("source/.git/COMMIT_EDITMSG.lock", "");
    assert!(look(&scene.place()).changes_since(&old).is_empty());
    scene.write("source/ignored", "2");
    let main = scene.path("source/src/main.rs");
    fs::set_permissions(main, fs::Permissions::from_mode(0o755)).unwrap();
    let changes = look(&scene.place()).changes_since(&old);
    let paths: Vec<_> =
        changes.checkout.iter().map(|change| change.path.to_str().unwrap()).collect();
    assert_eq!(paths, ["ignored", "src/main.rs"]);
    assert!(changes.git.is_empty() && changes.touches_local());
}

#[test]
fn a_fresh_clone_is_the_same_as_the_clone_before() {
    let scene = Scene::with_git();
    scene.clone_to("first");
    let rename = |from: &str, to: &str| fs::rename(scene.path(from), scene.path(to)).unwrap();
    rename("first", "clone");
    let place = Where { source: scene.path("clone"), ..scene.place() };
    let old = observe(&place, None).unwrap();
    scene.git("clone", &["pack-refs", "--all"]);
    scene.git("clone", &["gc", "-q"]);
    let packed = observe(&place, Some(&old)).unwrap();
    assert_eq!(packed.changes_since(&old), SourceChanges::default());
    rename("clone", "gone");
    scene.clone_to("second");
    rename("second", "clone");
    let new = observe(&place, Some(&old)).unwrap();
    assert_eq!(new.changes_since(&old), SourceChanges::default());
}

#[test]
fn what_git_would_answer_differently_is_a_change() {
    let scene = Scene::with_git();
    let place = scene.place();
    let change = |act: &dyn Fn()| {
        let old = look(&place);
        act();
        observe(&place, Some(&old)).unwrap().changes_since(&old).git
    };
    let tag = change(&|| drop(scene.git("source", &["tag", "v2"])));
    assert_eq!(tag, ["refs/tags/v2"]);
    let commit = change(&|| scene.commit("source", "two"));
    assert!(commit[0].starts_with("HEAD is "), "{commit:?}");
    let branch = change(&|| drop(scene.git("source", &["checkout", "-q", "-b", "other"])));
    assert!(branch.contains(&".git/HEAD".to_owned()), "{branch:?}");
    let staged = change(&|| {
        scene.write("source/new", "");
        scene.git("source", &["add", "new"]);
    });
    assert_eq!(staged, ["index"]);
    let config = change(&|| drop(scene.git("source", &["config", "core.abbrev", "12"])));
    assert!(config.contains(&".git/config".to_owned()), "{config:?}");
    assert!(change(&|| drop(scene.git("source", &["status"]))).is_empty());
    let removed = change(&|| fs::rename(scene.path("source/.git"), scene.path("x")).unwrap());
    assert_eq!(removed, ["repository removed"]);
}

#[test]
fn each_version_of_the_index_reads_the_same() {
    let scene = Scene::with_git();
    for name in ["a", "a b/c", "a b/d", "e"] {
        scene.write(&format!("source/{name}"), name);
    }
    scene.commit("source", "more");
    let old = look(&scene.place());
    for version in ["4", "3", "2"] {
        scene.git("source", &["update-index", "--index-version", version]);
        assert!(look(&scene.place()).changes_since(&old).is_empty(), "{version}");
    }
    scene.git("source", &["update-index", "--split-index"]);
    let split = look(&scene.place());
    assert!(!split.changes_since(&old).is_empty());
    scene.git("source", &["update-index", "--no-split-index", "--assume-unchanged", "e"]);
    assert_eq!(look(&scene.place()).changes_since(&old).git.last().unwrap(), "index");
}

#[test]
fn submodules_and_linked_working_trees_are_repositories() {
    let scene = Scene::with_git();
    scene.git("source", &["clone", "-q", ".", "../inner"]);
    scene.git("source", &["submodule", "-q", "add", "../inner", "deps/inner"]);
    scene.commit("source", "with submodule");
    let place = scene.place();
    let old = look(&place);
    assert_eq!(old.git.repositories.len(), 2);
    scene.git("source/deps/inner", &["tag", "v9"]);
    let changes = observe(&place, Some(&old)).unwrap().changes_since(&old);
    assert_eq!(changes.git, ["deps/inner: refs/tags/v9"]);
    scene.git("source", &["worktree", "add", "-q", "../tree", "-b", "side"]);
    let place =
        Where { source: scene.path("tree"), built: Built::at(scene.path("tree/target")), ..place };
    let old = look(&place);
    scene.git("source", &["tag", "v3"]);
    let changes = observe(&place, Some(&old)).unwrap().changes_since(&old);
    assert_eq!(changes.git, ["refs/tags/v3"]);
}

#[test]
fn a_checkout_below_the_top_belongs_to_its_repository() {
    let scene = Scene::with_git();
    scene.write("source/part/Cargo.toml", "[package]\nname = \"part\"\n");
    scene.commit("source", "part");
    let source = scene.path("source/part");
    let place = Where { built: Built::at(source.join("target")), source, ..scene.place() };
    let old = look(&place);
    scene.write("source/part/target/x", "");
    assert!(look(&place).changes_since(&old).is_empty());
    scene.write("source/src/main.rs", "fn main() { }");
    let changes = look(&place).changes_since(&old).git;
    assert_eq!(changes.len(), 1);
    assert!(changes[0].ends_with("status outside of the checkout"), "{changes:?}");
}

/// Everything below a path, `.git` too, by path: mode and stamp.
fn stamps(path: &Path) -> Vec<(PathBuf, u32, crate::base::tree::Stamp)> {
    let all = walkdir::WalkDir::new(path).sort_by_file_name().into_iter();
    let stamp = |entry: walkdir::DirEntry| {
        let it = entry.metadata().unwrap();
        (entry.into_path(), it.mode(), crate::base::tree::Stamp::of(&it))
    };
    all.map(|entry| stamp(entry.unwrap())).collect()
}

#[test]
fn looking_changes_no_time_and_nothing_else() {
    let scene = Scene::with_git();
    symlink("src/main.rs", scene.path("source/link")).unwrap();
    symlink("/nowhere", scene.path("source/dangling")).unwrap();
    fs::hard_link(scene.path("source/src/main.rs"), scene.path("source/hard")).unwrap();
    scene.write("source/ignored", "");
    scene.write("source/part/Cargo.toml", "[package]\nname = \"part\"\n");
    // Racy for git, and dirty: whoever refreshes the index would write it.
    scene.write("source/src/main.rs", "fn niam() {}");
    scene.git("source", &["worktree", "add", "-q", "../tree", "-b", "side"]);
    let part = scene.path("source/part");
    let places = [
        scene.place(),
        Where { built: Built::at(part.join("target")), source: part, ..scene.place() },
        Where {
            source: scene.path("tree"),
            built: Built::at(scene.path("tree/target")),
            ..scene.place()
        },
    ];
    let before = stamps(scene.0.path());
    for place in places {
        let state = observe(&place, None).unwrap();
        assert!(observe(&place, Some(&state)).unwrap().changes_since(&state).is_empty());
    }
    assert_eq!(stamps(scene.0.path()), before);
}

#[test]
fn a_time_that_somebody_set_is_content() {
    let scene = Scene::new();
    let file = scene.path("source/src/main.rs");
    let set = |seconds| filetime::set_file_mtime(&file, FileTime::from_unix_time(seconds, 0));
    let copy = || {
        fs::copy(&file, scene.path("copy")).unwrap();
        fs::rename(scene.path("copy"), &file).unwrap();
    };
    let old = look(&scene.place());
    copy();
    assert_eq!(look(&scene.place()).changes_since(&old), SourceChanges::default(), "a fresh clone");
    set(1_700_000_000).unwrap();
    let dated = look(&scene.place());
    let changes = dated.changes_since(&old);
    assert_eq!(changes.dated, [PathBuf::from("src/main.rs")]);
    assert!(changes.checkout.is_empty() && changes.touches_local());
    copy();
    set(1_700_000_000).unwrap();
    assert_eq!(look(&scene.place()).changes_since(&dated), SourceChanges::default(), "the same");
    copy();
    assert_eq!(look(&scene.place()).changes_since(&dated).dated.len(), 1, "nobody set it");
}

#[test]
fn a_state_survives_being_written_down() {
    use std::os::unix::ffi::OsStrExt;
    let scene = Scene::with_git();
    let odd = std::ffi::OsStr::from_bytes(b"odd \xff name");
    fs::write(scene.path("source").join(odd), "x").unwrap();
    scene.write("source/vendor/a/Cargo.toml", "[dependencies]\nx = { path = \"../../../x\" }\n");
    let inputs = [Path::new("/tmp").join(odd)].into_iter().collect();
    let state = look(&Where { inputs, ..scene.place() });
    let written = postcard::to_stdvec(&state).unwrap();
    assert_eq!(postcard::from_bytes::<SourceState>(&written).unwrap(), state);
}

const LOCK: &str = "version = 4\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\"dep\", \"far\"]\n[[package]]\nname = \"dep\"\nversion = \"1.2.3\"\nsource = \"registry+https://x\"\n[[package]]\nname = \"far\"\nversion = \"0.1.0\"\nsource = \"git+https://y?branch=z#0123456789abcdef\"\n";

fn texts(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn packages_from_outside_count_by_content() {
    let scene = Scene::new();
    scene.write("source/Cargo.lock", LOCK);
    scene.write("cargo/registry/src/index-1/dep-1.2.3/src/lib.rs", "1");
    scene.write("cargo/registry/src/index-1/dep-1.2.4/src/lib.rs", "1");
    scene.write("cargo/git/checkouts/y-1/0123456/far/src/lib.rs", "1");
    scene.write("cargo/git/checkouts/y-1/0123456/.git/HEAD", "1");
    let place = scene.place();
    let old = look(&place);
    assert_eq!(old.local(), texts(&["app"]));
    scene.write("cargo/registry/src/index-1/dep-1.2.4/src/lib.rs", "2");
    scene.write("cargo/git/checkouts/y-1/0123456/.git/HEAD", "2");
    filetime::set_file_mtime(
        scene.path("cargo/registry/src/index-1/dep-1.2.3/src/lib.rs"),
        FileTime::zero(),
    )
    .unwrap();
    let new = observe(&place, Some(&old)).unwrap();
    assert!(new.changes_since(&old).is_empty());
    scene.write("cargo/registry/src/index-1/dep-1.2.3/src/lib.rs", "2");
    let new = observe(&place, Some(&old)).unwrap();
    assert_eq!(new.changes_since(&old).packages, texts(&["dep 1.2.3"]));
    scene.write("cargo/git/checkouts/y-1/0123456/far/new", "");
    let newer = observe(&place, Some(&new)).unwrap();
    let changes = newer.changes_since(&new);
    assert_eq!(changes.packages, texts(&["far 0.1.0"]));
    assert!(!changes.touches_local());
}

#[test]
fn a_vendored_package_counts_as_itself_and_for_the_checkout() {
    let scene = Scene::new();
    scene.write("source/Cargo.lock", LOCK);
    scene.write("source/vendor/dep/Cargo.toml", "[package]\nname = \"dep\"\n");
    scene.write("source/vendor/dep/.cargo-checksum.json", "{}");
    scene.write("source/vendor/dep/src/lib.rs", "1");
    scene.write("elsewhere/far-0.1.0/lib.rs", "1");
    let place = Where { vendor: vec![scene.path("elsewhere")], ..scene.place() };
    let old = look(&place);
    assert_eq!(old.local(), texts(&["app"]));
    scene.write("source/vendor/dep/src/lib.rs", "2");
    scene.write("elsewhere/far-0.1.0/lib.rs", "2");
    let changes = observe(&place, Some(&old)).unwrap().changes_since(&old);
    assert_eq!(changes.packages, texts(&["dep", "far 0.1.0"]));
    assert_eq!(changes.checkout.len(), 1);
}

#[test]
fn what_the_build_itself_brings_is_no_change() {
    let scene = Scene::new();
    let place = scene.place();
    scene.write("input", "1");
    let mut state = look(&place);
    std::thread::sleep(std::time::Duration::from_millis(20));
    let started = Moment::now();
    scene.write("source/Cargo.lock", LOCK);
    std::thread::sleep(std::time::Duration::from_millis(20));
    let first_unit = Some(Moment::now());
    scene.write("cargo/registry/src/index-1/dep-1.2.3/src/lib.rs", "1");
    scene.write("late", "1");
    let inputs = ["input", "late"].map(|name| scene.path(name)).into_iter().collect();
    let place = Where { inputs, ..place };
    assert!(state.learn(&place, Attempt { started, first_unit }, &BTreeMap::new()).unwrap());
    assert_eq!(state.lock.as_ref().unwrap().packages.len(), 3);
    let new = observe(&place, Some(&state)).unwrap();
    let expected = SourceChanges {
        inputs: vec![scene.path("late")],
        packages: texts(&["far 0.1.0"]),
        ..SourceChanges::default()
    };
    let mut changes = new.changes_since(&state);
    assert_eq!(changes.inputs, expected.inputs);
    changes.packages.insert("far 0.1.0".to_owned());
    assert_eq!(changes, expected);
    assert!(
        !state
            .learn(
                &Where { inputs: BTreeSet::new(), ..place },
                Attempt { started, first_unit },
                &BTreeMap::new()
            )
            .unwrap()
    );
}

#[test]
fn a_lock_file_that_changed_while_units_were_made_is_a_change() {
    let scene = Scene::new();
    let mut state = look(&scene.place());
    let started = Moment::now();
    scene.write("unit", "");
    let first_unit = Some(ctime(&scene.path("unit")));
    // What comes in the same tick of the file clock came before: Cargo writes the lock file, starts a
    // unit, and no process reads anything within the tick in which it was started.
    std::thread::sleep(std::time::Duration::from_millis(20));
    scene.write("source/Cargo.lock", LOCK);
    let this = Attempt { started, first_unit };
    assert!(!state.learn(&scene.place(), this, &BTreeMap::new()).unwrap());
    let changes = look(&scene.place()).changes_since(&state).checkout;
    assert_eq!(changes[0].path, Path::new("Cargo.lock"));
    assert_eq!(changes[0].kind, ChangeKind::Added);
}

#[test]
fn path_dependencies_outside_are_followed() {
    let scene = Scene::new();
    let manifest = "[package]\nname = \"app\"\n[dependencies]\nnear = { path = \"../near\" }\n";
    scene.write("source/Cargo.toml", manifest);
    scene.write("near/Cargo.toml", "[package]\nname = \"near\"\nbuild = \"../shared.rs\"\n[dependencies]\nfar = { path = \"../x/../far\" }\n");
    scene.write("near/target/CACHEDIR.TAG", "");
    scene.write("far/Cargo.toml", "[package]\nname = \"far\"\n");
    scene.write("shared.rs", "");
    scene.write("linked.rs", "1");
    scene.write("dir/deep/y", "1");
    symlink("../../linked.rs", scene.path("source/src/linked.rs")).unwrap();
    symlink(scene.path("dir"), scene.path("source/dir")).unwrap();
    symlink("/usr/share", scene.path("source/system")).unwrap();
    symlink("..", scene.path("source/around")).unwrap();
    let place = scene.place();
    let old = look(&place);
    assert_eq!(old.local(), texts(&["app", "far", "near"]));
    let places: Vec<_> = old.outside.places().map(Path::to_owned).collect();
    let expected = ["dir", "far", "linked.rs", "near", "shared.rs"].map(|name| scene.path(name));
    assert_eq!(places, expected);
    scene.write("near/target/x", "");
    assert!(observe(&place, Some(&old)).unwrap().changes_since(&old).is_empty());
    for name in ["far/new", "linked.rs", "shared.rs", "dir/deep/y"] {
        let old = look(&place);
        scene.write(name, "2");
        let changes = observe(&place, Some(&old)).unwrap().changes_since(&old);
        assert_eq!(changes.outside.len(), 1, "{name}");
        assert!(changes.touches_local());
    }
}

#[test]
fn inputs_are_looked_for_inside_the_root() {
    let scene = Scene::new();
    scene.write("root/usr/include/x.h", "1");
    symlink("/usr/include", scene.path("root/include")).unwrap();
    let inputs = ["/include/x.h", "/include", "/none"].map(PathBuf::from).into_iter().collect();
    let place = Where { root: scene.path("root"), inputs, ..scene.place() };
    let old = look(&place);
    scene.write("root/usr/include/x.h", "2");
    let new = observe(&place, Some(&old)).unwrap();
    let expected = ["/include", "/include/x.h"].map(PathBuf::from);
    assert_eq!(new.changes_since(&old).inputs, expected);
    scene.write("root/none", "");
    assert_eq!(look(&place).changes_since(&new).inputs, [PathBuf::from("/none")]);
}

#[test]
fn a_checkout_without_git_works() {
    let scene = Scene::new();
    let state = observe(&scene.place(), None).unwrap();
    assert!(state.git.repositories.is_empty());
    assert_eq!(state.local(), texts(&["app"]));
}

#[test]
fn how_short_head_is_follows_from_the_objects() {
    use super::git::abbreviated;
    let scene = Scene::with_git();
    let compare = |at: &str| {
        let shown = |words: &[&str]| u32::try_from(scene.git(at, words).len()).unwrap();
        let by_default = shown(&["rev-parse", "--short", "HEAD"]);
        // git writes four digits at least.
        let unique = shown(&["rev-parse", "--short=4", "HEAD"]);
        let place = Where { source: scene.path(at), ..scene.place() };
        let (digits, ours) = abbreviated(&place, &scene.path(at)).unwrap();
        assert_eq!((digits, ours), (by_default, unique), "{at}");
        unique
    };
    let mut most = 0;
    for round in 0..8 {
        let mut input = String::new();
        for number in 0..800 * round {
            let _ = write!(input, "blob\ndata <<x\n{round} {number}\nx\n");
        }
        scene.write("blobs", &input);
        let packed = Command::new("git")
            .args(["fast-import", "--quiet"])
            .current_dir(scene.path("source"))
            .stdin(fs::File::open(scene.path("blobs")).unwrap())
            .status();
        assert!(packed.unwrap().success());
        scene.commit("source", &round.to_string());
        most = most.max(compare("source"));
    }
    for again in 0..12 {
        scene.commit("source", &again.to_string());
        most = most.max(compare("source"));
    }
    assert!(most > 4, "no two names began alike");
    scene.git(".", &["clone", "-q", "--shared", "source", "borrower"]);
    scene.commit("borrower", "own");
    compare("borrower");
    scene.git("source", &["gc", "-q"]);
    compare("source");
    scene.git("source", &["worktree", "add", "-q", "../linked"]);
    compare("linked");
    scene.git(".", &["init", "-q", "--object-format=sha256", "long"]);
    scene.commit("long", "one");
    compare("long");
}

/// What tells how many objects there are is in another form.
#[test]
fn what_is_not_understood_of_a_repository_is_asked_of_git() {
    let scene = Scene::with_git();
    let import = |at: &str, objects: u32| {
        let mut input = String::new();
        for number in 0..objects {
            let _ = write!(input, "blob\ndata <<x\n{number}\nx\n");
        }
        scene.write("blobs", &input);
        let mut import = Command::new("git");
        import.args(["fast-import", "--quiet"]).current_dir(scene.path(at));
        import.stdin(fs::File::open(scene.path("blobs")).unwrap());
        assert!(import.status().unwrap().success());
    };
    let changes = |at: &str, act: &dyn Fn()| {
        let place = Where { source: scene.path(at), ..scene.place() };
        let (old, short) = (look(&place), scene.git(at, &["rev-parse", "--short", "HEAD"]));
        act();
        assert_ne!(short, scene.git(at, &["rev-parse", "--short", "HEAD"]), "{at}");
        let changes = observe(&place, Some(&old)).unwrap().changes_since(&old).git;
        assert!(changes.contains(&"HEAD is abbreviated differently".to_owned()), "{changes:?}");
    };
    // The same objects in two packs count twice, until an index over both counts them once.
    import("source", 9000);
    scene.git(".", &["init", "-q", "other"]);
    import("other", 9001);
    for file in fs::read_dir(scene.path("other/.git/objects/pack")).unwrap() {
        let file = file.unwrap();
        let copy = scene.path("source/.git/objects/pack").join(file.file_name());
        fs::copy(file.path(), copy).unwrap();
    }
    changes("source", &|| drop(scene.git("source", &["multi-pack-index", "write"])));
    scene.git(".", &["clone", "-q", "source", "quoted"]);
    scene.git(".", &["init", "-q", "lent"]);
    import("lent", 20_000);
    let lent = scene.path("lent/.git/objects").display().to_string().replace("lent", "l\\145nt");
    changes("quoted", &|| {
        scene.write("quoted/.git/objects/info/alternates", &format!("\"{lent}\"\n"));
    });
}

#[test]
fn what_is_not_committed_is_told_without_filters() {
    use super::git::uncommitted;
    let scene = Scene::with_git();
    let (filter, ran) = (scene.path("filter"), scene.path("ran"));
    scene.write("filter", &format!("#!/bin/sh\ntouch '{}'\ncat\n", ran.display()));
    fs::set_permissions(&filter, fs::Permissions::from_mode(0o755)).unwrap();
    scene.git("source", &["config", "filter.x=y.clean", filter.to_str().unwrap()]);
    scene.git("source", &["config", "core.fsmonitor", filter.to_str().unwrap()]);
    scene.write("source/.git/info/attributes", "* filter=x=y\n");
    let said = || {
        let said = uncommitted(&scene.path("source"), &[Path::new("src/main.rs")]);
        String::from_utf8(said.unwrap()).unwrap()
    };
    assert_eq!(said(), "");
    scene.write("source/src/main.rs", "fn main() { }");
    assert_eq!(said(), " M src/main.rs\n");
    assert!(!ran.exists());
    assert_eq!(uncommitted(&scene.path("."), &[Path::new("filter")]), None);
}
