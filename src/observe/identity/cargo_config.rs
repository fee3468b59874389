//! Cargo's configuration files: all of their content counts, and some of what they say is needed.
//!
//! Which files apply is that of Cargo 1.95, `util/context/mod.rs` (`walk_tree`): `.cargo/config`
//! or `.cargo/config.toml` in the source directory and all above it, and in Cargo's home.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Environment, IdentifyError, shown};
use crate::base::digest::Digest;
use crate::base::regular;

/// What the configuration files say.
#[derive(Debug, Default)]
pub(super) struct CargoConfig {
    /// Their content, by path.
    pub digests: BTreeMap<String, Digest>,
    /// Their text, one after the other.
    pub text: String,
    pub vendor: Vec<PathBuf>,
    /// `paths` and `[patch]`.
    pub extra_roots: Vec<PathBuf>,
    /// Programs that they name: linkers, runners, and the first words of `[env]`.
    pub programs: Vec<PathBuf>,
    rustc: Option<PathBuf>,
    wrappers: Vec<PathBuf>,
    target_dir: Option<PathBuf>,
    build_dir: Option<String>,
    artifact_dir: Option<PathBuf>,
}

/// So deep files may include others.
const DEPTH: u8 = 8;

/// Variables that name a wrapper of rustc.
const WRAPPERS: [&str; 4] = [
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
];

/// Reads all configuration that applies to a build of `source` that is started in `base`, where Cargo looks;
/// `said` is `--config`. Files that only apply to the sources count by content.
pub(super) fn read(
    source: &Path,
    base: &Path,
    said: &[String],
    cargo_home: &Path,
    environment: &Environment,
) -> Result<CargoConfig, IdentifyError> {
    let mut config = CargoConfig::default();
    for value in said.iter().rev() {
        config.read_said(value, base)?;
    }
    config.read_variables(base, environment);
    for dir in base.ancestors() {
        config.read_dir(&dir.join(".cargo"))?;
    }
    if !base.ancestors().any(|dir| dir.join(".cargo") == cargo_home) {
        config.read_dir(cargo_home)?;
    }
    let artifact_dir = config.artifact_dir.clone();
    let directories = (config.target_dir.clone(), config.build_dir.clone(), artifact_dir);
    for dir in source.ancestors().filter(|dir| !base.starts_with(dir)) {
        config.read_dir(&dir.join(".cargo"))?;
    }
    (config.target_dir, config.build_dir, config.artifact_dir) = directories;
    Ok(config)
}

impl CargoConfig {
    /// The compiler that the environment or a file names.
    pub(super) fn rustc(&self, environment: &Environment) -> Option<String> {
        let get = |name: &str| environment.get(OsStr::new(name)).filter(|value| !value.is_empty());
        let named = get("RUSTC").or_else(|| get("CARGO_BUILD_RUSTC"));
        let named = named.map(PathBuf::from).or_else(|| self.rustc.clone());
        named.map(|path| path.to_string_lossy().into_owned())
    }

    /// The wrappers that the environment and the files name.
    pub(super) fn wrappers(&self, environment: &Environment) -> Vec<PathBuf> {
        let get = |name: &&str| environment.get(OsStr::new(name)).filter(|value| !value.is_empty());
        let named = WRAPPERS.iter().filter_map(get).map(PathBuf::from);
        named.chain(self.wrappers.iter().cloned()).collect()
    }

    /// Where Cargo is told to put its output instead of `target/`.
    pub(super) fn target_dir(&self) -> Option<&Path> {
        self.target_dir.as_deref()
    }

    /// Where Cargo is told to put what is between, as it is written: it may be a template.
    pub(super) fn build_dir(&self) -> Option<&str> {
        self.build_dir.as_deref()
    }

    /// Where Cargo is told to put copies of finished artifacts.
    pub(super) fn artifact_dir(&self) -> Option<&Path> {
        self.artifact_dir.as_deref()
    }

    /// Like Cargo, `config` before `config.toml` where both are there.
    fn read_dir(&mut self, dir: &Path) -> Result<(), IdentifyError> {
        for name in ["config", "config.toml"] {
            let path = dir.join(name);
            if path.is_file() {
                return self.read_file(&path, DEPTH);
            }
        }
        Ok(())
    }

