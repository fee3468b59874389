//! What other tools than Cargo keep: Go's build and module caches, ccache's objects.
//!
//! These tools name what they keep by what it was made from, and larder mounts the kept directories at the
//! very paths where a cold build has empty ones. What a tool does not look at by itself, larder does:
//! the identity holds all that is outside of the sources, and `go` the part of the sources that Go
//! does not read. A cache of the builder's own is left alone: the build would use it without larder too.
//!
//! A file that is not as the last close left it is removed: to these tools a missing file is work to be
//! done, never an error. Modules go as a whole, because Go looks at their checksums only when it
//! downloads them.

#![expect(clippy::disallowed_methods, reason = "makes the directories of caches")]

mod ccache;
mod go;
mod memory;
mod modules;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use self::memory::Memory;
use crate::base::tree::{Limits, Tree};
use crate::base::{atomic, fault};
use crate::decide::reconcile::some_of;
use crate::host::attach::Mounts;
use crate::observe::identity::{Surroundings, Way};
use crate::observe::sources::Where;
use crate::output::Output;
use crate::store::evict::Trash;
use crate::store::{EntryPaths, Store};
use crate::work::project::Project;
use crate::work::situation::{Begun, Seen};

/// One directory that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Part {
    GoBuild,
    GoModules,
    Ccache,
}

/// One directory that is kept, and where it belongs.
struct Attached {
    part: Part,
    kept: PathBuf,
    /// As seen from here.
    place: PathBuf,
}

/// All that is kept for one use.
pub(crate) struct Caches {
    paths: EntryPaths,
    attached: Vec<Attached>,
    /// Caches of the builder's own, in words.
    foreign: Vec<String>,
    go: Option<go::Settings>,
    /// ccache's configuration file, as seen from here.
    config: Option<PathBuf>,
}

/// What the last close left in `caches/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct CacheRecord {
    trees: BTreeMap<Part, Tree>,
    /// What Go may know of the sources.
    memory: Memory,
}

/// What was found when they were looked at.
#[derive(Default)]
pub(crate) struct CacheFindings {
    before: CacheRecord,
    trees: BTreeMap<Part, Tree>,
    /// What is to be removed, absolute.
    gone: Vec<PathBuf>,
    memory: Memory,
    /// Why something goes, or nothing is kept.
    pub why: Vec<String>,
    /// Whether nothing is left that could help.
    pub is_cold: bool,
}

/// What a command left.
pub(crate) struct Left {
    /// Files whose data may not be on disk yet, absolute.
    pub fresh: Vec<PathBuf>,
    /// Whether something is other than before.
    pub changed: bool,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::GoBuild => "go-build",
            Self::GoModules => "go-mod",
            Self::Ccache => "ccache",
        }
    }
}

impl Caches {
    /// What is attached in a use, by where the tools say that they keep it.
    pub(crate) fn new(
        paths: &EntryPaths,
        surroundings: &Surroundings,
        project: &Project,
        output: Output,
    ) -> Self {
        let way = project.way;
        let outside = |path: &Path| project.place.outside(path, &project.source);
        let mut caches = Self {
            paths: paths.clone(),
            attached: Vec::new(),
            foreign: Vec::new(),
            go: None,
            config: None,
        };
        if let Some(place) = &surroundings.go {
            let (cache, modules) = (outside(&place.cache), outside(&place.modules));
            caches.add(Part::GoModules, modules.clone(), way, output);
            if way == Way::Bind && !caches.has(Part::GoModules) {
                // Go remembers by its path alone what a module imports, and nobody vouches for these.
                let (cache, modules) = (cache.display(), modules.display());
                caches.foreign.push(format!("not kept, because of what is in {modules}: {cache}"));
            } else {
                caches.add(Part::GoBuild, cache, way, output);
            }
            caches.go = Some(go::Settings { workspace: place.workspace.as_deref().map(outside) });
        }
        if let Some(place) = &surroundings.ccache {
            caches.add(Part::Ccache, outside(&place.cache), way, output);
            caches.config = caches.has(Part::Ccache).then(|| outside(&place.config));
        }
        caches
    }

