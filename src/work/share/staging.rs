//! What is being pulled: restored beside the kept directory, looked at name by name, and put in its place (decision 67).

#![expect(clippy::disallowed_methods, reason = "makes what was pulled the user's own")]

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, Gid, Uid};
use walkdir::WalkDir;

use super::error::ShareError;
use super::files::{copy, link_to, make_dir, set_mode, set_time};
use super::manifest::{self, PushEntry, PushManifest, What};
use crate::base::digest::Digest;
use crate::base::path_error::{At, PathError};
use crate::base::tree::Tree;
use crate::base::{atomic, fault, usage};
use crate::decide::remade::Remade;
use crate::observe::identity::IdentityRecord;
use crate::observe::sources::SourceState;
use crate::store::evict::Trash;
use crate::store::{
    self, Closed, EntryPaths, EntryRecord, Lock, Opened, Outcome, Shared, Store, UseRecord,
    sync_files,
};

/// What was written so recently cannot be told by its stamp from what is written after it was looked at.
const GRAIN: Duration = Duration::from_millis(60);

/// A directory that is being put together.
pub(super) struct Staging<'a> {
    store: &'a Store,
    paths: &'a EntryPaths,
    lock: &'a Lock,
    manifest: &'a PushManifest,
    dir: PathBuf,
    target: PathBuf,
    /// Whether it took its place: then nothing is left of it here.
    is_adopted: bool,
}

/// What the kept directory had already.
#[derive(Default)]
pub(super) struct Seeded {
    /// The files, one name of each.
    pub paths: Vec<PathBuf>,
    pub bytes: u64,
}

/// What was restored has its owners, modes and times.
pub(super) struct Settled {
    /// Everything, and the directory that it is in.
    pub paths: Vec<PathBuf>,
    at: Instant,
}

impl<'a> Staging<'a> {
    /// An empty one, in place of what a pull that was cut off left.
    pub(super) fn begin(
        store: &'a Store,
        paths: &'a EntryPaths,
        lock: &'a Lock,
        manifest: &'a PushManifest,
    ) -> Result<Self, ShareError> {
        let dir = paths.staging().clone();
        Trash::new(store).take(&dir)?;
        let target = dir.join("target");
        make_dir(&dir)?;
        make_dir(&target)?;
        Ok(Self { store, paths, lock, manifest, dir, target, is_adopted: false })
    }

    /// Where it is restored to.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Takes over what the kept directory has already: files with the same path, size and content.
    pub(super) fn seed(&self) -> Result<Seeded, ShareError> {
        if !self.paths.target().is_dir() {
            return Ok(Seeded::default());
        }
        let files = self.manifest.entries.iter().filter_map(|entry| match &entry.what {
            What::File { size, digest, link } => Some((entry, *size, *digest, *link)),
            What::Directory | What::Symlink(_) => None,
        });
        let files: Vec<_> = files.collect();
        let has_it = |(entry, size, digest, _): &(&PushEntry, u64, Digest, u32)| {
            let path = self.paths.target().join(&entry.path);
            fs::symlink_metadata(&path).is_ok_and(|file| file.is_file() && file.len() == *size)
                && Digest::of_file(&path).is_ok_and(|found| found == *digest)
        };
        let found: Vec<bool> = files.par_iter().map(has_it).collect();
        let found = files.iter().zip(found).filter(|(_, found)| *found).map(|(file, _)| file);
        let (mut once, mut again) = (Vec::new(), Vec::new());
        let mut links: HashMap<u32, PathBuf> = HashMap::new();
        let mut bytes = 0;
        for (entry, size, _, link) in found {
            let place = self.target.join(&entry.path);
            if let Some(above) = place.parent() {
                fs::create_dir_all(above).at("make", above)?;
            }
            if let Some(first) = links.get(link).filter(|_| *link > 0) {
                again.push((first.clone(), place));
                continue;
            }
            links.insert(*link, place.clone());
            once.push((entry, place));
            bytes += *size;
        }
        once.par_iter().try_for_each(|(entry, place)| {
            copy(&self.paths.target().join(&entry.path), place)?;
            set_time(place, entry.mtime)
        })?;
        for (first, place) in &again {
            link_to(first, place)?;
        }
        Ok(Seeded { paths: once.into_iter().map(|(_, place)| place).collect(), bytes })
    }

