//! The words of a command that decide what is built.
//!
//! How loud Cargo is, and in which form it speaks, is in no byte of what it builds: neither in a
//! unit's fingerprint nor in what rustc is told to make (`core/compiler/fingerprint/mod.rs`,
//! `calculate_normal`, Cargo 1.95). A run with `-v` uses the directory of one without (decision 86).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Cargo's own subcommands that compile, by all their names (`bin/cargo/main.rs`,
/// `BUILTIN_ALIASES`, and `bin/cargo/commands`, Cargo 1.95). What others do with their words is
/// theirs to know: an alias may hand them to a program.
const COMPILING: [&[u8]; 13] = [
    b"b", b"bench", b"build", b"c", b"check", b"d", b"doc", b"fetch", b"r", b"run", b"rustc", b"t",
    b"test",
];

/// Those of them that hand every word behind the first of its own to a program
/// (`trailing_var_arg`, `bin/cargo/commands/run.rs` and `rustc.rs`, Cargo 1.95).
const HANDING_ON: [&[u8]; 3] = [b"r", b"run", b"rustc"];

/// Where in Cargo's words one stands.
enum Stage {
    /// Before the subcommand, where only what is said to Cargo as a whole is known.
    Before,
    /// Behind the subcommand; and whether the first word of a program's own ends that.
    Behind { hands_on: bool },
    /// Words of somebody else.
    Over,
}

/// The words of a command without those that only say how loud Cargo is.
pub(super) fn deciding(command: &[Vec<u8>]) -> Vec<&[u8]> {
    let mut words = command.iter().map(Vec::as_slice).peekable();
    let mut kept = Vec::new();
    let Some(start) = cargo_at(command) else {
        return words.collect();
    };
    kept.extend(words.by_ref().take(start + 1));
    kept.extend(words.next_if(|word| word.starts_with(b"+")));
    let mut stage = Stage::Before;
    while let Some(word) = words.next() {
        let behind = match stage {
            Stage::Over => None,
            Stage::Before => Some(false),
            Stage::Behind { .. } => Some(true),
        };
        match behind.map_or(0, |behind| loud(word, behind)) {
            0 => {
                stage = stage.after(word);
                kept.push(word);
                // The value of an option is no subcommand.
                if matches!(stage, Stage::Before) && takes_value(word) {
                    kept.extend(words.next());
                }
            }
            1 => {}
            _ => drop(words.next()),
        }
    }
    kept
}

/// How many words of a command that is Cargo itself, from the first one on, are known to be Cargo's own.
pub(super) fn cargos(command: &[Vec<u8>]) -> usize {
    let Some(start) = cargo_at(command) else { return 0 };
    let mut own = start + 1;
    own += usize::from(command.get(own).is_some_and(|word| word.starts_with(b"+")));
    let mut stage = Stage::Before;
    while let Some(word) = command.get(own) {
        stage = stage.after(word);
        match stage {
            Stage::Over => break,
            Stage::Before if takes_value(word) => own += 2,
            Stage::Before | Stage::Behind { .. } => own += 1,
        }
    }
    own
}

/// Whether a command does nothing but have Cargo compile, in the environment that it was given.
///
/// A short name may be an alias of the user's, and tests and programs that are run may call Cargo again.
pub(super) fn is_compilation(command: &[Vec<u8>]) -> bool {
    const ONLY_COMPILING: [&[u8]; 4] = [b"build", b"check", b"doc", b"rustc"];
    let Some(start) = cargo_at(command) else { return false };
    let mut words = command[start + 1..].iter().map(Vec::as_slice);
    while let Some(word) = words.next() {
        if takes_value(word) {
            words.next();
        } else if !word.starts_with(b"-") && !word.starts_with(b"+") {
            return ONLY_COMPILING.contains(&word);
        }
    }
    false
}

impl Stage {
    fn after(self, word: &[u8]) -> Self {
        if word == b"--" {
            return Self::Over;
        }
        match self {
            _ if word.starts_with(b"-") => self,
            Self::Before if COMPILING.contains(&word) => {
                Self::Behind { hands_on: HANDING_ON.contains(&word) }
            }
            Self::Behind { hands_on: false } => self,
            _ => Self::Over,
        }
    }
}

