//! Which scripts other scripts name by a path, in part by variables. Pure.
//!
//! What starts a component by a path in variables is reached by no plain word; but the path is written down, with
//! names in it. It is compared with the paths that there are, part by part from its end. A name is no proof that
//! the script is started: this is as far as words tell.

use std::collections::BTreeMap;
use std::path::Path;

use super::scope::{is_name, leading};

/// Which of the candidates are named, by way of each other, beginning with what `start` says: each with the
/// place of the file that names it, in `start` or, counted on, among the candidates.
pub(crate) fn named(start: &[(&Path, &str)], candidates: &[(&Path, &str)]) -> Vec<(usize, usize)> {
    let mut known: Vec<(usize, Names)> = Vec::new();
    for (place, (path, text)) in start.iter().enumerate() {
        known.push((place, Names::of(path, text)));
    }
    let mut found: Vec<(usize, usize)> = Vec::new();
    loop {
        let new: Vec<(usize, usize)> = (0..candidates.len())
            .filter(|index| found.iter().all(|(known, _)| known != index))
            .filter_map(|index| Some((index, who_names(index, candidates, &known)?)))
            .collect();
        if new.is_empty() {
            return found;
        }
        for (index, _) in &new {
            let (path, text) = candidates[*index];
            known.push((start.len() + index, Names::of(path, text)));
        }
        found.extend(new);
    }
}

/// What a file names.
struct Names<'a> {
    dir: Option<&'a Path>,
    /// Its text without comments and quotes.
    code: String,
    /// The paths in it, with what its variables hold.
    paths: Vec<String>,
}

impl<'a> Names<'a> {
    fn of(path: &'a Path, text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let code = lines.fold(String::new(), |code, line| code + line + "\n");
        let code = code.replace(['"', '\''], "");
        let variables = variables(&code);
        let paths = words(&code).filter(|word| word.contains('/'));
        let mut paths: Vec<String> = paths.flat_map(|word| forms(word, &variables)).collect();
        paths.sort_unstable();
        paths.dedup();
        Self { dir: path.parent(), code, paths }
    }
}

/// What may be a path with variables, behind the name and `=` of an assignment.
fn words(code: &str) -> impl Iterator<Item = &str> {
    let part = |one: char| one.is_ascii_alphanumeric() || "_./${}*+@-".contains(one);
    code.split(move |one| !part(one)).filter(|word| !word.is_empty())
}

/// Variables that are given one path, and no other.
fn variables(code: &str) -> BTreeMap<&str, Option<&str>> {
    let mut variables = BTreeMap::new();
    for word in code.split([' ', '\t', '\n', ';']) {
        let Some((name, value)) = word.split_once('=').filter(|(name, _)| is_name(name)) else {
            continue;
        };
        let plain = words(value).next() == Some(value) && value.contains('/');
        let value = plain.then_some(value);
        variables.entry(name).and_modify(|known| *known = None).or_insert(value);
    }
    variables
}

/// A path as it is written, and with what its first variable holds: what is mounted elsewhere has another name there.
fn forms(word: &str, variables: &BTreeMap<&str, Option<&str>>) -> Vec<String> {
    let mut forms = vec![word.to_owned()];
    // A variable may hold a path that begins with another one.
    for _ in 0..4 {
        let longer = forms.last().and_then(|path| leading(path)).and_then(|(name, rest)| {
            let value = variables.get(name).copied().flatten()?;
            Some(format!("{value}{rest}"))
        });
        let Some(longer) = longer else { break };
        forms.push(longer);
    }
    forms
}

fn who_names(
    index: usize,
    candidates: &[(&Path, &str)],
    known: &[(usize, Names)],
) -> Option<usize> {
    let path = candidates[index].0;
    let same = candidates.iter().filter(|(other, _)| other.file_name() == path.file_name());
    let alone = same.count() == 1;
    let is_word =
        |word: &str| known.iter().any(|(_, names)| words(&names.code).any(|one| one == word));
    let by = |names: &Names| {
        let near = names.dir.is_some() && names.dir == path.parent();
        names.paths.iter().any(|named| fits(named, path, near, alone, &is_word))
    };
    known.iter().find(|(_, names)| by(names)).map(|(place, _)| *place)
}