    /// The value of `--config`: a file, or a key with its value. What cannot be read, Cargo will say itself.
    fn read_said(&mut self, value: &str, base: &Path) -> Result<(), IdentifyError> {
        let path = base.join(value);
        if path.is_file() {
            return self.read_file(&path, DEPTH);
        }
        if let Ok(table) = toml::from_str::<Table>(value) {
            self.text.push_str(value);
            self.text.push('\n');
            self.take(&table, base);
        }
        Ok(())
    }

    fn read_variables(&mut self, base: &Path, environment: &Environment) {
        let get = |name: &str| environment.get(OsStr::new(name)).filter(|value| !value.is_empty());
        let target = get("CARGO_BUILD_TARGET_DIR").map(|value| base.join(value));
        self.target_dir = self.target_dir.take().or(target);
        let build = get("CARGO_BUILD_BUILD_DIR").map(|value| value.to_string_lossy().into_owned());
        self.build_dir = self.build_dir.take().or(build);
        let named = ["CARGO_BUILD_ARTIFACT_DIR", "CARGO_BUILD_OUT_DIR"].iter();
        let artifacts = named.filter_map(|name| get(name)).map(|value| base.join(value)).next();
        self.artifact_dir = self.artifact_dir.take().or(artifacts);
    }

    /// `depth` bounds `include`, which could name its own file. Paths in a file are relative to the directory
    /// above its own (`util/context/value.rs`, `Definition::root`, Cargo 1.95).
    fn read_file(&mut self, path: &Path, depth: u8) -> Result<(), IdentifyError> {
        let dir = path.parent().unwrap_or(Path::new("/"));
        let base = dir.parent().unwrap_or(dir);
        let fail = |source| IdentifyError::Config { path: path.to_owned(), source };
        let name = shown(path.as_os_str().as_bytes());
        // Files may include one another; once more it says nothing new.
        if self.digests.contains_key(&name) {
            return Ok(());
        }
        let bytes = regular::read(path, regular::TEXT).map_err(fail)?;
        self.digests.insert(name, Digest::of(&bytes));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let table: Table = toml::from_str(&text).map_err(|error: toml::de::Error| {
            fail(io::Error::other(format!(
                "{}; correct it, as cargo needs it too",
                error.message()
            )))
        })?;
        self.text.push_str(&text);
        self.text.push('\n');
        self.take(&table, base);
        // Of several, a later one has the last word.
        for name in included(table.get("include")).iter().rev() {
            let included = dir.join(name);
            if depth > 0 && included.is_file() {
                self.read_file(&included, depth - 1)?;
            }
        }
        Ok(())
    }

    /// A file that is closer to the sources, or was read earlier, wins.
    fn take(&mut self, table: &Table, base: &Path) {
        let program = |value: &str| {
            let path = Path::new(value);
            if path.components().count() > 1 { base.join(path) } else { path.to_owned() }
        };
        let build = |key: &str| table.get("build")?.get(key)?.as_str();
        self.rustc = self.rustc.take().or_else(|| build("rustc").map(program));
        let wrappers = ["rustc-wrapper", "rustc-workspace-wrapper"];
        self.wrappers.extend(wrappers.iter().filter_map(|key| build(key)).map(program));
        let target = build("target-dir").map(|value| base.join(value));
        self.target_dir = self.target_dir.take().or(target);
        self.build_dir = self.build_dir.take().or(build("build-dir").map(str::to_owned));
        let artifacts = build("artifact-dir").or_else(|| build("out-dir"));
        let artifacts = artifacts.map(|value| base.join(value));
        self.artifact_dir = self.artifact_dir.take().or(artifacts);
        for (_, target) in tables(table.get("target")) {
            let named = ["linker", "runner"].iter().filter_map(|key| target.get(*key));
            self.programs.extend(named.flat_map(|value| strings(Some(value))).map(|s| program(&s)));
        }
        for (_, value) in table.get("env").and_then(Value::as_table).into_iter().flatten() {
            let text = value.as_str().or_else(|| value.get("value")?.as_str()).unwrap_or_default();
            self.programs.extend(text.split_whitespace().next().map(PathBuf::from));
        }
        for (_, source) in tables(table.get("source")) {
            let directory = source.get("directory").and_then(Value::as_str);
            self.vendor.extend(directory.map(|value| base.join(value)));
        }
        self.extra_roots.extend(strings(table.get("paths")).iter().map(|path| base.join(path)));
        for (_, registry) in tables(table.get("patch")) {
            for (_, patch) in registry {
                let path = patch.get("path").and_then(Value::as_str);
                self.extra_roots.extend(path.map(|value| base.join(value)));
            }
        }
    }
}

