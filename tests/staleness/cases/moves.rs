//! Moved, copied and restored: the sources, the target directory, the store.

use super::Plain::{Any, Right, Stale};
use super::sources::member;
use super::{Case, as_is, case, unchanged};
use crate::lab::Lab;

/// What is kept between two builds: the store, or plain cargo's `target/`.
fn kept(lab: &Lab<'_>) -> String {
    let dir = if lab.is_larder() { lab.store() } else { lab.at("target") };
    dir.display().to_string()
}

/// Copies what is kept by a command, and puts the copy in its place.
fn restored_by(lab: &Lab<'_>, command: &str) {
    let kept = kept(lab);
    let copy = lab.dir().join("copy").display().to_string();
    lab.sh(&format!(
        "{}; rm -rf '{kept}'; mv '{copy}' '{kept}'",
        command.replace("KEPT", &kept).replace("COPY", &copy)
    ));
}

/// Puts aside what is kept now; [`bring_back`] restores it.
fn back_up(lab: &Lab<'_>) {
    lab.sh(&format!("cp -a '{}' '{}'", kept(lab), lab.dir().join("backup").display()));
}

fn bring_back(lab: &Lab<'_>) {
    let (kept, backup) = (kept(lab), lab.dir().join("backup").display().to_string());
    lab.sh(&format!("rm -rf '{kept}'; mv '{backup}' '{kept}'"));
}

pub fn cases() -> Vec<Case> {
    let prints_paths = |lab: &Lab<'_>| {
        super::scripts::script(
            lab,
            "env::var(\"OUT_DIR\").unwrap()",
            &["cargo:rerun-if-changed=build.rs"],
        );
        lab.write("src/main.rs", "fn main() { println!(\"{} {}\", env!(\"CARGO_MANIFEST_DIR\"), include_str!(concat!(env!(\"OUT_DIR\"), \"/text\"))); }\n");
    };
    vec![
        case("the sources are elsewhere", Any, prints_paths, |lab| lab.move_sources("elsewhere")),
        case(
            "the sources are elsewhere, a path without a build script",
            Any,
            |lab| {
                lab.write(
                    "src/main.rs",
                    "fn main() { println!(\"{}\", env!(\"CARGO_MANIFEST_DIR\")); }\n",
                );
            },
            |lab| lab.move_sources("elsewhere"),
        ),
        case(
            "the sources are elsewhere, a panic's place",
            Any,
            |lab| {
                lab.write("src/main.rs", "fn main() { std::env::args().nth(9).unwrap(); }\n");
            },
            |lab| lab.move_sources("elsewhere"),
        ),
        case("kept as cp -r copies it, then an older edit", Any, member, |lab| {
            restored_by(lab, "cp -r 'KEPT' 'COPY'");
            lab.edit_old("yeast/src/lib.rs", "1", "2");
        }),
        case("kept as tar without times unpacks it, then an older edit", Any, member, |lab| {
            restored_by(lab, "mkdir 'COPY'; tar cf - -C 'KEPT' . | tar xmf - -C 'COPY'");
            lab.edit_old("yeast/src/lib.rs", "1", "2");
        }),
        case("restored from before another build, then an older edit", Stale, member, move |lab| {
            back_up(lab);
            lab.edit("yeast/src/lib.rs", "1", "3");
            lab.build();
            bring_back(lab);
            lab.edit_old("yeast/src/lib.rs", "3", "2");
        }),
        case(
            "only the directory is restored from before, the records are not",
            Stale,
            member,
            |lab| {
                let target = lab.target().display().to_string();
                let backup = lab.dir().join("backup").display().to_string();
                lab.sh(&format!("cp -a '{target}' '{backup}'"));
                lab.edit("yeast/src/lib.rs", "1", "3");
                lab.build();
                lab.sh(&format!("rm -rf '{target}'; mv '{backup}' '{target}'"));
                lab.old("yeast/src/lib.rs");
            },
        ),
        case(
            "only the records are restored from before, the directory is not",
            Any,
            member,
            |lab| {
                let dir = lab.target().parent().unwrap().display().to_string();
                let names = "entry.json state manifest";
                if lab.is_larder() {
                    lab.sh(&format!("cd '{dir}'; mkdir ../../aside; cp -a {names} ../../aside"));
                }
                lab.edit("yeast/src/lib.rs", "1", "3");
                lab.build();
                if lab.is_larder() {
                    lab.sh(&format!("cd ..; cd '{dir}'; cp -a ../../aside/* ."));
                }
                lab.edit_old("yeast/src/lib.rs", "3", "1");
            },
        ),
        case("half of it is restored", Any, member, |lab| {
            let deps = lab.target().display().to_string();
            lab.sh(&format!("cd '{deps}'; find . -type f | sort | awk 'NR % 2' | while read f; do rm \"$f\"; done"));
        }),
        case("all modification times are one", Any, member, |lab| {
            lab.sh(&format!(
                "find '{}' -exec touch -h -d @1500000000 {{}} +",
                lab.target().display()
            ));
            lab.edit_old("yeast/src/lib.rs", "1", "2");
        }),
        unchanged("kept as cp -a copies it", Right, member, |lab| {
            restored_by(lab, "cp -a 'KEPT' 'COPY'")
        }),
        unchanged("kept as cp -r copies it", Any, member, |lab| {
            restored_by(lab, "cp -r 'KEPT' 'COPY'")
        }),
        unchanged("kept as tar unpacks it", Right, member, |lab| {
            restored_by(lab, "mkdir 'COPY'; tar cf - -C 'KEPT' . | tar xf - -C 'COPY'");
        }),
        unchanged("the sources' times are one day later", Any, as_is, |lab| {
            lab.sh("find . -path ./target -prune -o -type f -exec touch -d tomorrow {} +");
        }),
    ]
}
