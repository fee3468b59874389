//! What build scripts source, by itself: in the shells that there are, without mkosi.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SHELLS: [&str; 2] = ["sh", "bash"];

fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("mkosi-snippets/packages.sh")
}

/// Sources a copy of packages.sh, with nothing beside it.
fn shell(shell: &str, dir: &Path, script: &str, environment: &[(&str, &str)]) -> Output {
    fs::copy(packages(), dir.join("packages.sh")).unwrap();
    let mut command = Command::new(shell);
    command.args(["-euc", &format!(". ./packages.sh\n{script}")]).current_dir(dir);
    command.env("LARDER_STORE", dir.join("no-store")).env_remove("LARDER_REQUIRE_STORE");
    command.envs(environment.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The flags of a configuration as packages.sh reads them; nothing if it refuses.
fn read(name: &str, config: &str) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(".cargo")).unwrap();
    fs::write(dir.path().join(".cargo/config.toml"), config).unwrap();
    let said = shell(name, dir.path(), "package=x sources=.\n_packages_configured", &[]);
    if said.status.success() {
        return Some(text(&said.stdout).trim_end_matches('\n').to_owned());
    }
    let complaint = text(&said.stderr);
    assert!(complaint.contains("x: packages.sh cannot read the rustflags"), "{complaint}");
    None
}

/// What is true of it.
fn parsed(config: &str) -> String {
    let table: toml::Table = config.parse().unwrap();
    match table.get("build").and_then(|build| build.get("rustflags")) {
        Some(toml::Value::String(flags)) => flags.clone(),
        Some(toml::Value::Array(flags)) => {
            flags.iter().map(|flag| flag.as_str().unwrap()).collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

#[test]
fn flags_of_a_configuration_are_read_as_they_are_or_refused() {
    for (config, is_read) in [
        ("[build]\nrustflags = [\"-C\", \"a=b\"]\n", true),
        ("[build]\r\nrustflags = [\r\n  \"-C\",\r\n  'a=\"b\"', # c\r\n]\r\njobs = 1\r\n", true),
        ("[\"build\"]\n\"rustflags\" = '-C a'\n", true),
        ("[ build ] # x\n'rustflags'=[ '-C' , \"a\\\\b\\\"c\" ]\n[net]\noffline = true\n", true),
        ("build.rustflags = \"-C a#b\"\n", true),
        ("build . \"rustflags\" = [\"]\"]\n[target.x]\nrustflags = [\"-D\"]\n", true),
        ("[target.'cfg(unix)']\nrustflags = [\n  \"-C\", \"link-arg=-s\",\n]\n", true),
        ("[env]\nRUSTFLAGS_NOTE = \"rustflags\"\n[build]\ntarget-dir = \"x\"\n", true),
        ("[build]\n# rustflags = [\"-D\"]\nrustflags = []\n", true),
        ("build = { rustflags = [\"-C\"] }\n", false),
        ("[build]\nrustflags = \"\"\"-C a\"\"\"\n", false),
        ("[env]\nX = '''\n[build]\nrustflags = \"-D\"\n'''\n", false),
        ("[build]\nrustflags = [\"\\u002dC\"]\n", false),
        ("[build]\n\"rust\\u0066lags\" = [\"-C\"]\nrustflags2 = 1\n", false),
    ] {
        for shell in SHELLS {
            let wanted = is_read.then(|| parsed(config));
            assert_eq!(read(shell, config), wanted, "{shell}: {config}");
        }
    }
    // No word of flags, and whatever else.
    assert_eq!(read("sh", "x = '''\n[build]\n'''\n").as_deref(), Some(""));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(60))]
    #[test]
    fn no_flag_is_lost(
        config in "(\\[build\\]( # x)?\n|\\[target.x\\]\n|jobs = 1\n|rustflags = (\\[(\n|# y\n| |'a',|\"-C b\", |\"\\\\\"\",|\"\\\\t\",){0,4}\\]|'x # y'|\"z\")( # e)?\r?\n|\n){0,4}"
    ) {
        if config.parse::<toml::Table>().is_ok() {
            let read = read("sh", &config);
            proptest::prop_assert!(read.is_none() || read == Some(parsed(&config)), "{read:?}");
        }
    }
}

#[test]
fn every_package_has_a_name_that_larder_takes_and_no_other_has() {
    let dir = tempfile::tempdir().unwrap();
    let names =
        ["gtk", "gtk+", "gtk-", "be ta", "a/b", "a-b", "c++", "foo@1.2", "né", ".x", "-x", "gtk++"];
    for shell_name in SHELLS {
        let mut projects: Vec<String> = Vec::new();
        for name in names {
            let script = "_packages_check\n_packages_project";
            let said = shell(shell_name, dir.path(), script, &[("package", name)]);
            let project = text(&said.stdout).trim_end().to_owned();
            assert!(said.status.success() && !project.is_empty(), "{name}: {said:?}");
            let is_plain = |one: char| one.is_ascii_alphanumeric() || "._-".contains(one);
            assert!(project.chars().all(is_plain) && !project.starts_with(['.', '-']), "{project}");
            assert!(!projects.contains(&project), "{project}");
            projects.push(project);
        }
        assert_eq!(projects[0], "gtk");
    }
}

#[test]
fn what_is_no_name_of_a_package_removes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("build/other")).unwrap();
    let root = dir.path().to_str().unwrap();
    let places = [("BUILDROOT", root), ("DESTDIR", root), ("SRCDIR", root)];
    for name in ["", ".", "..", "/", "a/..", "../x", "a//b", "a/"] {
        for call in ["build_rust_package \"$n\" v u", "make_git_package \"$n\" v u true a:b"] {
            let said = shell("sh", dir.path(), call, &[&places[..], &[("n", name)]].concat());
            assert_eq!(said.status.code(), Some(2), "{name}: {said:?}");
            assert!(text(&said.stderr).contains("is no name of a package"), "{said:?}");
        }
    }
    assert!(dir.path().join("build/other").exists());
}

#[test]
fn without_larder_a_store_is_missed_where_it_is_required() {
    let dir = tempfile::tempdir().unwrap();
    let script = "larder_run x --source . -- echo done";
    for shell_name in SHELLS {
        for required in [None, Some("0"), Some("no"), Some("off"), Some("false")] {
            let set: Vec<_> =
                required.map(|value| ("LARDER_REQUIRE_STORE", value)).into_iter().collect();
            let said = shell(shell_name, dir.path(), script, &set);
            assert_eq!(text(&said.stdout), "done\n", "{required:?}: {said:?}");
            assert!(
                text(&said.stderr).contains("nothing is kept warm; copy larder.sh"),
                "{said:?}"
            );
        }
        let said = shell(shell_name, dir.path(), script, &[("LARDER_REQUIRE_STORE", "1")]);
        assert_eq!((said.status.code(), text(&said.stdout)), (Some(125), String::new()));
        assert!(text(&said.stderr).contains("so nothing is run"), "{said:?}");
    }
}