/// The files that `include` names, as a string, strings, or tables with a `path`.
fn included(value: Option<&Value>) -> Vec<String> {
    let one = |value: &Value| {
        let path = value.as_str().or_else(|| value.get("path")?.as_str());
        path.map(str::to_owned)
    };
    match value {
        Some(Value::Array(all)) => all.iter().filter_map(one).collect(),
        Some(value) => one(value).into_iter().collect(),
        None => Vec::new(),
    }
}

fn tables(value: Option<&Value>) -> impl Iterator<Item = (&String, &Table)> {
    let table = value.and_then(Value::as_table).into_iter().flatten();
    table.filter_map(|(name, value)| value.as_table().map(|table| (name, table)))
}

/// A string, or the strings of an array.
fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => {
            items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// Cargo's home (`home` crate, as Cargo 1.95 uses it): `$CARGO_HOME`, or `$HOME/.cargo`.
pub(super) fn home(environment: &Environment) -> PathBuf {
    let get = |name: &str| {
        let value = environment.get(std::ffi::OsStr::new(name));
        value.filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    let home = get("CARGO_HOME");
    home.unwrap_or_else(|| get("HOME").unwrap_or_else(|| PathBuf::from("/")).join(".cargo"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_files_that_apply_are_read_for_what_matters() {
        let dir = tempfile::tempdir().unwrap();
        let (home, source) = (dir.path().join("home"), dir.path().join("a/b"));
        fs::create_dir_all(source.join(".cargo")).unwrap();
        fs::create_dir_all(dir.path().join("a/.cargo")).unwrap();
        fs::create_dir_all(&home).unwrap();
        let inner = "[source.x]\ndirectory = 'vendor'\n[target.'cfg(unix)']\nlinker = 'tools/ld'\n";
        fs::write(source.join(".cargo/config.toml"), inner).unwrap();
        let outer = "[build]\nrustc-wrapper = 'sccache'\nbuild-dir = '/elsewhere'\n";
        fs::write(dir.path().join("a/.cargo/config"), outer).unwrap();
        fs::write(home.join("config.toml"), "[patch.crates-io]\nx = { path = '../x' }\n").unwrap();
        let config = read(&source, &source, &[], &home, &Environment::new()).unwrap();
        assert_eq!(config.vendor, [source.join("vendor")]);
        assert_eq!(config.programs, [source.join("tools/ld")]);
        assert_eq!(config.wrappers, [PathBuf::from("sccache")]);
        assert_eq!(config.build_dir(), Some("/elsewhere"));
        assert_eq!(config.extra_roots, [dir.path().join("../x")]);
        assert_eq!(config.digests.len(), 3);
    }

    #[test]
    fn what_is_nearer_counts_more_and_the_command_line_most() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("a/b");
        fs::create_dir_all(source.join(".cargo")).unwrap();
        let config = "include = [{ path = 'one.toml', optional = true }, 'two.toml']\n";
        fs::write(source.join(".cargo/config.toml"), config).unwrap();
        fs::write(source.join(".cargo/one.toml"), "[build]\ntarget-dir = 'one'\n").unwrap();
        fs::write(source.join(".cargo/two.toml"), "[build]\ntarget-dir = 'two'\n").unwrap();
        fs::write(dir.path().join("ci.toml"), "[build]\ntarget-dir = 'ci'\n").unwrap();
        let mut environment = Environment::new();
        let of = |said: &[&str], environment: &Environment| {
            let said: Vec<String> = said.iter().map(ToString::to_string).collect();
            let config = read(&source, &source, &said, Path::new("/none"), environment).unwrap();
            config.target_dir().unwrap().to_owned()
        };
        assert_eq!(of(&[], &environment), source.join("two"));
        environment.insert("CARGO_BUILD_TARGET_DIR".into(), "variable".into());
        assert_eq!(of(&[], &environment), source.join("variable"));
        let file = of(&["../../ci.toml"], &environment);
        assert_eq!(file, source.join("../..").parent().unwrap().join("ci"));
        assert_eq!(
            of(&["../../ci.toml", "build.target-dir='last'"], &environment),
            source.join("last")
        );
    }

    #[test]
    fn a_file_that_is_no_toml_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".cargo")).unwrap();
        fs::write(dir.path().join(".cargo/config.toml"), "[build").unwrap();
        let none = Environment::new();
        let error = read(dir.path(), dir.path(), &[], Path::new("/none"), &none).unwrap_err();
        assert!(error.to_string().contains("config.toml"));
    }
}
