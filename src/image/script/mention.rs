//! Which scripts other scripts name by a path, in part by variables. Pure.
//!
//! What starts a component by a path in variables is reached by no plain word; but the path is written down, with
//! names in it. It is compared with the paths that there are, part by part from its end. A name is no proof that
//! the script is started: this is as far as words tell.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::scope::{is_name, leading};
use super::start::{self, Uses};

/// A script that another one names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    /// The place of the script, in `start` or, counted on, among the candidates.
    pub script: usize,
    /// That of the one that names it.
    pub by: usize,
    pub way: Way,
}

/// What the words say of a script that they name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It is started or sourced by what is started itself, and copied by nobody.
    Started,
    /// It is copied, linked to or read by a program: what is in it may come to be elsewhere.
    Copied,
    /// It is named, and nothing tells what for.
    Named,
}

/// Which of the candidates are named, by way of each other, beginning with what `start` says; and which of `start`
/// are copied besides.
pub(crate) fn named(start: &[(&Path, &str)], candidates: &[(&Path, &str)]) -> Vec<Mention> {
    let all = [start, candidates].concat();
    let mut search = Search { all: &all, known: Vec::new() };
    search
        .known
        .extend((0..start.len()).map(|place| (place, Names::of(all[place].0, all[place].1))));
    let mut found: Vec<Mention> = Vec::new();
    loop {
        let is_new = |place: &usize| found.iter().all(|known| known.script != *place);
        let new: Vec<Mention> = (start.len()..all.len())
            .filter(is_new)
            .filter_map(|script| {
                let by = search.who(script, |names| names.paths.as_slice(), |_| true)?;
                Some(Mention { script, by, way: Way::Named })
            })
            .collect();
        if new.is_empty() {
            break;
        }
        for Mention { script, .. } in &new {
            search.known.push((*script, Names::of(all[*script].0, all[*script].1)));
        }
        found.extend(new);
    }
    search.follow_starts(start.len(), &mut found);
    let copied = |script| {
        let by = search.who(script, |names| names.copied.as_slice(), |_| true)?;
        Some(Mention { script, by, way: Way::Copied })
    };
    for mention in &mut found {
        *mention = copied(mention.script).unwrap_or_else(|| mention.clone());
    }
    found.extend((0..start.len()).filter_map(copied));
    found
}

/// All scripts, and what those name that are known.
struct Search<'a> {
    all: &'a [(&'a Path, &'a str)],
    known: Vec<(usize, Names<'a>)>,
}

impl Search<'_> {
    /// Which of the known scripts uses another one in some way.
    fn who(
        &self,
        script: usize,
        uses: impl for<'b> Fn(&'b Names) -> &'b [String],
        counts: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let path = self.all[script].0;
        let same = self.all.iter().filter(|(other, _)| other.file_name() == path.file_name());
        let alone = same.count() == 1;
        let is_word = |word: &str| {
            self.known.iter().any(|(_, names)| words(&names.code).any(|one| one == word))
        };
        let by = |(place, names): &&(usize, Names)| {
            let near = names.dir.is_some() && names.dir == path.parent();
            *place != script
                && counts(*place)
                && uses(names).iter().any(|named| fits(named, path, near, alone, &is_word))
        };
        self.known.iter().find(by).map(|(place, _)| *place)
    }

    /// Marks what is started, by way of each other, beginning with the first scripts.
    fn follow_starts(&self, first: usize, found: &mut [Mention]) {
        let mut started: BTreeSet<usize> = (0..first).collect();
        loop {
            let mut is_done = true;
            for mention in found.iter_mut().filter(|mention| mention.way == Way::Named) {
                let counts = |place| started.contains(&place);
                if let Some(by) = self.who(mention.script, |names| names.started.as_slice(), counts)
                {
                    *mention = Mention { by, way: Way::Started, ..*mention };
                    started.insert(mention.script);
                    is_done = false;
                }
            }
            if is_done {
                return;
            }
        }
    }
}

/// What a file names.
struct Names<'a> {
    dir: Option<&'a Path>,
    /// Its text without comments and quotes.
    code: String,
    /// The paths in it, with what its variables hold.
    paths: Vec<String>,
    /// Those of them that it starts.
    started: Vec<String>,
    /// Those of them that it copies.
    copied: Vec<String>,
}

impl<'a> Names<'a> {
    fn of(path: &'a Path, text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let code = lines.fold(String::new(), |code, line| code + line + "\n");
        let code = code.replace(['"', '\''], "");
        let variables = variables(&code);
        let paths = |text: &str| {
            let all = words(text).flat_map(|word| forms(word, &variables));
            let mut paths: Vec<String> = all.filter(|path| path.contains('/')).collect();
            paths.sort_unstable();
            paths.dedup();
            paths
        };
        let Uses { started, copied, .. } = start::uses(text);
        let [named, started, copied] =
            [paths(&code), paths(&started.join(" ")), paths(&copied.join(" "))];
        Self { dir: path.parent(), code, paths: named, started, copied }
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
    let (mut directories, mut literal) = (0, false);
    // `$from/*` is the name of nothing.
    let is_open =
        |part: &str| part == "*" || leading(part).is_some_and(|(_, rest)| rest.is_empty());
    let near = near && parts.last().is_some_and(|part| !is_open(part));
    for (index, part) in parts.iter().enumerate().rev() {
        let is_last = index + 1 == parts.len();
        let is_above = part.is_empty() || *part == ".." || is_open(part);
        if index == 0 && is_above && !is_last {
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
        let name = |mention: &Mention| {
            let sign = match mention.way {
                Way::Started => "",
                Way::Copied => " copied",
                Way::Named => " named",
            };
            mention
                .script
                .checked_sub(1)
                .map_or("start".into(), |at| candidates[at].0.display().to_string())
                + sign
        };
        let mut names: Vec<String> = found.iter().map(name).collect();
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

    #[test]
    fn what_is_only_named_or_copied_is_told_from_what_is_started() {
        let files = [("os/a.sh", "b=$HERE/parts/b.sh\n$b\n"), ("os/parts/b.sh", "cargo build\n")];
        assert_eq!(names("./a.sh\n", &files), ["os/a.sh", "os/parts/b.sh"]);
        // What is started by what nobody starts is started by nobody.
        assert_eq!(names("echo ./a.sh\n", &files), ["os/a.sh named", "os/parts/b.sh named"]);
        for copy in ["install -m 755 ./a.sh x", "cat ./a.sh | sh", "sh < ./a.sh"] {
            assert_eq!(names(&format!("{copy}\n./a.sh\n"), &files)[0], "os/a.sh copied", "{copy}");
        }
        assert_eq!(names("./a.sh\ncp -r \"$from\"/* x\n", &files)[0], "os/a.sh");
        assert_eq!(names("os/a.sh\ncp -r os/* x\n", &files)[0], "os/a.sh copied");
        let alone = [("os/a.sh", "cp ./mkosi.build /tmp\n")];
        assert_eq!(names(". ./a.sh\n", &alone), ["os/a.sh", "start copied"]);
    }
}
