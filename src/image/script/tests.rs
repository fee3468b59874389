//! What is done with commands as they are found in build scripts.

use std::path::PathBuf;

use super::*;

fn surroundings() -> Surroundings {
    Surroundings {
        snippet: "$SRCDIR/larder.sh".to_owned(),
        name: Some("repo".to_owned()),
        ..Surroundings::default()
    }
}

/// The changed lines of a script, or why its first command stays.
fn line(script: &str) -> Result<String, String> {
    let plan = plan(script, &surroundings());
    match plan.left.first() {
        Some(left) => Err(left.why.clone()),
        None => Ok(plan.hunks.iter().skip(1).flat_map(|hunk| hunk.after.clone()).collect()),
    }
}

#[test]
fn what_is_understood_gets_larder_in_front() {
    for (script, wanted) in [
        ("cargo build --release\n", "larder_run repo -- cargo build --release\n"),
        ("  cargo +1.85 --locked b -r", "  larder_run repo -- cargo +1.85 --locked b -r"),
        ("cd \"$SRCDIR/app\"\ncargo build\n", "larder_run app -- cargo build\n"),
        ("cd app && cargo build && ls\n", "cd app && larder_run app -- cargo build && ls\n"),
        (
            "cargo build --manifest-path \"$SRCDIR/app/Cargo.toml\" -r\n",
            "larder_run app --source \"$SRCDIR/app\" -- cargo build --manifest-path \"$SRCDIR/app/Cargo.toml\" -r\n",
        ),
        (
            "cargo build --manifest-path=Cargo.toml\n",
            "larder_run repo -- cargo build --manifest-path=Cargo.toml\n",
        ),
        ("env A=b cargo build\n", "larder_run repo -- env A=b cargo build\n"),
        ("go build -o x ./...\n", "larder_run repo -- go build -o x ./...\n"),
        (
            "mkosi-chroot cargo build\n",
            "larder_run repo --source \"$SRCDIR\" -- mkosi-chroot cargo build\n",
        ),
        (
            "mkosi-chroot bash -c \"cd '/build/$name' && cargo build\"\n",
            "larder_run \"${name##*/}\" --source \"$BUILDROOT/build/$name\" -- mkosi-chroot bash -c \"cd '/build/$name' && cargo build\"\n",
        ),
        (
            "mkosi-chroot bash -euc '\n  A=b\n  cd /build/x\n  cargo fetch\n  B=c cargo build\n'\n",
            "larder_run x --source \"$BUILDROOT/build/x\" -- mkosi-chroot bash -euc '\n",
        ),
        (
            "(cd \"$B/runc\" && go build -o x .)\n",
            "(cd \"$B/runc\" && larder_run runc -- go build -o x .)\n",
        ),
        ("cargo build --target-dir x\n", "larder_run repo -- cargo build --target-dir x\n"),
        (
            "mkosi-chroot --chdir /build/x cargo build\n",
            "larder_run x --source \"$BUILDROOT/build/x\" -- mkosi-chroot --chdir /build/x cargo build\n",
        ),
        (
            "mkosi-chroot bash -c \"cd /work/src/x; cargo build\"\n",
            "larder_run x --source \"/work/src/x\" -- mkosi-chroot bash -c \"cd /work/src/x; cargo build\"\n",
        ),
    ] {
        assert_eq!(line(script), Ok(wanted.to_owned()), "{script}");
        let plan = plan(script, &surroundings());
        let changed = patch::apply(script, &plan.hunks);
        let again = super::plan(&changed, &surroundings());
        assert!(again.hunks.is_empty() && again.left.is_empty(), "{changed}\n{again:?}");
        assert!(again.done > 0 && patch::revert(&changed, &plan.hunks).0 == script);
    }
}

