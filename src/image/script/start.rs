//! Which paths a script starts, and which it only copies, as far as its words tell. Pure.

use std::collections::BTreeMap;

use super::command::{behind_larder, skip_assignments};
use super::lexer::{self, Piece, Word};

/// Texts in texts (`bash -c "sh -c '…'"`) are read so deep.
const DEPTH: usize = 4;

/// Programs that start the one that they are given.
const WRAPPERS: [&str; 11] = [
    "builtin",
    "command",
    "env",
    "eval",
    "exec",
    "mkosi-chroot",
    "nice",
    "nohup",
    "setsid",
    "sudo",
    "timeout",
];

/// Programs whose arguments come to be somewhere else, as they are.
const COPIERS: [&str; 9] = ["cat", "cp", "dd", "install", "ln", "mv", "rsync", "tar", "tee"];

/// Paths as they are written, without quotes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    /// What is started or sourced.
    pub started: Vec<String>,
    /// What is copied, linked to, or read by another program.
    pub copied: Vec<String>,
    /// The words that a variable of a loop goes through.
    loops: BTreeMap<String, Vec<String>>,
}

/// What a script does with paths.
pub(super) fn uses(text: &str) -> Uses {
    let mut uses = Uses::default();
    uses.read(text, DEPTH);
    let loops = std::mem::take(&mut uses.loops);
    let each = |word: &String| {
        let variable = word.trim_start_matches(['$', '{']).trim_end_matches('}');
        let values = word.starts_with('$').then(|| loops.get(variable)).flatten();
        values.cloned().unwrap_or_else(|| vec![word.clone()])
    };
    uses.started = uses.started.iter().flat_map(each).collect();
    uses.copied = uses.copied.iter().flat_map(each).collect();
    uses
}

impl Uses {
    fn read(&mut self, text: &str, depth: usize) {
        let Ok(pieces) = lexer::pieces(text) else { return };
        let mut is_block = false;
        for piece in &pieces {
            if let Piece::Command { words, .. } = piece {
                match words.as_slice() {
                    [variable, Word { raw: "in", .. }, rest @ ..] if is_block => {
                        let values = rest.iter().map(|word| plain(word.raw)).collect();
                        self.loops.insert(variable.raw.to_owned(), values);
                    }
                    _ => self.command(text, words, depth),
                }
            }
            is_block = *piece == Piece::Block;
        }
    }

    fn command(&mut self, text: &str, words: &[Word], depth: usize) {
        // What a command reads comes to be somewhere else; what it writes is nothing that is started.
        let redirected = |word: &Word| text[..word.at].trim_end().ends_with(['<', '>']);
        let read = words.iter().filter(|word| text[..word.at].trim_end().ends_with('<'));
        self.copied.extend(read.map(|word| plain(word.raw)));
        let words: Vec<Word> = words.iter().filter(|word| !redirected(word)).cloned().collect();
        if !words.is_empty() {
            let words = behind_larder(&words).unwrap_or(&words);
            self.program(skip_assignments(words), depth);
        }
    }

    fn program(&mut self, words: &[Word], depth: usize) {
        let [program, rest @ ..] = words else { return };
        match program.raw.rsplit('/').next().unwrap_or_default() {
            name if WRAPPERS.contains(&name) => {
                let is_own = |word: &&Word| {
                    word.raw.starts_with('-') || word.raw.as_bytes()[0].is_ascii_digit()
                };
                let mut own = rest.iter().take_while(is_own).count();
                own += usize::from(own > 0 && rest[own - 1].raw == "--chdir");
                self.program(skip_assignments(rest.get(own..).unwrap_or_default()), depth);
            }
            "bash" | "sh" | "dash" => self.shell(rest, depth),
            "." | "source" => self.start(rest.first()),
            name if COPIERS.contains(&name) => {
                self.copied.extend(rest.iter().map(|word| plain(word.raw)));
            }
            _ => self.start(Some(program)),
        }
    }

    /// Of a word in which a command is substituted only what is behind that is a path.
    fn start(&mut self, word: Option<&Word>) {
        let Some(word) = word.map(|word| plain(word.raw)) else { return };
        let behind = word.rfind(')').filter(|_| word.contains("$("));
        self.started.push(behind.map_or(word.as_str(), |at| &word[at + 1..]).to_owned());
    }

    fn shell(&mut self, words: &[Word], depth: usize) {
        let options = words.iter().take_while(|word| word.raw.starts_with(['-', '+'])).count();
        let has_text = words[..options]
            .iter()
            .any(|word| !word.raw.starts_with("--") && word.raw.ends_with('c'));
        let Some(word) = words.get(options) else { return };
        if !has_text {
            self.start(Some(word));
        } else if let Some(depth) = depth.checked_sub(1) {
            let inner = |quote| word.raw.strip_prefix(quote)?.strip_suffix(quote);
            let text = inner('\'').or_else(|| inner('"')).unwrap_or(word.raw);
            self.read(&text.replace("\\\"", "\""), depth);
        }
    }
}

/// A word without its quotes.
fn plain(raw: &str) -> String {
    raw.replace(['"', '\''], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_started_is_told_from_what_is_copied_and_named() {
        for (script, started, copied) in [
            ("\"$S/a.sh\" x\n", "$S/a.sh", ""),
            ("if ! X=1 exec sudo -E $S/a.sh; then :; fi\n", "$S/a.sh :", ""),
            (". \"$S/a.sh\"\nsource b/c.sh\n", "$S/a.sh b/c.sh", ""),
            ("mkosi-chroot --chdir /work bash -eu $S/a.sh x\n", "$S/a.sh", ""),
            ("timeout 60 ./a.sh\nenv A=b /usr/bin/env ./c.sh\n", "./a.sh ./c.sh", ""),
            ("mkosi-chroot bash -euc \"cd x && ./a.sh; sh -c './b.sh'\"\n", "cd ./a.sh ./b.sh", ""),
            ("larder_run x --source y -- \"$S/a.sh\"\n", "$S/a.sh", ""),
            ("for f in ./p/*/a.sh b.sh; do \"$f\" x; done\n", "./p/*/a.sh b.sh", ""),
            ("install -m 755 $S/a.sh \"$D/usr\"\n", "", "-m 755 $S/a.sh $D/usr"),
            ("mkosi-chroot bash < $S/a.sh > log\n", "", "$S/a.sh"),
            ("cat a/b.sh | sh -s\n", "", "a/b.sh"),
            ("echo $S/a.sh\ntest -x \"$S/a.sh\"\n", "echo test", ""),
            ("bash -c \"$(cat $S/a.sh)\"\n", "", ""),
            ("\"$(dirname \"$0\")/a.sh\"\n", "/a.sh", ""),
            ("cat <<E\n$S/a.sh\nE\n", "", ""),
            ("for f in a.sh\n", "", ""),
            ("\n", "", ""),
        ] {
            let found = uses(script);
            let found = (found.started.join(" "), found.copied.join(" "));
            assert_eq!(found, (started.to_owned(), copied.to_owned()), "{script}");
        }
    }
}
