//! What build scripts read, and what Cargo knows of it.

use super::Plain::{Right, Stale};
use super::sources::member;
use super::{Case, case, settling, unchanged};
use crate::lab::Lab;

/// The program prints a text that its build script computes; `prints` are lines for Cargo.
pub fn script(lab: &Lab<'_>, text: &str, prints: &[&str]) {
    script_in(lab, ".", text, prints);
    lab.write(
        "src/main.rs",
        "fn main() { println!(\"{}\", include_str!(concat!(env!(\"OUT_DIR\"), \"/text\"))); }\n",
    );
}

/// A build script for the package in a directory: an expression of a `String`, and what it prints.
pub fn script_in(lab: &Lab<'_>, package: &str, text: &str, prints: &[&str]) {
    let prints: Vec<String> =
        prints.iter().map(|line| format!("    println!(\"{line}\");\n")).collect();
    let prints = prints.concat();
    lab.write(
        &format!("{package}/build.rs"),
        &format!(
            "#![allow(unused)]\nuse std::{{env, fs}};\nfn read(path: &str) -> String {{ fs::read_to_string(path).unwrap_or_default() }}\nfn run(words: &[&str]) -> String {{ String::from_utf8(std::process::Command::new(words[0]).args(&words[1..]).output().unwrap().stdout).unwrap() }}\nfn main() {{\n{prints}    let text: String = {text};\n    fs::write(format!(\"{{}}/text\", env::var(\"OUT_DIR\").unwrap()), text).unwrap();\n}}\n"
        ),
    );
}

const OWN: &[&str] = &["cargo:rerun-if-changed=build.rs"];

/// Names of a directory's entries, as a Rust expression.
const NAMES: &str = "{ let mut names: Vec<_> = fs::read_dir(\"data\").unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect(); names.sort(); names.join(\" \") }";

/// A file of data that a script reads.
fn reads(prints: &'static [&'static str]) -> impl Fn(&Lab<'_>) {
    move |lab| {
        lab.write("data", "one");
        script(lab, "read(\"data\")", prints);
    }
}

fn lists(prints: &'static [&'static str]) -> impl Fn(&Lab<'_>) {
    move |lab| {
        lab.write("data/one", "");
        lab.write("data/two", "");
        script(lab, NAMES, prints);
    }
}

/// A vendored crate whose build script reads a file of the sources and declares it: an expression of its
/// name, and its path with that name.
fn declaring(lab: &Lab<'_>, path: &str, name: &str) {
    super::packages::vendored(
        lab,
        "include_str!(concat!(env!(\"OUT_DIR\"), \"/text\")).len() as u32",
    );
    let text = format!(
        "{{ let name: String = {name}; let path = format!(\"{path}\", name); println!(\"cargo:rerun-if-changed={{path}}\"); read(&path).repeat(if read(&path) == \"one\" {{ 1 }} else {{ 2 }}) }}"
    );
    script_in(lab, "vendor/grain", &text, OWN);
    let config = lab.read(".cargo/config.toml");
    lab.write(
        ".cargo/config.toml",
        &format!("{config}[env]\nGRAIN_DATA = {{ value = 'data', relative = true }}\n"),
    );
    lab.write("data", "one");
}

