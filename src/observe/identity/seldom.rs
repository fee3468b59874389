//! Which of the variables that count only for those who name them a text names (decision 85).
//!
//! In a program's data one literal follows the other without an end, so a name may be longer there
//! than the variable's. In a file a name is a word.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::environment::seldom_patterns;

/// Names of variables are shorter than this.
const LONGEST: usize = 64;

/// All patterns have so many bytes at least besides their `*`.
const KEY: usize = 3;

/// What kind of text it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// An executable, or a library that is loaded.
    Program,
    /// A file that somebody wrote.
    File,
}

/// The names that a text holds, whatever variables are set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mentions {
    whole: BTreeSet<String>,
    /// Those that one of these begins with, or ends with.
    joined: BTreeSet<String>,
    /// Those that begin with one of these: `GITHUB_` in `env | grep ^GITHUB_`.
    families: BTreeSet<String>,
}

/// A pattern's own bytes, and what may stand beside them.
struct Pattern {
    bytes: &'static [u8],
    open: Open,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Nowhere,
    Behind,
    Before,
}

/// All patterns by their first bytes; a bit tells at once that none has some.
struct Patterns {
    bits: Vec<u64>,
    all: BTreeMap<[u8; KEY], Vec<Pattern>>,
}

impl Mentions {
    /// What a text names.
    pub(crate) fn of(text: &[u8], kind: Text) -> Self {
        let patterns = Patterns::get();
        let mut mentions = Self::default();
        for (at, key) in text.windows(KEY).enumerate() {
            let key = [key[0], key[1], key[2]];
            if patterns.may_begin(key) {
                for pattern in patterns.all.get(&key).into_iter().flatten() {
                    if text[at..].starts_with(pattern.bytes) {
                        mentions.note(pattern, text, at, kind);
                    }
                }
            }
        }
        mentions
    }

    /// Whether it names a variable.
    pub(crate) fn name(&self, variable: &str) -> bool {
        let stem = variable.split(|c: char| !is_of_name(c)).next().unwrap_or_default();
        let joins = |text: &String| text.starts_with(stem) || text.ends_with(stem);
        self.whole.contains(stem)
            || self.joined.iter().any(joins)
            || self.families.iter().any(|family| variable.starts_with(family))
    }

    /// Which of these variables it names.
    pub(crate) fn named(&self, variables: &[String]) -> BTreeSet<String> {
        variables.iter().filter(|variable| self.name(variable)).cloned().collect()
    }

    /// Takes in what other texts name.
    pub(crate) fn extend(&mut self, others: impl IntoIterator<Item = Self>) {
        for other in others {
            self.whole.extend(other.whole);
            self.joined.extend(other.joined);
            self.families.extend(other.families);
        }
    }

    fn note(&mut self, pattern: &Pattern, text: &[u8], at: usize, kind: Text) {
        let end = at + pattern.bytes.len();
        let behind = text[end..].iter().take(LONGEST).take_while(|byte| is_of_name(**byte)).count();
        let before = text[..at].iter().rev().take(LONGEST);
        let before = before.take_while(|byte| is_of_name(**byte)).count();
        // A name may follow the `n` of `\n` without any mark.
        let goes_on = at.checked_sub(1).is_some_and(|last| {
            let last = text[last];
            last == b'_' || last.is_ascii_uppercase() || last.is_ascii_digit()
        });
        let is_file = kind == Text::File;
        let (start, end) = match pattern.open {
            Open::Nowhere if is_file && (goes_on || behind > 0) => return,
            Open::Behind if is_file && goes_on => return,
            Open::Before if is_file && behind > 0 => return,
            Open::Nowhere => (at, end),
            Open::Behind => (at, end + behind),
            Open::Before => (at - before, end),
        };
        let name = String::from_utf8_lossy(&text[start..end]).into_owned();
        match family(&name, pattern).filter(|_| !goes_on) {
            Some(family) => drop(self.families.insert(family)),
            None if is_file || pattern.open == Open::Nowhere => drop(self.whole.insert(name)),
            None => drop(self.joined.insert(name)),
        }
    }
}

/// `GITHUB_` of `GITHUB_`, `GITHUB_REF_` of `GITHUB_REF_{kind}`: more is put behind it.
fn family(name: &str, pattern: &Pattern) -> Option<String> {
    let is_upper = |c: &char| *c == '_' || c.is_ascii_uppercase() || c.is_ascii_digit();
    let upper: String = name.chars().take_while(is_upper).collect();
    let stem = if name.len() == pattern.bytes.len() { name } else { &upper };
    let is_family =
        pattern.open == Open::Behind && stem.len() >= pattern.bytes.len() && stem.ends_with('_');
    is_family.then(|| stem.to_owned())
}

