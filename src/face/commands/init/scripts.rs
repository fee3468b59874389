//! The build scripts of a repository: what is to be changed in them, and what is to be said of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Serialize;

use super::files::{Files, ScriptFile, Site};
use super::record::{Change, Record};
use crate::base::digest::Digest;
use crate::base::{edit, regular};
use crate::image::mkosi::{SNIPPET, Summary};
use crate::image::script::mention::Way;
use crate::image::script::patch::{self, Hunk};
use crate::image::script::{self, Call, Function, ScriptPlan, Surroundings};
use crate::observe::sources;
use crate::store::Store;

/// What the scripts of a repository need.
#[derive(Debug, Default)]
pub(super) struct Work {
    repository: PathBuf,
    changes: Vec<FileChange>,
    /// The snippets that are not where scripts find them yet.
    snippets: Vec<PathBuf>,
    /// What there is to say of the scripts.
    pub findings: Findings,
    /// Commands that larder runs already.
    pub done: usize,
}

/// What there is to say of the scripts.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Findings {
    /// What stays as it is, with its reason.
    pub left: Vec<Site>,
    /// Functions that compile for their callers, with all calls.
    pub functions: Vec<Called>,
    /// Caches of finished binaries that can go.
    pub caches: Vec<Site>,
    /// Commands of cargo that share a target directory with one before them.
    pub together: Vec<Site>,
    /// Commands whose words do not tell what they compile.
    pub unclear: Vec<Site>,
    /// Scripts that others start, as far as their words tell.
    pub started: Vec<Started>,
    /// Scripts that seem to compile, and that nothing names.
    pub unnamed: Vec<PathBuf>,
    /// Whether there were more names than larder looks at.
    pub is_cut: bool,
}

/// A function that compiles for its callers.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Called {
    pub file: PathBuf,
    #[serde(flatten)]
    pub function: Function,
    pub calls: Vec<Caller>,
}

/// A call of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Caller {
    pub file: PathBuf,
    #[serde(flatten)]
    pub call: Call,
}

/// A script that another one starts or sources, as far as its words tell.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Started {
    pub file: PathBuf,
    pub named_in: PathBuf,
}

#[derive(Debug)]
struct FileChange {
    file: PathBuf,
    text: String,
    hunks: Vec<Hunk>,
}

impl Work {
    /// Reads the scripts of all images, what they source, and what they name.
    pub(super) fn find(repository: &Path, images: &[Summary]) -> Self {
        let mut files = Files::find(repository, images);
        let mut work = Self { repository: repository.to_owned(), ..Self::default() };
        // What brings a larder_run of its own, such as packages.sh, needs nothing, nor does who calls it.
        let brings = |file: &&ScriptFile| script::defines_larder_run(&file.text);
        let kept = files.all.iter().filter(brings);
        let kept: Vec<String> = kept.flat_map(|file| script::defined(&file.text)).collect();
        work.done += usize::from(!kept.is_empty());
        files.all.retain(|file| !brings(&file));
        work.findings.functions = called(repository, &files.all);
        let functions = &work.findings.functions;
        let surroundings = Surroundings {
            functions: functions.iter().map(|called| called.function.clone()).collect(),
            calls: functions
                .iter()
                .flat_map(|called| called.calls.iter().map(|caller| caller.call.clone()))
                .collect(),
            kept,
            ..Surroundings::default()
        };
        work.findings.left = files.left;
        let relative = |path: &PathBuf| shorter(repository, path);
        work.findings.unnamed = files.unnamed.iter().map(relative).collect();
        work.findings.is_cut = files.is_cut;
        for file in &files.all {
            let surroundings = Surroundings {
                snippet: file.snippet.clone(),
                name: file.name.clone(),
                anywhere: file.named_by.is_some(),
                ..surroundings.clone()
            };
            let plan = script::plan(&file.text, &surroundings);
            work.take(file, plan);
        }
        let is_known = |site: &Site| {
            let program = Path::new(&site.why).file_name();
            files.all.iter().any(|file| file.path.file_name() == program)
        };
        work.findings.unclear.retain(|site| !is_known(site));
        work
    }

