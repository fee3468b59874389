//! What only a look at the build itself can tell: nothing of it is declared, and no text names it.
//!
//! Each kind is tried for a local build script, and for two of: a proc macro, and build scripts of packages that
//! are vendored, from git, or from a registry.

use super::Plain::{Right, Stale};
use super::{Case, case, unchanged};
use crate::lab::Lab;

/// Whose program does it.
#[derive(Clone, Copy, Debug)]
enum Place {
    Local,
    Macro,
    Vendored,
    Git,
    Registry,
}

/// A way to come by something, and how that becomes another.
struct Kind {
    name: &'static str,
    /// A Rust expression of a `String`. `DIR` stands for a directory outside of the sources, `SRC` for the sources,
    /// each put together from pieces when the program runs.
    text: &'static str,
    prepare: fn(&Lab<'_>),
    change: fn(&Lab<'_>),
}

/// What the expressions are made of; `DIR` and `SRC` are hidden from whoever looks for paths in a program.
const HELPERS: &str = "#![allow(unused, dead_code)]
use std::{env, fs, path::Path, process::Command};
fn plain(text: &str) -> String { text.chars().rev().collect() }
fn read(path: &str) -> String { fs::read_to_string(path).unwrap_or_default() }
fn run(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), \"{output:?}\");
    String::from_utf8(output.stdout).unwrap()
}
fn sh(script: &str) -> String { run(&[\"sh\", \"-ec\", script]) }
fn names(dir: &str) -> String {
    let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.join(\" \")
}
";

/// The expression as a program has it.
fn hidden(lab: &Lab<'_>, text: &str) -> String {
    let reversed = |path: &str| path.chars().rev().collect::<String>();
    let dir = reversed(&lab.outside("hidden"));
    let src = reversed(lab.source().to_str().unwrap());
    format!("{{ let DIR = plain({dir:?}); let SRC = plain({src:?}); {text} }}")
}

/// A build script for a package in a directory, which names only itself.
fn script_at(lab: &Lab<'_>, package: &str, text: &str) {
    let text = hidden(lab, text);
    lab.write(
        &format!("{package}/build.rs"),
        &format!("{HELPERS}#[allow(non_snake_case)]\nfn main() {{\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    let text: String = {text};\n    fs::write(format!(\"{{}}/text\", env::var(\"OUT_DIR\").unwrap()), text).unwrap();\n}}\n"),
    );
}

const INCLUDES: &str = "include_str!(concat!(env!(\"OUT_DIR\"), \"/text\"))";

/// `grain` prints what its build script found.
fn shows_grain(lab: &Lab<'_>) {
    lab.write("src/main.rs", "fn main() { println!(\"{}\", grain::TEXT); }\n");
}

fn with_script(lab: &Lab<'_>, package: &str, text: &str) {
    script_at(lab, package, text);
    lab.write(&format!("{package}/src/lib.rs"), &format!("pub const TEXT: &str = {INCLUDES};\n"));
}

fn place(lab: &Lab<'_>, place: Place, text: &str) {
    match place {
        Place::Local => {
            script_at(lab, ".", text);
            lab.write("src/main.rs", &format!("fn main() {{ println!(\"{{}}\", {INCLUDES}); }}\n"));
        }
        Place::Macro => {
            super::macros::proc_macro(lab, "String::new()");
            let text = hidden(lab, text);
            lab.write("salt/src/lib.rs", &format!("{HELPERS}#[allow(non_snake_case)]\n#[proc_macro]\npub fn text(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{\n    let text: String = {text};\n    format!(\"{{text:?}}\").parse().unwrap()\n}}\n"));
        }
        Place::Vendored => {
            super::packages::vendored(lab, "1");
            with_script(lab, "vendor/grain", text);
            shows_grain(lab);
        }
        Place::Git => {
            super::packages::from_git_with(lab, "1", |dir| with_script(lab, dir, text));
            shows_grain(lab);
        }
        Place::Registry => {
            super::packages::registry_with(lab, "1", |dir| with_script(lab, dir, text));
            shows_grain(lab);
        }
    }
}

fn write(lab: &Lab<'_>, path: &str, text: &str) {
    lab.write(&lab.outside(&format!("hidden/{path}")), text);
}

fn write_old(lab: &Lab<'_>, path: &str, text: &str) {
    lab.write_old(&lab.outside(&format!("hidden/{path}")), text);
}

fn data(lab: &Lab<'_>) {
    write_old(lab, "data", "one");
}

fn other_data(lab: &Lab<'_>) {
    write_old(lab, "data", "two");
}

/// A C program that includes `oven.h` from the first of two directories that has it.
fn headers(lab: &Lab<'_>) {
    write_old(lab, "first/readme", "");
    write_old(lab, "second/oven.h", "#define OVEN 1\n");
    write_old(
        lab,
        "oven.c",
        "#include <stdio.h>\n#include <oven.h>\nint main(void) { printf(\"%d\", OVEN); return 0; }\n",
    );
}

/// Two directories of libraries, the second with one in it.
fn libraries(lab: &Lab<'_>) {
    headers(lab);
    write_old(
        lab,
        "oven.c",
        "#include <stdio.h>\nint oven(void);\nint main(void) { printf(\"%d\", oven()); return 0; }\n",
    );
    library(lab, "second", 1);
}

fn library(lab: &Lab<'_>, dir: &str, number: u32) {
    let dir = lab.outside(&format!("hidden/{dir}"));
    lab.sh(&format!("mkdir -p '{dir}'; cd '{dir}'; echo 'int oven(void) {{ return {number}; }}' | cc -x c -c - -o oven.o; ar crsD liboven.a oven.o; rm oven.o"));
}

fn home(lab: &Lab<'_>, path: &str) -> String {
    lab.home().join(path).to_str().unwrap().to_owned()
}

fn kinds() -> Vec<Kind> {
    let kind = |name, text, prepare, change| Kind { name, text, prepare, change };
    vec![
        kind("a file by a path put together", "read(&format!(\"{DIR}/data\"))", data, other_data),
        kind(
            "a file of the sources that nobody names",
            "read(&format!(\"{SRC}/notes/data\"))",
            |lab| lab.write_old("notes/data", "one"),
            |lab| lab.write_old("notes/data", "two"),
        ),
        kind(
            "whether a file is there",
            "Path::new(&format!(\"{DIR}/flag\")).exists().to_string()",
            data,
            |lab| write_old(lab, "flag", ""),
        ),
        kind(
            "whether a directory is there, which goes",
            "Path::new(&format!(\"{DIR}/flag\")).is_dir().to_string()",
            |lab| write_old(lab, "flag/x", ""),
            |lab| lab.remove(&lab.outside("hidden/flag")),
        ),
        kind(
            "how long a file is",
            "fs::metadata(format!(\"{DIR}/data\")).unwrap().len().to_string()",
            data,
            |lab| write_old(lab, "data", "three"),
        ),
        kind("the names in a directory", "names(&DIR)", data, |lab| write_old(lab, "more", "")),
        kind(
            "the names in a directory, one less",
            "names(&DIR)",
            |lab| {
                data(lab);
                write_old(lab, "more", "");
            },
            |lab| lab.remove(&lab.outside("hidden/more")),
        ),
        kind(
            "where a link leads to",
            "fs::read_link(format!(\"{DIR}/link\")).unwrap().display().to_string()",
            |lab| {
                data(lab);
                lab.link("data", &lab.outside("hidden/link"));
            },
            |lab| lab.link("more", &lab.outside("hidden/link")),
        ),
        kind(
            "a file behind a link that is turned",
            "read(&format!(\"{DIR}/link\"))",
            |lab| {
                data(lab);
                write_old(lab, "more", "two");
                lab.link("data", &lab.outside("hidden/link"));
            },
            |lab| lab.link("more", &lab.outside("hidden/link")),
        ),
        kind(
            "a file below a directory that is a link",
            "read(&format!(\"{DIR}/link/data\"))",
            |lab| {
                write_old(lab, "a/data", "one");
                write_old(lab, "b/data", "two");
                lab.link("a", &lab.outside("hidden/link"));
            },
            |lab| lab.link("b", &lab.outside("hidden/link")),
        ),
        kind(
            "a file from another working directory",
            "{ env::set_current_dir(&DIR).unwrap(); read(\"data\") }",
            data,
            other_data,
        ),
        kind("a file that a shell reads", "sh(&format!(\"cd {DIR}; cat data\"))", data, other_data),
        kind(
            "a script that a shell sources",
            "sh(&format!(\". {DIR}/data; echo $X\"))",
            |lab| write_old(lab, "data", "X=one"),
            |lab| write_old(lab, "data", "X=two"),
        ),
        kind(
            "a program found by a path put together",
            "run(&[&format!(\"{DIR}/tool\")])",
            |lab| lab.write_program(&lab.outside("hidden/tool"), "#!/bin/sh\necho one\n"),
            |lab| lab.write_program(&lab.outside("hidden/tool"), "#!/bin/sh\necho two\n"),
        ),
        kind(
            "a program that comes first now",
            "sh(&format!(\"PATH={DIR}/first:{DIR}/second:$PATH; tool\"))",
            |lab| {
                write_old(lab, "first/readme", "");
                lab.write_program(&lab.outside("hidden/second/tool"), "#!/bin/sh\necho one\n");
            },
            |lab| lab.write_program(&lab.outside("hidden/first/tool"), "#!/bin/sh\necho two\n"),
        ),
        kind(
            "the interpreter of a script",
            "run(&[&format!(\"{DIR}/tool\")])",
            |lab| {
                lab.write_program(&lab.outside("hidden/sh"), "#!/bin/sh\necho one\n");
                lab.write_program(
                    &lab.outside("hidden/tool"),
                    &format!("#!{}\n", lab.outside("hidden/sh")),
                );
            },
            |lab| lab.write_program(&lab.outside("hidden/sh"), "#!/bin/sh\necho two\n"),
        ),
        kind(
            "a Perl module",
            "sh(&format!(\"perl -I{DIR} -MOven -e 'print Oven::oven()'\"))",
            |lab| write_old(lab, "Oven.pm", "package Oven; sub oven { 1 } 1;\n"),
            |lab| write_old(lab, "Oven.pm", "package Oven; sub oven { 2 } 1;\n"),
        ),
        kind(
            "git's configuration at home",
            "sh(\"git config --global oven.heat || true\")",
            |lab| lab.write_old(&home(lab, ".gitconfig"), "[oven]\nheat = 1\n"),
            |lab| lab.write_old(&home(lab, ".gitconfig"), "[oven]\nheat = 2\n"),
        ),
        kind(
            "git's configuration at home that is new",
            "sh(\"git config --global oven.heat || true\")",
            |_| {},
            |lab| lab.write_old(&home(lab, ".config/git/config"), "[oven]\nheat = 2\n"),
        ),
        kind(
            "a hidden file at home that is new",
            "read(&format!(\"{}/.{}rc\", env::var(\"HOME\").unwrap(), \"loaf\"))",
            |_| {},
            |lab| lab.write_old(&home(lab, ".loafrc"), "two"),
        ),
        kind(
            "a file in /etc",
            "read(&[\"/e\", \"tc/lo\", \"af.conf\"].concat())",
            |lab| {
                lab.change_system();
                lab.write_old("/etc/loaf.conf", "one");
            },
            |lab| lab.write_old("/etc/loaf.conf", "two"),
        ),
        kind(
            "a file in /usr/share",
            "read(&[\"/u\", \"sr/share/lo\", \"af\"].concat())",
            |lab| {
                lab.change_system();
                lab.write_old("/usr/share/loaf", "one");
            },
            |lab| lab.write_old("/usr/share/loaf", "two"),
        ),
        kind(
            "the time zone",
            "sh(\"unset TZ; date -d @0 +%H\")",
            |lab| {
                lab.change_system();
                lab.sh("ln -sfn /usr/share/zoneinfo/UTC /etc/localtime; test -e /etc/localtime || { mkdir -p /usr/share/zoneinfo; printf 'TZif2' > /usr/share/zoneinfo/UTC; }");
            },
            |lab| {
                let dir = lab.outside("zones");
                lab.sh(&format!("printf 'Zone Loaf 9:00 - LST\\n' | /usr/sbin/zic -d '{dir}' -; rm -f /etc/localtime; cp '{dir}/Loaf' /etc/localtime"));
            },
        ),
        kind(
            "a header that comes first now",
            "sh(&format!(\"cc -I{DIR}/first -I{DIR}/second -o $OUT_DIR/oven {DIR}/oven.c; $OUT_DIR/oven\"))",
            headers,
            |lab| write_old(lab, "first/oven.h", "#define OVEN 2\n"),
        ),
        kind(
            "a library that comes first now",
            "sh(&format!(\"cc -o $OUT_DIR/oven {DIR}/oven.c -L{DIR}/first -L{DIR}/second -loven; $OUT_DIR/oven\"))",
            libraries,
            |lab| library(lab, "first", 2),
        ),
        kind(
            "an argument file of a compiler",
            "sh(&format!(\"cc @{DIR}/arguments -o $OUT_DIR/oven {DIR}/oven.c; $OUT_DIR/oven\"))",
            |lab| {
                headers(lab);
                write_old(
                    lab,
                    "oven.c",
                    "#include <stdio.h>\nint main(void) { printf(\"%d\", OVEN); return 0; }\n",
                );
                write_old(lab, "arguments", "-DOVEN=1\n");
            },
            |lab| write_old(lab, "arguments", "-DOVEN=2\n"),
        ),
        kind(
            "a file that a process reads which lost its parent",
            "sh(&format!(\"(setsid sh -c 'sleep 0.1; cat {DIR}/data > $OUT_DIR/x; mv $OUT_DIR/x $OUT_DIR/y' &); while ! test -e $OUT_DIR/y; do sleep 0.05; done; cat $OUT_DIR/y\"))",
            data,
            other_data,
        ),
        kind(
            "a file that is read behind several programs",
            "sh(&format!(\"exec env X=1 nice sh -c 'exec cat {DIR}/data'\"))",
            data,
            other_data,
        ),
        kind(
            "a file that is linked and read by its new name",
            "sh(&format!(\"ln {DIR}/data {DIR}/new; cat {DIR}/new; rm {DIR}/new\"))",
            data,
            other_data,
        ),
        kind(
            "a file from a mount namespace",
            "sh(&format!(\"unshare --mount cat {DIR}/data\"))",
            data,
            other_data,
        ),
        kind(
            "a file from the same root entered again",
            "sh(&format!(\"/usr/sbin/chroot / cat {DIR}/data\"))",
            data,
            other_data,
        ),
        kind(
            "a file by a path with dots",
            "read(&format!(\"{DIR}/a/../b/./data\"))",
            |lab| {
                write_old(lab, "a/x", "");
                write_old(lab, "b/data", "one");
            },
            |lab| write_old(lab, "b/data", "two"),
        ),
        kind(
            "a file with a space in its name",
            "read(&format!(\"{DIR}/a b/da ta\"))",
            |lab| write_old(lab, "a b/da ta", "one"),
            |lab| write_old(lab, "a b/da ta", "two"),
        ),
        kind(
            "the first of several files that is there",
            "[\"a\", \"b\", \"c\"].iter().map(|name| read(&format!(\"{DIR}/{name}\"))).find(|text| !text.is_empty()).unwrap_or_default()",
            |lab| write_old(lab, "c", "one"),
            |lab| write_old(lab, "b", "two"),
        ),
        kind(
            "a file that is opened to be written too",
            "{ use std::io::Read; let mut text = String::new(); fs::OpenOptions::new().read(true).write(true).open(format!(\"{DIR}/data\")).unwrap().read_to_string(&mut text).unwrap(); text }",
            data,
            other_data,
        ),
        kind(
            "the names in a directory that is made first",
            "{ fs::create_dir_all(&DIR).unwrap(); names(&DIR) }",
            data,
            |lab| write_old(lab, "more", ""),
        ),
        kind(
            "the names in a directory that is opened as a file",
            "{ use std::os::fd::AsRawFd; let dir = fs::File::open(&DIR).unwrap(); names(&format!(\"/proc/self/fd/{}\", dir.as_raw_fd())) }",
            data,
            |lab| write_old(lab, "more", ""),
        ),
        kind(
            "a file of a directory that is entered by a link",
            "sh(&format!(\"cd {DIR}/link; cat data\"))",
            |lab| {
                write_old(lab, "a/data", "one");
                write_old(lab, "b/data", "two");
                lab.link("a", &lab.outside("hidden/link"));
            },
            |lab| lab.link("b", &lab.outside("hidden/link")),
        ),
        kind(
            "whether a directory can be entered",
            "sh(&format!(\"cd {DIR}/flag 2>/dev/null && echo yes || echo no\"))",
            data,
            |lab| write_old(lab, "flag/x", ""),
        ),
        kind(
            "the interpreter of a script that the build makes",
            "sh(&format!(\"printf '#!{DIR}/sh\\n' > $OUT_DIR/tool; chmod +x $OUT_DIR/tool; $OUT_DIR/tool\"))",
            |lab| lab.write_program(&lab.outside("hidden/sh"), "#!/bin/sh\necho one\n"),
            |lab| lab.write_program(&lab.outside("hidden/sh"), "#!/bin/sh\necho two\n"),
        ),
        kind(
            "whether a file can be executed",
            "sh(&format!(\"test -x {DIR}/data && echo yes || echo no\"))",
            data,
            |lab| lab.mode(&lab.outside("hidden/data"), 0o755),
        ),
        kind(
            "a file that it made, which somebody wrote",
            "{ let made = format!(\"{DIR}/made\"); if !Path::new(&made).exists() { fs::write(&made, \"one\").unwrap(); } read(&made) }",
            data,
            |lab| write_old(lab, "made", "two"),
        ),
        kind(
            "the names in a directory that it made, one more",
            "{ let made = format!(\"{DIR}/made\"); fs::create_dir_all(&made).unwrap(); fs::write(format!(\"{made}/one\"), \"\").unwrap(); names(&made) }",
            data,
            |lab| write_old(lab, "made/two", ""),
        ),
    ]
}

/// One kind in one place.
fn tried(kind: &Kind, here: Place) -> Case {
    let Kind { name, text, prepare, change } = *kind;
    let whose = match here {
        Place::Local => "a build script",
        Place::Macro => "a proc macro",
        Place::Vendored => "a vendored package",
        Place::Git => "a package from git",
        Place::Registry => "a package from a registry",
    };
    let name = Box::leak(format!("{name}, by {whose}").into_boxed_str());
    let prepare = move |lab: &Lab<'_>| {
        place(lab, here, text);
        prepare(lab);
    };
    case(name, Stale, prepare, change)
}

/// Nothing that the build script looked up changes.
fn spared(name: &'static str, change: fn(&Lab<'_>)) -> Case {
    let prepare = |lab: &Lab<'_>| {
        data(lab);
        lab.write("docs/readme", "one");
        place(lab, Place::Local, "read(&format!(\"{DIR}/data\"))");
        lab.commit();
    };
    unchanged(name, Right, prepare, change)
}

pub fn cases() -> Vec<Case> {
    let others = [Place::Macro, Place::Vendored, Place::Git, Place::Registry];
    let mut cases = Vec::new();
    for here in [Some(Place::Local), None] {
        for (number, kind) in kinds().into_iter().enumerate() {
            let uses_out_dir = kind.text.contains("OUT_DIR");
            let other = others[number % others.len()];
            let other =
                if uses_out_dir && matches!(other, Place::Macro) { Place::Registry } else { other };
            cases.push(tried(&kind, here.unwrap_or(other)));
        }
    }
    cases.extend([
        spared("a file of the sources that nobody looked up", |lab| {
            lab.write("docs/readme", "two")
        }),
        spared("a new file of the sources that nobody looked up", |lab| {
            lab.write("docs/more", "two")
        }),
        spared("a commit, and nobody asked git", |lab| {
            lab.write("docs/more", "two");
            lab.commit();
        }),
        spared("a file outside that nobody looked up", |lab| write(lab, "more", "two")),
    ]);
    cases
}
