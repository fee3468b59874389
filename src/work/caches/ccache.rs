//! ccache's configuration: what decides whether it can be wrong (decision 48).

#![expect(clippy::disallowed_methods, reason = "writes the configuration of ccache")]

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::base::fault;
use crate::observe::identity::CAREFUL;

/// The name of the configuration file in a cache directory that `CCACHE_DIR` names.
pub(super) const CONFIG: &str = "ccache.conf";

/// Puts the configuration where ccache reads it: the user's own, and behind it what makes it exact.
/// Variables go before it; the identity has judged those.
pub(super) fn configure(
    kept: &Path,
    place: Option<&Path>,
    config: &Path,
    copy: &Path,
) -> Result<()> {
    let own = fs::read_to_string(config).unwrap_or_default();
    let careful = CAREFUL.iter().map(|(key, value)| format!("{key} = {value}"));
    let lines: Vec<String> = own.lines().map(str::to_owned).chain(careful).collect();
    let text = lines.join("\n") + "\n";
    let write = |path: &Path, text: &str| {
        fault::point("caches.configure");
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    if let Some(inner) = place.and_then(|place| config.strip_prefix(place).ok()) {
        return write(&kept.join(inner), &text);
    }
    write(copy, &text)?;
    if !config.exists() {
        if let Some(dir) = config.parent() {
            fault::point("caches.make");
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        write(config, "")?;
    }
    Ok(())
}
