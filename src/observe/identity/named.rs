//! Paths that the environment, the command line or Cargo's configuration name.
//!
//! `PKG_CONFIG_PATH=/opt/x/lib/pkgconfig`, `CFLAGS=-I/srv/sdk/include`, `OPENSSL_DIR=/x`: what
//! lies there reaches the compiler, and nobody else looks at it. So it counts by content.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::cargo_config::CargoConfig;
use super::directories::{Directories, is_cargos};
use super::places::is_library_directory;
use super::{Environment, IdentifyError, Looker, Request, TOO_MANY, shown};
use crate::base::digest::Digest;
use crate::observe::identity::CacheKind;

/// Variables whose paths are looked at elsewhere, say only where somebody lives, or name the home
/// of a version manager or a download cache: what builds take from there is on `PATH`.
const ELSEWHERE: [&str; 29] = [
    "PATH",
    "HOME",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "SHELL",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "TMP",
    "TEMP",
    "MANPATH",
    "PYENV_ROOT",
    "PYENV_DIR",
    "_PYENV_INSTALL_PREFIX",
    "RBENV_ROOT",
    "NVM_DIR",
    "ASDF_DIR",
    "ASDF_DATA_DIR",
    "SDKMAN_DIR",
    "VOLTA_HOME",
    "PNPM_HOME",
    "BUN_INSTALL",
    "GOPATH",
    "GOCACHE",
    "GOMODCACHE",
    "CCACHE_DIR",
    "SCCACHE_DIR",
    "PIP_CACHE_DIR",
];

/// Directories that are never a whole input, and whose parts are looked at elsewhere.
const BROAD: [&str; 26] = [
    "/",
    "/bin",
    "/boot",
    "/build",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/include",
    "/usr/lib",
    "/usr/local",
    "/var",
    "/work",
];

/// Trees of the kernel and of processes, which are never inputs.
const VOLATILE: [&str; 4] = ["/dev", "/proc", "/run", "/sys"];

/// Where the build's own directories are.
pub(super) struct Limits<'a> {
    pub source: &'a Path,
    pub cargo_home: &'a Path,
    pub target: Option<&'a Path>,
    pub results: Option<&'a Path>,
}

/// The content of everything that is named, by path.
pub(super) fn observe(
    request: &Request,
    counting: &Environment,
    config: &CargoConfig,
    limits: &Limits<'_>,
    looker: &mut Looker<'_>,
) -> Result<BTreeMap<String, Digest>, IdentifyError> {
    let elsewhere = |name: &OsStr| ELSEWHERE.iter().any(|other| name == *other);
    let variables = counting.iter().filter(|(name, _)| !elsewhere(name));
    let variables = variables.map(|(name, value)| (shown(name.as_bytes()), value.as_bytes()));
    let command = if request.with.contains(&CacheKind::Go) {
        without_outputs(&request.command)
    } else {
        request.command.clone()
    };
    let words = command.iter().map(|word| ("the command line".to_owned(), &word[..]));
    let config = [("cargo's configuration".to_owned(), config.text.as_bytes())];
    let mut named = BTreeMap::new();
    for (name, text) in variables.chain(words).chain(config) {
        for path in paths(text).filter(|path| limits.counts(path, request)) {
            if let Some(digest) = look(&name, &path, request, limits, looker)? {
                named.insert(shown(path.as_os_str().as_bytes()), digest);
            }
        }
    }
    Ok(named)
}

/// The words without what stands behind `-o`, alone or in a script: where Go is told to put what it
/// builds is no input, and there the last time's is.
fn without_outputs(command: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut is_output = false;
    let mut inputs = Vec::new();
    for word in command {
        let mut kept: Vec<&[u8]> = Vec::new();
        for part in word.split(u8::is_ascii_whitespace).filter(|part| !part.is_empty()) {
            if !std::mem::replace(&mut is_output, part == b"-o") && !part.starts_with(b"-o=") {
                kept.push(part);
            }
        }
        inputs.push(kept.join(&b' '));
    }
    inputs
}

fn look(
    name: &str,
    path: &Path,
    request: &Request,
    limits: &Limits<'_>,
    looker: &mut Looker<'_>,
) -> Result<Option<Digest>, IdentifyError> {
    let Ok(real) = std::fs::canonicalize(path) else {
        return Ok(None);
    };
    if is_broad(&real)
        || is_cargos(&real)
        || limits.is_own(&real)
        || real.starts_with(&request.store)
    {
        return Ok(None);
    }
    let is_own = |path: &Path| limits.is_own(path) || path.starts_with(&request.store);
    if real.is_dir() && exceeds(&real, TOO_MANY, is_own) {
        return Err(IdentifyError::TooLarge { name: name.to_owned(), path: real });
    }
    Ok(looker.look(&real, |below, _| !is_own(&real.join(below)))?)
}

/// Whether only parts of a directory are inputs, which are looked at elsewhere: of directories of libraries those that
/// compilers find anyway, so that `-L/usr/lib/x86_64-linux-gnu` is no more than what is linked without it.
fn is_broad(path: &Path) -> bool {
    BROAD.iter().any(|broad| path == Path::new(broad)) || is_library_directory(path)
}

fn exceeds(dir: &Path, limit: usize, is_own: impl Fn(&Path) -> bool) -> bool {
    let walk = walkdir::WalkDir::new(dir).same_file_system(true).into_iter();
    walk.filter_entry(|entry| !is_own(entry.path())).nth(limit).is_some()
}

