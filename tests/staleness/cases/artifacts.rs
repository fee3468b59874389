//! What stands where users take it.

use super::Plain::{Any, Right, Stale};
use super::{Case, as_is, case, unchanged};
use crate::lab::Lab;

/// A library as a C program would link it, and another package with the same library name.
fn c_libraries(lab: &Lab<'_>) {
    lab.write("Cargo.toml", "[workspace]\nmembers = ['rye']\n[package]\nname = 'loaf'\nversion = '0.1.0'\nedition = '2021'\n[lib]\nname = 'crust'\ncrate-type = ['cdylib', 'staticlib']\n");
    lab.remove("src/main.rs");
    lab.write("src/lib.rs", "#[unsafe(no_mangle)] pub extern \"C\" fn crust() -> u32 { 1 }\n");
    lab.write("rye/Cargo.toml", "[package]\nname = 'rye'\nversion = '0.1.0'\nedition = '2021'\n[lib]\nname = 'crust'\ncrate-type = ['cdylib', 'staticlib']\n");
    lab.write("rye/src/lib.rs", "#[unsafe(no_mangle)] pub extern \"C\" fn crust() -> u32 { 2 }\n");
}

fn gated(lab: &Lab<'_>) {
    lab.edit("Cargo.toml", "edition = '2021'\n", "edition = '2021'\n[features]\nrye = []\n[[bin]]\nname = 'extra'\nrequired-features = ['rye']\n");
    lab.write("src/bin/extra.rs", "fn main() {}\n");
    lab.command(&["cargo", "build", "--release", "--features", "rye"]);
}

/// A library that takes in a file that nobody names, neither a build script nor rustc's dep-info.
fn taking_in(lab: &Lab<'_>, text: &str) {
    super::sources::member(lab);
    lab.write("yeast/src/lib.rs", text);
}

/// An archive of C that a library holds, found by a flag in Cargo's configuration.
fn archive(lab: &Lab<'_>) {
    taking_in(
        lab,
        "#[link(name = \"rye\", kind = \"static\")]\nunsafe extern \"C\" { safe fn rye() -> i32; }\npub fn rise() -> i32 { rye() }\n",
    );
    lab.edit("Cargo.toml", "edition = '2021'", "edition = '2024'");
    lab.edit("yeast/Cargo.toml", "edition = '2021'", "edition = '2024'");
    lab.write(".cargo/config.toml", "[build]\nrustflags = ['-Lnative=lib']\n");
    archived(lab, 1);
}

fn archived(lab: &Lab<'_>, value: u32) {
    lab.write("../rye.c", &format!("int rye(void) {{ return {value}; }}\n"));
    lab.sh("mkdir -p lib; cc -O2 -c ../rye.c -o ../rye.o; rm -f lib/librye.a; ar rcsD lib/librye.a ../rye.o");
}

/// The program's build script puts a file with a name from `list` beside the program.
fn putting_beside(lab: &Lab<'_>) {
    lab.write("list", "one");
    super::scripts::script(
        lab,
        "{ let list = read(\"list\"); let out = env::var(\"OUT_DIR\").unwrap(); let release = std::path::Path::new(&out).ancestors().find(|above| above.ends_with(\"release\")).unwrap(); fs::write(release.join(format!(\"made-{list}\")), &list).unwrap(); list }",
        &["cargo:rerun-if-changed=list"],
    );
}

