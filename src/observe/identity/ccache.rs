//! ccache: its version, and the settings with which it decides what is the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ask::{Caller, Question};
use super::search::Search;
use super::{IdentifyError, Looker};
use crate::base::digest::Digest;
use crate::observe::identity::Fidelity;

/// Settings with which ccache reads all that a compilation depends on.
///
/// In direct mode it does not see a new header that the compiler would find first (ccache 4.7, manual,
/// "The direct mode", caveats); its inode cache goes by inodes and times, which fresh sandboxes share; and
/// the rest names what it may leave out.
pub(crate) const CAREFUL: [(&str, &str); 7] = [
    ("compiler_check", "content"),
    ("depend_mode", "false"),
    ("direct_mode", "false"),
    ("hash_dir", "true"),
    ("ignore_options", ""),
    ("inode_cache", "false"),
    ("sloppiness", ""),
];

/// Settings that say where things are, and how much may be there.
const ASIDE: [&str; 7] =
    ["cache_dir", "debug_dir", "log_file", "max_files", "max_size", "stats_log", "temporary_dir"];

/// ccache and how it is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ccache {
    /// Such as `4.7.5`.
    pub version: String,
    /// What is not at its default.
    settings: BTreeMap<String, String>,
    program: Option<Digest>,
}

/// Where ccache keeps what, as the compiler sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CcachePlace {
    pub cache: PathBuf,
    /// The configuration file that it reads after all others.
    pub config: PathBuf,
}

/// Questions that are under way.
pub(super) struct CcacheQuestion {
    program: PathBuf,
    caller: Caller,
    version: Question,
    settings: Question,
    places: Question,
}

/// Asks ccache for its settings.
pub(super) fn ask(place: &Caller, search: &Search) -> Result<CcacheQuestion, IdentifyError> {
    let missing = || IdentifyError::NoTool { tool: "ccache".to_owned(), path: search.shown_path() };
    let program = search.find(Path::new("ccache")).ok_or_else(missing)?;
    Ok(CcacheQuestion {
        version: place.ask(&program, &["--version"]),
        settings: place.ask(&program, &["--show-config"]),
        places: place.ask(&program, &["--show-stats", "--verbose"]),
        caller: place.clone(),
        program,
    })
}

impl CcacheQuestion {
    /// Waits for the answers; refuses what would not be exact.
    pub(super) fn judge(
        self,
        fidelity: Fidelity,
        looker: &mut Looker<'_>,
    ) -> Result<(Ccache, CcachePlace), IdentifyError> {
        let silent = |what: &str| {
            let command = format!("{} --show-config", self.program.display());
            super::ask::silent(&command, &self.caller.dir, what)
        };
        let version = self.version.answer()?;
        let version = version.lines().next().and_then(|line| line.rsplit(' ').next());
        let settings = self.settings.answer()?;
        let all: Vec<Setting<'_>> = settings.lines().filter_map(Setting::parse).collect();
        let of = |key: &str| all.iter().find(|setting| setting.key == key);
        let cache = of("cache_dir").map(|setting| PathBuf::from(setting.value));
        let cache = cache.filter(|path| path.is_absolute());
        let places = self.places.answer()?;
        let config = places.lines().find_map(config_file);
        if fidelity == Fidelity::Exact {
            let is_careless = |setting: &&Setting<'_>| {
                let careful = CAREFUL.iter().find(|(key, _)| *key == setting.key);
                setting.origin == "environment"
                    && careful.is_some_and(|(_, value)| *value != setting.value)
            };
            if let Some(Setting { key, value, .. }) = all.iter().find(is_careless) {
                let (key, value) = ((*key).to_owned(), (*value).to_owned());
                return Err(IdentifyError::Careless { key, value });
            }
        }
        let set = all
            .iter()
            .filter(|setting| setting.origin != "default" && !ASIDE.contains(&setting.key));
        let ccache = Ccache {
            version: version.unwrap_or("unknown").to_owned(),
            settings: set.map(|it| (it.key.to_owned(), it.value.to_owned())).collect(),
            program: looker.look_at_real(&self.program)?,
        };
        let place = CcachePlace {
            cache: cache.ok_or_else(|| silent("it names no cache_dir"))?,
            config: config.ok_or_else(|| silent("it names no configuration file"))?,
        };
        Ok((ccache, place))
    }
}

impl Ccache {
    /// The same with what becomes of its settings.
    pub(super) fn with(
        &self,
        settings: impl Fn(&BTreeMap<String, String>) -> BTreeMap<String, String>,
    ) -> Self {
        Self { settings: settings(&self.settings), ..self.clone() }
    }
}

/// A line of `ccache --show-config`: `(environment) direct_mode = false`.
struct Setting<'a> {
    origin: &'a str,
    key: &'a str,
    value: &'a str,
}

impl<'a> Setting<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (origin, rest) = line.strip_prefix('(')?.split_once(") ")?;
        let (key, value) = rest.split_once(" =")?;
        Some(Self { origin, key, value: value.trim() })
    }
}

/// The file in a line such as `Config file: /root/.config/ccache/ccache.conf`; of older versions,
/// `Primary config: …`.
fn config_file(line: &str) -> Option<PathBuf> {
    let lower = line.trim_start().to_lowercase();
    let is_it = ["config file", "configuration file", "primary config"]
        .iter()
        .any(|start| lower.starts_with(start));
    let start = line.find('/').filter(|_| is_it)?;
    Some(PathBuf::from(line[start..].trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ccache_says_is_understood() {
        let setting = Setting::parse("(/etc/ccache.conf) sloppiness = time_macros").unwrap();
        assert_eq!(setting.origin, "/etc/ccache.conf");
        assert_eq!((setting.key, setting.value), ("sloppiness", "time_macros"));
        assert_eq!(Setting::parse("(default) sloppiness = ").unwrap().value, "");
        let config = "/home/x/.config/ccache/ccache.conf";
        for start in ["Config file:        ", "  Primary config:   "] {
            let found = config_file(&format!("{start}{config}"));
            assert_eq!(found.as_deref(), Some(Path::new(config)));
        }
        assert_eq!(config_file("System config file: /etc/ccache.conf"), None);
    }
}
