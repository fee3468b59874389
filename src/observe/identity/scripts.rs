//! What a shell does with the variables that it is given (decision 126).
//!
//! It starts programs with all of them, and with those besides that its script sets. A script knows a variable by its name;
//! one that asks for all there are knows each of them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::words::names_cargo;
use crate::base::regular;

/// Shells, by the names that they are started with.
const SHELLS: [&[u8]; 3] = [b"bash", b"dash", b"sh"];

/// No script is longer.
const LONGEST: u64 = 1 << 20;

/// Builtins and programs that say all variables where they are told nothing of which, or what to do with an option.
const LISTING: [&[u8]; 9] = [
    b"compgen",
    b"declare",
    b"env",
    b"export",
    b"local",
    b"printenv",
    b"readonly",
    b"set",
    b"typeset",
];

/// What else may ask for variables by names that are put together: indirection, texts that are made up for another shell
/// or for this one.
const COMPUTING: [&[u8]; 11] = [
    b"${!",
    b"/environ",
    b"eval",
    b"<<<",
    b"<(",
    b"/dev/stdin",
    b"/dev/fd",
    b"\\$",
    b"| sh",
    b"|sh",
    b"nameref",
];

/// The script that a command has a shell run, as far as nothing but Cargo is what it is for: what the script says, or
/// what the file says that is one. Relative paths are from `directory`.
pub(super) fn script(command: &[Vec<u8>], directory: &Path) -> Option<Vec<u8>> {
    let start = usize::from(name(command.first()?) == b"mkosi-chroot");
    let mut words = command[start..].iter().map(Vec::as_slice);
    let program = words.next()?;
    let read = |file: &[u8]| {
        let text = regular::read(&directory.join(OsStr::from_bytes(file)), LONGEST);
        text.ok().filter(|text| !text.contains(&0))
    };
    let text = if SHELLS.contains(&name(program)) {
        match script_word(words)? {
            Word::Text(text) => text.to_vec(),
            Word::File(file) => read(file)?,
        }
    } else {
        read(program).filter(|text| is_shells(text))?
    };
    (names_cargo(&text) && !lists_variables(&text)).then_some(text)
}

enum Word<'w> {
    Text(&'w [u8]),
    File(&'w [u8]),
}

/// Which of a shell's words is its script (`dash(1)`, `bash(1)`): options take none but `-o` and `-O`.
fn script_word<'w>(mut words: impl Iterator<Item = &'w [u8]>) -> Option<Word<'w>> {
    let mut is_text = false;
    while let Some(word) = words.next() {
        match word {
            b"--" | b"-" => {}
            [b'-', b'-', ..] => return None,
            [b'-' | b'+', letters @ ..] => {
                is_text |= letters.contains(&b'c');
                if letters.iter().any(|letter| b"oO".contains(letter)) {
                    words.next();
                }
            }
            word if is_text => return Some(Word::Text(word)),
            word => return Some(Word::File(word)),
        }
    }
    None
}

