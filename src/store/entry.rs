//! The record of one target directory, `entry.json`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::FORMAT;
use super::layout::EntryPaths;
use crate::base::digest::Digest;
use crate::base::names::{ProjectName, ToolchainId};
use crate::base::quantity::Usage;
use crate::decide::policy::Unused;
use crate::decide::remade::Remade;
use crate::decide::verdict::Verdict;
use crate::observe::identity::{CacheKind, Fidelity, IdentityRecord};

/// How the command of a use ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// With exit code 0.
    Succeeded,
    /// With another exit code; 128 and more for a signal.
    Failed(i32),
}

/// The start of a use, written before anything in the target directory changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Opened {
    #[serde(with = "rfc3339")]
    pub at: SystemTime,
    /// The kernel's boot id: after another boot, files may be short where times look right.
    pub boot: String,
}

/// The end of a use, written after the data are on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Closed {
    /// How the command ended.
    pub outcome: Outcome,
    /// Seconds from the command's start to its end.
    pub seconds: f64,
    /// Packages of which anything was compiled: as many as cargo says `Compiling`.
    pub compiled: usize,
    /// Of an attempt that failed before it started anything, and so left all as it was: whether the one before
    /// succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untouched: Option<bool>,
}

/// One command run on a target directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct UseRecord {
    pub opened: Opened,
    /// Whether it started with an empty directory.
    pub cold: bool,
    /// Why it was cold, or which change deleted which units; empty when nothing had to go.
    pub why: Vec<String>,
    /// What went for that.
    #[serde(default, skip_serializing_if = "Remade::is_nothing")]
    pub remade: Remade,
    /// Its end; `None` while it runs, and after a crash.
    pub closed: Option<Closed>,
}

/// The record of one target directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EntryRecord {
    /// The format's number, as in the store's marker.
    pub format: u32,
    pub project: ProjectName,
    /// The digest of the identity, which is kept in `identity.json`.
    pub toolchain: ToolchainId,
    /// The identity in a few words.
    pub summary: String,
    /// How far the directory's builds may be from cold ones.
    pub fidelity: Fidelity,
    /// What is attached; of older directories, Cargo's alone.
    #[serde(default = "cargo_alone")]
    pub with: BTreeSet<CacheKind>,
    /// When the directory was made.
    #[serde(with = "rfc3339")]
    pub created: SystemTime,
    /// How often it was used.
    pub uses: u64,
    /// Allocated bytes of the directory when it was last measured, each inode once.
    pub size: u64,
    pub inodes: u64,
    /// How many uses succeeded.
    pub successes: u64,
    /// What the directory holds that the last successful use did not need, oldest first.
    pub unused: Vec<Unused>,
    /// Seconds of the first successful build in the empty directory.
    pub cold_seconds: Option<f64>,
    pub last: Option<UseRecord>,
    /// When it was last compared with a cold build, and what came of it.
    #[serde(default)]
    pub verified: Option<Verification>,
    /// Where it was last pushed to or pulled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Shared>,
    /// Where the loader's cache led to when something of it was made, each time (decision 129).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub loaders: BTreeSet<Digest>,
    /// With what it began, if not with nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<BegunWith>,
    /// Whether it is of one use alone, and goes with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub throwaway: bool,
    /// Why the next use has to begin anew: what the last one left is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unkept: Option<String>,
}

/// A comparison with a cold build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verification {
    #[serde(with = "rfc3339")]
    pub at: SystemTime,
    /// What came of it.
    pub verdict: Verdict,
}

/// Where a directory was last pushed to or pulled from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shared {
    /// The number of the push.
    pub counter: u64,
    /// The snapshot with the data.
    pub snapshot: String,
    pub signer: String,
}

/// With what a directory began that serves another identity than what it holds was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BegunWith {
    /// The directory that had it.
    pub from: ToolchainId,
    /// How many units were taken, of how many; nothing where the directory itself was handed over.
    pub units: Option<(usize, usize)>,
    /// How the identities differ, in words.
    pub why: Vec<String>,
}

impl BegunWith {
    /// For the reasons of the first use.
    pub(crate) fn in_words(&self) -> Vec<String> {
        let from = self.from.short();
        let what = match self.units {
            None => format!("goes on with what {from} held"),
            Some((taken, of)) => format!("begins with {taken} of {of} units of {from}"),
        };
        std::iter::once(what).chain(self.why.iter().cloned()).collect()
    }
}

impl EntryRecord {
    /// The record of a directory that is about to be made.
    pub(crate) fn new(project: ProjectName, identity: &IdentityRecord) -> Self {
        Self {
            format: FORMAT,
            project,
            toolchain: identity.id(),
            summary: identity.summary(),
            fidelity: if identity.is_exact() { Fidelity::Exact } else { Fidelity::Cargo },
            with: identity.with().clone(),
            created: SystemTime::now(),
            uses: 0,
            size: 0,
            inodes: 0,
            successes: 0,
            unused: Vec::new(),
            cold_seconds: None,
            last: None,
            verified: None,
            shared: None,
            throwaway: identity.is_throwaway(),
            begun: None,
            loaders: BTreeSet::new(),
            unkept: None,
        }
    }

    /// The record of a directory that begins with what this one's left, in another domain.
    pub(crate) fn begun_from(&self, identity: &IdentityRecord) -> Self {
        Self {
            size: self.size,
            inodes: self.inodes,
            successes: self.successes,
            unused: self.unused.clone(),
            cold_seconds: self.cold_seconds,
            last: self.last.clone(),
            loaders: self.loaders.clone(),
            ..Self::new(self.project.clone(), identity)
        }
    }

