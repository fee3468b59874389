//! Settings: `larder.toml`, the environment, and flags, in rising order.

mod domains;
mod share;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::base::environment;
use crate::base::names::{DomainName, ParseDomainNameError, ProjectName};
use crate::base::quantity::{Amount, ByteSize, ParseLimitError, Span};
use crate::decide::policy::{self, Limits};
use crate::observe::identity::{Fidelity, PackageMode};
use crate::store::{self, Store, Wait};

pub(crate) use domains::{Domains, domains};
pub(crate) use share::{PullWhen, PushWhen, Sharing, sharing};

/// What holds for one project.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub packages: PackageMode,
    /// How far a build may be from a cold one.
    pub fidelity: Fidelity,
    /// After so many uses one is verified; 0 for never.
    pub verify_every: u64,
    /// Variables that no build depends on.
    pub ignore_env: Vec<String>,
    /// Variables whose values anybody may know, besides those that larder knows to be harmless.
    pub show_env: Vec<String>,
    /// Part of every identity.
    pub salt: String,
    /// How long to wait for a lock.
    pub wait: Wait,
}

/// A policy file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The environment names a domain that cannot be one.
    #[error("LARDER_DOMAIN cannot be used; correct it, it is {0}")]
    Domain(ParseDomainNameError),
    /// The file says something that larder does not know.
    #[error("{} cannot be used: {why}; correct it, or remove the line", path.display())]
    Parse { path: PathBuf, why: String },
}

/// `larder.toml` as it is written.
#[derive(Clone, Debug, Default, PartialEq)]
struct File {
    general: Keys,
    projects: BTreeMap<ProjectName, Keys>,
    domains: BTreeMap<DomainName, domains::DomainKeys>,
    share: Option<Sharing>,
}

/// What can be said for all projects and for one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Keys {
    packages: Option<PackageMode>,
    fidelity: Option<Fidelity>,
    verify_every: Option<u64>,
    ignore_env: Option<Vec<String>>,
    show_env: Option<Vec<String>>,
    salt: Option<String>,
    #[serde(default, deserialize_with = "deserialize_wait")]
    wait: Option<Wait>,
    max_size: Option<ByteSize>,
    min_free: Option<Amount>,
    max_age: Option<Span>,
    keep: Option<usize>,
    grace: Option<Span>,
    keep_units: Option<u64>,
    pin: Option<bool>,
}

impl Settings {
    /// What the store's policy says of a project.
    pub(crate) fn of(store: &Store, project: &ProjectName) -> Result<Self, ConfigError> {
        Ok(File::read(store)?.settings(project))
    }
}

/// How long the store's policy lets anybody wait for the store itself. What is wrong with the policy is said by who
/// follows it.
pub(crate) fn wait(store: &Store) -> Wait {
    File::read(store).ok().and_then(|file| file.general.wait).unwrap_or_default()
}

/// What the store's policy says of what may stay.
pub(crate) fn budgets(store: &Store) -> Result<policy::Policy, ConfigError> {
    Ok(File::read(store)?.budgets())
}

impl File {
    fn read(store: &Store) -> Result<Self, ConfigError> {
        let path = || store.policy();
        let text = store.policy_text();
        let text = text.map_err(|source| ConfigError::Read { path: path(), source })?;
        Self::parse(text)
            .map_err(|error| ConfigError::Parse { path: path(), why: why(text, &error) })
    }

    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let mut table: toml::Table = toml::from_str(text)?;
        let named: BTreeMap<ProjectName, toml::Table> =
            table.remove("project").map_or(Ok(BTreeMap::new()), toml::Value::try_into)?;
        let projects = named.into_iter().map(|(name, table)| {
            let place = format!("[project.{name}] ");
            Ok((name, keys(&place, table)?))
        });
        let projects = projects.collect::<Result<BTreeMap<_, _>, toml::de::Error>>()?;
        if let Some((name, _)) = projects.iter().find(|(_, keys)| keys.min_free.is_some()) {
            let why = format!("min-free is of the whole store, and cannot be set for {name} alone");
            return Err(serde::de::Error::custom(why));
        }
        let domains = table.remove("domain").map_or(Ok(BTreeMap::new()), domains::read)?;
        let share = table.remove("share").map(toml::Value::try_into).transpose()?;
        Ok(Self { general: keys("", table)?, projects, domains, share })
    }

    fn budgets(self) -> policy::Policy {
        let general = self.general.limits(&Limits::default());
        let limits = |(name, keys): (ProjectName, Keys)| (name, keys.limits(&general));
        policy::Policy {
            max_size: self.general.max_size,
            min_free: self.general.min_free.or(Some(policy::DEFAULT_MIN_FREE)),
            projects: self.projects.into_iter().map(limits).collect(),
            general,
            pinned: BTreeSet::new(),
        }
    }

    fn settings(mut self, project: &ProjectName) -> Settings {
        let own = self.projects.remove(project).unwrap_or_default();
        let general = self.general;
        Settings {
            packages: own.packages.or(general.packages).unwrap_or_default(),
            fidelity: own.fidelity.or(general.fidelity).unwrap_or_default(),
            verify_every: own.verify_every.or(general.verify_every).unwrap_or(0),
            ignore_env: own.ignore_env.or(general.ignore_env).unwrap_or_default(),
            show_env: own.show_env.or(general.show_env).unwrap_or_default(),
            salt: own.salt.or(general.salt).unwrap_or_default(),
            wait: own.wait.or(general.wait).unwrap_or_default(),
        }
    }
}

