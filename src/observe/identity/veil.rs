//! What of an identity is kept as it is, and what as a digest by a key (decision 103): the only place that knows.
//!
//! A value is kept as it is where its variable is known to be harmless and of use in an explanation. Even there the
//! user part of a URL, and what stands behind a `=` of which it is not known what it may be, is not. Of all else there
//! is a digest by a key that lies in the store: it tells that a value is another one, and nothing else.

mod harmless;

use std::collections::{BTreeMap, BTreeSet};

use self::harmless::{FLAGS, FOR_TARGETS, HARMLESS, WORDS};
use super::environment::matches;
use super::words;
use crate::base::digest::Digest;
use crate::base::key::{Key, Mark};

/// Values that are hidden and no shorter are hidden wherever else they are, unless they are paths.
const TELLING: usize = 8;

/// So many digits of a digest are kept.
const DIGITS: usize = 32;

/// What stands for a text that is not shown.
const MASK: &str = "***";

/// Hides what is not known to be harmless.
#[derive(Clone, Debug)]
pub(crate) struct Veil {
    key: Key,
    /// What the user says is harmless: names of variables, or patterns of them.
    shown: Vec<String>,
    /// Values that are hidden, and hidden wherever else they stand.
    hidden: BTreeSet<String>,
}

impl Veil {
    /// By a key; `shown` are variables that the user has shown.
    pub(crate) fn new(key: Key, shown: Vec<String>) -> Self {
        Self { key, shown, hidden: BTreeSet::new() }
    }

    /// The same, which hides the values of these variables everywhere.
    pub(super) fn over(&self, variables: &BTreeMap<String, String>) -> Self {
        let is_telling = |value: &&String| value.len() >= TELLING && !value.contains('/');
        let hidden = variables.iter().filter(|(name, _)| !self.shows(name));
        let hidden = hidden.map(|(_, value)| value).filter(is_telling).cloned().collect();
        Self { hidden, ..self.clone() }
    }

    /// Whether the values of a variable are kept as they are.
    fn shows(&self, name: &str) -> bool {
        let own = HARMLESS.iter().copied().chain(self.shown.iter().map(String::as_str));
        own.into_iter().any(|pattern| matches(pattern, name.as_bytes())) || is_for_target(name)
    }

    /// The value of a variable as it is kept.
    pub(super) fn value(&self, name: &str, value: &str) -> String {
        if self.shows(name) { self.text(value) } else { self.hide(value) }
    }

    /// The words of a command as they are kept: those that are Cargo's own, and of others what tells what is done.
    pub(super) fn command(&self, command: &[String]) -> Vec<String> {
        let bytes: Vec<Vec<u8>> = command.iter().map(|word| word.clone().into_bytes()).collect();
        let own = words::cargos(&bytes).max(1);
        let word = |(index, word): (usize, &String)| {
            let is_told = WORDS.contains(&word.as_str()) || is_option(word) || has_name(word);
            if index < own || is_told { self.word(word) } else { self.hide(word) }
        };
        command.iter().enumerate().map(word).collect()
    }

    /// The digests of variables as they are kept.
    pub(crate) fn marks(&self, variables: &BTreeMap<String, Digest>) -> BTreeMap<String, Mark> {
        let mark = |(name, digest): (&String, &Digest)| {
            let keyed = || Mark::Keyed(self.key.digest(digest.as_bytes()));
            (name.clone(), if self.shows(name) { Mark::Plain(*digest) } else { keyed() })
        };
        variables.iter().map(mark).collect()
    }

    /// A text whose words are shown, but for what none of them may tell.
    fn text(&self, text: &str) -> String {
        let is_between = |char: char| char.is_whitespace() || char == '\u{1f}';
        let piece = |piece: &str| {
            let word = piece.trim_end_matches(is_between);
            self.word(word) + &piece[word.len()..]
        };
        text.split_inclusive(is_between).map(piece).collect()
    }

    fn word(&self, word: &str) -> String {
        if self.hidden.iter().any(|hidden| word.contains(hidden.as_str())) {
            return self.hide(word);
        }
        if let Some((key, value)) = word.split_once('=') {
            return match key {
                _ if is_flag(key) => format!("{key}={}", self.word(value)),
                _ if has_name(word) => format!("{key}={}", self.hide(value)),
                _ => self.hide(word),
            };
        }
        let user = word.find("://").map(|at| at + 3);
        match user.and_then(|from| Some((from, word.rfind('@').filter(|at| *at > from)?))) {
            Some((from, to)) => {
                format!("{}{}{}", &word[..from], self.hide(&word[from..to]), &word[to..])
            }
            None => word.to_owned(),
        }
    }

