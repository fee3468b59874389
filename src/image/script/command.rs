//! What a command does: compiles, does so already by larder, or something else.

use super::directory::{ScriptDirectory, Tracker};
use super::lexer::{self, Before, Piece, Word};

/// What compiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// `cargo build`, `cargo rustc`
    Cargo,
    /// `go build`, `go install`
    Go,
}

/// What a command is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CommandKind {
    /// Nothing that compiles.
    Other,
    /// It is run by larder already.
    Done,
    /// It compiles.
    Compiles {
        tool: Tool,
        /// Inside of the sandbox, by `mkosi-chroot`.
        inside: bool,
        /// Where, if the command itself says so.
        directory: Option<ScriptDirectory>,
    },
    /// It seems to compile, but not in a way that is understood.
    Unknown(String),
}

/// Subcommands of Cargo that compile nothing that is kept in `target/`.
const IDLE_CARGO: [&str; 20] = [
    "fetch",
    "clean",
    "metadata",
    "vendor",
    "version",
    "tree",
    "generate-lockfile",
    "update",
    "search",
    "locate-project",
    "pkgid",
    "verify-project",
    "fmt",
    "login",
    "package",
    "help",
    "init",
    "new",
    "add",
    "remove",
];

/// The same of Go.
const IDLE_GO: [&str; 11] =
    ["mod", "env", "version", "generate", "vet", "fmt", "clean", "tool", "list", "get", "work"];

/// Commands whose arguments are only text.
const TALKERS: [&str; 9] =
    ["echo", "printf", "command", "which", "type", "hash", ":", "export", "alias"];

/// What of a line, a here-document or a word makes it worth a look.
pub(super) fn seems_to_compile(text: &str) -> bool {
    const SIGNS: [&str; 6] =
        ["cargo build", "cargo b ", "cargo rustc", "cargo install", "go build", "go install"];
    let line = |line: &str| {
        let code = line.trim_start();
        !code.starts_with('#') && SIGNS.iter().any(|sign| has_word(code, sign))
    };
    text.lines().any(line)
}

/// Whether a text holds another that does not continue a word: `go build` is not in `cargo build`.
fn has_word(text: &str, wanted: &str) -> bool {
    let ends = |at: usize| at == 0 || !text.as_bytes()[at - 1].is_ascii_alphanumeric();
    text.match_indices(wanted).any(|(at, _)| ends(at))
}

/// What a command is.
pub(super) fn kind(words: &[Word]) -> CommandKind {
    if words[0].raw == "larder_run" || words[0].raw.ends_with("/bin/larder") {
        return CommandKind::Done;
    }
    let found = match words {
        [Word { raw: "mkosi-chroot", .. }, rest @ ..] => program(rest, true),
        _ => program(words, false),
    };
    match found {
        CommandKind::Other if !TALKERS.contains(&words[0].raw) && is_hidden(words) => {
            CommandKind::Unknown("it seems to compile in a way that larder does not know; put `larder_run NAME --source DIR --` before the command that compiles".to_owned())
        }
        kind => kind,
    }
}

/// Whether something that compiles stands among the arguments.
fn is_hidden(words: &[Word]) -> bool {
    let line = words.iter().map(|word| word.raw).collect::<Vec<_>>().join(" ");
    seems_to_compile(&line)
}

fn program(words: &[Word], inside: bool) -> CommandKind {
    match words {
        [Word { raw: "env", .. }, rest @ ..] => {
            let plain = rest.iter().position(|word| !is_assignment(word.raw));
            plain.map_or(CommandKind::Other, |at| program(&rest[at..], inside))
        }
        [Word { raw: "cargo", .. }, rest @ ..] => cargo(rest, inside),
        [Word { raw: "go", .. }, rest @ ..] => go(rest, inside),
        [Word { raw: "bash" | "sh" | "/bin/bash" | "/bin/sh", .. }, rest @ ..] => {
            shell(rest, inside)
        }
        [first, rest @ ..]
            if is_assignment(first.raw) && is_hidden(rest) && !is_assignment(rest[rest.len() - 1].raw) =>
        CommandKind::Unknown(
            "it sets variables for this command alone; export them, or set them with `env` behind larder_run".to_owned(),
        ),
        _ => CommandKind::Other,
    }
}

fn is_assignment(raw: &str) -> bool {
    let Some((name, _)) = raw.split_once('=') else { return false };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(plain)
}

/// The subcommand behind options of the program itself.
fn subcommand<'a>(words: &[Word<'a>]) -> Option<&'a str> {
    let mut words = words.iter().map(|word| word.raw);
    while let Some(word) = words.next() {
        match word {
            "--config" | "-Z" | "--color" => drop(words.next()),
            option if option.starts_with(['-', '+']) => {}
            word => return Some(word),
        }
    }
    None
}