impl Keys {
    /// What is said here, and where nothing is said what holds in general.
    fn limits(&self, general: &Limits) -> Limits {
        Limits {
            max_size: self.max_size,
            max_age: self.max_age.or(general.max_age),
            keep: self.keep.or(general.keep),
            grace: self.grace.unwrap_or(general.grace),
            keep_units: self.keep_units.unwrap_or(general.keep_units),
            pin: self.pin.unwrap_or(general.pin),
        }
    }
}

/// Reads keys; what is wrong is said with the key, and with the table it is in.
fn keys(place: &str, table: toml::Table) -> Result<Keys, toml::de::Error> {
    for (key, value) in &table {
        let alone = toml::Table::from_iter([(key.clone(), value.clone())]);
        if let Err(error) = alone.try_into::<Keys>() {
            // Numbers here count something.
            let why = error.message().replace("expected usize", "expected a number from 0 on");
            let why = why.replace("expected u64", "expected a number from 0 on");
            return Err(serde::de::Error::custom(format!("{place}{key}: {why}")));
        }
    }
    table.try_into()
}

/// What is wrong with a text, and in which line, where that is known.
fn why(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map(|before| format!("line {}: ", before.matches('\n').count() + 1));
    format!("{}{}", line.unwrap_or_default(), error.message())
}

/// Root's store where nobody names one.
pub(crate) const SYSTEM_STORE: &str = "/var/cache/larder";

/// Where the store is, and whether somebody said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StorePath {
    /// A flag or variable names it, or larder runs from it: it must exist.
    Named(PathBuf),
    /// Nobody said: it is made when it is missing.
    Default(PathBuf),
}

impl StorePath {
    /// Finds the store: the flag or `LARDER_STORE`; else the store that this very binary lies in
    /// (`<store>/bin/larder`, as inside a sandbox), or the one that the directory in its place leads
    /// to, which is made when it is missing; else the user's cache.
    pub(crate) fn find(named: Option<PathBuf>) -> Self {
        let named = named.filter(|path| !path.as_os_str().is_empty());
        if let Some(path) = named.or_else(store_of_this_binary) {
            return Self::Named(path);
        }
        if let Some(path) = dir_of_this_binary().and_then(|dir| store::pointed(&dir)) {
            return Self::Default(path);
        }
        Self::Default(default_store(
            rustix::process::geteuid().is_root(),
            environment::get("XDG_CACHE_HOME"),
            environment::get("HOME"),
        ))
    }

    /// The directory that leads to a store at a path, and has its settings, where larder runs from one.
    pub(crate) fn leads_to(path: &Path) -> Option<PathBuf> {
        dir_of_this_binary().filter(|dir| store::pointed(dir).as_deref() == Some(path))
    }

    /// The path, whoever named it.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Named(path) | Self::Default(path) => path,
        }
    }
}

fn store_of_this_binary() -> Option<PathBuf> {
    dir_of_this_binary().filter(|store| Store::open(store).is_ok())
}

/// `DIR` of `DIR/bin/larder`.
fn dir_of_this_binary() -> Option<PathBuf> {
    let binary = env::current_exe().ok()?;
    Some(binary.parent().filter(|dir| dir.ends_with("bin"))?.parent()?.to_owned())
}

