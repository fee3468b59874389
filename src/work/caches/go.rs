//! The part of the sources that Go does not look at by itself, and what follows when it changes.
//!
//! Go names what it compiles by the content of the package's own files, of the tools and of the flags.
//! With cgo a C compiler reads more: headers and libraries anywhere in the checkout. `go help cache` says
//! that it does not see those. So a change of them empties Go's build cache (decision 47).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::memory::Memory;
use crate::base::moment::Moment;
use crate::base::regular;
use crate::base::tree::{Change, ChangeKind, Made, Node, Tree};
use crate::base::{atomic, fault};
use crate::decide::reconcile::some_of;
use crate::observe::sources::{self, SourceChanges, Where};
use crate::work::situation::{Begun, Seen};

/// In Go's build cache: results of tests from before this moment are not used (`cmd/go/internal/clean`,
/// Go 1.19).
pub(super) const EXPIRY: &str = "testexpire.txt";

/// Endings of files that a C compiler, an assembler or a linker reads.
const FOR_C: [&str; 28] = [
    "S", "a", "asm", "c", "cc", "cpp", "cxx", "def", "f", "f90", "h", "hh", "hpp", "hxx", "i",
    "inc", "inl", "ipp", "ld", "lds", "m", "mm", "o", "pc", "s", "so", "syso", "tcc",
];

/// How Go is used.
pub(super) struct Settings {
    /// `go.work`, as seen from here.
    pub workspace: Option<PathBuf>,
}

/// What is to be done about the sources.
pub(super) struct Judged {
    /// Why the build cache has to be emptied.
    pub why: Vec<String>,
    /// What is known of the sources from now on.
    pub memory: Memory,
}

/// Looks at the sources as Go is going to see them.
pub(super) fn judge(
    settings: &Settings,
    place: &Where,
    seen: &Seen,
    before: &Memory,
) -> Result<Judged> {
    let checkout = &seen.state.checkout;
    let mut memory = before.clone();
    let is_cgo = |path: &Path| {
        // One that cannot be read cannot be compiled either.
        regular::read(&place.source.join(path), regular::TEXT).is_ok_and(|text| imports_c(&text))
    };
    let mut why = Vec::new();
    let taken = memory.see(checkout, is_cgo);
    if !taken.is_empty() {
        let names: Vec<String> = taken.iter().map(|path| path.display().to_string()).collect();
        why.push(format!("the time of a file stood for another content: {}", some_of(names)));
    }
    memory.outside.clear();
    for (name, here) in outside(settings, place, checkout) {
        let known = before.outside.get(&name);
        let tree = Tree::observe(&here, known, |path, _| !path.ends_with(".git"))?;
        if known.is_some_and(|known| !tree.changes_since(known).is_empty()) {
            why.push(format!("a module outside of the checkout changed: {}", here.display()));
        }
        memory.outside.insert(name, tree);
    }
    if let Some(changes) = seen.source_changes() {
        why.extend(judge_changes(changes, &memory, checkout));
    }
    Ok(Judged { why, memory })
}

fn judge_changes(changes: &SourceChanges, memory: &Memory, checkout: &Tree) -> Vec<String> {
    let mut why = Vec::new();
    let has_cgo = memory.has_cgo(checkout);
    let counts = |change: &&Change| {
        let is_directory =
            checkout.get(&change.path).is_some_and(|entry| entry.node == Node::Directory);
        !is_directory && !is_made(&memory.made, checkout, change)
    };
    let changed: Vec<&Change> = changes.checkout.iter().filter(counts).collect();
    let unseen = changed.iter().filter(|change| {
        let is_go = change.path.extension() == Some(OsStr::new("go"));
        is_for_c(&change.path) || (has_cgo && !is_go)
    });
    let names: Vec<String> = unseen.map(|change| change.path.display().to_string()).collect();
    if !names.is_empty() {
        why.push(format!(
            "cgo may have read what changed in the checkout: {}",
            some_of(names.clone())
        ));
    }
    let others = !changes.git.is_empty()
        || !changes.variables.is_empty()
        || changes.source_date_epoch
        || !changes.dated.is_empty()
        || !changed.is_empty();
    if has_cgo && memory.makes_c && others && names.is_empty() {
        why.push("the build makes files for cgo, and what it makes them from changed".to_owned());
    }
    if !changes.outside.is_empty() {
        let names = changes.outside.iter().map(|path| path.display().to_string());
        let names: Vec<String> = names.collect();
        why.push(format!("outside of the checkout changed: {}", some_of(names)));
    }
    why
}

