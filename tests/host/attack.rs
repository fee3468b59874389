//! A campaign: builds that leave anything anywhere that they can reach by what larder gave them, and end in any way. After
//! each of them come a clean build of another project, one of the same project in another domain, and one in the
//! same. All make what cold builds make, nobody is waited for, nothing outside of the store is another, and a
//! collection leaves nothing.

#![expect(clippy::disallowed_macros, reason = "the counts are the test's report")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::world::World;

/// So many hostile builds, unless `LARDER_ATTACKS` says otherwise.
const ATTACKS: &str = "8";

/// So long a command of larder's may take.
const LIMIT: Duration = Duration::from_secs(30);

/// So long a hostile build may: what it does itself takes its time.
const OWN_LIMIT: Duration = Duration::from_secs(150);

const CARGO: &str = "cargo build --release --offline";

/// What is put in a place.
const NODES: [&str; 13] = [
    "printf poison >\"$p\"",
    ": >\"$p\"",
    "truncate -s 40G \"$p\"",
    "mkfifo \"$p\"",
    "ln -s \"$CANARY\" \"$p\"",
    "ln -s \"$CANARY/file\" \"$p\"",
    "ln -s loop \"$p\"",
    "ln -s /nowhere/at/all \"$p\"",
    "ln \"$CANARY/file\" \"$p\"",
    "mkdir -p \"$p/a/b\" && touch \"$p/a/b/c\"",
    "mkdir \"$p\" && cd \"$p\" && i=0 && while [ $i -lt 1500 ]; do mkdir d && cd -P d && i=$((i+1)) || break; done",
    "mkdir \"$p\" && mkfifo \"$p/fifo\" && chmod 0 \"$p\"",
    "cp /bin/true \"$p\" && chmod 6777 \"$p\"",
];

/// What is done to a place where something is.
const CHANGES: [&str; 7] = [
    "printf x >>\"$p\"",
    "truncate -s -1 \"$p\"",
    "chmod 0 \"$p\"",
    "touch -d 2001-01-01 \"$p\"",
    "touch -d 2101-01-01 \"$p\"",
    "rm -rf \"$p\"",
    "mv \"$p\" \"$p.moved\"",
];

/// Names of things that are new.
const NAMES: [&str; 8] = [
    "$(printf 'a\\nb')",
    "$(printf 'a\\033[2Jb')",
    "$(printf 'a\\377b')",
    "-rf",
    "libflour-0123456789abcdef.rlib",
    ".fingerprint",
    "incremental",
    "$(printf '%0255d' 0)",
];

/// How the build ends.
const ENDS: [&str; 9] = [
    "exit 0",
    "exit 0",
    "exit 0",
    "exit 1",
    "kill -KILL $$",
    "kill -TERM $PPID; sleep 1",
    "kill -INT $PPID; sleep 1",
    "kill -KILL $PPID; sleep 1",
    "(setsid sleep 300 &) ; exit 0",
];

/// One thing that a hostile build does.
#[derive(Clone, Debug)]
enum Act {
    /// Puts a node in the place of something that is there, by its number.
    Replace { file: usize, node: usize, times: bool },
    /// Changes something that is there, by its number.
    Change { file: usize, change: usize, times: bool },
    /// Puts a node where nothing is, beside something that is there.
    Add { file: usize, name: usize, node: usize },
    /// Puts a node in the place of a record of its directory.
    Record { record: usize, node: usize },
}

/// The records of a directory.
const RECORDS: [&str; 6] = ["entry.json", "identity.json", "state", "manifest", "sweep", "kept"];

#[derive(Clone, Debug)]
struct Attack {
    acts: Vec<Act>,
    /// Whether a build script does it, before what depends on it is compiled.
    is_early: bool,
    end: usize,
}

fn attack() -> impl Strategy<Value = Attack> {
    let number = || 0usize..10_000;
    let act = prop_oneof![
        3 => (number(), number(), proptest::bool::ANY)
            .prop_map(|(file, node, times)| Act::Replace { file, node, times }),
        3 => (number(), number(), proptest::bool::ANY)
            .prop_map(|(file, change, times)| Act::Change { file, change, times }),
        2 => (number(), number(), number()).prop_map(|(file, name, node)| Act::Add { file, name, node }),
        1 => (number(), number()).prop_map(|(record, node)| Act::Record { record, node }),
    ];
    (proptest::collection::vec(act, 1..6), proptest::bool::ANY, number())
        .prop_map(|(acts, is_early, end)| Attack { acts, is_early, end })
}

