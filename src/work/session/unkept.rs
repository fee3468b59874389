//! What cannot be kept: found at the start it is set aside, found at the end the next use begins anew (decision 104).
//! A build that succeeded stays one that did.

use std::path::Path;

use anyhow::Result;

use super::{Ran, Session};
use crate::base::atomic::RecordError;
use crate::base::path_error::PathError;
use crate::base::tree::ObserveError;
use crate::base::usage;
use crate::observe::cargo_layout::{Layout, LayoutError};
use crate::output::one_line;
use crate::store::evict::EvictError;
use crate::store::history::{self, Event};
use crate::store::{Closed, OpenError, StoreError};
use crate::work::situation::LookError;

impl Session<'_> {
    /// Whether something failed because of what is in the kept directory.
    pub(super) fn is_of_kept(&self, error: &anyhow::Error) -> bool {
        let dir = &self.entry.paths().dir;
        let observed = |error: &ObserveError| error.is_in(dir);
        error.chain().any(|cause| {
            let look = cause.downcast_ref::<LookError>();
            look.is_some_and(|error| match error {
                LookError::Layout(_) | LookError::Kept(_) | LookError::Odd { .. } => true,
                LookError::Observe(error) => observed(error),
                LookError::Record(_) => false,
            }) || cause.downcast_ref::<LayoutError>().is_some()
                || cause.downcast_ref().is_some_and(observed)
                || refused(cause).is_some_and(|error| error.is_of_what_is_in(dir))
        })
    }

    /// Begins with an empty directory in place of one that cannot be worked with.
    pub(super) fn set_aside(&mut self, error: &anyhow::Error) -> Result<()> {
        let why = one_line(error);
        let project = &self.entry.record().project;
        self.output.note(&format!(
            "the kept directory of {project} was set aside, because {why}; building cold"
        ));
        self.entry.remake(self.store)?;
        self.broken = Some(why);
        Ok(())
    }

    /// Records that what the command left is not kept. What users take is where they take it until the next use.
    pub(super) fn give_up(
        &mut self,
        ran: &Ran,
        error: &anyhow::Error,
        led_to: Option<&Path>,
    ) -> Result<()> {
        let why = one_line(error);
        let paths = self.entry.paths().clone();
        let layout = Layout::scan(&paths.target());
        let compiled = layout.as_ref().ok().and_then(|it| it.compiled_since(ran.started).ok());
        let compiled = compiled.map_or(0, |compiled| compiled.len());
        let layout = layout.unwrap_or_else(|_| Layout::unknown(&paths.target()));
        let built_nothing = ran.outcome != crate::store::Outcome::Succeeded && compiled == 0;
        let way = self.leave_links(led_to.filter(|_| built_nothing), &layout);
        let (outcome, seconds) = (ran.outcome, ran.seconds);
        let closed = Closed { outcome, seconds, compiled, untouched: None };
        let noted = self.entry.give_up(closed, why.clone(), usage::measure(&paths.dir));
        if let Some(used) = history::UseEvent::of(self.entry.record()) {
            history::remember(self.store, Event::Use(used), self.output);
        }
        // Where that cannot be recorded the use has no end, and the next one sets aside what it then finds.
        let noted = noted.err().map(|error| format!(" ({})", one_line(&error.into())));
        self.output.warning(&format!(
            "what this build left is not kept{}, because {why}; the next one begins anew",
            noted.unwrap_or_default()
        ));
        self.is_given_up = true;
        way
    }

    /// Whether nothing of this use is kept.
    pub(crate) fn is_given_up(&self) -> bool {
        self.is_given_up
    }
}

/// What the system refused to do with a path, in whichever error that is told.
fn refused<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e PathError> {
    let of_store = |error: &'e StoreError| match error {
        StoreError::Path(error) | StoreError::Record(RecordError::Path(error)) => Some(error),
        _ => None,
    };
    let of_evict = |error: &'e EvictError| match error {
        EvictError::Path(error) => Some(error),
        EvictError::Store(error) => of_store(error),
        _ => None,
    };
    let of_record = |error: &'e RecordError| match error {
        RecordError::Path(error) => Some(error),
        RecordError::Damaged { .. } => None,
    };
    let of_open = |error: &'e OpenError| match error {
        OpenError::Store(error) => of_store(error),
        OpenError::Evict(error) => of_evict(error),
    };
    let of_look = |error: &'e LookError| match error {
        LookError::Record(error) => of_record(error),
        _ => None,
    };
    error
        .downcast_ref::<PathError>()
        .or_else(|| error.downcast_ref().and_then(of_store))
        .or_else(|| error.downcast_ref().and_then(of_evict))
        .or_else(|| error.downcast_ref().and_then(of_record))
        .or_else(|| error.downcast_ref().and_then(of_open))
        .or_else(|| error.downcast_ref().and_then(of_look))
}