impl<'a> Limits<'a> {
    /// Those of a project.
    pub(super) fn new(
        source: &'a Path,
        cargo_home: &'a Path,
        directories: &'a Directories,
    ) -> Self {
        let results = directories.results.as_deref();
        Self { source, cargo_home, target: directories.units.as_deref(), results }
    }

    /// Whether a path is where Cargo puts what it builds.
    pub(super) fn is_built(&self, path: &Path) -> bool {
        let is_in = |dir: Option<&Path>| dir.is_some_and(|dir| path.starts_with(dir));
        is_in(self.target) || is_in(self.results)
    }
    fn counts(&self, path: &Path, request: &Request) -> bool {
        let volatile = VOLATILE.iter().any(|volatile| path.starts_with(volatile));
        !volatile && !is_broad(path) && !self.is_own(path) && !path.starts_with(&request.store)
    }

    /// The sources and Cargo's downloads are part of the state, and change with every commit.
    fn is_own(&self, path: &Path) -> bool {
        path.starts_with(self.source)
            || self.source.starts_with(path)
            || self.is_built(path)
            || path == self.cargo_home
            || path.starts_with(self.cargo_home.join("registry"))
            || path.starts_with(self.cargo_home.join("git"))
    }
}

/// Options by which paths in what is made are written otherwise: of `FROM=TO` nothing is read (rustc 1.95, `--help -v`;
/// gcc(1), "-ffile-prefix-map").
const PREFIX_MAPS: [&[u8]; 5] = [
    b"--remap-path-prefix",
    b"-fdebug-prefix-map",
    b"-ffile-prefix-map",
    b"-fmacro-prefix-map",
    b"-fprofile-prefix-map",
];

/// Where in a prefix map one stands.
enum Map {
    Outside,
    From,
    To,
}

/// Every absolute path in a text: what begins with a slash at the start of a word, behind `=`,
/// `:`, `,`, a quote, or one of the short options `-I`, `-L`, `-B`, `-F`; but for prefix maps.
fn paths(text: &[u8]) -> impl Iterator<Item = PathBuf> + '_ {
    let separates =
        |byte: &u8| byte.is_ascii_whitespace() || b"=:,;'\"\x1f()[]{}|&<>".contains(byte);
    let mut map = Map::Outside;
    text.split(separates).filter_map(move |word| {
        match map {
            Map::From if !word.is_empty() => map = Map::To,
            Map::To if !word.starts_with(b"-") => map = Map::Outside,
            _ if PREFIX_MAPS.contains(&word) => map = Map::From,
            Map::From => {}
            Map::Outside | Map::To => {
                map = Map::Outside;
                return path(word);
            }
        }
        None
    })
}

/// The path that a word is, or holds behind a short option.
fn path(word: &[u8]) -> Option<PathBuf> {
    let options: [&[u8]; 5] = [b"-I", b"-L", b"-B", b"-F", b"@"];
    let word = options.iter().find_map(|option| word.strip_prefix(*option)).unwrap_or(word);
    let fits = word.starts_with(b"/") && word.len() < 4096 && !word.contains(&0);
    fits.then(|| PathBuf::from(OsStr::from_bytes(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_no_inputs() {
        let of = |words: &[&str]| {
            let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
            let left = without_outputs(&words);
            left.iter().flat_map(|word| paths(word).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        let path = |text: &str| PathBuf::from(text);
        assert_eq!(of(&["go", "build", "-o", "/out/x", "/in"]), [path("/in")]);
        assert_eq!(
            of(&["sh", "-c", "go build -o=/out\n go build -o /b /c; cat /d"]),
            [path("/c"), path("/d"),]
        );
    }

    #[test]
    fn directories_in_which_the_linker_looks_anyway_are_not_read_whole() {
        for broad in
            ["/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu"]
        {
            assert!(is_broad(Path::new(broad)), "{broad}");
        }
        for named in ["/usr/lib/x86_64-linux-gnu/own", "/usr/lib/own", "/opt/x86_64-linux-gnu"] {
            assert!(!is_broad(Path::new(named)), "{named}");
        }
    }

    #[test]
    fn paths_are_found_where_flags_and_lists_hide_them() {
        let of = |text: &str| paths(text.as_bytes()).collect::<Vec<_>>();
        let path = |text: &str| PathBuf::from(text);
        assert_eq!(of("/a/b:/c"), [path("/a/b"), path("/c")]);
        assert_eq!(
            of("-I/inc -L/lib -isystem /sys-inc"),
            [path("/inc"), path("/lib"), path("/sys-inc")]
        );
        assert_eq!(of("-Lnative=/x -Clink-arg=-Wl,-rpath,/y"), [path("/x"), path("/y")]);
        assert_eq!(of("export A='/q/r'"), [path("/q/r")]);
        assert_eq!(of("a/b https://host/x"), [path("//host/x")]);
        for map in [
            "--remap-path-prefix=/a=/b -L/lib",
            "--remap-path-prefix /a=/b -L/lib",
            "--remap-path-prefix\x1f/a=\x1f-L/lib",
            "--remap-path-prefix==/x -L/lib",
            "rustflags = [\"--remap-path-prefix\", \"/a=/b\", \"-L/lib\"]",
            "-ffile-prefix-map=/a=. -fdebug-prefix-map=/c=/d -L/lib",
        ] {
            assert_eq!(of(map), [path("/lib")], "{map}");
        }
    }
}