pub fn cases() -> Vec<Case> {
    vec![
        case("reads a file, says nothing, an older time", Stale, reads(&[]), |lab| {
            lab.write_old("data", "two")
        }),
        case("reads a file, says nothing, a newer time", Right, reads(&[]), |lab| {
            lab.write("data", "two")
        }),
        case("reads a file, names only itself", Stale, reads(OWN), |lab| lab.write("data", "two")),
        case(
            "reads a file, names it, an older time",
            Stale,
            reads(&["cargo:rerun-if-changed=data"]),
            |lab| lab.write_old("data", "two"),
        ),
        case(
            "reads a file, names it with two colons, an older time",
            Stale,
            reads(&["cargo::rerun-if-changed=data"]),
            |lab| lab.write_old("data", "two"),
        ),
        case(
            "reads a file, names a variable",
            Stale,
            reads(&["cargo:rerun-if-env-changed=X"]),
            |lab| lab.write("data", "two"),
        ),
        case("reads a file that is gone, names itself", Stale, reads(OWN), |lab| {
            lab.remove("data")
        }),
        case(
            "reads a file that is new, names itself",
            Stale,
            |lab| script(lab, "read(\"data\")", OWN),
            |lab| lab.write("data", "two"),
        ),
        case(
            "its own text, an older time",
            Stale,
            |lab| script(lab, "\"one\".to_owned()", &[]),
            |lab| lab.edit_old("build.rs", "\"one\"", "\"two\""),
        ),
        case(
            "a module of its own, an older time",
            Stale,
            |lab| {
                script(lab, "helper::text()", OWN);
                lab.edit(
                    "build.rs",
                    "fn main()",
                    "#[path = \"tools/helper.rs\"] mod helper;\nfn main()",
                );
                lab.write("tools/helper.rs", "pub fn text() -> String { \"one\".to_owned() }\n");
            },
            |lab| lab.edit_old("tools/helper.rs", "one", "two"),
        ),
        case(
            "lists a directory, names it, a file is gone, times kept",
            Stale,
            lists(&["cargo:rerun-if-changed=data"]),
            |lab| lab.with_times_kept(|| lab.remove("data/one")),
        ),
        case(
            "lists a directory, names it, a file is new, times kept",
            Stale,
            lists(&["cargo:rerun-if-changed=data"]),
            |lab| lab.with_times_kept(|| lab.write("data/six", "")),
        ),
        case(
            "lists a directory, names itself, an empty directory is new",
            Stale,
            lists(OWN),
            |lab| std::fs::create_dir(lab.at("data/six")).unwrap(),
        ),
        case(
            "lists a directory, names it, a rename, times kept",
            Stale,
            lists(&["cargo:rerun-if-changed=data"]),
            |lab| lab.with_times_kept(|| lab.rename("data/one", "data/six")),
        ),
        case(
            "reads an ignored file, says nothing",
            Stale,
            |lab| {
                reads(&[])(lab);
                lab.write(".gitignore", "/target\n/data\n");
                lab.commit();
            },
            |lab| lab.write("data", "two"),
        ),
        case(
            "reads an excluded file, says nothing",
            Stale,
            |lab| {
                reads(&[])(lab);
                lab.edit("Cargo.toml", "[package]\n", "[package]\nexclude = ['data']\n");
                lab.commit();
            },
            |lab| lab.write("data", "two"),
        ),
        case(
            "reads a mode, says nothing",
            Stale,
            |lab| {
                lab.write("data", "one");
                script(
                    lab,
                    "{ use std::os::unix::fs::PermissionsExt; format!(\"{:o}\", fs::metadata(\"data\").unwrap().permissions().mode()) }",
                    &[],
                );
            },
            |lab| lab.mode("data", 0o755),
        ),
        case(
            "reads where a symlink leads, says nothing",
            Stale,
            |lab| {
                lab.write("one", "");
                lab.write("two", "");
                lab.link("one", "data");
                script(lab, "fs::read_link(\"data\").unwrap().to_str().unwrap().to_owned()", &[]);
            },
            |lab| lab.link("two", "data"),
        ),
        case(
            "reads through a symlink out of the sources",
            Stale,
            |lab| {
                lab.write(&lab.outside("data"), "one");
                lab.link(&lab.outside("data"), "data");
                script(lab, "read(\"data\")", OWN);
            },
            |lab| lab.write_old(&lab.outside("data"), "two"),
        ),
        case(
            "reads a file of another member, names itself",
            Stale,
            |lab| {
                member(lab);
                lab.write("data", "one");
                script_in(lab, "yeast", "read(\"../data\")", OWN);
                lab.write("yeast/src/lib.rs", "pub fn rise() -> &'static str { include_str!(concat!(env!(\"OUT_DIR\"), \"/text\")) }\n");
            },
            |lab| lab.write("data", "two"),
        ),
        case(
            "reads a file beside the sources by a relative path",
            Stale,
            |lab| {
                lab.write("../data", "one");
                script(lab, "read(\"../data\")", OWN);
            },
            |lab| lab.write_old("../data", "two"),
        ),
        case(
            "reads an absolute path, names it, an older time",
            Stale,
            |lab| {
                lab.write(&lab.outside("data"), "one");
                let path = lab.outside("data");
                script(
                    lab,
                    &format!("read({path:?})"),
                    &[&format!("cargo:rerun-if-changed={path}")],
                );
            },
            |lab| lab.write_old(&lab.outside("data"), "two"),
        ),
        case(
            "reads an absolute path, names itself",
            Stale,
            |lab| {
                lab.write(&lab.outside("data"), "one");
                script(lab, &format!("read({:?})", lab.outside("data")), OWN);
            },
            |lab| lab.write(&lab.outside("data"), "two"),
        ),
        case(
            "reads an absolute path that is new, names itself",
            Stale,
            |lab| {
                script(lab, &format!("read({:?})", lab.outside("data")), OWN);
            },
            |lab| lab.write(&lab.outside("data"), "two"),
        ),
        case(
            "reads the system's name, names itself",
            Stale,
            |lab| {
                lab.change_system();
                script(lab, "read(\"/etc/os-release\")", OWN);
            },
            |lab| {
                lab.sh("cp /etc/os-release x; rm /etc/os-release; cp x /etc/os-release; rm x; echo BAKED=yes >> /etc/os-release");
            },
        ),
        case(
            "reads a file at home, names itself",
            Stale,
            |lab| {
                lab.write("../home/.loafrc", "one");
                script(lab, "read(&format!(\"{}/.loafrc\", env::var(\"HOME\").unwrap()))", OWN);
            },
            |lab| lab.write("../home/.loafrc", "two"),
        ),
        case(
            "reads a directory that a variable names",
            Stale,
            |lab| {
                lab.write(&lab.outside("etc/data"), "one");
                lab.set("LOAF_ETC", &lab.outside("etc"));
                script(
                    lab,
                    "read(&format!(\"{}/data\", env::var(\"LOAF_ETC\").unwrap()))",
                    &["cargo:rerun-if-env-changed=LOAF_ETC"],
                );
            },
            |lab| lab.write_old(&lab.outside("etc/data"), "two"),
        ),
        case(
            "what an earlier run left in OUT_DIR",
            Stale,
            |lab| {
                lab.write("list", "one two");
                script(
                    lab,
                    "{ let out = env::var(\"OUT_DIR\").unwrap(); for name in read(\"list\").split(' ') { fs::write(format!(\"{out}/n-{name}\"), \"\").unwrap(); } let mut names: Vec<_> = fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).filter(|n| n.starts_with(\"n-\")).collect(); names.sort(); names.join(\" \") }",
                    &["cargo:rerun-if-changed=list"],
                );
            },
            |lab| lab.write("list", "one six"),
        ),
        case(
            "counts its own runs in OUT_DIR",
            Stale,
            |lab| {
                lab.write("data", "one");
                script(
                    lab,
                    "{ let path = format!(\"{}/runs\", env::var(\"OUT_DIR\").unwrap()); let runs = read(&path).len() + 1; fs::write(&path, \"x\".repeat(runs)).unwrap(); format!(\"{}{runs}\", read(\"data\")) }",
                    &["cargo:rerun-if-changed=data"],
                );
            },
            |lab| lab.write("data", "two"),
        ),
        case(
            "sets a variable for rustc from a file, names itself",
            Stale,
            |lab| {
                lab.write("data", "one");
                script(
                    lab,
                    "{ println!(\"cargo:rustc-env=TEXT={}\", read(\"data\")); String::new() }",
                    OWN,
                );
                lab.write("src/main.rs", "fn main() { println!(\"{}\", env!(\"TEXT\")); }\n");
            },
            |lab| lab.write("data", "two"),
        ),
        case(
            "sets a cfg from a file, names itself",
            Stale,
            |lab| {
                lab.write("data", "one");
                script(
                    lab,
                    "{ println!(\"cargo:rustc-cfg={}\", read(\"data\")); String::new() }",
                    &["cargo:rerun-if-changed=build.rs", "cargo:rustc-check-cfg=cfg(one,two)"],
                );
                lab.write("src/main.rs", "fn main() { println!(\"{}\", cfg!(two)); }\n");
            },
            |lab| lab.write("data", "two"),
        ),
        case(
            "a dependency's metadata from a file, names itself",
            Stale,
            |lab| {
                member(lab);
                lab.edit("yeast/Cargo.toml", "[package]\n", "[package]\nlinks = 'yeast'\n");
                lab.write("yeast/data", "one");
                script_in(
                    lab,
                    "yeast",
                    "{ println!(\"cargo:text={}\", read(\"data\")); String::new() }",
                    OWN,
                );
                script(lab, "env::var(\"DEP_YEAST_TEXT\").unwrap()", OWN);
            },
            |lab| lab.write("yeast/data", "two"),
        ),
        settling(
            "writes into the sources, and reads what was there",
            Stale,
            |lab| {
                lab.write("data", "one");
                script(
                    lab,
                    "{ fs::write(\"generated\", read(\"data\")).unwrap(); read(\"generated\") }",
                    OWN,
                );
            },
            |lab| lab.write("data", "two"),
        ),
        settling(
            "writes into the sources",
            Right,
            |lab| {
                script(
                    lab,
                    "{ fs::write(\"generated\", \"x\").unwrap(); read(\"generated\") }",
                    OWN,
                );
            },
            |_| {},
        ),
        case(
            "reads what the command left in the target directory after it",
            Stale,
            |lab| {
                script(
                    lab,
                    "read(&format!(\"{}/../../../../left\", env::var(\"OUT_DIR\").unwrap()))",
                    OWN,
                );
                lab.command(&[
                    "sh",
                    "-c",
                    "cargo build --release && echo late >target/left && cargo build --release",
                ]);
            },
            |lab| lab.edit("build.rs", "fn main", "// again\nfn main"),
        ),
        case(
            "reads a file beside the program that another one put there",
            Stale,
            |lab| {
                member(lab);
                lab.write("yeast/data", "one");
                script_in(
                    lab,
                    "yeast",
                    "{ fs::write(format!(\"{}/../../../shared\", env::var(\"OUT_DIR\").unwrap()), read(\"data\")).unwrap(); String::new() }",
                    OWN,
                );
                script(
                    lab,
                    "read(&format!(\"{}/../../../shared\", env::var(\"OUT_DIR\").unwrap()))",
                    OWN,
                );
                lab.edit(
                    "Cargo.toml",
                    "[dependencies]",
                    "[build-dependencies]\nyeast = { path = 'yeast' }\n[dependencies]",
                );
            },
            |lab| lab.write("yeast/data", "two"),
        ),
        case(
            "a vendored crate declares a file that the configuration names, an older time",
            Stale,
            |lab| declaring(lab, "{}", "env::var(\"GRAIN_DATA\").unwrap()"),
            |lab| lab.write_old("data", "two"),
        ),
        case(
            "a vendored crate declares a file above it, an older time",
            Stale,
            |lab| declaring(lab, "../../{}", "\"data\".to_owned()"),
            |lab| lab.write_old("data", "two"),
        ),
        case(
            "a vendored crate declares a directory with a link, an older time",
            Stale,
            |lab| {
                lab.write("real/data", "one");
                lab.link("../real/data", "links/data");
                declaring(lab, "../../{}", "\"links\".to_owned()");
                lab.edit("vendor/grain/build.rs", "read(&path)", "read(&format!(\"{path}/data\"))");
            },
            |lab| lab.write_old("real/data", "two"),
        ),
        case(
            "puts a file beside the libraries, another package changes",
            Right,
            |lab| {
                member(lab);
                script_in(
                    lab,
                    "yeast",
                    "{ let out = env::var(\"OUT_DIR\").unwrap(); let deps = std::path::Path::new(&out).ancestors().find(|above| above.ends_with(\"release\")).unwrap().join(\"deps\"); fs::create_dir_all(&deps).unwrap(); fs::write(deps.join(\"libbeside.so\"), \"x\").unwrap(); String::new() }",
                    OWN,
                );
                lab.command(&[
                    "sh",
                    "-c",
                    "cargo build --release && cp target/release/deps/libbeside.so target/release/",
                ]);
            },
            |lab| lab.edit("src/main.rs", "fn main", "// again\nfn main"),
        ),
        unchanged(
            "names a file that does not exist",
            Right,
            |lab| {
                script(lab, "String::new()", &["cargo:rerun-if-changed=build.rs"]);
            },
            |_| {},
        ),
    ]
}
