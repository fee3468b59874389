//! Asking programs of the place about themselves.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Environment, IdentifyError};

/// A program that was started to answer.
pub struct Question {
    child: Child,
    command: String,
    dir: PathBuf,
}

/// Where and with what programs are asked.
#[derive(Clone)]
pub struct Caller {
    pub dir: PathBuf,
    pub environment: Environment,
}

impl Caller {
    /// Starts a program that is to answer.
    pub fn ask(&self, program: &Path, arguments: &[&str]) -> Result<Question, IdentifyError> {
        let dir = &self.dir;
        let words = arguments.join(" ");
        let command = format!("{} {words}", program.display());
        let child = Command::new(program)
            .args(arguments)
            .current_dir(dir)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        match child {
            Ok(child) => Ok(Question { child, command, dir: dir.clone() }),
            Err(error) => Err(silent(&command, dir, &error.to_string())),
        }
    }
}

impl Question {
    /// Waits for the answer.
    pub fn answer(self) -> Result<String, IdentifyError> {
        let (command, dir) = (self.command, self.dir);
        let output = self.child.wait_with_output();
        let output =
            output.map_err(|error: io::Error| silent(&command, &dir, &error.to_string()))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let line = text.lines().find(|line| !line.trim().is_empty());
            return Err(silent(&command, &dir, line.unwrap_or("it said nothing")));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

pub fn silent(command: &str, dir: &Path, message: &str) -> IdentifyError {
    IdentifyError::Silent {
        command: command.to_owned(),
        dir: dir.to_owned(),
        message: message.trim_start_matches("error: ").to_owned(),
    }
}
