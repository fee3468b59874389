//! What is installed in the store for sandboxes: whether it is what this larder installs. It is never started, because
//! a build may have replaced it (decision 101).

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

use super::Check;
use crate::base::digest::Digest;
use crate::base::regular;
use crate::image::mkosi::{FOR_EPHEMERAL, Include, SNIPPET};
use crate::output;
use crate::store::{self, Store};

/// What to do about what is missing or is another.
const INSTALL: &str = "run `larder init` with this larder";

/// A binary is no longer.
const LONGEST: u64 = 1 << 30;

/// Whether the binaries in the store are this larder, and start in a sandbox that has nothing else.
pub(crate) fn binary(store: &Store) -> Check {
    const NAME: &str = "binary";
    let path = store.binary();
    if !path.exists() && !Include::all().iter().any(|kind| kind.path(store.root()).exists()) {
        return Check::not_checked(NAME, "no image mounts this store: `larder init` was not run");
    }
    if store::is_own_file(&path) {
        let found = "this larder is the store's own, which a build may have replaced: nothing tells whether it is what was installed; ask one that is installed elsewhere";
        return Check::not_checked(NAME, found);
    }
    let own = match store::own_binary() {
        Ok(own) => own,
        Err(error) => return Check::not_checked(NAME, output::one_line(&error.into())),
    };
    let for_ephemeral = store.root().join(FOR_EPHEMERAL).join("bin/larder");
    let others = [for_ephemeral].into_iter().filter(|path| path.symlink_metadata().is_ok());
    let differs = |path: &PathBuf| !store::is_installed(&own, path);
    if let Some(path) = [path.clone()].into_iter().chain(others).find(differs) {
        return Check::failed(NAME, told_apart(&own, &path), INSTALL);
    }
    if !store::is_static(&own) {
        let found = format!("{} needs a dynamic loader", path.display());
        return Check::failed(
            NAME,
            found,
            "install the static larder that `make install` builds, then run `larder init`",
        );
    }
    let flags = rustix::fs::statvfs(&path).map(|found| found.f_flag);
    if flags.is_ok_and(|flags| flags.contains(StatVfsMountFlags::NOEXEC)) {
        let found =
            format!("{} is on a filesystem on which nothing can be started", path.display());
        return Check::failed(NAME, found, "mount it without noexec, or move the store");
    }
    let digest = Digest::of(&own);
    Check::ok(
        NAME,
        format!("static, and byte for byte this larder {}, {digest}", env!("CARGO_PKG_VERSION")),
    )
}

/// In what a binary in the store is another than this one.
fn told_apart(own: &[u8], path: &Path) -> String {
    let bytes = match regular::read(path, LONGEST) {
        Ok(bytes) => bytes,
        Err(error) => return format!("cannot read {}: {error}", path.display()),
    };
    let (path, there, here) = (path.display(), Digest::of(&bytes), Digest::of(own));
    let version = env!("CARGO_PKG_VERSION");
    if there == here {
        return format!("{path} is this larder, but others than its owner may change it");
    }
    format!(
        "{path} is not this larder {version}: it has the digest {there}, this one {here}; it is of another version, or a build replaced it"
    )
}

/// Whether what mkosi and build scripts read of the store is what this larder wrote.
pub(crate) fn texts(store: &Store) -> Check {
    const NAME: &str = "installed texts";
    let mut texts = vec![(store.snippet(), SNIPPET.to_owned())];
    for kind in Include::all() {
        texts.extend(kind.text(store.root()).ok().map(|text| (kind.path(store.root()), text)));
    }
    texts.retain(|(path, _)| fs::symlink_metadata(path).is_ok());
    if texts.is_empty() {
        return Check::not_checked(NAME, "there are none: `larder init` was not run");
    }
    let is_other = |(path, text): &&(PathBuf, String)| {
        regular::read(path, text.len() as u64).map_or(true, |bytes| bytes != text.as_bytes())
    };
    match texts.iter().find(is_other) {
        None => Check::ok(NAME, "larder.sh and the include files are as this larder writes them"),
        Some((path, _)) => Check::failed(
            NAME,
            format!(
                "{} is not as this larder writes it: it is of another version, or a build changed it",
                path.display()
            ),
            INSTALL,
        ),
    }
}
