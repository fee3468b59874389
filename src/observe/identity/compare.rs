//! What differs between two identities, in words that stay the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::IdentityRecord;
use super::veil::masked;

/// The longest value that is shown whole; of longer ones both ends.
const SHOWN: usize = 100;

const COMMAND: &str = "command";
const ENVIRONMENT: &str = "environment";

/// What stands for a variable that is in one identity only, where the commands differ: which variables count depends on them.
const NOT_COUNTED: &str = "unset, or not counted for this command";

/// What stands for a value that was hidden by another key than the one that it is compared with.
const NOT_COMPARABLE: &str = "not comparable, because it is hidden by another key";

/// One part of an identity that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Difference {
    /// Which part, such as `package` or `environment`.
    pub part: String,
    /// Which of that part, such as `rustc` or `RUSTFLAGS`; empty where there is only one.
    pub name: String,
    /// The old value as far as it may be shown, or nothing if it is new.
    pub old: Option<String>,
    /// The new value as far as it may be shown, or nothing if it is gone.
    pub new: Option<String>,
}

/// All differences, in the order in which they explain most: packages and versions first.
/// What cannot be compared comes last: which keys hid it is of no use to anybody.
pub(crate) fn differences(old: &IdentityRecord, new: &IdentityRecord) -> Vec<Difference> {
    let (Ok(old), Ok(new)) = (serde_json::to_value(old), serde_json::to_value(new)) else {
        return Vec::new();
    };
    between(&old, &new)
}

fn between(old: &Value, new: &Value) -> Vec<Difference> {
    let mut all = Vec::new();
    for (key, part) in [
        ("domain", "domain"),
        ("packages", "package"),
        ("with", "what is attached"),
        ("rust", ""),
        ("go", "go"),
        ("ccache", "ccache"),
        ("command", COMMAND),
        ("environment", ENVIRONMENT),
        ("cargo_config", "cargo config"),
        ("source", "source path"),
        ("cargo_home", "CARGO_HOME"),
        ("way", "way of attaching"),
        ("fidelity", "fidelity"),
        ("store", "store path"),
        ("cpu", "processor"),
        ("salt", "salt"),
        ("package_mode", "packages that count"),
        ("package_manager", "package manager"),
        ("distribution", "distribution"),
        ("named_paths", "path"),
        ("tools", "tool"),
        ("libraries", "library"),
        ("places", "files in"),
        ("format", "larder's identity format"),
    ] {
        compare(part, "", old.get(key), new.get(key), &mut all);
    }
    if all.iter().any(|it| it.part == COMMAND) {
        for variable in all.iter_mut().filter(|it| it.part == ENVIRONMENT) {
            for value in [&mut variable.old, &mut variable.new] {
                value.get_or_insert_with(|| NOT_COUNTED.to_owned());
            }
        }
    }
    all.sort_by_key(Difference::is_not_comparable);
    all
}

fn compare(
    part: &str,
    name: &str,
    old: Option<&Value>,
    new: Option<&Value>,
    all: &mut Vec<Difference>,
) {
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let (part, name) =
                    if part.is_empty() { (key.as_str(), "") } else { (part, key.as_str()) };
                compare(part, name, old.get(key), new.get(key), all);
            }
        }
        (old, new) if old == new => {}
        (old, new) => {
            all.push(Difference::of(
                part,
                name,
                old.and_then(text).as_deref(),
                new.and_then(text).as_deref(),
            ));
        }
    }
}

impl Difference {
    /// Of texts as they are kept: what is hidden in them stays so.
    fn of(part: &str, name: &str, old: Option<&str>, new: Option<&str>) -> Self {
        let (part, name) = (part.to_owned(), name.to_owned());
        let (old, mut new) = (old.map(masked), new.map(masked));
        if let (Some((old, by)), Some((new, by_another))) = (&old, &mut new) {
            if old == new && by != by_another {
                NOT_COMPARABLE.clone_into(new);
            }
        }
        let text = |shown: Option<(String, _)>| shown.map(|(text, _)| text);
        Self { part, name, old: text(old), new: text(new) }
    }