#[test]
fn what_is_not_certain_stays_and_is_named() {
    for (script, why) in [
        ("f() {\n  cargo build\n}\n", "which project"),
        ("cd \"$dir\"\ncargo build\n", "which project"),
        ("if x; then\n  cd a\nfi\ncargo build\n", "which project"),
        ("x && cd a\ncargo build\n", "which project"),
        ("cd ..\ncargo build\n", "which project"),
        ("if cargo build; then :; fi\n", "stand alone"),
        ("x | cargo build\n", "stand alone"),
        ("A=b cargo build\n", "export them"),
        ("x=$(cargo build)\n", "does not know"),
        ("sudo cargo build\n", "does not know"),
        ("cargo -C x build\n", "another directory"),
        ("bash -c 'cargo build --target-dir x'\n", "target directory of its own"),
        (
            "mkosi-chroot bash -c 'export CARGO_TARGET_DIR=/x; cargo build'\n",
            "target directory of its own",
        ),
        ("cargo install --git https://example.org/x --root y\n", "its sources are not here"),
        ("cargo install --path x\n", "cargo install"),
        ("f() { cd /build/x\n  cargo build\n}\nexport -f f\n", "line 4 hands functions"),
        ("export -f f\nf() {\n  cd /build/x\n  cargo build\n}\n", "line 1 hands functions"),
        ("x='cargo build'\n", "does not know"),
        ("x=(\n  cargo build\n)\n", "does not know"),
        ("cargo auditable build\n", "cargo auditable"),
        ("mkosi-chroot bash <<EOF\ncargo build\nEOF\n", "here-document"),
        ("mkosi-chroot bash -c \"cd a; cargo build; cd ../b; cargo build\"\n", "more than one"),
        ("mkosi-chroot bash -c 'cd /build/$x; cargo build'\n", "which project"),
        ("mkosi-chroot bash -c \"cd /build/\\$x; cargo build\"\n", "which project"),
        ("mkosi-chroot bash -c \"cargo build $flags\"' more'\n", "more than one way"),
        ("cargo build 'x\n", "no end"),
        ("#!/usr/bin/python3\nrun('cargo build')\n", "no shell script"),
    ] {
        let found = line(script);
        assert!(found.as_ref().is_err_and(|text| text.contains(why)), "{script}: {found:?}");
        assert!(plan(script, &surroundings()).hunks.is_empty(), "{script}");
    }
}

#[test]
fn what_compiles_nothing_is_nobodys_business() {
    for script in [
        "",
        "# cargo build\n",
        "echo cargo build\n",
        "cargo fetch\ncargo clean\n",
        "go mod tidy\n",
        "cat <<EOF\nx\nEOF\n",
        "mkosi-chroot bash -c \"ls\"\n",
        "#!/usr/bin/python3\nx\n",
    ] {
        assert_eq!(plan(script, &surroundings()), ScriptPlan::default(), "{script}");
    }
}

