//! Splits a shell script into simple commands: enough of POSIX shell and bash to know where a command
//! begins, what its words are, and what is only text. What it cannot follow it refuses.

/// A word of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// As it is written, quotes included.
    pub raw: &'a str,
    /// The offset of its first byte in the script.
    pub at: usize,
}

/// What stands between a command and the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing but whitespace, or the parenthesis of its subshell: it is run in any case.
    Line,
    /// `&&`
    And,
    /// Anything else.
    Other,
}

/// What a script consists of, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A simple command, redirections included.
    Command {
        /// Its words; at least one.
        words: Vec<Word<'a>>,
        /// What stands before it.
        before: Before,
    },
    /// The lines of a here-document.
    Document(Word<'a>),
    /// `{`, after the parentheses of a function or not; `(` if it begins the body of one.
    Open {
        /// Whether it begins the body of a function.
        function: bool,
    },
    /// `}`
    Close,
    /// `(`
    Subshell,
    /// `)`
    SubshellEnd,
    /// `if`, `for`, `while`, `until`, `case`
    Block,
    /// `fi`, `done`, `esac`
    BlockEnd,
}

/// Where the script cannot be followed: the offset of a quote, parenthesis or document without an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unclosed(pub usize);

/// Splits a script into its pieces.
pub(super) fn pieces(script: &str) -> Result<Vec<Piece<'_>>, Unclosed> {
    let mut lexer = Lexer::new(script);
    lexer.run()?;
    Ok(lexer.pieces)
}

/// Words that are followed by a command.
const LEADING: [&str; 6] = ["then", "else", "elif", "do", "!", "time"];

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    pieces: Vec<Piece<'a>>,
    words: Vec<Word<'a>>,
    before: Before,
    /// The delimiters of here-documents that begin on the next line, and whether tabs are stripped.
    documents: Vec<(String, bool)>,
    /// `case` blocks that are open, each with the number of parentheses open when it began.
    cases: Vec<usize>,
    parentheses: usize,
    /// How many substitutions and quotes are open around what is read.
    depth: usize,
}