    /// Whether nobody here can tell if it is one.
    fn is_not_comparable(&self) -> bool {
        self.new.as_deref() == Some(NOT_COMPARABLE)
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(words) => {
            Some(words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
        }
        other => Some(other.to_string()),
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.part)?;
        if !self.name.is_empty() {
            write!(f, " {}", around(&self.name, 0))?;
        }
        match (&self.old, &self.new) {
            (Some(old), Some(new)) if is_digest(old) && is_digest(new) => {
                f.write_str(": content changed")
            }
            (None, Some(new)) if is_digest(new) => f.write_str(": new"),
            (Some(old), None) if is_digest(old) => f.write_str(": gone"),
            _ if self.is_not_comparable() => write!(f, ": {NOT_COMPARABLE}"),
            (Some(old), Some(new)) if old == new => f.write_str(": another value"),
            (old, new) => {
                let (old, new) = apart(old.as_deref(), new.as_deref());
                write!(f, ": {old} → {new}")
            }
        }
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Both values, shortened around the place where they begin to differ.
fn apart(old: Option<&str>, new: Option<&str>) -> (String, String) {
    let (Some(old_text), Some(new_text)) = (old, new) else {
        let one =
            |text: Option<&str>| text.map_or_else(|| "unset".to_owned(), |text| around(text, 0));
        return (one(old), one(new));
    };
    let same = old_text.chars().zip(new_text.chars()).take_while(|(a, b)| a == b).count();
    (around(old_text, same), around(new_text, same))
}

/// A text on one line, cut to what is around the given character.
fn around(text: &str, place: usize) -> String {
    let line: Vec<char> = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.is_empty() {
        return "empty".to_owned();
    }
    if line.len() <= SHOWN {
        return line.iter().collect();
    }
    let start = place.saturating_sub(SHOWN / 3).min(line.len() - SHOWN);
    let middle: String = line[start..start + SHOWN].iter().collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if start + SHOWN < line.len() { "…" } else { "" };
    format!("{before}{middle}{after}")
}

/// The differences as short lines: what goes by the thousand is summed up.
pub(crate) fn lines(differences: &[Difference], most: usize) -> Vec<String> {
    let mut rest: BTreeMap<&str, usize> = BTreeMap::new();
    let mut lines = Vec::new();
    for difference in differences {
        if lines.len() < most {
            lines.push(difference.to_string());
        } else {
            *rest.entry(&difference.part).or_default() += 1;
        }
    }
    lines.extend(rest.iter().map(|(part, count)| format!("{part}: {count} more")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(old: Option<&str>, new: Option<&str>) -> String {
        let (old, new) = (old.map(str::to_owned), new.map(str::to_owned));
        Difference { part: "package".into(), name: "rustc".into(), old, new }.to_string()
    }

    #[test]
    fn differences_read_well() {
        assert_eq!(difference(Some("1.85"), Some("1.96")), "package rustc: 1.85 → 1.96");
        assert_eq!(difference(None, Some("1.96")), "package rustc: unset → 1.96");
        let digest = "a".repeat(64);
        assert_eq!(
            difference(Some(&digest), Some(&"b".repeat(64))),
            "package rustc: content changed"
        );
        assert_eq!(difference(Some(&digest), None), "package rustc: gone");
    }

    #[test]
    fn what_is_hidden_is_told_as_another_value_or_not_compared() {
        let token = |key: &str, digest: &str| format!("«{}:{}»", key.repeat(8), digest.repeat(32));
        let said = |old: &str, new: &str| {
            Difference::of("environment", "DB_PASS", Some(old), Some(new)).to_string()
        };
        let (one, other) = (token("a", "1"), token("a", "2"));
        assert_eq!(said(&one, &other), "environment DB_PASS: another value");
        assert_eq!(said(&one, "plain"), "environment DB_PASS: *** → plain");
        let text = said(&format!("-DX={one} -O1"), &format!("-DX={other} -O2"));
        assert_eq!(text, "environment DB_PASS: -DX=*** -O1 → -DX=*** -O2");
        let text = said(&one, &token("b", "1"));
        assert!(text.contains("not comparable"), "{text}");
    }

    #[test]
    fn a_variable_that_another_command_does_not_count_is_not_said_to_be_unset() {
        let of = |command: &str, environment: Value| serde_json::json!({"command": [command], "environment": environment});
        let foo = of("sh", serde_json::json!({"FOO": "x"}));
        let said = |command| lines(&between(&foo, &of(command, serde_json::json!({}))), 9);
        let uncounted = "environment FOO: x → unset, or not counted for this command";
        assert_eq!(said("cargo"), ["command: sh → cargo", uncounted]);
        assert_eq!(said("sh"), ["environment FOO: x → unset"]);
    }

    #[test]
    fn long_values_are_cut_where_they_differ() {
        let (old, new) = (format!("{}A{}", "x".repeat(500), "y".repeat(500)), "x".repeat(501));
        let text = difference(Some(&old), Some(&new));
        assert!(text.contains('A') && text.chars().count() < 250, "{text}");
    }
}
