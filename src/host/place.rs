//! Where the compiler will run, and how to ask there.
//!
//! In mkosi the build script stands outside of the sandbox's root and compiles through
//! `mkosi-chroot`: the tools that the script sees are the host's, and are never asked (decision 12). Paths have
//! two views then, which only differ by the root.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::base::atomic;
use crate::base::environment;
use crate::base::program::{Call, last_line};
use crate::image::mkosi;
use crate::observe::identity::{Answer, IdentifyError, IdentityCache, Request, identify};

/// mkosi's command that runs another one inside the sandbox's root.
const ENTER: &str = "mkosi-chroot";

/// Where the compiler will run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Here.
    Here,
    /// In a directory that is `/` for it.
    Root(PathBuf),
}

/// What `larder probe` prints.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reply {
    /// What compiles there.
    Answer(Box<Answer>),
    /// Why that cannot be said.
    Error(String),
}

/// A place that could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// It was asked in this very process.
    #[error(transparent)]
    Identify(#[from] IdentifyError),
    /// larder did not start inside the sandbox.
    #[error("cannot ask inside the sandbox: `{ENTER} {} probe` failed: {message}; `larder init` puts this larder into the store, `larder doctor` tries whether it starts", binary.display())]
    NoReply {
        /// The binary that was to start.
        binary: PathBuf,
        /// Its last words, or the system's.
        message: String,
    },
    /// It started, and could not tell.
    #[error("in the sandbox: {0}")]
    Refused(String),
}

impl Place {
    /// The sandbox's root if `$BUILDROOT` is one and the command or the sources are inside it.
    pub(crate) fn detect(build_root: Option<OsString>, command: &OsStr, source: &Path) -> Self {
        let root = build_root.map(PathBuf::from).filter(|root| {
            root.is_absolute() && root != Path::new("/") && root.join("usr").is_dir()
        });
        let enters = Path::new(command).file_name() == Some(OsStr::new(ENTER));
        match root {
            Some(root) if enters || source.starts_with(&root) => Self::Root(root),
            _ => Self::Here,
        }
    }

    /// What the compiler has as `/`.
    pub(crate) fn root(&self) -> &Path {
        match self {
            Self::Here => Path::new("/"),
            Self::Root(root) => root,
        }
    }

    /// A path of here as the compiler sees it: what is outside of the root, such as `/work`, is
    /// mounted inside at the same place.
    pub(crate) fn inside(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(self.root()) {
            Ok(inner) => Path::new("/").join(inner),
            Err(_) => path.to_owned(),
        }
    }

    /// A path of the compiler as seen from here, given one known pair of views of a directory
    /// that holds it or not.
    pub(crate) fn outside(&self, path: &Path, source: &Path) -> PathBuf {
        let beside = !source.starts_with(self.root()) && path.starts_with(source);
        match path.strip_prefix("/") {
            Ok(inner) if !beside => self.root().join(inner),
            _ => path.to_owned(),
        }
    }

    /// Asks what compiles at this place.
    pub(crate) fn identify(&self, request: &Request) -> Result<Answer, PlaceError> {
        match self {
            Self::Here => Ok(identify_here(request)?),
            Self::Root(_) => ask_inside(request),
        }
    }

    /// The image's `BuildPackages=`, from the configuration that mkosi shows its scripts.
    pub(crate) fn build_packages(&self) -> Vec<String> {
        let config = match self {
            Self::Here => None,
            Self::Root(_) => environment::get("MKOSI_CONFIG"),
        };
        let text = config.and_then(|path| std::fs::read_to_string(path).ok());
        text.map(|text| mkosi::build_packages(&text)).unwrap_or_default()
    }
}

/// Identifies in this process, with the environment that the command will get.
pub(crate) fn identify_here(request: &Request) -> Result<Answer, IdentifyError> {
    // Only a cache: without it an identification takes longer.
    let before: IdentityCache =
        atomic::read_binary(&request.observed).ok().flatten().unwrap_or_default();
    let (answer, observed) = identify(request, &environment::all(), &before)?;
    if observed != before {
        let _ = atomic::write_cache(&request.observed, &observed);
    }
    Ok(answer)
}

fn ask_inside(request: &Request) -> Result<Answer, PlaceError> {
    let binary = std::env::current_exe().unwrap_or_else(|_| request.store.join("bin/larder"));
    let fail = |message: String| PlaceError::NoReply { binary: binary.clone(), message };
    let question = serde_json::to_vec(request).map_err(|error| fail(error.to_string()))?;
    let mut command = Command::new(ENTER);
    command.arg(&binary).arg("probe");
    let call = Call { input: Some(&question), ..Call::new(command, ENTER, "asking") };
    let answer = call.ask().map_err(|error| fail(error.to_string()))?;
    match serde_json::from_slice(&answer.text) {
        Ok(Reply::Answer(answer)) => Ok(*answer),
        Ok(Reply::Error(message)) => Err(PlaceError::Refused(message)),
        Err(_) => Err(fail(last_line(&answer.complaint).to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_is_entered_only_where_the_build_is_inside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("usr")).unwrap();
        let root = || Some(dir.path().as_os_str().to_owned());
        let inside = dir.path().join("build/x");
        let chroot = Place::Root(dir.path().to_owned());
        assert_eq!(
            Place::detect(root(), OsStr::new("mkosi-chroot"), Path::new("/work/src")),
            chroot
        );
        assert_eq!(Place::detect(root(), OsStr::new("bash"), &inside), chroot);
        assert_eq!(Place::detect(root(), OsStr::new("cargo"), Path::new("/x")), Place::Here);
        assert_eq!(Place::detect(Some("/".into()), OsStr::new("cargo"), &inside), Place::Here);
        assert_eq!(Place::detect(None, OsStr::new("cargo"), &inside), Place::Here);
    }

    #[test]
    fn both_views_of_a_path() {
        let place = Place::Root(PathBuf::from("/buildroot"));
        assert_eq!(place.inside(Path::new("/buildroot/build/x")), Path::new("/build/x"));
        assert_eq!(place.inside(Path::new("/work/src/x")), Path::new("/work/src/x"));
        let source = Path::new("/buildroot/build/x");
        assert_eq!(place.outside(Path::new("/build/x/target"), source), source.join("target"));
        assert_eq!(place.outside(Path::new("/.cargo"), source), Path::new("/buildroot/.cargo"));
        let work = Path::new("/work/src/x");
        assert_eq!(place.outside(Path::new("/work/src/x/target"), work), work.join("target"));
        assert_eq!(Place::Here.outside(Path::new("/a"), Path::new("/b")), Path::new("/a"));
    }
}
