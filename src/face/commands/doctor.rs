//! `larder doctor`: what has to hold here, one line each.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::Result;
use serde::Serialize;

use super::init::ask::Mkosi;
use super::init::record::Record;
use super::{DONE, FAILED};
use crate::base::environment;
use crate::base::program;
use crate::face::cli::DoctorArgs;
use crate::face::doctor::{self, Check, Places, State};
use crate::image::mkosi::{self, Include};
use crate::output::{self, Output, Report, Screen};
use crate::store::Store;
use crate::store::config::{self, StorePath};
use crate::work::collect;
use crate::work::share::Share;

#[derive(Serialize)]
pub(super) struct Diagnosis {
    pub(super) checks: Vec<Check>,
    pub(super) failed: usize,
    pub(super) warnings: usize,
}

pub(super) fn doctor(store: Option<PathBuf>, arguments: &DoctorArgs, output: Output) -> Result<u8> {
    let path = StorePath::find(store);
    let (store, check) = doctor::opened(path.path());
    let mut checks = vec![check];
    let dir = store.as_ref().map_or_else(std::env::temp_dir, |store| store.root().to_owned());
    checks.push(doctor::mounting(&dir));
    checks.push(doctor::watching(&dir));
    checks.push(doctor::user_namespaces());
    match &store {
        Some(store) => look_at(store, &mut checks, output),
        None => checks.push(Check::not_checked("everything in the store", "there is none")),
    }
    checks.extend(mkosi_checks(store.as_ref(), arguments));
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    let (failed, warnings) = (count(State::Failed), count(State::Warning));
    let report = Diagnosis { checks, failed, warnings };
    output.report(&report, arguments.json)?;
    Ok(if failed == 0 { DONE } else { FAILED })
}

fn look_at(store: &Store, checks: &mut Vec<Check>, output: Output) {
    checks.extend(doctor::filesystem(store));
    checks.push(doctor::readers(store));
    checks.push(doctor::binary(store));
    checks.push(doctor::domain(store, environment::text));
    checks.push(doctor::texts(store));
    checks.push(doctor::timer(store.root(), &places()));
    // What is wrong with the policy is said below.
    if let Ok(Some(share)) = Share::configured(store, output) {
        checks.extend(doctor::sharing(&share));
    }
    match (config::budgets(store), collect::observe(store), collect::disk(store)) {
        (Ok(policy), Ok(observed), Ok(disk)) => {
            let now = SystemTime::now();
            checks.push(doctor::free(&policy, &disk));
            checks.push(doctor::budgets(&policy, &observed, &disk, now));
            checks.push(doctor::leftovers(&observed));
            checks.extend(doctor::foreign(store));
            let last_use = observed.candidates.iter().map(|one| one.last_use).max();
            let written = tempfile::tempfile_in(store.trash()).and_then(|file| file.metadata());
            let written = written.and_then(|metadata| metadata.modified()).ok();
            checks.push(doctor::clock(now, written, last_use));
        }
        (Err(error), ..) => checks.push(Check::error("policy", error)),
        (_, Err(error), _) => checks.push(Check::error("records", error)),
        (.., Err(error)) => checks.push(Check::error("free space", error)),
    }
}

/// Where timers are looked for: the system's for root, and a user's own.
fn places() -> Places {
    let mut command = Command::new("crontab");
    command.arg("-l");
    let said = program::ask(command, "listing");
    let crontab = said.map(|said| String::from_utf8_lossy(&said.text).into_owned());
    let crontab = crontab.unwrap_or_default();
    if rustix::process::geteuid().is_root() {
        return Places::system(crontab);
    }
    let home = PathBuf::from(environment::get("HOME").unwrap_or_default());
    let of = |name: &str, default: &str| {
        environment::get(name).map_or_else(|| home.join(default), PathBuf::from)
    };
    Places::user(&of("XDG_CONFIG_HOME", ".config"), &of("XDG_DATA_HOME", ".local/share"), crontab)
}

