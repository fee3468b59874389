//! The manual pages: what the command line says of itself, with what `man-pages(7)` wants besides. Pure.

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::face::cli::Cli;
use crate::store::config::SYSTEM_STORE;

/// A manual page.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Its file's name, such as `larder-run.1`.
    pub name: String,
    /// What `man(1)` reads.
    pub text: String,
}

/// What most commands end with.
const CODES: [(&str, &str); 3] =
    [("0", "done"), ("1", "failed"), ("2", "the command line was wrong")];

/// What a command that runs another one ends with.
const WRAPPING_CODES: [(&str, &str); 5] = [
    ("0 to 124", "the command's own"),
    ("125", "larder itself failed, its command line included"),
    ("126", "the command cannot be executed"),
    ("127", "there is no such command"),
    ("128 + n", "signal n ended the command"),
];

const VARIABLES: [(&str, &str); 7] = [
    ("LARDER_STORE", "the store, where --store does not name one"),
    ("LARDER_DOMAIN", "for whom it is built, where --domain does not name a domain"),
    (
        "XDG_CACHE_HOME",
        "where the store of everybody but root is: larder below it, or below ~/.cache",
    ),
    (
        "LARDER_LOG_FORMAT",
        "json: each line on stderr is a JSON object, where --log-format does not say otherwise",
    ),
    ("NO_COLOR", "if it is set and not empty, nothing is coloured"),
    (
        "JOURNAL_STREAM",
        "set by systemd: lines on stderr begin with priorities, if it is the journal",
    ),
    ("BUILDROOT", "set by mkosi: a source below it is compiled through mkosi-chroot"),
];

const FILES: [(&str, &str); 6] = [
    (SYSTEM_STORE, "root's store"),
    ("~/.cache/larder", "everybody else's"),
    ("STORE/larder.toml", "the store's policy: larder.toml(5)"),
    ("STORE/mkosi.conf", "what `larder init` writes for mkosi's --include"),
    ("STORE/larder.sh", "the function that build scripts source"),
    ("/usr/share/doc/larder/errors.md", "everything that larder says, and what to do"),
];

/// All pages: one for larder, one for each command, and one for `larder.toml`.
pub(crate) fn pages() -> Vec<Page> {
    let mut larder = Cli::command().disable_help_subcommand(true);
    larder.build();
    let verbs: Vec<Command> =
        larder.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
    let mut pages: Vec<Page> = verbs.iter().map(of_verb).collect();
    pages.push(of_larder(&larder, &verbs));
    pages.push(of_policy());
    pages
}

fn of_larder(larder: &Command, verbs: &[Command]) -> Page {
    let mut page = Draft::new(larder);
    page.section("EXIT STATUS");
    page.list(&CODES);
    page.words("larder-run(1), larder-verify(1) and larder-gc(1) have more.");
    page.section("ENVIRONMENT");
    page.list(&VARIABLES);
    page.section("FILES");
    page.list(&FILES);
    let others = verbs.iter().map(|verb| format!("{}(1)", title(verb)));
    let others: Vec<String> = others.chain(["larder.toml(5)".to_owned()]).collect();
    page.section("SEE ALSO");
    page.words(&others.join(", "));
    page.finish()
}

fn of_verb(verb: &Command) -> Page {
    let mut page = Draft::new(verb);
    page.section("EXIT STATUS");
    match verb.get_name() {
        "run" => page.list(&WRAPPING_CODES),
        "verify" => {
            page.list(&WRAPPING_CODES);
            page.list(&[("3", "artifacts differ from those of a cold build")]);
        }
        "gc" => {
            page.list(&CODES);
            page.list(&[("3", "nothing failed, but a budget cannot be met")]);
        }
        _ => page.list(&CODES),
    }
    if let Some(examples) = verb.get_after_long_help() {
        page.section("EXAMPLES");
        page.verbatim(examples.to_string().trim_start_matches("Examples:\n"));
    }
    page.section("SEE ALSO");
    page.words("larder(1), larder.toml(5)");
    page.finish()
}

fn of_policy() -> Page {
    let mut page = Draft { name: "larder.toml.5".to_owned(), ..Draft::default() };
    page.rest.control("TH", ["larder.toml", "5", "", &source(), ""]);
    page.section("NAME");
    page.words("larder.toml - the policy of a larder store");
    page.section("DESCRIPTION");
    page.words(
        "The file lies in the store, because whoever collects by the clock knows no repository. A \
         new store has the one below, in which every setting is commented out and has its default, \
         or an example where there is no limit. An unknown key is an error.",
    );
    page.verbatim(include_str!("../store/larder.toml"));
    page.section("SEE ALSO");
    page.words("larder(1), larder-gc(1), larder-run(1)");
    page.finish()
}

/// A page that is being written.
#[derive(Default)]
struct Draft {
    name: String,
    /// What is done already.
    head: Vec<u8>,
    rest: Roff,
}

impl Draft {
    /// Begins with what the command line says of itself.
    fn new(command: &Command) -> Self {
        let name = format!("{}.1", title(command));
        let usage = command.clone().render_usage().to_string();
        let man = Man::new(command.clone()).source(source());
        let mut synopsis = Roff::new();
        synopsis.control("SH", ["SYNOPSIS"]);
        synopsis.text([roman(usage.trim_start_matches("Usage: "))]);
        let mut head = Vec::new();
        // Writing to memory cannot fail.
        let _ = man
            .render_title(&mut head)
            .and_then(|()| man.render_name_section(&mut head))
            .and_then(|()| synopsis.to_writer(&mut head))
            .and_then(|()| man.render_options_section(&mut head));
        if command.has_subcommands() {
            let _ = man.render_subcommands_section(&mut head);
        }
        Self { name, head, rest: Roff::new() }
    }

    fn section(&mut self, name: &str) {
        self.rest.control("SH", [name]);
    }

    fn words(&mut self, text: &str) {
        self.rest.control("PP", []);
        self.rest.text([roman(text)]);
    }

    fn list(&mut self, items: &[(&str, &str)]) {
        for (term, text) in items {
            self.rest.control("TP", []);
            self.rest.text([bold(*term)]);
            self.rest.text([roman(*text)]);
        }
    }

    /// Lines as they are.
    fn verbatim(&mut self, text: &str) {
        self.rest.control("PP", []);
        self.rest.control("nf", []);
        for line in text.trim_end().lines() {
            self.rest.text([roman(line)]);
        }
        self.rest.control("fi", []);
    }

    fn finish(self) -> Page {
        let text = String::from_utf8_lossy(&self.head).into_owned() + &self.rest.render();
        Page { name: self.name, text }
    }
}

/// What a page is called, such as `larder-run`.
fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn source() -> String {
    format!("larder {}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_examples_and_exit_codes() {
        let pages = pages();
        let mut larder = Cli::command();
        larder.build();
        for verb in larder.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            if verb.get_name() == "help" {
                continue;
            }
            let name = format!("larder-{}.1", verb.get_name());
            let page =
                pages.iter().find(|page| page.name == name).unwrap_or_else(|| panic!("{name}"));
            for section in ["NAME", "SYNOPSIS", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"] {
                let heading =
                    |line: &str| line.trim_start_matches(".SH ").trim_matches('"') == section;
                assert!(page.text.lines().any(heading), "{name}: {section}\n{}", page.text);
            }
        }
        assert!(pages.iter().any(|page| page.name == "larder.1"));
        let policy = pages.iter().find(|page| page.name == "larder.toml.5").unwrap();
        assert!(policy.text.contains("keep\\-units"), "{}", policy.text);
    }
}
