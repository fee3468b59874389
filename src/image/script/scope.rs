//! Which function of a script a command is in, and what its variables hold.

use std::collections::BTreeMap;

use super::directory::unquoted;
use super::lexer::{Before, Piece, Word};

/// Where a piece of a script is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope<'a> {
    /// The function whose body it is in.
    pub function: Option<&'a str>,
    /// Whether it may be left out, or is in a shell of its own.
    pub conditional: bool,
}

enum Frame<'a> {
    Function(&'a str),
    Group,
    Conditional,
}

/// The scope of each piece.
pub(super) fn scopes<'a>(pieces: &[Piece<'a>]) -> Vec<Scope<'a>> {
    let mut open: Vec<Frame> = Vec::new();
    let mut scopes = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Open { function: true } => {
                open.push(Frame::Function(function_name(&pieces[..index]).unwrap_or_default()));
            }
            Piece::Open { function: false } => open.push(Frame::Group),
            Piece::Subshell | Piece::Block => open.push(Frame::Conditional),
            Piece::Close | Piece::SubshellEnd | Piece::BlockEnd => drop(open.pop()),
            Piece::Command { .. } | Piece::Document(_) => {}
        }
        scopes.push(innermost(&open));
    }
    scopes
}

fn innermost<'a>(open: &[Frame<'a>]) -> Scope<'a> {
    let mut conditional = false;
    for frame in open.iter().rev() {
        match frame {
            Frame::Function(name) => return Scope { function: Some(name), conditional },
            Frame::Conditional => conditional = true,
            Frame::Group => {}
        }
    }
    Scope { function: None, conditional }
}

/// The name of the function whose body follows.
fn function_name<'a>(before: &[Piece<'a>]) -> Option<&'a str> {
    let ([.., Piece::Command { words, .. }, Piece::Subshell, Piece::SubshellEnd]
    | [.., Piece::Command { words, .. }]) = before
    else {
        return None;
    };
    words.last().map(|word| word.raw)
}

/// Whether the piece at a place is the name of a function that is defined there.
pub(super) fn is_definition(pieces: &[Piece], index: usize) -> bool {
    let open = |at: usize| matches!(pieces.get(at), Some(Piece::Open { function: true }));
    let parentheses = matches!(pieces.get(index + 1), Some(Piece::Subshell))
        && matches!(pieces.get(index + 2), Some(Piece::SubshellEnd));
    open(index + 1) || (parentheses && open(index + 3))
}

/// What variables of a script hold, where that is certain: they are given a value once, in any case.
#[derive(Debug, Default)]
pub(super) struct Variables<'a> {
    values: BTreeMap<(Option<&'a str>, &'a str), Vec<Value<'a>>>,
}

#[derive(Clone, Copy, Debug)]
struct Value<'a> {
    raw: &'a str,
    at: usize,
    certain: bool,
    local: bool,
}

/// Commands whose arguments are assignments.
const DECLARE: [&str; 5] = ["local", "export", "declare", "readonly", "typeset"];

impl<'a> Variables<'a> {
    /// Reads all that is assigned.
    pub(super) fn of(pieces: &[Piece<'a>], scopes: &[Scope<'a>]) -> Self {
        let mut variables = Self::default();
        let mut shifted = Vec::new();
        for (piece, scope) in pieces.iter().zip(scopes) {
            let Piece::Command { words, before } = piece else { continue };
            if ["shift", "set"].contains(&words[0].raw) {
                shifted.push(scope.function);
            }
            let local = words[0].raw != "export" && DECLARE.contains(&words[0].raw);
            let certain = *before == Before::Line && !scope.conditional;
            for (name, raw, at) in assignments(words) {
                let moved = position(raw).is_some() && shifted.contains(&scope.function);
                let value = Value { raw, at, certain: certain && !moved, local };
                variables.values.entry((scope.function, name)).or_default().push(value);
            }
            if let [name, Word { raw: "in", .. }, ..] = words.as_slice() {
                let value = Value { raw: "", at: name.at, certain: false, local: false };
                variables.values.entry((scope.function, name.raw)).or_default().push(value);
            }
        }
        variables
    }

