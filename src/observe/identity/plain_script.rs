//! Scripts in a command that do nothing but have Cargo compile: what Cargo gets from them follows from their words and from
//! the environment alone, and from nothing that lies on the system (decision 129).
//!
//! Whatever is not known here is not plain: a substitution, a redirection, a pattern, another program, a variable of the
//! shell's own.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::plain_command::says_what_to_compile;
use super::scripts::is_shell;
use crate::base::environment;
use crate::image::script::{is_assignment, simple_commands, unquoted};

/// What never stands in a plain script, quoted or not.
const ODD: &[char] = &['`', '<', '>', '(', ')', '*', '?', '[', ']', '!', '~', '#', '@', '\r', '\0'];

/// What `set` may be told.
const SETTINGS: [&str; 4] = ["pipefail", "errexit", "nounset", "xtrace"];

/// The variables that may be asked for: no shell gives them a value of its own (`bash(1)`, Shell Variables).
const ASKED_FOR: [&str; 4] = ["CARGO_HOME", "HOME", "PATH", "RUSTFLAGS"];

/// Whether a command is a shell with a plain script, here or inside of mkosi's image.
pub(crate) fn is_plain_script(command: &[Vec<u8>]) -> bool {
    let words: Option<Vec<&str>> =
        command.iter().map(|word| std::str::from_utf8(word).ok()).collect();
    let words = words.unwrap_or_default();
    let words = words.strip_prefix(&["mkosi-chroot"]).unwrap_or(&words);
    let [shell, option, text] = words else { return false };
    let is_option = option.strip_prefix('-').is_some_and(|letters| {
        letters.contains('c') && letters.chars().all(|it| "ceux".contains(it))
    });
    is_shell(OsStr::new(shell)) && is_option && says_only_cargo(text) && !is_told_to_shells()
}

/// Whether the environment has shells read a file first, or gives them functions in place of programs (`bash(1)`).
fn is_told_to_shells() -> bool {
    environment::all().keys().any(|name| {
        let name = name.as_bytes();
        name == b"BASH_ENV" || name == b"ENV" || name.starts_with(b"BASH_FUNC_")
    })
}

/// Whether all that a script says is known, and some of it has Cargo compile.
fn says_only_cargo(text: &str) -> bool {
    let text = text.replace("\\\n", " ");
    let joins = |sign: char| text.replace(&format!("{sign}{sign}"), "").contains(sign);
    if text.contains(ODD) || text.contains('\\') || joins('&') || joins('|') {
        return false;
    }
    let is_known_to_all = text.split('$').skip(1).all(asks_for_known);
    let Some(commands) = simple_commands(&text).filter(|_| is_known_to_all) else { return false };
    let compiles = |command: &Vec<&str>| command.contains(&"cargo");
    commands.iter().all(|command| is_known(command)) && commands.iter().any(compiles)
}

/// Whether what stands behind a dollar is a variable of which it is known that the environment has it.
fn asks_for_known(behind: &str) -> bool {
    let name = behind.strip_prefix('{').unwrap_or(behind);
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
    ASKED_FOR.contains(&&name[..end])
}

/// Whether a simple command does only what can be told from its words.
fn is_known(command: &[&str]) -> bool {
    let assigned = command.iter().take_while(|word| is_assignment(word)).count();
    let (before, command) = command.split_at(assigned);
    if !before.iter().all(|word| keeps_path(word)) {
        return false;
    }
    let Some((program, words)) = command.split_first() else { return true };
    let is_name = |word: &&str| !word.starts_with(['-', '$', '"', '\'']);
    match *program {
        "set" => words
            .iter()
            .all(|word| word.starts_with(['-', '+']) && word.len() > 1 || SETTINGS.contains(word)),
        "export" => !words.is_empty() && words.iter().all(|word| is_name(word) && keeps_path(word)),
        "unset" => !words.is_empty() && words.iter().all(is_name),
        "cd" => words.len() == 1 && !words[0].starts_with(['-', '$']),
        "exit" | "true" | ":" => words.iter().all(|word| word.parse::<u8>().is_ok()),
        "cargo" => {
            let plain =
                |word: &&str| unquoted(word).filter(|it| !it.contains('$')).map(str::to_owned);
            let words: Option<Vec<String>> = words.iter().map(plain).collect();
            words.is_some_and(|words| says_what_to_compile(&words))
        }
        _ => false,
    }
}