/// No script that anybody writes has quotes in substitutions in quotes so deep.
const DEPTH: usize = 200;

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            pieces: Vec::new(),
            words: Vec::new(),
            before: Before::Line,
            documents: Vec::new(),
            cases: Vec::new(),
            parentheses: 0,
            depth: 0,
        }
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn starts(&self, text: &str) -> bool {
        self.text.as_bytes()[self.at..].starts_with(text.as_bytes())
    }

    fn run(&mut self) -> Result<(), Unclosed> {
        while self.at < self.text.len() {
            match self.peek(0) {
                b' ' | b'\t' => self.at += 1,
                b'\\' if self.peek(1) == b'\n' => self.at += 2,
                b'\n' => {
                    self.end(Before::Line);
                    self.at += 1;
                    self.read_documents()?;
                }
                b'#' => self.skip_comment(),
                b'&' if self.peek(1) == b'&' => self.operator(2, Before::And),
                // A redirection such as `&>log`.
                b'&' if self.peek(1) == b'>' => self.at += 2,
                b';' | b'&' | b'|' => self.operator(1, Before::Other),
                b'(' => self.open_parenthesis(),
                b')' => self.close_parenthesis(),
                b'<' | b'>' => self.redirection()?,
                _ => self.word()?,
            }
        }
        self.end(Before::Line);
        if self.documents.is_empty() { Ok(()) } else { Err(Unclosed(self.at)) }
    }

    fn skip_comment(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.find('\n').unwrap_or(rest.len());
    }

    fn operator(&mut self, length: usize, next: Before) {
        self.end(next);
        self.at += length;
    }

    /// Ends the command that is being read.
    fn end(&mut self, next: Before) {
        if !self.words.is_empty() {
            let words = std::mem::take(&mut self.words);
            self.pieces.push(Piece::Command { words, before: self.before });
        }
        self.before = next;
    }

    fn open_parenthesis(&mut self) {
        self.end(Before::Line);
        self.parentheses += 1;
        let function = self.begins_function();
        self.pieces.push(if function { Piece::Open { function } } else { Piece::Subshell });
        self.at += 1;
    }

    /// Whether what comes next is the body of a function: behind a name and `()`.
    fn begins_function(&self) -> bool {
        matches!(
            self.pieces.as_slice(),
            [.., Piece::Command { .. }, Piece::Subshell, Piece::SubshellEnd]
        ) && self.words.is_empty()
    }

    fn close_parenthesis(&mut self) {
        self.end(Before::Other);
        self.at += 1;
        // A pattern of a `case` has only this one.
        if self.cases.last().is_none_or(|open| *open != self.parentheses) {
            self.parentheses = self.parentheses.saturating_sub(1);
            self.pieces.push(Piece::SubshellEnd);
        }
    }

    fn redirection(&mut self) -> Result<(), Unclosed> {
        if self.starts("<<<") {
            self.at += 3;
            return Ok(());
        }
        if !self.starts("<<") {
            // `>&2`, `>|`, `<(…)`: what follows is a word, or a command in parentheses.
            self.at += 1;
            while matches!(self.peek(0), b'>' | b'&' | b'|') {
                self.at += 1;
            }
            if self.peek(0) == b'(' {
                let from = self.at;
                self.skip_parentheses(from)?;
            }
            return Ok(());
        }
        self.at += 2;
        let strips = self.peek(0) == b'-';
        self.at += usize::from(strips);
        while matches!(self.peek(0), b' ' | b'\t') {
            self.at += 1;
        }
        let start = self.at;
        self.skip_word()?;
        let delimiter = self.text[start..self.at].replace(['\'', '"', '\\'], "");
        self.documents.push((delimiter, strips));
        Ok(())
    }

    fn read_documents(&mut self) -> Result<(), Unclosed> {
        for (delimiter, strips) in std::mem::take(&mut self.documents) {
            let start = self.at;
            loop {
                if self.at >= self.text.len() {
                    return Err(Unclosed(start));
                }
                let rest = &self.text[self.at..];
                let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
                let plain = if strips { line.trim_start_matches('\t') } else { line };
                let body = &self.text[start..self.at];
                self.at = (self.at + line.len() + 1).min(self.text.len());
                if plain == delimiter {
                    self.pieces.push(Piece::Document(Word { raw: body, at: start }));
                    break;
                }
            }
        }
        Ok(())
    }

    fn word(&mut self) -> Result<(), Unclosed> {
        let start = self.at;
        self.skip_word()?;
        if self.peek(0) == b'(' && self.text[start..self.at].ends_with('=') {
            // An array.
            self.skip_parentheses(start)?;
        }
        let raw = &self.text[start..self.at];
        if self.words.is_empty() && self.reserved(raw) {
            return Ok(());
        }
        if raw == "{" && self.words.first().is_some_and(|word| word.raw == "function") {
            self.end(Before::Other);
            self.pieces.push(Piece::Open { function: true });
            return Ok(());
        }
        self.words.push(Word { raw, at: start });
        Ok(())
    }

    /// Takes a word that is no command's; says whether it was one.
    fn reserved(&mut self, raw: &str) -> bool {
        let piece = match raw {
            "{" => Piece::Open { function: self.begins_function() },
            "}" => Piece::Close,
            "if" | "for" | "while" | "until" | "select" => Piece::Block,
            "case" => {
                self.cases.push(self.parentheses);
                Piece::Block
            }
            "fi" | "done" => Piece::BlockEnd,
            "esac" => {
                self.cases.pop();
                Piece::BlockEnd
            }
            leading if LEADING.contains(&leading) => {
                self.before = Before::Other;
                return true;
            }
            _ => return false,
        };
        self.pieces.push(piece);
        self.before = Before::Other;
        true
    }

    /// Goes to the end of a word.
    fn skip_word(&mut self) -> Result<(), Unclosed> {
        loop {
            match self.peek(0) {
                0 | b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => {
                    // A NUL byte in a script would stop here for ever.
                    if self.peek(0) == 0 && self.at < self.text.len() {
                        return Err(Unclosed(self.at));
                    }
                    return Ok(());
                }
                _ => self.skip_part()?,
            }
        }
    }

    /// Goes past a character, or past what is quoted or substituted.
    fn skip_part(&mut self) -> Result<(), Unclosed> {
        let start = self.at;
        if self.depth == DEPTH {
            return Err(Unclosed(start));
        }
        self.depth += 1;
        match self.peek(0) {
            b'\\' => self.at = (self.at + 2).min(self.text.len()),
            b'\'' => {
                let end = self.text[start + 1..].find('\'').ok_or(Unclosed(start))?;
                self.at = start + 1 + end + 1;
            }
            b'"' => {
                self.at += 1;
                self.skip_until(b'"', start)?;
            }
            b'`' => {
                let end = self.text[start + 1..].find('`').ok_or(Unclosed(start))?;
                self.at = start + 1 + end + 1;
            }
            b'$' if self.peek(1) == b'(' => {
                self.at += 1;
                self.skip_parentheses(start)?;
            }
            b'$' if self.peek(1) == b'{' => {
                self.at += 2;
                self.skip_until(b'}', start)?;
            }
            _ => self.at += 1,
        }
        self.depth -= 1;
        // Never in the middle of a character.
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
        Ok(())
    }

    /// Goes past `close`; single quotes are plain in double ones.
    fn skip_until(&mut self, close: u8, start: usize) -> Result<(), Unclosed> {
        loop {
            match self.peek(0) {
                byte if byte == close && self.at < self.text.len() => {
                    self.at += 1;
                    return Ok(());
                }
                b'\'' => self.at += 1,
                _ if self.at >= self.text.len() => return Err(Unclosed(start)),
                _ => self.skip_part()?,
            }
        }
    }

    /// Goes past `(…)`, with what is quoted in it.
    fn skip_parentheses(&mut self, start: usize) -> Result<(), Unclosed> {
        let mut depth = 0_usize;
        loop {
            match self.peek(0) {
                _ if self.at >= self.text.len() => return Err(Unclosed(start)),
                b'(' => {
                    depth += 1;
                    self.at += 1;
                }
                b')' => {
                    depth -= 1;
                    self.at += 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                b'#' if matches!(
                    self.text.as_bytes()[self.at - 1],
                    b' ' | b'\t' | b'\n' | b'('
                ) =>
                {
                    self.skip_comment();
                }
                _ => self.skip_part()?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(script: &str) -> Vec<String> {
        let pieces = pieces(script).unwrap();
        let each = pieces.iter().filter_map(|piece| match piece {
            Piece::Command { words, .. } => {
                Some(words.iter().map(|word| word.raw).collect::<Vec<_>>().join(" "))
            }
            _ => None,
        });
        each.collect()
    }

    #[test]
    fn commands_are_told_from_text() {
        let script = "#!/bin/sh\n# cargo build\na 'cargo build\n' \"x $(b \"y\" '\"') `z`\" # c\n\
                      cat <<EOF && d\ncargo build\nEOF\ne \\\n  f; g | h &\nif i; then j; fi\n";
        assert_eq!(
            commands(script),
            ["a 'cargo build\n' \"x $(b \"y\" '\"') `z`\"", "cat", "d", "e f", "g", "h", "i", "j"]
        );
    }

    #[test]
    fn functions_and_cases_are_followed() {
        let script = "f() {\n  case $1 in\n    a|b) c ;;\n    (d) e ;;\n  esac\n}\n( g )\n";
        let pieces = pieces(script).unwrap();
        assert!(pieces.contains(&Piece::Open { function: true }), "{pieces:?}");
        let count = |wanted: &Piece| pieces.iter().filter(|piece| *piece == wanted).count();
        assert_eq!((count(&Piece::Block), count(&Piece::BlockEnd)), (1, 1));
        assert_eq!(count(&Piece::Open { function: true }), count(&Piece::Close));
        let pieces = super::pieces("f() (\n  a\n)\nfunction g { b; }\nh() { c; }\n").unwrap();
        let bodies = pieces.iter().filter(|piece| **piece == Piece::Open { function: true });
        assert_eq!(bodies.count(), 3, "{pieces:?}");
    }

    #[test]
    fn an_array_is_a_word_and_a_comment_has_no_quotes() {
        let script = "a=(cargo build # it's one\n)\nlocal b+=(c d) e\nx $(f # it's two\n)\n";
        assert_eq!(
            commands(script),
            ["a=(cargo build # it's one\n)", "local b+=(c d) e", "x $(f # it's two\n)"]
        );
    }

    #[test]
    fn what_is_too_deep_is_refused() {
        for open in ["$(", "${", "\"$("] {
            assert!(pieces(&open.repeat(100_000)).is_err(), "{open}");
        }
        assert!(pieces(&"(".repeat(200_000)).is_ok());
    }

    #[test]
    fn what_has_no_end_is_refused() {
        for bad in ["a 'b", "a \"b", "a $(b", "a ${b", "cat <<EOF\nx\n", "a `b", "a\0b"] {
            assert!(pieces(bad).is_err(), "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic_or_stay(script in "[a{}()$'\"`\\\\\n;&|<>#é -]{0,60}") {
            let _ = pieces(&script);
        }
    }
}
