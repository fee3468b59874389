//! Damage inside the target directory: each kind of file truncated, emptied, gone, or with one
//! byte changed, and its time as it was.

use super::Plain::{Any, Stale};
use super::scripts::{script, script_in};
use super::sources::member;
use super::{Case, case};
use crate::lab::Lab;

/// Kinds of files that Cargo keeps, as patterns of both layouts below the profile's directory.
const KINDS: [(&str, &str); 14] = [
    ("a library", "deps/libyeast-*.rlib build/yeast/*/out/libyeast-*.rlib"),
    ("a library's metadata", "deps/libyeast-*.rmeta build/yeast/*/out/libyeast-*.rmeta"),
    ("the program", "deps/loaf-*[0-9a-f] build/loaf/*/out/loaf-*[0-9a-f] build/loaf/*/out/loaf"),
    ("a dep-info file", "deps/loaf-*.d build/loaf/*/out/loaf*.d"),
    ("a fingerprint", ".fingerprint/yeast-*/lib-yeast build/yeast/*/fingerprint/lib-yeast"),
    (
        "a fingerprint's description",
        ".fingerprint/yeast-*/lib-yeast.json build/yeast/*/fingerprint/lib-yeast.json",
    ),
    (
        "a fingerprint's dep-info",
        ".fingerprint/yeast-*/dep-lib-yeast build/yeast/*/fingerprint/dep-lib-yeast",
    ),
    (
        "a time stamp",
        ".fingerprint/yeast-*/invoked.timestamp build/yeast/*/fingerprint/invoked.timestamp",
    ),
    (
        "a build script",
        "build/loaf-*/build-script-build build/loaf/*/out/build_script_build*[0-9a-f]",
    ),
    ("what a build script printed", "build/loaf-*/output build/loaf/*/run/stdout"),
    ("what a build script made", "build/loaf-*/out/text build/loaf/*/out/text"),
    ("what another build script made", "build/yeast-*/out/text build/yeast/*/out/text"),
    ("the record of OUT_DIR", "build/loaf-*/root-output build/loaf/*/run/root-output"),
    ("what rustc said of itself", "../.rustc_info.json"),
];

/// What happens to a file, as a shell command on `$f`.
const HARMS: [(&str, &str); 4] = [
    ("is cut in half", "truncate -s $(( $(stat -c %s \"$f\") / 2 )) \"$f\""),
    ("is empty", "truncate -s 0 \"$f\""),
    ("is gone", "rm \"$f\""),
    (
        "has one byte changed",
        "[ ! -s \"$f\" ] || { n=$(( $(stat -c %s \"$f\") * 2 / 3 )); b=$(dd if=\"$f\" bs=1 skip=$n count=1 2>/dev/null | od -An -tu1); printf \"\\\\$(printf %o $(( (b + 1) % 128 )))\" | dd of=\"$f\" bs=1 seek=$n conv=notrunc 2>/dev/null; }",
    ),
];

/// Two packages with build scripts, of which each prints what its script made.
fn prepare(lab: &Lab<'_>) {
    member(lab);
    let own = ["cargo:rerun-if-changed=build.rs"];
    script(lab, "\"loaf of one day\".to_owned()", &own);
    script_in(lab, "yeast", "\"yeast of one day\".to_owned()", &own);
    lab.write(
        "yeast/src/lib.rs",
        "pub fn rise() -> &'static str { include_str!(concat!(env!(\"OUT_DIR\"), \"/text\")) }\n",
    );
    lab.write("src/main.rs", "fn main() { println!(\"{} {}\", yeast::rise(), include_str!(concat!(env!(\"OUT_DIR\"), \"/text\"))); }\n");
}

/// Does the harm and sets the time back; then a change of the program alone, so that what was
/// harmed is used and not merely there.
fn harm(lab: &Lab<'_>, glob: &str, command: &str, touched: bool) {
    let dir = lab.target().join("release").display().to_string();
    lab.sh(&format!(
        "cd '{dir}'; for f in {glob}; do if [ -f \"$f\" ]; then touch -r \"$f\" /tmp/t-$$; {command}; [ ! -e \"$f\" ] || touch -r /tmp/t-$$ \"$f\"; rm /tmp/t-$$; done=1; fi; done; [ -n \"$done\" ]"
    ));
    if touched {
        lab.edit("src/main.rs", "fn main() {", "fn main() { let _ = 1;");
    }
}

/// The program's build script uses `yeast`, and counts its own runs in `OUT_DIR`.
fn counting(lab: &Lab<'_>) {
    member(lab);
    lab.edit("Cargo.toml", "[dependencies]", "[build-dependencies]");
    let runs = "{ let path = format!(\"{}/runs\", env::var(\"OUT_DIR\").unwrap()); let runs = read(&path).len() + yeast::rise() as usize; fs::write(&path, \"x\".repeat(runs)).unwrap(); runs.to_string() }";
    script(lab, runs, &["cargo:rerun-if-changed=build.rs"]);
}

/// Removes all that a unit has, in either layout: Cargo makes it anew, and its dependents with it.
fn remove_unit(lab: &Lab<'_>) {
    let dir = lab.target().join("release").display().to_string();
    lab.sh(&format!(
        "cd '{dir}'; n=$(ls -d .fingerprint/yeast-*/lib-yeast build/yeast/*/fingerprint/lib-yeast 2>/dev/null | head -n 1); case $n in .fingerprint/*) d=${{n%/lib-yeast}}; rm -r \"$d\" deps/*-\"${{d##*-}}\"*;; *) rm -r \"${{n%/fingerprint/lib-yeast}}\";; esac"
    ));
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.push(case("a unit's directory is gone", Stale, counting, remove_unit));
    for (kind, glob) in KINDS {
        for (what, command) in HARMS {
            let name = Box::leak(format!("{kind} {what}").into_boxed_str());
            cases.push(case(name, Any, prepare, move |lab| harm(lab, glob, command, false)));
        }
        let name = Box::leak(
            format!("{kind} has one byte changed, and the program changes").into_boxed_str(),
        );
        cases.push(case(name, Any, prepare, move |lab| harm(lab, glob, HARMS[3].1, true)));
    }
    cases.push(case("a file of nobody's in OUT_DIR", Any, prepare, |lab| {
        let out = lab.in_target("build/loaf-*/out build/loaf/*/out");
        lab.write(&out.join("foreign").display().to_string(), "x");
    }));
    cases.push(case("a library of nobody's among the dependencies", Any, prepare, |lab| {
        let deps = lab.target().join("release/deps/libyeast-0000000000000000.rlib");
        lab.write(&deps.display().to_string(), "x");
    }));
    cases.push(case(
        "a dependency is replaced by that of another project",
        Stale,
        prepare,
        |lab| {
            let rlib = lab.in_target("deps/libyeast-*.rlib build/yeast/*/out/libyeast-*.rlib");
            let time = lab.mtime(&rlib.display().to_string());
            lab.sh(&format!(
                "cp '{0}' x; sed -i 's/yeast of one day/yeast of two day/' x; rm '{0}'; mv x '{0}'",
                rlib.display()
            ));
            lab.time(&rlib.display().to_string(), time);
            lab.edit("src/main.rs", "fn main() {", "fn main() { let _ = 1;");
        },
    ));
    cases
}
