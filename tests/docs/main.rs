//! What the documents say is what the program and the Makefile do.

#![expect(
    clippy::disallowed_methods,
    reason = "runs larder, and writes documents anew when asked to"
)]

mod messages;
mod scan;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fenced block between `<!-- NAME -->` and `<!-- /NAME -->`, without the fences.
fn block(document: &str, name: &str) -> String {
    let (start, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let (_, rest) =
        document.split_once(&start).unwrap_or_else(|| panic!("README.md has no {start}"));
    let (inside, _) = rest.split_once(&end).unwrap_or_else(|| panic!("README.md has no {end}"));
    let lines: Vec<&str> = inside.trim().lines().collect();
    let fenced = lines.len() > 2 && lines[0].starts_with("```") && lines[lines.len() - 1] == "```";
    assert!(fenced, "{start} holds no fenced block");
    lines[1..lines.len() - 1].join("\n") + "\n"
}

/// What `-h` says to somebody whose terminal has 100 columns and who set no variable.
fn help(verb: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_larder"))
        .args(verb)
        .arg("-h")
        .env("COLUMNS", "100")
        .env_remove("LARDER_STORE")
        .env_remove("LARDER_LOG_FORMAT")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// The names below `Commands:` in the help.
fn commands() -> Vec<String> {
    let help = help(&[]);
    let (_, rest) = help.split_once("Commands:\n").unwrap();
    let lines = rest.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn the_readme_shows_the_help() {
    let shown = block(&read("README.md"), "help");
    let said = help(&[]);
    assert_eq!(shown, said, "put this between the markers in README.md:\n{said}");
}

#[test]
fn the_readme_shows_how_run_is_called() {
    let shown = block(&read("README.md"), "help run");
    let said = help(&["run"]);
    assert_eq!(shown, said, "put this between the markers in README.md:\n{said}");
}

#[test]
fn the_readme_has_a_line_for_every_command() {
    let readme = read("README.md");
    for command in commands() {
        let cell = format!("| `larder {command}");
        assert!(readme.contains(&cell), "README.md's table of commands lacks `larder {command}`");
    }
}

#[test]
fn the_readme_shows_the_policy_of_a_new_store() {
    let policy = read("src/store/larder.toml");
    let shown = block(&read("README.md"), "larder.toml");
    assert_eq!(shown, policy, "put src/store/larder.toml between the markers in README.md");
}

/// The text between two lines of a document.
fn between<'d>(document: &'d str, start: &str, end: &str) -> &'d str {
    let (_, rest) = document.split_once(start).unwrap_or_else(|| panic!("no {start:?}"));
    rest.split_once(end).unwrap_or_else(|| panic!("no {end:?} after {start:?}")).0
}

#[test]
fn the_two_listings_of_a_store_are_the_same() {
    let architecture = read("ARCHITECTURE.md");
    let shown = between(between(&architecture, "## On disk\n", "\n## "), "```\n", "```\n");
    let code = read("src/store.rs");
    let code = between(&code, "//! ```text\n", "//! ```\n").lines();
    let code: String = code.map(|line| line.trim_start_matches("//! ").to_owned() + "\n").collect();
    assert_eq!(shown, code, "put the same into ARCHITECTURE.md and src/store.rs");
}

#[test]
fn the_start_of_a_record_is_as_the_architecture_says() {
    let code = read("src/base/atomic.rs");
    let magic = between(&code, "MAGIC: &[u8; 8] = b\"", "\";");
    let said = format!("are binary: `{magic}`");
    assert!(read("ARCHITECTURE.md").contains(&said), "ARCHITECTURE.md, On disk: {said}");
}

#[test]
fn the_commands_of_make_exist() {
    let makefile = read("Makefile");
    for name in ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        let document = read(name);
        let calls = document.split("make ").skip(1).zip(document.split("make "));
        // Only what stands in code: `make test` and lines of a block.
        let code =
            calls.filter(|(_, before)| before.ends_with("$ ") || before.ends_with(['`', '\n']));
        for (after, _) in code {
            let is_name = |c: &char| c.is_ascii_lowercase() || *c == '-';
            let target: String = after.chars().take_while(is_name).collect();
            let rule = format!("\n{target}:");
            assert!(makefile.contains(&rule), "{name} names `make {target}`, which does not exist");
        }
    }
}

#[test]
fn the_minimum_rust_version_is_said_once() {
    let manifest = read("Cargo.toml");
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap();
    let version = line.trim_end_matches('"');
    assert!(read("README.md").contains(&format!("Rust {version}")), "README.md: Rust {version}");
}

