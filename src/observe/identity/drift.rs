//! What differs between two identities where units of the one may serve the other (decision 129).
//!
//! A unit is taken over only if something vouches for each difference: traces for what lies on the system, Cargo's own
//! hashes for its options and profiles, the search for names for variables. Of whatever nobody vouches for, nothing is
//! taken.

use std::collections::BTreeSet;

use super::Way;
use super::choices::CacheKind;
use super::inputs::Inputs;
use super::plain_command::{plain, says_jobs};
use super::record::IdentityRecord;

/// How an identity differs from one whose units may be taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drift {
    /// What lies on the system is another: packages, tools, libraries, headers. Traces tell who looked at what of it.
    pub system: bool,
    /// The command is another one of Cargo's own: its options are in the hashes of the units.
    pub command: bool,
    /// Variables that are others: those of Cargo's profiles, which are in the hashes too, and what Cargo itself says
    /// otherwise. Programs may read them by their names.
    pub variables: Vec<String>,
}

/// Of Cargo's variables those by which nothing is decided but profiles, all of which are in a unit's hash
/// (`core/compiler/fingerprint/mod.rs`, `calculate_normal`, Cargo 1.95).
const OF_PROFILES: &str = "CARGO_PROFILE_";

/// What a profile inherits is in none of them, and build scripts are told (`PROFILE`).
const INHERITS: &str = "_INHERITS";

fn is_of_profiles(name: &str) -> bool {
    name.starts_with(OF_PROFILES) && !name.ends_with(INHERITS)
}

/// What Cargo tells the compiler of a package that the command selects, and that is in no hash
/// (`core/compiler/compilation.rs`, `rustc_process`, Cargo 1.95).
const OF_SELECTION: &str = "CARGO_PRIMARY_PACKAGE";

impl IdentityRecord {
    /// How another identity of the same store differs from this one; nothing where units of this one can be of no use
    /// there, or nobody vouches for what differs. `has_plain_script` says whether the other one's command is a shell with
    /// a plain script.
    pub(crate) fn drift_to(&self, other: &Self, has_plain_script: bool) -> Option<Drift> {
        let (old, new) = (self.inputs(), other.inputs());
        // All else has to be the same.
        let rest = Inputs {
            command: old.command.clone(),
            environment: old.environment.clone(),
            packages: old.packages.clone(),
            tools: old.tools.clone(),
            libraries: old.libraries.clone(),
            places: old.places.clone(),
            named_paths: old.named_paths.clone(),
            ..new.clone()
        };
        let is_kept = new.is_exact()
            && new.way == Way::Bind
            && new.with.iter().eq([&CacheKind::Cargo])
            && new.rust.is_some();
        if !is_kept || rest != *old {
            return None;
        }
        let command = old.command != new.command;
        let new_plain = plain(&new.command);
        // What else a command runs, nobody watches: it may give Cargo what it read of the system.
        let is_told = if command {
            new_plain.is_some()
                && plain(&old.command) == new_plain
                && !says_jobs(&old.command)
                && !says_jobs(&new.command)
        } else {
            new_plain.is_some() || has_plain_script
        };
        let system = old.packages != new.packages
            || old.tools != new.tools
            || old.libraries != new.libraries
            || old.places != new.places
            || old.named_paths != new.named_paths;
        let names: BTreeSet<&String> =
            old.environment.keys().chain(new.environment.keys()).collect();
        let differs = |name: &&String| old.environment.get(*name) != new.environment.get(*name);
        let mut variables: Vec<String> = names.into_iter().filter(differs).cloned().collect();
        // A script may hand one on by another name.
        let is_judged = variables.iter().all(|name| new_plain.is_some() && is_of_profiles(name));
        variables.extend(command.then(|| OF_SELECTION.to_owned()));
        (is_told && is_judged).then_some(Drift { system, command, variables })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::identity::Identity;

    fn record(change: impl Fn(&mut serde_json::Value)) -> IdentityRecord {
        let mut value: serde_json::Value = serde_json::json!({
            "format": 8, "salt": "", "way": "bind", "fidelity": "exact", "with": ["cargo"], "source": "/work/src",
            "cargo_home": "/root/.cargo", "store": null, "command": ["cargo", "build"],
            "rust": {"rustc": "r", "cargo": "c", "files": {}}, "go": null, "ccache": null, "distribution": "trixie",
            "package_manager": "dpkg", "package_mode": "build", "packages": {"a": "1"}, "tools": {}, "libraries": {},
            "places": {}, "named_paths": {}, "environment": {"PATH": "/usr/bin"}, "cargo_config": {}, "cpu": null,
        });
        change(&mut value);
        let identity: Identity = serde_json::from_value(value.clone()).unwrap();
        value["id"] = serde_json::to_value(identity.id()).unwrap();
        value["place"] = value["id"].clone();
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn somebody_vouches_for_each_difference_or_nothing_is_taken() {
        let old = record(|_| {});
        let drift = |change: fn(&mut serde_json::Value)| old.drift_to(&record(change), false);
        assert_eq!(drift(|_| {}), Some(Drift::default()));
        let system = Some(Drift { system: true, ..Drift::default() });
        assert_eq!(drift(|it| it["packages"]["a"] = "2".into()), system);
        assert_eq!(drift(|it| it["packages"]["b"] = "1".into()), system);
        let variables = vec![OF_SELECTION.to_owned()];
        let command = Some(Drift { command: true, variables, ..Drift::default() });
        assert_eq!(drift(|it| it["command"] = serde_json::json!(["cargo", "check"])), command);
        let name = "CARGO_PROFILE_RELEASE_DEBUG";
        let variables = Some(Drift { variables: vec![name.to_owned()], ..Drift::default() });
        assert_eq!(
            drift(|it| it["environment"]["CARGO_PROFILE_RELEASE_DEBUG"] = "1".into()),
            variables
        );
        let script = |package: &'static str| {
            record(move |it| {
                it["packages"]["a"] = package.into();
                it["command"] =
                    serde_json::json!(["sh", "-c", "CFLAGS=$(pkg-config x) cargo build"]);
            })
        };
        assert_eq!(script("1").drift_to(&script("2"), false), None);
        assert_eq!(script("1").drift_to(&script("2"), true), system);
        let others: [fn(&mut serde_json::Value); 15] = [
            |it| it["command"] = serde_json::json!(["cargo", "build", "--release"]),
            |it| it["domain"] = "requests".into(),
            |it| it["environment"]["CARGO_PROFILE_SMALL_INHERITS"] = "dev".into(),
            |it| it["command"] = serde_json::json!(["cargo", "build", "-j", "1"]),
            |it| it["environment"]["PATH"] = "/bin".into(),
            |it| it["environment"]["CC"] = "clang".into(),
            |it| it["rust"]["rustc"] = "other".into(),
            |it| it["source"] = "/work/other".into(),
            |it| it["cargo_home"] = "/home/x".into(),
            |it| it["command"] = serde_json::json!(["sh", "-c", "cargo build"]),
            |it| it["cpu"] = "x".into(),
            |it| it["salt"] = "x".into(),
            |it| it["fidelity"] = "cargo".into(),
            |it| it["with"] = serde_json::json!(["cargo", "go"]),
            |it| it["way"] = "symlink".into(),
        ];
        assert!(others.into_iter().all(|change| drift(change).is_none()));
    }
}
