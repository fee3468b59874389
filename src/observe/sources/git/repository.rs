//! One repository: where it is, and its state.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::abbreviation::{self, Abbreviation};
use super::command::WorkTree;
use super::index::Index;
use super::refs::{self, Refs};
use crate::base::digest::{Digest, DigestBuilder};
use crate::base::moment::Moment;
use crate::base::regular;
use crate::base::tree::{ObserveError, Stamp, Tree};
use crate::base::trust::is_trusted;
use crate::observe::sources::place::{Where, plain};

/// Names at the top of a git directory that have no say, or that are looked at in another way.
const APART: [&str; 10] = [
    "objects",
    "logs",
    "refs",
    "packed-refs",
    "index",
    "modules",
    "worktrees",
    "lfs",
    "gc.log",
    "info/refs",
];

/// A file that says where a repository is, or how it is configured, is hardly a thousandth of this.
const SMALL: u64 = 1 << 20;

/// Where a repository is.
pub(super) struct Home {
    /// Its working tree, relative to the checkout; absolute if it encloses the checkout.
    pub name: PathBuf,
    /// Its working tree, here.
    pub work_tree: PathBuf,
    /// Its git directory, here.
    pub git_dir: PathBuf,
    /// The git directory that it shares with other working trees; mostly the same.
    pub common: PathBuf,
    /// Where its objects are, and those that it borrows, if that is understood.
    stores: Option<Vec<PathBuf>>,
    /// Whether the checkout is only a part of its working tree, and which.
    pub encloses: Option<PathBuf>,
}

/// What git says of the files outside of the checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Outside {
    /// There are none: the checkout is all of the working tree.
    Nothing,
    Says(Digest),
    /// It does not say, or may not be asked.
    Unasked,
}

/// How short git writes what `HEAD` stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Abbreviated {
    /// There is nothing yet.
    Unborn,
    /// By its objects.
    By(Abbreviation),
    /// What git says, with as few digits as it can.
    Git(Vec<u8>),
    /// Nobody knows: it is another each time.
    At(Moment),
}

/// The state of one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Repository {
    /// The object that `HEAD` stands for, unless the branch has none yet.
    pub head: Option<String>,
    abbreviation: Abbreviated,
    files: Tree,
    shared_files: Tree,
    refs: Refs,
    index: Option<Index>,
    outside: Outside,
}

/// The repositories of a checkout, the enclosing one if it has none of its own at the top.
pub(super) fn find(place: &Where, dot_gits: &[PathBuf]) -> Vec<Home> {
    let own = dot_gits.iter().filter_map(|dot_git| {
        let name = dot_git.parent().unwrap_or(Path::new(""));
        Home::at(place, name.to_owned(), &place.source.join(name), None)
    });
    let mut homes: Vec<Home> = own.collect();
    if !homes.iter().any(|home| home.name.as_os_str().is_empty()) {
        homes.extend(enclosing(place));
    }
    homes
}

/// As git does, looks upwards within one filesystem. What is there of somebody whom larder does not trust counts only
/// where the checkout is his too: everybody may put a `.git` into `/tmp`.
fn enclosing(place: &Where) -> Option<Home> {
    let own = fs::metadata(&place.source).ok()?;
    let is_inside = |path: &&Path| {
        let below = path.starts_with(&place.root) || !place.source.starts_with(&place.root);
        below && fs::metadata(path).is_ok_and(|metadata| metadata.dev() == own.dev())
    };
    let mut above = place.source.ancestors().skip(1).take_while(is_inside);
    let top = above.find(|path| path.join(".git").symlink_metadata().is_ok())?;
    let dot_git = top.join(".git").symlink_metadata().ok()?;
    if dot_git.uid() != own.uid() && !is_trusted(&[&top.join(".git")]) {
        return None;
    }
    let part = place.source.strip_prefix(top).ok()?.to_owned();
    Home::at(place, place.seen_by_compiler(top), top, Some(part))
}

