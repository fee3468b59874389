//! The model of Cargo 1.95 (`core/compiler/fingerprint/mod.rs`, `calculate`, `check_filesystem`).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use filetime::FileTime;
use serde_json::json;

use super::Script;
use crate::base::digest::Digest;
use crate::base::encoding::hexadecimal;
use crate::base::moment::Moment;
use crate::base::tree::Stamp;
use crate::observe::cargo_layout::number_of;

/// Which layout it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    V1,
    V2,
}

/// A unit of the workspace.
struct Unit {
    package: &'static str,
    hash: &'static str,
    note: &'static str,
    /// The file with what it makes.
    artifact: &'static str,
    sources: &'static [&'static str],
    deps: &'static [usize],
}

const RUN: usize = 1;

const UNITS: [Unit; 5] = [
    Unit {
        package: "lib",
        hash: "00000000000000c1",
        note: "build-script-build-script-build",
        artifact: "build_script_build-00000000000000c1",
        sources: &["lib/build.rs"],
        deps: &[],
    },
    Unit {
        package: "lib",
        hash: "00000000000000c2",
        note: "run-build-script-build-script-build",
        artifact: "output",
        sources: &[],
        deps: &[0],
    },
    Unit {
        package: "lib",
        hash: "00000000000000c3",
        note: "lib-lib",
        artifact: "liblib-00000000000000c3.rlib",
        sources: &["lib/src/lib.rs"],
        deps: &[1],
    },
    Unit {
        package: "plain",
        hash: "00000000000000c4",
        note: "lib-plain",
        artifact: "libplain-00000000000000c4.rlib",
        sources: &["plain/src/lib.rs"],
        deps: &[],
    },
    Unit {
        package: "app",
        hash: "00000000000000c5",
        note: "bin-app",
        artifact: "app-00000000000000c5",
        sources: &["src/main.rs"],
        deps: &[2, 3],
    },
];

/// Cargo, in one target directory.
pub(super) struct Cargo<'a> {
    pub source: &'a Path,
    pub target: &'a Path,
    pub form: Form,
    pub script: Script,
    /// Whether a build script lets stand what the run before left: what the command itself changes before
    /// Cargo runs, nobody can know beforehand, and Cargo empties no directory.
    pub keeps_leftovers: bool,
    pub now: Moment,
}

/// What a build came to.
pub(super) struct Built {
    /// How many units were made.
    pub made: usize,
    pub succeeded: bool,
}