    /// Takes in what is to be done with one script.
    fn take(&mut self, file: &ScriptFile, plan: ScriptPlan) {
        let name = shorter(&self.repository, &file.path);
        let site = |line: usize, why: String| Site { file: name.clone(), line, why };
        let findings = &mut self.findings;
        findings.left.extend(plan.left.into_iter().map(|left| site(left.line, left.why)));
        findings.together.extend(plan.together.into_iter().map(|left| site(left.line, left.why)));
        findings.caches.extend(plan.caches.into_iter().map(|left| site(left.line, left.why)));
        findings
            .unclear
            .extend(plan.unclear.into_iter().map(|(line, program)| site(line, program)));
        self.done += plan.done;
        let first = plan.hunks.iter().find(|hunk| !hunk.before.is_empty());
        let is_started = file.kept_from.is_none() && (first.is_some() || plan.done > 0);
        if let Some(named_by) = file.named_by.as_ref().filter(|_| is_started) {
            let named_in = shorter(&self.repository, named_by);
            findings.started.push(Started { file: name.clone(), named_in });
        }
        let Some(first) = first else {
            if plan.done > 0 {
                self.need_snippet(file);
            }
            return;
        };
        if let Some(why) = self.hindrance(file) {
            self.findings.left.push(site(first.line + 1, why));
            return;
        }
        self.need_snippet(file);
        let text = file.text.clone();
        self.changes.push(FileChange { file: name, text, hunks: plan.hunks });
    }

    /// Why a script stays as it is, though there is something to put into it.
    fn hindrance(&self, file: &ScriptFile) -> Option<String> {
        if !file.path.starts_with(&self.repository) {
            return Some("it is outside of the repository; change it by hand".to_owned());
        }
        if file.is_moved {
            return Some("images see it in different places, so that it finds larder.sh in one of them only; give all of them the same BuildSources=".to_owned());
        }
        if let Some((by, way)) = &file.kept_from {
            let by = shorter(&self.repository, by);
            let by = by.display();
            return Some(match way {
                Way::Copied => format!(
                    "{by} copies it, or gives it to another program to read, so that a line of larder's would come there too; put larder_run before what starts it, or change it by hand"
                ),
                _ => format!(
                    "{by} names it, and nothing that is read starts it; where a build starts it, change it by hand"
                ),
            });
        }
        self.foreign_snippet(file)
    }

    /// Why a script cannot source the `larder.sh` that is there.
    fn foreign_snippet(&self, file: &ScriptFile) -> Option<String> {
        let path = file.shared.join("larder.sh");
        if !path.starts_with(&self.repository) || path.symlink_metadata().is_err() {
            return None;
        }
        let name = shorter(&self.repository, &path);
        let name = name.display();
        let leads = std::fs::canonicalize(&path);
        let is_inside = leads.is_ok_and(|leads| leads.starts_with(&self.repository));
        if !is_inside {
            return Some(format!(
                "{name} leads out of the repository, where builds do not find it; remove it, and give `larder init` again"
            ));
        }
        let text = regular::text(&path).unwrap_or_default();
        (!script::defines_larder_run(&text)).then(|| {
            format!(
                "{name} is a file of yours that does not define larder_run; give it another name, and `larder init` again"
            )
        })
    }

    /// Adds the snippet where a script looks for it, if it is not there.
    fn need_snippet(&mut self, file: &ScriptFile) {
        let path = file.shared.join("larder.sh");
        let Ok(inside) = path.strip_prefix(&self.repository) else { return };
        let inside = inside.to_owned();
        let site = |why: &str| Site { file: inside.clone(), line: 1, why: why.to_owned() };
        match regular::text(&path) {
            Err(_) if !self.snippets.contains(&inside) => self.snippets.push(inside),
            Ok(text) if text != SNIPPET => {
                let other = site(
                    "it is not the larder.sh of this version, which is in the store; compare the two",
                );
                if !self.findings.left.contains(&other) {
                    self.findings.left.push(other);
                }
            }
            _ => {}
        }
    }

    /// Whether nothing has to be changed.
    pub(super) fn is_done(&self) -> bool {
        self.changes.is_empty() && self.snippets.is_empty()
    }

    /// Whether no script compiles anything that larder knows.
    pub(super) fn is_idle(&self) -> bool {
        self.is_done()
            && self.done == 0
            && self.findings.left.is_empty()
            && self.findings.unclear.is_empty()
    }