    /// All that a variable is given, as it is written.
    pub(super) fn all(&self, function: Option<&str>, name: &str) -> Vec<&'a str> {
        let own = self.values.get(&(function, name));
        let values = own.or_else(|| self.values.get(&(None, name)));
        values.into_iter().flatten().map(|value| value.raw).collect()
    }

    /// The one value of a variable before a place, as it is written.
    fn raw(&self, function: Option<&str>, name: &str, before: usize) -> Option<&'a str> {
        let own = self.values.get(&(function, name));
        let [only] = own.or_else(|| self.values.get(&(None, name)))?.as_slice() else {
            return None;
        };
        // A function runs later than what is around it; who else sets its variables, nobody knows when.
        let is_set = only.at < before || own.is_none();
        let alone =
            only.local || self.values.keys().filter(|(_, other)| *other == name).count() == 1;
        (only.certain && is_set && alone).then_some(only.raw)
    }

    /// The same without its quotes.
    pub(super) fn value(
        &self,
        function: Option<&str>,
        name: &str,
        before: usize,
    ) -> Option<&'a str> {
        unquoted(self.raw(function, name, before)?)
    }

    /// Which argument of its function a variable is, from 1; `$1` itself is one too.
    pub(super) fn argument(
        &self,
        function: Option<&str>,
        name: &str,
        before: usize,
    ) -> Option<usize> {
        function?;
        if let Ok(number) = name.parse() {
            return Some(number);
        }
        self.values.get(&(function, name))?;
        position(self.raw(function, name, before)?)
    }

    /// The variable that holds a text at a place.
    pub(super) fn holding(
        &self,
        function: Option<&str>,
        text: &str,
        before: usize,
    ) -> Option<&'a str> {
        let here = self.values.keys().filter(|(scope, _)| *scope == function);
        let mut names = here.map(|(_, name)| *name);
        names.find(|name| self.value(function, name, before) == Some(text))
    }

    /// A path whose first part is a variable, with what the variable holds in its place.
    pub(super) fn expand(
        &self,
        function: Option<&str>,
        path: &str,
        before: usize,
    ) -> Option<String> {
        let (name, rest) = leading(path)?;
        let value = self.value(function, name, before)?;
        Some(format!("{value}{rest}"))
    }
}

/// What a command assigns for good.
fn assignments<'a>(words: &[Word<'a>]) -> Vec<(&'a str, &'a str, usize)> {
    if DECLARE.contains(&words[0].raw) {
        return words[1..].iter().filter_map(assignment).collect();
    }
    let all: Option<Vec<_>> = words.iter().map(assignment).collect();
    all.unwrap_or_default()
}

/// The name, the value, and the place of an assignment.
fn assignment<'a>(word: &Word<'a>) -> Option<(&'a str, &'a str, usize)> {
    let (name, raw) = word.raw.split_once('=')?;
    let name = name.strip_suffix('+').unwrap_or(name);
    is_name(name).then_some((name, raw, word.at))
}

pub(super) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !text.is_empty() && !text.as_bytes()[0].is_ascii_digit() && text.bytes().all(plain)
}

/// The variable at the beginning of a text, and what follows it.
pub(super) fn leading(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix('$')?;
    if let Some(braced) = rest.strip_prefix('{') {
        let (name, rest) = braced.split_once('}')?;
        return is_name(name).then_some((name, rest));
    }
    let end = rest.find(|byte: char| !byte.is_ascii_alphanumeric() && byte != '_');
    let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
    is_name(name).then_some((name, rest))
}

/// The number in `$1`, `"${4:-x}"` and the like.
fn position(raw: &str) -> Option<usize> {
    let text = raw.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(raw);
    let text = text.strip_prefix('$')?;
    let text = match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        Some(braced) => braced.split([':', '-', '?']).next()?,
        None => text,
    };
    let number: usize = text.parse().ok()?;
    (1..100).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::super::lexer;
    use super::*;

    #[test]
    fn variables_are_known_where_they_are_certain() {
        let script = "top=/srv\nf() {\n  local a=\"$1\" b=${2:-x}\n  c=\"$BUILDROOT/build/$a\"\n\
                      if x; then d=y; fi\n  shift\n  e=$3\n  use\n}\ng() { a=1; }\nf z\n";
        let pieces = lexer::pieces(script).unwrap();
        let scopes = scopes(&pieces);
        let variables = Variables::of(&pieces, &scopes);
        let (f, at) = (Some("f"), script.find("use").unwrap());
        assert_eq!(variables.argument(f, "a", at), Some(1));
        assert_eq!(variables.argument(f, "b", at), Some(2));
        assert_eq!(variables.argument(f, "a", 20), None, "it is not set yet");
        assert_eq!((variables.value(f, "d", at), variables.argument(f, "e", at)), (None, None));
        assert_eq!(variables.value(f, "top", at), Some("/srv"));
        assert_eq!(variables.holding(f, "$BUILDROOT/build/$a", at), Some("c"));
        assert_eq!(
            variables.expand(f, "$c/Cargo.toml", at).as_deref(),
            Some("$BUILDROOT/build/$a/Cargo.toml")
        );
        let call = pieces.iter().rposition(|piece| matches!(piece, Piece::Command { .. })).unwrap();
        assert_eq!(scopes[call], Scope::default());
        assert!(is_definition(&pieces, 1) && !is_definition(&pieces, call));
    }
}
