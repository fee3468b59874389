//! Plans in words.

use std::fmt;
use std::time::Duration;

use super::{Policy, What, Why};
use crate::base::names::ProjectName;
use crate::base::quantity::Span;

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trash { count: 1 } => f.write_str("1 thing in the trash"),
            Self::Trash { count } => write!(f, "{count} things in the trash"),
            Self::Directory { project, toolchain } => write!(f, "{project} {}", toolchain.short()),
            Self::Units { project, toolchain, .. } => {
                write!(f, "{project} {}, dead units", toolchain.short())
            }
            Self::Downloads => f.write_str("downloads"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |seconds: &u64| Span(Duration::from_secs(*seconds));
        match self {
            Self::Trash => f.write_str("set aside earlier"),
            Self::Broken { problem } => write!(f, "cannot be used: {problem}"),
            Self::Age { unused_seconds, max_age_seconds } => {
                write!(f, "unused for {}, max-age {}", span(unused_seconds), span(max_age_seconds))
            }
            Self::Keep { keep } => write!(f, "used before the {keep} that are kept"),
            Self::Dead { builds: 1 } => f.write_str("the last build did not need them"),
            Self::Dead { builds } => write!(f, "the last {builds} builds did not need them"),
            Self::ProjectSize { max_size } => {
                write!(f, "least recently used, project over {max_size}")
            }
            Self::MaxSize { max_size } => write!(f, "least recently used, store over {max_size}"),
            Self::MinFree { min_free } => {
                write!(f, "least recently used, less than {min_free} free")
            }
            Self::MinFreeInodes { min_free } => {
                write!(f, "least recently used, fewer than {min_free} inodes free")
            }
        }
    }
}

impl Policy {
    /// The budget of the whole store.
    pub(crate) fn in_words(&self) -> String {
        let most = self.max_size.map(|size| format!("at most {size}"));
        let free = self.min_free.map(|amount| format!("as long as {amount} of the disk is free"));
        let parts: Vec<String> = most.into_iter().chain(free).collect();
        if parts.is_empty() { "without a budget".to_owned() } else { parts.join(", ") }
    }
}

/// How a budget is found in `larder.toml`.
pub(super) fn budget(project: &ProjectName, own: bool) -> String {
    if own { format!("[project.{project}] max-size") } else { "max-size".to_owned() }
}