impl Attack {
    /// As a script, in which `$TARGET`, `$ENTRY` and `$CANARY` are set.
    fn script(&self) -> String {
        let lines = self.acts.iter().map(Act::line);
        lines.fold(String::new(), |script, line| format!("{script}({line}) 2>/dev/null\n"))
    }
}

impl Act {
    fn line(&self) -> String {
        let nth = |file: &usize| {
            format!(
                "n=$(find \"$TARGET\" -mindepth 1 | wc -l); p=$(find \"$TARGET\" -mindepth 1 | sort | sed -n $(({file} % n + 1))p)"
            )
        };
        let times = |times: bool, what: &str| {
            if times {
                format!(
                    "t=$(mktemp) && touch -h -r \"$p\" \"$t\"; {what}; touch -h -r \"$t\" \"$p\"; rm -f \"$t\""
                )
            } else {
                what.to_owned()
            }
        };
        let node = |node: &usize| NODES[node % NODES.len()];
        match self {
            Self::Replace { file, node: kind, times: set } => {
                let what = format!("rm -rf \"$p\"; (cd \"$TARGET\"; {})", node(kind));
                format!("{}; {}", nth(file), times(*set, &what))
            }
            Self::Change { file, change, times: set } => {
                format!("{}; {}", nth(file), times(*set, CHANGES[change % CHANGES.len()]))
            }
            Self::Add { file, name, node: kind } => {
                let name = NAMES[name % NAMES.len()];
                let node = node(kind);
                format!("{}; [ -d \"$p\" ] || p=${{p%/*}}; p=\"$p/{name}\"; {node}", nth(file))
            }
            Self::Record { record, node: kind } => {
                let record = RECORDS[record % RECORDS.len()];
                format!("p=\"$ENTRY/{record}\"; rm -rf \"$p\"; {}", node(kind))
            }
        }
    }
}

/// Everything outside of the store that nobody may change.
struct Canary(PathBuf);

impl Canary {
    fn new(world: &World) -> Self {
        let dir = world.path("canary");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("file"), "untouched").unwrap();
        symlink("file", dir.join("link")).unwrap();
        Self(dir)
    }

    fn look(&self) -> BTreeMap<PathBuf, (u32, u32, i64, Vec<u8>)> {
        let items = walkdir::WalkDir::new(&self.0).into_iter().map(Result::unwrap);
        let items = items.map(|item| {
            let metadata = item.path().symlink_metadata().unwrap();
            let bytes =
                if metadata.is_file() { fs::read(item.path()).unwrap() } else { Vec::new() };
            let path = item.path().to_owned();
            (path, (metadata.mode(), metadata.uid(), metadata.mtime(), bytes))
        });
        items.collect()
    }
}

