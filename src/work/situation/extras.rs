//! What a build left beside Cargo's files, and which packages may have made it.
//!
//! Nobody says who wrote a file. But all times here are of one filesystem, whose clock never goes back
//! (see `cargo_layout/tampered.rs`): what a unit wrote was changed after its `invoked.timestamp` and no
//! later than Cargo's note that it was done. What lies outside of all these spans was written by the
//! command itself.
//!
//! Units run side by side, so of those that ran at the moment only such count as may write anything:
//! build scripts, compilations with a macro that is not known to write nothing, and what is linked,
//! since a linker may be told to. If there is none of them, all count. Of build scripts that ran at once,
//! those whose text has the name count alone, if any has.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Begun, OsStr};
use crate::base::moment::Moment;
use crate::base::tree::{Entry, Node, Tree};
use crate::observe::affected::may_write;
use crate::observe::cargo_layout::{Layout, LayoutError, Unit, UnitKind};

/// What a manifest has about extras, by path.
pub(super) fn by_path(
    extras: &BTreeMap<Vec<u8>, BTreeSet<String>>,
) -> impl Iterator<Item = (PathBuf, BTreeSet<String>)> + '_ {
    extras.iter().map(|(path, makers)| (PathBuf::from(OsStr::from_bytes(path)), makers.clone()))
}

/// Who may have made what is beside Cargo's files after a use that began at `started`; `uplifted` are
/// files where users take their artifacts that are not Cargo's.
pub(super) fn makers(
    layout: &Layout,
    uplifted: &BTreeSet<PathBuf>,
    tree: &Tree,
    begun: &Begun,
    started: Moment,
) -> Result<BTreeMap<Vec<u8>, BTreeSet<String>>, LayoutError> {
    let mut all = BTreeMap::new();
    let mut runs = None;
    for path in layout.beside().chain(uplifted) {
        let is_docs = layout.docs_above(path).is_some();
        let files = if is_docs { Vec::new() } else { files(tree, path) };
        let runs = runs.get_or_insert_with(|| Runs::of(layout, begun, started));
        let mut makers = runs.packages_at(path, &files)?;
        makers.extend(earlier(path, &files, begun));
        all.insert(path.as_os_str().as_bytes().to_vec(), makers);
    }
    Ok(all)
}

/// The files of an extra; a directory without any stands for itself.
fn files(tree: &Tree, path: &Path) -> Vec<(PathBuf, Entry)> {
    let is_file = |entry: &Entry| !matches!(entry.node, Node::Directory);
    let inside = tree.below(path);
    let inside = inside.iter().filter(|(_, entry)| is_file(entry));
    let mut files: Vec<_> = inside.map(|(name, entry)| (path.join(name), entry.clone())).collect();
    if files.is_empty() {
        files.extend(tree.get(path).map(|entry| (path.to_owned(), entry.clone())));
    }
    files
}

/// Those of before, if something of it is as it was.
fn earlier(path: &Path, files: &[(PathBuf, Entry)], begun: &Begun) -> BTreeSet<String> {
    let Some((manifest, makers)) = begun.manifest.as_ref().zip(begun.extras.get(path)) else {
        return BTreeSet::new();
    };
    let is_same = |(path, new): &(PathBuf, Entry)| {
        let old = manifest.tree.get(path);
        old.is_some_and(|old| old.same_content(new) && old.stamp.mtime == new.stamp.mtime)
    };
    if files.iter().any(is_same) { makers.clone() } else { BTreeSet::new() }
}

/// The units that ran in a use.
struct Runs<'a> {
    layout: &'a Layout,
    all: Vec<Run<'a>>,
}

struct Run<'a> {
    unit: &'a Unit,
    from: Moment,
    until: Moment,
    may_write: bool,
}

