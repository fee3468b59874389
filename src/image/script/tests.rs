//! What is done with commands as they are found in build scripts.

use super::*;

fn surroundings() -> Surroundings {
    Surroundings { snippet: "$SRCDIR/larder.sh".to_owned(), name: Some("repo".to_owned()) }
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
        ("go build -o x ./...\n", "larder_run repo --with go -- go build -o x ./...\n"),
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
        ("cargo build --target-dir x\n", "another directory"),
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
        "make -C x\n",
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
    assert_eq!(plan(script, &surroundings()).sourced, ["lib/rust.sh", "b.sh"].map(PathBuf::from));
}

#[test]
fn the_example_is_understood_as_done() {
    let script = include_str!("../../../examples/image/mkosi.build");
    let found = plan(script, &surroundings());
    assert_eq!((found.hunks.len(), found.left.len()), (0, 0), "{found:?}");
    assert!(found.done > 0);
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
