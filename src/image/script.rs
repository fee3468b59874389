//! Build scripts as text: which of their commands compile, and what they need in front. Pure.
//!
//! A command is touched only where it is certain that the new line does what the old one did: it
//! stands alone on its line or behind `cd DIR &&`, and the directory in which it compiles is written
//! there. Everything else that seems to compile is named, and left as it is (decision 54).

mod command;
mod directory;
mod lexer;
pub(crate) mod patch;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Serialize;

use command::{CommandKind, Tool};
use directory::ScriptDirectory;
use lexer::{Before, Piece, Word};
use patch::Hunk;

/// What a script is told about where it runs.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// How scripts name the snippet, such as `$SRCDIR/larder.sh`.
    pub snippet: String,
    /// The project's name where a script compiles in the directory that it starts in.
    pub name: Option<String>,
}

/// What is to be done with a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScriptPlan {
    pub hunks: Vec<Hunk>,
    /// Commands that seem to compile and stay as they are.
    pub left: Vec<Left>,
    /// Commands that larder runs already.
    pub done: usize,
    /// Files that it sources, relative to the repository.
    pub sourced: Vec<PathBuf>,
}

/// A command that is not touched.
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

/// Says what a script needs.
pub(crate) fn plan(text: &str, surroundings: &Surroundings) -> ScriptPlan {
    if !is_shell(text) {
        let seems = text.lines().enumerate().filter(|(_, line)| command::seems_to_compile(line));
        let why = "it is no shell script; larder can only be called from one".to_owned();
        let left = seems.take(1).map(|(index, _)| Left { line: index + 1, why: why.clone() });
        return ScriptPlan { left: left.collect(), ..ScriptPlan::default() };
    }
    match lexer::pieces(text) {
        Ok(pieces) => Reader::new(text, surroundings).read(&pieces),
        Err(lexer::Unclosed(at)) if command::seems_to_compile(text) => {
            let why = "what begins here has no end that larder finds; change the script by hand";
            let left = vec![Left { line: line_of(text, at) + 1, why: why.to_owned() }];
            ScriptPlan { left, ..ScriptPlan::default() }
        }
        Err(_) => ScriptPlan::default(),
    }
}

/// The number of the line that holds a byte, from 0.
fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count()
}

struct Reader<'a> {
    text: &'a str,
    surroundings: &'a Surroundings,
    plan: ScriptPlan,
    /// Offsets at which something is put in.
    inserts: Vec<(usize, String)>,
    directory: directory::Tracker,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, surroundings: &'a Surroundings) -> Self {
        let directory = directory::Tracker::default();
        Self { text, surroundings, plan: ScriptPlan::default(), inserts: Vec::new(), directory }
    }

    fn read(mut self, pieces: &[Piece]) -> ScriptPlan {
        let mut last: Option<(&[Word], Before)> = None;
        for piece in pieces {
            if let Piece::Command { words, before } = piece {
                let behind_cd = *before == Before::And
                    && last.is_some_and(|(words, before)| {
                        words[0].raw == "cd" && before == Before::Line
                    });
                self.command(words, *before == Before::Line || behind_cd);
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
            self.directory.take(piece);
        }
        self.finish(pieces)
    }

    fn command(&mut self, words: &[Word], alone: bool) {
        if let [Word { raw: "." | "source", .. }, file, ..] = words {
            self.plan.sourced.extend(directory::sourced(file.raw));
        }
        match command::kind(words) {
            CommandKind::Other => {}
            CommandKind::Done => self.plan.done += 1,
            CommandKind::Unknown(why) => self.leave(words[0].at, &why),
            CommandKind::Compiles { .. } if !alone => {
                self.leave(words[0].at, "it does not stand alone; put larder_run before it");
            }
            CommandKind::Compiles { tool, inside, directory } => {
                let start = self.directory.now();
                match self.call(tool, inside, directory.as_ref().unwrap_or(&start)) {
                    Ok(text) => self.inserts.push((words[0].at, text)),
                    Err(why) => self.leave(words[0].at, &why),
                }
            }
        }
    }

    /// What is put before a command that compiles in a directory.
    fn call(
        &self,
        tool: Tool,
        inside: bool,
        directory: &ScriptDirectory,
    ) -> Result<String, String> {
        let unclear = || {
            "it is not clear which project it compiles; put `larder_run NAME --source DIR --` before it"
                .to_owned()
        };
        let name = directory.name(self.surroundings.name.as_deref()).ok_or_else(unclear)?;
        // A command that starts here starts in its directory, unless an option says otherwise.
        let source = if inside { directory.outside() } else { directory.option() };
        let source = source.ok_or_else(unclear)?;
        let with = if tool == Tool::Go { " --with go" } else { "" };
        Ok(format!("larder_run {name}{with}{source} -- "))
    }

    fn leave(&mut self, at: usize, why: &str) {
        self.plan.left.push(Left { line: line_of(self.text, at) + 1, why: why.to_owned() });
    }

    fn finish(mut self, pieces: &[Piece]) -> ScriptPlan {
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
            let line = first_line(self.text, pieces);
            let after = vec![format!(". \"{}\"\n", self.surroundings.snippet)];
            self.plan.hunks.push(Hunk { line, before: vec![], after });
        }
        for (at, insert) in &self.inserts {
            let line = line_of(self.text, *at);
            let (left, right) = lines[line].split_at(at - starts[line]);
            let after = vec![format!("{left}{insert}{right}")];
            self.plan.hunks.push(Hunk { line, before: vec![lines[line].to_owned()], after });
        }
        self.plan.hunks.sort_by_key(|hunk| (hunk.line, hunk.before.len()));
        self.plan
    }
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
