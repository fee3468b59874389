//! Rules of this repository that no other tool checks.

mod imports;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file is at most this long, its tests not counted.
const LONGEST: usize = 400;

/// The wings of `src`, in their order: each imports only from those before it.
const WINGS: [&str; 9] =
    ["base", "output", "image", "observe", "decide", "store", "host", "work", "face"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All text files below a directory of the repository, by their relative paths.
fn files(below: &str) -> Vec<(PathBuf, String)> {
    let wanted = |item: &walkdir::DirEntry| {
        let name = item.file_name().to_string_lossy();
        let outside = ["target", ".git"].contains(&name.as_ref()) || name.starts_with("mkosi.");
        item.depth() == 0 || !(item.file_type().is_dir() && outside && name != "mkosi.conf.d")
    };
    let walk = walkdir::WalkDir::new(root().join(below)).sort_by_file_name().into_iter();
    let found = walk.filter_entry(wanted).map(Result::unwrap);
    let plain = found.filter(|item| item.file_type().is_file()).filter_map(|item| {
        let text = fs::read_to_string(item.path()).ok()?;
        Some((item.path().strip_prefix(root()).unwrap().to_owned(), text))
    });
    let plain: Vec<_> = plain.collect();
    assert!(!plain.is_empty(), "no files below {below}");
    plain
}

/// The sources without their tests: files that are nothing but tests are left out.
fn sources() -> Vec<(PathBuf, Vec<String>)> {
    let rust = files("src").into_iter().filter(|(path, _)| {
        path.extension().is_some_and(|extension| extension == "rs")
            && path.file_name().is_some_and(|name| name != "tests.rs")
            && !path.components().any(|part| part.as_os_str() == "tests")
    });
    let cut = |text: &str| text.lines().take_while(|line| *line != "#[cfg(test)]").count();
    let without_tests = rust.map(|(path, text)| {
        // A declaration such as `mod tests;` is no reason to stop.
        let inline = text.contains("#[cfg(test)]\nmod tests {");
        let kept = if inline { cut(&text) } else { usize::MAX };
        (path, text.lines().take(kept).map(str::to_owned).collect())
    });
    without_tests.collect()
}

fn nothing(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

fn places(path: &Path, lines: &[String], bad: impl Fn(&str) -> bool) -> Vec<String> {
    let numbered = lines.iter().enumerate().filter(|(_, line)| bad(line));
    numbered.map(|(index, line)| format!("{}:{}: {line}", path.display(), index + 1)).collect()
}

#[test]
fn no_source_file_is_long() {
    let long = sources().into_iter().filter(|(_, lines)| lines.len() > LONGEST);
    let long: Vec<String> =
        long.map(|(path, lines)| format!("{}: {}", path.display(), lines.len())).collect();
    nothing("source files have at most 400 lines without their tests", &long);
}

/// The wing that a source file is in; nothing for `lib.rs` and `main.rs`.
fn wing(path: &Path) -> Option<usize> {
    let name = path.components().nth(1)?.as_os_str().to_str()?;
    WINGS.iter().position(|wing| *wing == name.trim_end_matches(".rs"))
}

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for (path, lines) in sources() {
        let Some(own) = wing(&path) else { continue };
        wrong.extend(places(&path, &lines, |line| {
            line.split("crate::").skip(1).any(|rest| {
                let name = rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
                let name = name.into_iter().next().unwrap_or_default();
                WINGS.iter().position(|wing| *wing == name).is_none_or(|other| other > own)
            })
        }));
    }
    nothing(
        "a wing imports only from those before it (base, output, image, observe, decide, store, host, work, \
         face), by `crate::<wing>::…`; move the type to the first wing that needs it, or hand the value in",
        &wrong,
    );
}

#[test]
fn the_wings_are_all_there_is() {
    let names = sources().into_iter().map(|(path, _)| path);
    let strangers: Vec<String> = names
        .filter(|path| {
            let is_root = ["src/lib.rs", "src/main.rs"].iter().any(|root| path == Path::new(root));
            wing(path).is_none() && !is_root
        })
        .map(|path| path.display().to_string())
        .collect();
    nothing("every source file is in a wing", &strangers);
}

#[test]
fn files_import_in_no_circle() {
    let graph = imports::graph();
    assert!(graph.values().any(|others| !others.is_empty()), "no imports were found");
    let mut circles = Vec::new();
    for from in graph.keys() {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(file) = next.pop() {
            let ahead = graph.get(file).into_iter().flatten();
            next.extend(ahead.filter(|file| seen.insert(*file)));
        }
        if seen.contains(from) {
            circles.push(format!("{from}: imports {:?}", graph[from]));
        }
    }
    nothing(
        "no file imports one that imports it again; move what both need beside or above them",
        &circles,
    );
}

#[test]
fn every_source_file_says_what_it_is() {
    let silent = files("src").into_iter().filter(|(path, text)| {
        path.extension().is_some_and(|extension| extension == "rs") && !text.starts_with("//! ")
    });
    let silent: Vec<String> = silent.map(|(path, _)| path.display().to_string()).collect();
    nothing("every file in src/ begins with module documentation", &silent);
}

#[test]
fn nothing_is_printed_or_unwrapped_in_passing() {
    const BAD: [&str; 7] =
        ["println!", "eprintln!", "dbg!", "todo!", "unimplemented!", ".unwrap()", ".expect("];
    let is_bad = |line: &str| {
        let code = line.trim_start();
        !code.starts_with("//") && BAD.iter().any(|bad| code.contains(bad))
    };
    let bad: Vec<String> =
        sources().iter().flat_map(|(path, lines)| places(path, lines, is_bad)).collect();
    nothing("only the output room prints; nothing outside tests panics on purpose", &bad);
}

/// The rooms that the map in `ARCHITECTURE.md` marks, as `wing/room`.
fn marked_rooms() -> BTreeSet<String> {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, map) = map.split_once("\nbase/").expect("a map");
    let (map, _) = map.split_once("```").expect("its end");
    let (mut wing, mut marked) = ("base", BTreeSet::new());
    for line in map.lines().skip(1) {
        let name = line.split_whitespace().next().unwrap_or_default();
        match name.strip_suffix('/') {
            Some(next) => wing = next,
            None if line.contains(" ◆ ") => drop(marked.insert(format!("{wing}/{name}"))),
            None => {}
        }
    }
    marked
}