#[test]
fn the_map_names_every_room() {
    let map = read("ARCHITECTURE.md");
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let names = |dir: &Path| -> Vec<String> {
        let entries = fs::read_dir(dir).into_iter().flatten().map(Result::unwrap);
        let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut names: Vec<String> = entries.map(|entry| stem(entry.path())).collect();
        names.sort();
        names.dedup();
        names
    };
    for wing in names(&src).into_iter().filter(|wing| src.join(wing).is_dir()) {
        assert!(map.contains(&format!("\n{wing}/ ")), "ARCHITECTURE.md's map lacks src/{wing}/");
        for room in names(&src.join(&wing)) {
            let known = map.contains(&format!("\n  {room} "));
            assert!(known, "ARCHITECTURE.md's map lacks {room} of src/{wing}/");
        }
    }
}

#[test]
fn the_table_of_versions_names_tests_that_exist() {
    let architecture = read("ARCHITECTURE.md");
    let table = between(&architecture, "\n## Versions\n", "\n## ");
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = walkdir::WalkDir::new(src).into_iter().map(Result::unwrap);
    let code: String =
        files.filter_map(|item| fs::read_to_string(item.path()).ok()).collect::<Vec<_>>().concat();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|line| line.rsplit("| ").next());
    let tests: Vec<&str> = cells.filter_map(|cell| cell.split('`').nth(1)).collect();
    assert!(tests.len() > 7, "{tests:?}");
    for test in tests {
        assert!(code.contains(&format!("fn {test}()")), "ARCHITECTURE.md, Versions: {test}");
    }
}

/// The numbers that stand behind a word in a text.
fn numbers_behind(text: &str, word: &str) -> Vec<u32> {
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    text.split(word).skip(1).filter_map(|rest| digits(rest).parse().ok()).collect()
}

#[test]
fn every_decision_that_the_code_names_is_written_down() {
    let architecture = read("ARCHITECTURE.md");
    let (_, decisions) = architecture.split_once("\n## Decisions\n").unwrap();
    let known = numbers_behind(decisions, "\n**");
    let unique: BTreeSet<u32> = known.iter().copied().collect();
    assert_eq!(known.len(), unique.len(), "ARCHITECTURE.md gives a number to two decisions");
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut named = 0;
    for item in walkdir::WalkDir::new(src).into_iter().map(Result::unwrap) {
        let Ok(text) = fs::read_to_string(item.path()) else { continue };
        for number in numbers_behind(&text, "decision ") {
            let path = item.path().display();
            assert!(unique.contains(&number), "{path}: ARCHITECTURE.md has no decision {number}");
            named += 1;
        }
    }
    assert!(named > 25, "the code names only {named} decisions");
}

#[test]
fn every_message_is_explained() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    let said = messages::document();
    if std::env::var_os("LARDER_RENEW").is_some() {
        fs::write(&path, &said).unwrap();
    }
    assert!(
        read("docs/errors.md") == said,
        "docs/errors.md is behind the sources: make errors-page"
    );
}

#[test]
fn each_claim_of_trust_has_its_test() {
    let mut named = 0;
    for words in read("docs/trust.md").split('`').skip(1).step_by(2) {
        let Some((file, test)) = words.split_once("::").filter(|(_, test)| *test != "TEST") else {
            continue;
        };
        let text = read(&format!("tests/host/{file}.rs"));
        assert!(
            text.contains(&format!("#[test]\nfn {test}()"))
                || text.contains(&format!("\"]\nfn {test}()")),
            "{words}"
        );
        named += 1;
    }
    assert!(named > 15, "docs/trust.md names only {named} tests");
}

/// Blocks behind the name of a file, without the indentation that they have in a list.
#[test]
fn what_is_shown_of_the_depot_is_in_its_files() {
    let page = read("docs/chroot.md");
    let mut shown = 0;
    for part in page.split("<!-- examples/").skip(1) {
        let (name, rest) = part.split_once(" -->\n").unwrap();
        let (indent, rest) = rest.split_once("```sh\n").unwrap();
        let (block, _) = rest.split_once(&format!("\n{indent}```")).unwrap();
        let lines = block.lines().map(|line| line.strip_prefix(indent).unwrap_or(line));
        let block = lines.collect::<Vec<_>>().join("\n");
        let file = read(&format!("examples/{name}"));
        assert!(file.contains(&block), "examples/{name} does not have:\n{block}");
        shown += 1;
    }
    assert_eq!(shown, 3);
}
