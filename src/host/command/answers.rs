//! Who is asked before some system calls, and who answers.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use super::filter::{self, Filter};
use super::listener::{Answer, Listener, Question};
use super::removal::{self, Removals};
use super::tracer::Tracer;
use crate::host::attach::Mounts;

/// So many questions that take longer are answered at once: those that look at something.
const ANSWERING: usize = 3;

/// The child's part of being asked before some system calls.
pub(super) struct Asking {
    pub filter: Filter,
    pub way: OwnedFd,
}

impl Asking {
    /// larder's end of the way, and what the child needs; nothing where nothing is attached.
    pub(super) fn of(mounts: &Mounts, is_watched: bool) -> io::Result<Option<(OwnedFd, Self)>> {
        let filter = match (is_watched, mounts.is_empty()) {
            (true, _) => Filter::of_lookups(),
            (false, false) => Filter::of_directories(),
            (false, true) => None,
        };
        let Some(filter) = filter else { return Ok(None) };
        let (way, ours) = filter::way()?;
        Ok(Some((ours, Self { filter, way })))
    }
}

/// Whether somebody answers.
pub(super) enum Answering {
    By(Listener),
    /// The kernel made no filter.
    Refused(io::Error),
}

/// Begins to answer as soon as the kernel made the filter. Fails where it did and nobody can answer.
pub(super) fn answer(
    answers: &OwnedFd,
    removals: Removals,
    tracer: Option<Tracer>,
) -> io::Result<Answering> {
    let listener = match filter::wait(answers)? {
        Ok(listener) => listener,
        Err(error) => return Ok(Answering::Refused(error)),
    };
    let threads = if tracer.is_some() { ANSWERING } else { 1 };
    let (removals, tracer) = (Mutex::new(removals), tracer.map(Arc::new));
    let known = tracer.clone();
    let quick = move |question: &Question<'_>| {
        let is_known = known.as_ref().is_some_and(|tracer| tracer.knows(question));
        (is_known && !removal::is_about(question)).then_some(Answer::Proceed)
    };
    let answer = move |question: &Question<'_>| {
        if let Some(tracer) = &tracer {
            tracer.watch(question);
        }
        if !removal::is_about(question) {
            return Answer::Proceed;
        }
        removals.lock().unwrap_or_else(PoisonError::into_inner).answer(question)
    };
    Listener::start(listener, threads, quick, answer).map(Answering::By)
}