#[test]
fn the_rooms_with_effects_are_those_of_the_map() {
    let has_effect = |lines: &[String]| {
        // Not an `expect` of a single item: whoever opens a file sees what it does.
        let text: String = lines.iter().flat_map(|line| line.split_whitespace()).collect();
        text.contains("#![expect(clippy::disallowed_methods")
    };
    let with_effects =
        sources().into_iter().filter(|(path, lines)| wing(path).is_some() && has_effect(lines));
    let rooms: BTreeSet<String> = with_effects
        .map(|(path, _)| {
            let room: PathBuf = path.with_extension("").components().skip(1).take(2).collect();
            room.display().to_string()
        })
        .collect();
    let marked = marked_rooms();
    assert!(!marked.is_empty(), "the map in ARCHITECTURE.md marks no room");
    let wrong: Vec<String> = rooms.symmetric_difference(&marked).cloned().collect();
    nothing(
        "a room whose files expect `clippy::disallowed_methods` has a ◆ in the map in ARCHITECTURE.md, \
         and no other; move the effect to a room that has one",
        &wrong,
    );
    let pure =
        rooms.iter().filter(|room| ["decide/", "image/"].iter().any(|it| room.starts_with(it)));
    nothing("decide and image are pure", &pure.cloned().collect::<Vec<_>>());
}

#[test]
fn no_effect_is_expected_in_passing() {
    let is_bad = |line: &str| {
        let code = line.trim_start();
        let is_lint = code.contains("clippy::disallowed_methods");
        is_lint && (code.starts_with("#[") || code.contains("allow("))
    };
    let bad: Vec<String> =
        sources().iter().flat_map(|(path, lines)| places(path, lines, is_bad)).collect();
    nothing("effects are expected at the top of a file, for the whole of it", &bad);
}

#[test]
fn shell_scripts_stop_at_the_first_failure() {
    const TRACED: &str = "set -euxo pipefail";
    let mut wrong = Vec::new();
    for (path, text) in files(".") {
        let first = text.lines().next().unwrap_or_default();
        let is_script = first.starts_with("#!") && first.ends_with("sh");
        let is_sourced = path.extension().is_some_and(|extension| extension == "sh");
        if is_script {
            let code = text.lines().find(|line| !line.is_empty() && !line.starts_with('#'));
            // dpkg's are for Debian's own shell; image repositories have their scripts say what they do.
            let wanted = if path.starts_with("packaging") {
                ("#!/bin/sh", Some("set -eu"))
            } else if path.starts_with("examples/fleet/modules") && code == Some(TRACED) {
                ("#!/usr/bin/env bash", code)
            } else {
                ("#!/usr/bin/env bash", Some("set -euo pipefail"))
            };
            if (first, code) != wanted {
                wrong.push(path.display().to_string());
            }
        } else if is_sourced && !first.starts_with("# shellcheck shell=") {
            wrong.push(path.display().to_string());
        }
    }
    nothing(
        "scripts are bash and begin with `set -euo pipefail`, dpkg's are sh with `set -eu`; files to be \
         sourced name their shell for shellcheck",
        &wrong,
    );
}

#[test]
fn what_a_build_script_sources_is_posix() {
    for (path, text) in files("mkosi-snippets") {
        assert!(text.starts_with("# shellcheck shell=sh\n"), "{}", path.display());
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            // A variable like any other, which only bash sets.
            let line = line.replace("${BASH_SOURCE:-}", "");
            for bashism in ["[[", "local ", "function ", "+=", "pipefail", "BASH"] {
                assert!(!line.contains(bashism), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn lines_end_where_their_text_ends() {
    let mut wrong = Vec::new();
    // What `tests/formats` holds is bytes, as they are on disk.
    let texts = files(".").into_iter().filter(|(path, _)| !path.starts_with("tests/formats"));
    for (path, text) in texts {
        let lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        wrong.extend(places(&path, &lines, |line| line.ends_with([' ', '\t', '\r'])));
        if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
            wrong.push(format!("{}: ends without one newline", path.display()));
        }
    }
    nothing("no trailing whitespace, and one newline at the end", &wrong);
}