    /// Gives everything the owner, the mode and the time that it is to have, after looking whether each name is
    /// what it has to be.
    pub(super) fn settle(&self) -> Result<Settled, ShareError> {
        let expected: HashMap<&str, &PushEntry> =
            self.manifest.entries.iter().map(|entry| (entry.path.as_str(), entry)).collect();
        let mut places = Vec::with_capacity(expected.len());
        let walk =
            WalkDir::new(&self.target).min_depth(1).follow_links(false).same_file_system(true);
        for item in walk {
            let item = item.map_err(|error| {
                let path = error.path().unwrap_or(&self.target).to_owned();
                PathError::new("read", &path, error)
            })?;
            let path = item.path().strip_prefix(&self.target).unwrap_or(item.path());
            let refused = |why| ShareError::refused(path.display().to_string(), why);
            let entry = path.to_str().and_then(|path| expected.get(path).copied());
            let entry =
                entry.ok_or_else(|| refused("it was restored, and is not in the manifest"))?;
            let metadata = item.metadata().at("read", item.path())?;
            let kind = rustix::fs::FileType::from_raw_mode(metadata.mode());
            if kind != manifest::file_type(&entry.what) {
                return Err(refused("something else was restored than is in the manifest"));
            }
            places.push((item.into_path(), entry, metadata));
        }
        // What is in a directory comes after it, and changes its time.
        for (place, entry, metadata) in places.iter().rev() {
            own(place, metadata)?;
            if !metadata.is_symlink() {
                set_mode(place, entry.mode)?;
            }
            set_time(place, entry.mtime)?;
        }
        // Nobody else can enter the directory above yet.
        set_mode(&self.target, 0o755)?;
        let paths = places.into_iter().map(|(place, ..)| place).chain([self.target.clone()]);
        Ok(Settled { paths: paths.collect(), at: Instant::now() })
    }

    /// Brings what was put here to disk.
    pub(super) fn sync(&self, paths: &[PathBuf]) -> Result<(), ShareError> {
        Ok(sync_files(&self.target, paths)?)
    }

    /// Looks at all of it, content too: it is what the manifest says, or it is refused.
    pub(super) fn verify(&self, settled: &Settled) -> Result<Tree, ShareError> {
        std::thread::sleep(GRAIN.saturating_sub(settled.at.elapsed()));
        let tree = Tree::observe_all(&self.target, None)?;
        let found = manifest::entries(&tree)
            .map_err(|why| ShareError::refused("what was restored", why))?;
        let wanted = &self.manifest.entries;
        if found == *wanted {
            return Ok(tree);
        }
        let other = found.iter().zip(wanted).find(|(found, wanted)| found != wanted);
        let (path, why) = match other {
            Some((found, wanted)) if found.path == wanted.path => {
                (&wanted.path, difference(found, wanted))
            }
            Some((_, wanted)) => (&wanted.path, "it is missing, or out of order"),
            None => {
                return Err(ShareError::refused(
                    "what was restored",
                    "there is more or less of it",
                ));
            }
        };
        Err(ShareError::refused(format!("{path} in the snapshot"), why))
    }

