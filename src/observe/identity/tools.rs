//! The C side and the other programs that builds call, by content.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::cargo_config::CargoConfig;
use super::named::Limits;
use super::search::Search;
use super::{Environment, Looker, shown};
use crate::base::digest::Digest;
use crate::base::tree::ObserveError;

/// Programs that `cc`, `cmake`, `pkg-config` and other build dependencies start by name.
const TOOLS: [&str; 44] = [
    "cc",
    "c++",
    "gcc",
    "g++",
    "clang",
    "clang++",
    "cpp",
    "ld",
    "ld.bfd",
    "ld.gold",
    "ld.lld",
    "lld",
    "mold",
    "wild",
    "as",
    "ar",
    "ranlib",
    "nm",
    "objcopy",
    "objdump",
    "strip",
    "llvm-ar",
    "llvm-config",
    "pkg-config",
    "pkgconf",
    "cmake",
    "make",
    "gmake",
    "ninja",
    "meson",
    "nasm",
    "yasm",
    "perl",
    "python",
    "python3",
    "protoc",
    "git",
    "m4",
    "bison",
    "flex",
    "autoconf",
    "automake",
    "swig",
    "go",
];

/// The content of every tool that is there, by the path it is found at; what is built is none.
pub(super) fn observe(
    search: &Search,
    counting: &Environment,
    config: &CargoConfig,
    limits: &Limits<'_>,
    looker: &mut Looker<'_>,
) -> Result<BTreeMap<String, Digest>, ObserveError> {
    let named = counting.values().filter_map(|value| first_word(value));
    let names = TOOLS.iter().map(PathBuf::from).chain(named).chain(config.programs.clone());
    let found = names.filter_map(|name| search.find(&name)).filter(|path| !limits.is_built(path));
    let found = super::unique(found);
    let mut tools = BTreeMap::new();
    for path in found {
        if let Some(digest) = looker.look_at_real(&path)? {
            tools.insert(shown(path.as_os_str().as_bytes()), digest);
        }
    }
    Ok(tools)
}

/// The programs that `gcc` itself starts, such as `cc1`: `/usr/lib*/gcc/<target>/<version>/`.
pub(super) fn compilers() -> Vec<PathBuf> {
    let below = |dir: &Path| {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let tops = ["/usr/lib/gcc", "/usr/libexec/gcc"].map(PathBuf::from);
    let versions = tops.iter().flat_map(|top| below(top)).flat_map(|target| below(&target));
    let names = ["cc1", "cc1plus", "collect2", "lto1", "lto-wrapper", "liblto_plugin.so"];
    let programs = versions.flat_map(|version| names.map(|name| version.join(name)));
    programs.filter(|program| program.is_file()).collect()
}

/// What a variable such as `CC="ccache gcc"` runs.
fn first_word(value: &OsStr) -> Option<PathBuf> {
    let bytes = value.as_bytes();
    let word = bytes.split(u8::is_ascii_whitespace).find(|word| !word.is_empty())?;
    let fits = word.len() < 256 && !word.contains(&b':') && !word.contains(&b'=');
    fits.then(|| PathBuf::from(OsStr::from_bytes(word)))
}
