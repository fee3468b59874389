//! Against the real cargo: what is found, and what deleting it does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

/// A workspace on disk and how to build it.
struct Workspace {
    dir: tempfile::TempDir,
    newer: bool,
}

const APP: &str = "[package]\nname = \"my-app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\nmy-lib = { path = \"../lib\" }\nmy-mac = { path = \"../mac\" }\n";
const LIB: &str = "[package]\nname = \"my-lib\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
const MAC: &str = "[package]\nname = \"my-mac\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[lib]\nproc-macro = true\n";
const FFI: &str = "[package]\nname = \"my-ffi\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n[dependencies]\nmy-lib = { path = \"../lib\" }\n";
const BUILD: &str = r#"fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=/etc/passwd");
    println!("cargo:rustc-env=MADE=1");
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    std::fs::write(out.join("made.rs"), "pub const MADE: u32 = 3;").unwrap();
    std::fs::create_dir_all(out.join("deep")).unwrap();
    std::fs::write(out.join("deep/x.o"), "").unwrap();
}"#;

impl Workspace {
    fn new(newer: bool) -> Self {
        let this = Self { dir: tempfile::tempdir().unwrap(), newer };
        for (path, text) in [
            (
                "Cargo.toml",
                "[workspace]\nmembers = [\"app\", \"lib\", \"mac\", \"ffi\"]\nresolver = \"2\"\n",
            ),
            ("app/Cargo.toml", APP),
            (
                "app/src/main.rs",
                "my_mac::made!(); fn main() { println!(\"{}\", my_lib::MADE + made()); }",
            ),
            ("app/examples/my-example.rs", "fn main() {}"),
            ("lib/Cargo.toml", LIB),
            ("lib/build.rs", BUILD),
            ("lib/a b.txt", "text"),
            (
                "lib/src/lib.rs",
                "include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\")); pub const T: &str = include_str!(\"../a b.txt\"); pub const H: &str = include_str!(\"/etc/passwd\");",
            ),
            ("mac/Cargo.toml", MAC),
            (
                "mac/src/lib.rs",
                "#[proc_macro] pub fn made(_: proc_macro::TokenStream) -> proc_macro::TokenStream { \"fn made() -> u32 { 1 }\".parse().unwrap() }",
            ),
            ("ffi/Cargo.toml", FFI),
            ("ffi/src/lib.rs", "#[no_mangle] pub extern \"C\" fn made() -> u32 { my_lib::MADE }"),
        ] {
            this.write(path, text);
        }
        this
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs cargo; returns the names on its `Compiling` lines, sorted, and whether it succeeded.
    fn cargo(&self, arguments: &[&str]) -> (Vec<String>, bool) {
        let mut command = Command::new("cargo");
        command.args(arguments).args(["--offline", "--color=never"]).current_dir(self.dir.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CARGO_") && name != "CARGO_HOME" {
                command.env_remove(name);
            }
        }
        command.env_remove("RUSTFLAGS").env_remove("RUSTC_WRAPPER");
        if self.newer {
            command.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-dir-new-layout");
        }
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("Compiling "));
        let mut names: Vec<_> =
            lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        names.sort();
        (names, output.status.success())
    }

    fn build(&self) -> Vec<String> {
        let (compiled, success) = self.cargo(&["build", "--all-targets"]);
        assert!(success);
        compiled
    }

    fn scan(&self) -> Layout {
        Layout::scan(&self.path("target")).unwrap()
    }
}

/// Whether the Cargo that is here can make the newer layout; one that cannot has to be older than
/// the option.
fn makes_newer_layout() -> bool {
    let mut command = Command::new("cargo");
    let help = command.args(["-Z", "help"]).env("RUSTC_BOOTSTRAP", "1").output().unwrap();
    let known = String::from_utf8_lossy(&help.stdout).contains("build-dir-new-layout");
    if !known {
        let said = Command::new("cargo").arg("--version").output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let minor: u32 = said.split('.').nth(1).unwrap().parse().unwrap();
        assert!(minor < 92, "{said} should know the newer layout");
    }
    known
}

fn remove(layout: &Layout, path: &Path) {
    let path = layout.absolute(path);
    let gone = match fs::symlink_metadata(&path) {
        Err(_) => return,
        Ok(metadata) if metadata.is_dir() =>
        {
            #[expect(clippy::disallowed_methods, reason = "the test's own directory")]
            fs::remove_dir_all(&path)
        }
        Ok(_) =>
        {
            #[expect(clippy::disallowed_methods, reason = "the test's own directory")]
            fs::remove_file(&path)
        }
    };
    gone.unwrap();
}

fn of_package<'a>(layout: &'a Layout, package: &str) -> Vec<&'a Unit> {
    layout.units().filter(|unit| unit.package == package).collect()
}

