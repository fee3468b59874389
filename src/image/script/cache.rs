//! Where a script takes what was compiled earlier from a cache of its own in `$BUILDDIR`.

use super::lexer::{Piece, Word};
use super::scope::{Scope, Variables, leading};
use super::{Left, line_of, unquoted};

/// Commands that ask whether something is there.
const TESTS: [&str; 3] = ["[", "[[", "test"];

/// Commands that take it.
const COPIES: [&str; 6] = ["cp", "install", "mv", "ln", "tar", "rsync"];

/// The first question for a finished binary in each of the functions in which larder is used.
pub(super) fn caches(
    text: &str,
    pieces: &[Piece],
    scopes: &[Scope],
    variables: &Variables,
    kept: &[Option<&str>],
) -> Vec<Left> {
    let mut found: Vec<(Option<&str>, Left)> = Vec::new();
    for (piece, scope) in pieces.iter().zip(scopes) {
        let Piece::Command { words, .. } = piece else { continue };
        let known = found.iter().any(|(function, _)| *function == scope.function);
        if known || !kept.contains(&scope.function) || !TESTS.contains(&words[0].raw) {
            continue;
        }
        let cached = |name: &&str| {
            let values = variables.all(scope.function, name);
            let below = |value: &str| {
                let value = value.trim_start_matches('"');
                value.starts_with("$BUILDDIR/") || value.starts_with("${BUILDDIR}/")
            };
            values.into_iter().any(below)
        };
        let mut asked = asked(words).into_iter().filter(cached);
        if asked.any(|name| is_copied(pieces, scopes, *scope, name)) {
            let line = line_of(text, words[0].at) + 1;
            let why = "it takes a finished binary from $BUILDDIR by its name and version, whatever else decides its bytes".to_owned();
            found.push((scope.function, Left { line, why }));
        }
    }
    found.into_iter().map(|(_, left)| left).collect()
}

/// The variables whose files a command asks for.
fn asked<'a>(words: &[Word<'a>]) -> Vec<&'a str> {
    let is_question = |word: &Word| ["-f", "-d", "-e", "-s", "-x", "-r"].contains(&word.raw);
    let pairs = words.windows(2).filter(|pair| is_question(&pair[0]));
    pairs.filter_map(|pair| Some(leading(unquoted(pair[1].raw)?)?.0)).collect()
}

fn is_copied(pieces: &[Piece], scopes: &[Scope], scope: Scope, name: &str) -> bool {
    let names = [format!("${name}"), format!("${{{name}}}")];
    pieces.iter().zip(scopes).any(|(piece, other)| match piece {
        Piece::Command { words, .. } => {
            other.function == scope.function
                && COPIES.contains(&words[0].raw)
                && words.iter().any(|word| names.iter().any(|name| word.raw.contains(name)))
        }
        _ => false,
    })
}
