//! Why a place cannot be identified.

use std::io;
use std::path::PathBuf;

use crate::base::tree::ObserveError;

/// An identity that cannot be written down. Nothing may stand for it: its digest names the directory.
#[derive(Debug, thiserror::Error)]
#[error("what decides the bytes cannot be written down; build without larder, and report it: {0}")]
pub struct CanonicalError(#[from] serde_json::Error);

/// A place whose toolchain cannot be identified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentifyError {
    /// There are no sources.
    #[error("no directory {} to build from; name it with --source", .0.display())]
    NoSource(PathBuf),
    /// A tool that every build needs is not there.
    #[error(
        "no `{tool}` on the PATH of the place where the command runs ({path}); install it there (in mkosi: BuildPackages=)"
    )]
    NoTool {
        /// Such as `rustc` or `go`.
        tool: String,
        /// The `PATH` that was searched.
        path: String,
    },
    /// A tool is there and does not answer.
    #[error("`{command}` failed in {}: {message}; make it work there, as the build will need it", dir.display())]
    Silent { command: String, dir: PathBuf, message: String },
    /// What the checkout names as its compiler is somebody else's.
    #[error(
        "the checkout names {} as its compiler, which another user may change; run larder as that user, or give the file and the directories above it to root", program.display()
    )]
    Stranger { program: PathBuf },
    /// Go keeps nothing here.
    #[error("go has no {name} here (`go env {name}` says {value:?}); set HOME or {name}")]
    NoCache {
        /// `GOCACHE` or `GOMODCACHE`.
        name: &'static str,
        value: String,
    },
    /// The main module is not what is to be built.
    #[error("the module of {} is {}; name its directory with --source", sources.display(), module.display())]
    Above {
        sources: PathBuf,
        /// The module's `go.mod`.
        module: PathBuf,
    },
    /// The environment makes ccache trust what it has not read.
    #[error(
        "the environment sets ccache's {key} to {value:?}, with which it may give out another object than the compiler would; unset that variable, or take --fidelity cargo"
    )]
    Careless {
        /// The key of ccache's configuration.
        key: String,
        value: String,
    },
    /// A configuration file is not TOML.
    #[error("cannot read cargo's configuration {}", path.display())]
    Config {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A directory that a variable names is too large to be read at every build.
    #[error("{name} names {}, which holds more than {} files; if no build depends on it, put {name} into ignore-env", path.display(), super::TOO_MANY)]
    TooLarge { name: String, path: PathBuf },
    /// The package database cannot be read.
    #[error(transparent)]
    Packages(#[from] super::packages::PackagesError),
    /// What was found cannot be written down.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// A file cannot be read.
    #[error(transparent)]
    Observe(#[from] ObserveError),
}