    /// The changes as a diff.
    pub(super) fn diff(&self) -> String {
        let name = |path: &Path| path.to_string_lossy().into_owned();
        let change =
            |change: &FileChange| patch::diff(&name(&change.file), &change.text, &change.hunks);
        let mut text: String = self.changes.iter().map(change).collect();
        for snippet in &self.snippets {
            text.push_str(&patch::addition(&name(snippet), SNIPPET));
        }
        text
    }

    /// Makes the changes; says which files they are in. What is made is recorded before.
    pub(super) fn apply(
        &self,
        store: &Store,
        record: &mut Record,
        force: bool,
    ) -> Result<Vec<PathBuf>> {
        if !force {
            self.refuse_uncommitted()?;
        }
        for FileChange { file, text, hunks } in &self.changes {
            // What was recorded for it before and never made is forgotten.
            let was_made = |change: &Change| patch::revert(text, &change.hunks).0 != *text;
            record.changes.retain(|change| change.file != *file || was_made(change));
            record.changes.push(Change { file: file.clone(), hunks: hunks.clone() });
        }
        for snippet in &self.snippets {
            let digest = Digest::of(SNIPPET.as_bytes()).to_string();
            record.added.retain(|(file, _)| file != snippet);
            record.added.push((snippet.clone(), digest));
        }
        record.write(store)?;
        let mut files = Vec::new();
        self.write(&mut files).map_err(|error| match files.len() {
            0 => error,
            made => error.context(format!(
                "{made} of {} files are changed; `larder init --undo` takes them back",
                self.snippets.len() + self.changes.len()
            )),
        })?;
        Ok(files)
    }

    fn write(&self, files: &mut Vec<PathBuf>) -> Result<()> {
        for snippet in &self.snippets {
            // First: a script that sources it may be started at any moment.
            edit::add(&self.repository.join(snippet), SNIPPET)?;
            files.push(snippet.clone());
        }
        for change in &self.changes {
            let text = patch::apply(&change.text, &change.hunks);
            edit::replace(&self.repository.join(&change.file), &text)?;
            files.push(change.file.clone());
        }
        Ok(())
    }

    /// What nobody committed could not be told from larder's changes by a look at `git diff`.
    fn refuse_uncommitted(&self) -> Result<()> {
        let mut trees: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
        for FileChange { file, .. } in &self.changes {
            let path = self.repository.join(file);
            let has_git = |dir: &&Path| dir.join(".git").symlink_metadata().is_ok();
            // What is in a submodule, the repository around it knows nothing of.
            if let Some(tree) = path.ancestors().find(has_git).map(Path::to_owned) {
                trees.entry(tree).or_default().push(path);
            }
        }
        for (tree, files) in &trees {
            let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
            let Some(text) = sources::uncommitted(tree, &files) else {
                bail!(
                    "git does not say whether the build scripts in {} are committed, and is not asked in a \
                     repository of another user; look yourself, and give --force",
                    tree.display()
                )
            };
            let text = String::from_utf8_lossy(&text);
            if let Some(line) = text.lines().next() {
                bail!(
                    "{} has changes that are not committed; commit or stash them first, or give --force",
                    line.get(3..).unwrap_or(line)
                );
            }
        }
        Ok(())
    }
}

/// A path relative to the repository, if it is inside.
fn shorter(repository: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(repository).unwrap_or(path).to_owned()
}

/// The functions that compile for others, with all who call them.
fn called(repository: &Path, files: &[ScriptFile]) -> Vec<Called> {
    let mut found: Vec<Called> = Vec::new();
    for file in files {
        for function in script::functions(&file.text) {
            if found.iter().all(|known| known.function.name != function.name) {
                let file = shorter(repository, &file.path);
                found.push(Called { file, function, calls: Vec::new() });
            }
        }
    }
    let functions: Vec<Function> = found.iter().map(|called| called.function.clone()).collect();
    for file in files {
        for call in script::calls(&file.text, &functions) {
            let own = found.iter_mut().find(|called| called.function.name == call.function);
            if let Some(called) = own {
                called.calls.push(Caller { file: shorter(repository, &file.path), call });
            }
        }
    }
    found
}
