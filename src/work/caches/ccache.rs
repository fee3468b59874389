//! ccache's configuration: what decides whether it can be wrong (decision 48).

#![expect(clippy::disallowed_methods, reason = "writes the configuration of ccache")]

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::base::{atomic, fault, regular};
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
    let own = regular::text(config).unwrap_or_default();
    let careful = CAREFUL.iter().map(|(key, value)| format!("{key} = {value}"));
    let lines: Vec<String> = own.lines().map(str::to_owned).chain(careful).collect();
    let text = lines.join("\n") + "\n";
    // What a build left there is not written into.
    let put = |path: &Path, text: &str| {
        fault::point("caches.configure");
        Ok(atomic::write(path, text.as_bytes(), 0o644)?)
    };
    if let Some(inner) = place.and_then(|place| config.strip_prefix(place).ok()) {
        return put(&kept.join(inner), &text);
    }
    put(copy, &text)?;
    if !config.exists() {
        if let Some(dir) = config.parent() {
            fault::point("caches.make");
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        fs::write(config, "").with_context(|| format!("cannot write {}", config.display()))?;
    }
    Ok(())
}
