//! `docs/errors.md`: everything that larder says on stderr, and what to do.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::scan::{Kind, Message, Said, scan};

/// Where a message belongs: the command by which it is said, or the room. Paths are `wing/room/…`.
fn room(path: &str) -> String {
    let mut names = path.split('/');
    let wing = names.next().unwrap_or_default();
    match (names.next().unwrap_or(wing), names.next()) {
        ("commands", None) => "every command".to_owned(),
        ("commands", Some("named" | "pin")) => "larder pin, unpin, rm, explain".to_owned(),
        ("doctor", _) => "larder doctor".to_owned(),
        ("relocate", _) | ("commands", Some("moving")) => "larder move".to_owned(),
        ("project" | "session" | "command" | "link", _) | ("commands", Some("room")) => {
            "larder run".to_owned()
        }
        ("commands", Some(command)) => format!("larder {command}"),
        ("config" | "evict", _) => path.split('/').nth(1).unwrap_or_default().to_owned(),
        ("atomic", _) => "store".to_owned(),
        ("emit", Some(room)) => room.to_owned(),
        (room, _) => if wing == "store" { wing } else { room }.to_owned(),
    }
}

/// What the rooms are for, in words for those who do not know the sources.
const ROOMS: [(&str, &str); 29] = [
    ("larder run", "`larder run`, `verify`: before, beside and after the command"),
    ("larder verify", "`larder verify`"),
    ("larder init", "`larder init`"),
    ("larder doctor", "`larder doctor`"),
    ("larder status", "`larder status`"),
    ("larder explain", "`larder explain`"),
    (
        "larder pin, unpin, rm, explain",
        "`larder pin`, `unpin`, `rm`, `explain`: directories by their ids",
    ),
    ("larder rm", "`larder rm`"),
    ("larder move", "`larder move`"),
    ("larder man", "`larder man`"),
    ("larder probe", "Inside of a sandbox"),
    ("every command", "Every command"),
    ("names", "Names of projects"),
    ("digest", "Digests and ids"),
    ("config", "`larder.toml`"),
    ("quantity", "Sizes and times"),
    ("policy", "Limits and budgets"),
    ("store", "The store"),
    ("collect", "Collecting"),
    ("evict", "Deleting"),
    ("sweep", "Deleting inside of directories"),
    ("identity", "The toolchain and what else decides the bytes"),
    ("place", "The sandbox"),
    ("tree", "Reading files"),
    ("cargo_layout", "Cargo's target directory"),
    ("caches", "Caches of Go and ccache"),
    ("mkosi", "What mkosi says"),
    ("edit", "Changing build scripts"),
    ("foreign", "Paths in other programs' configuration"),
];

/// Its text in two: what, and what helps.
fn parted(message: &Message) -> (&str, Option<&str>) {
    if let Some(remedy) = &message.remedy {
        return (&message.text, Some(remedy));
    }
    match message.text.split_once("; ") {
        Some((what, remedy)) if message.kind != Kind::Note => (what, Some(remedy)),
        _ => (&message.text, None),
    }
}

/// Whether somebody who reads a message is left alone with it.
fn lacks_remedy(message: &Message) -> bool {
    let needs_one = [Kind::Error, Kind::Cause, Kind::Warning, Kind::Check].contains(&message.kind);
    needs_one && !message.has_cause && parted(message).1.is_none()
}

fn entry(message: &Message, exit_code: &str, verbs: &str) -> String {
    let (what, remedy) = parted(message);
    let (meaning, code) = match message.meaning.split_once("Exit code ") {
        Some((meaning, code)) => {
            (meaning.trim(), format!("Exit code {}", code.trim_end_matches('.')))
        }
        None => (message.meaning.as_str(), exit_code.to_owned()),
    };
    let kind = match message.kind {
        Kind::Error => code + ".",
        Kind::Cause => "A cause: the error says before it what could not be done.".to_owned(),
        Kind::Warning => "A warning: the work goes on.".to_owned(),
        Kind::Unusable => "Why a directory is set aside, or what `status` says of it.".to_owned(),
        Kind::Stays => "Why `gc` or `rm` leaves something. Exit code 1 from `rm`.".to_owned(),
        Kind::Note => String::new(),
        Kind::Check => "A line of the diagnosis. Exit code 1 if it begins with FAILED.".to_owned(),
    };
    let shown = what.replace('<', "&lt;").replace('*', "\\*").replace('_', "\\_");
    let helps = match (remedy, message.kind) {
        (Some(remedy), _) => format!("{}.", remedy.trim_end_matches('.')),
        (None, Kind::Unusable) => "nothing; the next `larder run` begins anew.".to_owned(),
        (None, Kind::Stays) => {
            "try again when that is over; `larder gc` by the clock does.".to_owned()
        }
        (None, Kind::Note) => {
            return format!("\n### {shown}\n\nFor your information: nothing failed.\n");
        }
        (None, _) if message.has_cause => {
            "what helps against [the cause](#what-the-system-says) behind it.".to_owned()
        }
        (None, _) => panic!("no remedy behind a semicolon: {message:?}"),
    };
    let verbs = if what.contains("VERB") && !verbs.is_empty() {
        format!("VERB is {verbs}. ")
    } else {
        String::new()
    };
    let meaning = if meaning.is_empty() { String::new() } else { format!("{meaning} ") };
    format!("\n### {shown}\n\n{meaning}{verbs}{kind}\n**What to do:** {helps}\n")
}