impl Home {
    pub(super) fn at(
        place: &Where,
        name: PathBuf,
        work_tree: &Path,
        part: Option<PathBuf>,
    ) -> Option<Self> {
        let dot_git = work_tree.join(".git");
        let git_dir = match read(&dot_git) {
            Ok(content) => {
                let path = content.strip_prefix(b"gitdir:")?.trim_ascii();
                elsewhere(place, work_tree, path)
            }
            Err(_) => dot_git,
        };
        fs::metadata(git_dir.join("HEAD")).ok()?;
        let common = match read(&git_dir.join("commondir")) {
            Ok(path) => elsewhere(place, &git_dir, path.trim_ascii()),
            Err(_) => git_dir.clone(),
        };
        let written = |store: &Path, path: &[u8]| elsewhere(place, store, path);
        let stores = abbreviation::stores(common.join("objects"), written);
        let work_tree = work_tree.to_owned();
        Some(Self { name, work_tree, git_dir, common, stores, encloses: part })
    }

    /// The working tree, if git may be asked about it.
    pub(super) fn asked(&self) -> Option<WorkTree<'_>> {
        WorkTree::of(&self.work_tree, &self.git_dir, &self.common)
    }

    /// How short git writes what `HEAD` stands for, which may be told by what is not read here.
    fn abbreviated(&self, head: Option<&str>) -> Abbreviated {
        let is_name = |head: &&str| {
            head.len() == 2 * self.oid() && head.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let head = head.filter(is_name).map(str::to_ascii_lowercase);
        let is_elsewhere = self.common.join("reftable").exists();
        match (head, &self.stores) {
            (None, _) if !is_elsewhere => Abbreviated::Unborn,
            (Some(head), Some(stores)) => {
                let own = Abbreviation::of(&head, stores);
                own.map_or_else(|| self.abbreviated_by_git(), Abbreviated::By)
            }
            _ => self.abbreviated_by_git(),
        }
    }

    fn abbreviated_by_git(&self) -> Abbreviated {
        let ask = |short: &str| self.asked()?.ask(&self.work_tree, &["rev-parse", short, "HEAD"]);
        let answers = ask("--short").zip(ask("--short=4"));
        let both = |(one, other): (Vec<u8>, Vec<u8>)| Abbreviated::Git([one, other].concat());
        answers.map_or_else(|| Abbreviated::At(Moment::now()), both)
    }

    #[cfg(test)]
    pub(super) fn digits(&self) -> Option<(u32, u32)> {
        let refs = refs::read(&self.git_dir, &self.common).ok()?;
        let head = refs::resolve(&read(&self.git_dir.join("HEAD")).ok()?, &refs)?;
        Some(Abbreviation::of(std::str::from_utf8(&head).ok()?, self.stores.as_ref()?)?.in_digits())
    }

    /// The bytes of an object's name.
    pub(super) fn oid(&self) -> usize {
        if self.config().replace(' ', "").contains("objectformat=sha256") { 32 } else { 20 }
    }

    fn config(&self) -> String {
        let config = read(&self.common.join("config")).unwrap_or_default();
        String::from_utf8_lossy(&config).to_lowercase()
    }
}

/// A small file, where it is one.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    regular::read(path, SMALL)
}

/// A path that git wrote down, relative to `base` or as the compiler sees it.
fn elsewhere(place: &Where, base: &Path, path: &[u8]) -> PathBuf {
    let path = Path::new(OsStr::from_bytes(path));
    if path.is_absolute() { place.real_of_compiler(path) } else { plain(&base.join(path)) }
}

fn is_lock(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("lock"))
}

/// Whether a path in a git directory counts by its content.
fn counts(path: &Path) -> bool {
    let name = path.as_os_str().as_bytes();
    let is_apart = APART.iter().any(|apart| path == Path::new(apart));
    let is_sample = name.starts_with(b"hooks/") && name.ends_with(b".sample");
    !is_apart && !is_lock(path) && !is_sample && !name.starts_with(b"fsmonitor--daemon")
}

impl Repository {
    pub(super) fn unsettle(&mut self) {
        self.files.unsettle();
        self.shared_files.unsettle();
        self.index.iter_mut().for_each(Index::unsettle);
    }