    fn hide(&self, text: &str) -> String {
        if text.is_empty() { String::new() } else { hidden(&self.key, text.as_bytes()) }
    }
}

/// What is kept of a text that is hidden: the key's name, and the digest.
fn hidden(key: &Key, bytes: &[u8]) -> String {
    format!("«{}:{}»", key.name(), &key.digest(bytes).to_string()[..DIGITS])
}

/// Whether a name is of those that tools ask for by the target, or by host and target.
fn is_for_target(name: &str) -> bool {
    let fits = |name: &str| FOR_TARGETS.contains(&name);
    let is_small = |rest: &str| {
        rest.starts_with(|char: char| char.is_ascii_lowercase())
            && !rest.contains(|char: char| char.is_ascii_uppercase())
    };
    let before = ["HOST_", "TARGET_"].iter().find_map(|before| name.strip_prefix(before));
    let behind =
        name.match_indices('_').any(|(at, _)| fits(&name[..at]) && is_small(&name[at + 1..]));
    fits(name) || before.is_some_and(fits) || behind
}

/// Whether a word is an option with nothing behind it.
fn is_option(word: &str) -> bool {
    let is_letter = |char: char| char.is_ascii_lowercase() || char == '-';
    match word.strip_prefix("--") {
        Some(name) => name.len() < DIGITS && name.chars().all(is_letter),
        None => word.len() < 3 && word.starts_with('-'),
    }
}

/// Whether what stands before a `=` is an option or the name of a variable, which may be shown.
fn has_name(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    let is_of_names =
        |char: char| char.is_ascii_uppercase() || char == '_' || char.is_ascii_digit();
    name.starts_with('-') || (name.len() < DIGITS && name.chars().all(is_of_names))
}

/// Whether what stands before a `=` says what is behind it.
fn is_flag(key: &str) -> bool {
    let name = key.trim_start_matches('-');
    FLAGS.contains(&name) || key.strip_prefix("-C").is_some_and(|name| FLAGS.contains(&name))
}

/// A text as it is shown, and the names of the keys by which parts of it are hidden.
pub(super) fn masked(text: &str) -> (String, BTreeSet<String>) {
    let (mut shown, mut keys) = (String::new(), BTreeSet::new());
    let mut rest = text;
    while let Some((before, token)) = next_hidden(rest) {
        shown.push_str(&rest[..before]);
        shown.push_str(MASK);
        keys.extend(token.split(':').next().map(|name| name['«'.len_utf8()..].to_owned()));
        rest = &rest[before + token.len()..];
    }
    (shown + rest, keys)
}

/// A text whose hidden parts are hidden by another key besides.
pub(super) fn hidden_again(text: &str, key: &Key) -> String {
    let (mut again, mut rest) = (String::new(), text);
    while let Some((before, token)) = next_hidden(rest) {
        again.push_str(&rest[..before]);
        again.push_str(&hidden(key, token.as_bytes()));
        rest = &rest[before + token.len()..];
    }
    again + rest
}

