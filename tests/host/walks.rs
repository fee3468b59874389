//! Walks over the history of a repository that nobody wrote: commits of all kinds, one after the other, back and
//! forth, each as a fresh clone. What is warm is what is cold, by bytes, and nothing is compiled of which no input
//! is another one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::world::{Said, World};

/// So many walks of so many steps, unless `LARDER_WALKS` gives another number of walks.
const WALKS: &str = "3";
const STEPS: usize = 8;

/// What a package is, besides its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Macro,
    /// A build script that reads a file which it does not declare.
    Reads,
    /// The same, declaring nothing at all, so that Cargo watches the whole package.
    Silent,
    /// A build script that lists a directory, and says nothing of it.
    Lists,
    /// The program, whose build script asks git which commit it is.
    Program,
}

const KINDS: [Kind; 6] =
    [Kind::Macro, Kind::Plain, Kind::Reads, Kind::Silent, Kind::Lists, Kind::Program];

/// All that a commit can change of one package; numbers stand for texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Package {
    text: u32,
    data: u32,
    note: u32,
    comment: u32,
    version: u32,
    names: u32,
    uses: BTreeSet<usize>,
}

#[derive(Clone, Debug)]
struct Repository {
    packages: Vec<Package>,
    commit: u32,
}

#[derive(Clone, Debug)]
enum Step {
    Text(usize),
    Data(usize),
    Note(usize),
    Comment(usize),
    Version(usize),
    Names(usize),
    Uses(usize, usize),
    /// A commit that was built before, counted from the last.
    Back(usize),
    /// The same commit once more.
    Again,
}

fn step() -> impl Strategy<Value = Step> {
    let package = || 0..KINDS.len();
    prop_oneof![
        3 => package().prop_map(Step::Text),
        2 => package().prop_map(Step::Data),
        2 => package().prop_map(Step::Note),
        1 => package().prop_map(Step::Comment),
        1 => package().prop_map(Step::Version),
        1 => package().prop_map(Step::Names),
        1 => (package(), package()).prop_map(|(one, other)| Step::Uses(one, other)),
        2 => (1usize..STEPS).prop_map(Step::Back),
        1 => Just(Step::Again),
    ]
}

impl Repository {
    fn new() -> Self {
        let mut packages = vec![Package::default(); KINDS.len()];
        packages[4].uses = [1].into();
        packages[3].uses = [0].into();
        packages[5].uses = [1, 2, 3, 4].into();
        Self { packages, commit: 0 }
    }

    /// The next commit.
    fn after(&self, step: &Step, number: u32) -> Self {
        let mut next = self.clone();
        next.commit = number;
        let all = &mut next.packages;
        match *step {
            Step::Text(index) => all[index].text = number,
            Step::Data(index) => all[index].data = number,
            Step::Note(index) => all[index].note = number,
            Step::Comment(index) => all[index].comment = number,
            Step::Version(index) => all[index].version = number,
            Step::Names(index) => all[index].names = number,
            // From those in front alone, so that nobody uses itself.
            Step::Uses(one, other) if one == other => {}
            Step::Uses(one, other) => {
                let (user, used) = (one.max(other), one.min(other));
                if !all[user].uses.remove(&used) {
                    all[user].uses.insert(used);
                }
            }
            Step::Back(_) | Step::Again => {}
        }
        next
    }

    /// What a package is made from, by all that counts; the same text is the same input.
    fn inputs(&self, index: usize) -> String {
        let package = &self.packages[index];
        let Package { text, data, note, comment, version, names, uses } = package;
        let own = match KINDS[index] {
            Kind::Plain | Kind::Macro => String::new(),
            Kind::Reads => format!("data {data}"),
            Kind::Silent => format!("data {data} note {note} names {names}"),
            Kind::Lists => format!("names {names}"),
            Kind::Program => format!("commit {}", self.commit),
        };
        let used: Vec<String> = uses.iter().map(|used| self.inputs(*used)).collect();
        format!("{index}: {text} {comment} {version} {own} ({})", used.join(", "))
    }

