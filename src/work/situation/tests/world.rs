//! Sources that change, and larder between them and Cargo.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cargo::{Cargo, Form, stamp};
use super::{FILES, Script};
use crate::base::atomic;
use crate::base::digest::Digest;
use crate::base::moment::Moment;
use crate::base::names::ToolchainId;
use crate::base::tree::Tree;
use crate::decide::reconcile;
use crate::observe::cargo_layout::Layout;
use crate::observe::identity::Drift;
use crate::observe::sources::{Built, Downloads, Where};
use crate::output::Stopwatch;
use crate::store::{EntryPaths, Store, restore_times, rewrite, unshare};
use crate::work::situation::{self, View};

const SECOND: Duration = Duration::from_secs(1);

fn back(moment: Moment, seconds: i64) -> Moment {
    Moment(moment.0 - seconds * 1_000_000_000)
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// In one of two target directories.
    Build(usize),
    BuildThatEdits(usize, &'static str),
    BuildThatFails(usize),
    Edit(&'static str),
    EditWithTheTimeOfBefore(&'static str),
    RestoreTheFirst(&'static str),
    Delete(&'static str),
    Exchange(&'static str, &'static str),
    Touch(&'static str),
    /// Everything is a new file with a new time.
    CloneAgain,
    /// One of three commits, in place: only what differs is written.
    CheckOut(usize),
    /// All times are set on purpose.
    Date(i64),
    SetTheClock(i64),
    AnotherCheckout,
}

/// What all sources were at the beginning of the last successful build of a directory: contents, and the times
/// that somebody set on purpose.
type Seen = BTreeMap<PathBuf, (String, Option<Moment>)>;

struct Kept {
    paths: EntryPaths,
    succeeded: bool,
    /// Nothing where the next build need not find everything fresh.
    seen: Option<Seen>,
}

pub(super) struct World {
    dir: tempfile::TempDir,
    source: PathBuf,
    form: Form,
    script: Script,
    clock: Moment,
    begun: Moment,
    counter: usize,
    /// Then Cargo takes what depends on something older for stale, with larder and without.
    went_back: bool,
    kept: Vec<Kept>,
    commits: [BTreeMap<&'static str, String>; 3],
}

impl World {
    pub(super) fn new(form: Form, script: Script) -> Self {
        let shm = Path::new("/dev/shm");
        let place = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
        let dir = tempfile::tempdir_in(place).unwrap();
        let store = Store::create(&dir.path().join("store")).unwrap();
        let kept = |name: &str| {
            let id = ToolchainId(Digest::of(name.as_bytes()));
            let paths = store.entry(&"p".parse().unwrap(), id);
            fs::create_dir_all(paths.target()).unwrap();
            Kept { paths, succeeded: true, seen: None }
        };
        let commit = |number: usize| {
            let text = |path: &&'static str| (*path, format!("{path} {}", number % 2));
            FILES.iter().map(text).collect()
        };
        // Far enough from now that no step comes to it, near enough that no time looks set on purpose.
        let begun = back(Moment::now(), 300);
        let mut world = Self {
            source: dir.path().join("source"),
            form,
            script,
            clock: begun,
            begun,
            counter: 0,
            went_back: false,
            kept: ["one", "two"].map(kept).into(),
            commits: [commit(0), commit(1), commit(2)],
            dir,
        };
        world.manifests();
        world.take(Step::CheckOut(0));
        world
    }

    fn manifests(&self) {
        let package = |name: &str, rest: &str| {
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\n{rest}")
        };
        let app = "[dependencies]\nlib = { path = \"lib\" }\nplain = { path = \"plain\" }\n";
        let lock = "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\n \"lib\",\n \"plain\",\n]\n\n[[package]]\nname = \"lib\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"plain\"\nversion = \"0.1.0\"\n";
        for (path, text) in [
            ("Cargo.toml", package("app", app)),
            ("Cargo.lock", lock.to_owned()),
            ("lib/Cargo.toml", package("lib", "")),
            ("plain/Cargo.toml", package("plain", "")),
        ] {
            let path = self.source.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            stamp(&path, self.clock);
        }
    }

    pub(super) fn take(&mut self, step: Step) {
        self.clock = self.clock + SECOND;
        self.counter += 1;
        match step {
            Step::Build(dir) => self.build(dir, None, false),
            // What the command changes beside what a unit names, Cargo cannot know; and stamps in the future
            // are lowered by the real clock.
            Step::BuildThatEdits(dir, path) => {
                let says = [Script::Files, Script::Directory].contains(&self.script);
                let is_named = says || path.contains(".rs");
                self.build(dir, Some(path).filter(|_| is_named && !self.went_back), false);
            }
            Step::BuildThatFails(dir) => self.build(dir, None, true),
            Step::Edit(path) => self.write(path, &format!("{path} edit {}", self.counter)),
            Step::EditWithTheTimeOfBefore(path) => {
                let before = self.time(path);
                self.write(path, &format!("{path} edit {}", self.counter));
                if let Some(at) = before {
                    stamp(&self.source.join(path), at);
                }
            }
            Step::RestoreTheFirst(path) => self.write(path, &self.commits[0][path].clone()),
            Step::Delete(path) => {
                let path = self.source.join(path);
                let _ = fs::remove_file(&path);
                stamp(path.parent().unwrap(), self.clock);
            }
            Step::Exchange(a, b) => self.exchange(a, b),
            Step::Touch(path) if self.source.join(path).exists() => {
                stamp(&self.source.join(path), self.clock);
            }
            Step::Touch(_) => {}
            Step::CloneAgain => self.clone_again(),
            Step::CheckOut(commit) => self.check_out(commit),
            Step::Date(day) => {
                for path in self.files() {
                    stamp(&path, Moment::of(1_000_000_000 + day * 86_400, 0));
                }
            }
            Step::SetTheClock(seconds) => {
                let latest = self.begun + 100 * SECOND;
                let clock = back(self.clock, -seconds).clamp(self.begun, latest);
                self.went_back |= clock < self.clock;
                self.clock = clock;
            }
            Step::AnotherCheckout => {
                let copy = self.dir.path().join(format!("checkout-{}", self.counter));
                fs::create_dir_all(copy.join("lib")).unwrap();
                fs::write(copy.join("lib/top"), "elsewhere").unwrap();
            }
        }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.source.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        stamp(&path, self.clock);
        stamp(path.parent().unwrap(), self.clock);
    }

    fn time(&self, path: impl AsRef<Path>) -> Option<Moment> {
        let metadata = fs::metadata(self.source.join(path)).ok()?;
        Some(crate::base::tree::Stamp::of(&metadata).mtime)
    }

    fn exchange(&self, a: &str, b: &str) {
        let [a, b] = [a, b].map(|path| self.source.join(path));
        let aside = self.source.join("lib/data/aside");
        if a.exists() && b.exists() {
            fs::rename(&a, &aside).unwrap();
            fs::rename(&b, &a).unwrap();
            fs::rename(&aside, &b).unwrap();
            stamp(a.parent().unwrap(), self.clock);
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let walk = walkdir::WalkDir::new(&self.source).into_iter();
        let walk = walk.map(Result::unwrap).filter(|entry| entry.file_type().is_file());
        walk.map(walkdir::DirEntry::into_path).collect()
    }

    fn clone_again(&self) {
        let aside = self.dir.path().join("aside");
        fs::rename(&self.source, &aside).unwrap();
        for entry in walkdir::WalkDir::new(&aside) {
            let entry = entry.unwrap();
            let to = self.source.join(entry.path().strip_prefix(&aside).unwrap());
            if entry.file_type().is_dir() {
                fs::create_dir_all(to).unwrap();
            } else {
                fs::write(&to, fs::read(entry.path()).unwrap()).unwrap();
            }
        }
        for entry in walkdir::WalkDir::new(&self.source) {
            stamp(entry.unwrap().path(), self.clock);
        }
        fs::remove_dir_all(aside).unwrap();
    }

    fn check_out(&self, commit: usize) {
        for (path, text) in &self.commits[commit] {
            if fs::read_to_string(self.source.join(path)).ok().as_ref() != Some(text) {
                self.write(path, text);
            }
        }
    }

    fn seen(&self) -> Seen {
        let of = |path: PathBuf| {
            let at = self.time(&path).filter(|at| *at < back(self.begun, 100));
            let text = fs::read_to_string(&path).unwrap();
            (path, (text, at))
        };
        self.files().into_iter().map(of).collect()
    }

    fn place(&self) -> (Where, View) {
        let none = self.dir.path().join("none");
        let place = Where {
            source: self.source.clone(),
            built: Built::at(self.source.join("target")),
            downloads: Downloads { registry: none.clone(), git: none.clone(), kept: false },
            root: PathBuf::from("/"),
            ..Where::default()
        };
        let known = vec![self.source.clone(), place.built.target.clone(), none];
        (place, View { source: self.source.clone(), known, command: Vec::new() })
    }

    /// One use of a target directory, as the session makes it.
    fn build(&mut self, dir: usize, edits: Option<&'static str>, fails: bool) {
        let before = Tree::observe_all(&self.source, None).unwrap();
        let seen = self.seen();
        let paths = self.kept[dir].paths.clone();
        let (mut place, view) = self.place();
        let succeeded = self.kept[dir].succeeded;
        let watch = &mut Stopwatch::default();
        let seen_now =
            situation::look(&paths, &mut place, &view, succeeded, &Drift::default(), watch)
                .unwrap();
        let is_new = seen_now.is_new();
        let plan = if is_new {
            reconcile::Removals::default()
        } else {
            reconcile::plan(&seen_now.situation())
        };
        assert!(!plan.everything);
        for path in plan.paths.iter().map(|path| paths.target().join(path)) {
            let _ = fs::remove_dir_all(&path);
            let _ = fs::remove_file(&path);
        }
        let stays = |(path, _): &(PathBuf, _)| paths.target().join(path).exists();
        let times: Vec<_> = seen_now.drifted().into_iter().filter(stays).collect();
        restore_times(&paths.target(), &times).unwrap();
        let refresh = seen_now.refresh(&plan, &place, &view).unwrap();
        for note in &refresh.notes {
            fs::remove_file(paths.target().join(note)).unwrap();
        }
        rewrite(&paths.target(), &refresh.rewrites).unwrap();
        restore_times(&paths.target(), &refresh.times).unwrap();
        atomic::write_binary(&paths.state(), &seen_now.state).unwrap();
        let begun = seen_now.begin(&plan, &refresh).unwrap();
        let after = Tree::observe_all(&self.source, None).unwrap();
        assert!(after.changes_since(&before).is_empty(), "larder changed the sources");
        assert_eq!(after.restamped_since(&before), Vec::<PathBuf>::new(), "larder touched them");
        self.run(dir, edits, fails, &begun, (place, view), &seen, is_new);
    }

    /// The command, and what is recorded of it.
    #[expect(clippy::too_many_arguments, reason = "the second half of one use")]
    fn run(
        &mut self,
        dir: usize,
        edits: Option<&'static str>,
        fails: bool,
        begun: &situation::Begun,
        (mut place, view): (Where, View),
        seen: &Seen,
        is_new: bool,
    ) {
        self.clock = self.clock + SECOND;
        let started = self.clock;
        if let Some(path) = edits {
            self.write(path, &format!("{path} command {}", self.counter));
        }
        self.clock = self.clock + SECOND;
        let paths = self.kept[dir].paths.clone();
        let mut cargo = Cargo {
            source: &self.source,
            target: &paths.target(),
            form: self.form,
            script: self.script,
            keeps_leftovers: edits.is_none(),
            now: self.clock,
        };
        let built = cargo.build(fails);
        self.clock = cargo.now + SECOND;
        if built.succeeded {
            assert_eq!(cargo.products(), cargo.cold(), "stale");
        }
        let was_there = |path: &&str| seen.contains_key(&self.source.join(path));
        let is_missing = self.script == Script::Files && !FILES.iter().all(was_there);
        let expects_nothing = self.kept[dir].seen.as_ref() == Some(seen)
            && edits.is_none()
            && !self.went_back
            && !is_missing
            && was_there(&"lib/top");
        assert!(!expects_nothing || built.made == 0, "{} made needlessly", built.made);
        assert!(!is_new || built.made > 0);
        let layout = Layout::scan(&paths.target()).unwrap();
        let uplifted = situation::uplifted(&layout);
        for path in &uplifted.shared {
            unshare(path, &paths.dir).unwrap();
        }
        let aftermath =
            situation::look_after(&layout, &uplifted.extras, begun, &view, &place, started, None)
                .unwrap();
        let mut state = begun.state.clone();
        if situation::learn(&mut state, &mut place, &view, &aftermath, started).unwrap() {
            atomic::write_binary(&paths.state(), &state).unwrap();
        }
        atomic::write_binary(&paths.manifest(), &aftermath.manifest).unwrap();
        let kept = &mut self.kept[dir];
        kept.succeeded = built.succeeded;
        kept.seen = (built.succeeded && edits.is_none()).then(|| seen.clone());
    }
}
