//! Asking mkosi: as the user starts it, with the arguments that image builds have.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::base::program::{Answer, Call, last_line, open_scratch};
use crate::image::mkosi::{self, Summary, arguments};

/// The command that starts mkosi.
#[derive(Clone, Debug)]
pub(crate) struct Mkosi {
    words: Vec<String>,
}

impl Mkosi {
    /// Splits the command at spaces.
    pub(crate) fn new(command: &str) -> Result<Self> {
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            bail!("--mkosi names no command; give it one, such as --mkosi 'sudo mkosi'");
        }
        Ok(Self { words })
    }

    /// As the user wrote it.
    pub(crate) fn name(&self) -> String {
        self.words.join(" ")
    }

    /// The image repository: the git repository around the directory that mkosi works in, if whoever owns that has
    /// made it; without one that directory, or the one we are in if it holds it.
    pub(crate) fn repository(&self, arguments: &[OsString], here: &Path) -> PathBuf {
        let own: Vec<OsString> = self.words[1..].iter().map(OsString::from).collect();
        let directory = arguments::directory(&[&own, arguments].concat(), here);
        let directory = std::fs::canonicalize(&directory).unwrap_or(directory);
        let owner = |path: &Path| std::fs::metadata(path).map(|found| found.uid()).ok();
        let is_own = |dir: &&Path| {
            let git = owner(&dir.join(".git"));
            git.is_some() && (*dir == directory || git == owner(&directory))
        };
        let git = directory.ancestors().find(is_own);
        let around = || if directory.starts_with(here) { here } else { directory.as_path() };
        git.map_or_else(|| around().to_owned(), Path::to_owned)
    }

    /// Its version.
    pub(crate) fn version(&self) -> Result<String> {
        let said = self.run(&[OsStr::new("--version")])?;
        let text = String::from_utf8_lossy(&said.text);
        match mkosi::version(&text) {
            Some(version) if said.status.success() => Ok(version.to_owned()),
            _ => {
                let complaint = last_line(&said.complaint).trim_start_matches("‣ ");
                let cause =
                    if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
                bail!(
                    "`{} --version` does not say a version of mkosi{cause}; name what starts mkosi with --mkosi",
                    self.name()
                )
            }
        }
    }

    /// What it says of an image.
    pub(crate) fn summary(
        &self,
        arguments: &[OsString],
        include: Option<&Path>,
    ) -> Result<Summary> {
        let include = include.map(|path| format!("--include={}", path.display()));
        let mut words: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
        words.extend(include.as_ref().map(OsStr::new));
        words.extend(["--json", "summary"].map(OsStr::new));
        let said = self.run(&words)?;
        if !said.status.success() {
            let given =
                arguments::shown(&words.into_iter().map(OsString::from).collect::<Vec<_>>());
            bail!(
                "`{} {given}` failed: {}; make that work first: start larder where you start mkosi, and give what your image builds give to it behind `--`",
                self.name(),
                last_line(&said.complaint).trim_start_matches("‣ ")
            );
        }
        Ok(Summary::parse(&String::from_utf8_lossy(&said.text))?)
    }

    /// The user who owns files that mkosi makes, if what starts it says so: `sudo mkosi` makes them
    /// as root. It is found out by making one; where none is made, nothing is said.
    pub(crate) fn owner(&self) -> Result<Option<u32>> {
        let is_mkosi = |word: &String| {
            Path::new(word)
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("mkosi"))
        };
        let Some(at) = self.words.iter().position(is_mkosi).filter(|at| *at > 0) else {
            return Ok(None);
        };
        let dir = open_scratch()?;
        let file = dir.path().join("whose");
        let wrapper = Self { words: self.words[..at].to_vec() };
        wrapper.run(&[OsStr::new("touch"), file.as_os_str()])?;
        Ok(std::fs::metadata(&file).ok().map(|metadata| metadata.uid()))
    }

    fn run(&self, arguments: &[&OsStr]) -> Result<Answer> {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).args(arguments);
        let program = &self.words[0];
        // What starts mkosi may be sudo, which asks the user.
        let call = Call { may_ask_user: true, ..Call::new(command, program, "answering") };
        call.ask().with_context(|| format!("cannot run {program}, the command that --mkosi names"))
    }
}
