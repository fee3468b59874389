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
mod scope;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

pub(crate) use command::is_assignment;
use command::{CommandKind, Tool};
use directory::ScriptDirectory;
pub(crate) use directory::unquoted;
pub(crate) use function::{Call, Compiler, Function, calls, functions};
use lexer::{Before, Piece, Word};
use patch::Hunk;
use scope::{Scope, Variables, leading};

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
}

/// What is to be done with a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScriptPlan {
    pub hunks: Vec<Hunk>,
    /// Commands that seem to compile and stay as they are.
    pub left: Vec<Left>,
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

/// Whether a text is a shell script in which something compiles, or seems to.
pub(crate) fn compiles(text: &str) -> bool {
    is_shell(text) && command::seems_to_compile(text)
}

/// The number of the line that holds a byte, from 0.
fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count()
}

struct Reader<'a> {
    text: &'a str,
    surroundings: &'a Surroundings,
    pieces: &'a [Piece<'a>],
    scopes: Vec<Scope<'a>>,
    variables: Variables<'a>,
    plan: ScriptPlan,
    /// Offsets at which something is put in.
    inserts: Vec<(usize, String)>,
    directory: directory::Tracker,
    /// Where functions are handed to another shell, in which there is no `larder_run`.
    exported: Option<usize>,
    /// The functions in which larder is used; none is the script outside of them.
    kept: Vec<Option<&'a str>>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, surroundings: &'a Surroundings, pieces: &'a [Piece<'a>]) -> Self {
        let start =
            if surroundings.anywhere { ScriptDirectory::Unknown } else { ScriptDirectory::Start };
        let scopes = scope::scopes(pieces);
        let variables = Variables::of(pieces, &scopes);
        let exports = ["export -f", "declare -f", "declare -fx", "typeset -f"];
        let exported = exports.iter().filter_map(|sign| text.find(&format!("{sign} "))).min();
        Self {
            text,
            surroundings,
            pieces,
            scopes,
            variables,
            plan: ScriptPlan::default(),
            inserts: Vec::new(),
            directory: directory::Tracker::new(start),
            exported: exported.map(|at| line_of(text, at) + 1),
            kept: Vec::new(),
        }
    }

    fn read(mut self) -> ScriptPlan {
        let mut last: Option<(&[Word], Before)> = None;
        for (index, piece) in self.pieces.iter().enumerate() {
            let scope = self.scopes[index];
            if let Piece::Command { words, before } = piece {
                // Alone behind `|` it may be a pattern of a `case`.
                let behind_cd = *before == Before::And
                    && last.is_some_and(|(words, before)| {
                        words[0].raw == "cd" && before == Before::Line
                    });
                if !scope::is_definition(self.pieces, index) {
                    let pattern = *before == Before::Other && words.len() == 1;
                    let alone = *before == Before::Line || behind_cd;
                    if !(pattern && command::is_unclear(words[0].raw)) {
                        self.command(words, alone, scope);
                    }
                }
                last = Some((words, *before));
            } else {
                last = None;
            }
            if let Piece::Document(body) = piece {
                if command::seems_to_compile(body.raw) {
                    self.leave(
                        body.at,
                        "it is in a here-document; put larder_run before the command that reads it",
                    );
                }
            }
            let variables = &self.variables;
            self.directory.take(piece, |raw| directory_of(variables, scope, raw));
        }
        self.plan.caches =
            cache::caches(self.text, self.pieces, &self.scopes, &self.variables, &self.kept);
        self.finish()
    }

    fn command(&mut self, words: &'a [Word<'a>], alone: bool, scope: Scope<'a>) {
        if self.is_of_callers(words) {
            return;
        }
        match command::kind(words) {
            CommandKind::Other => {}
            CommandKind::Done => {
                self.plan.done += 1;
                self.kept.push(scope.function);
            }
            CommandKind::Unclear => {
                self.plan.unclear.push((line_of(self.text, words[0].at) + 1, program_of(words)));
            }
            CommandKind::Unknown(why) => self.leave(words[0].at, &why),
            CommandKind::Compiles { tool: Tool::Held(name), .. }
                if !self.is_needed(&name, scope) => {}
            CommandKind::Compiles { .. } if !alone => {
                self.leave(words[0].at, "it does not stand alone; put larder_run before it");
            }
            CommandKind::Compiles { inside, directory, .. } => {
                match self.call(inside, directory, scope, words[0].at) {
                    Ok(text) => {
                        self.inserts.push((words[0].at, text));
                        self.kept.push(scope.function);
                    }
                    Err(why) => self.leave(words[0].at, &why),
                }
            }
        }
    }

    /// Whether a command only hands over what one of the known functions runs: a call of it, or the text
    /// that a call names.
    fn is_of_callers(&self, words: &[Word]) -> bool {
        let functions = &self.surroundings.functions;
        if let Some(function) = functions.iter().find(|function| function.name == words[0].raw) {
            let other = |(number, word): (usize, &Word)| {
                Some(number) != function.command && command::seems_to_compile(word.raw)
            };
            return !words.iter().enumerate().any(other);
        }
        let [only] = words else { return false };
        let Some((name, _)) = only.raw.split_once('=') else { return false };
        let calls = function::calls(self.text, functions);
        calls.iter().any(|call| call.text.as_deref() == Some(name))
    }

    /// Whether somebody gives a function something to run that larder may keep.
    fn is_needed(&self, variable: &str, scope: Scope) -> bool {
        let Some(function) = scope.function else { return false };
        let of = |known: &&Function| known.name == function && known.command.is_some();
        let known = self.surroundings.functions.iter().find(of);
        known.is_some_and(|_| !variable.is_empty())
            && self.calls(function).any(|call| call.compiler.is_kept() != Some(false))
    }

    fn calls(&self, function: &str) -> impl Iterator<Item = &Call> {
        self.surroundings.calls.iter().filter(move |call| call.function == function)
    }

    /// What is put before a command that compiles in a directory.
    fn call(
        &self,
        inside: bool,
        named: Option<ScriptDirectory>,
        scope: Scope<'a>,
        at: usize,
    ) -> Result<String, String> {
        let unclear = || {
            "it is not clear which project it compiles; put `larder_run NAME --source DIR --` before it"
                .to_owned()
        };
        if let Some(line) = self.exported.filter(|_| scope.function.is_some()) {
            return Err(format!(
                "line {line} hands functions to another shell, in which there may be no larder_run; source larder.sh there, and put `larder_run NAME --source DIR --` before it"
            ));
        }
        let directory = named
            .map_or_else(|| self.directory.now(), |directory| self.whole(directory, scope, at));
        let name = self.name(&directory, scope, at).ok_or_else(unclear)?;
        // A command that starts here starts in its directory, unless an option says otherwise.
        let source = if inside { directory.outside() } else { directory.option() };
        let source = source.ok_or_else(unclear)?;
        if source.is_empty() {
            return Ok(format!("larder_run {name} -- "));
        }
        let known = self.variables.holding(scope.function, &source, at);
        let source = known.map_or(source, |variable| format!("${variable}"));
        Ok(format!("larder_run {name} --source \"{source}\" -- "))
    }

    /// A directory that an option names by a variable alone, with what that holds.
    fn whole(&self, directory: ScriptDirectory, scope: Scope<'a>, at: usize) -> ScriptDirectory {
        let ScriptDirectory::Option(path) = &directory else { return directory };
        let alone = leading(path).filter(|(_, rest)| rest.is_empty());
        let value = alone.and_then(|(name, _)| self.variables.value(scope.function, name, at));
        match value.map(ScriptDirectory::of) {
            Some(ScriptDirectory::Path(path)) => ScriptDirectory::Option(path),
            _ => directory,
        }
    }

    /// The name of the project: of a variable what is behind its last slash, unless all who call the
    /// function give it a plain name.
    fn name(&self, directory: &ScriptDirectory, scope: Scope<'a>, at: usize) -> Option<String> {
        let name = directory.name(self.surroundings.name.as_deref())?;
        let (Some(variable), Some(function)) = (directory.variable(), scope.function) else {
            return Some(name);
        };
        let argument = self.variables.argument(scope.function, variable, at);
        let known =
            self.surroundings.functions.iter().any(|known| {
                known.name == function && argument.is_some() && known.project == argument
            });
        let mut calls = self.calls(function).peekable();
        let plain = known && calls.peek().is_some() && calls.all(|call| call.plain);
        Some(if plain { format!("\"${variable}\"") } else { name })
    }

    fn leave(&mut self, at: usize, why: &str) {
        self.plan.left.push(Left { line: line_of(self.text, at) + 1, why: why.to_owned() });
    }

    fn finish(mut self) -> ScriptPlan {
        if self.inserts.is_empty() {
            return self.plan;
        }
        let lines = patch::lines(self.text);
        let mut starts = vec![0];
        starts.extend(lines.iter().scan(0, |sum, line| {
            *sum += line.len();
            Some(*sum)
        }));
        if !self.text.contains("larder.sh") {
            let line = first_line(self.text, self.pieces);
            let after = vec![format!(". \"{}\"\n", self.surroundings.snippet)];
            self.plan.hunks.push(Hunk { line, before: vec![], after });
        }
        // From the end, so that what is put into a line moves nothing that is still to come.
        let mut changed: BTreeMap<usize, String> = BTreeMap::new();
        for (at, insert) in self.inserts.iter().rev() {
            let line = line_of(self.text, *at);
            let text = changed.entry(line).or_insert_with(|| lines[line].to_owned());
            text.insert_str(at - starts[line], insert);
        }
        for (line, after) in changed {
            let before = vec![lines[line].to_owned()];
            self.plan.hunks.push(Hunk { line, before, after: vec![after] });
        }
        self.plan.hunks.sort_by_key(|hunk| (hunk.line, hunk.before.len()));
        self.plan
    }
}