    /// Whether the number of compiled packages tells something: only Cargo's are counted.
    pub(crate) fn compiles_with_cargo(&self) -> bool {
        self.with.contains(&CacheKind::Cargo)
    }

    /// What the directory took when it was last measured.
    pub(crate) fn usage(&self) -> Usage {
        Usage { bytes: self.size, inodes: self.inodes }
    }

    /// Whether the size is that of the directory: not before its first use has ended, nor after one
    /// that was cut off.
    pub(crate) fn is_measured(&self) -> bool {
        let is_open = self.last.as_ref().is_some_and(|last| last.closed.is_none());
        self.size > 0 && !is_open
    }

    /// When the directory was last used, or made.
    pub(crate) fn last_use(&self) -> SystemTime {
        self.last.as_ref().map_or(self.created, |last| last.opened.at)
    }

    /// Whether the last use came to its end, and the command with success; uses that left all as it was do not count.
    pub(crate) fn last_succeeded(&self) -> bool {
        let closed = self.last.as_ref().and_then(|last| last.closed.as_ref());
        closed
            .is_some_and(|closed| closed.untouched.unwrap_or(closed.outcome == Outcome::Succeeded))
    }

    /// Whether the last use was cut off by a crash of the whole machine.
    pub(crate) fn lost_to_another_boot(&self, boot: &str) -> bool {
        self.last.as_ref().is_some_and(|last| last.closed.is_none() && last.opened.boot != boot)
    }

    /// Whether the record is of the directory in which it was found.
    pub(crate) fn belongs_to(&self, paths: &EntryPaths) -> bool {
        let name = |path: Option<&Path>| {
            path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned())
        };
        name(Some(&paths.dir)) == Some(self.toolchain.to_string())
            && name(paths.dir.parent()).as_deref() == Some(self.project.as_str())
    }
}

fn cargo_alone() -> BTreeSet<CacheKind> {
    BTreeSet::from([CacheKind::Cargo])
}

/// The kernel's id of this boot, or an empty text where it cannot be read.
pub(crate) fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    text.map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// Moments as RFC 3339 text with milliseconds, in UTC.
pub(crate) mod rfc3339 {
    use std::fmt;

    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    use super::{Duration, SystemTime, UNIX_EPOCH};

    pub(crate) fn serialize<S: Serializer>(
        moment: &SystemTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let whole =
            UNIX_EPOCH + Duration::from_millis(u64::try_from(since.as_millis()).unwrap_or(0));
        serializer.collect_str(&humantime::format_rfc3339_millis(whole))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<SystemTime, D::Error> {
        input.deserialize_str(Text)
    }

    /// Reads the moment where it lies: records are read by the thousand.
    struct Text;

    impl Visitor<'_> for Text {
        type Value = SystemTime;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a moment as RFC 3339 has it")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<SystemTime, E> {
            humantime::parse_rfc3339(text).map_err(E::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::atomic::{self, tests::assert_golden};
    use crate::base::digest::Digest;
    use crate::decide::remade::ChangedInput;

    fn whole() -> EntryRecord {
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let closed =
            Closed { outcome: Outcome::Failed(101), seconds: 2.5, compiled: 3, untouched: None };
        let opened = Opened { at, boot: "boot".to_owned() };
        let why = vec!["git changed: HEAD".to_owned()];
        let input = ChangedInput {
            package: "rye".to_owned(),
            unit: "build script, run".to_owned(),
            path: "/usr/include/zlib.h".to_owned(),
            owner: Some("zlib1g-dev:amd64".to_owned()),
            before: "nothing".to_owned(),
            now: "file 0123456789ab".to_owned(),
        };
        let remade = Remade { packages: ["rye".to_owned()].into(), of: 2, inputs: vec![input] };
        let shared = Shared { counter: 7, snapshot: "ab".to_owned(), signer: "a@b".to_owned() };
        EntryRecord {
            format: FORMAT,
            project: "rye".parse().unwrap(),
            toolchain: ToolchainId(Digest::of(b"x")),
            summary: "rustc 1.85.0".to_owned(),
            fidelity: Fidelity::Exact,
            with: cargo_alone(),
            created: at,
            uses: 2,
            size: 4096,
            inodes: 1,
            successes: 1,
            unused: vec![Unused { since: 1, size: 512, inodes: 2 }],
            cold_seconds: Some(60.0),
            last: Some(UseRecord { opened, cold: false, why, remade, closed: Some(closed) }),
            verified: Some(Verification { at, verdict: Verdict::NotReproducible }),
            shared: Some(shared),
            throwaway: false,
            begun: None,
            loaders: BTreeSet::new(),
            unkept: None,
        }
    }

    #[test]
    fn a_record_has_the_bytes_that_it_always_had() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("entry.json");
        atomic::write_json(&path, &whole()).unwrap();
        let written = std::fs::read(&path).unwrap();
        assert_golden("entry.json", &written);
        let read: EntryRecord = atomic::read_json(&path).unwrap().unwrap();
        atomic::write_json(&path, &read).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), written);
    }

    #[test]
    fn what_a_record_says_besides_is_passed_over() {
        let mut value = serde_json::to_value(whole()).unwrap();
        value["flavour"] = "sour".into();
        let read: EntryRecord = serde_json::from_value(value).unwrap();
        assert_eq!(read.uses, 2);
    }
}
