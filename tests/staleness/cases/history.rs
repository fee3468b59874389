//! What happened between two builds: attempts that failed, were killed, or built something else.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::Plain::{Any, Right, Stale};
use super::sources::member;
use super::{Case, as_is, case, unchanged};
use crate::lab::{Built, Lab};

/// Does something to the sources, builds, which may fail, and takes it back with the old times.
fn detour(lab: &Lab<'_>, there: impl Fn(&Lab<'_>)) -> Built {
    let kept = lab.dir().join("detour");
    lab.sh(&format!(
        "rm -rf '{0}'; mkdir '{0}'; tar cf - --exclude ./target . | tar xf - -C '{0}'",
        kept.display()
    ));
    there(lab);
    let built = lab.build();
    lab.sh("find . -mindepth 1 -maxdepth 1 ! -name target -exec rm -rf {} +");
    lab.sh(&format!("tar cf - -C '{}' . | tar xf - -m --no-same-permissions", kept.display()));
    lab.sh("find . -path ./target -prune -o -type f -exec touch -d @1000000000 {} +");
    built
}

/// A build script that waits for as long as a file named `hold` is there.
fn holding(lab: &Lab<'_>) {
    lab.write("build.rs", "use std::{env, fs, path::Path};\nfn main() {\n    println!(\"cargo:rerun-if-changed=data\");\n    let out = env::var(\"OUT_DIR\").unwrap();\n    fs::write(format!(\"{out}/text\"), \"half\").unwrap();\n    while Path::new(\"hold\").exists() { fs::write(\"held\", \"\").unwrap(); std::thread::sleep(std::time::Duration::from_millis(20)); }\n    if !Path::new(&format!(\"{out}/late\")).exists() { fs::write(format!(\"{out}/late\"), fs::read(\"data\").unwrap()).unwrap(); }\n    fs::copy(format!(\"{out}/late\"), format!(\"{out}/text\")).unwrap();\n}\n");
    lab.write("data", "one");
    lab.write(
        "src/main.rs",
        "fn main() { println!(\"{}\", include_str!(concat!(env!(\"OUT_DIR\"), \"/text\"))); }\n",
    );
}

