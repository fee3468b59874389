//! Every way to tell Cargo where to put what it builds: kept warm where larder can see it before the
//! command, and else exactly what it is without larder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{Said, World};

/// One way, as the words of the command, variables, and files of configuration in the sources.
#[derive(Default)]
struct Way {
    name: &'static str,
    words: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
    files: &'static [(&'static str, &'static str)],
    /// Where the program is afterwards, from the sources.
    program: &'static str,
    /// Whether larder can see the directory before.
    seen: bool,
}

const BUILD: &[&str] = &["cargo", "build", "--release", "--offline"];

#[expect(clippy::too_many_lines, reason = "a list")]
fn ways() -> Vec<Way> {
    let there = "../there/release/bread";
    let here = "target/release/bread";
    let seen = || Way { words: BUILD, program: here, seen: true, ..Way::default() };
    vec![
        Way {
            name: "--target-dir, relative",
            words: &["cargo", "build", "--release", "--offline", "--target-dir", "../there"],
            program: there,
            ..seen()
        },
        Way {
            name: "--target-dir=, inside of the sources",
            words: &["cargo", "build", "--target-dir=out/deep", "--release", "--offline"],
            program: "out/deep/release/bread",
            ..seen()
        },
        Way {
            name: "CARGO_TARGET_DIR",
            variables: &[("CARGO_TARGET_DIR", "../there")],
            program: there,
            ..seen()
        },
        Way {
            name: "CARGO_BUILD_TARGET_DIR",
            variables: &[("CARGO_BUILD_TARGET_DIR", "../there")],
            program: there,
            ..seen()
        },
        Way {
            name: "--config with a key",
            words: &[
                "cargo",
                "--config",
                "build.target-dir='../there'",
                "build",
                "--release",
                "--offline",
            ],
            program: there,
            ..seen()
        },
        Way {
            name: "--config with a file",
            words: &["cargo", "build", "--release", "--offline", "--config", "ci/cargo.toml"],
            files: &[("ci/cargo.toml", "[build]\ntarget-dir = '../there'\n")],
            program: there,
            ..seen()
        },
        Way {
            name: "a configuration file",
            files: &[(".cargo/config.toml", "[build]\ntarget-dir = '../there'\n")],
            program: there,
            ..seen()
        },
        Way {
            name: "an included file",
            files: &[
                (".cargo/config.toml", "include = ['ci.toml']\n"),
                (".cargo/ci.toml", "[build]\ntarget-dir = '../there'\n"),
            ],
            program: there,
            ..seen()
        },
        Way {
            name: "a file included by a table",
            files: &[
                (".cargo/config.toml", "include = [{ path = 'ci.toml' }]\n"),
                (".cargo/ci.toml", "[build]\nbuild-dir = '../between'\n"),
            ],
            ..seen()
        },
        Way {
            name: "CARGO_BUILD_BUILD_DIR",
            variables: &[("CARGO_BUILD_BUILD_DIR", "../between")],
            ..seen()
        },
        Way {
            name: "build-dir by --config, and a target directory",
            words: &[
                "cargo",
                "build",
                "--release",
                "--offline",
                "--config",
                "build.build-dir='../between'",
                "--target-dir",
                "../there",
            ],
            program: there,
            ..seen()
        },
        Way {
            name: "build-dir with a template",
            files: &[(
                ".cargo/config.toml",
                "[build]\nbuild-dir = '{cargo-cache-home}/all/{workspace-path-hash}'\n",
            )],
            ..seen()
        },
        Way {
            name: "build-dir below the top of the workspace",
            files: &[(".cargo/config.toml", "[build]\nbuild-dir = '{workspace-root}/between'\n")],
            ..seen()
        },
        Way {
            name: "in a script",
            words: &["sh", "-c", "cargo build --release --offline --target-dir ../there"],
            program: there,
            ..Way::default()
        },
        Way {
            name: "two in a script",
            words: &[
                "sh",
                "-c",
                "cargo build --release --offline && cargo build --release --offline --target-dir ../there",
            ],
            program: there,
            ..Way::default()
        },
        Way {
            name: "what holds the sources",
            words: &["cargo", "build", "--release", "--offline", "--target-dir", ".."],
            program: "../release/bread",
            ..Way::default()
        },
    ]
}

struct Bakery {
    world: World,
    way: Way,
}

