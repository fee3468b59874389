//! The shared downloads, before they are used.

use anyhow::Result;

use super::Session;
use crate::host::home;
use crate::store::Claim;
use crate::store::evict::Trash;
use crate::work::situation::Seen;

impl Session<'_> {
    /// Takes from the shared downloads what is not as it was downloaded, so that Cargo unpacks or
    /// fetches it again, as it would in a cold build.
    pub(super) fn renew_downloads(&self, seen: &mut Seen) -> Result<()> {
        let Some(shared) = self.checkout.home.as_ref().filter(|home| home.is_shared()) else {
            return Ok(());
        };
        let home = self.store.cargo_home();
        let mut spoilt = seen.state.packages.spoilt();
        for name in &spoilt {
            seen.state.packages.forget(name);
        }
        for path in &mut spoilt {
            *path = home.join(&path);
        }
        if let Some(lock) = &seen.state.lock {
            if seen.state.packages.lacks_some() || !spoilt.is_empty() {
                spoilt.extend(home::false_archives(&shared.registry(), lock)?);
            }
        }
        if spoilt.is_empty() {
            return Ok(());
        }
        seen.state_is_recorded = false;
        let lock = shared.lock();
        let busy = |holder: &str| {
            let lock = lock.display();
            self.output.note(&format!("waiting for the downloads {lock}: in use by {holder}"));
        };
        let _alone = Claim::acquire(&lock, self.wait, busy)?;
        let mut trash = Trash::new(self.store);
        for path in &spoilt {
            self.output.detail(&format!("not as it was downloaded: {}", path.display()));
            trash.take(path)?;
        }
        Ok(())
    }
}
