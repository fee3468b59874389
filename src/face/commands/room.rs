//! Room for builds, made by the plan that `larder gc` would carry out; by renaming only, and without
//! ever waiting (decision 43).

use std::time::SystemTime;

use anyhow::Result;

use crate::base::quantity::Usage;
use crate::decide::policy::{Headroom, Unmet};
use crate::output::{Output, one_line, size};
use crate::store::history::{self, Collector, Event};
use crate::store::{Store, config, evict};
use crate::work::collect::{self, Fate};

/// Makes room if a budget of the store does not hold. That it cannot be made is said, and fails no
/// build.
pub(super) fn make(store: &Store, output: Output) {
    if let Err(error) = try_make(store, output) {
        output.warning(&format!("cannot make room: {}", one_line(&error)));
    }
}

fn try_make(store: &Store, output: Output) -> Result<()> {
    let policy = config::budgets(store)?;
    if !policy.has_sizes() && policy.is_free_enough(&collect::disk(store)?) {
        return Ok(());
    }
    let mut observed = collect::observe(store)?;
    let now = SystemTime::now();
    if collect::unmet(store, &observed, &policy, now)?.is_empty() {
        return Ok(());
    }
    let plan = collect::decide(store, &mut observed, &policy, Headroom::Spare, now)?;
    let taken = collect::carry_out(store, &observed, &plan);
    let gone = taken.iter().filter(|taken| taken.fate == Fate::Gone);
    let (count, freed) = gone
        .fold((0, Usage::default()), |(count, sum), taken| (count + 1, sum.plus(taken.step.frees)));
    if count > 0 {
        output.note(&format!(
            "made room: {count} of the least recently used set aside, {}; `larder gc` deletes them",
            size(freed.bytes)
        ));
    }
    if let Some(collection) = collect::event(Collector::Run, &taken, &plan.unmet) {
        history::remember(store, Event::Collection(collection), output);
    }
    let disk = collect::disk(store)?;
    if !policy.is_free_enough(&disk) && evict::in_trash(store).0 > 0 {
        // The build needs the room itself, not only the names. Beside it, and gone with larder at
        // the latest: what is not deleted by then stays in the trash.
        let store = store.clone();
        std::thread::spawn(move || evict::empty_trash(&store, &evict::unwatched));
    }
    for unmet in plan.unmet.iter().filter(|unmet| !matches!(unmet, Unmet::ProjectSize { .. })) {
        output.warning(&unmet.to_string());
    }
    Ok(())
}
