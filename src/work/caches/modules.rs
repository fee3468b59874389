//! Go's module cache: a module is what its checksum says, or it goes as a whole.
//!
//! `<module>@<version>/` holds the files, read-only; `cache/download/<module>/@v/<version>.ziphash` their
//! checksum (`cmd/go/internal/modfetch/cache.go`, Go 1.19), as `go mod verify` compares them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use sha2::{Digest, Sha256};

use super::not_as_left as files_not_as_left;
use crate::base::encoding::{base64, hexadecimal};
use crate::base::path_error::At;
use crate::base::regular;
use crate::base::tree::{ChangeKind, Node, Tree};
use crate::work::situation::Seen;

/// Where Go keeps what it downloaded as it was.
const DOWNLOAD: &str = "cache/download";

/// What is not as it was left: single downloads, and otherwise whole modules and repositories.
pub(super) fn not_as_left(now: &Tree, before: &Tree) -> Vec<PathBuf> {
    let removed = now.changes_since(before).into_iter();
    let removed = removed.filter(|change| change.kind == ChangeKind::Removed);
    // Of a module from which something is missing, Go uses the rest.
    let broken =
        removed.filter_map(|change| whole(&change.path)).filter(|whole| now.get(whole).is_some());
    let others = files_not_as_left(now, before).into_iter();
    let others = others.map(|path| whole(&path).unwrap_or(path));
    others.chain(broken).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The module or the repository that a path belongs to; none for a download.
fn whole(path: &Path) -> Option<PathBuf> {
    let mut whole = PathBuf::new();
    for component in path.components() {
        let Component::Normal(name) = component else { return None };
        let is_repository = whole == Path::new("cache/vcs");
        whole.push(name);
        if whole == Path::new(DOWNLOAD) {
            return None;
        }
        if is_repository || name.as_bytes().contains(&b'@') {
            return Some(whole);
        }
    }
    None
}

/// Leaves out of an observation what was changed by others than Go, so that it goes the next time:
/// modules that are new or other, and not what their checksum says, and downloads that are other.
pub(super) fn forget_changed(kept: &Path, now: &mut Tree, before: &Tree) -> Result<()> {
    let changes = now.changes_since(before);
    let is_download = |path: &Path| path.starts_with(DOWNLOAD);
    let endings = ["info", "mod", "zip", "ziphash"];
    let mut doubtful: BTreeSet<PathBuf> = changes
        .iter()
        .filter(|change| change.kind == ChangeKind::Changed && is_download(&change.path))
        .filter(|change| endings.iter().any(|end| change.path.extension() == Some(OsStr::new(end))))
        .map(|change| change.path.clone())
        .collect();
    let modules: BTreeSet<PathBuf> = changes
        .iter()
        .filter_map(|change| whole(&change.path))
        .filter(|module| !module.starts_with("cache"))
        .collect();
    for module in modules {
        if !is_as_its_checksum(kept, &module, now)? {
            doubtful.insert(module);
        }
    }
    for path in doubtful {
        now.forget(&path);
    }
    Ok(())
}

/// No file of a module is larger (`golang.org/x/mod/zip`, `MaxZipFile`).
const LARGEST: u64 = 500 << 20;

/// One of Go's own notes.
fn note(path: &Path) -> std::io::Result<String> {
    Ok(String::from_utf8_lossy(&regular::read_own(path, regular::TEXT)?).into_owned())
}

fn is_as_its_checksum(kept: &Path, module: &Path, tree: &Tree) -> Result<bool> {
    let text = module.to_string_lossy();
    let Some((name, version)) = text.rsplit_once('@') else { return Ok(false) };
    let record = kept.join(DOWNLOAD).join(name).join("@v").join(format!("{version}.ziphash"));
    let Ok(recorded) = note(&record) else { return Ok(false) };
    Ok(recorded.trim() == checksum(kept, module, &unescaped(&text), tree)?)
}

/// The checksum of a module as `go.sum` has it (`golang.org/x/mod/sumdb/dirhash`, `Hash1`).
fn checksum(kept: &Path, module: &Path, name: &str, tree: &Tree) -> Result<String> {
    let mut lines: Vec<(String, PathBuf)> = Vec::new();
    let inside = tree.iter().filter(|(_, entry)| entry.node != Node::Directory);
    for (path, _) in inside {
        if let Ok(file) = path.strip_prefix(module) {
            lines.push((format!("{name}/{}", file.display()), kept.join(&path)));
        }
    }
    lines.sort();
    let mut all = Sha256::new();
    for (name, path) in lines {
        let text = regular::read_own(&path, LARGEST).at("read", &path)?;
        all.update(format!("{}  {name}\n", hexadecimal(&Sha256::digest(text))));
    }
    Ok(format!("h1:{}", base64(&all.finalize())))
}

/// `!x` stands for `X` in directories (`golang.org/x/mod/module`, `UnescapePath`).
fn unescaped(path: &str) -> String {
    let mut text = String::new();
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '!' => text.extend(letters.next().map(|next| next.to_ascii_uppercase())),
            other => text.push(other),
        }
    }
    text
}

fn escaped(path: &str) -> String {
    let mut text = String::new();
    for letter in path.chars() {
        if letter.is_ascii_uppercase() {
            text.push('!');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// Modules for which a `go.sum` that changed has another checksum than what was downloaded, with all
/// that was downloaded of that version. A cold build would download them as they are now.
pub(super) fn outdated(kept: &Path, source: &Path, seen: &Seen) -> Vec<PathBuf> {
    let changes = seen.source_changes();
    let changed = changes.iter().flat_map(|changes| &changes.checkout);
    let sums = changed.filter(|change| {
        ["go.sum", "go.work.sum"]
            .iter()
            .any(|name| change.path.file_name() == Some(OsStr::new(name)))
    });
    let mut outdated = Vec::new();
    for change in sums {
        let text = regular::text(&source.join(&change.path)).unwrap_or_default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(module), Some(version), Some(sum)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let (module, version) = (escaped(module), escaped(version));
            let versions = Path::new(DOWNLOAD).join(&module).join("@v");
            let is_plain = |text: &str| {
                Path::new(text).components().all(|it| matches!(it, Component::Normal(_)))
            };
            if !is_plain(&module) || !is_plain(&version) {
                continue;
            }
            let known = note(&kept.join(&versions).join(format!("{version}.ziphash")));
            if known.is_ok_and(|known| known.trim() != sum) {
                outdated.push(PathBuf::from(format!("{module}@{version}")));
                for ending in ["info", "lock", "mod", "zip", "ziphash"] {
                    outdated.push(versions.join(format!("{version}.{ending}")));
                }
            }
        }
    }
    outdated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_belongs_to_its_module() {
        let of = |path: &str| whole(Path::new(path)).map(|it| it.display().to_string());
        assert_eq!(of("a.org/b@v1.2.3/c/d.go").as_deref(), Some("a.org/b@v1.2.3"));
        assert_eq!(of("cache/download/a.org/b/@v/v1.2.3.zip"), None);
        assert_eq!(of("cache/vcs/0123/objects/x").as_deref(), Some("cache/vcs/0123"));
        assert_eq!(of("cache/lock"), None);
    }

    #[test]
    fn names_are_those_of_go() {
        assert_eq!(
            unescaped("github.com/!burnt!sushi/toml@v1.2.0"),
            "github.com/BurntSushi/toml@v1.2.0"
        );
        assert_eq!(escaped("github.com/BurntSushi/toml"), "github.com/!burnt!sushi/toml");
    }
}