impl<'a> Runs<'a> {
    fn of(layout: &'a Layout, begun: &Begun, started: Moment) -> Self {
        let lock = begun.state.lock.as_ref();
        let writers = lock.map(|lock| may_write(layout, lock)).unwrap_or_default();
        let is_known = |name: &str| {
            lock.is_some_and(|lock| lock.packages.iter().any(|package| package.name == name))
        };
        let is_quiet = |unit: &Unit| {
            let quiet = [UnitKind::Lib, UnitKind::BuildScriptCompile, UnitKind::Doc];
            !unit.kinds.is_empty()
                && unit.kinds.iter().all(|kind| quiet.contains(kind))
                && !writers.contains(&unit.package)
                && is_known(&unit.package)
        };
        let run = |unit: &'a Unit| {
            let from = unit.started.filter(|from| *from >= started)?;
            // A clock that was set back in between tells nothing.
            let until = unit.finished.map(|done| done.at).filter(|until| *until >= from);
            let until = until.unwrap_or(Moment::MAX);
            Some(Run { unit, from, until, may_write: !is_quiet(unit) })
        };
        Self { layout, all: layout.units().filter_map(run).collect() }
    }

    /// The packages of which a unit may have written the files of an extra.
    fn packages_at(
        &self,
        path: &Path,
        files: &[(PathBuf, Entry)],
    ) -> Result<BTreeSet<String>, LayoutError> {
        let moments: BTreeSet<Moment> = files.iter().map(|(_, entry)| entry.stamp.ctime).collect();
        let (mut scripts, mut others) = (BTreeSet::new(), BTreeSet::new());
        for moment in moments {
            let at = self.all.iter().filter(|run| run.from <= moment && moment <= run.until);
            let (writing, quiet): (Vec<_>, Vec<_>) = at.partition(|run| run.may_write);
            for run in if writing.is_empty() { quiet } else { writing } {
                let is_script = run.unit.is(UnitKind::BuildScriptRun);
                let place = if is_script { &mut scripts } else { &mut others };
                place.insert(run.unit.package.clone());
            }
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let named = self.naming(&scripts, &name)?;
        others.extend(if named.is_empty() { scripts } else { named });
        Ok(others)
    }

    /// Those of some packages whose build script holds a name in its text.
    fn naming(
        &self,
        packages: &BTreeSet<String>,
        name: &str,
    ) -> Result<BTreeSet<String>, LayoutError> {
        let mut naming = BTreeSet::new();
        let is_script = |unit: &&Unit| {
            unit.is(UnitKind::BuildScriptCompile) && packages.contains(&unit.package)
        };
        for unit in self.layout.units().filter(is_script) {
            if packages.len() > 1 && self.layout.mentions(unit, name)? {
                naming.insert(unit.package.clone());
            }
        }
        Ok(naming)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tree::Stamp;
    use crate::observe::cargo_layout::{ProfileDir, Version};

    fn unit(package: &str, kind: UnitKind) -> Unit {
        Unit {
            package: package.to_owned(),
            hash: String::new(),
            kinds: [kind].into(),
            crates: BTreeSet::new(),
            paths: vec![PathBuf::from(format!("release/build/{package}"))],
            fingerprint: PathBuf::new(),
            finished: None,
            started: None,
            read: None,
            out_dir: None,
        }
    }

    fn file(moment: Moment) -> (PathBuf, Entry) {
        let stamp = Stamp { ino: 1, size: 1, mtime: Moment(7), ctime: moment };
        (PathBuf::from("gen/x"), Entry { mode: 0, node: Node::Special, stamp, settled: true })
    }

    #[test]
    fn who_ran_at_the_moment_may_have_written_it() {
        let dir = tempfile::tempdir().unwrap();
        let programs = [("oven", "made gen by me"), ("salt", "nothing"), ("tin", "nothing")];
        let mut units = Vec::new();
        for (name, text) in programs {
            let place = dir.path().join("release/build").join(name);
            std::fs::create_dir_all(&place).unwrap();
            std::fs::write(place.join("build-script-build"), text).unwrap();
            units.push(unit(name, UnitKind::BuildScriptCompile));
        }
        let profile = ProfileDir { units, ..ProfileDir::default() };
        let target = dir.path().to_owned();
        let (version, foreign) = (Version::V1, Vec::new());
        let layout = Layout { target, version, profiles: vec![profile], foreign };
        let script = |name| unit(name, UnitKind::BuildScriptRun);
        let units = [
            (script("oven"), 10, 20, true),
            (script("salt"), 10, 24, true),
            (script("tin"), 22, 24, true),
            (unit("water", UnitKind::Lib), 5, 30, false),
            (unit("bread", UnitKind::Bin), 28, 40, true),
        ];
        let run = |(unit, from, until, may_write)| {
            let (from, until) = (Moment(from), Moment(until));
            Run { unit, from, until, may_write }
        };
        let all = units.iter().map(|(unit, from, until, may)| run((unit, *from, *until, *may)));
        let runs = Runs { layout: &layout, all: all.collect() };
        let at = |moments: &[i64]| {
            let files: Vec<_> = moments.iter().map(|moment| file(Moment(*moment))).collect();
            let makers = runs.packages_at(Path::new("gen"), &files).unwrap();
            makers.into_iter().collect::<Vec<_>>().join(" ")
        };
        for (moments, makers) in [
            (&[4][..], ""),
            (&[5], "water"),
            // Both scripts ran, and the one has the name.
            (&[10], "oven"),
            (&[20], "oven"),
            // Neither of these has it.
            (&[23], "salt tin"),
            (&[26], "water"),
            (&[28], "bread"),
            (&[41], ""),
            (&[12, 40], "bread oven"),
        ] {
            assert_eq!(at(moments), makers, "{moments:?}");
        }
    }
}
