//! The environment that larder was started with: the only room that reads it.

#![expect(clippy::disallowed_methods, reason = "reads the environment, for all rooms")]

use std::collections::BTreeMap;
use std::ffi::OsString;

/// What a variable is set to, were it to nothing.
pub(crate) fn get(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The same, where it is text.
pub(crate) fn text(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// All variables.
pub(crate) fn all() -> BTreeMap<OsString, OsString> {
    std::env::vars_os().collect()
}