/// The next hidden part of a text: where it begins, and the whole of it.
fn next_hidden(text: &str) -> Option<(usize, &str)> {
    let is_one = |token: &str| {
        let inner = token.trim_start_matches('«').trim_end_matches('»');
        inner.split_once(':').is_some_and(|(name, digest)| {
            name.len() == 8
                && digest.len() == DIGITS
                && [name, digest].iter().all(|part| part.bytes().all(|c| c.is_ascii_hexdigit()))
        })
    };
    text.match_indices('«').find_map(|(at, _)| {
        let end = at + text[at..].find('»')? + '»'.len_utf8();
        is_one(&text[at..end]).then(|| (at, &text[at..end]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn veil() -> Veil {
        Veil::new(Key::new([7; 32]), vec!["FLAVOUR_*".to_owned()])
    }

    fn shown(name: &str, value: &str) -> String {
        masked(&veil().value(name, value)).0
    }

    #[test]
    fn only_what_is_known_to_be_harmless_is_shown() {
        for (name, value) in [
            ("RUSTFLAGS", "-Copt-level=3 -C target-cpu=native --cfg feature=\"x\""),
            ("PATH", "/usr/bin:/bin"),
            ("CC_x86_64_unknown_linux_gnu", "clang -std=c11"),
            ("HOST_CFLAGS", "-O2 -I/usr/include"),
            ("CARGO_PROFILE_RELEASE_LTO", "fat"),
            ("FLAVOUR_NAME", "rye"),
            ("SOURCE_DATE_EPOCH", "1700000000"),
        ] {
            assert_eq!(shown(name, value), value);
        }
        for name in [
            "DATABASE_URL",
            "DB_PASS",
            "GH_PAT",
            "NPM_AUTH",
            "SLACK_WEBHOOK",
            "SENTRY_DSN",
            "CC_TEST_REPORTER_ID",
            "CARGO_REGISTRIES_X_TOKEN",
            "CARGO_REGISTRY_TOKEN",
            "GOPROXY",
            "remote_storage",
            "HOST_PASSWORD",
            "PATHS",
        ] {
            assert_eq!(shown(name, "hunter2"), "***", "{name}");
        }
    }

    #[test]
    fn what_is_shown_tells_no_user_and_no_value() {
        for (value, wanted) in [
            ("-DAPI_KEY=hunter2 -O2", "-DAPI_KEY=*** -O2"),
            ("--cfg token=\"hunter2\"", "--cfg ***"),
            ("-Clink-arg=-Wl,--defsym,X=hunter2", "-Clink-arg=-Wl,--defsym,X=***"),
            ("https://me:hunter2@host.example/x", "https://***@host.example/x"),
            ("-I/x git+ssh://hunter2@host/x", "-I/x git+ssh://***@host/x"),
            ("https://host/x?token=hunter2", "***"),
            ("PASSWORD=hunter2", "PASSWORD=***"),
            ("-Copt-level=1\u{1f}--cfg\u{1f}hunter=hunter2", "-Copt-level=1\u{1f}--cfg\u{1f}***"),
            ("X=", "X="),
        ] {
            assert_eq!(shown("RUSTFLAGS", value), wanted);
        }
    }

    #[test]
    fn of_commands_that_is_shown_which_tells_what_is_done() {
        let of = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let words: Vec<String> = veil().command(&words).iter().map(|w| masked(w).0).collect();
            words.join(" ")
        };
        for line in [
            "cargo build --release --features x,y -p flour --target x86_64-unknown-linux-gnu",
            "mkosi-chroot cargo +1.85 build -j4 --profile=dist",
            "make all",
        ] {
            assert_eq!(of(line), line);
        }
        for (line, wanted) in [
            ("cargo build --config net.x=hunter2", "cargo build --config ***"),
            ("cargo run --release -- hunter2", "cargo run --release -- ***"),
            ("cargo xtask --token hunter2", "cargo xtask --token ***"),
            ("env DB_PASS=hunter2 cargo build", "env DB_PASS=*** cargo build"),
            ("./build.sh --token=hunter2 hunter2", "./build.sh --token=*** ***"),
            ("sh -c hunter2", "sh -c ***"),
            ("make V=1 TOKEN=hunter2", "make V=*** TOKEN=***"),
        ] {
            assert_eq!(of(line), wanted);
        }
    }

    #[test]
    fn a_value_that_is_hidden_is_hidden_in_other_places_too() {
        let variables = [("GH_PAT", "hunter22"), ("MY_DIR", "/usr/bin"), ("LEVEL", "3")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let veil = veil().over(&variables.into());
        assert_eq!(masked(&veil.value("RUSTFLAGS", "-Cx hunter22 -C3")).0, "-Cx *** -C3");
        assert_eq!(masked(&veil.value("PATH", "/usr/bin:/bin")).0, "/usr/bin:/bin");
    }

    #[test]
    fn values_are_told_apart_by_who_has_the_key_and_by_nobody_else() {
        let (one, other) = (veil(), Veil::new(Key::new([8; 32]), Vec::new()));
        let of = |veil: &Veil, value| veil.value("DB_PASS", value);
        assert_eq!(of(&one, "hunter2"), of(&one, "hunter2"));
        assert_ne!(of(&one, "hunter2"), of(&one, "hunter3"));
        assert_ne!(of(&one, "hunter2"), of(&other, "hunter2"));
        assert_ne!(masked(&of(&one, "x")).1, masked(&of(&other, "x")).1);
        let again = hidden_again(&format!("a {} b", of(&one, "x")), &other.key);
        assert_eq!(masked(&again), ("a *** b".to_owned(), [other.key.name()].into()));
        let digest = Digest::of(b"x");
        let variables = ["PATH", "DB_PASS"].map(|name| (name.to_owned(), digest));
        let marks = one.marks(&variables.into());
        assert_eq!(marks["PATH"], Mark::Plain(digest));
        assert!(matches!(marks["DB_PASS"], Mark::Keyed(keyed) if keyed != digest));
    }
}