/// The place of `cargo` in a command that is Cargo itself, here or inside of mkosi's image.
pub(super) fn cargo_at(command: &[impl AsRef<[u8]>]) -> Option<usize> {
    let is = |index: usize, name: &[u8]| {
        let word = command.get(index).map(AsRef::as_ref).unwrap_or_default();
        word.rsplit(|byte| *byte == b'/').next() == Some(name)
    };
    let start = usize::from(is(0, b"mkosi-chroot"));
    is(start, b"cargo").then_some(start)
}

/// The word by which a command that is Cargo itself calls it.
pub(super) fn cargo(command: &[Vec<u8>]) -> Option<PathBuf> {
    cargo_at(command).map(|at| PathBuf::from(OsStr::from_bytes(&command[at])))
}

/// How many words, this one and its value, only say how loud Cargo is. What is known before the
/// subcommand too is `global` in `bin/cargo/cli.rs` (Cargo 1.95); `--timings` had values once
/// (Cargo 1.85), behind `=` alone.
fn loud(word: &[u8], behind: bool) -> usize {
    let is_verbose = word.len() > 1 && word[0] == b'-' && word[1..].iter().all(|v| *v == b'v');
    let alone: [&[u8]; 2] = [b"-q", b"--quiet"];
    if is_verbose || word == b"--verbose" || alone.contains(&word) || word.starts_with(b"--color=")
    {
        return 1;
    }
    if word == b"--color" {
        return 2;
    }
    match word {
        b"--timings" if behind => 1,
        b"--message-format" if behind => 2,
        _ if !behind => 0,
        _ => usize::from(word.starts_with(b"--timings=") || word.starts_with(b"--message-format=")),
    }
}

/// Whether one of Cargo's own options stands alone before its value.
fn takes_value(word: &[u8]) -> bool {
    let options: [&[u8]; 4] = [b"-C", b"-Z", b"--config", b"--explain"];
    options.contains(&word)
}

/// What a command says to Cargo of where it works and by which configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// The word that stands for Cargo; empty where the command is something else.
    pub program: PathBuf,
    /// Whether it is one of Cargo's own subcommands that compile: what Cargo works on is known then.
    pub compiles: bool,
    /// `+1.85`
    pub toolchain: Option<String>,
    /// `-C`; empty if it is not said.
    pub directory: PathBuf,
    /// `--manifest-path`
    pub manifest: Option<PathBuf>,
    /// `--target-dir`
    pub target_dir: Option<PathBuf>,
    /// `--artifact-dir`, once `--out-dir`
    pub artifact_dir: Option<PathBuf>,
    /// `--config`, in order: the last one counts most.
    pub configs: Vec<String>,
}

/// The options that say it.
const HEEDED: [&[u8]; 6] =
    [b"--target-dir", b"--manifest-path", b"--config", b"-C", b"--artifact-dir", b"--out-dir"];

/// Reads the words of a command that is Cargo itself, up to `--` or to a subcommand that is not Cargo's own.
pub(super) fn said(command: &[Vec<u8>]) -> Said {
    let mut said = Said::default();
    let Some(start) = cargo_at(command) else { return said };
    let mut words = command[start..].iter().map(Vec::as_slice).peekable();
    said.program = words.next().map(path).unwrap_or_default();
    let toolchain = words.next_if(|word| word.starts_with(b"+"));
    said.toolchain = toolchain.map(|word| String::from_utf8_lossy(word).into_owned());
    let mut stage = Stage::Before;
    while let Some(word) = words.next() {
        let (option, attached) = match word.iter().position(|byte| *byte == b'=') {
            Some(at) if word.starts_with(b"--") => (&word[..at], Some(&word[at + 1..])),
            _ => (word, None),
        };
        if HEEDED.contains(&option) {
            let Some(value) = attached.or_else(|| words.next()) else { break };
            said.take(option, value);
            continue;
        }
        stage = stage.after(word);
        said.compiles |= matches!(stage, Stage::Behind { .. });
        if matches!(stage, Stage::Over) {
            break;
        }
        if matches!(stage, Stage::Before) && takes_value(word) {
            words.next();
        }
    }
    said
}

impl Said {
    fn take(&mut self, option: &[u8], value: &[u8]) {
        match option {
            b"--target-dir" => self.target_dir = Some(path(value)),
            b"--manifest-path" => self.manifest = Some(path(value)),
            b"--artifact-dir" | b"--out-dir" => self.artifact_dir = Some(path(value)),
            b"--config" => self.configs.push(String::from_utf8_lossy(value).into_owned()),
            _ => self.directory = path(value),
        }
    }
}

