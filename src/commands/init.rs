//! `larder init`: makes the store, brings it into mkosi's sandbox, and checks that it is there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::{DONE, make_store};
use crate::cli::InitArgs;
use crate::config::StorePath;
use crate::mkosi::{self, Summary};
use crate::output::{Output, Report};
use crate::store::{Wait, atomic};

#[derive(Serialize)]
struct Initialised {
    store: PathBuf,
    include: PathBuf,
    binary: PathBuf,
    binary_replaced: bool,
    verified: bool,
    snippet: PathBuf,
}

pub fn init(store: Option<PathBuf>, arguments: &InitArgs, output: Output) -> Result<u8> {
    let path = std::path::absolute(StorePath::find(store).path())?;
    mkosi::check_path(&path)?;
    let repository = std::env::current_dir().context("the current directory is gone")?;
    if !is_image_repository(&repository) {
        bail!(
            "{} is no image repository (no mkosi.conf); run `larder init` where you run mkosi, \
             or `larder provision` to use larder without mkosi",
            repository.display()
        );
    }
    let before = summary(&arguments.mkosi, None, &arguments.arguments)?;
    before.check_lasting()?;
    let (store, _guard) = make_store(&path, Wait::Forever, output)?;
    mkosi::check_path(store.root())?;
    let binary_replaced = store.install_binary()?;
    atomic::write(&store.snippet(), SNIPPET.as_bytes(), 0o644)?;
    let text = mkosi::include(store.root(), before.has_default_sources(&repository))?;
    atomic::write(&store.mkosi_conf(), text.as_bytes(), 0o644)?;
    let after = summary(&arguments.mkosi, Some(&store.mkosi_conf()), &arguments.arguments)?;
    after.verify(&before, store.root(), &store.mkosi_conf())?;
    let report = Initialised {
        store: store.root().to_owned(),
        include: store.mkosi_conf(),
        binary: store.binary(),
        binary_replaced,
        verified: true,
        snippet: store.snippet(),
    };
    output.report(&report, arguments.json)?;
    Ok(DONE)
}

/// The function that build scripts source, as it is in this version.
const SNIPPET: &str = include_str!("../../mkosi-snippets/larder.sh");

fn is_image_repository(dir: &Path) -> bool {
    ["mkosi.conf", "mkosi.conf.d", "mkosi.local.conf"].iter().any(|name| dir.join(name).exists())
}

fn summary(mkosi: &str, include: Option<&Path>, arguments: &[OsString]) -> Result<Summary> {
    let mut words = mkosi.split_whitespace();
    let program = words.next().context("--mkosi names no command")?;
    let mut command = Command::new(program);
    command.args(words).args(arguments);
    if let Some(include) = include {
        command.arg(format!("--include={}", include.display()));
    }
    command.args(["--json", "summary"]).stdin(Stdio::null());
    let answer = command.output().with_context(|| {
        format!("cannot run {program}; install mkosi, or name the command with --mkosi")
    })?;
    if !answer.status.success() {
        let text = String::from_utf8_lossy(&answer.stderr);
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
        bail!("`{mkosi} --json summary` failed: {}", last.trim());
    }
    Ok(Summary::parse(&String::from_utf8_lossy(&answer.stdout))?)
}

impl Report for Initialised {
    fn text(&self) -> String {
        let (store, include) = (self.store.display(), self.include.display());
        format!(
            "store     {store}\n\
             include   {include} (checked: mkosi mounts the store at {sandbox})\n\
             \n\
             1. start mkosi with one more option:   --include={include}\n\
             2. copy {snippet} into your repository, and in the build script add\n\
             \x20      . \"$SRCDIR/larder.sh\"\n\
             \x20  and put   larder_run NAME --source DIR --   before the command that compiles.\n",
            sandbox = mkosi::SANDBOX_STORE,
            snippet = self.snippet.display(),
        )
    }
}