fn default_store(root: bool, cache: Option<OsString>, home: Option<OsString>) -> PathBuf {
    let set = |path: &PathBuf| path.is_absolute();
    if root {
        return PathBuf::from(SYSTEM_STORE);
    }
    let cache = cache.map(PathBuf::from).filter(set);
    let home = || home.map(PathBuf::from).filter(set).map(|home| home.join(".cache"));
    cache.or_else(home).unwrap_or_else(|| PathBuf::from("/var/tmp")).join("larder")
}

/// Reads `forever` or a duration such as `10m`.
pub(crate) fn parse_wait(text: &str) -> Result<Wait, ParseLimitError> {
    if text == "forever" {
        return Ok(Wait::Forever);
    }
    let limit = humantime::parse_duration(text).map(Wait::AtMost);
    limit.map_err(|_| ParseLimitError::Wait(text.to_owned()))
}

fn deserialize_wait<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Wait>, D::Error> {
    let text = String::deserialize(input)?;
    parse_wait(&text).map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings(text: &str, project: &str) -> Settings {
        File::parse(text).unwrap().settings(&project.parse().unwrap())
    }

    #[test]
    fn a_project_overrides_the_store_key_by_key() {
        let text = "salt = 'a'\nwait = '10m'\n[project.x]\npackages = 'sandbox'\nsalt = 'b'\n";
        let (x, y) = (settings(text, "x"), settings(text, "y"));
        assert_eq!((x.packages, x.salt.as_str()), (PackageMode::Sandbox, "b"));
        assert_eq!(x.wait, Wait::AtMost(Duration::from_secs(600)));
        assert_eq!((y.packages, y.salt.as_str()), (PackageMode::Build, "a"));
    }

    #[test]
    fn a_misspelt_policy_is_refused() {
        for text in [
            "pakages = 'build'",
            "packages = 'some'",
            "wait = 'soon'",
            "[project.'../x']",
            "[project.x]\ny = 1",
            "[project.x]\nmin-free = '1GiB'",
            "max-size = 'plenty'",
            "max-age = 30",
            "keep = -1",
        ] {
            assert!(File::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_template_is_all_default() {
        let template = include_str!("larder.toml");
        assert_eq!(settings(template, "x"), settings("", "x"));
        let budgets = |text: &str| File::parse(text).unwrap().budgets();
        assert_eq!(budgets(template), budgets(""));
        assert_eq!(budgets(""), policy::Policy::default());
        let (general, rest) = template.split_once("# [share]\n").unwrap();
        let (share, rest) = rest.split_once("# [domain.NAME]\n").unwrap();
        let (domain, project) = rest.split_once("# [project.NAME]\n").unwrap();
        let parts = [("", general), ("[share]", share), ("[domain.NAME]", domain), ("", project)];
        for (header, part) in parts {
            let lines = part.lines().filter_map(|line| line.strip_prefix("# "));
            let keys: Vec<&str> = lines.filter(|line| line.contains(" = ")).collect();
            let text = format!("{header}\n{}", keys.join("\n"));
            File::parse(&text).unwrap_or_else(|error| panic!("{error}\n{keys:?}"));
        }
    }

    #[test]
    fn budgets_are_inherited_key_by_key_but_for_sizes() {
        let text = "max-size = '9GiB'\nmin-free = '10%'\nkeep = 2\n\
                    [project.x]\nmax-size = '1GiB'\nmax-age = '30d'\n";
        let budgets = File::parse(text).unwrap().budgets();
        let x = budgets.limits(&"x".parse().unwrap());
        let y = budgets.limits(&"y".parse().unwrap());
        assert_eq!(budgets.max_size, Some(ByteSize(9 << 30)));
        assert_eq!((x.max_size, x.keep), (Some(ByteSize(1 << 30)), Some(2)));
        assert_eq!((y.max_size, y.max_age, y.keep), (None, None, Some(2)));
        assert_eq!(x.max_age, Some(Span(Duration::from_secs(30 * 86_400))));
    }

    #[test]
    fn the_default_store_is_in_the_users_cache() {
        let of = |root, cache: &str, home: &str| {
            default_store(root, Some(cache.into()), Some(home.into()))
        };
        assert_eq!(of(true, "/c", "/h"), Path::new("/var/cache/larder"));
        assert_eq!(of(false, "/c", "/h"), Path::new("/c/larder"));
        assert_eq!(of(false, "relative", "/h"), Path::new("/h/.cache/larder"));
    }
}