    fn add(&mut self, part: Part, place: PathBuf, way: Way, output: Output) {
        let shown = place.display();
        if way == Way::Symlink {
            self.foreign.push(format!("not attached, because nothing can be mounted: {shown}"));
        } else if crate::host::home::is_vacant(&place) {
            let kept = self.paths.caches().join(part.name());
            self.attached.push(Attached { part, kept, place });
        } else {
            output.note(&format!(
                "{shown} holds something already; it is used as it is, and not kept"
            ));
            self.foreign.push(format!("not kept, because it held something already: {shown}"));
        }
    }

    /// Whether nothing is attached.
    pub(crate) fn is_empty(&self) -> bool {
        self.attached.is_empty()
    }

    fn has(&self, part: Part) -> bool {
        self.attached.iter().any(|attached| attached.part == part)
    }

    fn kept(&self, part: Part) -> PathBuf {
        self.paths.caches().join(part.name())
    }

    /// Looks at what is there and at the sources, and decides what has to go. Changes nothing.
    pub(crate) fn look(&self, place: &Where, seen: &Seen) -> Result<CacheFindings> {
        let mut found = CacheFindings { why: self.foreign.clone(), ..CacheFindings::default() };
        if self.attached.is_empty() {
            found.is_cold = true;
            return Ok(found);
        }
        let recorded: Option<CacheRecord> =
            atomic::undamaged(atomic::read_binary(&self.paths.kept()))?;
        let is_recorded = recorded.is_some();
        found.before = recorded.unwrap_or_default();
        let nothing = Tree::default();
        let mut names = Vec::new();
        let mut spoilt = false;
        for Attached { part, kept, .. } in &self.attached {
            let before = found.before.trees.get(part).unwrap_or(&nothing);
            let tree = observe(*part, kept, Some(before))?;
            let gone = match part {
                Part::GoModules => modules::not_as_left(&tree, before),
                Part::GoBuild | Part::Ccache => not_as_left(&tree, before),
            };
            spoilt |= *part == Part::GoModules && !gone.is_empty();
            names.extend(gone.iter().map(|path| format!("{}/{}", part.name(), path.display())));
            found.gone.extend(gone.iter().map(|path| kept.join(path)));
            found.trees.insert(*part, tree);
        }
        if !names.is_empty() {
            let what = if is_recorded { "not as the last build left it" } else { "on no record" };
            found.why.push(format!("{what}: {}", some_of(names)));
        }
        if let Some(go) = &self.go {
            self.look_at_go(go, place, seen, spoilt, &mut found)?;
        }
        found.is_cold = found.trees.iter().all(|(part, tree)| {
            let kept = self.kept(*part);
            tree.is_empty() || found.gone.contains(&kept)
        });
        Ok(found)
    }

    fn look_at_go(
        &self,
        go: &go::Settings,
        place: &Where,
        seen: &Seen,
        mut spoilt: bool,
        found: &mut CacheFindings,
    ) -> Result<()> {
        let judged = go::judge(go, place, seen, &found.before.memory)?;
        let kept = self.kept(Part::GoModules);
        let outdated = modules::outdated(&kept, &place.source, seen);
        if !outdated.is_empty() {
            let names: Vec<String> =
                outdated.iter().map(|path| path.display().to_string()).collect();
            found.why.push(format!("go.sum has another checksum for {}", some_of(names)));
            found.gone.extend(outdated.iter().map(|path| kept.join(path)));
            spoilt = true;
        }
        let (mut why, mut memory) = (judged.why, judged.memory);
        if spoilt {
            // Go remembers by its path alone what a module imports.
            why.push("go-build goes with its modules".to_owned());
        }
        if self.has(Part::GoBuild) && !why.is_empty() {
            let kept = self.kept(Part::GoBuild);
            let holds_something = found.trees.get(&Part::GoBuild).is_some_and(|it| !it.is_empty());
            if holds_something {
                found.gone.retain(|path| !path.starts_with(&kept));
                found.gone.push(kept);
                found.trees.insert(Part::GoBuild, Tree::default());
                found.why.extend(why);
            }
            memory.begin_anew(&seen.state.checkout);
        }
        found.memory = memory;
        Ok(())
    }

