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
            name: "--artifact-dir",
            words: &[
                "cargo",
                "build",
                "--release",
                "--offline",
                "-Zunstable-options",
                "--artifact-dir",
                "../out",
            ],
            variables: &[("RUSTC_BOOTSTRAP", "1")],
            program: "../out/bread",
            ..seen()
        },
        Way {
            name: "--artifact-dir inside of the sources, and a target directory",
            words: &[
                "cargo",
                "build",
                "--release",
                "--offline",
                "-Zunstable-options",
                "--artifact-dir=out",
                "--target-dir=../there",
            ],
            variables: &[("RUSTC_BOOTSTRAP", "1")],
            program: "out/bread",
            // What it makes is a file of the checkout, which a fresh clone lacks.
            ..Way::default()
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

    fn edit(&self, text: &str) {
        self.world.write("src/main.rs", &format!("fn main() {{ println!(\"{text}\"); }}\n"));
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
        // In a checkout that stays, it is what it is without larder where larder does not see it.
        bakery.edit("six");
        assert!(Bakery::compiled(&bakery.run()) > 0, "{name}");
        assert_eq!(bakery.says(), "six\n", "{name}");
        if bakery.way.program == "out/bread" {
            // A file of the checkout that the command wrote counts as changed once.
            bakery.run();
        }
        let again = bakery.run();
        assert_eq!(Bakery::compiled(&again), 0, "{name}: {again}{}", bakery.world.reasons());
        assert_eq!(bakery.says(), "six\n", "{name}");
        for dir in ["there", "between", "release", "out", "home/.cargo/all"] {
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
    for text in ["two", "one", "six"] {
        inner(text);
        assert_eq!(says(), format!("{text}\n"), "in a checkout that stays");
    }
    assert_eq!(says(), "six\n");
    assert_eq!(world.compiled(), 0, "{}", world.reasons());
}

#[test]
fn a_package_of_one_file_is_what_it_is_without_larder() {
    for (variables, target) in
        [(&[][..], None), (&[("CARGO_TARGET_DIR", "../there")], Some("there"))]
    {
        let world = World::new();
        let write = |text: &str| {
            let text = format!(
                "---\n[package]\nedition = \"2021\"\n---\nfn main() {{ println!(\"{text}\"); }}\n"
            );
            world.write("tool.rs", &text);
        };
        let run = || {
            let mut command = world.run_command(&["cargo", "-v", "-Zscript", "tool.rs"]);
            command.env("RUSTC_BOOTSTRAP", "1").envs(variables.iter().copied());
            let said = Said::of(&command.output().unwrap()).succeeds();
            (said.stdout, Bakery::compiled(&said.stderr))
        };
        for text in ["one", "two", "one"] {
            write(text);
            assert_eq!(run(), (format!("{text}\n"), 1), "{target:?}");
            assert_eq!(run(), (format!("{text}\n"), 0), "{target:?}");
        }
        fs::remove_dir_all(world.source()).unwrap();
        write("two");
        assert_eq!(run().0, "two\n", "{target:?}: a fresh clone");
    }
}

/// Another workspace than that of the sources, with a dependency of its own; and one inside of the sources.
struct Others {
    world: World,
    round: std::cell::Cell<u32>,
}

impl Others {
    fn new() -> Self {
        let others = Self { world: World::new(), round: std::cell::Cell::new(0) };
        for dir in ["other", "bread/tools"] {
            others.write(dir, "Cargo.toml", "[workspace]\nmembers = ['salt']\n[package]\nname = 'other'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\nsalt = { path = 'salt' }\n");
            let manifest = "[package]\nname = 'salt'\nversion = '0.1.0'\nedition = '2021'\n";
            others.write(dir, "salt/Cargo.toml", manifest);
            others.write(dir, "src/main.rs", "fn main() { println!(\"{}\", salt::TEXT); }\n");
            others.salt(dir);
        }
        let manifest = fs::read_to_string(others.world.source().join("Cargo.toml")).unwrap();
        let manifest = manifest.replace("members", "exclude = ['tools']\nmembers");
        others.world.write("Cargo.toml", &manifest);
        others
    }

    fn write(&self, dir: &str, path: &str, text: &str) {
        let path = self.world.path(dir).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Gives the dependency another text of the same length, and says which.
    fn salt(&self, dir: &str) -> String {
        self.round.set(self.round.get() + 1);
        let text = format!("{:03}", self.round.get());
        self.write(dir, "salt/src/lib.rs", &format!("pub const TEXT: &str = \"{text}\";\n"));
        text
    }

    fn run(&self, from: &str, words: &[&str], variables: &[(&str, &str)]) -> String {
        let mut command = self.world.run_command(&[BUILD, words].concat());
        command.envs(variables.iter().copied()).current_dir(self.world.path(from));
        Said::of(&command.output().unwrap()).succeeds().stderr
    }
}

/// A command that builds another workspace.
#[derive(Default)]
struct Other {
    /// The other workspace.
    dir: &'static str,
    words: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
    /// Where it is started.
    from: &'static str,
    program: &'static str,
}

const OTHER: &[&str] = &["--manifest-path", "../other/Cargo.toml"];
const OTHERS_OWN: &str = "other/target/release/other";

fn others() -> [Other; 9] {
    let other = || Other { dir: "other", words: OTHER, from: "bread", ..Other::default() };
    let tools = || Other { dir: "bread/tools", ..other() };
    let there = "there/release/other";
    let in_place: &[&str] = &["--manifest-path", "../other/Cargo.toml", "--target-dir", "target"];
    let odd: &[&str] = &["--manifest-path=../other/salt/../Cargo.toml", "--target-dir", "../there"];
    let told: &[(&str, &str)] = &[("CARGO_TARGET_DIR", "../there")];
    let between: &[(&str, &str)] = &[("CARGO_BUILD_BUILD_DIR", "../between")];
    [
        Other { program: OTHERS_OWN, ..other() },
        Other { words: odd, program: there, ..other() },
        Other { variables: told, program: there, ..other() },
        Other { words: in_place, program: "bread/target/release/other", ..other() },
        Other { words: &[], from: "other", program: OTHERS_OWN, ..other() },
        Other {
            words: &["--target-dir", "../../there"],
            from: "other/src",
            program: there,
            ..other()
        },
        Other { words: &[], variables: between, from: "other", program: OTHERS_OWN, ..other() },
        Other {
            words: &["--manifest-path", "tools/Cargo.toml"],
            program: "bread/tools/target/release/other",
            ..tools()
        },
        Other {
            words: &["--target-dir", "../there"],
            from: "bread/tools",
            program: "bread/there/release/other",
            ..tools()
        },
    ]
}

#[test]
fn a_directory_of_another_workspace_is_what_it_is_without_larder() {
    for Other { dir, words, variables, from, program } in others() {
        let name = format!("{words:?} {variables:?} in {from}");
        let others = Others::new();
        let program = others.world.path(program);
        let says = || String::from_utf8(Command::new(&program).output().unwrap().stdout).unwrap();
        let mut text = others.salt(dir);
        for round in 0..2 {
            let said = others.run(from, words, variables);
            assert_eq!(says(), format!("{text}\n"), "{name}");
            assert_eq!(Bakery::compiled(&said), 2, "{name}: {said}");
            let notes: Vec<&str> =
                said.lines().filter(|line| line.starts_with("larder: ")).collect();
            assert!(matches!(notes[..], [note] if note.contains("left alone")), "{name}: {said}");
            let again = others.run(from, words, variables);
            assert_eq!(Bakery::compiled(&again), 0, "{name}, {round}: {again}");
            text = others.salt(dir);
        }
        assert!(program.symlink_metadata().unwrap().is_file(), "{name}");
        assert!(!program.parent().unwrap().is_symlink(), "{name}: what larder attached");
    }
}

#[test]
fn a_member_names_the_workspace_above_it() {
    let world = World::new();
    let flour = world.source().join("flour");
    let run = || {
        let words = ["run", "flour", "--source", flour.to_str().unwrap(), "--"];
        let target = ["--target-dir", "../../there"];
        let mut command = world.larder_command(&[&words[..], BUILD, &target].concat());
        Said::of(&command.current_dir(&flour).output().unwrap()).succeeds().stderr
    };
    assert_eq!(Bakery::compiled(&run()), 1);
    let again = run();
    assert_eq!(Bakery::compiled(&again), 0, "{again}");
    let root = world.source();
    assert!(again.contains(&format!("the workspace {}", root.display())), "{again}");
    let flour = fs::read_to_string(world.source().join("flour/src/lib.rs")).unwrap();
    world.write("flour/src/lib.rs", &flour.replace('7', "8"));
    assert_eq!(Bakery::compiled(&run()), 1);
}

#[test]
fn from_a_directory_below_the_workspace_it_is_warm() {
    let world = World::new();
    let run = |words: &[&str]| {
        let mut command = world.run_command(&[BUILD, words].concat());
        Said::of(&command.current_dir(world.source().join("flour")).output().unwrap()).succeeds();
        world.compiled()
    };
    let top = ["--manifest-path", "../Cargo.toml", "--target-dir", "../../there"];
    let member = ["--target-dir", "../../there"];
    for words in [&top[..], &member] {
        assert_ne!(run(words), 0, "{words:?}");
        assert_eq!(run(words), 0, "{words:?}: {}", world.reasons());
        let flour = fs::read_to_string(world.source().join("flour/src/lib.rs")).unwrap();
        world.write("flour/src/lib.rs", &format!("{flour}// again\n"));
        assert_ne!(run(words), 0, "{words:?}");
    }
}