fn cargo(words: &[Word], inside: bool) -> CommandKind {
    match subcommand(words) {
        None => CommandKind::Other,
        Some(idle) if IDLE_CARGO.contains(&idle) => CommandKind::Other,
        Some("build" | "b" | "rustc") => {
            if words.iter().any(|word| word.raw == "-C" || word.raw.starts_with("--target-dir")) {
                return CommandKind::Unknown(
                    "it names another directory (-C or --target-dir); put larder_run before it by hand"
                        .to_owned(),
                );
            }
            CommandKind::Compiles { tool: Tool::Cargo, inside, directory: manifest(words) }
        }
        Some(other) => CommandKind::Unknown(format!(
            "larder does not know whether `cargo {other}` compiles what the image takes; put larder_run before it if it does"
        )),
    }
}

/// The directory of `--manifest-path`.
fn manifest(words: &[Word]) -> Option<ScriptDirectory> {
    let mut words = words.iter().map(|word| word.raw);
    while let Some(word) = words.next() {
        let value = match word.strip_prefix("--manifest-path") {
            Some("") => words.next()?,
            Some(value) => value.strip_prefix('=')?,
            None => continue,
        };
        return ScriptDirectory::read(value).of_manifest();
    }
    None
}

fn go(words: &[Word], inside: bool) -> CommandKind {
    match subcommand(words) {
        None => CommandKind::Other,
        Some(idle) if IDLE_GO.contains(&idle) => CommandKind::Other,
        Some("build" | "install") if words[0].raw == "build" || words[0].raw == "install" => {
            CommandKind::Compiles { tool: Tool::Go, inside, directory: None }
        }
        Some(_) => CommandKind::Unknown(
            "larder does not know this way to call go; put `larder_run NAME --with go --` before it if it compiles"
                .to_owned(),
        ),
    }
}

/// `bash -c "…"`: what compiles in the text, and where.
fn shell(words: &[Word], inside: bool) -> CommandKind {
    let is_flag = |raw: &str| raw.starts_with('-') && !raw.starts_with("--") && raw.ends_with('c');
    let at = words.iter().position(|word| is_flag(word.raw));
    let Some(script) = at.and_then(|at| words.get(at + 1)) else { return CommandKind::Other };
    if !seems_to_compile(script.raw) {
        return CommandKind::Other;
    }
    let unknown = |why: &str| CommandKind::Unknown(why.to_owned());
    let double = script.raw.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let single = script.raw.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    let Some(text) = double.or(single.filter(|text| !text.contains('\''))) else {
        return unknown(
            "its text is quoted in more than one way; put larder_run before it by hand",
        );
    };
    let text = if double.is_some() { text.replace("\\\"", "\"") } else { text.to_owned() };
    match compilations(&text, double.is_some()) {
        None => unknown("its text cannot be followed; put larder_run before it by hand"),
        Some(found) => match found.as_slice() {
            [(tool, directory), rest @ ..] if rest.iter().all(|one| one == &found[0]) => {
                CommandKind::Compiles { tool: *tool, inside, directory: Some(directory.clone()) }
            }
            [] => CommandKind::Other,
            _ => unknown(
                "it compiles in more than one way or directory; give each a command of its own",
            ),
        },
    }
}

/// What a text compiles and where; nothing if that cannot be told. In double quotes the outer shell
/// replaces variables, in single ones nobody does before the text runs.
fn compilations(text: &str, double: bool) -> Option<Vec<(Tool, ScriptDirectory)>> {
    let pieces = lexer::pieces(text).ok()?;
    let mut tracker = Tracker::default();
    let mut found = Vec::new();
    let read = |raw: &str| match ScriptDirectory::read_nested(raw) {
        ScriptDirectory::Path(path) | ScriptDirectory::Below(path)
            if !double && path.contains('$') =>
        {
            ScriptDirectory::Unknown
        }
        directory => directory,
    };
    for piece in &pieces {
        match piece {
            Piece::Command { words, before } => {
                match program(skip_assignments(words), false) {
                    CommandKind::Compiles { tool, directory, .. } => {
                        found.push((tool, directory.unwrap_or_else(|| tracker.now())));
                    }
                    CommandKind::Other if TALKERS.contains(&words[0].raw) || !is_hidden(words) => {}
                    _ => return None,
                }
                let certain = matches!(before, Before::Line | Before::And | Before::Other);
                tracker.change(words, certain, read);
            }
            Piece::Document(body) if seems_to_compile(body.raw) => return None,
            other => tracker.take(other),
        }
    }
    Some(found)
}

/// Variables before a command reach it here as well: larder runs the whole text.
fn skip_assignments<'a, 'b>(words: &'b [Word<'a>]) -> &'b [Word<'a>] {
    let plain = words.iter().position(|word| !is_assignment(word.raw));
    plain.map_or(words, |at| &words[at..])
}
