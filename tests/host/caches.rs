//! `--with`: what Go and ccache keep is attached, and never gives out what a cold build would not make.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
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
    ("sea/water.c", "int water(void) { return 100; }\n"),
];

const C: &[(&str, &str)] = &[
    ("main.c", "#include \"weight.h\"\nint main(void) { return WEIGHT; }\n"),
    ("late/weight.h", "#define WEIGHT 7\n"),
];

const GO_BUILD: &str = "go build -x -o ../out/app .";
const C_BUILD: &str =
    "ccache gcc -g -Iearly -Ilate -c main.c -o main.o && gcc main.o -o ../out/app";
const WATER: &str = "gcc -c sea/water.c -o water.o && ar rcD lib/libwater.a water.o && rm water.o";

impl Kitchen {
    fn new(with: &'static [&'static str], files: &[(&str, &str)], script: &str) -> Self {
        let world = World::new();
        fs::remove_dir_all(world.source()).unwrap();
        fs::remove_dir_all(world.store().join("projects")).unwrap();
        fs::create_dir(world.store().join("projects")).unwrap();
        fs::create_dir(world.path("out")).unwrap();
        let environment = vec![("GOPROXY", "off".to_owned()), ("GOFLAGS", String::new())];
        let kitchen = Self { world, with, script: script.to_owned(), environment };
        for (name, text) in files {
            kitchen.world.write(name, text);
        }
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
        let inside = fs::read_dir(project).into_iter().flatten();
        inside.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
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
    let constrained = |tag: &str| {
        format!("//go:build {tag}\n\npackage flour\n\nfunc init() {{ kind = \"spelt\" }}\n")
    };
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

#[test]
fn what_cgo_reads_outside_of_its_package_is_seen() {
    let kitchen = Kitchen::cgo();
    kitchen.age();
    kitchen.build();
    assert_eq!(kitchen.says(), "107");
    kitchen.is_right();
    assert_eq!(kitchen.build(), 0, "{}", kitchen.world.reasons());
    kitchen.forge("include/weight.h", "#define WEIGHT 8\n");
    kitchen.build();
    assert_eq!(kitchen.says(), "108");
    let reasons = kitchen.world.reasons();
    assert!(
        reasons.contains("cgo may have read") && reasons.contains("include/weight.h"),
        "{reasons}"
    );
    kitchen.is_right();
    kitchen.forge("sea/water.c", "int water(void) { return 200; }\n");
    kitchen.shell(WATER);
    kitchen.build();
    assert_eq!(kitchen.says(), "208");
    kitchen.is_right();
    // Go reads its own files itself.
    kitchen.world.write("main.go", &CGO[1].1.replace("Println", "Print"));
    assert_eq!(kitchen.build(), 1, "{}", kitchen.world.reasons());
    kitchen.is_right();
}

#[test]
fn what_the_build_makes_for_cgo_is_seen() {
    let mut kitchen = Kitchen::cgo();
    kitchen.script =
        "sed 's/.*/#define WEIGHT &/' number > include/weight.h && ".to_owned() + GO_BUILD;
    kitchen.world.write("number", "7\n");
    let made = kitchen.world.source().join("include/weight.h");
    fs::remove_file(&made).unwrap();
    kitchen.build();
    fs::remove_file(&made).unwrap();
    assert_eq!(kitchen.build(), 0, "{}", kitchen.world.reasons());
    kitchen.world.write("number", "9\n");
    kitchen.build();
    assert_eq!(kitchen.says(), "109");
    kitchen.is_right();
    // From a Go file, which alone would be seen by Go.
    kitchen.script = "sed -n 's/^const weight = /#define WEIGHT /p' main.go > include/weight.h && "
        .to_owned()
        + GO_BUILD;
    let main = |weight: &str| format!("{}\nconst weight = {weight}\n", CGO[1].1);
    for weight in ["3", "4"] {
        kitchen.world.write("main.go", &main(weight));
        kitchen.build();
        assert_eq!(kitchen.says(), format!("10{weight}"), "{}", kitchen.world.reasons());
        kitchen.is_right();
    }
}

#[test]
fn other_flags_and_another_compiler_have_directories_of_their_own() {
    let mut kitchen = Kitchen::cgo();
    let compiler = kitchen.world.path("own-cc");
    let wrap = |flags: &str| {
        fs::write(&compiler, format!("#!/bin/sh\nexec gcc {flags} \"$@\"\n")).unwrap();
        fs::set_permissions(&compiler, fs::Permissions::from_mode(0o755)).unwrap();
        filetime::set_file_mtime(&compiler, FileTime::from_unix_time(1_000_000_000, 0)).unwrap();
    };
    kitchen.world.write("include/weight.h", "#ifndef WEIGHT\n#define WEIGHT 7\n#endif\n");
    wrap("        ");
    kitchen.environment.push(("CC", compiler.to_str().unwrap().to_owned()));
    kitchen.build();
    assert_eq!((kitchen.says().as_str(), kitchen.directories()), ("107", 1));
    wrap("-DWEIGHT=8");
    kitchen.build();
    assert_eq!((kitchen.says().as_str(), kitchen.directories()), ("108", 2));
    kitchen.is_right();
    wrap("          ");
    kitchen.environment.push(("CGO_CFLAGS", "-DWEIGHT=9".to_owned()));
    kitchen.build();
    assert_eq!((kitchen.says().as_str(), kitchen.directories()), ("109", 3));
    let why = kitchen.world.larder(&["explain", "bread"]).succeeds().stdout;
    assert!(why.contains("CGO_CFLAGS") && why.contains("own-cc"), "{why}");
    kitchen.is_right();
}

#[test]
fn a_module_elsewhere_and_a_symlink_that_leads_there_are_seen() {
    let kitchen = Kitchen::go();
    let elsewhere = kitchen.world.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let write = |tag: &str| {
        fs::write(elsewhere.join("go.mod"), "module oven\n\ngo 1.19\n").unwrap();
        fs::write(elsewhere.join("oven.go"), "package oven\n\nvar Heat = \"low\"\n").unwrap();
        let more =
            format!("//go:build {tag}\n\npackage oven\n\nfunc init() {{ Heat = \"high\" }}\n");
        fs::write(elsewhere.join("more.go"), more).unwrap();
        kitchen.shell("touch -d 2020-01-01 ../elsewhere/*");
    };
    kitchen.world.write(
        "go.mod",
        "module bread\n\ngo 1.19\n\nrequire oven v0.0.0\n\nreplace oven => ../elsewhere\n",
    );
    kitchen.world.write("main.go", "package main\n\nimport (\n\t\"fmt\"\n\t\"oven\"\n)\n\nfunc main() { fmt.Println(oven.Heat) }\n");
    for (tag, says) in [("!none", "high"), (" none", "low"), ("!none", "high")] {
        write(tag);
        kitchen.build();
        assert_eq!(kitchen.says(), says, "{}", kitchen.world.reasons());
        kitchen.is_right();
        assert_eq!(kitchen.build(), 0);
    }
}

#[test]
fn what_git_says_and_flags_for_the_linker_are_stamped_as_they_are() {
    let mut kitchen = Kitchen::go();
    kitchen.environment.push(("GIT_CONFIG_GLOBAL", "/dev/null".to_owned()));
    let commit = "git -c user.name=x -c user.email=x@example.org commit -q --allow-empty -m";
    kitchen.shell(&format!("git init -q . && git add -A && {commit} one"));
    kitchen.world.write("main.go", "package main\n\nimport (\n\t\"fmt\"\n\t\"runtime/debug\"\n)\n\nvar version string\n\nfunc main() {\n\tinfo, _ := debug.ReadBuildInfo()\n\tfmt.Println(info.Settings, version)\n}\n");
    kitchen.script =
        "go build -x -ldflags \"-X main.version=$(cat version)\" -o ../out/app .".to_owned();
    for (round, message) in ["two", "three"].into_iter().enumerate() {
        kitchen.world.write("version", &format!("v{round}"));
        kitchen.shell(&format!("git add -A && {commit} {message}"));
        kitchen.build();
        let head = kitchen.shell("git rev-parse HEAD").stdout;
        let says = kitchen.says();
        assert!(says.contains(head.trim()) && says.ends_with(&format!("v{round}")), "{says}");
        kitchen.is_right();
    }
    kitchen.world.write("version", "dirty");
    kitchen.build();
    assert!(kitchen.says().contains("vcs.modified true"), "{}", kitchen.says());
    kitchen.is_right();
}

#[test]
fn tests_run_again_as_in_a_cold_build() {
    let mut kitchen = Kitchen::go();
    kitchen.world.write(
        "flour/flour_test.go",
        "package flour\n\nimport \"testing\"\n\nfunc TestKind(t *testing.T) {}\n",
    );
    kitchen.script = "go test ./flour".to_owned();
    for _ in 0..2 {
        let said = kitchen.run().succeeds();
        assert!(!said.stdout.contains("cached"), "{said:#?}");
    }
}

/// Puts a module `example.org/Salt` on a proxy in a directory.
fn publish(kitchen: &Kitchen, size: &str) {
    let proxy = kitchen.world.path("proxy/example.org/!salt/@v");
    fs::create_dir_all(&proxy).unwrap();
    let module = "module example.org/Salt\n\ngo 1.19\n";
    fs::write(proxy.join("v1.0.0.mod"), module).unwrap();
    fs::write(proxy.join("v1.0.0.info"), "{\"Version\":\"v1.0.0\"}").unwrap();
    fs::write(proxy.join("list"), "v1.0.0\n").unwrap();
    let pack = "import sys, zipfile
zip = zipfile.ZipFile(sys.argv[1], 'w')
for name, text in zip_files:
    zip.writestr('example.org/Salt@v1.0.0/' + name, text)
zip.close()";
    let files = format!(
        "zip_files = [('go.mod', {module:?}), ('grain/grain.go', 'package grain\\n\\nconst Size = \"{size}\"\\n')]\n"
    );
    let mut python = kitchen.world.command("python3");
    python.args(["-c", &(files + pack)]).arg(proxy.join("v1.0.0.zip"));
    Said::of(&python.output().unwrap()).succeeds();
    kitchen.shell(&format!("rm -f go.sum && go mod tidy && {EMPTY_HOME}"));
}

const EMPTY_HOME: &str = "chmod -R u+w ../home && rm -r ../home && mkdir ../home";

/// Makes `bread` need that module.
fn with_module(kitchen: &mut Kitchen) {
    kitchen.world.write("go.mod", "module bread\n\ngo 1.19\n\nrequire example.org/Salt v1.0.0\n");
    kitchen.world.write("main.go", "package main\n\nimport (\n\t\"example.org/Salt/grain\"\n\t\"fmt\"\n)\n\nfunc main() { fmt.Println(grain.Size) }\n");
    let proxy = format!("file://{}", kitchen.world.path("proxy").display());
    kitchen.environment.retain(|(name, _)| *name != "GOPROXY");
    let own = [("GOPROXY", proxy), ("GONOSUMDB", "*".to_owned()), ("GOSUMDB", "off".to_owned())];
    kitchen.environment.extend(own);
    publish(kitchen, "fine");
}

#[test]
fn modules_are_kept_as_their_checksums_say() {
    let mut kitchen = Kitchen::go();
    with_module(&mut kitchen);
    kitchen.build();
    assert_eq!(kitchen.says(), "fine");
    kitchen.is_right();
    assert_eq!(kitchen.build(), 0);
    let grain = kitchen.caches().join("go-mod/example.org/!salt@v1.0.0/grain/grain.go");
    let times = FileTime::from_last_modification_time(&fs::metadata(&grain).unwrap());
    fs::set_permissions(&grain, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&grain, "package grain\n\nconst Size = \"rock\"\n").unwrap();
    filetime::set_file_mtime(&grain, times).unwrap();
    kitchen.build();
    let reasons = kitchen.world.reasons();
    assert!(
        reasons.contains("not as the last build left it: go-mod/example.org/!salt@v1.0.0"),
        "{reasons}"
    );
    assert_eq!(kitchen.says(), "fine");
    kitchen.is_right();
    // Patched by the command, which a cold build would do to a fresh one.
    let patch = "go mod download && chmod -R u+w \"$HOME/go/pkg/mod/example.org\" && sed -i 's/fine/finer/' \"$HOME/go/pkg/mod/example.org/!salt@v1.0.0/grain/grain.go\" && ";
    kitchen.script = patch.to_owned() + GO_BUILD;
    for _ in 0..2 {
        kitchen.build();
        assert_eq!(kitchen.says(), "finer", "{}", kitchen.world.reasons());
        kitchen.is_right();
    }
}

#[test]
fn a_module_that_was_published_again_is_downloaded_again() {
    let mut kitchen = Kitchen::go();
    with_module(&mut kitchen);
    kitchen.build();
    publish(&kitchen, "rock");
    kitchen.build();
    assert_eq!(kitchen.says(), "rock", "{}", kitchen.world.reasons());
    assert!(
        kitchen.world.reasons().contains("go.sum has another checksum"),
        "{}",
        kitchen.world.reasons()
    );
    kitchen.is_right();
}

#[test]
fn a_cache_file_that_is_damaged_is_made_again() {
    let kitchen = Kitchen::go();
    kitchen.build();
    let right = fs::read(kitchen.app()).unwrap();
    let files = files_below(&kitchen.caches().join("go-build"));
    let large = files.iter().filter(|file| fs::metadata(file).unwrap().len() > 200);
    for file in large.clone().take(8).chain(files.iter().filter(|file| file.ends_with("README"))) {
        let mtime = FileTime::from_last_modification_time(&fs::metadata(file).unwrap());
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file, &bytes).unwrap();
        filetime::set_file_mtime(file, mtime).unwrap();
        kitchen.build();
        let reasons = kitchen.world.reasons();
        assert!(reasons.contains("not as the last build left it: go-build/"), "{reasons}");
        assert_eq!(fs::read(kitchen.app()).unwrap(), right, "{}", file.display());
    }
    kitchen.is_right();
    // And what nobody knows of is not used.
    fs::remove_file(kitchen.world.entry_dir().join("kept")).unwrap();
    assert!(kitchen.build() > 0);
    assert!(kitchen.world.reasons().contains("on no record"), "{}", kitchen.world.reasons());
}

