//! Build scripts as text: which of their commands compile, and what they need in front. Pure.
//!
//! A command is touched only where it is certain that the new line does what the old one did: it
//! stands alone on its line or behind `cd DIR &&`, and the directory in which it compiles is written
//! there. Everything else that seems to compile is named, and left as it is (decision 54).

mod cache;
mod command;
mod directory;
mod function;
mod lexer;
pub(crate) mod mention;
pub(crate) mod patch;
mod reader;
mod scope;
mod start;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Serialize;

pub(crate) use command::is_assignment;
pub(crate) use directory::unquoted;
pub(crate) use function::{Call, Compiler, Function, calls, functions};
use lexer::{Piece, Word};
use patch::Hunk;
use reader::Reader;
use scope::Variables;

/// What a script is told about where it runs, and who calls what is in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// How scripts name the snippet, such as `$SRCDIR/larder.sh`.
    pub snippet: String,
    /// The project's name where a script compiles in the directory that it starts in.
    pub name: Option<String>,
    /// Whether nobody knows in which directory it is started.
    pub anywhere: bool,
    /// The functions of all files that compile for their callers, and all their calls.
    pub functions: Vec<Function>,
    pub calls: Vec<Call>,
    /// Functions that run larder themselves.
    pub kept: Vec<String>,
}

/// What is to be done with a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScriptPlan {
    pub hunks: Vec<Hunk>,
    /// Commands that seem to compile and stay as they are.
    pub left: Vec<Left>,
    /// Commands of cargo before which another one compiles in the same directory.
    pub together: Vec<Left>,
    /// Commands that may compile anything, each with its program.
    pub unclear: Vec<(usize, String)>,
    /// Where it takes what was compiled from a cache of its own, beside commands that larder runs.
    pub caches: Vec<Left>,
    /// Commands that larder runs already.
    pub done: usize,
}

/// A place in a script, and what there is to say of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Left {
    /// The number of its line, from 1.
    pub line: usize,
    pub why: String,
}

/// Whether a file is a shell script, by its first line; one without is only sourced.
pub(crate) fn is_shell(text: &str) -> bool {
    let Some(line) = text.lines().next().and_then(|line| line.strip_prefix("#!")) else {
        return true;
    };
    let words = line.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    let mut names = words.filter(|word| *word != "env" && !word.starts_with('-'));
    names.next().is_some_and(|name| ["sh", "bash", "dash", "ash", "ksh"].contains(&name))
}

/// The files that a script sources, relative to where mkosi starts scripts, as far as its words tell.
pub(crate) fn sourced(text: &str) -> Vec<std::path::PathBuf> {
    let Ok(pieces) = lexer::pieces(text) else { return Vec::new() };
    let scopes = scope::scopes(&pieces);
    let variables = Variables::of(&pieces, &scopes);
    let mut files = Vec::new();
    for (piece, scope) in pieces.iter().zip(&scopes) {
        let Piece::Command { words, .. } = piece else { continue };
        if let [Word { raw: "." | "source", .. }, file, ..] = words.as_slice() {
            let mut path = unquoted(file.raw).map(str::to_owned);
            // A variable may hold a path that begins with another one.
            for _ in 0..4 {
                let longer = path.as_deref().and_then(|path| {
                    variables.expand(scope.function, path, file.at).filter(|longer| longer != path)
                });
                path = longer.or(path);
            }
            files.extend(path.as_deref().and_then(directory::sourced));
        }
    }
    files
}

/// The simple commands of a script, each as its words are written; nothing where there is anything else.
pub(crate) fn simple_commands(text: &str) -> Option<Vec<Vec<&str>>> {
    let commands = lexer::pieces(text).ok()?.into_iter().map(|piece| match piece {
        Piece::Command { words, .. } => Some(words.iter().map(|word| word.raw).collect()),
        _ => None,
    });
    commands.collect()
}

/// Says what a script needs.
pub(crate) fn plan(text: &str, surroundings: &Surroundings) -> ScriptPlan {
    if !is_shell(text) {
        let seems = text.lines().enumerate().filter(|(_, line)| command::seems_to_compile(line));
        let why = "it is no shell script; larder can only be called from one".to_owned();
        let left = seems.take(1).map(|(index, _)| Left { line: index + 1, why: why.clone() });
        return ScriptPlan { left: left.collect(), ..ScriptPlan::default() };
    }
    match lexer::pieces(text) {
        Ok(pieces) => Reader::new(text, surroundings, &pieces).read(),
        Err(lexer::Unclosed(at)) if command::seems_to_compile(text) => {
            let why = "what begins here has no end that larder finds; change the script by hand";
            let left = vec![Left { line: line_of(text, at) + 1, why: why.to_owned() }];
            ScriptPlan { left, ..ScriptPlan::default() }
        }
        Err(_) => ScriptPlan::default(),
    }
}

/// The lines, from 1, in which a script uses larder.sh, or what that defines; none if it defines it itself.
pub(crate) fn uses_of_larder(text: &str) -> Vec<usize> {
    if !is_shell(text) || defines_larder_run(text) {
        return Vec::new();
    }
    let lines = text.lines().enumerate().filter(|(_, line)| {
        let code = line.trim_start();
        !code.starts_with('#') && (code.contains("larder_run") || code.contains("larder.sh"))
    });
    lines.map(|(index, _)| index + 1).collect()
}

/// Whether a script defines the function that runs larder.
pub(crate) fn defines_larder_run(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start();
        let name = line.strip_prefix("function ").unwrap_or(line).trim_start();
        let rest = name.strip_prefix("larder_run").map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with(['(', '{']))
    })
}

/// The names of the functions that a script defines.
pub(crate) fn defined(text: &str) -> Vec<String> {
    let pieces = lexer::pieces(text).unwrap_or_default();
    let names = (0..pieces.len()).filter(|index| scope::is_definition(&pieces, *index));
    let names = names.filter_map(|index| match &pieces[index] {
        Piece::Command { words, .. } => words.last().map(|word| word.raw.to_owned()),
        _ => None,
    });
    names.collect()
}

/// Whether a text is a shell script in which something compiles, or seems to.
pub(crate) fn compiles(text: &str) -> bool {
    is_shell(text) && command::seems_to_compile(text)
}

/// The number of the line that holds a byte, from 0.
fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count()
}

/// The name of a project for a directory or a package, if it can be one.
pub(crate) fn project_name(directory: &Path) -> Option<String> {
    let name = directory.file_name()?.to_str()?;
    name.parse::<crate::base::names::ProjectName>().ok().map(|name| name.to_string())
}
