//! What `larder init` found in build scripts, for people.

use std::fmt::Write;
use std::path::Path;

use super::files::Site;
use super::scripts::{Called, Caller, Findings, Started};
use crate::image::script::Compiler;
use crate::output::table;

/// So many names of a list are shown; all of them are in the JSON.
const SHOWN: usize = 8;

/// All that there is to say besides the changes.
pub(super) fn text(findings: &Findings) -> String {
    let mut text = String::new();
    for called in &findings.functions {
        functions(&mut text, called);
    }
    caches(&mut text, findings);
    if !findings.started.is_empty() {
        text.push_str("\nStarted by others, as far as larder can tell:\n");
    }
    for Started { file, named_in } in &findings.started {
        let _ = writeln!(text, "  {} (named in {})", file.display(), named_in.display());
    }
    if !findings.left.is_empty() {
        text.push_str("\nNot touched, look yourself:\n");
    }
    for Site { file, line, why } in &findings.left {
        let _ = writeln!(text, "  {}:{line}: {why}", file.display());
    }
    if !findings.together.is_empty() {
        text.push_str("\nEach command of cargo has a directory of its own (docs/chroot.md, \"Several commands of cargo\"):\n");
    }
    for Site { file, line, why } in &findings.together {
        let _ = writeln!(text, "  {}:{line}: {why}", file.display());
    }
    unclear(&mut text, &findings.unclear);
    unnamed(&mut text, findings);
    text
}

fn functions(text: &mut String, called: &Called) {
    let Called { file, function, calls } = called;
    let place = format!("{}:{}", file.display(), function.line);
    if calls.is_empty() {
        let _ = writeln!(text, "\n{} ({place}) is called by nothing that was read.", function.name);
        return;
    }
    let _ = writeln!(text, "\n{} ({place}) compiles for:", function.name);
    let row = |Caller { file, call }: &Caller| {
        let kept = match call.compiler.is_kept() {
            Some(true) => "kept",
            Some(false) => "run as it is",
            None => "kept if its sources have Cargo.toml or go.mod",
        };
        let place = format!("  {}:{}", file.display(), call.line);
        vec![place, call.package.clone(), call.compiler.name().to_owned(), kept.to_owned()]
    };
    let rows: Vec<Vec<String>> = calls.iter().map(row).collect();
    text.push_str(&table(&rows));
}

fn caches(text: &mut String, findings: &Findings) {
    let Some(first) = findings.caches.first() else { return };
    text.push_str("\nCaches of finished binaries that can go, with what fills them, once larder keeps what is compiled:\n");
    for Site { file, line, .. } in &findings.caches {
        let _ = writeln!(text, "  {}:{line}", file.display());
    }
    let _ = writeln!(text, "  Each: {}.", first.why);
    let is_plain = |caller: &&Caller| caller.call.compiler.is_kept() != Some(true);
    let calls = findings.functions.iter().flat_map(|called| &called.calls).filter(is_plain);
    let mut names: Vec<&str> = calls
        .filter(|caller| caller.call.compiler != Compiler::Unknown)
        .map(|caller| caller.call.package.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    if !names.is_empty() {
        let _ = writeln!(
            text,
            "  Without them what is neither cargo nor go is compiled in each build: look at {}.",
            names.join(", ")
        );
    }
}

/// Lines of one file are named together.
fn unclear(text: &mut String, sites: &[Site]) {
    if sites.is_empty() {
        return;
    }
    text.push_str(
        "\nWhat these run their words do not tell; where it is cargo or go, put `larder_run NAME --source DIR --` before:\n",
    );
    for sites in sites.chunk_by(|one, other| one.file == other.file) {
        let place = |site: &Site| format!("{} ({})", site.line, short(&site.why));
        let places: Vec<String> = sites.iter().map(place).collect();
        let _ = writeln!(text, "  {}: {}", sites[0].file.display(), some(&places));
    }
}

fn short(program: &str) -> &str {
    let name = Path::new(program).file_name().and_then(|name| name.to_str());
    name.unwrap_or(program)
}

fn unnamed(text: &mut String, findings: &Findings) {
    let names: Vec<String> =
        findings.unnamed.iter().map(|path| path.display().to_string()).collect();
    if !names.is_empty() {
        let _ = writeln!(
            text,
            "\nIn the build sources compile also, named in nothing that was read, and left alone:\n  {}",
            some(&names)
        );
    }
    if findings.is_cut {
        text.push_str("\nThe build sources hold more files than larder searches: scripts deeper in them were not looked for.\n");
    }
}

/// The first of a list.
fn some(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}
