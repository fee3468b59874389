//! Who goes by times besides Cargo, and what Cargo itself goes by where nobody says what is read.

use super::Plain::{Any, Right, Stale};
use super::scripts::{script, script_in};
use super::{Case, as_is, case, settling, unchanged};
use crate::lab::Lab;

/// A build script that reads a file and says nothing, in a clone.
fn silent(lab: &Lab<'_>) {
    lab.write("data", "one");
    script(lab, "read(\"data\")", &[]);
    cloned(lab);
}

fn cloned(lab: &Lab<'_>) {
    lab.sh("cargo generate-lockfile");
    lab.commit();
    lab.clone_again("HEAD");
}

/// The same in a package that the program depends on.
fn silent_below(lab: &Lab<'_>) {
    lab.write(
        "Cargo.toml",
        "[package]\nname = 'loaf'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\nyeast = { path = 'yeast' }\n[workspace]\n",
    );
    lab.write(
        "yeast/Cargo.toml",
        "[package]\nname = 'yeast'\nversion = '0.1.0'\nedition = '2021'\n",
    );
    lab.write("yeast/data", "one");
    lab.write(
        "yeast/src/lib.rs",
        "pub const TEXT: &str = include_str!(concat!(env!(\"OUT_DIR\"), \"/text\"));\n",
    );
    script_in(lab, "yeast", "read(\"data\")", &[]);
    lab.write("src/main.rs", "fn main() { println!(\"{}\", yeast::TEXT); }\n");
    cloned(lab);
}

/// A build script that has make build an object in the sources, from a header that only make knows.
fn makes(lab: &Lab<'_>) {
    lab.write("c/crumb.h", "#define CRUMB 1\n");
    lab.write("c/crumb.c", "#include \"crumb.h\"\nint crumb(void) { return CRUMB; }\n");
    lab.write(
        "c/Makefile",
        "libcrumb.a: crumb.o\n\tar rcsD $@ $<\ncrumb.o: crumb.c crumb.h\n\tcc -c -o $@ $<\n",
    );
    lab.write(
        "build.rs",
        "fn main() {\n    println!(\"cargo:rerun-if-changed=c\");\n    assert!(std::process::Command::new(\"make\").arg(\"-sC\").arg(\"c\").status().unwrap().success());\n    println!(\"cargo:rustc-link-search=native={}/c\", std::env::var(\"CARGO_MANIFEST_DIR\").unwrap());\n    println!(\"cargo:rustc-link-lib=static=crumb\");\n}\n",
    );
    lab.write(
        "src/main.rs",
        "extern \"C\" { fn crumb() -> i32; }\nfn main() { println!(\"{}\", unsafe { crumb() }); }\n",
    );
    lab.write(".gitignore", "/target\n*.o\n*.a\n");
    cloned(lab);
}

/// A build script that runs Python, which keeps what it compiled of a module beside it.
fn imports(lab: &Lab<'_>) {
    lab.write("gen/crumb.py", "TEXT = 'one'\n");
    lab.write("gen/main.py", "import crumb\nprint(crumb.TEXT)\n");
    script(
        lab,
        "run(&[\"python3\", \"gen/main.py\"])",
        &["cargo:rerun-if-changed=gen/crumb.py", "cargo:rerun-if-changed=gen/main.py"],
    );
}

/// A build script that puts the time of a file into the program.
fn dated(lab: &Lab<'_>) {
    lab.write("data", "one");
    script(
        lab,
        "fs::metadata(\"data\").unwrap().modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string()",
        &["cargo:rerun-if-changed=build.rs"],
    );
    set_all(lab, "@1700000000");
}

fn set_all(lab: &Lab<'_>, time: &str) {
    lab.sh(&format!("find . -path ./target -prune -o -type f -exec touch -d '{time}' {{}} +"));
}

pub fn cases() -> Vec<Case> {
    let again = |lab: &Lab<'_>| lab.clone_again("HEAD");
    vec![
        unchanged("a fresh clone, where a build script says nothing", Any, silent, again),
        unchanged("a fresh clone, where one below says nothing", Any, silent_below, again),
        unchanged("touched, where a build script says nothing", Any, silent, |lab| {
            set_all(lab, "now")
        }),
        case("what a silent script reads, an older time", Stale, silent, |lab| {
            lab.write_old("data", "two")
        }),
        case("what a silent script below reads", Right, silent_below, |lab| {
            lab.write("yeast/data", "two")
        }),
        case(
            "what a silent script reads, after a fresh clone",
            Any,
            |lab| {
                silent(lab);
                lab.build();
                lab.clone_again("HEAD");
            },
            |lab| lab.write_old("data", "two"),
        ),
        settling(
            "the command writes what a silent script reads",
            Right,
            |lab| {
                silent(lab);
                lab.command(&[
                    "sh",
                    "-c",
                    "cmp -s ../outside/text data || cp ../outside/text data; cargo build --release",
                ]);
                lab.write(&lab.outside("text"), "one");
                lab.build();
                lab.clone_again("HEAD");
            },
            |lab| {
                lab.clone_again("HEAD");
                lab.write(&lab.outside("text"), "two")
            },
        ),
        settling("a header that make knows, in place", Right, makes, |lab| {
            lab.edit("c/crumb.h", "1", "2")
        }),
        settling("a fresh clone with what make builds in it", Any, makes, again),
        settling(
            "a header that make knows, in a fresh clone",
            Any,
            |lab| {
                makes(lab);
                lab.build();
                lab.edit("c/crumb.h", "1", "2");
                lab.commit();
            },
            again,
        ),
        settling("a module that Python has compiled, same size", Any, imports, |lab| {
            std::thread::sleep(std::time::Duration::from_millis(1100));
            lab.edit("gen/crumb.py", "one", "two")
        }),
        case(
            "what the command wrote into a source is taken back",
            Any,
            |lab| {
                lab.command(&[
                    "sh",
                    "-c",
                    "[ ! -e ../outside/text ] || cp ../outside/text src/crumb.rs; cargo build --release",
                ]);
                lab.write(&lab.outside("text"), "pub const TEXT: &str = \"two\";\n");
            },
            |lab| {
                lab.remove(&lab.outside("text"));
                lab.write("src/crumb.rs", "pub const TEXT: &str = \"one\";\n");
            },
        ),
        case("times that somebody set", Stale, dated, |lab| set_all(lab, "@1750000000")),
        unchanged("times that somebody set, the same again", Any, dated, |lab| {
            lab.sh("cp -a data copy; mv copy data");
        }),
        case("times in the future, and then an edit", Any, as_is, |lab| {
            set_all(lab, "tomorrow");
            lab.build();
            lab.edit("src/crumb.rs", "one", "two")
        }),
        settling(
            "the command writes a source, after times in the future",
            Any,
            |lab| {
                lab.command(&[
                    "sh",
                    "-c",
                    "[ ! -e ../outside/text ] || cmp -s ../outside/text src/crumb.rs || cp ../outside/text src/crumb.rs; cargo build --release",
                ]);
                set_all(lab, "tomorrow");
                lab.build();
                lab.build();
                set_all(lab, "now");
                lab.build();
            },
            |lab| lab.write(&lab.outside("text"), "pub const TEXT: &str = \"two\";\n"),
        ),
    ]
}