/// Whether a word of a command, or a text of a shell in it, names Cargo or one of its manifests.
pub(super) fn names_cargo(word: &[u8]) -> bool {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let mut names = word.split(|byte| !is_of_name(byte));
    names.any(|name| name == b"cargo" || name.starts_with(b"cargo-") || name == b"--manifest-path")
}

fn path(word: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(word))
}

/// Words of the command as the system takes them.
pub(crate) fn words(command: &[Vec<u8>]) -> Vec<OsString> {
    command.iter().map(|word| OsString::from_vec(word.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(line: &str) -> String {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let words = deciding(&words);
        words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_compilation_is_cargo_and_nothing_else() {
        let is = |text: &str| {
            let words: Vec<Vec<u8>> =
                text.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            is_compilation(&words)
        };
        for text in [
            "cargo build --release",
            "/usr/bin/cargo +nightly -v -C dir --config run check",
            "mkosi-chroot cargo --locked rustc -- -Copt-level=1",
        ] {
            assert!(is(text), "{text}");
        }
        for text in [
            "cargo",
            "cargo xtask build",
            "cargo test",
            "cargo run",
            "cargo b",
            "sh -c cargo",
            "make",
            "cargo -C build test",
        ] {
            assert!(!is(text), "{text}");
        }
    }

    #[test]
    fn how_loud_cargo_is_decides_nothing() {
        let build = "cargo build --release";
        for line in [
            "cargo build --release -q",
            "cargo -q build --release",
            "cargo build -v --release",
            "cargo -vv build --release -vvv",
            "cargo --verbose build --quiet --release",
            "cargo --color never build --release",
            "cargo build --color=always --release",
            "cargo build --message-format json --release",
            "cargo build --message-format=short --release --message-format json",
            "cargo build --timings --release",
            "cargo build --release --timings=html",
        ] {
            assert_eq!(kept(line), build, "{line}");
        }
        assert_eq!(kept("/usr/bin/cargo +1.85 -v b -q"), "/usr/bin/cargo +1.85 b");
        assert_eq!(kept("mkosi-chroot cargo b -v"), "mkosi-chroot cargo b");
        assert_eq!(
            kept("cargo --config build.jobs=1 -v build -v"),
            "cargo --config build.jobs=1 build"
        );
    }

    #[test]
    fn what_is_said_of_directories_is_read() {
        let of = |line: &str| {
            let words: Vec<Vec<u8>> =
                line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            said(&words)
        };
        let all = of(
            "cargo +1.85 -C sub --config a.b=1 build --target-dir x --config=f --manifest-path m",
        );
        assert_eq!(all.program, PathBuf::from("cargo"));
        assert_eq!(all.toolchain.as_deref(), Some("+1.85"));
        assert_eq!((all.directory, all.manifest), ("sub".into(), Some("m".into())));
        assert_eq!(all.target_dir, Some("x".into()));
        assert_eq!(all.configs, ["a.b=1", "f"]);
        assert_eq!(of("cargo b --artifact-dir=y").artifact_dir, Some("y".into()));
        let chroot = of("mkosi-chroot cargo b --target-dir=/a/b");
        assert_eq!(chroot.target_dir, Some("/a/b".into()));
        for line in ["sh -c cargo", "cargo xtask --target-dir x", "cargo run -- --target-dir x"] {
            assert_eq!(of(line).target_dir, None, "{line}");
            assert_eq!(of(line).compiles, line.contains("run"), "{line}");
        }
        assert!(all.compiles && chroot.compiles && of("cargo run x build").compiles);
        assert_eq!(of("make").program, PathBuf::new());
    }

    #[test]
    fn what_others_may_read_is_left() {
        for line in [
            "sh -c cargo -q build",
            "mkosi-chroot sh -c x -v",
            "make -q",
            "cargo-zigbuild build -v",
            "cargo rustc --release -- -v",
            "cargo test -- -q --color never",
            "cargo run bread -v",
            "cargo run --release bread -q --color always",
            "cargo xtask build -v --timings",
            "cargo --timings build",
            "cargo --message-format json build",
            "cargo build -vr",
            "cargo build -",
            "env -v cargo build",
        ] {
            assert_eq!(kept(line), line);
        }
        assert_eq!(kept("cargo -q xtask -q"), "cargo xtask -q");
        assert_eq!(kept("cargo -v test -v x -v -- -v"), "cargo test x -- -v");
        assert_eq!(kept("cargo run -q x -q"), "cargo run x -q");
    }
}
