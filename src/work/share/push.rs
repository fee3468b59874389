//! Pushing: the data, and then a signed manifest that names them (decision 62).

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use serde::Serialize;

use super::Share;
use super::content::Content;
use super::engine::{Engine, FullId, Stored};
use super::error::ShareError;
use super::manifest::{PushEntry, PushManifest, Records, check_entries, totals};
use super::replica::Replica;
use super::scope::{DATA, OURS, Scope};
use super::select::{NAME, first_opened, seconds_now, tags};
use super::signature::{self, Signed, SignedBy, Trust, is_principal};
use crate::base::atomic;
use crate::base::names::{ProjectName, ToolchainId};
use crate::decide::reconcile::some_of;
use crate::observe::identity::{CacheKind, Fidelity, IdentityRecord};
use crate::observe::sources::SourceState;
use crate::store::history::{Event, Transfer};
use crate::store::{self, EntryPaths, EntryRecord, Lock, Shared};
use crate::work::sweep;

/// What was pushed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Pushed {
    pub project: ProjectName,
    pub toolchain: ToolchainId,
    /// The snapshot with the data.
    pub snapshot: FullId,
    /// The number of the push.
    pub counter: u64,
    /// Bytes that the repository had not, as it stores them.
    pub bytes_added: u64,
    /// Bytes of all files.
    pub bytes_total: u64,
    /// Names in the directory.
    pub files: u64,
    /// How long it took.
    pub seconds: f64,
    /// Of this, how long the directory was locked.
    pub locked_seconds: f64,
    /// What of the directory was not pushed, because it is no unit's and no uplifted file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

impl Pushed {
    /// What was not pushed, in words.
    pub(crate) fn left_out(&self) -> Option<String> {
        let names = some_of(self.left_out.iter().cloned());
        (!names.is_empty()).then(|| {
            format!("what is no unit's is not pushed, and made again where it is pulled: {names}")
        })
    }

    /// For the store's history.
    pub(crate) fn event(&self) -> Event {
        Event::Push(Transfer {
            project: self.project.clone(),
            toolchain: self.toolchain,
            counter: self.counter,
            signer: None,
            bytes: self.bytes_total,
            sent: Some(self.bytes_added),
            seconds: self.seconds,
        })
    }
}

/// A push that was begun: this machine may push.
pub(crate) struct Pushing<'s, 'a> {
    share: &'s Share<'a>,
    scope: Scope,
    identity: IdentityRecord,
    key: PathBuf,
    signer: String,
    trust: Trust,
    started: Instant,
}

/// A push for which the directory is not needed any more.
pub(crate) struct Captured<'s, 'a> {
    pushing: Pushing<'s, 'a>,
    data: Data<'a>,
    before: Before,
    entries: Vec<PushEntry>,
    left_out: Vec<String>,
    state: SourceState,
    /// What the records say besides identity and state, which others get as the repository's key hides them.
    records: Records,
    locked_seconds: f64,
}

/// What was there when the directory was left to others.
struct Before {
    /// When the directory was made.
    created: SystemTime,
    /// Where it was last pushed to or pulled from.
    shared: Option<Shared>,
}

/// The data of a push.
enum Data<'a> {
    /// They are in the repository.
    Stored(Stored),
    /// They have yet to get there.
    Replica(Replica<'a>),
}

impl<'a> Share<'a> {
    /// Looks whether this machine may push. Nothing else is asked yet.
    pub(crate) fn begin_push<'s>(
        &'s self,
        project: &ProjectName,
        identity: &IdentityRecord,
    ) -> Result<Pushing<'s, 'a>, ShareError> {
        let started = Instant::now();
        let lacks =
            |key| move || ShareError::Lacks { key, without: "pushed", policy: self.store.policy() };
        let key = self.settings.signing_key.clone().ok_or_else(lacks("signing-key"))?;
        let signer = self.settings.signer.clone().ok_or_else(lacks("signer"))?;
        if !is_principal(&signer) {
            let why = format!("signer = \"{signer}\" in [share] is no name of an allowed signer");
            return Err(ShareError::NotPushable(why));
        }
        // Whatever this machine accepts, it has to be believed by others.
        let trust = Trust { accept: None, ..self.trust("pushed")? };
        let scope = Scope::of(project, identity);
        let identity = identity.clone();
        Ok(Pushing { share: self, scope, identity, key, signer, trust, started })
    }
}