fn wait_for(what: &str, ready: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ready() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_killed_build_leaves_nothing_that_is_used() {
    let mut kitchen = Kitchen::cgo();
    kitchen.build();
    kitchen.world.write("include/weight.h", "#define WEIGHT 8\n");
    let script = kitchen.script.clone();
    kitchen.script = format!("{script} && touch ../built && sleep 60");
    let (mut larder, built) = (kitchen.run_command(), kitchen.world.path("built"));
    // The same command, so that it is the same directory.
    fs::write(kitchen.world.path("stop"), "").unwrap();
    kitchen.script = format!("{script} && if [ -e ../stop ]; then touch ../built; sleep 60; fi");
    drop(larder);
    larder = kitchen.run_command();
    let mut child = larder.stderr(Stdio::null()).spawn().unwrap();
    wait_for("the build", || built.exists());
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    fs::remove_file(kitchen.world.path("stop")).unwrap();
    for weight in [7, 8] {
        kitchen.world.write("include/weight.h", &format!("#define WEIGHT {weight}\n"));
        kitchen.build();
        assert_eq!(kitchen.says(), format!("10{weight}"), "{}", kitchen.world.reasons());
        kitchen.is_right();
    }
}

#[test]
fn wherever_larder_is_killed_the_next_build_is_right() {
    let kitchen = Kitchen::cgo();
    kitchen.age();
    kitchen.build();
    let points = [
        "store.rename",
        "evict.rename",
        "caches.make",
        "caches.expire",
        "store.rename:2",
        "command.exec",
        "store.sync-file",
        "store.rename:3",
        "store.rename:4",
    ];
    for (round, point) in points.into_iter().enumerate() {
        let weight = |weight: usize| format!("#define WEIGHT {}\n", weight % 10);
        kitchen.forge("include/weight.h", &weight(round));
        let mut command = kitchen.run_command();
        let status = command.env("LARDER_FAULT", point).output().unwrap().status;
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{point}");
        // Every other time what was there before comes back.
        let now = if round % 2 == 0 { round } else { round + 9 };
        kitchen.forge("include/weight.h", &weight(now));
        kitchen.build();
        assert_eq!(kitchen.says(), (100 + now % 10).to_string(), "{point}");
        assert_eq!(kitchen.build(), 0, "{point}: {}", kitchen.world.reasons());
    }
    kitchen.is_right();
}

#[test]
fn two_at_once_wait_for_each_other() {
    let mut kitchen = Kitchen::go();
    // The one builds until the other has said that it waits, however slow the machine is.
    let go = "i=0; until [ -e ../go ] || [ $i = 600 ]; do i=$((i + 1)); sleep 0.1; done";
    kitchen.script = format!("mkdir ../alone && {go} && {GO_BUILD} && rmdir ../alone");
    let words = ["one", "other"].map(|name| kitchen.world.path(name));
    let start = |words: &PathBuf| {
        let file = fs::File::create(words).unwrap();
        kitchen.run_command().stderr(file).spawn().unwrap()
    };
    let both = [start(&words[0]), start(&words[1])];
    let waiting = || {
        let said = words.iter().map(|words| fs::read_to_string(words).unwrap());
        said.filter(|said| said.contains("waiting for")).count()
    };
    let waits = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        waiting() > 0
    });
    fs::write(kitchen.world.path("go"), "").unwrap();
    for child in both {
        Said::of(&child.wait_with_output().unwrap()).succeeds();
    }
    assert!(waits && waiting() == 1, "{:#?}", words.map(fs::read_to_string));
    assert_eq!(kitchen.world.last_entry()["uses"], 2);
    kitchen.is_right();
}