/// Whether what is found by `PATH` is still found first.
fn keeps_path(word: &str) -> bool {
    let path = word.strip_prefix("PATH=").map(|path| path.trim_start_matches('"'));
    path.is_none_or(|path| path.starts_with("$PATH") || path.starts_with("${PATH}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_plain(text: &str) -> bool {
        is_plain_script(&["mkosi-chroot", "bash", "-c", text].map(|word| word.as_bytes().to_vec()))
    }

    #[test]
    fn what_image_repositories_write_is_plain() {
        for text in [
            "cargo build --release",
            "unset DESTDIR && cd '/build/pantry' && cargo build --release --locked",
            "\n  unset DESTDIR\n  PATH=$PATH${CARGO_HOME:+:$CARGO_HOME/bin}\n  cd '/build/a b' || exit\n  cargo fetch\n  cargo build --release --frozen --package pantry\n",
            "set -euo pipefail; export RUSTFLAGS='-C link-arg=-Wl,--build-id=none' \\\n CARGO_TERM_COLOR=\"never\"; cargo build",
            "A=b cargo build; cargo check",
        ] {
            assert!(is_plain(text), "{text}");
        }
    }

    #[test]
    fn what_may_tell_cargo_anything_else_is_not() {
        for text in [
            "",
            "cd /build/pantry",
            "make",
            "./build.sh && cargo build",
            "export V=$(git describe) && cargo build",
            "export V=`git describe` && cargo build",
            "export V=$((1 + 1)); cargo build",
            "source env.sh; cargo build",
            ". ./env.sh; cargo build",
            "eval x; cargo build",
            "read V; cargo build",
            "read V < VERSION; cargo build",
            "cargo build | tee log",
            "cargo build & cargo check",
            "if [ -e x ]; then export V=1; fi; cargo build",
            "for x in a b; do cargo build; done",
            "f() { cargo build; }; f",
            "{ cargo build; }",
            "env V=1 cargo build",
            "cargo build $FLAGS",
            "cargo build --features \"$FEATURES\"",
            "cargo run",
            "cargo test",
            "cargo +nightly build",
            "cargo build --config a=b",
            "$CARGO build; cargo build",
            "export $NAME=x; cargo build",
            "export V=*; cargo build",
            "export V=~/x; cargo build",
            "cd - && cargo build",
            "printf -v V %s x; cargo build",
            "declare V=x; cargo build",
            "cargo build 'unclosed",
            "export V=${!X}; cargo build",
            "export V=${X@P}; cargo build",
            "export -p; cargo build",
            "export V=$BASH_VERSION; cargo build",
            "export V=$$; cargo build",
            "export V=$1; cargo build",
            "PATH=/opt/rust/bin:$PATH; cargo build",
            "export PATH=/opt/rust/bin; cargo build",
            "cargo build --features 'a'b",
            "export V=\"a\" \"-p\"; cargo build",
            "exec cargo build",
            "cargo build \\\\; make",
        ] {
            assert!(!is_plain(text), "{text}");
        }
    }

    #[test]
    fn only_a_shell_with_a_text_has_a_plain_script() {
        let words =
            |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        for other in [
            &["bash", "-lc", "cargo build"][..],
            &["bash", "-ic", "cargo build"],
            &["bash", "-c", "cargo build", "x"],
            &["bash", "cargo build"],
            &["zsh", "-c", "cargo build"],
            &["/tmp/bash", "-c", "cargo build"],
        ] {
            assert!(!is_plain_script(&words(other)), "{other:?}");
        }
    }
}