/// How a command of larder's ended, within the limit.
fn within_limit(command: &mut Command, what: &str) -> ExitStatus {
    let log = tempfile::NamedTempFile::new().unwrap();
    command.stdout(Stdio::null()).stderr(log.reopen().unwrap()).process_group(0);
    let mut child = command.spawn().unwrap();
    let is_hostile = what.starts_with("the hostile");
    let limit = if is_hostile { OWN_LIMIT } else { LIMIT };
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let said = fs::read(log.path()).unwrap();
            let said = String::from_utf8_lossy(&said);
            assert!(status.success() || is_hostile, "{what}: {status}\n{said}");
            assert!(!said.contains("panicked"), "{what}: {said}");
            assert!(!said.contains('\u{1b}'), "{what} gives orders to the terminal: {said:?}");
            return status;
        }
        if started.elapsed() > limit {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{what} takes more than {limit:?}: {}", fs::read_to_string(log.path()).unwrap());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

struct Campaign {
    world: World,
    canary: Canary,
    /// What a cold build makes.
    right: Vec<u8>,
    /// What a cold build of the other project makes.
    other_right: Vec<u8>,
}

impl Campaign {
    fn new() -> Self {
        let world = World::new();
        let other = world.path("cake");
        let mut copy = world.command("cp");
        assert!(copy.arg("-a").args([&world.source(), &other]).status().unwrap().success());
        fs::write(other.join("flour/kind.txt"), "rye\n").unwrap();
        // What the build script runs, if it is there, decides nothing that it makes.
        let script = world.source().join("flour/build.rs");
        let text = fs::read_to_string(&script).unwrap();
        let hook = "fn main() {\n    if let Some(attack) = env::var_os(\"ATTACK\") { \
                    let _ = std::process::Command::new(\"sh\").arg(attack).status(); }\n";
        fs::write(&script, text.replacen("fn main() {\n", hook, 1)).unwrap();
        let mut campaign =
            Self { canary: Canary::new(&world), world, right: Vec::new(), other_right: Vec::new() };
        campaign.right = campaign.cold(&campaign.world.source());
        campaign.other_right = campaign.cold(&other);
        campaign
    }

    fn cold(&self, source: &Path) -> Vec<u8> {
        let mut cargo = self.world.command("sh");
        cargo.args(["-c", CARGO]).current_dir(source).stderr(Stdio::null());
        assert!(cargo.status().unwrap().success());
        let made = fs::read(source.join("target/release/bread")).unwrap();
        fs::remove_dir_all(source.join("target")).unwrap();
        made
    }

    fn larder(&self, project: &str, source: &Path, options: &[&str], script: &str) -> Command {
        let words = ["run", project, "--source", source.to_str().unwrap()];
        let mut larder = self.world.larder_command(&words);
        larder.args(options).args(["--", "sh", "-c", script]).current_dir(source);
        larder
    }

    /// A build without any harm in it: it makes what a cold one makes.
    fn clean(&self, project: &str, source: &Path, options: &[&str], right: &[u8], what: &str) {
        let kept = self.world.path("kept");
        let script = format!("{CARGO} && cp target/release/bread {}", kept.display());
        within_limit(&mut self.larder(project, source, options, &script), what);
        assert!(fs::read(&kept).unwrap() == right, "{what} made other bytes than a cold build");
        fs::remove_file(kept).unwrap();
    }

    fn entry(&self) -> PathBuf {
        let status = self.world.larder(&["status", "bread", "--json"]).succeeds();
        let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
        let records = status["entries"].as_array().unwrap().iter().map(|entry| &entry["record"]);
        let mut own = records.filter(|record| !record["summary"].to_string().contains("domain"));
        let id = own.next().unwrap()["toolchain"].as_str().unwrap().to_owned();
        self.world.store().join("projects/bread").join(id)
    }

    fn go(&self, attack: &Attack) {
        let (source, other) = (self.world.source(), self.world.path("cake"));
        self.clean("bread", &source, &[], &self.right, "the build before");
        self.clean(
            "bread",
            &source,
            &["--domain", "release"],
            &self.right,
            "another domain before",
        );
        let entry = self.entry();
        let script = self.world.path("attack.sh");
        fs::write(&script, attack.script()).unwrap();
        // Something to compile, which is taken back before anybody else builds.
        let kind = source.join("flour/kind.txt");
        let text = fs::read_to_string(&kind).unwrap();
        fs::write(&kind, "spelt\n").unwrap();
        let hostile = if attack.is_early {
            format!("ATTACK={} {CARGO}", script.display())
        } else {
            format!("{CARGO}; sh {}", script.display())
        };
        let hostile = format!("{hostile}\n{}", ENDS[attack.end % ENDS.len()]);
        let mut larder = self.larder("bread", &source, &[], &hostile);
        larder.env("TARGET", source.join("target")).env("ENTRY", &entry);
        let ended = within_limit(larder.env("CANARY", &self.canary.0), "the hostile build");
        fs::write(&kind, text).unwrap();
        assert!(ended.code().is_some() || ended.signal().is_some());
        self.clean("cake", &other, &[], &self.other_right, "another project");
        self.clean("bread", &source, &["--domain", "release"], &self.right, "another domain");
        self.clean("bread", &source, &[], &self.right, "the next build");
        for words in [&["status"] as &[&str], &["gc"], &["history"], &["report"]] {
            within_limit(&mut self.world.larder_command(words), words[0]);
        }
    }
}

#[test]
fn nothing_that_a_build_leaves_harms_the_next_ones() {
    let attacks = std::env::var("LARDER_ATTACKS").unwrap_or_else(|_| ATTACKS.to_owned());
    let attacks: usize = attacks.parse().unwrap();
    let seed = std::env::var("LARDER_ATTACK").ok().map(|seed| seed.parse::<u64>().unwrap());
    let campaign = Campaign::new();
    let before = campaign.canary.look();
    let first = seed.unwrap_or(0);
    for number in first..first + attacks as u64 {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let attack = attack().new_tree(&mut runner).unwrap().current();
        println!("LARDER_ATTACK={number} LARDER_ATTACKS=1: {attack:?}");
        campaign.go(&attack);
        assert_eq!(campaign.canary.look(), before, "something outside of the store is another");
    }
    campaign.world.larder(&["rm", "bread"]).succeeds();
    campaign.world.larder(&["rm", "cake"]).succeeds();
    campaign.world.larder(&["gc", "--max-size", "1KiB", "--grace", "0s"]);
    let left = |name: &str| fs::read_dir(campaign.world.store().join(name)).into_iter().flatten();
    assert_eq!(left("projects").count() + left("trash").count(), 0);
    println!("{attacks} hostile builds");
}