fn kinds(layout: &Layout) -> BTreeSet<(&str, UnitKind)> {
    let all = layout.units().flat_map(|unit| unit.kinds.iter().map(|kind| (&*unit.package, *kind)));
    all.collect()
}

fn names(paths: &[PathBuf]) -> Vec<&str> {
    paths.iter().map(|path| path.to_str().unwrap()).collect()
}

fn every_unit_is_found(newer: bool) {
    let workspace = Workspace::new(newer);
    let compiled = workspace.build();
    assert_eq!(compiled, ["my-app", "my-ffi", "my-lib", "my-mac"]);
    let layout = workspace.scan();
    assert_eq!(layout.version, if newer { Version::V2 } else { Version::V1 });
    let expected = [
        ("my-app", UnitKind::Bin),
        ("my-app", UnitKind::Example),
        ("my-app", UnitKind::Test),
        ("my-ffi", UnitKind::Lib),
        ("my-ffi", UnitKind::Test),
        ("my-lib", UnitKind::Lib),
        ("my-lib", UnitKind::Test),
        ("my-lib", UnitKind::BuildScriptCompile),
        ("my-lib", UnitKind::BuildScriptRun),
        ("my-mac", UnitKind::Lib),
        ("my-mac", UnitKind::Test),
    ];
    assert_eq!(kinds(&layout), expected.into_iter().collect());
    for unit in layout.units() {
        assert!(unit.finished.is_some() && unit.started.is_some(), "{unit:?}");
        assert_eq!(unit.kinds.len(), 1, "{unit:?}");
    }
    let profile = &layout.profiles[0];
    assert_eq!(profile.path, Path::new("debug"));
    assert!(profile.strays.is_empty(), "{:?}", profile.strays);
    assert!(profile.orphan_out_dirs.is_empty() && profile.foreign.is_empty());
    assert!(profile.incremental.is_some() && !profile.locks.is_empty());
    let uplifted = names(&profile.uplifted);
    for name in ["debug/my-app", "debug/libmy_ffi.so", "debug/examples/my-example"] {
        assert!(uplifted.contains(&name), "{name} in {uplifted:?}");
    }
    assert!(!uplifted.iter().any(|name| name.contains("lock")));
    assert!(layout.foreign.is_empty());
    assert!(layout.tampered_units().unwrap().is_empty());
}

fn deleting_units_rebuilds_them_and_their_dependents(newer: bool) {
    let workspace = Workspace::new(newer);
    workspace.build();
    for (package, expected) in [
        ("my-app", &["my-app"][..]),
        ("my-ffi", &["my-ffi"]),
        ("my-mac", &["my-app", "my-mac"]),
        ("my-lib", &["my-app", "my-ffi", "my-lib"]),
    ] {
        let layout = workspace.scan();
        for unit in of_package(&layout, package) {
            unit.paths.iter().for_each(|path| remove(&layout, path));
        }
        let left = workspace.scan();
        assert!(of_package(&left, package).is_empty(), "{package} is left");
        let since = Moment::now();
        assert_eq!(workspace.build(), expected, "after deleting {package}");
        assert_eq!(workspace.scan().compiled_since(since).unwrap(), expected);
        let since = Moment::now();
        assert!(workspace.build().is_empty(), "a second time after {package}");
        assert!(workspace.scan().compiled_since(since).unwrap().is_empty());
    }
}

#[test]
fn every_unit_of_the_older_layout_is_found() {
    every_unit_is_found(false);
}

#[test]
fn every_unit_of_the_newer_layout_is_found() {
    if !makes_newer_layout() {
        return;
    }
    every_unit_is_found(true);
}

#[test]
fn deleting_units_of_the_older_layout_rebuilds_just_these() {
    deleting_units_rebuilds_them_and_their_dependents(false);
}

#[test]
fn deleting_units_of_the_newer_layout_rebuilds_just_these() {
    if !makes_newer_layout() {
        return;
    }
    deleting_units_rebuilds_them_and_their_dependents(true);
}

#[test]
fn each_single_unit_can_go_alone() {
    let workspace = Workspace::new(false);
    workspace.build();
    let hashes: Vec<_> = workspace.scan().units().map(|unit| unit.hash.clone()).collect();
    for hash in hashes {
        let layout = workspace.scan();
        let Some(unit) = layout.units().find(|unit| unit.hash == hash) else { panic!("{hash}") };
        unit.paths.iter().for_each(|path| remove(&layout, path));
        let compiled = workspace.build();
        assert!(compiled.contains(&unit.package), "{unit:?} gave {compiled:?}");
        assert!(workspace.build().is_empty(), "a second time after {unit:?}");
    }
}

