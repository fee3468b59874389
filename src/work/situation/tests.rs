//! Random histories against a model of Cargo that goes by what is on disk, as Cargo does.
//!
//! The model writes target directories as Cargo does, in both layouts, and decides what is fresh by
//! Cargo's own rules alone. Everything else is larder itself. What comes out has to be what a cold build
//! makes of the present contents; what nobody changed is not made again; and nothing in the sources is
//! touched, so that whoever else goes by time decides as without larder.

mod cargo;
mod world;

use proptest::collection::vec;
use proptest::prelude::*;

use self::cargo::Form;
use self::world::{Step, World};

/// The files of the sources that steps are about.
const FILES: [&str; 7] = [
    "src/main.rs",
    "lib/src/lib.rs",
    "lib/build.rs",
    "lib/data/a",
    "lib/data/b",
    "lib/top",
    "plain/src/lib.rs",
];

/// What the build script says of what it reads: all of `lib/data` and `lib/top`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    Files,
    Directory,
    Silent,
    /// Only itself, though it reads the rest too.
    Little,
}

fn file() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&FILES[..])
}

fn step() -> impl Strategy<Value = Step> {
    let data = || prop::sample::select(vec!["lib/data/a", "lib/data/b", "lib/top"]);
    prop_oneof![
        6 => (0..2_usize).prop_map(Step::Build),
        1 => (0..2_usize, file()).prop_map(|(dir, path)| Step::BuildThatEdits(dir, path)),
        1 => (0..2_usize).prop_map(Step::BuildThatFails),
        3 => file().prop_map(Step::Edit),
        2 => file().prop_map(Step::EditWithTheTimeOfBefore),
        1 => file().prop_map(Step::RestoreTheFirst),
        1 => data().prop_map(Step::Delete),
        1 => Just(Step::Exchange("lib/data/a", "lib/data/b")),
        2 => file().prop_map(Step::Touch),
        3 => Just(Step::CloneAgain),
        2 => (0..3_usize).prop_map(Step::CheckOut),
        1 => (0..2_i64).prop_map(Step::Date),
        1 => (-60_i64..60).prop_map(Step::SetTheClock),
        1 => Just(Step::AnotherCheckout),
    ]
}

fn script() -> impl Strategy<Value = Script> {
    prop::sample::select(vec![Script::Files, Script::Directory, Script::Silent, Script::Little])
}

fn holds(form: Form, script: Script, steps: &[Step]) {
    let mut world = World::new(form, script);
    for step in steps {
        world.take(*step);
    }
    // However it ended: what is built then is right.
    world.take(Step::Build(0));
    world.take(Step::Build(0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn no_history_makes_the_older_layout_stale_or_cold(script in script(), steps in vec(step(), 3..9)) {
        holds(Form::V1, script, &steps);
    }

    #[test]
    fn no_history_makes_the_newer_layout_stale_or_cold(script in script(), steps in vec(step(), 3..9)) {
        holds(Form::V2, script, &steps);
    }
}