impl<'s, 'a> Pushing<'s, 'a> {
    /// Does all for which the directory has to be locked: where the filesystem has reflinks its data are set aside,
    /// and stored afterwards; elsewhere they are stored now.
    pub(crate) fn capture(
        self,
        paths: &EntryPaths,
        lock: &Lock,
    ) -> Result<Captured<'s, 'a>, ShareError> {
        let locked = Instant::now();
        let _cargo = super::hold_cargo(&paths.target())?;
        let record = record(paths)?;
        let no = || ShareError::NotPushable("its records are not whole".to_owned());
        let left =
            atomic::undamaged(atomic::read_binary::<store::TargetManifest>(&paths.manifest()))?;
        let state = atomic::undamaged(atomic::read_binary::<SourceState>(&paths.state()))?;
        let Content { entries, gone, left_out, left } = Content::of(paths, left.ok_or_else(no)?)?;
        check_entries(&entries).map_err(ShareError::NotPushable)?;
        let data = match Replica::make(self.share.store, paths, lock, &entries)? {
            Some(replica) => Data::Replica(replica),
            None => Data::Stored(self.share.store_data(&paths.target(), &gone)?),
        };
        let before = Before { created: record.created, shared: record.shared };
        let closed = record.last.and_then(|last| last.closed);
        let records = Records {
            identity: Vec::new(),
            state: Vec::new(),
            left: encoded(&left)?,
            successes: record.successes,
            cold_seconds: record.cold_seconds,
            seconds: closed.map_or(0.0, |closed| closed.seconds),
        };
        records.check().map_err(ShareError::NotPushable)?;
        let locked_seconds = locked.elapsed().as_secs_f64();
        let state = state.ok_or_else(no)?;
        Ok(Captured {
            pushing: self,
            data,
            before,
            entries,
            left_out,
            state,
            records,
            locked_seconds,
        })
    }

    /// The repository, and the highest counter of the scope that is in it or was seen here.
    fn highest(&self) -> Result<(FullId, u64), ShareError> {
        // Whoever fills the repository makes this take no longer than a pull.
        let share = &self.share.for_a_pull();
        let trust = Trust { accept: None, ..share.trust("pushed")? };
        let tag = self.scope.tag();
        let looked = share.look(&self.scope.project)?;
        let seen = share.highest_seen(&tag, &trust)?;
        let hints = looked.tagged(&tag).remove(&tag).unwrap_or_default();
        let hints = share.in_order(&hints).into_iter();
        let newer = hints.filter(|hint| hint.counter > seen);
        let open = |hint: &_| share.open(hint, &trust, &looked.repository);
        let (accepted, _) = first_opened(newer, open)?;
        Ok((looked.repository, accepted.map_or(seen, |opened| opened.manifest.counter)))
    }
}

impl Captured<'_, '_> {
    /// Stores what is not stored yet, looks whether what was stored is what was seen, signs the manifest, and stores that.
    pub(crate) fn publish(self) -> Result<Pushed, ShareError> {
        let Self { pushing, data, before, entries, left_out, mut state, records, locked_seconds } =
            self;
        let share = pushing.share;
        let data = match data {
            Data::Stored(stored) => stored,
            Data::Replica(replica) => share.store_data(replica.path(), &[])?,
        };
        // Whatever cargo did beside larder's back shows in the listing, and is not signed.
        let (highest, listed) =
            rayon::join(|| pushing.highest(), || share.check_listing(&data.id, &entries, None));
        let ((repository, highest), ()) = (highest?, listed?);
        let no = |why: &str| ShareError::NotPushable(why.to_owned());
        let (files, bytes) = totals(&entries).ok_or_else(|| no("it is too large"))?;
        let created = seconds_now();
        let key = share.key(&repository)?;
        state.hide_by(&key);
        let identity = pushing.identity.hidden_by(&key).encoded()?;
        let records = Records { identity, state: encoded(&state)?, ..records };
        let manifest = PushManifest {
            scope: pushing.scope.clone(),
            repository,
            snapshot: data.id,
            counter: highest.checked_add(1).ok_or_else(|| no("there is no higher counter"))?,
            signer: pushing.signer.clone(),
            created,
            expires: created.saturating_add(share.settings.expires.0.as_secs()),
            files,
            bytes,
            entries,
            records,
        };
        let (bytes, signed_by) = pushing.signed(&manifest)?;
        let place = Scope::place_tag(&manifest.scope.project, pushing.identity.place());
        let mut tags = tags(&manifest.scope, &place, manifest.counter, &manifest.snapshot);
        tags.push(OURS.to_owned());
        crate::base::fault::point("share.publish");
        let stored = share.engine.store_bytes(NAME, &bytes, &tags)?;
        crate::base::fault::point("share.published");
        share.see(&manifest, &signed_by)?;
        share.note_in_record(&manifest, &before)?;
        share.trim_cache();
        Ok(Pushed {
            project: manifest.scope.project,
            toolchain: manifest.scope.toolchain,
            snapshot: manifest.snapshot,
            counter: manifest.counter,
            bytes_added: data.added.saturating_add(stored.added),
            bytes_total: manifest.bytes,
            files: manifest.files,
            seconds: pushing.started.elapsed().as_secs_f64(),
            locked_seconds,
            left_out,
        })
    }
}