#[test]
fn the_snippet_is_sourced_once_and_behind_the_head() {
    let script =
        "#!/bin/bash\n# Text.\nset -euo pipefail\n\n# More.\ncargo build\ncargo build -r\n";
    snapbox::assert_data_eq!(
        patch::apply(script, &plan(script, &surroundings()).hunks),
        snapbox::str![[r#"
#!/bin/bash
# Text.
set -euo pipefail
. "$SRCDIR/larder.sh"

# More.
larder_run repo -- cargo build
larder_run repo -- cargo build -r

"#]]
    );
    let script = "# shellcheck shell=bash\n\nf() {\n  cd /build/x\n  cargo build\n}\n";
    snapbox::assert_data_eq!(
        patch::apply(script, &plan(script, &surroundings()).hunks),
        snapbox::str![[r#"
# shellcheck shell=bash
. "$SRCDIR/larder.sh"

f() {
  cd /build/x
  larder_run x -- cargo build
}

"#]]
    );
}

#[test]
fn what_is_sourced_is_found() {
    let script = ". \"$SRCDIR/lib/rust.sh\"\nsource ./b.sh\n. \"$(dirname \"$0\")/c\"\n. /etc/profile\n. ../d\n";
    assert_eq!(sourced(script), ["lib/rust.sh", "b.sh"].map(PathBuf::from));
    let script = "ROOT=\"$SRCDIR/app\"\nSELF=\"$ROOT/os\"\nsource \"$SELF/a.sh\"\n. $other/b.sh\n";
    assert_eq!(sourced(script), [PathBuf::from("app/os/a.sh")]);
}

#[test]
fn the_example_is_understood_as_done() {
    let script = include_str!("../../../examples/image/mkosi.build");
    let found = plan(script, &surroundings());
    assert_eq!((found.hunks.len(), found.left.len()), (0, 0), "{found:?}");
    assert!(found.done > 0);
}

/// Files that know of each other, as they are after the changes.
fn together(files: &[&str]) -> Vec<(String, ScriptPlan)> {
    let found: Vec<Function> = files.iter().flat_map(|text| functions(text)).collect();
    let calls = files.iter().flat_map(|text| calls(text, &found)).collect();
    let surroundings = Surroundings { functions: found, calls, ..surroundings() };
    let each = files.iter().map(|text| {
        let plan = plan(text, &surroundings);
        (patch::apply(text, &plan.hunks), plan)
    });
    each.collect()
}

/// Clones and compiles in the sandbox, with a cache of its own.
const CRATE: &str = r#"#!/usr/bin/env bash

bake() {
    local what="$1"
    local url="$2"
    local extra="${3:-}"
    local dir="$BUILDROOT/build/$what"
    git clone "$url" "$dir" || (
        echo "not there"
    )
    local kept="$BUILDDIR/$what"
    local kept="${kept//,/-}"
    if [ -f "$kept" ]; then
        cp "$kept" "$DESTDIR/usr/bin/$what"
        return
    fi
    local flags=(
        "-C opt-level=2" # it's enough
    )
    mkosi-chroot bash -c "
        unset DESTDIR
        export RUSTFLAGS='${flags[*]}' \
               CARGO_TERM_COLOR='never'
        cd '/build/$what'
        cargo fetch
        cargo build --release ${extra:+--features $extra}
    "
    install -m 755 "$dir/target/release/$what" "$DESTDIR/usr/bin/$what"
}
"#;

/// The same with a command of whoever calls it.
const ANY: &str = r#"brew() {
    local what="$1"
    local url="$2"
    local how="$3"
    local dir="$BUILDROOT/build/$what"
    git clone "$url" "$dir"
    mkosi-chroot bash -c "unset DESTDIR && cd '/build/$what' && $how"
    for pair in "${@:4}"; do
        install "$dir/${pair%%:*}" "$DESTDIR${pair#*:}"
    done
}
"#;

const CALLS: &str = r#"#!/bin/bash
set -eux
source lib/crate.sh
source lib/any.sh
bake "tart" "https://example.org/tart"
brew \
    "tea" \
    "https://example.org/tea" \
    './autogen.sh && ./configure && make' \
    "tea:/usr/bin/tea"
brew "punch" x 'go build -o punch .' punch:/usr/bin/punch
HOW="
    export A=\$(git log)
    cargo build --locked \
        --features x
"
brew "cider" x "$HOW" y:z
brew "cocoa" x "A=$b ./build.sh" y:z
brew "juice" x 'make build' y:z
"#;

#[test]
fn functions_are_followed_to_who_calls_them() {
    let all = together(&[CRATE, ANY, CALLS]);
    assert!(
        all[0]
            .0
            .contains("\n    larder_run \"$what\" --source \"$dir\" -- mkosi-chroot bash -c \"\n"),
        "{}",
        all[0].0
    );
    let line = "\n    larder_run \"$what\" --source \"$dir\" -- mkosi-chroot bash -c \"unset DESTDIR && cd '/build/$what' && $how\"\n";
    assert!(all[1].0.contains(line), "{}", all[1].0);
    assert_eq!(all[2].1, ScriptPlan::default(), "nothing of the callers is changed or left");
    let caches: Vec<usize> = all[0].1.caches.iter().map(|cache| cache.line).collect();
    assert_eq!(caches, [13]);
    // Once more: nothing is left to do, and the callers are the same.
    let changed: Vec<&str> = all.iter().map(|(text, _)| text.as_str()).collect();
    for (text, plan) in together(&changed) {
        assert!(plan.hunks.is_empty() && plan.left.is_empty(), "{text}");
    }
    for files in [[CRATE, ANY, CALLS], [changed[0], changed[1], changed[2]]] {
        let found: Vec<Function> = files.iter().flat_map(|text| functions(text)).collect();
        let calls = calls(files[2], &found);
        let told: Vec<(&str, usize, Compiler)> =
            calls.iter().map(|call| (call.package.as_str(), call.line, call.compiler)).collect();
        let wanted = [
            ("tart", 5, Compiler::Cargo),
            ("tea", 6, Compiler::Autotools),
            ("punch", 11, Compiler::Go),
            ("cider", 17, Compiler::Cargo),
            ("cocoa", 18, Compiler::Script),
            ("juice", 19, Compiler::Make),
        ];
        assert_eq!(told, wanted);
    }
}

#[test]
fn what_callers_give_decides_whether_a_function_is_changed() {
    for (calls, changed) in [
        ("brew tea x './configure && make' a:b\n", false),
        ("brew tea x 'make' a:b\n", true),
        ("brew tea x \"$unknown\" a:b\n", true),
        ("", false),
    ] {
        assert_eq!(!together(&[ANY, calls])[0].1.hunks.is_empty(), changed, "{calls}");
    }
    // A name that may be a path is cut.
    let cut = together(&[ANY, "brew $some/where x make\n"]);
    assert!(cut[0].0.contains("larder_run \"${what##*/}\" --source \"$dir\""), "{}", cut[0].0);
    // What is called otherwise than with a command is looked at as before.
    let left = together(&[ANY, "brew 'cargo build' x make\n"]);
    assert_eq!(left[1].1.left.len(), 1, "{:?}", left[1].1);
}

#[test]
fn a_script_that_anybody_starts_is_changed_where_it_says_the_directory() {
    let script = "#!/bin/bash\nset -eu\nROOT=$(cd \"$(dirname \"$0\")/..\" && pwd)\nif x; then\n  \
                  cargo build --manifest-path \"$ROOT/cake/Cargo.toml\" \\\n    -p a\nfi\ncargo build\n";
    let surroundings = Surroundings {
        snippet: "$(dirname \"${BASH_SOURCE[0]}\")/../larder.sh".to_owned(),
        anywhere: true,
        ..surroundings()
    };
    let plan = plan(script, &surroundings);
    let text = patch::apply(script, &plan.hunks);
    assert!(text.contains("\n. \"$(dirname \"${BASH_SOURCE[0]}\")/../larder.sh\"\n"), "{text}");
    assert!(
        text.contains("  larder_run cake --source \"$ROOT/cake\" -- cargo build --manifest"),
        "{text}"
    );
    assert_eq!(plan.left.iter().map(|left| left.line).collect::<Vec<_>>(), [8]);
}

#[test]
fn a_script_that_starts_itself_inside_is_read_on() {
    let script = "#!/bin/bash\nset -eu\nif [[ ${container:-} != mkosi ]]; then\n    exec mkosi-chroot \
                  \"$CHROOT_SCRIPT\" \"$@\"\nfi\ncd \"$SRCDIR/cake\"\ncargo build\n";
    let text = patch::apply(script, &plan(script, &surroundings()).hunks);
    assert!(text.contains("\nlarder_run cake -- cargo build\n"), "{text}");
}

#[test]
fn what_may_compile_anything_is_named() {
    let script = "make -C x\nmkosi-chroot make\n\"$ROOT/a/b.sh\" x\nbash c/d.sh\ncmake --build x\necho make\n";
    let found = plan(script, &surroundings());
    assert!(found.hunks.is_empty() && found.left.is_empty(), "{found:?}");
    let wanted = [(1, "make"), (2, "make"), (3, "$ROOT/a/b.sh"), (4, "c/d.sh"), (5, "cmake")];
    assert_eq!(found.unclear, wanted.map(|(line, name)| (line, name.to_owned())));
}

#[test]
fn a_program_that_the_words_do_not_tell_is_named() {
    for (script, left, unclear) in [
        ("\"${CARGO:-cargo}\" build --release\n", 1, 0),
        ("mkosi-chroot $CARGO +1.85 build\n", 1, 0),
        ("cross build --target x\n", 1, 0),
        ("$GO install ./...\n", 1, 0),
        ("$TOOL clean\n\"$x\"\ncross --version\n", 0, 0),
        ("/bin/sh -c \"cd x; make\"\nbash -c './build.sh'\nsh -c 'ls'\n", 0, 2),
    ] {
        let found = plan(script, &surroundings());
        let counts = (found.hunks.len(), found.left.len(), found.unclear.len());
        assert_eq!(counts, (0, left, unclear), "{script}: {found:?}");
    }
}

#[test]
fn what_compiles_in_one_directory_is_better_one_command() {
    let script = "cd app\ncargo build -p a\ncargo build -p b\nf() {\n  cargo build\n}\ncd ../other\ncargo build\n";
    let lines: Vec<usize> =
        plan(script, &surroundings()).together.iter().map(|left| left.line).collect();
    assert_eq!(lines, [3]);
}

#[test]
fn two_on_one_line_are_one_change() {
    let script = "(cargo build)\n(cd a && cargo build); (cd b && cargo build)\n";
    let plan = plan(script, &surroundings());
    let changed = patch::apply(script, &plan.hunks);
    assert_eq!(patch::revert(&changed, &plan.hunks), (script.to_owned(), vec![]));
}

#[test]
fn who_brings_larder_uses_none() {
    let uses = "# larder_run\n. \"$SRCDIR/larder.sh\"\nx && larder_run a -- b\n";
    assert_eq!(uses_of_larder(uses), [2, 3]);
    for own in ["larder_run() {\n", "  function larder_run {\n", "larder_run () (\n"] {
        assert!(
            defines_larder_run(own) && uses_of_larder(&format!("{uses}{own}")).is_empty(),
            "{own}"
        );
    }
    assert!(!defines_larder_run("larder_run a -- b\nlarder_runs() {\n# larder_run() {\n"));
    assert_eq!(defined("a() { :; }\nfunction b {\n c\n}\nd x\ne () (\n:\n)\n"), ["a", "b", "e"]);
}

proptest::proptest! {
    #[test]
    fn any_script_is_as_before_after_undoing(
        script in "((cargo build|cd x|mkosi-chroot bash -c \"|\"|'|[(){};&|]|\n|\n| |f\\(\\) \\{|if |fi|<<E|E\n){1,4}){0,12}"
    ) {
        let plan = plan(&script, &surroundings());
        let changed = patch::apply(&script, &plan.hunks);
        proptest::prop_assert_eq!(patch::revert(&changed, &plan.hunks), (script, vec![]));
    }
}
