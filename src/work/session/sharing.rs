//! Pulling before a use, and pushing after it. Neither ever makes a build fail.

use super::Session;
use crate::base::atomic;
use crate::output::{Output, one_line, seconds, size};
use crate::store::config::{PullWhen, PushWhen};
use crate::store::{EntryPaths, EntryRecord, Lock, Store, boot_id, history};
use crate::work::project::Project;
use crate::work::share::{Captured, Share, ShareError, Whose};

pub(super) use crate::work::share::Own;

/// Sharing, if it is configured and can be; what is wrong is said.
pub(crate) fn configured(store: &Store, output: Output) -> Option<Share<'_>> {
    Share::configured(store, output).unwrap_or_else(|error| {
        output.warning(&one_line(&error.into()));
        None
    })
}

/// Pulls into a directory in which nothing was built yet, if the policy says so.
pub(super) fn pull_when_cold(
    store: &Store,
    project: &Project,
    own: &Own,
    lock: &Lock,
    output: Output,
) {
    let identity = &own.identity;
    let paths = store.entry(&project.name, identity.id());
    if !identity.is_exact() || !project.keeps_cargo() || project.with.len() > 1 || !is_cold(&paths)
    {
        return;
    }
    let Some(share) = configured(store, output).map(|share| share.for_a_pull()) else { return };
    if share.settings().pull != PullWhen::WhenCold {
        return;
    }
    let (name, whose) = (&project.name, Whose::Command(identity));
    let mut why = String::new();
    let pulled = share.look(name).and_then(|looked| {
        let found = share.find(&looked, name, whose);
        if let Err(ShareError::Nothing) = found {
            why = share.why_nothing(&looked, name, whose);
        }
        let found = found?.pop().ok_or(ShareError::Nothing)?;
        share.take(&found, own, &paths, lock)
    });
    match pulled {
        Ok(pulled) => {
            let (all, time) = (size(pulled.bytes), seconds(pulled.seconds));
            let (counter, signer) = (pulled.counter, &pulled.signer);
            output.note(&format!("pulled {name}: push {counter} of {signer}, {all} in {time}"));
            history::remember(store, pulled.event(name), output);
        }
        Err(ShareError::Nothing) => {
            output.note(&format!("nothing was pushed of {name} that fits: {why}; building cold"));
        }
        Err(error) => {
            output.warning(&format!(
                "{name} is not pulled, building cold: {}",
                one_line(&error.into())
            ));
        }
    }
}

/// Whether no build ever succeeded in a directory, or it would be set aside.
pub(super) fn is_cold(paths: &EntryPaths) -> bool {
    usable(paths).is_none_or(|record| record.successes == 0)
}

/// Whether nobody ever built in a directory, or it would be set aside: what a build that failed made, the next one needs.
pub(super) fn is_unused(paths: &EntryPaths) -> bool {
    usable(paths).is_none_or(|record| record.uses == 0)
}

/// The record of a directory with which a use can go on.
pub(super) fn usable(paths: &EntryPaths) -> Option<EntryRecord> {
    let record = atomic::read_json::<EntryRecord>(&paths.record()).ok()??;
    let is_usable = record.unkept.is_none() && !record.lost_to_another_boot(&boot_id());
    is_usable.then_some(record)
}

impl Session<'_> {
    /// Begins to push a build that compiled something, if the policy says so. The rest of the push does not need
    /// the directory.
    pub(crate) fn capture<'s, 'a>(
        &self,
        share: &'s Share<'a>,
        output: Output,
    ) -> Option<Captured<'s, 'a>> {
        let record = self.entry.record();
        let closed = record.last.as_ref().and_then(|last| last.closed.as_ref());
        let has_compiled = closed.is_some_and(|closed| closed.compiled > 0);
        if share.settings().push != PushWhen::OnSuccess || !has_compiled || self.is_given_up() {
            return None;
        }
        let pushing = share.begin_push(&record.project, self.entry.identity());
        let captured = pushing.and_then(|it| it.capture(self.entry.paths(), self.entry.lock()));
        captured.map_err(|error| warn(&error.into(), output)).ok()
    }
}

/// Makes what was captured a push.
pub(crate) fn publish(store: &Store, captured: Captured<'_, '_>, output: Output) {
    match captured.publish() {
        Ok(pushed) => {
            let (added, time) = (size(pushed.bytes_added), seconds(pushed.seconds));
            let (name, counter) = (&pushed.project, pushed.counter);
            output.note(&format!("pushed {name}: push {counter}, {added} sent in {time}"));
            pushed.left_out().into_iter().for_each(|left_out| output.note(&left_out));
            history::remember(store, pushed.event(), output);
        }
        Err(error) => warn(&error.into(), output),
    }
}

fn warn(error: &anyhow::Error, output: Output) {
    output.warning(&format!("what was built is not pushed: {}", one_line(error)));
}
