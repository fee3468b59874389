//! `--with`: what Go and ccache keep is attached, and never gives out what a cold build would not make.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use filetime::FileTime;
use rustix::process::{Pid, Signal, kill_process};

use crate::world::{Said, World};

/// A project `bread` in Go or C, and what builds it into `out/app`.
struct Kitchen {
    world: World,
    with: &'static [&'static str],
    script: String,
    environment: Vec<(&'static str, String)>,
}

const GO: &[(&str, &str)] = &[
    ("go.mod", "module bread\n\ngo 1.19\n"),
    (
        "main.go",
        "package main\n\nimport (\n\t\"bread/flour\"\n\t\"fmt\"\n)\n\nfunc main() { fmt.Println(flour.Kind()) }\n",
    ),
    (
        "flour/flour.go",
        "package flour\n\nimport _ \"embed\"\n\n//go:embed kind.txt\nvar kind string\n\nfunc Kind() string { return kind }\n",
    ),
    ("flour/kind.txt", "rye\n"),
];

const CGO: &[(&str, &str)] = &[
    ("go.mod", "module bread\n\ngo 1.19\n"),
    (
        "main.go",
        "package main\n\nimport (\n\t\"bread/yeast\"\n\t\"fmt\"\n)\n\nfunc main() { fmt.Println(yeast.Weight()) }\n",
    ),
    (
        "yeast/yeast.go",
        "package yeast\n\n// #cgo CFLAGS: -I${SRCDIR}/../include\n// #cgo LDFLAGS: ${SRCDIR}/../lib/libwater.a\n// #include \"weight.h\"\n// int water(void);\nimport \"C\"\n\nfunc Weight() int { return int(C.WEIGHT) + int(C.water()) }\n",
    ),
    ("include/weight.h", "#define WEIGHT 7\n"),
    ("water.c", "int water(void) { return 100; }\n"),
];

const C: &[(&str, &str)] = &[
    ("main.c", "#include \"weight.h\"\nint main(void) { return WEIGHT; }\n"),
    ("late/weight.h", "#define WEIGHT 7\n"),
];

const GO_BUILD: &str = "go build -x -o ../out/app .";
const C_BUILD: &str = "ccache gcc -g -Iearly -Ilate -c main.c -o main.o && gcc main.o -o ../out/app";
const WATER: &str = "gcc -c water.c -o water.o && ar rcD lib/libwater.a water.o && rm water.o";

