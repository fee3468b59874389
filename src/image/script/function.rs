//! Functions of build scripts that compile for whoever calls them, and who does.

use serde::Serialize;

use super::command::{self, CommandKind, Tool};
use super::directory::{self, ScriptDirectory, unquoted};
use super::lexer::{self, Piece, Word};
use super::scope::{self, Scope, Variables, leading};
use super::{is_shell, line_of};

/// A function that compiles in a directory, or what, its arguments say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Function {
    pub name: String,
    /// The line of the command that compiles, from 1.
    pub line: usize,
    /// Which argument names the project, from 1.
    #[serde(skip)]
    pub project: Option<usize>,
    /// Which argument is the command itself.
    #[serde(skip)]
    pub command: Option<usize>,
    #[serde(skip)]
    compiles: Compiler,
}

/// One call of such a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Call {
    #[serde(skip)]
    pub function: String,
    /// Its line, from 1.
    pub line: usize,
    /// The project, as the call names it.
    pub package: String,
    pub compiler: Compiler,
    /// Whether the project is named by a word that can be its name as it is.
    #[serde(skip)]
    pub plain: bool,
    /// The variable in which the command is.
    #[serde(skip)]
    pub text: Option<String>,
}

/// What compiles, as far as the words of a command tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Compiler {
    Cargo,
    Go,
    CargoAndGo,
    Autotools,
    Make,
    Script,
    Unknown,
}

impl Compiler {
    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Go => "go",
            Self::CargoAndGo => "cargo and go",
            Self::Autotools => "autotools, cmake or meson",
            Self::Make => "make",
            Self::Script => "a script of its own",
            Self::Unknown => "its words do not tell",
        }
    }

    /// Whether what it makes is kept, if that is certain.
    pub(crate) fn is_kept(self) -> Option<bool> {
        match self {
            Self::Cargo | Self::Go | Self::CargoAndGo => Some(true),
            Self::Autotools => Some(false),
            Self::Make | Self::Script | Self::Unknown => None,
        }
    }

    fn of(raw: &str) -> Self {
        let text = raw.trim_matches(['"', '\'']).replace("\\\"", "\"");
        match (command::runs_cargo(&text), command::runs_go(&text)) {
            (true, true) => return Self::CargoAndGo,
            (true, false) => return Self::Cargo,
            (false, true) => return Self::Go,
            (false, false) => {}
        }
        let pieces = lexer::pieces(&text).unwrap_or_default();
        let commands = pieces.iter().filter_map(|piece| match piece {
            Piece::Command { words, .. } => command::skip_assignments(words).first(),
            _ => None,
        });
        let names: Vec<&str> = commands.map(|word| word.raw).collect();
        let any = |known: &[&str]| {
            names.iter().any(|name| known.contains(&name.rsplit('/').next().unwrap_or(name)))
        };
        let generators = ["configure", "autogen.sh", "autoreconf", "bootstrap", "cmake", "meson"];
        if any(&generators) {
            Self::Autotools
        } else if any(&["make", "gmake", "ninja", "just"]) {
            Self::Make
        } else if names.iter().any(|name| command::is_unclear(name)) {
            Self::Script
        } else {
            Self::Unknown
        }
    }
}

/// The functions of a file that compile for their callers.
pub(crate) fn functions(text: &str) -> Vec<Function> {
    let Some(pieces) = shell_pieces(text) else { return Vec::new() };
    let scopes = scope::scopes(&pieces);
    let variables = Variables::of(&pieces, &scopes);
    let mut found: Vec<Function> = Vec::new();
    for (piece, scope) in pieces.iter().zip(&scopes) {
        let Piece::Command { words, .. } = piece else { continue };
        let Some(function) = follow(words, scope, &variables, text) else { continue };
        match found.iter_mut().find(|known| known.name == function.name) {
            Some(known) => known.project = known.project.or(function.project),
            None => found.push(function),
        }
    }
    found
}

fn shell_pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    is_shell(text).then(|| lexer::pieces(text).ok()).flatten()
}

fn follow(words: &[Word], scope: &Scope, variables: &Variables, text: &str) -> Option<Function> {
    let words = command::behind_larder(words).unwrap_or(words);
    let CommandKind::Compiles { tool, directory, .. } = command::kind(words) else { return None };
    let (name, at) = (scope.function?, words[0].at);
    let argument = |variable: &str| variables.argument(scope.function, variable, at);
    let project = directory.as_ref().and_then(ScriptDirectory::variable).and_then(argument);
    let (command, compiles) = match &tool {
        Tool::Held(variable) => (Some(argument(variable)?), Compiler::Unknown),
        Tool::Cargo => (None, Compiler::Cargo),
        Tool::Go => (None, Compiler::Go),
    };
    project.or(command)?;
    let line = line_of(text, at) + 1;
    Some(Function { name: name.to_owned(), line, project, command, compiles })
}

/// The calls of functions in a file.
pub(crate) fn calls(text: &str, functions: &[Function]) -> Vec<Call> {
    let Some(pieces) = shell_pieces(text) else { return Vec::new() };
    let scopes = scope::scopes(&pieces);
    let variables = Variables::of(&pieces, &scopes);
    let mut calls = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let Piece::Command { words, .. } = piece else { continue };
        let function = functions.iter().find(|function| function.name == words[0].raw);
        let Some(function) = function.filter(|_| !scope::is_definition(&pieces, index)) else {
            continue;
        };
        calls.push(call(function, words, &scopes[index], &variables, text));
    }
    calls
}

fn call(
    function: &Function,
    words: &[Word],
    scope: &Scope,
    variables: &Variables,
    text: &str,
) -> Call {
    let argument = |number: usize| words.get(number).map(|word| word.raw);
    let project = argument(function.project.unwrap_or(1)).unwrap_or_default();
    let package = unquoted(project).unwrap_or(project).to_owned();
    let given = function.command.and_then(argument);
    let variable = given.and_then(unquoted).and_then(leading).filter(|(_, rest)| rest.is_empty());
    let (variable, compiler) = match (given, variable) {
        (None, _) => (None, function.compiles),
        (Some(_), Some((name, _))) => {
            let held = variables.all(scope.function, name);
            let [only] = held.as_slice() else {
                return Call {
                    compiler: Compiler::Unknown,
                    ..plain(function, words, text, package)
                };
            };
            (Some(name.to_owned()), Compiler::of(only))
        }
        (Some(raw), None) => (None, Compiler::of(raw)),
    };
    Call { compiler, text: variable, ..plain(function, words, text, package) }
}

fn plain(function: &Function, words: &[Word], text: &str, package: String) -> Call {
    Call {
        function: function.name.clone(),
        line: line_of(text, words[0].at) + 1,
        plain: directory::is_name(&package),
        package,
        compiler: Compiler::Unknown,
        text: None,
    }
}
