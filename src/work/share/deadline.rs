//! One limit for all that a pull asks for: who fills a repository makes each question short, and asks for many.

use std::time::{Duration, Instant};

use super::error::ShareError;

/// When a pull has to be done.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Instant,
    /// How long all of it may take.
    whole: Duration,
}

impl Deadline {
    /// So long from now on.
    pub(super) fn after(whole: Duration) -> Self {
        let now = Instant::now();
        // A limit that no clock reaches is none.
        let at = now.checked_add(whole).or_else(|| now.checked_add(Duration::from_secs(1 << 30)));
        Self { at: at.unwrap_or(now), whole }
    }

    /// So much later, for what somebody else is waited for.
    pub(super) fn later(self, by: Duration) -> Self {
        Self { at: self.at.checked_add(by).unwrap_or(self.at), ..self }
    }

    /// What is left of it.
    pub(super) fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// What is left of it, but no more than this; an error if nothing is.
    pub(super) fn limit(
        deadline: Option<Self>,
        most: Duration,
        program: &str,
        doing: &str,
    ) -> Result<Duration, ShareError> {
        let Some(deadline) = deadline else { return Ok(most) };
        match deadline.left() {
            Duration::ZERO => Err(deadline.missed(program, doing)),
            left => Ok(most.min(left)),
        }
    }

    /// The same error for whoever was ended because of it.
    pub(super) fn judge(deadline: Option<Self>, error: ShareError) -> ShareError {
        match (deadline, error) {
            (Some(deadline), ShareError::Stalled { program, doing, .. })
                if deadline.left().is_zero() =>
            {
                deadline.missed(&program, &doing)
            }
            (_, error) => error,
        }
    }

    fn missed(self, program: &str, doing: &str) -> ShareError {
        let (program, doing) = (program.to_owned(), doing.to_owned());
        ShareError::Stalled { program, doing, limit: self.whole }
    }
}
