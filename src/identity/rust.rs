//! rustc, cargo and the sysroot: what they say of themselves, and what they really are.
//!
//! The text of `-vV` is what Cargo goes by; distributions patch rustc without changing it, so the
//! content counts too. Behind a rustup proxy the toolchain's own binaries are looked at.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

use super::cargo_config::CargoConfig;
use super::tools::Search;
use super::{Environment, IdentifyError, Looker, shown};
use crate::digest::Digest;

/// The Rust toolchain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rust {
    /// `rustc -vV`.
    pub rustc: String,
    /// `cargo -vV`, without the line about the host's operating system.
    pub cargo: String,
    /// Binaries, wrappers and the sysroot's `lib`, by path.
    pub files: BTreeMap<String, Digest>,
}

/// Questions that are under way, while other things are looked at.
pub struct Asked {
    rustc: Question,
    sysroot: Question,
    cargo: Question,
    programs: Vec<PathBuf>,
}

/// Asks rustc and cargo, all at once, in the source directory: rustup chooses by it.
pub fn ask(
    source: &Path,
    environment: &Environment,
    config: &CargoConfig,
    search: &Search,
) -> Result<Asked, IdentifyError> {
    let find = |tool: &str| {
        let missing = || IdentifyError::NoTool { tool: tool.to_owned(), path: search.shown_path() };
        search.find(Path::new(tool)).ok_or_else(missing)
    };
    let rustc = find(&config.rustc(environment).unwrap_or_else(|| "rustc".into()))?;
    let cargo = find("cargo")?;
    let ask = |program: &Path, words: &[&str]| Question::ask(program, words, source, environment);
    let version = ask(&rustc, &["-vV"])?;
    let sysroot = ask(&rustc, &["--print", "sysroot"])?;
    let cargo_version = ask(&cargo, &["-vV"])?;
    let mut programs = vec![rustc, cargo];
    programs.extend(config.wrappers(environment).iter().filter_map(|name| search.find(name)));
    Ok(Asked { rustc: version, sysroot, cargo: cargo_version, programs })
}

impl Asked {
    /// Waits for the answers, and reads the programs and the sysroot as far as they are not known.
    pub fn observe(mut self, looker: &mut Looker) -> Result<Rust, IdentifyError> {
        let sysroot = PathBuf::from(self.sysroot.answer()?.trim());
        let cargo = self.cargo.answer()?;
        let kernel = |line: &&str| !line.starts_with("os: ");
        let cargo: Vec<&str> = cargo.lines().filter(kernel).collect();
        self.programs.extend(["bin/rustc", "bin/cargo"].map(|name| sysroot.join(name)));
        let mut files = BTreeMap::new();
        for program in &self.programs {
            if let Some(digest) = looker.look_at_real(program)? {
                files.insert(shown(program.as_os_str().as_bytes()), digest);
            }
        }
        // A distribution's sysroot is /usr: only rustlib in its lib is rustc's own, besides the
        // shared libraries that rustc is linked with, which are looked at with the others.
        let lib = sysroot.join("lib");
        let libraries = if sysroot == Path::new("/usr") { lib.join("rustlib") } else { lib };
        if let Some(digest) = looker.look_at_real(&libraries)? {
            files.insert(shown(libraries.as_os_str().as_bytes()), digest);
        }
        let rustc = self.rustc.answer()?.trim().to_owned();
        Ok(Rust { rustc, cargo: cargo.join("\n"), files })
    }
}

impl Rust {
    /// Such as `1.85.1`.
    pub fn release(&self) -> &str {
        let line = self.rustc.lines().find_map(|line| line.strip_prefix("release: "));
        line.unwrap_or("unknown")
    }
}

/// A program that was started to answer.
struct Question {
    child: Child,
    command: String,
    dir: PathBuf,
}

impl Question {
    fn ask(
        program: &Path,
        arguments: &[&str],
        dir: &Path,
        environment: &Environment,
    ) -> Result<Self, IdentifyError> {
        let words = arguments.join(" ");
        let command = format!("{} {words}", program.display());
        let child = Command::new(program)
            .args(arguments)
            .current_dir(dir)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        match child {
            Ok(child) => Ok(Self { child, command, dir: dir.to_owned() }),
            Err(error) => Err(silent(&command, dir, &error.to_string())),
        }
    }

    fn answer(self) -> Result<String, IdentifyError> {
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

fn silent(command: &str, dir: &Path, message: &str) -> IdentifyError {
    IdentifyError::Silent {
        command: command.to_owned(),
        dir: dir.to_owned(),
        message: message.trim_start_matches("error: ").to_owned(),
    }
}