#[test]
fn a_cache_of_the_builders_own_is_left_alone() {
    let kitchen = Kitchen::go();
    let own = kitchen.world.path("home/.cache/go-build");
    kitchen.shell(GO_BUILD);
    let before = files_below(&own);
    let said = kitchen.run().succeeds();
    assert!(said.stderr.contains("is used as it is, and not kept"), "{said:#?}");
    assert!(!said.stderr.contains("/compile -o "), "{said:#?}");
    assert!(!kitchen.caches().join("go-build").exists());
    assert!(files_below(&own).len() >= before.len() && !before.is_empty());
    kitchen.run().succeeds();
    assert!(kitchen.world.reasons().contains("it held something already"));
    // Of modules that nobody vouches for, nothing is remembered.
    fs::remove_dir_all(kitchen.world.path("home")).unwrap();
    fs::create_dir_all(kitchen.world.path("home/go/pkg/mod/theirs@v1.0.0")).unwrap();
    kitchen.run().succeeds();
    kitchen.run().succeeds();
    assert!(
        kitchen.world.reasons().contains("because of what is in"),
        "{}",
        kitchen.world.reasons()
    );
}

#[test]
fn a_store_is_measured_moved_collected_and_verified_with_all_that_is_kept() {
    let mut kitchen = Kitchen::go();
    with_module(&mut kitchen);
    kitchen.build();
    let size = kitchen.world.last_entry()["size"].as_u64().unwrap();
    assert!(size > 100_000, "{size}");
    kitchen.world.larder(&["status", "--rescan"]).succeeds();
    assert_eq!(kitchen.world.last_entry()["size"].as_u64(), Some(size));
    let detail = kitchen.world.larder(&["status", "bread", "--detail"]).succeeds().stdout;
    assert!(detail.contains("[go-build]") && detail.contains("[go-mod]"), "{detail}");
    let explained = kitchen.world.larder(&["explain", "bread"]).succeeds().stdout;
    assert!(explained.contains("cold") && explained.contains("go 1."), "{explained}");
    let arguments = ["verify", "bread", "--with", "go", "--", "true"];
    Said::of(&kitchen.command(&arguments).output().unwrap()).refuses(125, &["--with cargo"]);
    let other = kitchen.world.path("other");
    kitchen.world.larder(&["move", other.to_str().unwrap()]).succeeds();
    assert_eq!(kitchen.build(), 0, "{}", kitchen.world.reasons());
    kitchen.is_right();
    fs::write(other.join("larder.toml"), "grace = '0s'\nmax-size = '0'\nmin-free = '0%'\n")
        .unwrap();
    let said = kitchen.world.larder(&["gc"]).succeeds();
    assert!(said.stdout.contains("bread"), "{said:#?}");
    assert_eq!(kitchen.directories(), 0);
    assert_eq!(fs::read_dir(other.join("trash")).unwrap().count(), 0);
    fs::remove_file(other.join("larder.toml")).unwrap();
    kitchen.build();
    kitchen.world.larder(&["rm", "bread"]).succeeds();
    assert_eq!(kitchen.directories(), 0);
}

