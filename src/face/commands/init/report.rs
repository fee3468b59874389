//! What `larder init` found and did, for people and for programs.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::scripts::{Findings, Work};
use super::{Again, findings};
use crate::image::mkosi::{self, Include, Summary};
use crate::output::Report;
use crate::store::Store;

/// What was found and done.
#[derive(Serialize)]
pub(super) struct Initialised {
    store: PathBuf,
    /// The include file of the first image.
    include: PathBuf,
    binary: PathBuf,
    binary_replaced: bool,
    verified: bool,
    snippet: PathBuf,
    mkosi: String,
    /// Each image that was asked about.
    pub images: Vec<Image>,
    /// Files of the repository that were changed or added.
    pub changed: Vec<PathBuf>,
    /// What the build scripts still need.
    diff: String,
    #[serde(flatten)]
    findings: Findings,
    /// Commands that larder runs already.
    done: usize,
    #[serde(skip)]
    idle: bool,
    #[serde(skip)]
    notes: Vec<String>,
    #[serde(skip)]
    again: Again,
}

/// One image.
#[derive(Serialize)]
pub(super) struct Image {
    name: Option<String>,
    include: PathBuf,
    /// The store that its builds work with.
    store: PathBuf,
    sandbox: &'static str,
    own_sources: bool,
    ephemeral: &'static str,
    build_directory: Option<PathBuf>,
    /// The build scripts that mkosi starts.
    scripts: Vec<PathBuf>,
    #[serde(skip)]
    kind: Include,
}

impl Image {
    /// What was chosen for an image.
    pub(super) fn new(
        name: Option<String>,
        include: Include,
        summary: &Summary,
        store: &Path,
    ) -> Self {
        Self {
            name,
            include: include.path(store),
            store: include.store(store, summary.build_directory()),
            sandbox: include.inside(),
            own_sources: include.own_sources,
            ephemeral: summary.ephemeral().name(),
            build_directory: summary.build_directory().map(Path::to_owned),
            scripts: summary.scripts(),
            kind: include,
        }
    }
}

impl Initialised {
    /// Before any image was asked about.
    pub(super) fn new(store: &Store, mkosi: String, binary_replaced: bool, again: Again) -> Self {
        let mut notes = Vec::new();
        if !mkosi::is_known(&mkosi) {
            notes.push(format!("mkosi {mkosi} is none that larder is tested with (25.3 to 27.1)"));
        }
        Self {
            store: store.root().to_owned(),
            include: PathBuf::new(),
            binary: store.binary(),
            binary_replaced,
            verified: true,
            snippet: store.snippet(),
            mkosi,
            images: Vec::new(),
            changed: Vec::new(),
            diff: String::new(),
            findings: Findings::default(),
            done: 0,
            idle: false,
            notes,
            again,
        }
    }

    /// The include files in use.
    pub(super) fn includes(&mut self) -> Vec<Include> {
        let mut kinds: Vec<Include> = Vec::new();
        for image in &self.images {
            if !kinds.contains(&image.kind) {
                kinds.push(image.kind);
            }
        }
        self.include = self.images.first().map(|image| image.include.clone()).unwrap_or_default();
        kinds
    }

    /// Takes what is still to be done in the scripts.
    pub(super) fn take(&mut self, work: Work, applied: bool) {
        if !applied {
            self.diff = work.diff();
        }
        self.done = work.done;
        self.idle = work.is_idle();
        self.findings = work.findings;
    }

    /// Of images for which mkosi has no build script nothing can be kept, whatever else is right.
    fn without_scripts(&self) -> Option<String> {
        let without: Vec<&Image> =
            self.images.iter().filter(|image| image.scripts.is_empty()).collect();
        let first = without.first()?;
        let place = first.name.as_ref().map_or_else(
            || "mkosi has no build script here".to_owned(),
            |_| format!("mkosi has no build script for {}", names(&without)),
        );
        Some(format!(
            "{place}, so that nothing is compiled that larder could keep. If your images are built elsewhere, or\n\
             with other arguments, start larder where you start mkosi, and give it the same arguments behind `--`.\n"
        ))
    }