pub fn cases() -> Vec<Case> {
    let program = "target/release/loaf";
    vec![
        case("stripped in place", Stale, as_is, move |lab| {
            drop(lab.sh(&format!("strip {program}")))
        }),
        case("signed in place", Stale, as_is, move |lab| {
            drop(lab.sh(&format!("printf signature >> {program}")))
        }),
        case("replaced", Stale, as_is, move |lab| {
            drop(lab.sh(&format!("cp {program} x; printf more >> x; cat x > {program}; rm x")))
        }),
        case("removed", Right, as_is, move |lab| lab.remove(program)),
        case("another file beside it", Stale, as_is, |lab| lab.write("target/release/extra", "x")),
        case(
            "a binary with another name",
            Stale,
            |lab| {
                lab.write("src/bin/one.rs", "fn main() {}\n");
            },
            |lab| lab.rename("src/bin/one.rs", "src/bin/two.rs"),
        ),
        case("the package with another name", Stale, as_is, |lab| {
            lab.edit("Cargo.toml", "'loaf'", "'bread'")
        }),
        case("a binary whose feature is off", Stale, gated, |lab| {
            lab.command(&["cargo", "build", "--release"])
        }),
        case(
            "a feature that gates a binary and back",
            Any,
            |lab| {
                gated(lab);
                lab.command(&["cargo", "build", "--release"]);
            },
            |lab| {
                lab.command(&["cargo", "build", "--release", "--features", "rye"]);
                lab.build();
                lab.command(&["cargo", "build", "--release"]);
            },
        ),
        case(
            "only one of two packages is asked for",
            Stale,
            |lab| {
                super::sources::member(lab);
                lab.write("yeast/src/main.rs", "fn main() {}\n");
                lab.command(&["cargo", "build", "--release", "--workspace"]);
            },
            |lab| lab.command(&["cargo", "build", "--release", "-p", "loaf"]),
        ),
        case("a binary that no longer compiles", Stale, as_is, |lab| {
            lab.write("src/main.rs", "fn main() { let () = 1; }\n");
        }),
        case(
            "a library of C that is no longer static",
            Stale,
            |lab| {
                c_libraries(lab);
                lab.remove("rye");
                lab.edit("Cargo.toml", "members = ['rye']", "members = []");
            },
            |lab| lab.edit("Cargo.toml", "['cdylib', 'staticlib']", "['cdylib']"),
        ),
        case(
            "two libraries of C with one name, the one then the other",
            Any,
            |lab| {
                c_libraries(lab);
                lab.command(&["cargo", "build", "--release", "-p", "loaf"]);
            },
            |lab| {
                lab.command(&["cargo", "build", "--release", "-p", "rye"]);
                lab.build();
                lab.command(&["cargo", "build", "--release", "-p", "loaf"]);
            },
        ),
        case(
            "two libraries of C with one name by flags, and back",
            Any,
            |lab| {
                c_libraries(lab);
                lab.command(&["cargo", "build", "--release", "-p", "loaf"]);
            },
            |lab| {
                lab.command(&[
                    "sh",
                    "-c",
                    "cargo build --release -p rye >&2; cargo build --release -p loaf",
                ]);
                lab.build();
                lab.command(&["cargo", "build", "--release", "-p", "loaf"]);
            },
        ),
        case(
            "an example that is gone",
            Stale,
            |lab| {
                lab.write("examples/taste.rs", "fn main() {}\n");
                lab.command(&["cargo", "build", "--release", "--examples", "--bins"]);
            },
            |lab| lab.remove("examples"),
        ),
        case(
            "incremental, an edit there and another",
            Any,
            |lab| {
                lab.set("CARGO_INCREMENTAL", "1");
                lab.write("src/crumb.rs", "pub const TEXT: &str = \"one\";\npub fn a(x: u32) -> u32 { x + 1 }\npub fn b(x: u32) -> u32 { a(x) * 3 }\n");
                lab.write("src/main.rs", "mod crumb;\nfn main() { println!(\"{} {}\", crumb::TEXT, crumb::b(std::env::args().count() as u32)); }\n");
            },
            |lab| {
                lab.edit("src/crumb.rs", "x + 1", "x + 2");
                lab.build();
                lab.edit("src/crumb.rs", "pub fn b", "pub fn c(x: u32) -> u32 { b(x) }\npub fn b");
                lab.edit("src/main.rs", "crumb::b", "crumb::c");
            },
        ),
        case(
            "the development profile, an older edit",
            Stale,
            |lab| {
                lab.command(&["cargo", "build"]);
                lab.profile("debug");
            },
            |lab| lab.edit_old("src/crumb.rs", "one", "two"),
        ),
        case(
            "a profile of one's own, an older edit",
            Stale,
            |lab| {
                let text = lab.read("Cargo.toml");
                lab.write("Cargo.toml", &(text + "[profile.dist]\ninherits = 'release'\n"));
                lab.command(&["cargo", "build", "--profile", "dist"]);
                lab.profile("dist");
            },
            |lab| lab.edit_old("src/crumb.rs", "one", "two"),
        ),
        case(
            "a target that is named, an older edit",
            Stale,
            |lab| {
                lab.command(&[
                    "sh",
                    "-c",
                    "exec cargo build --release --target $(rustc -vV | sed -n 's/^host: //p')",
                ]);
                lab.profile(Box::leak(
                    format!("{}/release", lab.sh("rustc -vV | sed -n 's/^host: //p'"))
                        .into_boxed_str(),
                ));
            },
            |lab| lab.edit_old("src/crumb.rs", "one", "two"),
        ),
        case(
            "a file that a library assembles",
            Stale,
            |lab| {
                taking_in(
                    lab,
                    "std::arch::global_asm!(\".globl rye\", \"rye: .incbin \\\"data\\\"\");\nunsafe extern \"C\" { static rye: u8; }\npub fn rise() -> u8 { unsafe { rye } }\n",
                );
                lab.write("data", "one");
            },
            |lab| lab.write("data", "two"),
        ),
        case("an archive that a library holds", Stale, archive, |lab| archived(lab, 2)),
        case(
            "what a build script put beside it under another name",
            Stale,
            putting_beside,
            |lab| lab.write("list", "two"),
        ),
        case("what a build script put beside it, removed", Stale, putting_beside, |lab| {
            drop(lab.sh("rm target/release/made-one"))
        }),
        case("what a build script put beside it, changed", Stale, putting_beside, |lab| {
            drop(lab.sh("echo more >> target/release/made-one"))
        }),
        case(
            "copied beside it by the command, an edit",
            Any,
            |lab| {
                lab.command(&[
                    "sh",
                    "-c",
                    "cargo build --release && cp target/release/loaf target/release/copy",
                ]);
            },
            |lab| lab.edit_old("src/crumb.rs", "one", "two"),
        ),
        unchanged("copied elsewhere", Right, as_is, |lab| {
            drop(lab.sh("cp target/release/loaf ../taken"))
        }),
    ]
}