    pub(super) fn observe(home: &Home, before: Option<&Self>) -> Result<Self, ObserveError> {
        let wanted = |path: &Path, _: bool| counts(path);
        let files = Tree::observe(&home.git_dir, before.map(|before| &before.files), wanted)?;
        let shared_files = if home.common == home.git_dir {
            Tree::default()
        } else {
            let wanted = |path: &Path, _: bool| counts(path) && path != Path::new("HEAD");
            Tree::observe(&home.common, before.map(|before| &before.shared_files), wanted)?
        };
        let failed = |source: io::Error| ObserveError::new(&home.git_dir, source);
        let refs = refs::read(&home.git_dir, &home.common).map_err(failed)?;
        let head = read(&home.git_dir.join("HEAD")).map_err(failed)?;
        let index = home.git_dir.join("index");
        let index =
            Index::read(&index, home.oid(), before.and_then(|before| before.index.as_ref()));
        let head = refs::resolve(&head, &refs);
        let head = head.map(|head| String::from_utf8_lossy(&head).into_owned());
        let abbreviation = home.abbreviated(head.as_deref());
        Ok(Self {
            head,
            abbreviation,
            files,
            shared_files,
            refs,
            index: index.map_err(failed)?,
            outside: home.encloses.as_deref().map_or(Outside::Nothing, |part| {
                status(home, part).map_or(Outside::Unasked, Outside::Says)
            }),
        })
    }

    pub(super) fn changes_since(&self, old: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.head != old.head {
            let name = |head: &Option<String>| head.clone().unwrap_or_else(|| "nothing".to_owned());
            changes.push(format!("HEAD is {}, was {}", name(&self.head), name(&old.head)));
        } else if self.abbreviation != old.abbreviation {
            changes.push("HEAD is abbreviated differently".to_owned());
        }
        for (files, old) in [(&self.files, &old.files), (&self.shared_files, &old.shared_files)] {
            let differing = files.changes_since(old).into_iter();
            changes.extend(differing.map(|change| format!(".git/{}", change.path.display())));
        }
        let names =
            self.refs.keys().chain(old.refs.keys().filter(|name| !self.refs.contains_key(*name)));
        for name in names.filter(|name| self.refs.get(*name) != old.refs.get(*name)) {
            changes.push(String::from_utf8_lossy(name).into_owned());
        }
        if self.index.map(|index| index.digest) != old.index.map(|index| index.digest) {
            changes.push("index".to_owned());
        }
        if self.outside == Outside::Unasked {
            let why = "git is missing, fails, or is not asked about a repository of another user";
            changes.push(format!("files outside of the checkout may have: {why}"));
        } else if self.outside != old.outside {
            changes.push("status outside of the checkout".to_owned());
        }
        changes
    }
}

/// What git says of the files outside of `part`, and when those that it finds changed were: its filters are disarmed, so
/// that it may take one for changed that is not, and not see when it is. Nothing where it does not say.
fn status(home: &Home, part: &Path) -> Option<Digest> {
    let mut except = std::ffi::OsString::from(":(exclude,literal)");
    except.push(part);
    let words = ["status", "--porcelain=v2", "-z", "--ignore-submodules=dirty", "--", "."];
    let arguments: Vec<&OsStr> =
        words.into_iter().map(OsStr::new).chain([except.as_os_str()]).collect();
    let answer = home.asked()?.ask_of_content(&home.work_tree, &arguments)?;
    let mut builder = DigestBuilder::default();
    builder.field(&answer);
    for line in answer.split(|byte| *byte == 0) {
        let fields = match line.first() {
            Some(b'1') => 9,
            Some(b'2') => 10,
            Some(b'u') => 11,
            _ => continue,
        };
        let path = line.splitn(fields, |byte| *byte == b' ').nth(fields - 1).unwrap_or_default();
        let metadata = home.work_tree.join(OsStr::from_bytes(path)).symlink_metadata();
        let stamp = metadata.map(|metadata| Stamp::of(&metadata)).ok();
        builder.field(format!("{stamp:?}").as_bytes());
    }
    Some(builder.finish())
}
