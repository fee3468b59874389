//! What is watched of a command, and what is taken back where it did nothing.

use std::path::Path;
use std::sync::Arc;

use super::{Checkout, Session};
use crate::base::atomic;
use crate::base::moment::Moment;
use crate::observe::cargo_layout::Layout;
use crate::observe::trace::{Recorder, Trespass};
use crate::store::Outcome;
use crate::store::evict::Trash;
use crate::work::situation::Begun;

impl Session<'_> {
    /// Takes down what units look up, where what is kept has to be exact.
    pub(super) fn recorder(&self, begun: &Begun) -> Option<Arc<Recorder>> {
        let Checkout { target, sources, view, .. } = &self.checkout;
        let is_watched = target.is_some() && self.entry.identity().is_exact();
        let git = begun.state.git.places(sources);
        let mut known = view.known_outside();
        known.push(self.entry.paths().dir.clone());
        let checkout = begun.state.checkout.clone();
        is_watched.then(|| Arc::new(Recorder::new(sources, &known, git, checkout)))
    }

    /// Says that one unit wrote a file of another.
    pub(super) fn warn_of(&self, trespass: &Trespass) {
        let Trespass { package, file, writer } = trespass;
        let writer = writer.as_deref().unwrap_or("another unit");
        let file = file.display();
        self.output.warning(&format!("{writer} wrote {file}, which is {package}'s: that is made again the next time; what a build script makes belongs in its OUT_DIR"));
    }

    /// An attempt that failed before it started a unit changed nothing: what went for it comes back (decision 93). Where
    /// that cannot be done it counts as any that failed.
    pub(super) fn undo(
        &self,
        outcome: Outcome,
        begun: &Begun,
        started: Moment,
        trash: &mut Trash<'_>,
    ) -> Option<bool> {
        let (target, state) = (self.entry.paths().target(), self.entry.paths().state());
        let layout =
            (outcome != Outcome::Succeeded).then(|| Layout::scan(&target).ok()).flatten()?;
        let has_started = layout.units().any(|unit| unit.started.is_none_or(|at| at >= started));
        let (recorded, tree) = (begun.recorded.as_ref()?, &begun.manifest.as_ref()?.tree);
        if has_started || !begun.was_whole {
            return None;
        }
        let was_there =
            |path: &Path| path.strip_prefix(&target).is_ok_and(|inside| tree.get(inside).is_some());
        // First the state: none may ever vouch for units that were made from another one.
        atomic::write_binary(&state, recorded).ok()?;
        let is_whole = trash.put_back(was_there).is_ok();
        Some(begun.succeeded && is_whole)
    }
}
