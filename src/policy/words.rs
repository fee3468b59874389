//! Plans in words.

use std::fmt;
use std::time::Duration;

use super::{ByteSize, Span, TooSmall, Unmet, What, Why};

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

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = "what is left is in use, pinned or within grace";
        match self {
            Self::ProjectSize { project, size, max_size } => {
                write!(f, "{project} takes {size} of max-size {max_size}, and {rest}")
            }
            Self::MaxSize { size, max_size } => {
                write!(f, "the store takes {size} of max-size {max_size}, and {rest}")
            }
            Self::MinFree { free, min_free } => {
                write!(f, "{free} are free of min-free {min_free}; {rest}, or not larder's")
            }
            Self::MinFreeInodes { free, min_free } => {
                write!(f, "{free} inodes are free of min-free {min_free}; {rest}, or not larder's")
            }
        }
    }
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { project, build, max_size, own } = self;
        let place = if *own { format!("[project.{project}] ") } else { String::new() };
        let more = ByteSize(build.0.saturating_mul(2));
        write!(
            f,
            "{place}max-size {max_size} is less than one build of {project} ({build}), which will \
             always be cold; allow at least {more}"
        )
    }
}
