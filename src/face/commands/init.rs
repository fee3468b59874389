//! `larder init`: makes the store, brings it into mkosi's sandbox, checks that it is there, and says
//! or does what the build scripts need.

pub(super) mod ask;
mod files;
mod findings;
pub(super) mod record;
mod report;
mod scripts;
mod search;
mod undo;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{DONE, make_store};
use crate::base::atomic;
use crate::face::cli::InitArgs;
use crate::image::mkosi::{self, Include, MkosiError, SNIPPET, Summary};
use crate::output::Output;
use crate::store::config::StorePath;
use crate::store::{Store, evict};
use ask::Mkosi;
use record::Record;
use report::{Image, Initialised};
use scripts::Work;

pub(super) fn init(store: Option<PathBuf>, arguments: &InitArgs, output: Output) -> Result<u8> {
    let again = Again::new(store.as_deref(), arguments);
    let path = std::path::absolute(StorePath::find(store).path())?;
    let here = std::env::current_dir()
        .context("the current directory is gone; change to the image repository")?;
    let mkosi = Mkosi::new(&arguments.mkosi)?;
    let repository = mkosi.repository(&arguments.arguments, &here);
    if arguments.undo {
        return undo::undo(path, &repository, arguments.json, output);
    }
    mkosi::check_path(&path)?;
    refuse_other_owner(&mkosi)?;
    let version = mkosi.version()?;
    let images = image_arguments(arguments);
    let before = all_summaries(&mkosi, &images)?;
    let (store, _guard) = make_store(&path, None, output)?;
    mkosi::check_path(store.root())?;
    let binary_replaced = store.install_binary()?;
    atomic::write(&store.snippet(), SNIPPET.as_bytes(), 0o644)?;
    let mut report = Initialised::new(&store, version, binary_replaced, again);
    for ((name, words), before) in images.iter().zip(&before) {
        let include = provide(&mkosi, words, before, &store)?;
        report.images.push(Image::new(name.clone(), include, before, store.root()));
    }
    let work = Work::find(&repository, &before);
    let mut record = Record::read(&store, &repository)?;
    record.use_includes(report.includes());
    if arguments.apply {
        report.changed = work.apply(&store, &mut record, arguments.force)?;
    } else {
        record.write(&store)?;
    }
    report.take(work, arguments.apply);
    output.report(&report, arguments.json)?;
    Ok(DONE)
}

/// The command line that was given, to be given once more with one more option.
pub(super) struct Again {
    store: Vec<OsString>,
    rest: Vec<OsString>,
}

impl Again {
    fn new(store: Option<&Path>, arguments: &InitArgs) -> Self {
        let two = |name: &str, value: &OsStr| [OsString::from(name), value.to_owned()];
        let mut rest: Vec<OsString> = Vec::new();
        if arguments.mkosi != "mkosi" {
            rest.extend(two("--mkosi", OsStr::new(&arguments.mkosi)));
        }
        rest.extend(arguments.image.iter().flat_map(|name| two("--image", OsStr::new(name))));
        if !arguments.arguments.is_empty() {
            rest.push("--".into());
            rest.extend(arguments.arguments.iter().cloned());
        }
        let store = store.map(|path| two("--store", path.as_os_str()));
        Self { store: store.into_iter().flatten().collect(), rest }
    }

    /// The command, for people.
    fn with(&self, option: &str) -> String {
        let words = [vec!["larder".into()], self.store.clone(), vec!["init".into(), option.into()]];
        mkosi::arguments::shown(&[words.concat(), self.rest.clone()].concat())
    }
}

/// What is said of every image before anything is made.
fn all_summaries(
    mkosi: &Mkosi,
    images: &[(Option<String>, Vec<OsString>)],
) -> Result<Vec<Summary>> {
    let mut all = Vec::new();
    for (_, words) in images {
        let summary = mkosi.summary(words, None)?;
        summary.include(false)?;
        all.push(summary);
    }
    Ok(all)
}

/// The arguments of each image: those that are given by name, or the ones behind `--`.
pub(super) fn image_arguments(arguments: &InitArgs) -> Vec<(Option<String>, Vec<OsString>)> {
    let named = |name: &String| {
        let own = [format!("--image-id={name}"), format!("--include=images/{name}.conf")];
        let words = arguments.arguments.iter().cloned().chain(own.map(OsString::from));
        (Some(name.clone()), words.collect())
    };
    if arguments.image.is_empty() {
        return vec![(None, arguments.arguments.clone())];
    }
    arguments.image.iter().map(named).collect()
}

/// Only who owns the files that mkosi makes can own the store.
fn refuse_other_owner(mkosi: &Mkosi) -> Result<()> {
    let own = rustix::process::geteuid().as_raw();
    match mkosi.owner()? {
        Some(owner) if owner != own => bail!(
            "`{}` makes files as user {owner}, you are user {own}; run `larder init` as that user, because the store has to be theirs",
            mkosi.name()
        ),
        _ => Ok(()),
    }
}

/// Writes the include file that an image takes, and has mkosi say what it does.
fn provide(mkosi: &Mkosi, words: &[OsString], before: &Summary, store: &Store) -> Result<Include> {
    // Whether what is mounted now is mkosi's default, only mkosi knows.
    let include = before.include(true)?;
    let is_new = !include.path(store.root()).exists();
    match write(mkosi, words, before, store, include) {
        Err(error) if is_lost(&error) => {
            if is_new {
                evict::remove_include(store, &include.path(store.root()))?;
            }
            let include = before.include(false)?;
            write(mkosi, words, before, store, include)?;
            Ok(include)
        }
        other => other.map(|()| include),
    }
}

fn is_lost(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(MkosiError::Lost { .. }))
}

fn write(
    mkosi: &Mkosi,
    words: &[OsString],
    before: &Summary,
    store: &Store,
    include: Include,
) -> Result<()> {
    if include.ephemeral {
        store.install_pointer(&include.mounted(store.root()), include.inside())?;
    }
    let path = include.path(store.root());
    atomic::write(&path, include.text(store.root())?.as_bytes(), 0o644)?;
    let after = mkosi.summary(words, Some(&path))?;
    Ok(after.verify(before, store.root(), include)?)
}
