//! Arguments of mkosi, as far as larder has to read them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Options whose values may be nobody else's business.
const SECRET: [&str; 4] = ["-E", "--environment", "--credential", "--root-password"];

/// The directory in which mkosi looks for its configuration: each `-C` or `--directory` is entered when it is read,
/// and an empty one counts for nothing (`parse_chdir` in `mkosi/config.py`, 25.3 and 27.1).
pub(crate) fn directory(words: &[OsString], start: &Path) -> PathBuf {
    let mut directory = start.to_owned();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(text) = word.to_str() else { continue };
        let value = match text {
            "-C" | "--directory" => words.next().map(PathBuf::from),
            _ => {
                let value = text.strip_prefix("--directory=");
                value.or_else(|| text.strip_prefix("-C")).map(PathBuf::from)
            }
        };
        directory = value.map_or(directory.clone(), |value| directory.join(value));
    }
    directory
}

/// Arguments for people, without the values of variables, credentials and passwords.
pub(crate) fn shown(words: &[OsString]) -> String {
    let mut shown = Vec::new();
    let mut last = None;
    for word in words {
        let word = word.to_string_lossy();
        let text = match last.take() {
            Some(option) => hidden(option, &word),
            None => SECRET
                .iter()
                .find_map(|option| {
                    let value = word.strip_prefix(option).filter(|value| !value.is_empty())?;
                    Some(format!("{option}{}", hidden(option, value)))
                })
                .unwrap_or_else(|| word.clone().into_owned()),
        };
        if text == word {
            last = SECRET.into_iter().find(|option| *option == word);
        }
        let quoted = text.is_empty() || text.contains(char::is_whitespace);
        shown.push(if quoted { format!("{text:?}") } else { text });
    }
    shown.join(" ")
}
/// What an option is given: the name of a variable or credential, and nothing of its value.
fn hidden(option: &str, value: &str) -> String {
    let (equals, value) = value.strip_prefix('=').map_or(("", value), |value| ("=", value));
    match value.split_once('=') {
        _ if option == "--root-password" => format!("{equals}..."),
        Some((name, _)) => format!("{equals}{name}=..."),
        None => format!("{equals}{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn directories_are_entered_one_after_the_other() {
        for (text, wanted) in [
            ("--profile=prod", "/repo"),
            ("-C os/mkosi --profile=prod", "/repo/os/mkosi"),
            ("--directory=os -C mkosi", "/repo/os/mkosi"),
            ("-Cos --directory /srv", "/srv"),
            ("--directory=", "/repo/"),
            ("-C", "/repo"),
        ] {
            assert_eq!(directory(&words(text), Path::new("/repo")), Path::new(wanted), "{text}");
        }
    }

    #[test]
    fn no_value_of_a_variable_is_shown() {
        for (text, wanted) in [
            ("--include=images/a.conf -f", "--include=images/a.conf -f"),
            ("--environment=TOKEN=x -E B=y -EC=z", "--environment=TOKEN=... -E B=... -EC=..."),
            ("--environment=TOKEN --environment B", "--environment=TOKEN --environment B"),
            ("--root-password=hunter2 --credential=a=b", "--root-password=... --credential=a=..."),
        ] {
            assert_eq!(shown(&words(text)), wanted);
        }
    }
}
