//! The binary that runs inside sandboxes: whether it starts where nothing else is.

use std::path::Path;
use std::process::Output;

use super::Check;
use crate::host::attach;
use crate::image::mkosi::Include;
use crate::store::{self, Store};

const NAME: &str = "binary";

/// What to do about a binary that is missing or is another.
const INSTALL: &str = "run `larder init` with this larder";

/// Whether `<store>/bin/larder` is static, starts in an empty root, and is of this version.
pub(crate) fn binary(store: &Store) -> Check {
    let path = store.binary();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(_) if !Include::all().iter().any(|kind| kind.path(store.root()).exists()) => {
            return Check::not_checked(
                NAME,
                "no image mounts this store: `larder init` was not run",
            );
        }
        Err(error) => {
            return Check::failed(
                NAME,
                format!("cannot read {}: {error}", path.display()),
                INSTALL,
            );
        }
    };
    if !store::is_static(&bytes) {
        let found = format!("{} needs a dynamic loader", path.display());
        return Check::failed(
            NAME,
            found,
            "install the static larder that `make install` builds, then run `larder init`",
        );
    }
    match attach::try_in_root(path.parent().unwrap_or(Path::new("/")), "/larder") {
        Ok(said) => judge(&said),
        Err(error) => Check::not_checked(
            NAME,
            format!("it is static; that it starts in an empty root cannot be tried here: {error}"),
        ),
    }
}

fn judge(said: &Output) -> Check {
    let text = String::from_utf8_lossy(&said.stdout);
    let version = text.trim().strip_prefix("larder ");
    match version {
        Some(version) if version == env!("CARGO_PKG_VERSION") => {
            Check::ok(NAME, format!("static, starts in an empty root, version {version}"))
        }
        Some(version) => {
            let found =
                format!("the store's larder is {version}, this one {}", env!("CARGO_PKG_VERSION"));
            Check::warning(NAME, found, INSTALL)
        }
        None => {
            let found = format!("does not start in an empty root: {}", said.status);
            Check::failed(NAME, found, INSTALL)
        }
    }
}
