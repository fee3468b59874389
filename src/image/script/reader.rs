//! Reads a script once, and says what is to be put before its commands. Pure.

use std::collections::BTreeMap;

use super::command::{self, CommandKind, Tool};
use super::directory::{self, ScriptDirectory, unquoted};
use super::lexer::{Before, Piece, Word};
use super::patch::{self, Hunk};
use super::scope::{self, Scope, Variables, leading};
use super::{Call, Function, Left, ScriptPlan, Surroundings, cache, function, line_of};

/// A script that is read once, from its beginning to its end.
pub(super) struct Reader<'a> {
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
    /// What is put before cargo, by function, and the line of the first such command.
    cargo: Vec<((Option<&'a str>, String), usize)>,
    /// The functions in which larder is used; none is the script outside of them.
    kept: Vec<Option<&'a str>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        text: &'a str,
        surroundings: &'a Surroundings,
        pieces: &'a [Piece<'a>],
    ) -> Self {
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
            cargo: Vec::new(),
            kept: Vec::new(),
        }
    }

    pub(super) fn read(mut self) -> ScriptPlan {
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
        let is_kept = self.surroundings.kept.iter().any(|name| *name == words[0].raw);
        if is_kept || self.is_of_callers(words) {
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
            CommandKind::Compiles { tool, inside, directory } => {
                match self.call(inside, directory, scope, words[0].at) {
                    Ok(text) => {
                        if tool == Tool::Cargo {
                            self.compare(&text, scope, words[0].at);
                        }
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

    /// Says if a command before this one compiles in the same directory.
    fn compare(&mut self, call: &str, scope: Scope<'a>, at: usize) {
        let own = (scope.function, call.to_owned());
        if let Some((_, line)) = self.cargo.iter().find(|(known, _)| *known == own) {
            let why = format!(
                "line {line} compiles in the same directory: as one command (`larder_run … -- sh -euc \"…\"`) both share what they compile"
            );
            self.plan.together.push(Left { line: line_of(self.text, at) + 1, why });
        } else {
            self.cargo.push((own, line_of(self.text, at) + 1));
        }
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