/// The directory that `cd` is given, by what a variable holds if it is nothing else.
fn directory_of(variables: &Variables, scope: Scope, raw: &str) -> ScriptDirectory {
    let alone = unquoted(raw).and_then(leading).filter(|(_, rest)| rest.is_empty());
    match alone.and_then(|(name, _)| variables.value(scope.function, name, usize::MAX)) {
        Some(value) => ScriptDirectory::of(value),
        None => ScriptDirectory::read(raw),
    }
}

/// The program of a command, as it is written.
fn program_of(words: &[Word]) -> String {
    let wrapped = |word: &&Word| !["mkosi-chroot", "env", "bash", "sh"].contains(&word.raw);
    let plain = words.iter().filter(wrapped).find(|word| command::is_unclear(word.raw));
    plain.unwrap_or(&words[0]).raw.trim_matches('"').to_owned()
}

/// The line before which the snippet is sourced: behind the first line, comments, and `set`.
fn first_line(text: &str, pieces: &[Piece]) -> usize {
    let is_set = |piece: &&Piece| matches!(piece, Piece::Command { words, before: Before::Line } if words[0].raw == "set");
    let last = pieces.iter().take_while(is_set).last();
    if let Some(Piece::Command { words, .. }) = last {
        let end = words.last().map_or(0, |word| word.at + word.raw.len());
        return line_of(text, end) + 1;
    }
    text.lines().take_while(|line| line.starts_with('#')).count()
}

/// The name of a project for a directory or a package, if it can be one.
pub(crate) fn project_name(directory: &Path) -> Option<String> {
    let name = directory.file_name()?.to_str()?;
    name.parse::<crate::base::names::ProjectName>().ok().map(|name| name.to_string())
}
