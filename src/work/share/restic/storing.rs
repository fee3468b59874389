//! Making snapshots: what counts is what restic says that it made.

use std::process::Command;

use super::Restic;
use super::answers::Message;
use crate::work::share::engine::{Engine, Stored};
use crate::work::share::error::ShareError;

impl Restic {
    pub(super) fn store(
        &self,
        command: Command,
        doing: &str,
        input: Option<&[u8]>,
    ) -> Result<Stored, ShareError> {
        let mut summary = None;
        let mut wrong = None;
        self.follow(command, doing, input, &mut |line| {
            match serde_json::from_slice(line) {
                Ok(Message::Summary { snapshot_id, data_added_packed, .. }) => {
                    summary = snapshot_id.zip(Some(data_added_packed.unwrap_or(0)));
                }
                Ok(Message::Error { error, item, .. }) => {
                    let why = error.and_then(|error| error.message).unwrap_or_default();
                    wrong = Some(format!("{}: {why}", item.unwrap_or_default()));
                }
                _ => {}
            }
            Ok(())
        })?;
        if let Some(wrong) = wrong {
            return Err(Self::failed(doing, wrong));
        }
        let (id, added) = summary.ok_or_else(|| Self::failed(doing, "it made no snapshot"))?;
        Ok(Stored { id, added })
    }

    /// As [`Self::store`]; a lock that a crash left is removed first, and only such a one.
    pub(super) fn store_unlocking(
        &self,
        command: impl Fn() -> Command,
        doing: &str,
        input: Option<&[u8]>,
    ) -> Result<Stored, ShareError> {
        match self.store(command(), doing, input) {
            Err(ShareError::Locked { .. }) => {
                self.unlock()?;
                self.store(command(), doing, input)
            }
            other => other,
        }
    }
}