/// What mkosi says, where image builds are started.
fn mkosi_checks(store: Option<&Store>, arguments: &DoctorArgs) -> Vec<Check> {
    const NAME: &str = "mkosi";
    let mkosi = match Mkosi::new(&arguments.mkosi) {
        Ok(mkosi) => mkosi,
        Err(error) => return vec![Check::error(NAME, error)],
    };
    let check = match mkosi.version() {
        Ok(version) if mkosi::is_known(&version) => Check::ok(NAME, version),
        Ok(version) => Check::warning(
            NAME,
            format!("{version} is none that larder is tested with"),
            "use mkosi 25.3 to 27.1, or look whether `larder init` verifies the images",
        ),
        Err(error) => {
            return vec![Check::not_checked(NAME, output::one_line(&error))];
        }
    };
    vec![check, image_check(store, &mkosi, &arguments.arguments)]
}

/// Whether the image of this directory still mounts the store, with the include file that
/// `larder init` chose.
fn image_check(store: Option<&Store>, mkosi: &Mkosi, words: &[OsString]) -> Check {
    const NAME: &str = "image";
    let repository = mkosi.repository(words, &std::env::current_dir().unwrap_or_default());
    let Some(store) = store else {
        return Check::not_checked(NAME, "there is no store");
    };
    if !Record::exists(store, &repository) {
        let found = format!("`larder init` was not run in {} for this store", repository.display());
        return Check::not_checked(NAME, found);
    }
    match mounts(store, mkosi, words, &repository) {
        Ok(check) => check,
        Err(error) => Check {
            remedy: Some("run `larder init` again".to_owned()),
            ..Check::error(NAME, error)
        },
    }
}

fn mounts(store: &Store, mkosi: &Mkosi, words: &[OsString], repository: &Path) -> Result<Check> {
    const NAME: &str = "image";
    let before = mkosi.summary(words, None)?;
    let record = Record::read(store, repository)?;
    let wanted = before.include(false)?.ephemeral;
    let mut fitting: Vec<Include> = record.includes;
    fitting.retain(|include| include.ephemeral == wanted);
    let verify = |include: &Include| -> Result<()> {
        let after = mkosi.summary(words, Some(&include.path(store.root())))?;
        Ok(after.verify(&before, store.root(), *include)?)
    };
    // Several images may have been asked about, of different kinds.
    let mut found: Vec<(Include, Result<()>)> = Vec::new();
    for include in fitting {
        let result = verify(&include);
        found.push((include, result));
    }
    let best = found.iter().position(|(_, result)| result.is_ok()).unwrap_or(0);
    if found.is_empty() {
        let found = "BuildSourcesEphemeral= is not what it was when `larder init` ran";
        return Ok(Check::failed(NAME, found, "run `larder init` again"));
    }
    let (include, result) = found.swap_remove(best);
    result?;
    let path = include.path(store.root());
    let inner = include.store(store.root(), before.build_directory());
    let found =
        format!("with --include={} builds find the store at {}", path.display(), include.inside());
    if include.ephemeral {
        return Ok(Check::warning(
            NAME,
            format!(
                "{found}; it is {}, which `mkosi -f clean` and `mkosi -ff` empty",
                inner.display()
            ),
            "keep in mind that builds are cold afterwards; look at that store with --store",
        ));
    }
    Ok(Check::ok(NAME, found))
}

impl Report for Diagnosis {
    fn text(&self) -> String {
        self.text_for(Screen::PLAIN)
    }

    fn text_for(&self, screen: Screen) -> String {
        let mut text = String::new();
        for check in &self.checks {
            let state = match check.state {
                State::Ok => "ok         ",
                State::Warning => "warning    ",
                State::Failed => "FAILED     ",
                State::NotChecked => "not checked",
            };
            let remedy = check.remedy.iter().map(|remedy| format!("; {remedy}"));
            let remedy = remedy.collect::<String>();
            let line = format!("{state}  {}: {}{remedy}", check.name, check.found);
            text.push_str(&output::wrapped(&line, state.len() + 2, screen));
        }
        text
    }
}