impl Bakery {
    /// The sources as if they had just been cloned, with this text in the program.
    fn clone(&self, text: &str) {
        let source = self.world.source();
        let _ = fs::remove_dir_all(&source);
        let main = format!("fn main() {{ println!(\"{text}\"); }}\n");
        let manifest =
            "[package]\nname = 'bread'\nversion = '0.1.0'\nedition = '2021'\n[workspace]\n";
        let lock = "# This file is automatically @generated by Cargo.\n# It is not intended for manual editing.\nversion = 4\n\n[[package]]\nname = \"bread\"\nversion = \"0.1.0\"\n";
        let own = [("Cargo.toml", manifest), ("Cargo.lock", lock), ("src/main.rs", &main)];
        for (path, text) in self.way.files.iter().copied().chain(own) {
            self.world.write(path, text);
        }
    }

    fn run(&self) -> String {
        let mut command = self.world.run_command(self.way.words);
        command.envs(self.way.variables.iter().copied());
        Said::of(&command.output().unwrap()).succeeds().stderr
    }

    /// The same without larder.
    fn run_plainly(&self) {
        let mut command = self.world.command(self.way.words[0]);
        command.args(&self.way.words[1..]).envs(self.way.variables.iter().copied());
        Said::of(&command.current_dir(self.world.source()).output().unwrap()).succeeds();
    }

    fn program(&self) -> PathBuf {
        self.world.source().join(self.way.program)
    }

    fn says(&self) -> String {
        String::from_utf8(Command::new(self.program()).output().unwrap().stdout).unwrap()
    }

    fn compiled(text: &str) -> usize {
        text.lines().filter(|line| line.trim_start().starts_with("Compiling ")).count()
    }
}

fn remove(path: &Path) {
    let _ = fs::remove_dir_all(path);
}

#[test]
fn wherever_cargo_is_told_to_build_it_is_warm_where_that_can_be_seen_and_never_stale() {
    for way in ways() {
        let name = way.name;
        let bakery = Bakery { world: World::new(), way };
        bakery.clone("one");
        assert!(Bakery::compiled(&bakery.run()) > 0, "{name}");
        assert_eq!(bakery.says(), "one\n", "{name}");
        bakery.clone("one");
        let again = bakery.run();
        assert_eq!(bakery.says(), "one\n", "{name}");
        if bakery.way.seen {
            assert_eq!(Bakery::compiled(&again), 0, "{name}: {again}");
        }
        bakery.clone("two");
        bakery.run();
        assert_eq!(bakery.says(), "two\n", "{name}");
        let warm = fs::read(bakery.program()).unwrap();
        bakery.clone("one");
        bakery.run();
        assert_eq!(bakery.says(), "one\n", "{name}");
        for dir in ["there", "between", "release", "home/.cargo/all"] {
            remove(&bakery.world.path(dir));
        }
        bakery.clone("two");
        bakery.run_plainly();
        assert_eq!(fs::read(bakery.program()).unwrap(), warm, "{name}: bytes of a cold build");
    }
}

#[test]
fn a_build_script_that_calls_cargo_has_what_it_has_without_larder() {
    let world = World::new();
    let inner = |text: &str| {
        world.write("inner/src/main.rs", &format!("fn main() {{ print!(\"{text}\"); }}\n"));
    };
    let clone = |text: &str| {
        let _ = fs::remove_dir_all(world.source());
        world.write("Cargo.toml", "[package]\nname = 'bread'\nversion = '0.1.0'\nedition = '2021'\n[workspace]\nexclude = ['inner']\n");
        world.write(
            "inner/Cargo.toml",
            "[package]\nname = 'inner'\nversion = '0.1.0'\nedition = '2021'\n[workspace]\n",
        );
        world.write("build.rs", "use std::process::Command;\nfn main() {\n    let words = [\"build\", \"--release\", \"--offline\", \"--manifest-path\", \"inner/Cargo.toml\", \"--target-dir\", \"../nested\"];\n    assert!(Command::new(\"cargo\").args(words).status().unwrap().success());\n    let text = Command::new(\"../nested/release/inner\").output().unwrap().stdout;\n    println!(\"cargo:rustc-env=TEXT={}\", String::from_utf8(text).unwrap());\n}\n");
        world.write("src/main.rs", "fn main() { println!(\"{}\", env!(\"TEXT\")); }\n");
        inner(text);
    };
    let says = || {
        world.run(BUILD).succeeds();
        let program = world.source().join("target/release/bread");
        String::from_utf8(Command::new(program).output().unwrap().stdout).unwrap()
    };
    for text in ["one", "two", "one"] {
        clone(text);
        assert_eq!(says(), format!("{text}\n"));
    }
}