    /// Removes what has to go, and makes what is mounted, and on what.
    pub(crate) fn prepare(&self, store: &Store, found: &CacheFindings) -> Result<()> {
        let mut trash = Trash::new(store);
        for path in &found.gone {
            trash.take(path)?;
        }
        for Attached { kept, place, .. } in &self.attached {
            for dir in [kept, place] {
                fault::point("caches.make");
                fs::create_dir_all(dir)
                    .with_context(|| format!("cannot make {}", dir.display()))?;
            }
        }
        if self.has(Part::GoBuild) {
            go::expire_tests(&self.kept(Part::GoBuild))?;
        }
        if let Some(config) = &self.config {
            let place = self.place(Part::Ccache);
            ccache::configure(&self.kept(Part::Ccache), place, config, &self.config_copy())?;
        }
        Ok(())
    }

    fn place(&self, part: Part) -> Option<&Path> {
        let attached = self.attached.iter().find(|attached| attached.part == part);
        attached.map(|attached| attached.place.as_path())
    }

    fn config_copy(&self) -> PathBuf {
        self.paths.caches().join("ccache.conf")
    }

    /// Adds the mounts of what is kept.
    pub(crate) fn attach(&self, mounts: &mut Mounts) -> io::Result<()> {
        for Attached { kept, place, .. } in &self.attached {
            mounts.bind(kept, place)?;
        }
        match &self.config {
            Some(config) if !self.is_inside_cache(config) => {
                mounts.bind(&self.config_copy(), config)
            }
            _ => Ok(()),
        }
    }

    /// Adds mounts of empty directories in place of what is kept.
    pub(crate) fn attach_empty(&self, dir: &Path, mounts: &mut Mounts) -> Result<()> {
        for Attached { part, place, .. } in &self.attached {
            let empty = dir.join(part.name());
            fault::point("caches.make");
            fs::create_dir_all(&empty)
                .with_context(|| format!("cannot make {}", empty.display()))?;
            mounts.bind(&empty, place)?;
        }
        Ok(())
    }

    fn is_inside_cache(&self, config: &Path) -> bool {
        self.place(Part::Ccache).is_some_and(|place| config.starts_with(place))
    }

    /// Looks at what the command left, and records it.
    pub(crate) fn close(
        &self,
        found: &CacheFindings,
        place: &Where,
        begun: &Begun,
    ) -> Result<Left> {
        let mut left = Left { fresh: Vec::new(), changed: !found.gone.is_empty() };
        if self.attached.is_empty() {
            return Ok(left);
        }
        let mut now = CacheRecord { trees: BTreeMap::new(), memory: found.memory.clone() };
        let nothing = Tree::default();
        for Attached { part, kept, .. } in &self.attached {
            let before = found.trees.get(part).unwrap_or(&nothing);
            let mut tree = observe(*part, kept, Some(before))?;
            if *part == Part::GoModules {
                modules::forget_changed(kept, &mut tree, before)?;
            }
            left.changed |= !tree.changes_since(before).is_empty();
            let recorded = found.before.trees.get(part).unwrap_or(&nothing);
            left.fresh.extend(tree.restamped_since(recorded).iter().map(|path| kept.join(path)));
            now.trees.insert(*part, tree);
        }
        if self.go.is_some() {
            go::learn(&mut now.memory, place, begun)?;
        }
        if now != found.before {
            atomic::write_binary(&self.paths.kept(), &now)?;
        }
        Ok(left)
    }
}

/// Everything of a cache but what larder itself writes there at each use.
fn observe(part: Part, kept: &Path, before: Option<&Tree>) -> Result<Tree> {
    let own = |path: &Path| match part {
        Part::GoBuild => path == Path::new(go::EXPIRY),
        Part::Ccache => path == Path::new(ccache::CONFIG),
        Part::GoModules => false,
    };
    Ok(Tree::observe_within(kept, before, Limits::KEPT, |path, _| !own(path))?)
}

/// What differs from what was left, without what is missing; a directory stands for all in it.
fn not_as_left(now: &Tree, before: &Tree) -> Vec<PathBuf> {
    use crate::base::tree::ChangeKind;
    let mut gone: Vec<PathBuf> = Vec::new();
    for change in now.changes_since(before) {
        let is_gone = change.kind == ChangeKind::Removed;
        let is_below = gone.last().is_some_and(|last| change.path.starts_with(last));
        if !is_gone && !is_below {
            gone.push(change.path);
        }
    }
    gone
}