fn is_of_name(c: impl Into<char>) -> bool {
    let c = c.into();
    c == '_' || c.is_ascii_alphanumeric()
}

impl Patterns {
    fn get() -> &'static Self {
        static PATTERNS: OnceLock<Patterns> = OnceLock::new();
        PATTERNS.get_or_init(|| {
            let mut patterns = Self { bits: vec![0; 1 << 10], all: BTreeMap::new() };
            for pattern in seldom_patterns().map(Pattern::parse) {
                let Some(key) = pattern.bytes.first_chunk::<KEY>() else { continue };
                let bit = bit_of(*key);
                patterns.bits[bit >> 6] |= 1 << (bit & 63);
                patterns.all.entry(*key).or_default().push(pattern);
            }
            patterns
        })
    }

    fn may_begin(&self, key: [u8; KEY]) -> bool {
        let bit = bit_of(key);
        self.bits[bit >> 6] >> (bit & 63) & 1 == 1
    }
}

impl Pattern {
    fn parse(text: &'static str) -> Self {
        let (bytes, open) = match (text.strip_suffix('*'), text.strip_prefix('*')) {
            (Some(start), _) => (start, Open::Behind),
            (None, Some(end)) => (end, Open::Before),
            (None, None) => (text, Open::Nowhere),
        };
        Self { bytes: bytes.as_bytes(), open }
    }
}

/// One of 65,536 bits for three bytes.
fn bit_of([a, b, c]: [u8; KEY]) -> usize {
    let number = u32::from_le_bytes([a, b, c, 0]).wrapping_mul(0x9e37_79b1);
    (number >> 16) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_can_be_found() {
        for pattern in seldom_patterns() {
            let name = pattern.replace('*', "Q");
            for kind in [Text::Program, Text::File] {
                let text = format!("x = ${{{name}}};");
                assert!(Mentions::of(text.as_bytes(), kind).name(&name), "{pattern} {kind:?}");
            }
            let text = format!("dataPATH{name}HOMEmore");
            assert!(Mentions::of(text.as_bytes(), Text::Program).name(&name), "{pattern}");
        }
    }

    #[test]
    fn in_a_file_a_name_is_a_word() {
        let names = |text: &str, variable| Mentions::of(text.as_bytes(), Text::File).name(variable);
        assert!(names("echo $GITHUB_SHA", "GITHUB_SHA"));
        assert!(names("printf '\\nGITHUB_SHA'", "GITHUB_SHA"));
        assert!(names("GITHUB_SHA", "GITHUB_SHA"));
        assert!(!names("$GITHUB_SHA_SHORT", "GITHUB_SHA"));
        assert!(!names("$MY_GITHUB_SHA", "GITHUB_SHA"));
        assert!(!names("$GITHUB_SHA", "GITHUB_REF"));
        assert!(!names("NEXT_BUILD_ID BUILD_IDS", "BUILD_ID"));
        assert!(names("env.BUILD_ID", "BUILD_ID"));
        assert!(names("curl $https_proxy", "https_proxy"));
        assert!(!names("curl $ftp_proxy", "https_proxy"));
    }

    #[test]
    fn who_asks_for_a_family_asks_for_all_of_it() {
        for text in ["env | grep ^CI_", "starts_with(\"CI_\")", "CI_{name}", "CI_%s", "CI_JOB_$x"] {
            for kind in [Text::Program, Text::File] {
                let mentions = Mentions::of(text.as_bytes(), kind);
                assert!(mentions.name("CI_JOB_ID"), "{text}");
                assert!(!mentions.name("GITHUB_SHA"), "{text}");
            }
        }
        assert!(!Mentions::of(b"CI_JOB_$x", Text::File).name("CI_COMMIT_SHA"));
        for text in ["PCI_%s", "ASCII_digits", "CI_PROJECT"] {
            assert!(!Mentions::of(text.as_bytes(), Text::Program).name("CI_JOB_ID"), "{text}");
        }
    }

    #[test]
    fn names_with_odd_letters_are_found_by_their_beginning() {
        assert!(Mentions::of(b"$CI_x", Text::File).name("CI_x.y"));
        assert_eq!(Mentions::of(b"", Text::File), Mentions::default());
    }
}