impl Pushing<'_, '_> {
    /// The manifest with a signature that others are going to believe.
    fn signed(&self, manifest: &PushManifest) -> Result<(Vec<u8>, SignedBy), ShareError> {
        let message =
            manifest.encode().map_err(|error| ShareError::NotPushable(error.to_string()))?;
        let signature = signature::sign(&self.key, &message)?;
        let bytes = Signed::join(&self.signer, &signature, &message);
        let no = |why: String| ShareError::NotPushable(why);
        let signed = Signed::split(&bytes).map_err(|why| no(why.to_owned()))?;
        self.trust.verify(&signed).map_err(|error| {
            no(format!(
                "nobody would believe it: {error}; see signing-key, signer and allowed-signers"
            ))
        })?;
        let by = SignedBy::of(&signed);
        Ok((bytes, by))
    }
}

fn encoded(value: &impl Serialize) -> Result<Vec<u8>, ShareError> {
    postcard::to_stdvec(value).map_err(|error| ShareError::NotPushable(error.to_string()))
}

impl Share<'_> {
    fn store_data(&self, dir: &Path, without: &[PathBuf]) -> Result<Stored, ShareError> {
        let without: Vec<&Path> = without.iter().map(PathBuf::as_path).collect();
        let tags = [OURS.to_owned(), DATA.to_owned()];
        crate::base::fault::point("share.upload");
        self.engine.store_tree(dir, &without, &tags)
    }

    /// Records that the directory is what was pushed, or a later build of it: unless somebody uses it by now, or it
    /// was made anew or pulled meanwhile.
    fn note_in_record(&self, manifest: &PushManifest, before: &Before) -> Result<(), ShareError> {
        let paths = self.store.entry(&manifest.scope.project, manifest.scope.toolchain);
        let Some(_lock) = Lock::try_acquire(&paths.lock(), "larder push")? else { return Ok(()) };
        let Some(record) = atomic::undamaged(atomic::read_json::<EntryRecord>(&paths.record()))?
        else {
            return Ok(());
        };
        if (record.created, &record.shared) != (before.created, &before.shared) {
            return Ok(());
        }
        let shared = Shared {
            counter: manifest.counter,
            snapshot: manifest.snapshot.to_string(),
            signer: manifest.signer.clone(),
        };
        Ok(atomic::write_json(&paths.record(), &EntryRecord { shared: Some(shared), ..record })?)
    }
}

/// The record of a directory that may be pushed.
fn record(paths: &EntryPaths) -> Result<EntryRecord, ShareError> {
    let no = |why: &str| Err(ShareError::NotPushable(why.to_owned()));
    let Some(record) = atomic::undamaged(atomic::read_json::<EntryRecord>(&paths.record()))? else {
        return no("there is no directory; build first");
    };
    if !record.belongs_to(paths) || record.format != store::FORMAT {
        return no("the directory is not one that this larder made");
    }
    if !record.last_succeeded() {
        return no("its last build did not succeed");
    }
    if record.fidelity != Fidelity::Exact {
        return no(
            "it was built with fidelity = \"cargo\", and others may rely on exact ones only",
        );
    }
    if record.with.iter().any(|kept| *kept != CacheKind::Cargo) {
        return no("it holds caches of other tools than cargo, which are not shared");
    }
    if sweep::is_pending(paths) {
        return no("a collection of it was cut off; run `larder gc`");
    }
    Ok(record)
}
