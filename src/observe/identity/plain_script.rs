//! Scripts in a command that do nothing but have Cargo compile: what Cargo gets from them follows from their words and from
//! the environment alone, and from nothing that lies on the system (decision 129).
//!
//! Whatever is not known here is not plain: a substitution, a redirection, a pattern, another program.

use super::plain_command::says_what_to_compile;

/// Shells, by the names that they are started with.
const SHELLS: [&str; 3] = ["bash", "dash", "sh"];

/// What never stands in a plain script, quoted or not.
const ODD: &[char] = &['`', '<', '>', '(', ')', '*', '?', '[', ']', '!', '~', '#', '\r', '\0'];

/// What `set` may be told.
const SETTINGS: [&str; 4] = ["pipefail", "errexit", "nounset", "xtrace"];

/// Whether a command is a shell with a plain script, here or inside of mkosi's image.
pub(super) fn is_plain_script(command: &[Vec<u8>]) -> bool {
    let words: Option<Vec<&str>> =
        command.iter().map(|word| std::str::from_utf8(word).ok()).collect();
    let words = words.unwrap_or_default();
    let words = words.strip_prefix(&["mkosi-chroot"]).unwrap_or(&words);
    let [shell, option, text] = words else { return false };
    let is_option = option.strip_prefix('-').is_some_and(|letters| {
        letters.contains('c') && letters.chars().all(|it| "ceux".contains(it))
    });
    SHELLS.contains(shell) && is_option && says_only_cargo(text)
}

/// Whether all that a script says is known, and some of it has Cargo compile.
fn says_only_cargo(text: &str) -> bool {
    let text = text.replace("\\\n", " ");
    if text.contains(ODD) || text.contains('\\') {
        return false;
    }
    let Some(commands) = commands(&text) else { return false };
    let compiles = |command: &Vec<String>| command.iter().any(|word| word == "cargo");
    commands.iter().all(|command| is_known(command)) && commands.iter().any(compiles)
}

/// Whether a simple command does only what can be told from its words.
fn is_known(command: &[String]) -> bool {
    let assigned = command.iter().take_while(|word| is_assignment(word)).count();
    let Some((program, words)) = command[assigned..].split_first() else { return true };
    let is_name = |word: &String| !word.starts_with('-') && !word.starts_with('$');
    match program.as_str() {
        "set" => words.iter().all(|word| {
            word.starts_with(['-', '+']) && word.len() > 1 || SETTINGS.contains(&word.as_str())
        }),
        "export" | "unset" => !words.is_empty() && words.iter().all(is_name),
        "cd" => words.len() == 1 && words.iter().all(is_name),
        "exit" | "true" | ":" => words.iter().all(|word| word.parse::<u8>().is_ok()),
        "cargo" => !words.iter().any(|word| word.contains('$')) && says_what_to_compile(words),
        _ => false,
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !name.is_empty()
            && name.chars().all(is_of_name)
            && !name.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// The simple commands of a script, each as its words without quotes; nothing where something else is between them.
fn commands(text: &str) -> Option<Vec<Vec<String>>> {
    let (mut all, mut words, mut word) = (Vec::new(), Vec::new(), None::<String>);
    let mut quote = None;
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match (quote, next) {
            (Some(open), _) if next == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(next);
                word.get_or_insert_default();
            }
            (None, '$') => {
                let word = word.get_or_insert_default();
                word.push('$');
                if rest.next_if_eq(&'{').is_some() {
                    word.push_str(&braced(&mut rest)?);
                } else if !rest.peek().is_some_and(|c| c.is_ascii_alphabetic() || *c == '_') {
                    return None;
                }
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            (None, '\n' | ';') => {
                words.extend(word.take());
                all.push(std::mem::take(&mut words));
            }
            (None, '&' | '|') => {
                rest.next_if_eq(&next)?;
                words.extend(word.take());
                all.push(std::mem::take(&mut words));
            }
            (None, '{' | '}') => return None,
            // Between single quotes a dollar is one; as an expansion it would be less plain, not more.
            _ => word.get_or_insert_default().push(next),
        }
    }
    words.extend(word);
    all.push(words);
    quote.is_none().then_some(all)
}

/// An expansion up to its end: of a variable, with a word that stands for it.
fn braced(rest: &mut impl Iterator<Item = char>) -> Option<String> {
    let mut text = String::from("{");
    for next in rest {
        text.push(next);
        match next {
            '}' => return Some(text),
            _ if next.is_ascii_alphanumeric() || "_:+-/$.".contains(next) => {}
            _ => return None,
        }
    }
    None
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
            "exec cargo build",
            "cargo build \\\\; make",
        ] {
            assert!(!is_plain(text), "{text}");
        }
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
