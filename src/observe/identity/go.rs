//! Go's toolchain, by content: what it says of itself is only its version.
//!
//! Go itself takes the tools of a release for what their version says (`cmd/go/internal/work/buildid.go`,
//! Go 1.19), and the index of its standard library by times; so `$GOROOT` counts by content.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ask::{Caller, Question, silent};
use super::search::Search;
use super::{IdentifyError, Looker, Request, shown};
use crate::base::digest::Digest;

/// What Go is asked for. Not the flags for cgo: to answer those, Go 1.24 tries the C compiler and notes the
/// result in its build cache, which is not attached yet. They are in the environment.
const ASKED: [&str; 26] = [
    "AR",
    "CC",
    "CGO_ENABLED",
    "CXX",
    "GCCGO",
    "GO111MODULE",
    "GO386",
    "GOAMD64",
    "GOARCH",
    "GOARM",
    "GOARM64",
    "GOCACHE",
    "GODEBUG",
    "GOEXPERIMENT",
    "GOFIPS140",
    "GOFLAGS",
    "GOMOD",
    "GOMODCACHE",
    "GOOS",
    "GOPATH",
    "GOPPC64",
    "GORISCV64",
    "GOROOT",
    "GOTOOLDIR",
    "GOVERSION",
    "GOWORK",
];

/// Of that, what says where things are put, and what is part of the sources.
const ASIDE: [&str; 3] = ["GOCACHE", "GOMOD", "GOWORK"];

/// The parts of `$GOROOT` that reach what is built.
const ROOT: [&str; 6] = ["VERSION", "bin", "go.env", "lib", "pkg", "src"];

/// What `go env` names programs by.
const PROGRAMS: [&str; 4] = ["AR", "CC", "CXX", "GCCGO"];

/// The Go toolchain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Go {
    /// What `go env` says.
    settings: BTreeMap<String, String>,
    /// `$GOROOT`, and the programs that `go env` names, by path.
    files: BTreeMap<String, Digest>,
}

/// Where Go keeps what, as the compiler sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GoPlace {
    /// `GOCACHE`
    pub cache: PathBuf,
    /// `GOMODCACHE`
    pub modules: PathBuf,
    /// `GOWORK`: the file, which may lie above the sources.
    pub workspace: Option<PathBuf>,
}

/// A question that is under way.
pub(super) struct GoQuestion {
    program: PathBuf,
    question: Question,
    caller: Caller,
}

/// Asks Go for its settings, in the source directory.
///
/// With `GOTOOLCHAIN=local`: Go 1.21 and later would otherwise download the toolchain that `go.mod` names,
/// before there is a cache to keep it in. The command does that, and Go knows it by its version.
pub(super) fn ask(place: &Caller, search: &Search) -> Result<GoQuestion, IdentifyError> {
    let missing = || IdentifyError::NoTool { tool: "go".to_owned(), path: search.shown_path() };
    let program = search.find(Path::new("go")).ok_or_else(missing)?;
    let mut caller = place.clone();
    caller.environment.insert("GOTOOLCHAIN".into(), "local".into());
    let words: Vec<&str> = ["env", "-json"].into_iter().chain(ASKED).collect();
    let question = caller.ask(&program, &words);
    Ok(GoQuestion { program, question, caller })
}

impl GoQuestion {
    /// Waits for the answer, and reads the toolchain as far as it is not known.
    pub(super) fn observe(
        self,
        request: &Request,
        search: &Search,
        looker: &mut Looker<'_>,
    ) -> Result<(Go, GoPlace), IdentifyError> {
        let text = self.question.answer()?;
        let mut settings: BTreeMap<String, String> =
            serde_json::from_str(&text).map_err(|error| {
                let command = format!("{} env -json", self.program.display());
                silent(&command, &self.caller.dir, &error.to_string())
            })?;
        let place = place(&settings, request)?;
        let root = PathBuf::from(settings.get("GOROOT").map_or("", String::as_str));
        let mut files = BTreeMap::new();
        let programs = PROGRAMS.iter().filter_map(|name| {
            let first = settings.get(*name)?.split_whitespace().next()?;
            search.find(Path::new(first))
        });
        let own = ROOT.iter().map(|part| root.join(part));
        for path in programs.chain([self.program]).chain(own) {
            let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            if let Some(digest) = looker.look(&real, is_used)? {
                files.insert(shown(path.as_os_str().as_bytes()), digest);
            }
        }
        settings.retain(|name, value| !ASIDE.contains(&name.as_str()) && !value.is_empty());
        Ok((Go { settings, files }, place))
    }
}

/// Whether something in `$GOROOT` can reach what others build: not its tests, nor the sources of its own
/// tools.
fn is_used(path: &Path, is_directory: bool) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    if is_directory {
        name != b"testdata" && path != Path::new("cmd")
    } else {
        !name.ends_with(b"_test.go")
    }
}

fn place(settings: &BTreeMap<String, String>, request: &Request) -> Result<GoPlace, IdentifyError> {
    let get = |name: &str| settings.get(name).map_or("", String::as_str);
    let directory = |name: &'static str| {
        let value = get(name);
        let path = PathBuf::from(value);
        let missing = || IdentifyError::NoCache { name, value: value.to_owned() };
        if path.is_absolute() { Ok(path) } else { Err(missing()) }
    };
    let file = |name: &str| {
        let path = PathBuf::from(get(name));
        (path.is_absolute() && path != Path::new("/dev/null")).then_some(path)
    };
    if let Some(module) = file("GOMOD").filter(|module| !module.starts_with(&request.source)) {
        return Err(IdentifyError::Above { sources: request.source.clone(), module });
    }
    Ok(GoPlace {
        cache: directory("GOCACHE")?,
        modules: directory("GOMODCACHE")?,
        workspace: file("GOWORK"),
    })
}

impl Go {
    /// The same with what becomes of its settings.
    pub(super) fn with(
        &self,
        settings: impl Fn(&BTreeMap<String, String>) -> BTreeMap<String, String>,
    ) -> Self {
        Self { settings: settings(&self.settings), ..self.clone() }
    }

    /// Such as `1.19.8`.
    pub(super) fn release(&self) -> &str {
        let version = self.settings.get("GOVERSION").map_or("unknown", String::as_str);
        version.strip_prefix("go").unwrap_or(version)
    }
}
