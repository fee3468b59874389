//! Forms of real image repositories: what `larder init` finds in them, that the first image build after it is
//! right, and the second one warm.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::image::{Image, modes, versions};
use crate::settings::works;

fn report(image: &Image, options: &[&str], arguments: &[&str]) -> Value {
    let said = image.init_with(&[&["--json"], options].concat(), arguments);
    said.succeeds();
    serde_json::from_str(&said.text).unwrap()
}

/// What git says of the repository, ignored files and all.
fn all_files(image: &Image) -> String {
    let git = ["-c", "safe.directory=*", "status", "--porcelain", "--ignored"];
    let output = Command::new("git").args(git).current_dir(image.root()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn move_into(image: &Image, dir: &str, names: &[&str]) {
    fs::create_dir_all(image.root().join(dir)).unwrap();
    for name in names {
        let _ = fs::rename(image.root().join(name), image.root().join(dir).join(name));
    }
}

/// Files by their text, below the root.
fn texts(image: &Image, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| fs::read_to_string(image.root().join(name)).unwrap()).collect()
}

/// Clones and compiles a crate in the sandbox, with a cache of its own that nothing hits here.
const CRATE: &str = r#"#!/usr/bin/env bash

bake() {
    local what="$1"
    local from="$2"
    local extra="${3:-}"
    local dir="$BUILDROOT/build/$what"
    rm -rf "$dir"
    mkdir -p "$BUILDROOT/build"
    set +x
    git clone -q "$from" "$dir"
    set -x
    local kept="$BUILDDIR/none/$what"
    if [ -f "$kept" ]; then
        cp "$kept" "$DESTDIR/usr/bin/$what"
        return
    fi
    local flags=(
        "-C link-arg=-Wl,--build-id=none" # it's the same each time
    )
    mkosi-chroot bash -c "
        unset DESTDIR
        export RUSTFLAGS='${flags[*]}' \
               CARGO_TERM_COLOR='never'
        cd '/build/$what'
        cargo build --release ${extra:+--features $extra}
    "
    install -D -m 755 "$dir/target/release/$what" "$DESTDIR/usr/bin/$what"
}
"#;

/// The same with a command of whoever calls it.
const ANY: &str = r#"#!/usr/bin/env bash
#
# brew WHAT FROM HOW FILE:PLACE...

brew() {
    local what="$1"
    local from="$2"
    local how="$3"
    local dir="$BUILDROOT/build/$what"
    rm -rf "$dir"
    mkdir -p "$BUILDROOT/build"
    git clone -q "$from" "$dir"
    local before=$(date +%s)
    mkosi-chroot bash -c "unset DESTDIR && cd '/build/$what' && $how"
    local seconds=$(( $(date +%s) - before ))
    for pair in "${@:4}"; do
        install -D -m 755 "$dir/${pair%%:*}" "$DESTDIR${pair#*:}"
    done
}
"#;

const MODULE: &str = r##"#!/usr/bin/env bash
set -euxo pipefail

source scripts/crate.sh
source scripts/any.sh

bake pantry "$SRCDIR/pantry"
HOW="
    export A='$(date +%Y)'
    cargo build --release \
        --locked
"
brew \
    "shelf" \
    "$SRCDIR/pantry" \
    "$HOW" \
    "target/release/pantry:/usr/bin/shelf"
brew "rest" "$SRCDIR/pantry" 'mkdir -p bin && printf "#!/bin/sh\necho true >bin/x\n" >own && chmod +x own && ./own' bin/x:/usr/bin/x
"##;

const FUNCTIONS: [(&str, &str); 4] = [
    ("scripts/crate.sh", CRATE),
    ("scripts/any.sh", ANY),
    ("modules/pantry/mkosi.build", MODULE),
    (
        "images/pantry.conf",
        "[Include]\nInclude=shared/base.conf\n[Content]\nBuildScripts=modules/pantry/mkosi.build\n[Build]\nBuildDirectory=built\n",
    ),
];

/// Two functions in files that scripts source by relative paths; no `mkosi.conf` in the root.
#[test]
#[ignore = "needs mkosi; make test runs it"]
fn functions_are_followed_and_an_image_is_chosen_by_an_include() {
    let image = Image::tiny("functions", "25.3", modes()[0]);
    for name in ["mkosi.build", "larder.sh"] {
        fs::remove_file(image.root().join(name)).unwrap();
    }
    fs::create_dir_all(image.root().join("shared")).unwrap();
    fs::create_dir_all(image.root().join("built")).unwrap();
    fs::rename(image.root().join("mkosi.conf"), image.root().join("shared/base.conf")).unwrap();
    image.put(&FUNCTIONS);
    let arguments = ["--include=images/pantry.conf"];
    let names = FUNCTIONS.map(|(name, _)| name);
    let (before, files) = (texts(&image, &names), all_files(&image));
    let found = report(&image, &[], &arguments);
    assert_eq!((texts(&image, &names), all_files(&image)), (before.clone(), files.clone()));
    let callers: Vec<(String, String)> = found["functions"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|function| function["calls"].as_array().unwrap())
        .map(|call| (call["package"].as_str().unwrap(), call["compiler"].as_str().unwrap()))
        .map(|(package, compiler)| (package.to_owned(), compiler.to_owned()))
        .collect();
    let wanted = [("pantry", "cargo"), ("shelf", "cargo"), ("rest", "script")];
    assert_eq!(callers, wanted.map(|(package, kind)| (package.to_owned(), kind.to_owned())));
    assert_eq!(found["left"], Value::Array(vec![]), "{found:#}");
    let cache = &found["caches"][0];
    assert_eq!((cache["file"].as_str(), &cache["line"]), (Some("scripts/crate.sh"), &14.into()));

    image.init_with(&["--apply"], &arguments).succeeds();
    let after = texts(&image, &names);
    let call = "\n    larder_run \"$what\" --source \"$dir\" -- mkosi-chroot bash -c \"";
    assert!(after[0].contains(call) && after[1].contains(call), "{after:#?}");
    assert_eq!(after[2..], before[2..], "who calls them stays as it is");
    let again = report(&image, &["--apply"], &arguments);
    assert_eq!((&again["changed"], &again["diff"]), (&Value::Array(vec![]), &"".into()));
    assert_eq!(again["functions"][1]["calls"], found["functions"][1]["calls"]);
    works(&image, "mkosi.conf", &arguments, &image.store());
    let said = image.larder_at(&image.store(), &["status", "shelf", "--json"]);
    let status: Value = serde_json::from_str(&said.text).unwrap();
    assert_eq!(status["entries"][0]["record"]["last"]["closed"]["compiled"], 0, "{status:#}");
    assert!(image.has("usr/bin/x"), "what is neither cargo nor go was not run");

    image.init_with(&["--undo"], &[]).succeeds();
    assert_eq!(texts(&image, &names), before);
    assert!(!image.root().join("larder.sh").exists());
}

const COMPONENTS: [(&str, &str); 6] = [
    (
        "os/mk/mkosi.build",
        "#!/bin/bash\nset -euo pipefail\n\nif [[ ${container:-} != mkosi ]]; then\n    exec mkosi-chroot \"$CHROOT_SCRIPT\" \"$@\"\nfi\n\nROOT=\"$SRCDIR/tree\"\nSELF=\"$ROOT/os/mk\"\nsource \"$SELF/versions.env\"\nexport HOME=/var/tmp/home\nmkdir -p \"$HOME\"\n\"$SELF/scripts/all.sh\" \"$DESTDIR\"\n",
    ),
    ("os/mk/versions.env", "FLAVOR=plain\n"),
    (
        "os/mk/scripts/all.sh",
        "#!/bin/bash\nset -euo pipefail\nROOT=$(cd \"$(dirname \"${BASH_SOURCE[0]}\")/../../..\" && pwd)\nSELF=\"$ROOT/os/mk\"\nsource \"$SELF/scripts/framework.sh\"\nstage=${1:?}\ncomponents=(\n  oven\n)\nfor component in \"${components[@]}\"; do component_run \"$component\" \"$stage\"; done\n",
    ),
    (
        "os/mk/scripts/framework.sh",
        "#!/bin/bash\ncomponent_run() {\n    local name=$1\n    COMPONENT_PATH=\"$SELF/components/$name\"\n    source \"$COMPONENT_PATH/$name.sh\"\n    component_build \"$2\"\n}\n",
    ),
    (
        "os/mk/components/oven/oven.sh",
        "# shellcheck shell=bash\ncomponent_build() {\n    \"$COMPONENT_PATH/oven-build.sh\" \"$1\"\n}\n",
    ),
    (
        "os/mk/components/oven/oven-build.sh",
        "#!/bin/bash\nset -euo pipefail\nROOT=$(cd \"$(dirname \"${BASH_SOURCE[0]}\")/../../../..\" && pwd)\nDEST=${1:?}\nexport CARGO_TARGET_DIR=/var/tmp/oven-target CARGO_INCREMENTAL=0\nif [[ ${SKIP:-0} != 1 ]]; then\n  cargo build --locked --release --manifest-path \"$ROOT/pantry/Cargo.toml\" \\\n    -p pantry\n  install -D -m0755 \"$CARGO_TARGET_DIR/release/pantry\" \"$DEST/usr/bin/pantry\"\nfi\n",
    ),
];

/// `--directory` with the repository above it as an ephemeral source; a script that starts itself again inside
/// `mkosi-chroot`, and components that are started by a path in variables.
#[test]
#[ignore = "needs mkosi; make test runs it"]
fn a_component_that_is_started_by_a_variable_path_inside_is_kept() {
    let image = Image::tiny("components", "27.1", modes()[0]);
    for name in ["mkosi.build", "larder.sh"] {
        fs::remove_file(image.root().join(name)).unwrap();
    }
    let names = ["mkosi.conf", "mkosi.conf.d", "mkosi.sandbox", "mkosi.cache", "toolchains"];
    move_into(&image, "os/mk", &names);
    image.put(&COMPONENTS);
    let conf = image.root().join("os/mk/mkosi.conf");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, text + "BuildSources=../..:tree\nBuildSourcesEphemeral=yes\n").unwrap();
    // Compiles, and has nothing to do with the image.
    image.put(&[("tools/other.sh", "#!/bin/bash\ncd \"$SRCDIR/x\"\ncargo build\n")]);
    let root = image.root();
    let output = format!("--output-directory={}/mkosi.output", root.display());
    let build = format!("--build-directory={}/bd", root.display());
    let arguments = ["--directory", "os/mk", output.as_str(), build.as_str()];
    let said = image.init_with(&[], &arguments[..3]);
    assert_eq!(said.code, 1, "{said:#?}");
    assert!(said.text.contains("BuildDirectory="), "{said:#?}");

    let component = "os/mk/components/oven/oven-build.sh";
    let files: Vec<&str> =
        COMPONENTS.iter().map(|(name, _)| *name).chain(["tools/other.sh"]).collect();
    let before = texts(&image, &files);
    let found = report(&image, &["--apply"], &arguments);
    assert_eq!(found["changed"], serde_json::json!(["larder.sh", component]), "{found:#}");
    assert_eq!(found["started"][0]["named_in"], "os/mk/components/oven/oven.sh");
    assert_eq!(found["unnamed"], serde_json::json!(["tools/other.sh"]));
    let text = fs::read_to_string(root.join(component)).unwrap();
    let sources = "\n. \"$(dirname \"${BASH_SOURCE[0]}\")/../../../../larder.sh\"\n";
    assert!(text.contains(sources), "{text}");
    let call = "\n  larder_run pantry --source \"$ROOT/pantry\" -- cargo build --locked";
    assert!(text.contains(call), "{text}");
    works(
        &image,
        "mkosi-ephemeral-own-sources.conf",
        &arguments,
        &root.join("bd/debian~trixie~x86-64/larder"),
    );

    // The record is the repository's, wherever one asks from.
    let mut command = image.command(image.larder());
    command
        .current_dir(root.join("os/mk"))
        .arg("--store")
        .arg(image.store())
        .args(["init", "--undo"]);
    let undone = command.output().unwrap();
    assert!(undone.status.success(), "{}", String::from_utf8_lossy(&undone.stderr));
    assert_eq!(texts(&image, &files), before);
    assert!(!root.join("larder.sh").exists());
}

