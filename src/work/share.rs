//! Target directories shared between machines: pushed after a build, pulled before one.
//!
//! restic carries the bytes: it encrypts, splits, and sends only what a repository lacks. What it does
//! not do is done here: whose directory it is (*scope*), who vouches for it (*signature*), that it is what
//! was vouched for, entry by entry (*verification*), and that cargo finds what the other machine's close
//! left (*exactness*).
//!
//! A push makes two snapshots: the data, and then a manifest, signed by `ssh-keygen`, that names the data's
//! snapshot by its full id and all that is in it. Whoever may write to the repository may add whatever he
//! likes; nothing counts that no manifest names, and no manifest that no allowed signer signed. So:
//!
//! 1. candidates are chosen by the tag of the scope, the highest counter first, never by date;
//! 2. the signature is verified before anything of the manifest is looked at but the signer's name;
//! 3. its claims are compared: scope, repository, times, counter, and what it may never hold;
//! 4. the listing of the data's snapshot, fetched meanwhile, has to be that of the manifest, before anything is
//!    restored;
//! 5. it is restored into a directory beside the kept one that nobody else may enter, and looked at once
//!    more, name by name, without following links;
//! 6. only then it takes the place of what was there, by renaming, under the directory's lock.
//!
//! Whatever fails on the way is said in one line, and the build is cold.

mod content;
mod counter;
mod deadline;
pub(crate) mod engine;
mod error;
mod files;
mod gc;
mod listing;
pub mod manifest;
mod nearest;
mod pull;
mod push;
mod replica;
mod restic;
pub(crate) mod scope;
mod select;
pub mod signature;
mod staging;
mod status;

pub(crate) use counter::patterns;
pub use engine::FullId;
pub(crate) use error::ShareError;
pub(crate) use gc::Tidied;
pub(crate) use pull::{Own, Pulled};
pub(crate) use push::{Captured, Pushed};
pub(crate) use select::{AcceptedPush, Whose};
pub(crate) use status::{ScopeRow, Status};

use std::path::Path;
use std::time::Duration;

use crate::base::key::Key;
use crate::base::usage;
use crate::observe::cargo_layout::CargoLocks;
use crate::output::Output;
use crate::store::config::{self, Sharing};
use crate::store::evict::Trash;
use crate::store::{Store, StoreError};
use crate::work::situation::LookError;

use self::deadline::Deadline;
use self::engine::Engine;
use self::restic::Restic;

/// So many bytes of the repository's lists are kept here between calls.
const CACHE: u64 = 512 * 1024 * 1024;

/// Keeps any Cargo from a target directory that larder did not start: what it writes meanwhile would be pushed in
/// part, or lost. Nobody is waited for.
fn hold_cargo(target: &Path) -> Result<CargoLocks, ShareError> {
    let busy = || ShareError::Busy(target.to_owned());
    CargoLocks::try_hold(target).map_err(LookError::from)?.ok_or_else(busy)
}

/// Sharing as it is configured in a store.
pub(crate) struct Share<'a> {
    store: &'a Store,
    settings: Sharing,
    engine: Restic,
    output: Output,
    /// When all has to be done, if there is a limit.
    deadline: Option<Deadline>,
}

impl<'a> Share<'a> {
    /// Sharing as the store's policy has it; nothing where it has none.
    pub(crate) fn configured(
        store: &'a Store,
        output: Output,
    ) -> Result<Option<Self>, config::ConfigError> {
        let Some(settings) = config::sharing(store)? else { return Ok(None) };
        let engine = Restic::new(&settings, store.share_cache());
        Ok(Some(Self { store, settings, engine, output, deadline: None }))
    }

    /// The same, where it has to be.
    pub(crate) fn needed(store: &'a Store, output: Output) -> anyhow::Result<Self> {
        let missing = || ShareError::NotConfigured { policy: store.policy() };
        Ok(Self::configured(store, output)?.ok_or_else(missing)?)
    }

    /// The same, for a pull: all of it together may take as long as one call.
    pub(crate) fn for_a_pull(&self) -> Self {
        self.until(Deadline::after(self.settings.timeout.0))
    }

    /// The same, after somebody else was waited for so long.
    pub(crate) fn later(&self, by: Duration) -> Self {
        let deadline = self.deadline.unwrap_or_else(|| Deadline::after(self.settings.timeout.0));
        self.until(deadline.later(by))
    }

    fn until(&self, deadline: Deadline) -> Self {
        let Self { store, settings, engine, output, .. } = self;
        let engine = engine.until(deadline);
        let (settings, deadline) = (settings.clone(), Some(deadline));
        Self { store, settings, engine, output: *output, deadline }
    }

    /// The same, for what may not take longer than this.
    fn within(&self, limit: Duration) -> Self {
        let Self { store, settings, engine, output, deadline } = self;
        let (engine, deadline) = (engine.within(limit), *deadline);
        Self { store, settings: settings.clone(), engine, output: *output, deadline }
    }

    /// Makes the repository, if there is none. Its id, and whether it was made.
    pub(crate) fn init(&self) -> Result<(FullId, bool), ShareError> {
        match self.engine.repository() {
            Ok(id) => Ok((id, false)),
            Err(ShareError::NoRepository { .. }) => Ok((self.engine.init()?, true)),
            // Where there is not even a bucket, nothing tells that from other trouble; restic makes it.
            Err(error @ ShareError::Failed { .. }) => match self.engine.init() {
                Ok(id) => Ok((id, true)),
                Err(_) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// What restic says of its version, if it can be used.
    pub(crate) fn version(&self) -> Result<String, ShareError> {
        self.engine.version()
    }

    /// Keeps what restic would have to fetch again small; without it the next call takes longer.
    fn trim_cache(&self) {
        let cache = self.store.share_cache();
        if usage::measure(&cache).bytes > CACHE {
            // If it cannot be moved now, the next push or pull does it.
            let _ = Trash::new(self.store).take(&cache);
        }
    }

    /// The key by which all is hidden that this store pushes to a repository: its own, so that nobody learns from two
    /// repositories what they have in common.
    fn key(&self, repository: &FullId) -> Result<Key, StoreError> {
        Ok(self.store.key()?.derived(&format!("repository {repository}")))
    }

    /// Where the repository is, without what is secret.
    pub(crate) fn repository(&self) -> String {
        self.engine.shown()
    }

    /// What `[share]` says.
    pub(crate) fn settings(&self) -> &Sharing {
        &self.settings
    }
}