/// Starts a build, waits until its build script holds, and ends it with a signal to its group.
fn interrupted(lab: &Lab<'_>, signal: Signal, whole_group: bool) {
    lab.write("hold", "");
    let child = lab.spawn();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !lab.at("held").exists() {
        assert!(Instant::now() < deadline, "the build script never ran");
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(&child, signal, whole_group);
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    lab.remove("hold");
    let _ = std::fs::remove_file(lab.at("held"));
}

fn kill(child: &Child, signal: Signal, whole_group: bool) {
    let pid = Pid::from_child(child);
    let killed =
        if whole_group { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
    killed.unwrap();
}

pub fn cases() -> Vec<Case> {
    vec![
        case("A, B fails, A", Stale, member, |lab| {
            let failed = detour(lab, |lab| {
                lab.edit("yeast/src/lib.rs", "1", "2");
                lab.edit("src/main.rs", "yeast::rise()", "broken");
            });
            assert_ne!(failed.code, 0);
        }),
        case("A, B, A", Stale, member, |lab| {
            assert_eq!(detour(lab, |lab| lab.edit("yeast/src/lib.rs", "1", "2")).code, 0);
        }),
        case("A, B fails to link, A", Stale, member, |lab| {
            let failed = detour(lab, |lab| {
                lab.edit("yeast/src/lib.rs", "1", "2");
                lab.write("src/main.rs", "#[link(name = \"nothing_of_this_name\")] unsafe extern \"C\" { fn nothing(); }\nfn main() { unsafe { nothing() }; println!(\"{}\", yeast::rise()); }\n");
            });
            assert_ne!(failed.code, 0);
        }),
        case(
            "A, B with other flags, A",
            Any,
            |lab| {
                member(lab);
                lab.set("RUSTFLAGS", "--remap-path-prefix=/x=/y");
            },
            |lab| {
                lab.set("RUSTFLAGS", "--remap-path-prefix=/x=/y -Copt-level=1");
                lab.build();
                lab.set("RUSTFLAGS", "--remap-path-prefix=/x=/y");
            },
        ),
        case("the command fails after cargo succeeded, then an older edit", Stale, as_is, |lab| {
            lab.command(&["sh", "-c", "cargo build --release && false"]);
            lab.build();
            lab.command(&["cargo", "build", "--release"]);
            lab.edit_old("src/crumb.rs", "one", "two");
        }),
        case("a build that fails leaves no older binary", Stale, as_is, |lab| {
            lab.write("src/main.rs", "fn main() { broken }\n");
        }),
        case("killed in a build script, then an older edit", Any, holding, |lab| {
            lab.write("data", "two");
            interrupted(lab, Signal::KILL, true);
            lab.write_old("data", "six");
        }),
        case("larder or cargo alone is killed, then the same again", Any, holding, |lab| {
            lab.write("data", "two");
            interrupted(lab, Signal::KILL, false);
        }),
        case("interrupted in a build script, then an older edit", Any, holding, |lab| {
            lab.write("data", "two");
            interrupted(lab, Signal::INT, true);
            lab.write_old("data", "six");
        }),
        case(
            "a build script fails half way, and is mended",
            Stale,
            |lab| {
                lab.write("list", "one\n");
                lab.write("build.rs", "use std::{env, fs};\nfn main() {\n    println!(\"cargo:rerun-if-changed=list\");\n    let out = env::var(\"OUT_DIR\").unwrap();\n    for name in fs::read_to_string(\"list\").unwrap().lines() { assert!(name != \"bad\"); fs::write(format!(\"{out}/{name}\"), name).unwrap(); }\n    let mut names: Vec<String> = fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();\n    names.sort();\n    println!(\"cargo:rustc-env=NAMES={}\", names.join(\" \"));\n}\n");
                lab.write("src/main.rs", "fn main() { println!(\"{}\", env!(\"NAMES\")); }\n");
            },
            |lab| {
                lab.write("list", "one\ntwo\nbad\n");
                assert_ne!(lab.build().code, 0);
                lab.write("list", "one\nsix\n");
            },
        ),
        case("another process of the last command still writes", Stale, as_is, |lab| {
            let hold = "(sleep 1.5; echo late > target/release/loaf; for f in target/release/deps/loaf-*; do echo late > $f; done) >/dev/null 2>&1 </dev/null & cargo build --release";
            lab.edit("src/crumb.rs", "one", "two");
            lab.command(&["sh", "-c", hold]);
            lab.build();
            lab.command(&["cargo", "build", "--release"]);
            lab.build();
            std::thread::sleep(Duration::from_secs(2));
        }),
        case("two builds of different sources at the same time", Stale, member, |lab| {
            let other = lab.dir().join("other");
            crate::lab::copy(&lab.copy_sources(), &other);
            std::fs::remove_dir_all(lab.dir().join("pristine")).unwrap();
            // The same project name, and for plain cargo the same target directory.
            let target = lab.at("target").display().to_string();
            let larder = format!(
                "LARDER_STORE='{}' '{}' run loaf --source . -- cargo build --release",
                lab.store().display(),
                env!("CARGO_BIN_EXE_larder")
            );
            let plain = format!("CARGO_TARGET_DIR='{target}' cargo build --release");
            let build = if lab.is_larder() { larder } else { plain };
            std::fs::write(other.join("yeast/src/lib.rs"), "pub fn rise() -> u32 { 7 }\n").unwrap();
            let child = lab.spawn();
            lab.sh(&format!("cd '{}' && {build}", other.display()));
            child.wait_with_output().unwrap();
        }),
        unchanged("nothing happened", Right, member, as_is),
        unchanged("the build is simply run again", Right, member, |lab| drop(lab.build())),
    ]
}
