//! Asking programs of the place about themselves.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Environment, IdentifyError};
use crate::base::program::{Answer, Call, PATIENCE, ProgramError};

/// A program that was started to answer.
pub(super) struct Question {
    answer: JoinHandle<Result<Answer, ProgramError>>,
    command: String,
    dir: PathBuf,
}

/// Where and with what programs are asked.
#[derive(Clone)]
pub(super) struct Caller {
    pub dir: PathBuf,
    pub environment: Environment,
}

impl Caller {
    /// Starts a program that is to answer, beside what else is done.
    pub(super) fn ask(&self, program: &Path, arguments: &[&str]) -> Question {
        self.ask_for(PATIENCE, program, arguments)
    }

    /// The same of one that may take no longer than this.
    pub(super) fn ask_for(&self, limit: Duration, program: &Path, arguments: &[&str]) -> Question {
        let dir = &self.dir;
        let words = format!("{} {}", program.display(), arguments.join(" "));
        let mut command = Command::new(program);
        command.args(arguments).current_dir(dir).env_clear().envs(&self.environment);
        let name = command.get_program().to_string_lossy().into_owned();
        let ask = move || Call { limit, ..Call::new(command, &name, "answering") }.ask();
        let answer = thread::spawn(ask);
        Question { answer, command: words, dir: dir.clone() }
    }
}

impl Question {
    /// Waits for the answer.
    pub(super) fn answer(self) -> Result<String, IdentifyError> {
        let (command, dir) = (self.command, self.dir);
        let silent = |why: &str| silent(&command, &dir, why);
        // A thread that panicked said why by itself.
        let answer = self.answer.join().map_err(|_| silent("it could not be asked"))?;
        let answer = answer.map_err(|error| silent(&error.to_string()))?;
        if !answer.status.success() {
            let line = answer.complaint.lines().find(|line| !line.trim().is_empty());
            return Err(silent(line.unwrap_or("it said nothing")));
        }
        Ok(String::from_utf8_lossy(&answer.text).into_owned())
    }
}

pub(super) fn silent(command: &str, dir: &Path, message: &str) -> IdentifyError {
    IdentifyError::Silent {
        command: command.to_owned(),
        dir: dir.to_owned(),
        message: message.trim_start_matches("error: ").to_owned(),
    }
}
