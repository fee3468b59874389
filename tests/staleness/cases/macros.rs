//! What proc macros read when they run.

use super::Plain::{Right, Stale};
use super::{Case, case};
use crate::lab::Lab;

/// The program prints what a proc macro computes: an expression of a `String`.
pub fn proc_macro(lab: &Lab<'_>, text: &str) {
    lab.write(
        "Cargo.toml",
        "[workspace]\nmembers = ['salt']\n[package]\nname = 'loaf'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\nsalt = { path = 'salt' }\n",
    );
    lab.write("src/main.rs", "fn main() { println!(\"{}\", salt::text!()); }\n");
    lab.write(
        "salt/Cargo.toml",
        "[package]\nname = 'salt'\nversion = '0.1.0'\nedition = '2021'\n[lib]\nproc-macro = true\n",
    );
    lab.write(
        "salt/src/lib.rs",
        &format!(
            "#![allow(unused)]\nuse std::{{env, fs}};\nfn read(path: &str) -> String {{ fs::read_to_string(path).unwrap_or_default() }}\n#[proc_macro]\npub fn text(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{\n    let text: String = {text};\n    format!(\"{{text:?}}\").parse().unwrap()\n}}\n"
        ),
    );
}

const DATA: &str = "read(&format!(\"{}/data\", env::var(\"CARGO_MANIFEST_DIR\").unwrap()))";

pub fn cases() -> Vec<Case> {
    let reads = |lab: &Lab<'_>| {
        lab.write("data", "one");
        proc_macro(lab, DATA);
    };
    vec![
        case("reads a file, a newer time", Stale, reads, |lab| lab.write("data", "two")),
        case("reads a file, an older time", Stale, reads, |lab| lab.write_old("data", "two")),
        case("reads a file that is gone", Stale, reads, |lab| lab.remove("data")),
        case(
            "reads a file that is new",
            Stale,
            |lab| proc_macro(lab, DATA),
            |lab| lab.write("data", "two"),
        ),
        case(
            "lists a directory",
            Stale,
            |lab| {
                lab.write("data/one", "");
                proc_macro(
                    lab,
                    "fs::read_dir(format!(\"{}/data\", env::var(\"CARGO_MANIFEST_DIR\").unwrap())).unwrap().count().to_string()",
                );
            },
            |lab| lab.write("data/two", ""),
        ),
        case(
            "reads a file beside the workspace",
            Stale,
            |lab| {
                lab.write("../data", "one");
                proc_macro(
                    lab,
                    "read(&format!(\"{}/../data\", env::var(\"CARGO_MANIFEST_DIR\").unwrap()))",
                );
            },
            |lab| lab.write("../data", "two"),
        ),
        case(
            "reads an absolute path",
            Stale,
            |lab| {
                lab.write(&lab.outside("data"), "one");
                proc_macro(lab, &format!("read({:?})", lab.outside("data")));
            },
            |lab| lab.write(&lab.outside("data"), "two"),
        ),
        case(
            "reads a variable",
            Stale,
            |lab| {
                proc_macro(lab, "env::var(\"LOAF\").unwrap_or_default()");
                lab.set("LOAF", "one");
            },
            |lab| lab.set("LOAF", "two"),
        ),
        case(
            "reads a variable that is gone",
            Stale,
            |lab| {
                proc_macro(lab, "env::var(\"LOAF\").unwrap_or_default()");
                lab.set("LOAF", "one");
            },
            |lab| lab.unset("LOAF"),
        ),
        case(
            "its own text, an older time",
            Stale,
            |lab| proc_macro(lab, "\"one\".to_owned()"),
            |lab| {
                lab.edit_old("salt/src/lib.rs", "\"one\"", "\"two\"");
            },
        ),
        case(
            "its own text, a newer time",
            Right,
            |lab| proc_macro(lab, "\"one\".to_owned()"),
            |lab| {
                lab.edit("salt/src/lib.rs", "\"one\"", "\"two\"");
            },
        ),
        case(
            "runs a tool of PATH",
            Stale,
            |lab| {
                lab.change_system();
                lab.write_program("/usr/local/bin/loaf-tool", "#!/bin/sh\necho one\n");
                proc_macro(
                    lab,
                    "String::from_utf8(std::process::Command::new(\"loaf-tool\").output().unwrap().stdout).unwrap()",
                );
            },
            |lab| lab.write_program("/usr/local/bin/loaf-tool", "#!/bin/sh\necho two\n"),
        ),
        case(
            "asks git",
            Stale,
            |lab| {
                proc_macro(
                    lab,
                    "String::from_utf8(std::process::Command::new(\"git\").args([\"rev-parse\", \"HEAD\"]).output().unwrap().stdout).unwrap()",
                );
                lab.commit();
            },
            |lab| drop(lab.git("commit -q --allow-empty -m empty")),
        ),
    ]
}