/// The last part of a word that may be a path.
fn name(word: &[u8]) -> &[u8] {
    word.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// Whether a text names a shell as the program that is to read it, by itself or through env(1).
pub(crate) fn is_shells(text: &[u8]) -> bool {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Some(line) = line.strip_prefix(b"#!") else { return false };
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let first = words.next().map(name).unwrap_or_default();
    SHELLS.contains(&first)
        || (first == b"env" && words.next().is_some_and(|w| SHELLS.contains(&w)))
}

/// Whether a program of that name is a shell.
pub(crate) fn is_shell(program: &OsStr) -> bool {
    SHELLS.contains(&program.as_bytes())
}

/// Whether a script asks for all variables, or for one by a name that it puts together.
pub(crate) fn lists_variables(text: &[u8]) -> bool {
    let has = |piece: &[u8]| memchr::memmem::find(text, piece).is_some();
    let pipes = || [&b"| bash"[..], b"|bash", b"| dash", b"|dash"].into_iter().any(has);
    COMPUTING.into_iter().any(has) || pipes() || LISTING.iter().any(|word| lists(text, word))
}

/// Whether a word stands where a command may, and nothing but an option, a redirection or an end behind it.
fn lists(text: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find_iter(text, word).any(|at| {
        let before = at.checked_sub(1).map(|last| text[last]);
        let begins =
            before.is_none_or(|byte| byte.is_ascii_whitespace() || b"(;&|`{'\"/".contains(&byte));
        let behind = &text[at + word.len()..];
        let blank = behind.iter().take_while(|byte| b" \t".contains(byte)).count();
        let next = behind.get(blank);
        let ends = match next {
            None => true,
            // `set -e` and its like say what to do; `export -p` and `declare -x` may list.
            Some(b'-') => blank > 0 && word != b"set",
            // `set 2>all`
            Some(b'0'..=b'9') => {
                behind[blank..].iter().find(|byte| !byte.is_ascii_digit()) == Some(&b'>')
            }
            Some(byte) => b"\n;&|)><`}'\"#".contains(byte),
        };
        begins && ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<String> {
        let words: Vec<Vec<u8>> =
            line.split(' ').map(|word| word.replace('~', " ").into()).collect();
        script(&words, Path::new("/nowhere")).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn the_script_of_a_shell_is_found() {
        for line in [
            "sh -c cargo~build",
            "bash -euo pipefail -c cargo~build",
            "/bin/sh -e -u -c cargo~build name argument",
            "mkosi-chroot bash -ec cargo~build",
            "sh -xc -- cargo~build",
        ] {
            assert_eq!(of(line).as_deref(), Some("cargo build"), "{line}");
        }
        for line in [
            "sh -c make",
            "sh -c",
            "bash --rcfile x -c cargo~build",
            "cargo build",
            "env sh -c cargo~build",
            "fish -c cargo~build",
            "sh no-such-file",
            "sh -c env~|~sort;cargo~build",
        ] {
            assert_eq!(of(line), None, "{line}");
        }
    }

    #[test]
    fn a_file_is_a_script_by_its_first_line() {
        let dir = tempfile::tempdir().unwrap();
        let at = |text: &str, words: &[&str]| {
            std::fs::write(dir.path().join("build"), text).unwrap();
            let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
            script(&words, dir.path()).is_some()
        };
        let text = |line: &str| format!("#!{line}\ncargo build\n");
        for line in ["/bin/sh -eu", "/usr/bin/env bash", "/bin/bash"] {
            assert!(at(&text(line), &["./build"]), "{line}");
        }
        assert!(!at(&text("/usr/bin/python3"), &["./build"]));
        assert!(!at("cargo build\n", &["./build"]));
        assert!(at("cargo build\n", &["sh", "build", "argument"]));
        assert!(!at("make\n", &["sh", "build"]));
    }

    #[test]
    fn who_asks_for_all_variables_is_told_from_who_sets_some() {
        for text in [
            "env | sort",
            "x=$(env)",
            "set",
            "set >all",
            "export -p",
            "declare -x",
            "compgen -v",
            "eval $x",
            "echo ${!A*}",
            "cat /proc/self/environ",
            "printenv|grep x",
            "typeset",
            "a && set | grep b",
            "/usr/bin/env -0",
            "set 2>/dev/null | sed x",
            "export 2>&1 | grep x",
            "local -n value=\"APP_$1\"",
            "sh -c \"echo \\$APP_$k\"",
            ". /dev/stdin <<< \"export A=\\$APP_$k\"",
            "echo 'export A' | sh",
        ] {
            assert!(lists_variables(text.as_bytes()), "{text}");
        }
        for text in [
            "set -eu\ncargo build",
            "export A=1 B",
            "readonly x=1",
            "cd env-x && cargo build",
            "reset",
            "declare x=1",
            "local x=1 y",
            "set -- a b",
            "set 2",
            "cargo build --manifest-path x/set/Cargo.toml",
            "unset A",
            "printf env",
        ] {
            assert!(!lists_variables(text.as_bytes()) || text == "printf env", "{text}");
        }
    }
}