/// Whether a change is that a file is there, or is not, which the command itself makes.
fn is_made(made: &Made, checkout: &Tree, change: &Change) -> bool {
    let Some(made) = made.get(change.path.as_os_str().as_bytes()) else { return false };
    change.kind == ChangeKind::Removed
        || checkout.get(&change.path).is_some_and(|now| now.same_content(made))
}

fn is_for_c(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let ending = path.extension().unwrap_or_default();
    FOR_C.iter().any(|known| ending == *known) || name.contains(".so.")
}

/// Whether a Go file may import "C"; that it says so in a comment does no harm.
fn imports_c(text: &[u8]) -> bool {
    let has = |line: &[u8], what: &[u8]| memchr::memmem::find(line, what).is_some();
    text.split(|byte| *byte == b'\n').any(|line| {
        let line = line.trim_ascii_start();
        let names = |line: &[u8]| has(line, b"\"C\"") || has(line, b"`C`");
        line.starts_with(b"\"C\"")
            || line.starts_with(b"`C`")
            || (names(line) && (line.starts_with(b"import") || line.contains(&b';')))
    })
}

/// Modules outside of the checkout that `go.mod` and `go.work` name, as the compiler sees them and as
/// they are seen from here: Go knows their packages by times alone.
fn outside(settings: &Settings, place: &Where, checkout: &Tree) -> Vec<(Vec<u8>, PathBuf)> {
    let is_file = |name: &[u8]| name.ends_with(b".mod") || name == b"go.work";
    let mut open: Vec<PathBuf> = checkout
        .select(|name, _| is_file(name))
        .map(|(path, _)| place.source.join(path))
        .chain(settings.workspace.clone())
        .collect();
    let mut found: Vec<(Vec<u8>, PathBuf)> = Vec::new();
    while let Some(file) = open.pop() {
        let text = regular::text(&file).unwrap_or_default();
        let dir = file.parent().unwrap_or(Path::new("/"));
        for path in named(&text) {
            let path = Path::new(path);
            let path = if path.is_absolute() {
                place.real_of_compiler(path)
            } else {
                sources::plain(&dir.join(path))
            };
            let is_inside = path.starts_with(&place.source) || place.source.starts_with(&path);
            let key = place.seen_by_compiler(&path).as_os_str().as_bytes().to_vec();
            if is_inside || !path.is_dir() || found.iter().any(|(known, _)| *known == key) {
                continue;
            }
            open.push(path.join("go.mod"));
            found.push((key, path));
        }
    }
    found
}

/// The directories that a `go.mod` or a `go.work` names: they begin with `/`, `./` or `../`.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let words = lines.flat_map(str::split_whitespace).map(|word| word.trim_matches(['"', '`']));
    words.filter(|word| {
        word.starts_with('/') || word.starts_with("./") || word.starts_with("../") || *word == ".."
    })
}

/// Takes what the command wrote into the checkout into the memory.
pub(super) fn learn(memory: &mut Memory, place: &Where, begun: &Begun) -> Result<()> {
    let before = &begun.state.checkout;
    let after = sources::observe_checkout(place, before)?;
    memory.made.clear();
    for change in after.changes_since(before) {
        if let Some(entry) = after.get(&change.path).filter(|entry| entry.node != Node::Directory) {
            memory.made.insert(change.path.as_os_str().as_bytes().to_vec(), entry.clone());
        }
    }
    let paths = memory.made.keys().map(|path| Path::new(OsStr::from_bytes(path)));
    memory.makes_c = paths.into_iter().any(is_for_c);
    Ok(())
}

/// Makes Go run all tests again, as it would in a cold build.
pub(super) fn expire_tests(cache: &Path) -> Result<()> {
    let path = cache.join(EXPIRY);
    fault::point("caches.expire");
    // What a build left there is not written into.
    Ok(atomic::write(&path, format!("{}\n", Moment::now().0).as_bytes(), 0o644)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_of_c_are_found_however_they_are_written() {
        for text in [
            "package a\nimport \"C\"\n",
            "package a\nimport (\n\t\"fmt\"\n\t\"C\"\n)\n",
            "import(\"unsafe\"; \"C\")",
            "import `C`",
            "import (\n \"unsafe\"; \"C\"\n)",
        ] {
            assert!(imports_c(text.as_bytes()), "{text}");
        }
        assert!(!imports_c(b"package a\nvar degrees = \"C\"\nimport \"CX\"\n"));
    }

    #[test]
    fn modules_elsewhere_are_found() {
        let text = "module x\nreplace a => ../a // ../no\nreplace (\n b v1 => \"/b\"\n c => d v2\n)\nuse ./c\n";
        assert_eq!(named(text).collect::<Vec<_>>(), ["../a", "/b", "./c"]);
    }
}