/// Where mkosi answers, there is an image repository: what it says is what counts.
#[test]
#[ignore = "needs mkosi; make test runs it"]
fn init_asks_mkosi_and_not_the_directory() {
    for version in versions() {
        let image = Image::bare("asked", version, modes()[0]);
        let script = ("os/mkosi.build", "#!/bin/sh\ncd \"$SRCDIR/app\"\ncargo build\n");
        image.put(&[
            ("os/mkosi.conf", "[Distribution]\nDistribution=debian\nRelease=trixie\n"),
            ("os/app/Cargo.toml", "[package]\nname = 'app'\n"),
            ("os/mkosi.profiles/p.conf", "[Content]\nBuildScripts=extra.build\n"),
            ("os/extra.build", "#!/bin/sh\ncd app\ncargo build\n"),
            ("os/mkosi.version", "#!/bin/sh\necho 1\n"),
            script,
        ]);
        fs::remove_file(image.root().join("mkosi.conf")).unwrap();
        image.put(&[]);
        let clean = all_files(&image);
        let scripts = |arguments: &[&str]| {
            let found = report(&image, &[], arguments);
            assert_eq!(all_files(&image), clean, "{arguments:?} with {version}");
            let scripts = found["images"][0]["scripts"].as_array().unwrap().clone();
            (scripts.len(), found["diff"].as_str().unwrap().to_owned())
        };
        for arguments in [["-C", "os"], ["--directory=os", "--format=none"]] {
            let (count, diff) = scripts(&arguments);
            assert_eq!(count, 1, "{version}");
            assert!(
                diff.contains("+++ b/os/mkosi.build") && diff.contains("b/os/larder.sh"),
                "{diff}"
            );
        }
        let (count, diff) = scripts(&["--directory", "os", "--profile", "p"]);
        assert_eq!(count, 2, "{version}");
        assert!(diff.contains("+++ b/os/extra.build"), "{diff}");
        // From elsewhere; the directory is what counts.
        let there = format!("--directory={}", image.root().join("os").display());
        let mut command = image.command(image.larder());
        command.current_dir("/").arg("--store").arg(image.store());
        command.args(["init", "--json", "--mkosi", image.mkosi_path(), "--", &there]);
        let output = command.output().unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(found["diff"].as_str().unwrap().contains("+++ b/os/mkosi.build"), "{found:#}");
        // With its defaults mkosi answers anywhere: nothing is compiled there.
        let said = image.init_with(&[], &[]);
        said.succeeds();
        assert!(said.text.contains("mkosi has no build script here"), "{}", said.text);
        // What fails is said in mkosi's words, with what mkosi was given.
        let said = image.init_with(&[], &["--include=none.conf", "--environment=TOKEN=mine"]);
        assert_eq!((said.code, said.text.lines().count()), (1, 1), "{said:#?}");
        for part in [
            "--include=none.conf --environment=TOKEN=... --json summary` failed: ",
            "none.conf",
            "behind `--`",
        ] {
            assert!(said.text.contains(part), "{part}: {said:#?}");
        }
        assert!(Path::new(&image.store()).exists());
    }
}
