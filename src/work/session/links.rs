//! What a use leaves at the name `target` in the sources.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Session;
use crate::base::trust;
use crate::host::link;
use crate::observe::cargo_layout::Layout;

impl Session<'_> {
    /// Leaves at `target` the way to what is kept, or to another directory. That it cannot be left takes
    /// nothing from a build that succeeded, unless something else is there that users would take for what it made, or
    /// nothing of that stays.
    pub(super) fn leave_links(&self, other: Option<&Path>, layout: &Layout) -> Result<()> {
        let Some(target) = &self.checkout.target else { return Ok(()) };
        let kept = other.unwrap_or(&layout.target);
        // Who became root by sudo is to have what he built, and the store may be root's alone.
        let is_for_others = trust::before_sudo().is_some_and(|user| {
            self.store.is_closed() && trust::is_owner(user, &self.checkout.sources.source)
        });
        let uplifted = || layout.profiles.iter().flat_map(|profile| &profile.uplifted);
        let left = if self.is_throwaway() {
            link::leave_copies(target, kept, &uplifted().cloned().collect::<Vec<_>>())
        } else {
            let hidden = if is_for_others {
                link::leave_no_way(target).map(|()| None)
            } else {
                link::leave(target, kept).map(Some)
            };
            hidden.and_then(|hidden| {
                let is_hidden = |path: &&PathBuf| {
                    hidden
                        .as_ref()
                        .is_none_or(|names| names.iter().any(|name| path.starts_with(name)))
                };
                let copies: Vec<PathBuf> = uplifted().filter(is_hidden).cloned().collect();
                if other.is_none() { link::place_copies(target, kept, &copies) } else { Ok(()) }
            })
        };
        let Err(error) = left else { return Ok(()) };
        if self.is_throwaway() {
            let why = "not all that the build made is left, and it is to be discarded";
            return Err(anyhow::Error::from(error).context(why));
        }
        let mut made = uplifted().filter(|_| other.is_none());
        if let Some(path) = made.find(|path| link::is_another(target, kept, path)) {
            let path = target.join(path);
            let why = format!("{} is not what the build made", path.display());
            return Err(anyhow::Error::from(error).context(why));
        }
        let kept = kept.display();
        let error = crate::output::one_line(&error.into());
        self.output.warning(&format!("{error}; what the build left is in {kept}"));
        Ok(())
    }
}
