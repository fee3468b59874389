//! What `larder init` chooses for images of all settings, as the real mkosi then sees it; and that
//! what it chose, and what it did to build scripts, works.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use serde_json::Value;

use crate::image::{Image, Mode, Said, modes, versions};

/// What `init` is to do.
enum Wanted {
    /// This include file of the store; where scripts find the store, and the directory of the
    /// repository that holds it, if it is not the store itself.
    Include { name: &'static str, build_directory: Option<&'static str> },
    /// Nothing, with these parts of its reason.
    Refusal(&'static [&'static str]),
}

/// An image repository, and what becomes of it.
struct Row {
    name: &'static str,
    /// Files, or directories if they end in a slash.
    files: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
    wanted: Wanted,
}

const PLAIN: Wanted = Wanted::Include { name: "mkosi.conf", build_directory: None };
const OWN: Wanted = Wanted::Include { name: "mkosi-own-sources.conf", build_directory: None };

const fn ephemeral(directory: &'static str) -> Wanted {
    Wanted::Include { name: "mkosi-ephemeral.conf", build_directory: Some(directory) }
}

const EPHEMERAL: (&str, &str) = ("mkosi.conf.d/e.conf", "[Build]\nBuildSourcesEphemeral=yes\n");
const BUILD_CACHE: (&str, &str) =
    ("mkosi.conf.d/e.conf", "[Build]\nBuildSourcesEphemeral=buildcache\n");
const SOURCES: (&str, &str) = ("mkosi.conf.d/s.conf", "[Build]\nBuildSources=src:app\n");

const ROWS: &[Row] = &[
    Row { name: "nothing is set", files: &[], arguments: &[], wanted: PLAIN },
    Row {
        name: "the repository is named",
        files: &[("mkosi.conf.d/s.conf", "[Build]\nBuildSources=.\n")],
        arguments: &[],
        wanted: OWN,
    },
    Row { name: "sources", files: &[SOURCES, ("src/", "")], arguments: &[], wanted: OWN },
    Row {
        name: "sources on the command line",
        files: &[("src/", "")],
        arguments: &["--build-sources=src:app"],
        wanted: OWN,
    },
    Row {
        name: "sources in mkosi.local.conf",
        files: &[("src/", ""), ("mkosi.local.conf", "[Build]\nBuildSources=src:app\n")],
        arguments: &[],
        wanted: OWN,
    },
    Row {
        name: "mkosi.local.conf with something else",
        files: &[("mkosi.local.conf", "[Build]\nWithTests=no\n")],
        arguments: &[],
        wanted: PLAIN,
    },
    Row {
        name: "incremental",
        files: &[("mkosi.cache/", "")],
        arguments: &["--incremental=yes"],
        wanted: PLAIN,
    },
    Row {
        name: "a build directory without need",
        files: &[("mkosi.builddir/", "")],
        arguments: &[],
        wanted: PLAIN,
    },
    Row {
        name: "ephemeral, nowhere to keep anything",
        files: &[EPHEMERAL],
        arguments: &[],
        wanted: Wanted::Refusal(&[
            "BuildSourcesEphemeral=yes",
            "mkosi.builddir",
            "BuildDirectory=",
        ]),
    },
    Row {
        name: "build cache, nowhere to keep anything",
        files: &[BUILD_CACHE],
        arguments: &[],
        wanted: Wanted::Refusal(&["BuildSourcesEphemeral=buildcache", "BuildSourcesEphemeral=no"]),
    },
    Row {
        name: "ephemeral, mkosi.builddir",
        files: &[EPHEMERAL, ("mkosi.builddir/", "")],
        arguments: &[],
        wanted: ephemeral("mkosi.builddir"),
    },
    Row {
        name: "ephemeral, build directory in a file",
        files: &[EPHEMERAL, ("mkosi.conf.d/b.conf", "[Build]\nBuildDirectory=bd\n")],
        arguments: &[],
        wanted: ephemeral("bd"),
    },
    Row {
        name: "ephemeral, build directory on the command line",
        files: &[EPHEMERAL],
        arguments: &["--build-directory=elsewhere/bd"],
        wanted: ephemeral("elsewhere/bd"),
    },
    Row {
        name: "all on the command line",
        files: &[],
        arguments: &["--build-sources-ephemeral=yes", "--build-directory=bd"],
        wanted: ephemeral("bd"),
    },
    Row {
        name: "build cache, incremental",
        files: &[BUILD_CACHE, ("mkosi.builddir/", ""), ("mkosi.cache/", "")],
        arguments: &["--incremental=yes"],
        wanted: ephemeral("mkosi.builddir"),
    },
    Row {
        name: "an included build directory does not count beside mkosi.builddir",
        files: &[EPHEMERAL, ("mkosi.builddir/", ""), ("a.conf", "[Build]\nBuildDirectory=bd\n")],
        arguments: &["--include=a.conf"],
        wanted: ephemeral("mkosi.builddir"),
    },
    Row {
        name: "an included build directory counts without it",
        files: &[EPHEMERAL, ("a.conf", "[Build]\nBuildDirectory=bd\n")],
        arguments: &["--include=a.conf"],
        wanted: ephemeral("bd"),
    },
    Row {
        name: "ephemeral by mkosi.local.conf",
        files: &[
            ("mkosi.builddir/", ""),
            ("mkosi.local.conf", "[Build]\nBuildSourcesEphemeral=yes\n"),
        ],
        arguments: &[],
        wanted: ephemeral("mkosi.builddir"),
    },
    Row {
        name: "ephemeral by a profile",
        files: &[
            ("mkosi.builddir/", ""),
            ("mkosi.profiles/p.conf", "[Build]\nBuildSourcesEphemeral=yes\n"),
        ],
        arguments: &["--profile=p"],
        wanted: ephemeral("mkosi.builddir"),
    },
    Row {
        name: "a profile that nobody asks for",
        files: &[("mkosi.profiles/p.conf", "[Build]\nBuildSourcesEphemeral=yes\n")],
        arguments: &[],
        wanted: PLAIN,
    },
    Row {
        name: "ephemeral and sources",
        files: &[EPHEMERAL, SOURCES, ("src/", ""), ("mkosi.builddir/", "")],
        arguments: &[],
        wanted: Wanted::Include {
            name: "mkosi-ephemeral-own-sources.conf",
            build_directory: Some("mkosi.builddir"),
        },
    },
    Row {
        name: "an image that compiles for the main one",
        files: &[
            ("mkosi.conf.d/d.conf", "[Config]\nDependencies=tool\n"),
            ("mkosi.images/tool/mkosi.conf", "[Output]\nFormat=directory\n"),
            ("mkosi.images/tool/mkosi.build", "#!/bin/sh\ntrue\n"),
        ],
        arguments: &[],
        wanted: PLAIN,
    },
    Row {
        name: "a script for the inside",
        files: &[("mkosi.build.chroot", "#!/bin/sh\ntrue\n")],
        arguments: &[],
        wanted: PLAIN,
    },
];