fn inputs_and_out_dirs_are_told(newer: bool) {
    let workspace = Workspace::new(newer);
    workspace.build();
    let layout = workspace.scan();
    let unit = |kind| {
        let units = of_package(&layout, "my-lib");
        units.into_iter().find(|unit| unit.is(kind)).unwrap()
    };
    let inputs = layout.inputs(unit(UnitKind::Lib)).unwrap();
    assert!(inputs.contains(&Input::InWorkspace("lib/src/../a b.txt".into())), "{inputs:?}");
    assert!(inputs.contains(&Input::Absolute("/etc/passwd".into())));
    let run = unit(UnitKind::BuildScriptRun);
    let inputs = layout.inputs(run).unwrap();
    let expected = [Input::Absolute("/etc/passwd".into()), Input::InPackage("build.rs".into())];
    assert_eq!(inputs, expected.into_iter().collect());
    let out_dir = layout.out_dir(run).unwrap().unwrap();
    assert_eq!(out_dir, out_dir::OutDir { filled: true, objects: true, sets_env: true });
    assert_eq!(layout.out_dir(unit(UnitKind::Lib)).unwrap(), None);
    let source = workspace.dir.path();
    let outside = {
        let counts = |path: &Path| !path.starts_with(source);
        let elsewhere = Elsewhere { source, homes: &|_| Vec::new(), counts: &counts };
        layout.outside_inputs(&elsewhere).unwrap()
    };
    assert_eq!(outside, [PathBuf::from("/etc/passwd")].into_iter().collect());
}

#[test]
fn inputs_of_the_older_layout_are_told() {
    inputs_and_out_dirs_are_told(false);
}

#[test]
fn inputs_of_the_newer_layout_are_told() {
    if !makes_newer_layout() {
        return;
    }
    inputs_and_out_dirs_are_told(true);
}

#[test]
fn edges_lead_from_dependents_to_dependencies() {
    let workspace = Workspace::new(false);
    workspace.build();
    let layout = workspace.scan();
    let units: Vec<_> = layout.units().collect();
    let name = |index: usize| (units[index].package.as_str(), *units[index].kinds.first().unwrap());
    let edges: BTreeSet<_> =
        layout.edges().unwrap().into_iter().map(|(from, to)| (name(from), name(to))).collect();
    for edge in [
        (("my-app", UnitKind::Bin), ("my-lib", UnitKind::Lib)),
        (("my-app", UnitKind::Bin), ("my-mac", UnitKind::Lib)),
        (("my-lib", UnitKind::Lib), ("my-lib", UnitKind::BuildScriptRun)),
        (("my-lib", UnitKind::BuildScriptRun), ("my-lib", UnitKind::BuildScriptCompile)),
        (("my-ffi", UnitKind::Lib), ("my-lib", UnitKind::Lib)),
    ] {
        assert!(edges.contains(&edge), "{edge:?} in {edges:?}");
    }
    assert!(!edges.iter().any(|(from, _)| from.0 == "my-mac"));
}

#[test]
fn a_failed_build_leaves_units_that_are_not_finished() {
    let workspace = Workspace::new(false);
    workspace.build();
    let since = Moment::now();
    workspace.write("lib/build.rs", "fn main() { std::process::exit(1) }");
    let (compiled, success) = workspace.cargo(&["build"]);
    assert!(!success);
    let layout = workspace.scan();
    assert_eq!(layout.compiled_since(since).unwrap(), compiled);
    let run =
        of_package(&layout, "my-lib").into_iter().find(|unit| unit.is(UnitKind::BuildScriptRun));
    assert_eq!(run.unwrap().finished, None);
    let home = run.unwrap().out_dir.as_deref().unwrap().parent().unwrap();
    assert_eq!(layout.profiles[0].orphan_out_dirs, [home]);
}

#[test]
fn an_artifact_that_is_rewritten_in_place_is_noticed() {
    let workspace = Workspace::new(false);
    workspace.build();
    let app = workspace.path("target/debug/my-app");
    let content = fs::read(&app).unwrap();
    fs::write(&app, &content[..content.len() - 1]).unwrap();
    let layout = workspace.scan();
    let units: Vec<_> = layout.units().collect();
    let tampered = layout.tampered_units().unwrap();
    let tampered: Vec<_> = tampered.iter().map(|index| units[*index]).collect();
    assert_eq!(tampered.len(), 1);
    assert!(tampered[0].is(UnitKind::Bin) && tampered[0].package == "my-app");
    let owners = layout.owners();
    let artifact = tampered[0].paths.iter().find(|path| path.starts_with("debug/deps")).unwrap();
    assert!(matches!(owners.of(artifact), Owner::Units(_)));
    assert_eq!(owners.of(Path::new("debug/my-app")), Owner::Nobody);
}