impl Cargo<'_> {
    /// Builds everything; if it is to fail, the library does not compile.
    pub(super) fn build(&mut self, fails: bool) -> Built {
        fs::create_dir_all(self.target.join("release")).unwrap();
        fs::write(self.target.join("release/.cargo-lock"), "").unwrap();
        let mut built = Built { made: 0, succeeded: true };
        // By unit: its number, the newest of its outputs, and whether it was made anew.
        let mut done: Vec<(u64, Moment, bool)> = Vec::new();
        for (index, unit) in UNITS.iter().enumerate() {
            let old = self.fingerprint(index, &done);
            let is_stale = unit.deps.iter().any(|dep| done[*dep].2)
                || self.note(index) != Some(old.0)
                || self
                    .newest_output(index)
                    .is_none_or(|own| unit.deps.iter().any(|dep| done[*dep].1 > own))
                || self.has_newer_input(index);
            let mut number = old.0;
            if is_stale {
                if fails && index == 2 {
                    fs::write(self.note_file(index), "").unwrap_or_default();
                    built.succeeded = false;
                    return built;
                }
                number = self.make(index, &done);
                built.made += 1;
            }
            done.push((number, self.newest_output(index).unwrap(), is_stale));
        }
        let uplifted = self.target.join("release/app");
        let _ = fs::remove_file(&uplifted);
        fs::hard_link(self.artifact(4), uplifted).unwrap();
        built
    }

    /// What a cold build makes of the present contents, for each unit.
    pub(super) fn cold(&self) -> Vec<String> {
        let mut products: Vec<String> = Vec::new();
        for index in 0..UNITS.len() {
            products.push(self.product(index, &products));
        }
        products
    }

    /// What is there.
    pub(super) fn products(&self) -> Vec<String> {
        (0..UNITS.len()).map(|index| self.made(index)).collect()
    }

    fn product(&self, index: usize, before: &[String]) -> String {
        let mut text = UNITS[index].deps.iter().map(|dep| before[*dep].clone()).collect::<String>();
        for path in UNITS[index].sources {
            text += &fs::read_to_string(self.source.join(path)).unwrap_or_default();
        }
        if index == RUN {
            for path in ["lib/data/a", "lib/data/b", "lib/top"] {
                let content = fs::read_to_string(self.source.join(path));
                text += &content.unwrap_or_else(|_| "none".to_owned());
            }
        }
        hexadecimal(Digest::of(text.as_bytes()).as_bytes())
    }

    fn made(&self, index: usize) -> String {
        let file = if index == RUN { self.out_dir().join("text") } else { self.artifact(index) };
        fs::read_to_string(file).unwrap_or_default()
    }

    /// Makes a unit. A build script writes into its directory only what is not there yet.
    fn make(&mut self, index: usize, done: &[(u64, Moment, bool)]) -> u64 {
        let started = self.tick();
        let before: Vec<String> = (0..index).map(|other| self.made(other)).collect();
        let product = self.product(index, &before);
        let note = self.note_file(index);
        fs::create_dir_all(note.parent().unwrap()).unwrap();
        if index == RUN {
            fs::create_dir_all(self.out_dir()).unwrap();
            let text = self.out_dir().join("text");
            if !self.keeps_leftovers || !text.exists() {
                fs::write(text, product).unwrap();
            }
            write(&self.run_file("invoked.timestamp"), b"", started);
            write(&self.artifact(index), self.says().as_bytes(), started);
        } else {
            let artifact = self.artifact(index);
            fs::create_dir_all(artifact.parent().unwrap()).unwrap();
            let end = self.tick();
            let _ = fs::remove_file(&artifact);
            write(&artifact, product.as_bytes(), end);
            let names = UNITS[index].sources.join(" ");
            let name = UNITS[index].artifact;
            let stem = name.strip_suffix(".rlib").map_or(name, |stem| &stem["lib".len()..]);
            let info = artifact.with_file_name(format!("{stem}.d"));
            write(&info, format!("/x: {names}\n").as_bytes(), end);
            let dep = note.with_file_name(format!("dep-{}", UNITS[index].note));
            write(&dep, b"", started);
            write(&note.with_file_name("invoked.timestamp"), b"", started);
        }
        let (number, json) = self.fingerprint(index, done);
        let noted = self.tick();
        write(&note.with_extension("json"), json.to_string().as_bytes(), noted);
        write(&note, hexadecimal(&number.to_le_bytes()).as_bytes(), noted);
        number
    }

    /// The fingerprint as Cargo computes it before it looks at files.
    fn fingerprint(&self, index: usize, done: &[(u64, Moment, bool)]) -> (u64, serde_json::Value) {
        let relative = |path: PathBuf| path.strip_prefix(self.target).unwrap().to_owned();
        let local = match (index == RUN, self.watched()) {
            (false, _) => json!({ "CheckDepInfo": {
                "dep_info": relative(self.note_file(index)), "checksum": false } }),
            (true, watched) if watched.is_empty() => json!({ "Precalculated": self.newest() }),
            (true, watched) => json!({ "RerunIfChanged": {
                "output": relative(self.artifact(index)), "paths": watched } }),
        };
        let dep = |dep: &usize| json!([*dep, UNITS[*dep].package, false, done[*dep].0]);
        let deps: Vec<_> = UNITS[index].deps.iter().map(dep).collect();
        let json = json!({ "rustc": 1, "features": "[]", "declared_features": "[]", "target": index,
            "profile": 2, "path": 3, "deps": deps, "local": [local], "rustflags": [], "config": 4,
            "compile_kind": 0 });
        (number_of(&json).unwrap(), json)
    }

    /// What the last run asked to be watched.
    fn watched(&self) -> Vec<PathBuf> {
        let output = fs::read_to_string(self.artifact(RUN)).unwrap_or_default();
        let lines = output.lines().filter_map(|line| line.strip_prefix("cargo:rerun-if-changed="));
        lines.map(PathBuf::from).collect()
    }

    fn says(&self) -> &'static str {
        match self.script {
            Script::Files => {
                "cargo:rerun-if-changed=data/a\ncargo:rerun-if-changed=data/b\ncargo:rerun-if-changed=top\n"
            }
            Script::Directory => "cargo:rerun-if-changed=data\ncargo:rerun-if-changed=top\n",
            Script::Silent => "hello\n",
            Script::Little => "cargo:rerun-if-changed=build.rs\n",
        }
    }

    /// The newest file of the library's package, as Cargo puts it into the fingerprint.
    fn newest(&self) -> String {
        let walk = walkdir::WalkDir::new(self.source.join("lib")).sort_by_file_name().into_iter();
        let files = walk.map(Result::unwrap).filter(|entry| entry.file_type().is_file());
        let mut newest = (Moment(0), PathBuf::new());
        for entry in files {
            let time = Stamp::of(&entry.metadata().unwrap()).mtime;
            if time > newest.0 {
                newest = (time, entry.into_path());
            }
        }
        format!("{} ({})", newest.0.0, newest.1.display())
    }

    fn has_newer_input(&self, index: usize) -> bool {
        let (reference, inputs) = if index == RUN {
            let home = self.source.join("lib");
            (self.artifact(RUN), self.watched().iter().map(|path| home.join(path)).collect())
        } else {
            let dep = format!("dep-{}", UNITS[index].note);
            let sources = UNITS[index].sources.iter().map(|path| self.source.join(path));
            (self.note_file(index).with_file_name(dep), sources.collect::<Vec<_>>())
        };
        let Some(reference) = modified(&reference) else { return true };
        inputs.iter().any(|input| recursive(input).is_none_or(|time| time > reference))
    }

    fn newest_output(&self, index: usize) -> Option<Moment> {
        modified(&self.artifact(index))
    }

    fn note(&self, index: usize) -> Option<u64> {
        let text = fs::read_to_string(self.note_file(index)).ok()?;
        Some(u64::from_str_radix(&text, 16).ok()?.swap_bytes())
    }

    fn note_file(&self, index: usize) -> PathBuf {
        let Unit { package, hash, note, .. } = &UNITS[index];
        let release = self.target.join("release");
        match self.form {
            Form::V1 => release.join(format!(".fingerprint/{package}-{hash}/{note}")),
            Form::V2 => release.join(format!("build/{package}/{hash}/fingerprint/{note}")),
        }
    }

    fn artifact(&self, index: usize) -> PathBuf {
        let Unit { package, hash, artifact, .. } = &UNITS[index];
        let release = self.target.join("release");
        match (self.form, index) {
            (Form::V1, 0) => release.join(format!("build/{package}-{hash}/{artifact}")),
            (_, RUN) => self.run_file(if self.form == Form::V1 { "output" } else { "stdout" }),
            (Form::V1, _) => release.join(format!("deps/{artifact}")),
            (Form::V2, _) => release.join(format!("build/{package}/{hash}/out/{artifact}")),
        }
    }

    fn run_file(&self, name: &str) -> PathBuf {
        let hash = UNITS[RUN].hash;
        match self.form {
            Form::V1 => self.target.join(format!("release/build/lib-{hash}/{name}")),
            Form::V2 => self.target.join(format!("release/build/lib/{hash}/run/{name}")),
        }
    }

    fn out_dir(&self) -> PathBuf {
        let hash = UNITS[RUN].hash;
        match self.form {
            Form::V1 => self.target.join(format!("release/build/lib-{hash}/out")),
            Form::V2 => self.target.join(format!("release/build/lib/{hash}/out")),
        }
    }

    fn tick(&mut self) -> Moment {
        self.now = self.now + Duration::from_millis(1);
        self.now
    }
}

fn write(path: &Path, content: &[u8], at: Moment) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    filetime::set_file_mtime(path, at.file_time()).unwrap();
}

fn modified(path: &Path) -> Option<Moment> {
    Some(Stamp::of(&fs::metadata(path).ok()?).mtime)
}

/// As `cargo_util::paths::mtime_recursive`.
fn recursive(path: &Path) -> Option<Moment> {
    modified(path)?;
    let all = walkdir::WalkDir::new(path).follow_links(true).into_iter().flatten();
    all.filter_map(|entry| Some(Stamp::of(&entry.metadata().ok()?).mtime)).max()
}

/// The time of now in the world of the model.
pub(super) fn stamp(path: &Path, at: Moment) {
    let time: FileTime = at.file_time();
    filetime::set_symlink_file_times(path, time, time).unwrap();
}