    /// The members that the program is made from.
    fn needed(&self) -> BTreeSet<usize> {
        let mut needed = BTreeSet::from([KINDS.len() - 1]);
        for index in (0..KINDS.len()).rev() {
            if needed.contains(&index) {
                needed.extend(&self.packages[index].uses);
            }
        }
        needed
    }

    fn files(&self) -> BTreeMap<String, String> {
        let workspace = "[workspace]\nresolver = '2'\nmembers = ['m*']\n";
        let mut files = BTreeMap::from([("Cargo.toml".to_owned(), workspace.to_owned())]);
        for (index, package) in self.packages.iter().enumerate() {
            let put = |(name, text): (String, String)| (format!("m{index}/{name}"), text);
            files.extend(package.files(index, KINDS[index]).into_iter().map(put));
        }
        files
    }
}

impl Package {
    fn files(&self, index: usize, kind: Kind) -> Vec<(String, String)> {
        let mut files = vec![
            ("Cargo.toml".to_owned(), self.manifest(index, kind)),
            ("data".to_owned(), self.data.to_string()),
            ("note".to_owned(), self.note.to_string()),
            (format!("names/{}", self.names), String::new()),
        ];
        if let Some(own) = kind.own() {
            let says = if kind == Kind::Silent {
                ""
            } else {
                "println!(\"cargo:rerun-if-changed=build.rs\");"
            };
            files.push(("build.rs".to_owned(), format!("fn main() {{\n    {says}\n    let own: String = {own};\n    println!(\"cargo:rustc-env=OWN={{}}\", own.trim());\n}}\n")));
        }
        let sum = self.sum(index, kind);
        files.push(match kind {
            Kind::Macro => ("src/lib.rs".to_owned(), format!("#[proc_macro]\npub fn say(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{ let text: String = {sum}; format!(\"{{text:?}}\").parse().unwrap() }}\n")),
            Kind::Program => ("src/main.rs".to_owned(), format!("fn main() {{ println!(\"{{}}\", {sum}); }}\n")),
            _ => ("src/lib.rs".to_owned(), format!("pub fn say() -> String {{ {sum} }}\n")),
        });
        files
    }

    fn manifest(&self, index: usize, kind: Kind) -> String {
        let Self { comment, version, uses, .. } = self;
        let needs: Vec<String> =
            uses.iter().map(|used| format!("m{used} = {{ path = '../m{used}' }}\n")).collect();
        let library = if kind == Kind::Macro { "[lib]\nproc-macro = true\n" } else { "" };
        format!(
            "# {comment}\n[package]\nname = 'm{index}'\nversion = '0.1.{version}'\nedition = '2021'\n{library}[dependencies]\n{}",
            needs.concat()
        )
    }

    /// A Rust expression of all that the package says.
    fn sum(&self, index: usize, kind: Kind) -> String {
        let own = if kind.own().is_some() { "env!(\"OWN\")" } else { "\"\"" };
        let say = |used: &usize| {
            let bang = if KINDS[*used] == Kind::Macro { "!" } else { "" };
            format!(" + &m{used}::say{bang}().to_string()")
        };
        let used: Vec<String> = self.uses.iter().map(say).collect();
        format!("String::from(\"m{index} {} \") + {own}{}", self.text, used.concat())
    }
}

impl Kind {
    /// What a build script finds, as a Rust expression of a `String`.
    fn own(self) -> Option<&'static str> {
        match self {
            Self::Plain | Self::Macro => None,
            Self::Reads | Self::Silent => {
                Some("std::fs::read_to_string([\"da\", \"ta\"].concat()).unwrap()")
            }
            Self::Lists => Some(
                "std::fs::read_dir(\"names\").unwrap().map(|name| name.unwrap().file_name().into_string().unwrap()).collect()",
            ),
            Self::Program => Some(
                "String::from_utf8(std::process::Command::new(\"git\").args([\"rev-parse\", \"HEAD\"]).output().unwrap().stdout).unwrap()",
            ),
        }
    }
}

/// Where one walks.
struct Walk {
    world: World,
    /// The inputs of what is in the kept directory, by member.
    kept: BTreeMap<usize, String>,
    /// The commits that were built, and what they have.
    built: Vec<(Repository, String)>,
}