    fn scripts(&self) -> String {
        let mut text = String::new();
        if !self.changed.is_empty() {
            let files = self.changed.iter().map(|file| file.display().to_string());
            let files = files.collect::<Vec<_>>().join(", ");
            let _ = writeln!(
                text,
                "Changed or added: {files}\n\
                 Commit them: until then a version that git tells says -dirty. `{}` takes all back.",
                self.again.with("--undo")
            );
        } else if !self.diff.is_empty() {
            let _ = write!(
                text,
                "The build scripts need this; `{}` does it:\n\n{}",
                self.again.with("--apply"),
                self.diff
            );
        } else if let Some(without) = self.without_scripts().filter(|_| self.idle) {
            text.push_str(&without);
        } else if self.idle {
            let snippet = self.snippet.display();
            let _ = writeln!(
                text,
                "No build script was found that runs cargo or go. In one that does: copy {snippet}\n\
                 into the repository, add `. \"$SRCDIR/larder.sh\"`, and put\n\
                 `larder_run NAME --source DIR --` before the command that compiles."
            );
        } else if self.done > 0 {
            text.push_str("The build scripts run larder already.\n");
        }
        if let Some(without) = self.without_scripts().filter(|_| !self.idle) {
            let _ = write!(text, "\n{without}");
        }
        text + &findings::text(&self.findings)
    }

    /// The images by the include files that they take.
    fn by_include(&self) -> Vec<(&Image, Vec<&Image>)> {
        let mut groups: Vec<(&Image, Vec<&Image>)> = Vec::new();
        for image in &self.images {
            match groups.iter_mut().find(|(first, _)| first.kind == image.kind) {
                Some((_, images)) => images.push(image),
                None => groups.push((image, vec![image])),
            }
        }
        groups
    }
}

/// The names of images, if they were given by name.
fn names(images: &[&Image]) -> String {
    let names: Vec<&str> = images.iter().filter_map(|image| image.name.as_deref()).collect();
    names.join(", ")
}

impl Report for Initialised {
    fn text(&self) -> String {
        let mut text = format!("store     {}\nmkosi     {}\n", self.store.display(), self.mkosi);
        let groups = self.by_include();
        for (Image { include, sandbox, .. }, images) in &groups {
            let names = names(images);
            let names = if names.is_empty() { names } else { format!("{names}: ") };
            let include = include.display();
            let _ = writeln!(
                text,
                "include   {include} ({names}checked: builds find the store at {sandbox})"
            );
        }
        let mut inner: Vec<&PathBuf> = Vec::new();
        for image in self.images.iter().filter(|image| image.kind.ephemeral) {
            if inner.contains(&&image.store) {
                continue;
            }
            inner.push(&image.store);
            let (inner, kind) = (image.store.display(), image.ephemeral);
            let _ = writeln!(
                text,
                "\nBuildSourcesEphemeral={kind}: what builds write to sources is lost, so they keep their store in the\n\
                 build directory, and make it when it is missing: {inner}\n\
                 `mkosi -f clean` and `mkosi -ff` empty that directory: the next build is cold. Its settings, which\n\
                 stay, are larder-sandbox/larder.toml in the store on the host; to collect: larder --store {inner} gc"
            );
        }
        for note in &self.notes {
            let _ = writeln!(text, "\n{note}");
        }
        text.push('\n');
        for (Image { include, .. }, images) in &groups {
            let names =
                if groups.len() > 1 { format!("   ({})", names(images)) } else { String::new() };
            let include = include.display();
            let _ =
                writeln!(text, "Start mkosi with one more option:   --include={include}{names}");
        }
        text.push('\n');
        text + &self.scripts()
    }
}