#[test]
fn a_plain_user_can_keep_and_remove_read_only_modules() {
    let mut kitchen = Kitchen::go();
    if !rustix::process::geteuid().is_root() {
        // Then every other test here shows it.
        return;
    }
    with_module(&mut kitchen);
    let grain = "../store/projects/bread/*/caches/go-mod/example.org/!salt@v1.0.0/grain";
    let script = format!(
        "set -e; chown -R 12345:12345 ..
        as_user() {{ setpriv --reuid=12345 --regid=12345 --clear-groups -- \"$@\"; }}
        build() {{ as_user \"$0\" run bread --with go -- sh -c '{GO_BUILD}' 2>&1 | grep -c -e '/compile -o' || true; }}
        build; build
        test $(stat -c %a {grain}) = 555
        as_user chmod 644 {grain}/grain.go; echo >> $(echo {grain}/grain.go); as_user chmod 444 {grain}/grain.go
        build; build
        as_user \"$0\" move ../other >&2
        build
        as_user \"$0\" rm bread >&2
        find ../other/projects ../other/trash -type f | wc -l"
    );
    let mut command = kitchen.world.command("sh");
    command.envs(kitchen.environment.iter().map(|(name, value)| (name, value)));
    command.args(["-c", &script, env!("CARGO_BIN_EXE_larder")]);
    let said = Said::of(&command.current_dir(kitchen.world.source()).output().unwrap()).succeeds();
    let counts: Vec<&str> = said.stdout.lines().collect();
    assert!(counts.len() == 6 && counts[0] != "0" && counts[2] != "0", "{said:#?}");
    assert_eq!([counts[1], counts[3], counts[4], counts[5]], ["0"; 4], "{said:#?}");
}

#[test]
fn go_needs_no_rust_and_both_go_together() {
    let mut kitchen = Kitchen::go();
    kitchen.environment.push(("PATH", "/usr/bin:/bin".to_owned()));
    kitchen.build();
    assert!(!kitchen.world.source().join("target").exists());
    kitchen.environment.pop();
    kitchen.with = &["cargo", "go"];
    kitchen
        .world
        .write("Cargo.toml", "[package]\nname = 'crumb'\nversion = '0.1.0'\nedition = '2021'\n");
    kitchen.world.write("src/main.rs", "fn main() { println!(\"crumb\"); }\n");
    let constrained = |tag: &str| {
        format!("//go:build {tag}\n\npackage flour\n\nfunc init() {{ kind = \"spelt\" }}\n")
    };
    kitchen.world.write("flour/more.go", &constrained("!none"));
    kitchen.script = format!("cargo build --release --offline && {GO_BUILD}");
    kitchen.age();
    kitchen.build();
    let status = kitchen.world.larder(&["status"]).succeeds().stdout;
    assert!(status.contains("rustc ") && status.contains(" · go 1."), "{status}");
    assert_eq!(kitchen.build(), 0, "{}", kitchen.world.reasons());
    assert_eq!(kitchen.world.compiled(), 0);
    for (tag, says) in [(" none", "rye"), ("!none", "spelt")] {
        kitchen.forge("flour/more.go", &constrained(tag));
        kitchen.build();
        assert_eq!(kitchen.says(), says, "{}", kitchen.world.reasons());
    }
    let arguments =
        ["verify", "bread", "--with", "go", "--with", "cargo", "--", "sh", "-c", &kitchen.script];
    let said = Said::of(&kitchen.command(&arguments).output().unwrap()).succeeds();
    assert!(said.stdout.contains("warm and cold are the same"), "{said:#?}");
    assert!(
        said.stderr.matches("/compile -o ").count() > 0,
        "the cold build had warm caches: {said:#?}"
    );
}

fn hits(said: &Said) -> (usize, usize) {
    let number = |name: &str| {
        let line = said.stdout.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |number| number.trim().parse::<usize>().unwrap())
    };
    (number("direct_cache_hit"), number("preprocessed_cache_hit"))
}

#[test]
fn ccache_gives_out_what_the_compiler_would_make() {
    let mut kitchen = Kitchen::ccache();
    kitchen.world.write("early/other.h", "");
    kitchen.script = format!("ccache -z > /dev/null; {C_BUILD} && ccache --print-stats");
    let build = |kitchen: &Kitchen| hits(&kitchen.run().succeeds());
    assert_eq!(build(&kitchen), (0, 0));
    kitchen.is_right();
    assert_eq!(build(&kitchen), (0, 1), "{}", kitchen.world.reasons());
    kitchen.is_right();
    let status = kitchen.world.larder(&["status"]).succeeds().stdout;
    assert!(status.contains("ccache 4."), "{status}");
    // What the compiler now finds first.
    kitchen.world.write("early/weight.h", "#define WEIGHT 8\n");
    assert_eq!(build(&kitchen), (0, 0));
    kitchen.is_right();
    fs::remove_file(kitchen.world.source().join("early/weight.h")).unwrap();
    assert_eq!(build(&kitchen), (0, 1));
    kitchen.is_right();
    let objects = files_below(&kitchen.caches().join("ccache"));
    let object = objects.iter().find(|file| file.to_string_lossy().ends_with('R')).unwrap();
    let mut bytes = fs::read(object).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    fs::set_permissions(object, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(object, bytes).unwrap();
    build(&kitchen);
    assert!(
        kitchen.world.reasons().contains("not as the last build left it: ccache/"),
        "{}",
        kitchen.world.reasons()
    );
    kitchen.is_right();
}

#[test]
fn ccache_is_careful_whatever_it_is_told() {
    let mut kitchen = Kitchen::ccache();
    kitchen.world.write(
        "../home/.config/ccache/ccache.conf",
        "sloppiness = time_macros\ncompression = false\n",
    );
    kitchen.script = format!("{C_BUILD} && ccache --show-config");
    let said = kitchen.run().succeeds();
    for line in [
        "direct_mode = false",
        "compiler_check = content",
        "sloppiness = \n",
        "compression = false",
    ] {
        assert!(said.stdout.contains(line), "{line}: {said:#?}");
    }
    let own = fs::read_to_string(kitchen.world.path("home/.config/ccache/ccache.conf")).unwrap();
    assert_eq!(own, "sloppiness = time_macros\ncompression = false\n");
    kitchen
        .environment
        .push(("CCACHE_DIR", kitchen.world.path("objects").to_str().unwrap().to_owned()));
    let said = kitchen.run().succeeds();
    assert!(said.stdout.contains("objects/ccache.conf) direct_mode = false"), "{said:#?}");
    assert_eq!(fs::read_dir(kitchen.world.path("objects")).unwrap().count(), 0);
    for (name, value) in [
        ("CCACHE_SLOPPINESS", "time_macros"),
        ("CCACHE_DIRECT", "1"),
        ("CCACHE_NOHASHDIR", "1"),
        ("CCACHE_INODECACHE", "1"),
    ] {
        kitchen.environment.push((name, value.to_owned()));
        kitchen.run().refuses(125, &["ccache's", "--fidelity cargo"]);
        kitchen.environment.pop();
    }
}