/// What mkosi says of the main image.
fn summary(image: &Image, arguments: &[&str]) -> Value {
    let said = image.mkosi(&[arguments, &["--json", "summary"]].concat());
    said.succeeds();
    // A warning may stand before it.
    let json = &said.text[said.text.find('{').unwrap()..=said.text.rfind('}').unwrap()];
    let summary: Value = serde_json::from_str(json).unwrap();
    summary["Images"].as_array().unwrap().last().unwrap().clone()
}

fn sources(summary: &Value) -> Vec<Value> {
    summary["BuildSources"].as_array().unwrap().clone()
}

fn make(image: &Image, row: &Row) {
    let (dirs, files): (Vec<_>, Vec<_>) =
        row.files.iter().copied().partition(|(name, _)| name.ends_with('/'));
    for (dir, _) in dirs {
        fs::create_dir_all(image.root().join(dir)).unwrap();
    }
    image.put(&files);
}

fn try_row(image: &Image, row: &Row, label: &str) {
    image.reset();
    make(image, row);
    let files_before = image.changed_files();
    if let Wanted::Refusal(parts) = &row.wanted {
        let store = image.dir().join("no-store");
        let said = image.init_at(&store, row.arguments);
        assert_eq!(said.code, 1, "{label}: {said:#?}");
        assert_eq!(said.text.lines().count(), 1, "{label}: {said:#?}");
        assert!(parts.iter().all(|part| said.text.contains(part)), "{label}: {said:#?}");
        assert!(!store.exists(), "{label}: a store was made");
        return;
    }
    let before = summary(image, row.arguments);
    let said = image.init_with(&["--json"], row.arguments);
    let (name, build_directory) = match &row.wanted {
        Wanted::Refusal(_) => return,
        Wanted::Include { name, build_directory } => (*name, *build_directory),
    };
    assert_eq!(said.code, 0, "{label}: {said:#?}");
    assert_eq!(image.changed_files(), files_before, "{label}: something is in the repository");
    let report: Value = serde_json::from_str(&said.text).unwrap();
    let include = image.store().join(name);
    assert_eq!(report["include"], include.to_str().unwrap(), "{label}");
    let inner = build_directory
        .map(|directory| image.root().join(directory).join("debian~trixie~x86-64/larder"));
    let store = inner.clone().unwrap_or_else(|| image.store());
    assert_eq!(report["images"][0]["store"], store.to_str().unwrap(), "{label}: {report:#}");
    let sandbox = if inner.is_some() { "/work/build/larder" } else { "/work/larder" };
    assert_eq!(report["images"][0]["sandbox"], sandbox, "{label}");
    let option = format!("--include={}", include.display());
    let after = summary(image, &[row.arguments, &[&option]].concat());
    let mounted =
        if inner.is_some() { image.store().join("larder-sandbox") } else { image.store() };
    let ours = serde_json::json!({"Source": mounted, "Target": "../larder"});
    let mut wanted = sources(&before);
    wanted.push(ours.clone());
    let sort = |mut list: Vec<Value>| {
        list.sort_by_key(ToString::to_string);
        list
    };
    assert_eq!(sort(sources(&after)), sort(wanted), "{label}");
    for key in ["BuildSourcesEphemeral", "BuildDirectory", "BuildSubdirectory", "Environment"] {
        assert_eq!(after[key], before[key], "{label}: {key}");
    }
    let text = fs::read_to_string(&include).unwrap();
    assert_eq!(text.contains("BuildSources=.\n"), !name.contains("own-sources"), "{label}: {text}");
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn init_chooses_right_for_all_settings() {
    let modes = modes();
    for (older, version) in versions().into_iter().enumerate() {
        for (index, mode) in modes.iter().enumerate() {
            let image = Image::bare("settings", version, *mode);
            for (number, row) in ROWS.iter().enumerate() {
                // Each in one mode with each version, the first in all.
                if number == 0 || index == (number + older) % modes.len() {
                    try_row(&image, row, &format!("{} with {version} as {mode:?}", row.name));
                }
            }
        }
    }
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn init_knows_where_mkosi_puts_builds_of_another_key() {
    let image = Image::bare("key", "27.1", modes()[0]);
    fs::create_dir(image.root().join("mkosi.builddir")).unwrap();
    image.put(&[("mkosi.conf.d/k.conf", "[Build]\nBuildKey=mine\nBuildSourcesEphemeral=yes\n")]);
    let said = image.init_with(&["--json"], &[]);
    said.succeeds();
    let report: Value = serde_json::from_str(&said.text).unwrap();
    let store = image.root().join("mkosi.builddir/mine/larder");
    assert_eq!(report["images"][0]["store"], store.to_str().unwrap());
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn init_looks_at_each_image_that_it_is_given() {
    for version in versions() {
        let image = Image::bare("images", version, modes()[0]);
        fs::create_dir(image.root().join("src")).unwrap();
        image.put(&[
            ("images/a.conf", "[Config]\n"),
            ("images/b.conf", "[Build]\nBuildSources=src:app\n"),
            ("src/x", ""),
        ]);
        let said = image.init_with(&["--json", "--image", "a", "--image", "b"], &[]);
        said.succeeds();
        let report: Value = serde_json::from_str(&said.text).unwrap();
        let includes: Vec<&str> = report["images"]
            .as_array()
            .unwrap()
            .iter()
            .map(|image| Path::new(image["include"].as_str().unwrap()))
            .map(|path| path.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(includes, ["mkosi.conf", "mkosi-own-sources.conf"], "{version}");
        let said = image.init_with(&["--image", "c"], &[]);
        assert_eq!(said.code, 1, "{said:#?}");
    }
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn the_store_has_to_belong_to_whom_mkosi_works_for() {
    let user = modes().get(1).copied().unwrap_or(Mode::Own);
    let image = Image::bare("owner", "25.3", user);
    let wrapper = format!("unshare --map-auto --map-root-user {}", image.mkosi_path());
    image.larder_at(&image.store(), &["init", "--mkosi", &wrapper]).succeeds();
    if user == Mode::Own {
        // Only root can be somebody else besides.
        return;
    }
    let image = Image::bare("owner", "25.3", Mode::Own);
    let other = format!("runuser -u larder-test -- {}", image.mkosi_path());
    let said = image.larder_at(&image.store(), &["init", "--mkosi", &other]);
    assert_eq!(said.code, 1, "{said:#?}");
    assert!(said.text.contains("you are user 0") && said.text.contains("larder init"), "{said:#?}");
    assert!(!image.store().exists());
}

/// Scripts of all kinds: what is understood, what is sourced, and what is not touched.
const SCRIPTS: [(&str, &str); 6] = [
    (
        "mkosi.build",
        "#!/bin/bash\n# Builds.\nset -eu\n\n. \"$SRCDIR/lib/rust.sh\"\nbuild app\ncargo build --release\n",
    ),
    (
        "lib/rust.sh",
        "build() {\n    local name=$1\n    mkosi-chroot bash -c \"\n        cd '/build/$name'\n        cargo build --release\n    \"\n}\n",
    ),
    ("mkosi.build.d/10-inside.chroot", "#!/bin/sh\ncd \"$SRCDIR/app\" && cargo build"),
    ("mkosi.build.d/20-other", "#!/bin/sh\nX=y cargo build\n"),
    ("mkosi.build.d/30-python", "#!/usr/bin/python3\nprint('no compiler')\n"),
    ("Cargo.toml", "[package]\nname = 'kitchen'\n"),
];

fn read(image: &Image) -> Vec<(String, u32)> {
    let each = SCRIPTS.iter().map(|(name, _)| {
        let path = image.root().join(name);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        (fs::read_to_string(&path).unwrap(), mode)
    });
    each.collect()
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn init_changes_scripts_once_and_takes_all_back() {
    let mode = *modes().last().unwrap();
    let image = Image::bare("apply", "27.1", mode);
    image.put(&SCRIPTS);
    let before = read(&image);
    let shown = image.init_with(&[], &[]);
    shown.succeeds();
    assert_eq!((image.changed_files(), read(&image)), (String::new(), before.clone()));
    assert!(shown.text.contains("mkosi.build.d/20-other:2: "), "{}", shown.text);
    // What is shown is what git can apply, and what is done.
    let diff = shown.text.split("does it:\n\n").nth(1).unwrap();
    let diff = diff.split("\nbuild (lib/rust.sh:3) compiles for:\n").next().unwrap();
    fs::write(image.dir().join("shown.diff"), diff).unwrap();
    let git = |words: &[&str]| {
        let mut command = image.command("git");
        command.args(["-c", "safe.directory=*"]).args(words).output().unwrap()
    };
    assert!(git(&["apply", "../shown.diff"]).status.success(), "{diff}");
    let by_git = read(&image);
    assert!(git(&["checkout", "--", "."]).status.success());
    fs::remove_file(image.root().join("larder.sh")).unwrap();
    image.init_with(&["--apply"], &[]).succeeds();
    let after = read(&image);
    assert_eq!(after, by_git);
    assert!(after[0].0.contains("set -eu\n. \"$SRCDIR/larder.sh\"\n"), "{}", after[0].0);
    assert!(after[0].0.contains("\nlarder_run kitchen -- cargo build --release\n"));
    let call = "larder_run \"$name\" --source \"$BUILDROOT/build/$name\" -- mkosi-chroot";
    assert!(after[1].0.contains(call), "{}", after[1].0);
    assert!(after[2].0.ends_with("cd \"$SRCDIR/app\" && larder_run app -- cargo build"));
    assert_eq!(after[3..], before[3..]);
    let again = image.init_with(&["--apply", "--json"], &[]);
    again.succeeds();
    let report: Value = serde_json::from_str(&again.text).unwrap();
    assert_eq!((&report["changed"], &report["diff"]), (&Value::Array(vec![]), &"".into()));
    assert_eq!(read(&image), after);
    let undone = image.init_with(&["--undo"], &[]);
    undone.succeeds();
    assert_eq!((read(&image), image.changed_files()), (before, String::new()));
    assert!(!image.store().join("mkosi.conf").exists() && image.store().exists());
    assert!(undone.text.contains("rm -r"), "{}", undone.text);
    let nothing = image.init_with(&["--undo"], &[]);
    assert_eq!(nothing.code, 1, "{nothing:#?}");
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn init_that_is_killed_is_completed_or_taken_back() {
    let image = Image::bare("killed", "25.3", modes()[0]);
    for again in [true, false] {
        for at in 1..=4 {
            image.reset();
            image.put(&SCRIPTS);
            let before = read(&image);
            let mut command = image.command("env");
            command.arg(format!("LARDER_FAULT=edit.rename:{at}")).arg(image.larder());
            command.arg("--store").arg(image.store()).args(["init", "--apply", "--mkosi"]);
            let status = command.arg(image.mkosi_path()).output().unwrap().status;
            assert_eq!(status.signal(), Some(9), "there is no change number {at}");
            if again {
                // What was changed is not committed.
                image.init_with(&["--apply", "--force"], &[]).succeeds();
                assert!(read(&image)[2].0.contains("larder_run app"), "{at}");
            }
            image.init_with(&["--undo"], &[]).succeeds();
            assert_eq!(read(&image), before, "{at}, again: {again}");
            assert_eq!(image.changed_files(), "", "{at}, again: {again}");
        }
    }
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn init_respects_what_others_wrote_before_and_after() {
    let image = Image::bare("others", "25.3", modes()[0]);
    image.put(&SCRIPTS);
    let script = image.root().join("mkosi.build");
    let committed = fs::read_to_string(&script).unwrap();
    fs::write(&script, format!("{committed}# mine\n")).unwrap();
    let said = image.init_with(&["--apply"], &[]);
    assert_eq!(said.code, 1, "{said:#?}");
    assert!(said.text.contains("mkosi.build") && said.text.contains("--force"), "{said:#?}");
    assert_eq!(read(&image)[1].0, SCRIPTS[1].1, "another file was changed");
    image.init_with(&["--apply", "--force"], &[]).succeeds();
    // Lines around larder's are changed, and one of its own.
    let text = fs::read_to_string(&script).unwrap();
    fs::write(&script, text.replace("# Builds.\n", "# Builds\n# all of it.\n") + "echo done\n")
        .unwrap();
    let inside = image.root().join("mkosi.build.d/10-inside.chroot");
    let text = fs::read_to_string(&inside).unwrap();
    fs::write(&inside, text.replace("larder_run app --", "larder_run mine --")).unwrap();
    let snippet = image.root().join("larder.sh");
    fs::write(&snippet, "# mine\n").unwrap();
    let said = image.init_with(&["--undo"], &[]);
    assert_eq!(said.code, 1, "{said:#?}");
    // Somebody still uses larder.sh: it stays, with what sources it.
    assert!(
        said.text.contains("mkosi.build.d/10-inside.chroot:3: this uses larder.sh"),
        "{said:#?}"
    );
    let wanted = format!("{committed}# mine\n").replace("# Builds.\n", "# Builds\n# all of it.\n");
    let sourcing = "set -eu\n. \"$SRCDIR/larder.sh\"\n";
    let kept = wanted.replace("set -eu\n", sourcing) + "echo done\n";
    assert_eq!(fs::read_to_string(&script).unwrap(), kept);
    let text = fs::read_to_string(&inside).unwrap();
    assert!(text.contains("larder_run mine --"), "{text}");
    fs::write(&inside, text.replace("larder_run mine -- ", "")).unwrap();
    // What is somebody's own by now stays in any case.
    let said = image.init_with(&["--undo"], &[]);
    assert_eq!(said.code, 1, "{said:#?}");
    assert!(said.text.contains("larder.sh:1: it was changed since"), "{said:#?}");
    assert_eq!(fs::read_to_string(&script).unwrap(), wanted + "echo done\n");
    assert_eq!(fs::read_to_string(&inside).unwrap(), SCRIPTS[2].1);
    assert_eq!(fs::read_to_string(&snippet).unwrap(), "# mine\n");
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn an_include_that_another_repository_uses_stays() {
    let one = Image::bare("shared", "25.3", modes()[0]);
    let two = Image::bare("sharing", "25.3", modes()[0]).with_store_of(&one);
    one.init();
    two.init();
    let include = one.store().join("mkosi.conf");
    let said = one.init_with(&["--undo"], &[]);
    said.succeeds();
    assert!(said.text.contains("other image repositories use it") && include.exists(), "{said:#?}");
    two.init_with(&["--undo"], &[]).succeeds();
    assert!(!include.exists());
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn doctor_says_whether_the_image_still_mounts_the_store() {
    let image = Image::bare("doctor", "25.3", modes()[0]);
    let doctor = || {
        let said = image.larder_at(&image.store(), &["doctor", "--mkosi", image.mkosi_path()]);
        let line = said.text.lines().find(|line| line.contains(" image: ")).unwrap().to_owned();
        (said, line)
    };
    image.init();
    let (said, line) = doctor();
    assert!(line.starts_with("ok ") && said.text.contains("mkosi: 25.3"), "{said:#?}");
    fs::write(image.store().join("mkosi.conf"), "[Build]\n").unwrap();
    let (said, line) = doctor();
    assert!(line.starts_with("FAILED") && line.contains("larder init"), "{line}");
    assert_eq!(said.code, 1);
    fs::create_dir(image.root().join("mkosi.builddir")).unwrap();
    image.put(&[EPHEMERAL]);
    let (_, line) = doctor();
    assert!(line.starts_with("FAILED") && line.contains("BuildSourcesEphemeral="), "{line}");
    image.init();
    let (_, line) = doctor();
    assert!(line.starts_with("warning") && line.contains("mkosi -f clean"), "{line}");
}

/// A build script as people write it, before larder is known.
const BUILD: &str = "#!/usr/bin/env bash
set -euo pipefail
rm -rf \"$BUILDROOT/build/pantry\"
mkdir -p \"$BUILDROOT/build\"
git clone -q \"$SRCDIR/pantry\" \"$BUILDROOT/build/pantry\"
mkosi-chroot bash -c \"
    cd /build/pantry
    cargo build --release
\"
install -D \"$BUILDROOT/build/pantry/target/release/pantry\" \"$DESTDIR/usr/bin/pantry\"
";

/// Builds cold, warm and without larder; gives what went wrong a name.
pub(crate) fn works(image: &Image, include: &str, arguments: &[&str], store: &Path) {
    let include = format!("--include={}", image.store().join(include).display());
    let build = |more: &[&str]| -> Said {
        image.mkosi(&[&["--force"], arguments, more, &["build"]].concat())
    };
    build(&[&include]).succeeds();
    assert_eq!(image.compiled_in(store), 2);
    let hash = image.hash();
    build(&[&include]).succeeds();
    assert_eq!(image.compiled_in(store), 0);
    assert_eq!(image.hash(), hash);
    build(&[]).succeeds();
    assert_eq!(image.hash(), hash);
    assert_eq!(image.find_in_output("*larder*"), "");
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn what_init_chose_for_ephemeral_sources_builds_as_a_plain_user() {
    let mode = modes().get(1).copied().unwrap_or(Mode::Own);
    for (version, kind) in [("25.3", "yes"), ("27.1", "buildcache")] {
        let image = Image::tiny("ephemeral", version, mode);
        image.put(&[("mkosi.build", BUILD)]);
        let ephemeral = format!("--build-sources-ephemeral={kind}");
        let arguments = [ephemeral.as_str(), "--build-directory=bd"];
        image.init_with(&["--apply"], &arguments).succeeds();
        let store = image.root().join("bd/debian~trixie~x86-64/larder");
        works(&image, "mkosi-ephemeral.conf", &arguments, &store);
    }
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn what_init_chose_for_sources_of_its_own_builds_as_a_plain_user() {
    let mode = modes().get(1).copied().unwrap_or(Mode::Own);
    let image = Image::tiny("own-sources", "27.1", mode);
    image.put(&[
        ("mkosi.build", &BUILD.replace("$SRCDIR/pantry", "$SRCDIR/app")),
        ("mkosi.conf.d/sources.conf", "[Build]\nBuildSources=pantry:app\n"),
    ]);
    image.init_with(&["--apply"], &[]).succeeds();
    let script = fs::read_to_string(image.root().join("mkosi.build")).unwrap();
    assert!(script.contains(". \"$SRCDIR/app/larder.sh\"\n"), "{script}");
    works(&image, "mkosi-own-sources.conf", &[], &image.store());
}

#[test]
#[ignore = "needs mkosi; make test runs it"]
fn what_init_chose_for_a_script_inside_builds_as_a_plain_user() {
    let mode = modes().get(1).copied().unwrap_or(Mode::Own);
    for version in versions() {
        let image = Image::tiny("inside", version, mode);
        fs::remove_file(image.root().join("mkosi.build")).unwrap();
        let script = "#!/bin/bash\nset -eu\nmkdir -p /build\ncp -r \"$SRCDIR/pantry\" /build/\n\
                      cd /build/pantry\ncargo build --release\n\
                      install -D target/release/pantry \"$DESTDIR/usr/bin/pantry\"\n";
        image.put(&[("mkosi.build.chroot", script)]);
        image.init_with(&["--apply"], &[]).succeeds();
        works(&image, "mkosi.conf", &[], &image.store());
    }
}