    /// Writes the records, as if the close of the machine that pushed had happened here, and puts all in its place.
    /// `settle` makes the state one of this store's.
    pub(super) fn complete(
        mut self,
        identity: &IdentityRecord,
        tree: Tree,
        settle: impl FnOnce(&mut SourceState),
    ) -> Result<(), ShareError> {
        let damaged = |what: &str| {
            ShareError::refused(format!("the {what} in the manifest"), "it is damaged")
        };
        let records = &self.manifest.records;
        let mut state: SourceState =
            postcard::from_bytes(&records.state).map_err(|_| damaged("state"))?;
        state.unsettle();
        settle(&mut state);
        let mut left: store::TargetManifest =
            postcard::from_bytes(&records.left).map_err(|_| damaged("record"))?;
        left.traces.unsettle();
        let place = |path: &Path| self.dir.join(path.file_name().unwrap_or_default());
        atomic::write(&place(&self.paths.identity()), &identity.encoded()?, 0o644)?;
        atomic::write_binary(&place(&self.paths.state()), &state)?;
        atomic::write_binary(
            &place(&self.paths.manifest()),
            &store::TargetManifest { tree, ..left },
        )?;
        let above = self.dir.parent().unwrap_or(Path::new("/"));
        set_mode(&self.dir, atomic::granted(0o755, above).at("read", above)?)?;
        let usage = usage::measure(&self.dir);
        let record =
            EntryRecord { size: usage.bytes, inodes: usage.inodes, ..self.record(identity) };
        atomic::write_json(&place(&self.paths.record()), &record)?;
        self.store.adopt(self.paths, self.lock)?;
        self.is_adopted = true;
        Ok(())
    }

    fn record(&self, identity: &IdentityRecord) -> EntryRecord {
        let PushManifest { scope, counter, signer, snapshot, records, .. } = self.manifest;
        let opened = Opened { at: SystemTime::now(), boot: store::boot_id() };
        let closed = Closed {
            outcome: Outcome::Succeeded,
            seconds: records.seconds,
            compiled: 0,
            untouched: None,
        };
        let why = vec![format!("pulled push {counter} of {signer}")];
        EntryRecord {
            successes: records.successes,
            cold_seconds: records.cold_seconds,
            last: Some(UseRecord {
                opened,
                cold: false,
                why,
                remade: Remade::default(),
                closed: Some(closed),
            }),
            shared: Some(Shared {
                counter: *counter,
                snapshot: snapshot.to_string(),
                signer: signer.clone(),
            }),
            ..EntryRecord::new(scope.project.clone(), identity)
        }
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        if !self.is_adopted {
            // If it cannot be moved now, the next pull or collection does it.
            let _ = Trash::new(self.store).take(&self.dir);
        }
    }
}

fn difference(found: &PushEntry, wanted: &PushEntry) -> &'static str {
    match (&found.what, &wanted.what) {
        (What::File { size: a, .. }, What::File { size: b, .. }) if a != b => {
            "its size is not that of the manifest"
        }
        (What::File { digest: a, .. }, What::File { digest: b, .. }) if a != b => {
            "its content is not that of the manifest"
        }
        (What::File { link: a, .. }, What::File { link: b, .. }) if a != b => {
            "it is linked to other files than in the manifest"
        }
        (What::Symlink(a), What::Symlink(b)) if a != b => {
            "it points elsewhere than in the manifest"
        }
        (a, b) if a == b => "its mode or time is not that of the manifest",
        _ => "it is something else than in the manifest",
    }
}

/// Makes a name of the one who runs this, and takes its extended attributes.
fn own(path: &Path, metadata: &fs::Metadata) -> Result<(), ShareError> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    if (metadata.uid(), metadata.gid()) != (uid.as_raw(), gid.as_raw()) {
        let (uid, gid): (Uid, Gid) = (uid, gid);
        fault::point("share.set-owner");
        rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .at("take over", path)?;
    }
    let mut names = vec![0u8; 64 * 1024];
    let Ok(length) = rustix::fs::llistxattr(path, &mut names) else {
        // A filesystem without them.
        return Ok(());
    };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if !name.starts_with(b"security.") || name == b"security.capability" {
            fault::point("share.take-attribute");
            rustix::fs::lremovexattr(path, name).at("take over", path)?;
        }
    }
    Ok(())
}
