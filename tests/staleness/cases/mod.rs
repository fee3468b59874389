//! The cases, by what changes.

mod artifacts;
mod config;
mod damage;
mod environment;
mod git;
mod history;
mod macros;
mod moves;
mod native;
mod packages;
mod rust;
mod scripts;
mod sources;
mod times;
mod traces;

use crate::lab::Lab;

/// What plain cargo, on a `target/` that was kept, makes of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// It leaves something that a cold build does not give.
    Stale,
    /// It is right; larder must not be worse.
    Right,
    /// That depends on its version.
    Any,
}

/// One input that changes between two builds.
pub struct Case {
    pub class: &'static str,
    pub name: &'static str,
    pub plain: Plain,
    /// Nothing that could matter changes: larder may compile nothing.
    pub nothing_to_do: bool,
    /// The build itself changes its sources, so that one more build comes before the one that has
    /// nothing to do.
    pub settles: bool,
    /// Each build changes what the next one may not believe, which is made again.
    pub never_settles: bool,
    pub prepare: Box<dyn Fn(&Lab<'_>) + Send + Sync>,
    pub change: Box<dyn Fn(&Lab<'_>) + Send + Sync>,
}

/// A case of which plain cargo makes `plain`.
fn case(
    name: &'static str,
    plain: Plain,
    prepare: impl Fn(&Lab<'_>) + Send + Sync + 'static,
    change: impl Fn(&Lab<'_>) + Send + Sync + 'static,
) -> Case {
    let (prepare, change) = (Box::new(prepare), Box::new(change));
    let (nothing_to_do, settles, never_settles) = (false, false, false);
    Case { class: "", name, plain, nothing_to_do, settles, never_settles, prepare, change }
}

/// A case in which larder may compile nothing.
fn unchanged(
    name: &'static str,
    plain: Plain,
    prepare: impl Fn(&Lab<'_>) + Send + Sync + 'static,
    change: impl Fn(&Lab<'_>) + Send + Sync + 'static,
) -> Case {
    Case { nothing_to_do: true, ..case(name, plain, prepare, change) }
}

/// A case in which the build writes into its own sources.
fn settling(
    name: &'static str,
    plain: Plain,
    prepare: impl Fn(&Lab<'_>) + Send + Sync + 'static,
    change: impl Fn(&Lab<'_>) + Send + Sync + 'static,
) -> Case {
    Case { settles: true, ..case(name, plain, prepare, change) }
}

/// A case in which each build makes something again, because the one before left what may not be believed.
fn never_settling(
    name: &'static str,
    plain: Plain,
    prepare: impl Fn(&Lab<'_>) + Send + Sync + 'static,
    change: impl Fn(&Lab<'_>) + Send + Sync + 'static,
) -> Case {
    Case { never_settles: true, ..case(name, plain, prepare, change) }
}

/// The lab as it is.
fn as_is(_: &Lab<'_>) {}

/// All cases.
pub fn all() -> Vec<Case> {
    let classes = [
        ("sources", sources::cases()),
        ("history", history::cases()),
        ("build scripts", scripts::cases()),
        ("proc macros", macros::cases()),
        ("git", git::cases()),
        ("rust", rust::cases()),
        ("native", native::cases()),
        ("environment", environment::cases()),
        ("configuration", config::cases()),
        ("packages", packages::cases()),
        ("moves", moves::cases()),
        ("damage", damage::cases()),
        ("artifacts", artifacts::cases()),
        ("times", times::cases()),
        ("traces", traces::cases()),
    ];
    let named = |(class, cases): (&'static str, Vec<Case>)| {
        cases.into_iter().map(move |case| Case { class, ..case })
    };
    classes.into_iter().flat_map(named).collect()
}