impl Kitchen {
    fn new(with: &'static [&'static str], files: &[(&str, &str)], script: &str) -> Self {
        let world = World::new();
        fs::remove_dir_all(world.source()).unwrap();
        fs::remove_dir_all(world.store().join("projects")).unwrap();
        fs::create_dir(world.store().join("projects")).unwrap();
        fs::create_dir(world.path("out")).unwrap();
        let environment = vec![("GOPROXY", "off".to_owned()), ("GOFLAGS", String::new())];
        let kitchen = Self { world, with, script: script.to_owned(), environment };
        files.iter().for_each(|(name, text)| kitchen.world.write(name, text));
        kitchen
    }

    fn go() -> Self {
        Self::new(&["go"], GO, GO_BUILD)
    }

    fn cgo() -> Self {
        let kitchen = Self::new(&["go"], CGO, GO_BUILD);
        fs::create_dir(kitchen.world.source().join("lib")).unwrap();
        kitchen.shell(WATER);
        kitchen
    }

    fn ccache() -> Self {
        Self::new(&["ccache"], C, C_BUILD)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.larder_command(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.world.source());
        command
    }

    fn run_command(&self) -> Command {
        let mut arguments = vec!["run", "bread"];
        self.with.iter().for_each(|with| arguments.extend(["--with", with]));
        arguments.extend(["--", "sh", "-c", &self.script]);
        self.command(&arguments)
    }

    fn run(&self) -> Said {
        let _ = fs::remove_file(self.app());
        Said::of(&self.run_command().output().unwrap())
    }

    fn app(&self) -> PathBuf {
        self.world.path("out/app")
    }

    /// Builds with larder; how many packages Go compiled.
    fn build(&self) -> usize {
        let said = self.run().succeeds();
        assert!(!said.stderr.contains("not kept"), "{said:#?}");
        said.stderr.lines().filter(|line| line.contains("/compile -o ")).count()
    }

    fn shell(&self, script: &str) -> Said {
        let mut command = self.world.command("sh");
        command.args(["-c", script]).current_dir(self.world.source());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Said::of(&command.output().unwrap()).succeeds()
    }

    /// The bytes of a build without larder and without caches, of another copy of the sources at the
    /// same path.
    fn cold(&self) -> Vec<u8> {
        let (source, aside) = (self.world.source(), self.world.path("aside"));
        fs::rename(&source, &aside).unwrap();
        let copied = Command::new("cp").arg("-r").args([&aside, &source]).status().unwrap();
        assert!(copied.success());
        fs::remove_file(self.app()).unwrap();
        self.shell(&self.script);
        let bytes = fs::read(self.app()).unwrap();
        fs::remove_dir_all(&source).unwrap();
        fs::rename(&aside, &source).unwrap();
        let home = self.world.path("home");
        Command::new("chmod").arg("-R").arg("u+w").arg(&home).status().unwrap();
        fs::remove_dir_all(&home).unwrap();
        fs::create_dir(&home).unwrap();
        bytes
    }

    /// What was just built is what a cold build makes.
    #[track_caller]
    fn is_right(&self) {
        let warm = fs::read(self.app()).unwrap();
        assert!(warm == self.cold(), "stale: {}", self.world.reasons());
    }

    /// The application says so itself.
    fn says(&self) -> String {
        let output = Command::new(self.app()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Writes a file of the same size, and gives it its old time back.
    fn forge(&self, file: &str, text: &str) {
        let path = self.world.source().join(file);
        let before = fs::metadata(&path).unwrap();
        assert_eq!(before.len(), text.len() as u64);
        self.world.write(file, text);
        filetime::set_file_mtime(&path, FileTime::from_last_modification_time(&before)).unwrap();
    }

    /// Makes all files so old that Go trusts their times.
    fn age(&self) {
        self.shell("find . -type f -exec touch -d 2020-01-01 {} +");
    }

    fn caches(&self) -> PathBuf {
        self.world.entry_dir().join("caches")
    }

    fn directories(&self) -> usize {
        let project = self.world.store().join("projects/bread");
        let inside = fs::read_dir(project).unwrap().map(|entry| entry.unwrap().path());
        inside.filter(|path| path.is_dir()).count()
    }
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().map(Result::unwrap);
    walk.filter(|item| item.file_type().is_file()).map(|item| item.path().to_owned()).collect()
}

#[test]
fn an_unchanged_go_build_compiles_nothing() {
    let kitchen = Kitchen::go();
    assert!(kitchen.build() >= 2);
    kitchen.is_right();
    for _ in 0..2 {
        assert_eq!(kitchen.build(), 0, "{}", kitchen.world.reasons());
        assert_eq!(kitchen.world.reasons(), "");
        kitchen.is_right();
    }
    let source = kitchen.world.source();
    fs::rename(&source, kitchen.world.path("old")).unwrap();
    Command::new("cp").arg("-r").arg(kitchen.world.path("old")).arg(&source).status().unwrap();
    assert_eq!(kitchen.build(), 0, "a fresh copy");
    kitchen.is_right();
    let status = kitchen.world.larder(&["status"]).succeeds();
    assert!(status.stdout.contains("go 1."), "{status:#?}");
    assert_eq!(fs::read_dir(kitchen.world.path("home")).unwrap().count(), 0, "emptied by `cold`");
}

#[test]
fn an_edited_source_and_an_embedded_file_with_its_old_time_are_seen() {
    let kitchen = Kitchen::go();
    kitchen.age();
    kitchen.build();
    kitchen.forge("flour/kind.txt", "oat\n");
    assert!(kitchen.build() > 0);
    assert_eq!(kitchen.says(), "oat");
    kitchen.is_right();
    kitchen.forge("main.go", &GO[1].1.replace("Println", "Printf "));
    kitchen.build();
    kitchen.is_right();
}

#[test]
fn what_a_package_consists_of_is_seen_whatever_the_times_say() {
    let kitchen = Kitchen::go();
    let constrained = |tag: &str| format!("//go:build {tag}\n\npackage flour\n\nfunc init() {{ kind = \"spelt\" }}\n");
    kitchen.world.write("flour/more.go", &constrained("!none"));
    kitchen.world.write("oat/oat.go", "package oat\n\nfunc Kind() string { return \"oat\" }\n");
    kitchen.age();
    for (round, (file, text, says)) in [
        ("flour/more.go", constrained("!none"), "spelt"),
        ("flour/more.go", constrained(" none"), "rye"),
        ("flour/more.go", constrained("!none"), "spelt"),
        ("main.go", GO[1].1.replace("flour", "oat").replace("package", "\n\n\n\npackage"), "oat"),
        ("main.go", GO[1].1.to_owned(), "spelt"),
    ]
    .into_iter()
    .enumerate()
    {
        if kitchen.world.source().join(file).metadata().unwrap().len() == text.len() as u64 {
            kitchen.forge(file, &text);
        } else {
            assert!(round > 2);
            kitchen.world.write(file, &text);
        }
        kitchen.age();
        kitchen.build();
        assert_eq!(kitchen.says(), says, "round {round}");
        kitchen.is_right();
    }
}
