//! What a command does: compiles, does so already by larder, or something else.

use super::directory::{ScriptDirectory, Tracker};
use super::lexer::{self, Before, Piece, Word};
use super::scope::{is_name, leading};

/// What compiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// `cargo build`, `cargo rustc`
    Cargo,
    /// `go build`, `go install`
    Go,
    /// Whatever this variable holds, which the shell puts into a text.
    Held(String),
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
    /// It may compile anything: `make`, or a script by its path.
    Unclear,
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
    runs_cargo(text) || runs_go(text)
}

pub(super) fn runs_cargo(text: &str) -> bool {
    has_sign(text, &["cargo build", "cargo b ", "cargo rustc", "cargo install"])
}

pub(super) fn runs_go(text: &str) -> bool {
    has_sign(text, &["go build", "go install"])
}

fn has_sign(text: &str, signs: &[&str]) -> bool {
    let line = |line: &str| {
        let code = line.trim_start();
        !code.starts_with('#') && signs.iter().any(|sign| has_word(code, sign))
    };
    text.lines().any(line)
}

/// Whether a text holds another that does not continue a word: `go build` is not in `cargo build`.
fn has_word(text: &str, wanted: &str) -> bool {
    let ends = |at: usize| at == 0 || !text.as_bytes()[at - 1].is_ascii_alphanumeric();
    text.match_indices(wanted).any(|(at, _)| ends(at))
}

/// The command that larder runs, if it does.
pub(super) fn behind_larder<'a, 'b>(words: &'b [Word<'a>]) -> Option<&'b [Word<'a>]> {
    let larder = words[0].raw == "larder_run" || words[0].raw.ends_with("/bin/larder");
    let at = words.iter().position(|word| word.raw == "--").filter(|_| larder)?;
    words.get(at + 1..).filter(|rest| !rest.is_empty())
}

/// What a command is.
pub(super) fn kind(words: &[Word]) -> CommandKind {
    if words[0].raw == "larder_run" || words[0].raw.ends_with("/bin/larder") {
        return CommandKind::Done;
    }
    let found = match words {
        [Word { raw: "mkosi-chroot", .. }, rest @ ..] => chroot(rest),
        _ => program(words, false),
    };
    match found {
        CommandKind::Other | CommandKind::Unclear
            if !TALKERS.contains(&words[0].raw) && is_hidden(words) =>
        {
            CommandKind::Unknown("it seems to compile in a way that larder does not know; put `larder_run NAME --source DIR --` before the command that compiles".to_owned())
        }
        kind => kind,
    }
}

/// Whether something that compiles stands among the arguments.
pub(super) fn is_hidden(words: &[Word]) -> bool {
    let line = words.iter().map(|word| word.raw).collect::<Vec<_>>().join(" ");
    seems_to_compile(&line)
}

/// What `mkosi-chroot` runs, and the directory that its own option names.
fn chroot(words: &[Word]) -> CommandKind {
    let (place, rest) = match words {
        [Word { raw: "--chdir", .. }, place, rest @ ..] => (Some(place.raw), rest),
        [first, rest @ ..] if first.raw.starts_with("--chdir=") => {
            (first.raw.strip_prefix("--chdir="), rest)
        }
        _ => (None, words),
    };
    match program(rest, true) {
        CommandKind::Compiles { tool, inside, directory } => {
            let place = place.map(ScriptDirectory::read);
            CommandKind::Compiles { tool, inside, directory: directory.or(place) }
        }
        kind => kind,
    }
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
        [first, ..] if is_unclear(first.raw) && !is_assignment(first.raw) => CommandKind::Unclear,
        [first, rest @ ..] if may_be_compiler(first.raw) && builds(rest) => CommandKind::Unknown(
            "its words do not tell what it starts; where that is cargo or go, put `larder_run NAME --source DIR --` before it".to_owned(),
        ),
        [Word { raw: "cmake", .. }, Word { raw: "--build", .. }, ..] => CommandKind::Unclear,
        _ => CommandKind::Other,
    }
}

/// Whether a program may compile anything, as far as its name tells.
pub(super) fn is_unclear(raw: &str) -> bool {
    let script = raw.strip_suffix('"').unwrap_or(raw);
    ["make", "gmake", "ninja", "just"].contains(&raw)
        || raw.starts_with("./")
        || script.contains('/') && script.strip_suffix(".sh").is_some()
}

/// Whether a program is named by a variable, or calls cargo in its own way.
fn may_be_compiler(raw: &str) -> bool {
    raw.trim_start_matches('"').starts_with('$') || raw == "cross"
}

/// Whether words are those behind `cargo` or `go` when something is compiled.
fn builds(words: &[Word]) -> bool {
    matches!(subcommand(words), Some("build" | "b" | "rustc" | "install"))
}

/// Whether a word as it is written gives a variable a value.
pub(crate) fn is_assignment(raw: &str) -> bool {
    raw.split_once('=').is_some_and(|(name, _)| is_name(name))
}