/// Whether a path with variables is that of a file. What a variable would have to hold has to be a word somewhere;
/// where no directory is named, the file has to be beside, or the only one of its name.
fn fits(
    named: &str,
    path: &Path,
    near: bool,
    alone: bool,
    is_word: &impl Fn(&str) -> bool,
) -> bool {
    let parts: Vec<&str> = named.split('/').filter(|part| *part != ".").collect();
    let mut own = path.components().rev().filter_map(|part| part.as_os_str().to_str());
    let mut bound: BTreeMap<&str, String> = BTreeMap::new();
    let mut directories = 0;
    let mut literal = false;
    for (index, part) in parts.iter().enumerate().rev() {
        let is_last = index + 1 == parts.len();
        let is_open = part.is_empty()
            || *part == ".."
            || leading(part).is_some_and(|(_, rest)| rest.is_empty());
        if index == 0 && is_open && !is_last {
            break;
        }
        let Some(own) = own.next() else { return false };
        if !matches(part, own, &mut bound) {
            return false;
        }
        let is_literal = !part.contains(['$', '*']);
        directories += usize::from(is_literal && !is_last);
        literal |= is_literal && is_last;
    }
    let place = directories > 0 || near || literal && alone && named.starts_with(['$', '/']);
    place && bound.values().all(|word| is_word(word))
}

/// Whether one part of a path is a name: a variable or `*` in it holds the rest, each time the same.
fn matches<'a>(part: &'a str, own: &str, bound: &mut BTreeMap<&'a str, String>) -> bool {
    let Some(at) = part.find(['$', '*']) else { return part == own };
    let (before, rest) = part.split_at(at);
    let (variable, after) = match rest.strip_prefix('*') {
        Some(after) => (None, after),
        None => match leading(rest) {
            Some((name, after)) => (Some(name), after),
            None => return false,
        },
    };
    let inner = own.strip_prefix(before).and_then(|own| own.strip_suffix(after));
    let Some(inner) = inner.filter(|inner| !inner.is_empty()) else { return false };
    let Some(name) = variable else { return true };
    bound.entry(name).or_insert_with(|| inner.to_owned()) == inner
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(start: &str, candidates: &[(&str, &str)]) -> Vec<String> {
        let candidates: Vec<(&Path, &str)> =
            candidates.iter().map(|(path, text)| (Path::new(*path), *text)).collect();
        let found = named(&[(Path::new("os/mkosi.build"), start)], &candidates);
        let mut names: Vec<String> =
            found.iter().map(|(index, _)| candidates[*index].0.display().to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_named_is_followed_and_nothing_else() {
        let files = [
            (
                "os/scripts/all.sh",
                "list=(\n  rust\n tools)\nfor c in $list; do run $c; done\n. \"$S/scripts/frame.sh\"\n",
            ),
            (
                "os/scripts/frame.sh",
                "DIR=\"$S/parts\"\nrun() {\n  HERE=\"$DIR/$name\"\n  f=\"$HERE/$name.sh\"\n. \"$f\"; }\n",
            ),
            ("os/parts/rust/rust.sh", "build() { \"$HERE/rust-build.sh\"; install x; }\n"),
            ("os/parts/rust/rust-build.sh", "cargo build\n"),
            ("os/parts/other/other.sh", "cargo build\n"),
            ("os/parts/rust/build.sh", "cargo build\n"),
            ("scripts/install.sh", "cargo build\n"),
            ("tools/tools.sh", "cargo build\n"),
            ("os/build.sh", "cargo build\n"),
        ];
        let start = "# tools/tools.sh, os/build.sh\nSELF=\"$SRCDIR/tree/os\"\n\"$SELF/scripts/all.sh\" x\ncp build.sh y\n";
        let wanted = [
            "os/parts/rust/rust-build.sh",
            "os/parts/rust/rust.sh",
            "os/scripts/all.sh",
            "os/scripts/frame.sh",
        ];
        assert_eq!(names(start, &files), wanted);
    }

    #[test]
    fn a_name_that_several_have_needs_its_directory() {
        let files = [("p/a/build.sh", "cargo build\n"), ("p/b/build.sh", "cargo build\n")];
        let none: [&str; 0] = [];
        assert_eq!(names("./build.sh; $X/build.sh; build.sh\n", &files), none);
        assert_eq!(names("for c in a; do p/$c/build.sh; done\n", &files), ["p/a/build.sh"]);
        assert_eq!(names("\"$R\"/b/build.sh\n", &files), ["p/b/build.sh"]);
        assert_eq!(names("for c in ./p/*/build.sh; do $c; done\n", &files).len(), 2);
        assert_eq!(names("\"$(dirname \"$0\")/only.sh\"\n", &[("x/only.sh", "")]), ["x/only.sh"]);
        assert_eq!(
            names("./beside.sh\n", &[("os/beside.sh", ""), ("x/beside.sh", "")]),
            ["os/beside.sh"]
        );
        assert_eq!(names("$R/rebuild.sh p/a/build.sh.txt\n", &files), none);
    }
}
