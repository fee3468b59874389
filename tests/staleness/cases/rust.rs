//! rustc, cargo and the sysroot: replaced behind the same version.

use super::Plain::{Any, Stale};
use super::{Case, case};
use crate::lab::Lab;

/// The program says whether a `cfg` is set that only a changed compiler sets.
fn patched(lab: &Lab<'_>) {
    lab.write(
        "src/main.rs",
        "#![allow(unexpected_cfgs)]\nfn main() { println!(\"{}\", cfg!(patched)); }\n",
    );
}

/// A program that calls rustc, with more arguments where it compiles something.
fn wrapper(rustc: &str, more: &str) -> String {
    format!(
        "#!/bin/sh\ncase \"$*\" in\n*--crate-name\\ ___*) exec {rustc} \"$@\" ;;\n*--crate-name*) exec {rustc} \"$@\" {more} ;;\n*) exec {rustc} \"$@\" ;;\nesac\n"
    )
}

/// The same for a wrapper, which gets rustc's path as its first argument.
fn passes_on(more: &str) -> String {
    wrapper("", more)
}

pub fn cases() -> Vec<Case> {
    let with_script = |name: &'static str| {
        move |lab: &Lab<'_>| {
            patched(lab);
            lab.write_program(&lab.outside("rust"), &passes_on(""));
            lab.set(name, &lab.outside("rust"));
        }
    };
    let changed_script = |lab: &Lab<'_>| {
        lab.write_program(&lab.outside("rust"), &passes_on("--cfg patched"));
    };
    vec![
        case(
            "another rustc with the same version",
            Stale,
            |lab| {
                patched(lab);
                lab.change_system();
            },
            |lab| {
                let rustc = lab.sysroot().join("bin/rustc").display().to_string();
                let time = lab.mtime(&rustc);
                lab.rename(&rustc, &format!("{rustc}.real"));
                let text = wrapper(&format!("{rustc}.real"), "--cfg patched");
                lab.write_program(&rustc, &text);
                lab.time(&rustc, time);
            },
        ),
        case(
            "another standard library with the same version",
            Stale,
            |lab| {
                lab.change_system();
                lab.write("src/main.rs", "fn main() { let x: Option<u8> = std::env::args().next().map(|_| 1).filter(|_| false); println!(\"{}\", x.unwrap()); }\n");
            },
            |lab| {
                let lib = lab.sysroot().join("lib/rustlib");
                let name = lab.sh(&format!(
                    "ls -d '{}'/*-linux-gnu/lib/libcore-*.rlib | head -n 1",
                    lib.display()
                ));
                let time = lab.mtime(&name);
                lab.sh(&format!("cp '{name}' x; sed -i 's/called `Option::unwrap()` on a `None` value/called `Option::unwrap()` on a `Nine` value/g' x; ! cmp -s x '{name}'; rm '{name}'; mv x '{name}'"));
                lab.time(&name, time);
            },
        ),
        case(
            "the script that RUSTC names",
            Stale,
            |lab| {
                patched(lab);
                let rustc = lab.tool_path("rustc");
                lab.write_program(&lab.outside("rust"), &wrapper(&rustc, ""));
                lab.set("RUSTC", &lab.outside("rust"));
            },
            |lab| {
                let rustc = lab.tool_path("rustc");
                lab.write_program(&lab.outside("rust"), &wrapper(&rustc, "--cfg patched"));
            },
        ),
        case(
            "the script that RUSTC_WRAPPER names",
            Stale,
            with_script("RUSTC_WRAPPER"),
            changed_script,
        ),
        case(
            "the script that RUSTC_WORKSPACE_WRAPPER names",
            Stale,
            with_script("RUSTC_WORKSPACE_WRAPPER"),
            changed_script,
        ),
        case(
            "the script that the configuration names as wrapper",
            Stale,
            |lab| {
                patched(lab);
                lab.write_program(&lab.outside("rust"), &passes_on(""));
                lab.write(
                    ".cargo/config.toml",
                    &format!("[build]\nrustc-wrapper = '{}'\n", lab.outside("rust")),
                );
            },
            changed_script,
        ),
        case(
            "a wrapper in the sources",
            Stale,
            |lab| {
                patched(lab);
                lab.write_program("tools/rust", &passes_on(""));
                lab.write(".cargo/config.toml", "[build]\nrustc-wrapper = './tools/rust'\n");
            },
            |lab| lab.write_program("tools/rust", &passes_on("--cfg patched")),
        ),
        case(
            "another cargo that sets a variable",
            Stale,
            |lab| {
                lab.change_system();
                super::scripts::script(
                    lab,
                    "env::var(\"LOAF\").unwrap_or_default()",
                    &["cargo:rerun-if-changed=build.rs"],
                );
            },
            |lab| {
                let cargo = lab.sysroot().join("bin/cargo").display().to_string();
                lab.rename(&cargo, &format!("{cargo}.real"));
                lab.write_program(
                    &cargo,
                    &format!("#!/bin/sh\nexport LOAF=two\nexec {cargo}.real \"$@\"\n"),
                );
            },
        ),
        case("a wrapper that is new", Any, patched, |lab| {
            lab.write_program(&lab.outside("rust"), &passes_on("--cfg patched"));
            lab.set("RUSTC_WRAPPER", &lab.outside("rust"));
        }),
    ]
}