/// The subcommand behind options of the program itself.
fn subcommand<'a>(words: &[Word<'a>]) -> Option<&'a str> {
    let mut words = words.iter().map(|word| word.raw);
    while let Some(word) = words.next() {
        match word {
            "--config" | "-Z" | "--color" | "-C" => drop(words.next()),
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
            if words.iter().any(|word| word.raw == "-C") {
                return CommandKind::Unknown(
                    "it names another directory (-C); put larder_run before it by hand".to_owned(),
                );
            }
            CommandKind::Compiles { tool: Tool::Cargo, inside, directory: manifest(words) }
        }
        Some("install") if words.iter().all(|word| !word.raw.starts_with("--path")) => {
            CommandKind::Unknown("what `cargo install` gets from a repository or a registry is not kept, for its sources are not here to be compared; clone them, and put larder_run before `cargo build` there".to_owned())
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
            "larder does not know this way to call go; put `larder_run NAME --` before it if it compiles"
                .to_owned(),
        ),
    }
}

/// `bash -c "…"`: what compiles in the text, and where.
fn shell(words: &[Word], inside: bool) -> CommandKind {
    let is_flag = |raw: &str| raw.starts_with('-') && !raw.starts_with("--") && raw.ends_with('c');
    let at = words.iter().position(|word| is_flag(word.raw));
    let Some(script) = at.and_then(|at| words.get(at + 1)) else {
        return words.first().map_or(CommandKind::Other, |word| file(word.raw));
    };
    let unknown = |why: &str| CommandKind::Unknown(why.to_owned());
    let double = script.raw.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let single = script.raw.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    let Some(text) = double.or(single.filter(|text| !text.contains('\''))) else {
        return if seems_to_compile(script.raw) {
            unknown("its text is quoted in more than one way; put larder_run before it by hand")
        } else {
            CommandKind::Other
        };
    };
    let text = if double.is_some() { text.replace("\\\"", "\"") } else { text.to_owned() };
    let compiles = seems_to_compile(&text);
    if compiles && ["CARGO_TARGET_DIR=", "--target-dir"].iter().any(|own| text.contains(own)) {
        return unknown(
            "its text names a target directory of its own, where larder does not look; export CARGO_TARGET_DIR before the command, and put `larder_run NAME --source DIR --` in front",
        );
    }
    match compilations(&text, double.is_some()) {
        None if compiles => {
            unknown("its text cannot be followed; put larder_run before it by hand")
        }
        None => of_text(&text),
        Some(found) => match found.as_slice() {
            [(tool, directory), rest @ ..] if rest.iter().all(|one| one.1 == *directory) => {
                // Where the text goes nowhere, it is where the script is.
                let moved = inside || *directory != ScriptDirectory::Start;
                let directory = moved.then(|| directory.clone());
                CommandKind::Compiles { tool: tool.clone(), inside, directory }
            }
            [] => of_text(&text),
            _ => unknown("it compiles in more than one directory; give each a command of its own"),
        },
    }
}

/// A text in which neither cargo nor go is called by its name.
fn of_text(text: &str) -> CommandKind {
    let unclear = |piece: &Piece| match piece {
        Piece::Command { words, .. } => skip_assignments(words)
            .first()
            .is_some_and(|word| is_unclear(word.raw) && !is_assignment(word.raw)),
        _ => false,
    };
    let pieces = lexer::pieces(text).unwrap_or_default();
    if pieces.iter().any(unclear) { CommandKind::Unclear } else { CommandKind::Other }
}

/// A script that a shell is given by its path.
fn file(raw: &str) -> CommandKind {
    if is_unclear(raw) { CommandKind::Unclear } else { CommandKind::Other }
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
                let words = skip_assignments(words);
                match program(words, false) {
                    CommandKind::Compiles { tool, directory, .. } => {
                        found.push((tool, directory.unwrap_or_else(|| tracker.now())));
                    }
                    _ if double && held(words).is_some() => {
                        let name = held(words).unwrap_or_default().to_owned();
                        found.push((Tool::Held(name), tracker.now()));
                    }
                    CommandKind::Other | CommandKind::Unclear
                        if TALKERS.contains(&words[0].raw) || !is_hidden(words) => {}
                    _ => return None,
                }
                let certain = matches!(before, Before::Line | Before::And | Before::Other);
                tracker.change(words, certain, read);
            }
            Piece::Document(body) if seems_to_compile(body.raw) => return None,
            other => tracker.take(other, read),
        }
    }
    Some(found)
}

/// The variable that is all of a command: its text is put in before the command is read.
fn held<'a>(words: &[Word<'a>]) -> Option<&'a str> {
    let [only] = words else { return None };
    match leading(only.raw) {
        Some((name, "")) => Some(name),
        _ => only.raw.strip_prefix('$').filter(|name| name.parse::<usize>().is_ok()),
    }
}

/// Variables before a command reach it here as well: larder runs the whole text.
pub(super) fn skip_assignments<'a, 'b>(words: &'b [Word<'a>]) -> &'b [Word<'a>] {
    let plain = words.iter().position(|word| !is_assignment(word.raw));
    plain.map_or(words, |at| &words[at..])
}
