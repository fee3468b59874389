//! Cargo's configuration files, wherever they are.

use super::Plain::{Any, Right, Stale};
use super::scripts::script;
use super::{Case, case, unchanged};
use crate::lab::Lab;

/// A build script that reads the variable `LOAF` and does not name it.
fn reads(lab: &Lab<'_>) {
    script(lab, "env::var(\"LOAF\").unwrap_or_default()", &["cargo:rerun-if-changed=build.rs"]);
}

fn prints(lab: &Lab<'_>) {
    lab.write("src/main.rs", "fn main() { println!(\"{:?}\", option_env!(\"LOAF\")); }\n");
}

const ONE: &str = "[env]\nLOAF = 'one'\n";
const TWO: &str = "[env]\nLOAF = 'two'\n";

pub fn cases() -> Vec<Case> {
    vec![
        case(
            "[env] that a build script reads",
            Stale,
            |lab| {
                reads(lab);
                lab.write(".cargo/config.toml", ONE);
            },
            |lab| lab.write_old(".cargo/config.toml", TWO),
        ),
        case(
            "[env] in env!",
            Any,
            |lab| {
                prints(lab);
                lab.write(".cargo/config.toml", ONE);
            },
            |lab| lab.write_old(".cargo/config.toml", TWO),
        ),
        case(
            "[env] above the sources",
            Stale,
            |lab| {
                reads(lab);
                lab.write("../.cargo/config.toml", ONE);
            },
            |lab| lab.write_old("../.cargo/config.toml", TWO),
        ),
        case(
            "[env] in Cargo's home",
            Stale,
            |lab| {
                reads(lab);
                lab.write("../home/.cargo/config.toml", ONE);
            },
            |lab| lab.write_old("../home/.cargo/config.toml", TWO),
        ),
        case(
            "[env] in a file without ending",
            Stale,
            |lab| {
                reads(lab);
                lab.write(".cargo/config", ONE);
            },
            |lab| lab.write_old(".cargo/config", TWO),
        ),
        case(
            "[env] in a file that --config names",
            Stale,
            |lab| {
                reads(lab);
                lab.write(&lab.outside("more.toml"), ONE);
                lab.command(&[
                    "cargo",
                    "build",
                    "--release",
                    "--config",
                    &lab.outside("more.toml"),
                ]);
            },
            |lab| lab.write_old(&lab.outside("more.toml"), TWO),
        ),
        case(
            "[env] in a directory below, where the command runs",
            Stale,
            |lab| {
                reads(lab);
                lab.write("sub/.cargo/config.toml", ONE);
                lab.command(&["sh", "-c", "cd sub && cargo build --release"]);
            },
            |lab| lab.write_old("sub/.cargo/config.toml", TWO),
        ),
        case(
            "[env] with force over a variable",
            Stale,
            |lab| {
                reads(lab);
                lab.set("LOAF", "zero");
                lab.write(".cargo/config.toml", "[env]\nLOAF = { value = 'one', force = true }\n");
            },
            |lab| {
                lab.write_old(
                    ".cargo/config.toml",
                    "[env]\nLOAF = { value = 'two', force = true }\n",
                )
            },
        ),
        case(
            "a configuration that is gone",
            Stale,
            |lab| {
                reads(lab);
                lab.write(".cargo/config.toml", ONE);
            },
            |lab| lab.remove(".cargo"),
        ),
        case("a configuration that is new", Stale, reads, |lab| {
            lab.write("../.cargo/config.toml", TWO)
        }),
        case("rustflags", Right, super::as_is, |lab| {
            lab.write_old(".cargo/config.toml", "[build]\nrustflags = ['-Copt-level=1']\n");
        }),
        case("rustflags in Cargo's home", Right, super::as_is, |lab| {
            lab.write_old("../home/.cargo/config.toml", "[build]\nrustflags = ['-Copt-level=1']\n");
        }),
        case("a profile", Right, super::as_is, |lab| {
            lab.write_old(".cargo/config.toml", "[profile.release]\nopt-level = 1\n");
        }),
        case("a profile of the manifest", Right, super::as_is, |lab| {
            let text = lab.read("Cargo.toml");
            lab.write_old("Cargo.toml", &(text + "[profile.release]\npanic = 'abort'\n"));
        }),
        case(
            "a profile of build scripts",
            Right,
            |lab| {
                script(
                    lab,
                    "cfg!(debug_assertions).to_string()",
                    &["cargo:rerun-if-changed=build.rs"],
                );
            },
            |lab| {
                lab.write_old(
                    ".cargo/config.toml",
                    "[profile.release.build-override]\ndebug-assertions = true\n",
                )
            },
        ),
        case(
            "a linker argument that a file holds",
            Stale,
            |lab| {
                lab.write(&lab.outside("arguments"), "-Wl,--build-id=0x1234\n");
                lab.write(
                    ".cargo/config.toml",
                    &format!("[build]\nrustflags = ['-Clink-arg=@{}']\n", lab.outside("arguments")),
                );
            },
            |lab| lab.write_old(&lab.outside("arguments"), "-Wl,--build-id=0x5678\n"),
        ),
        case(
            "a target file",
            Any,
            |lab| {
                lab.write(
                    ".cargo/config.toml",
                    "[target.'cfg(unix)']\nrustflags = ['-Copt-level=1']\n",
                );
            },
            |lab| {
                lab.write_old(
                    ".cargo/config.toml",
                    "[target.'cfg(unix)']\nrustflags = ['-Copt-level=2']\n",
                )
            },
        ),
        case(
            "a patch by configuration",
            Any,
            |lab| {
                super::packages::vendored(lab, "1");
                super::packages::crate_at(lab, &lab.outside("grain"), "0.1.0", "2");
            },
            |lab| {
                let text = lab.read(".cargo/config.toml");
                lab.write(
                    ".cargo/config.toml",
                    &format!(
                        "{text}[patch.crates-io]\ngrain = {{ path = '{}' }}\n",
                        lab.outside("grain")
                    ),
                );
            },
        ),
        unchanged(
            "the file is touched",
            Right,
            |lab| {
                reads(lab);
                lab.write("../.cargo/config.toml", ONE);
            },
            |lab| lab.old("../.cargo/config.toml"),
        ),
    ]
}
