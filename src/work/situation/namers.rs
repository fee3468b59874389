//! Who may have read a variable that changed and that no directory is named by: units of which a program that ran,
//! or a text that such a program looked up, names it (decision 95).
//!
//! These variables are anybody's own, so nothing is remembered of who names them: they are looked for when one of
//! them is another.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rayon::prelude::*;

use super::LookError;
use super::callers::NamedBy;
use crate::base::digest::Digest;
use crate::base::tree::{Node, Tree};
use crate::observe::cargo_layout::{Layout, Unit, UnitKind};
use crate::observe::identity::{Mentions, Names, Text, is_seldom};
use crate::observe::sources::Where;
use crate::observe::trace::{EXECUTABLE, Traces};

/// Programs that print all variables, so that whoever starts them need not name one.
const PRINTING: [&str; 2] = ["env", "printenv"];

/// The compiler's own libraries, which hold every way to read variables. What rustc reads by itself begins with its
/// name or Cargo's and counts for everybody; what `env!` asks for Cargo compares.
const COMPILER: [&str; 3] = ["libLLVM", "librustc_driver-", "libstd-"];

/// Where one looks.
pub(super) struct Namers<'a> {
    pub layout: &'a Layout,
    /// What is in the target directory.
    pub tree: &'a Tree,
    pub traces: &'a Traces,
    pub place: &'a Where,
}

/// What a file names, and whether it is one that is executed or loaded.
#[derive(Default)]
struct Looked {
    mentions: Mentions,
    is_program: bool,
}

impl Namers<'_> {
    /// The units that may have read one of the variables; those that nobody watched may have read each.
    pub(super) fn of(&self, variables: &[String]) -> Result<NamedBy, LookError> {
        let mut found = NamedBy::default();
        let variables: &[String] =
            &variables.iter().filter(|name| !is_seldom(name)).cloned().collect::<Vec<_>>();
        if variables.is_empty() {
            return Ok(found);
        }
        let names = Names::new(variables);
        let seen = self.look_through(&names);
        for (index, unit) in self.layout.units().enumerate() {
            let mut named: BTreeSet<String> = if self.traces.observe(unit) {
                self.named_by(unit, &seen, variables)
            } else {
                variables.iter().cloned().collect()
            };
            for program in self.layout.programs(unit)? {
                if matches!(self.tree.get(&program).map(|entry| &entry.node), Some(Node::File(_))) {
                    let looked = look(&self.layout.absolute(&program), &names);
                    named.extend(looked.mentions.named(variables));
                }
            }
            if !named.is_empty() {
                found.units.insert(index);
                found.names.extend(named);
            }
        }
        Ok(found)
    }

    /// What the files name that any unit looked up, by their content.
    fn look_through(&self, names: &Names<'_>) -> BTreeMap<Digest, Looked> {
        let traces = self.layout.units().filter_map(|unit| self.traces.of(unit));
        let files = traces.flat_map(|trace| self.traces.files_of(trace));
        let files: BTreeMap<Digest, &Path> = files.map(|(path, digest)| (digest, path)).collect();
        let looked = files.into_par_iter().map(|(digest, path)| {
            let real = self.place.real_of_compiler(path);
            (digest, look(&real, names))
        });
        looked.collect()
    }

    /// A compiler reads what it compiles: a name in that is Cargo's own to watch. Programs that a run of a build
    /// script starts may act by whatever they read.
    fn named_by(
        &self,
        unit: &Unit,
        seen: &BTreeMap<Digest, Looked>,
        variables: &[String],
    ) -> BTreeSet<String> {
        let runs = unit.is(UnitKind::BuildScriptRun);
        let mut named = BTreeSet::new();
        for (path, digest) in
            self.traces.of(unit).into_iter().flat_map(|it| self.traces.files_of(it))
        {
            let prints = path.file_name().is_some_and(|name| PRINTING.iter().any(|it| name == *it));
            if runs && prints {
                return variables.iter().cloned().collect();
            }
            let looked = seen.get(&digest).filter(|looked| runs || looked.is_program);
            named.extend(looked.into_iter().flat_map(|looked| looked.mentions.named(variables)));
        }
        named
    }
}

/// Looks through a file. One that cannot be read nobody runs.
fn look(file: &Path, names: &Names<'_>) -> Looked {
    let name = file.file_name().unwrap_or_default().as_encoded_bytes();
    if COMPILER.iter().any(|own| name.starts_with(own.as_bytes())) {
        return Looked::default();
    }
    let Ok(text) = std::fs::read(file) else { return Looked::default() };
    let mode = || std::fs::metadata(file).map_or(0, |file| file.permissions().mode());
    let is_binary = text.starts_with(b"\x7fELF");
    let kind = if is_binary { Text::Program } else { Text::File };
    Looked {
        mentions: names.in_text(&text, kind),
        is_program: is_binary || mode() & EXECUTABLE != 0,
    }
}