/// `a, b or c`
fn one_of(words: impl IntoIterator<Item = String>) -> String {
    let words: Vec<String> = words.into_iter().collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// What the functions that build scripts source say on stderr.
fn snippets() -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("mkosi-snippets");
    let mut said = Vec::new();
    for name in ["larder.sh", "packages.sh"] {
        let text = std::fs::read_to_string(dir.join(name)).unwrap();
        let lines = text.lines().filter_map(|line| line.trim().strip_suffix("\" >&2"));
        said.extend(lines.filter_map(|line| line.strip_prefix("echo \"")).map(|line| {
            let line = line.replace("$package", "PACKAGE").replace("$plain", "URL");
            let line = line.replace("$version", "VERSION").replace("$said", "REASON");
            let line = line.replace("$1", "FUNCTION ARGUMENTS");
            let (what, remedy) = line.split_once("; ").unwrap_or((&line, "call it like that"));
            format!("\n### {what}\n\nThe build script fails.\n**What to do:** {remedy}.\n")
        }));
    }
    said.concat()
}

fn chapter(room: &str, title: &str, mut said: Said) -> String {
    said.messages.sort_by(|a, b| (a.kind, &a.text).cmp(&(b.kind, &b.text)));
    said.messages.dedup_by(|a, b| a.text == b.text);
    let code = match room {
        "larder run" => "Exit code 125, from `provision` 1",
        "larder verify" => "Exit code 125",
        room if room.starts_with("larder ") => "Exit code 1",
        _ => "Exit code 1, from `run` and `verify` 125",
    };
    let has_own = |verb: &str| {
        let own = format!("cannot {verb} PATH");
        said.messages.iter().any(|message| message.text == own)
    };
    let verbs = one_of(said.verbs.into_iter().filter(|verb| !has_own(verb)));
    let entries = said.messages.iter().map(|message| entry(message, code, &verbs));
    format!("\n## {title}\n{}", entries.collect::<String>())
}

/// The whole document.
pub fn document() -> String {
    let mut rooms: BTreeMap<String, Said> = BTreeMap::new();
    let mut lacking = Vec::new();
    for (path, mut said) in scan() {
        let without = said.messages.iter().filter(|message| lacks_remedy(message));
        lacking.extend(without.map(|message| format!("src/{path}.rs: {}", message.text)));
        let room = rooms.entry(room(&path)).or_default();
        room.messages.append(&mut said.messages);
        room.verbs.append(&mut said.verbs);
    }
    assert!(lacking.is_empty(), "say what helps, behind a semicolon, in:\n{}", lacking.join("\n"));
    rooms.retain(|_, said| !said.messages.is_empty());
    let mut text = include_str!("errors-head.md").to_owned();
    text.push_str("\n## What the system says\n\n| the cause | what to do |\n|---|---|\n");
    for (errno, remedy) in larder::REMEDIES {
        let _ = writeln!(text, "| {} | {remedy} |", std::io::Error::from(errno));
    }
    let _ = writeln!(text, "| anything else of the system | {} |", larder::OTHERWISE);
    for (room, title) in ROOMS {
        let said = rooms.remove(room).unwrap_or_else(|| panic!("nothing is said in {room}"));
        text.push_str(&chapter(room, title, said));
    }
    for (room, said) in rooms {
        text.push_str(&chapter(&room, &format!("`{room}`"), said));
    }
    text + "\n## `larder.sh` and `packages.sh` in build scripts\n" + &snippets()
}