#[test]
fn two_versions_of_a_package_count_twice() {
    let workspace = Workspace::new(false);
    for version in ["1.0.0", "2.0.0"] {
        let manifest =
            format!("[package]\nname = \"twice\"\nversion = \"{version}\"\nedition = \"2021\"\n");
        workspace.write(&format!("vendor/twice-{version}/Cargo.toml"), &manifest);
        workspace.write(&format!("vendor/twice-{version}/src/lib.rs"), "");
        let checksum = "{\"files\":{},\"package\":null}";
        workspace.write(&format!("vendor/twice-{version}/.cargo-checksum.json"), checksum);
    }
    let config = "[source.crates-io]\nreplace-with = \"v\"\n[source.v]\ndirectory = \"vendor\"\n";
    workspace.write(".cargo/config.toml", config);
    let lines = "twice = \"1\"\nother = { version = \"2\", package = \"twice\" }\n";
    workspace.write("app/Cargo.toml", &format!("{APP}{lines}"));
    let since = Moment::now();
    let compiled = workspace.build();
    assert_eq!(compiled, ["my-app", "my-ffi", "my-lib", "my-mac", "twice", "twice"]);
    assert_eq!(workspace.scan().compiled_since(since).unwrap(), compiled);
}

#[test]
fn a_target_and_a_profile_of_ones_own_are_found() {
    let workspace = Workspace::new(false);
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(rustc.stdout).unwrap();
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    workspace.write("app/Cargo.toml", APP);
    let flags = [
        "build",
        "-p",
        "my-app",
        "--target",
        host,
        "--config",
        "profile.own.inherits='dev'",
        "--profile",
        "own",
    ];
    assert!(workspace.cargo(&flags).1);
    let layout = workspace.scan();
    let profiles: Vec<_> = layout.profiles.iter().map(|profile| profile.path.clone()).collect();
    assert_eq!(profiles, [PathBuf::from("own"), Path::new(host).join("own")]);
    assert!(layout.profiles.iter().all(|profile| !profile.units.is_empty()));
}

#[test]
fn what_is_neither_layout_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let make = |path: &str| fs::create_dir_all(dir.path().join(path)).unwrap();
    let version = || Layout::scan(dir.path()).unwrap().version;
    assert_eq!(version(), Version::V1);
    assert_eq!(Layout::scan(&dir.path().join("none")).unwrap().version, Version::V1);
    make("release/.fingerprint/serde-0123456789abcdef");
    assert_eq!(version(), Version::V1);
    make("release/.fingerprint/serde@1.0");
    let layout = Layout::scan(dir.path()).unwrap();
    assert_eq!(layout.version, Version::Unknown);
    assert!(layout.profiles.is_empty());
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("release/build/serde/01234567")).unwrap();
    fs::write(dir.path().join("release/.cargo-build-lock"), "").unwrap();
    assert_eq!(Layout::scan(dir.path()).unwrap().version, Version::Unknown);
}

#[test]
fn what_is_not_cargos_is_told_from_what_is() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    };
    let theirs = [
        "doc/index.html",
        "tmp/made",
        "x86/doc/index.html",
        "x86/tmp/made",
        "x86/note",
        "release/gen/x",
        "release/deps/libbeside.so",
        "release/build/note",
    ];
    let own = [
        ".rustc_info.json",
        "x86/CACHEDIR.TAG",
        "release/.cargo-lock",
        "release/.fingerprint/ffi-0123456789abcdef/lib-ffi",
        "release/.fingerprint/ffi-fedcba9876543210/doc-lib-ffi",
        "release/deps/libffi.so",
        "x86/release/.cargo-lock",
    ];
    theirs.iter().chain(&own).for_each(|path| write(path));
    let layout = Layout::scan(dir.path()).unwrap();
    let beside: BTreeSet<&str> = layout.beside().map(|path| path.to_str().unwrap()).collect();
    let expected = [
        "doc",
        "tmp/made",
        "x86/doc",
        "x86/tmp/made",
        "x86/note",
        "release/gen",
        "release/deps/libbeside.so",
        "release/build/note",
    ];
    assert_eq!(beside, expected.into_iter().collect());
    let docs = |path| layout.docs_above(Path::new(path)).and_then(Path::to_str);
    assert_eq!(docs("doc/a/b.html"), Some("doc"));
    assert_eq!(docs("x86/doc"), Some("x86/doc"));
    for other in ["release/doc/x", "gen/deep/doc/x", "x86/docs/doc"] {
        assert_eq!(docs(other), None, "{other}");
    }
    fs::remove_dir_all(dir.path().join("release/.fingerprint/ffi-fedcba9876543210")).unwrap();
    assert_eq!(Layout::scan(dir.path()).unwrap().docs_above(Path::new("doc")), None);
}