impl Walk {
    fn new() -> Self {
        let world = World::new();
        fs::remove_dir_all(world.source()).unwrap();
        fs::create_dir(world.path("origin")).unwrap();
        let walk = Self { world, kept: BTreeMap::new(), built: Vec::new() };
        walk.git(&["init", "-q", "-b", "main"]);
        walk
    }

    fn git(&self, words: &[&str]) -> String {
        self.world.git(&self.world.path("origin"), words)
    }

    fn commit(&self, repository: &Repository) -> String {
        let origin = self.world.path("origin");
        for item in fs::read_dir(&origin).unwrap().map(Result::unwrap) {
            if item.file_type().unwrap().is_dir() && item.file_name() != ".git" {
                fs::remove_dir_all(item.path()).unwrap();
            }
        }
        for (name, text) in repository.files() {
            let path = origin.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut cargo = self.world.command("cargo");
        cargo.args(["generate-lockfile", "--offline"]).current_dir(&origin);
        Said::of(&cargo.output().unwrap()).succeeds();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "step"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Builds a commit in a fresh clone, and looks at what was compiled and what came out.
    fn build(&mut self, repository: &Repository, commit: &str) {
        let source = self.world.source();
        let _ = fs::remove_dir_all(&source);
        self.git(&["checkout", "-q", "--detach", commit]);
        self.git(&["clone", "-q", ".", source.to_str().unwrap()]);
        let program = format!("m{}", KINDS.len() - 1);
        let words = ["cargo", "build", "--release", "--offline", "-p", &program];
        let said = self.world.run(&words).succeeds().stderr;
        let compiled: BTreeSet<usize> = said
            .lines()
            .filter_map(|line| {
                line.trim_start().strip_prefix("Compiling m")?.get(..1)?.parse().ok()
            })
            .collect();
        let is_new = |index: &usize| self.kept.get(index) != Some(&repository.inputs(*index));
        let expected: BTreeSet<usize> = repository.needed().into_iter().filter(is_new).collect();
        assert!(
            compiled.is_subset(&expected),
            "{compiled:?} of {expected:?}: {}\n{}",
            self.world.reasons(),
            self.story()
        );
        for index in repository.needed() {
            self.kept.insert(index, repository.inputs(index));
        }
        let warm = fs::read(source.join("target/release").join(&program)).unwrap();
        let _ = fs::remove_dir_all(source.join("target"));
        let mut cargo = self.world.command(words[0]);
        Said::of(&cargo.args(&words[1..]).current_dir(&source).output().unwrap()).succeeds();
        let cold = fs::read(source.join("target/release").join(&program)).unwrap();
        assert!(warm == cold, "it is not what a cold build makes\n{}", self.story());
    }

    fn take(&mut self, step: &Step) {
        let (last, commit) = self.built.last().cloned().unwrap();
        let (next, commit) = match step {
            Step::Again => (last, commit),
            Step::Back(steps) => self.built[self.built.len().saturating_sub(1 + steps)].clone(),
            _ => {
                let number = u32::try_from(self.built.len()).unwrap();
                let next = last.after(step, number);
                let commit = self.commit(&next);
                (next, commit)
            }
        };
        self.built.push((next.clone(), commit.clone()));
        self.build(&next, &commit);
    }

    /// What was built, one commit after the other.
    fn story(&self) -> String {
        let line =
            |(repository, commit): &(Repository, String)| format!("{commit:.9} {repository:?}");
        self.built.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn a_walk_over_a_history_is_never_stale_and_compiles_what_changed() {
    let walks = std::env::var("LARDER_WALKS").unwrap_or_else(|_| WALKS.to_owned());
    let config = Config {
        cases: walks.parse().unwrap(),
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let steps = prop::collection::vec(step(), STEPS);
    let walked = TestRunner::new_with_rng(config, rng).run(&steps, |steps| {
        let mut walk = Walk::new();
        let first = Repository::new();
        let commit = walk.commit(&first);
        walk.built.push((first.clone(), commit.clone()));
        walk.build(&first, &commit);
        for step in &steps {
            walk.take(step);
        }
        Ok(())
    });
    walked.unwrap();
}
