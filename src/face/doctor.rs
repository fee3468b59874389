//! Looks whether what larder relies on holds here. Nothing is changed: what has to be tried is tried
//! in files without a name, or in the trash.

mod host;
mod sandbox;
mod sharing;
mod store;
mod timer;

use serde::Serialize;

pub(crate) use host::{clock, mounting, user_namespaces, watching};
pub(crate) use sandbox::{binary, texts};
pub(crate) use sharing::sharing;
pub(crate) use store::{budgets, domain, filesystem, foreign, free, leftovers, opened, readers};
pub(crate) use timer::{Places, timer};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// It holds.
    Ok,
    /// Builds are right, but slower than they could be, or something will fail one day.
    Warning,
    /// Builds fail, or are never warm.
    Failed,
    /// It could not be tried here.
    NotChecked,
}

/// One assumption, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What was looked at.
    pub name: &'static str,
    pub state: State,
    /// What was found, on one line.
    pub found: String,
    /// What helps, if anything has to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    /// It holds.
    pub(crate) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), remedy: None }
    }

    /// It does not quite hold.
    pub(crate) fn warning(
        name: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { name, state: State::Warning, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// It does not hold.
    pub(crate) fn failed(
        name: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { name, state: State::Failed, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// It could not be tried, and why.
    pub(crate) fn not_checked(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::NotChecked, found: found.into(), remedy: None }
    }

    /// It does not hold, as an error says with its causes and its remedy.
    pub(crate) fn error(name: &'static str, error: impl Into<anyhow::Error>) -> Self {
        Self::said(name, State::Failed, &crate::output::one_line(&error.into()))
    }

    /// As a message says, whose remedy is behind a semicolon.
    pub(crate) fn said(name: &'static str, state: State, message: &str) -> Self {
        let (found, remedy) = match message.split_once("; ") {
            Some((found, remedy)) => (found, Some(remedy.to_owned())),
            None => (message, None),
        };
        Self { name, state, found: found.to_owned(), remedy }
    }
}
