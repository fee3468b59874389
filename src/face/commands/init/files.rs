//! The scripts that take part in an image's build: those that mkosi starts, what they source, and what they name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::search;
use crate::base::regular;
use crate::image::mkosi::{SNIPPET, Summary};
use crate::image::script;
use crate::image::script::mention::{self, Mention, Way};

/// A script, and how it finds larder.
#[derive(Debug)]
pub(super) struct ScriptFile {
    pub path: PathBuf,
    pub text: String,
    /// What it sources, as it names it.
    pub snippet: String,
    /// The directory of the host in which that is.
    pub shared: PathBuf,
    /// The project's name where it compiles in the directory that it starts in.
    pub name: Option<String>,
    /// The script that names it, if mkosi does not start it and no plain word sources it.
    pub named_by: Option<PathBuf>,
    /// The script that copies it, or only names it, so that nothing can be put into it.
    pub kept_from: Option<(PathBuf, Way)>,
    /// Whether images see it in different places.
    pub is_moved: bool,
}

/// A line that somebody has to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Site {
    /// The file, relative to the repository if it is inside.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    pub why: String,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub all: Vec<ScriptFile>,
    pub left: Vec<Site>,
    /// Scripts that seem to compile, and that nothing names.
    pub unnamed: Vec<PathBuf>,
    /// Whether a search came to its bounds.
    pub is_cut: bool,
}

/// Where a file for the scripts of an image lies, and what they call it.
struct Shared {
    dir: PathBuf,
    seen_as: String,
    name: Option<String>,
}

impl Files {
    /// Reads what the images say, then what the scripts say.
    pub(super) fn find(repository: &Path, images: &[Summary]) -> Self {
        let mut all = Self::default();
        let mut places: Vec<(PathBuf, Shared)> = Vec::new();
        for image in images.iter().filter(|image| !image.scripts().is_empty()) {
            let Some((dir, seen_as)) = image.shared_directory(repository) else {
                let why = "no build source of the image is in the repository, so that scripts find no larder.sh; add BuildSources=.";
                let site = Site { file: "mkosi.conf".into(), line: 1, why: why.to_owned() };
                if !all.left.contains(&site) {
                    all.left.push(site);
                }
                continue;
            };
            let shared = Shared { name: start_name(&dir), dir, seen_as };
            all.follow(image, &shared);
            for (source, _) in image.sources_in(repository) {
                if places.iter().all(|(known, _)| *known != source) {
                    let same = Shared {
                        dir: shared.dir.clone(),
                        seen_as: shared.seen_as.clone(),
                        name: None,
                    };
                    places.push((source, same));
                }
            }
        }
        all.search(&places);
        all
    }

    /// What mkosi starts, and what that sources by plain words.
    fn follow(&mut self, image: &Summary, shared: &Shared) {
        let mut waiting = image.scripts();
        let mut seen = BTreeSet::new();
        while !waiting.is_empty() {
            let path = waiting.remove(0);
            let path = fs::canonicalize(&path).unwrap_or(path);
            if !seen.insert(path.clone()) {
                continue;
            }
            let snippet = format!("{}/larder.sh", shared.seen_as);
            if let Some(known) = self.all.iter_mut().find(|known| known.path == path) {
                known.is_moved |= known.snippet != snippet;
            } else {
                // A program that was compiled is no script, nor is what is no file.
                let text = match regular::text(&path) {
                    Ok(text) => text,
                    Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                        let why = "it may not be read here; make it readable, and give `larder init` again";
                        self.left.push(Site { file: path, line: 1, why: why.to_owned() });
                        continue;
                    }
                    Err(_) => continue,
                };
                let (name, dir) = (shared.name.clone(), shared.dir.clone());
                self.push(ScriptFile {
                    path: path.clone(),
                    text,
                    snippet,
                    shared: dir,
                    name,
                    named_by: None,
                    kept_from: None,
                    is_moved: false,
                });
            }
            let known = self.all.iter().find(|known| known.path == path);
            let sourced = known.map(|known| script::sourced(&known.text)).unwrap_or_default();
            waiting.extend(sourced.iter().filter_map(|file| image.host(file)));
        }
    }

    fn push(&mut self, file: ScriptFile) {
        if file.text != SNIPPET {
            self.all.push(file);
        }
    }

    /// What they name besides, in the sources of the images.
    fn search(&mut self, places: &[(PathBuf, Shared)]) {
        let mut found: Vec<(PathBuf, String, &Shared)> = Vec::new();
        for (root, shared) in places {
            let one = search::scripts(root);
            self.is_cut |= one.is_cut;
            for (path, text) in one.scripts {
                let known = self.all.iter().any(|file| file.path == path)
                    || found.iter().any(|(other, _, _)| *other == path);
                if !known && text != SNIPPET {
                    found.push((path, text, shared));
                }
            }
        }
        let start: Vec<(&Path, &str)> =
            self.all.iter().map(|file| (file.path.as_path(), file.text.as_str())).collect();
        let candidates: Vec<(&Path, &str)> =
            found.iter().map(|(path, text, _)| (path.as_path(), text.as_str())).collect();
        let mentions = mention::named(&start, &candidates);
        let first = start.len();
        let name = |place: usize| {
            let known = self.all.get(place).map(|file| &file.path);
            known.unwrap_or_else(|| &found[place - first].0).clone()
        };
        let mut by: Vec<Option<(PathBuf, Way)>> = vec![None; first + found.len()];
        for Mention { script, by: place, way } in mentions {
            by[script] = Some((name(place), way));
        }
        let of_found = by.split_off(first);
        for (file, by) in self.all.iter_mut().zip(by) {
            file.kept_from = by;
        }
        for ((path, text, shared), by) in found.into_iter().zip(of_found) {
            if let Some((named_by, way)) = by {
                let snippet = beside(&path, &text, shared);
                let shared = shared.dir.clone();
                self.push(ScriptFile {
                    path,
                    text,
                    snippet,
                    shared,
                    name: None,
                    kept_from: (way != Way::Started).then(|| (named_by.clone(), way)),
                    named_by: Some(named_by),
                    is_moved: false,
                });
            } else if script::compiles(&text) {
                self.unnamed.push(path);
            }
        }
    }
}

/// How a script that anybody starts, from anywhere, finds the snippet: by its own place.
fn beside(path: &Path, text: &str, shared: &Shared) -> String {
    let own = match text.lines().next() {
        Some(first) if first.starts_with("#!") && first.contains("bash") => "${BASH_SOURCE[0]}",
        Some(first) if first.starts_with("#!") => "$0",
        _ => return format!("{}/larder.sh", shared.seen_as),
    };
    let below = path.parent().and_then(|dir| dir.strip_prefix(&shared.dir).ok());
    let Some(below) = below else { return format!("{}/larder.sh", shared.seen_as) };
    let up = "../".repeat(below.components().count());
    format!("$(dirname \"{own}\")/{up}larder.sh")
}

/// The project's name where scripts compile in the directory that they start in: that of its package,
/// or of the directory.
fn start_name(dir: &Path) -> Option<String> {
    let manifest = regular::text(&dir.join("Cargo.toml")).ok();
    let package = manifest.and_then(|text| {
        let table: toml::Table = text.parse().ok()?;
        Some(table.get("package")?.get("name")?.as_str()?.to_owned())
    });
    let compiles = dir.join("Cargo.toml").exists() || dir.join("go.mod").exists();
    let own = || script::project_name(dir).filter(|_| compiles);
    package.and_then(|name| script::project_name(Path::new(&name))).or_else(own)
}
