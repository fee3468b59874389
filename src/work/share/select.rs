//! Which of the manifests of a scope is taken: the one with the highest counter among those that are accepted.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Share;
use super::engine::{Engine, FullId, Node, Snapshot};
use super::error::ShareError;
use super::manifest::{LONGEST, PushManifest};
use super::scope::Scope;
use super::signature::{Signed, SignedBy, Trust};
use crate::base::names::{ProjectName, ToolchainId};
use crate::observe::identity::IdentityRecord;

/// The name of the only file of a manifest's snapshot.
pub(super) const NAME: &str = "manifest";

/// What the tags of a manifest's snapshot begin with that say which counter it has, and which data. They are hints
/// by which it is found; what counts is signed.
const COUNTER: &str = "counter-";
const DATA_ID: &str = "data-";

/// So many manifests of one scope are looked at, those with the highest counters. More can only be there if
/// somebody fills the repository with what is not accepted.
pub(super) const CANDIDATES: usize = 24;

/// So many names are kept that were listed before it is known whether anybody vouches for them, so many bytes of
/// them, and so long they are waited for.
const AHEAD: usize = 100_000;
const AHEAD_BYTES: usize = 64 * 1024 * 1024;
const AHEAD_TIME: Duration = Duration::from_secs(20);

/// Whose pushes are looked for.
#[derive(Clone, Copy)]
pub(crate) enum Whose<'a> {
    /// Those of one command.
    Command(&'a IdentityRecord),
    /// Those of all commands; the identity is that of none.
    Place(&'a IdentityRecord),
}

/// A manifest that is accepted.
#[derive(Debug)]
pub(crate) struct AcceptedPush {
    pub(super) manifest: PushManifest,
    pub(super) identity: IdentityRecord,
    pub(super) by: SignedBy,
    /// Others of the same scope that came before it and were not accepted, in words.
    pub(super) passed_over: Vec<String>,
    /// The names in its snapshot, where they were asked for meanwhile: not compared yet.
    pub(super) listed: Option<Vec<Node>>,
}

/// A manifest whose signature counts, and that is what it claims to be.
pub(super) struct Opened {
    pub manifest: PushManifest,
    pub identity: IdentityRecord,
    pub by: SignedBy,
}

impl AcceptedPush {
    /// The directory that it is of.
    pub(crate) fn toolchain(&self) -> ToolchainId {
        self.manifest.scope.toolchain
    }
}

/// The tags of a manifest's snapshot.
pub(super) fn tags(scope: &Scope, place: &str, counter: u64, data: &FullId) -> Vec<String> {
    vec![
        scope.tag(),
        place.to_owned(),
        Scope::project_tag(&scope.project),
        format!("{COUNTER}{counter}"),
        format!("{DATA_ID}{data}"),
    ]
}

/// A manifest as its tags show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hint {
    /// The snapshot that holds it.
    pub snapshot: FullId,
    /// The tag of its scope.
    pub scope: String,
    pub counter: u64,
    /// The snapshot with the data.
    pub data: FullId,
    /// The tag of its project, empty if it has none.
    pub project: String,
}

impl Hint {
    /// What a snapshot's tags say, if it holds a manifest.
    pub(super) fn of(snapshot: &Snapshot) -> Option<Self> {
        let tag = |start: &str| snapshot.tags.iter().find_map(|tag| tag.strip_prefix(start));
        let whole = |start: &str| snapshot.tags.iter().find(|tag| tag.starts_with(start)).cloned();
        Some(Self {
            snapshot: snapshot.id.clone(),
            scope: whole("scope-")?,
            project: whole("project-").unwrap_or_default(),
            counter: tag(COUNTER)?.parse().ok()?,
            data: FullId::try_from(tag(DATA_ID)?.to_owned()).ok()?,
        })
    }
}

/// Manifests by scope, the highest counter first.
pub(super) fn by_scope<'s>(
    snapshots: impl IntoIterator<Item = &'s Snapshot>,
) -> BTreeMap<String, Vec<Hint>> {
    let mut all: BTreeMap<String, Vec<Hint>> = BTreeMap::new();
    for hint in snapshots.into_iter().filter_map(Hint::of) {
        all.entry(hint.scope.clone()).or_default().push(hint);
    }
    for hints in all.values_mut() {
        hints.sort_by(|a, b| (b.counter, &b.snapshot).cmp(&(a.counter, &a.snapshot)));
    }
    all
}

/// What a repository lists of a project.
pub(crate) struct Looked {
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) repository: FullId,
}

impl Looked {
    /// The manifests with a tag, by scope.
    pub(super) fn tagged(&self, tag: &str) -> BTreeMap<String, Vec<Hint>> {
        let has_tag = |snapshot: &&Snapshot| snapshot.tags.iter().any(|own| own == tag);
        by_scope(self.snapshots.iter().filter(has_tag))
    }
}

/// The first of some manifests that is accepted, and why those before it were not.
pub(super) fn first_opened<'h, T>(
    hints: impl IntoIterator<Item = &'h Hint>,
    open: impl Fn(&Hint) -> Result<T, ShareError>,
) -> Result<(Option<T>, Vec<ShareError>), ShareError> {
    let mut refused = Vec::new();
    for hint in hints.into_iter().take(CANDIDATES) {
        match open(hint) {
            Ok(opened) => return Ok((Some(opened), refused)),
            Err(error @ ShareError::Refused { .. }) => refused.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok((None, refused))
}

/// Now, in seconds since the epoch.
pub(super) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Share<'_> {
    /// Who is believed.
    pub(super) fn trust(&self, without: &'static str) -> Result<Trust, ShareError> {
        let settings = &self.settings;
        let lacks =
            || ShareError::Lacks { key: "allowed-signers", without, policy: self.store.policy() };
        Ok(Trust {
            allowed: settings.allowed_signers.clone().ok_or_else(lacks)?,
            revoked: settings.revoked.clone(),
            accept: settings.accept.clone(),
            deadline: self.deadline,
        })
    }

    /// Looks what is there of a project. That takes half a second, and needs nothing but its name.
    pub(crate) fn look(&self, project: &ProjectName) -> Result<Looked, ShareError> {
        let tag = Scope::project_tag(project);
        let (snapshots, repository) =
            rayon::join(|| self.engine.snapshots(&tag), || self.engine.repository());
        Ok(Looked { snapshots: snapshots?, repository: repository? })
    }

    /// Finds what can be pulled of it, one push of each scope; says why if there is something and nothing of it is
    /// accepted.
    pub(crate) fn find(
        &self,
        looked: &Looked,
        project: &ProjectName,
        whose: Whose<'_>,
    ) -> Result<Vec<AcceptedPush>, ShareError> {
        let trust = self.trust("pulled")?;
        let tag = match whose {
            Whose::Command(identity) => Scope::of(project, identity).tag(),
            Whose::Place(identity) => Scope::place_tag(project, identity.place()),
        };
        let mut found = Vec::new();
        let mut refused = None;
        for hints in looked.tagged(&tag).values() {
            match self.first_accepted(hints, &trust, &looked.repository, project, whose) {
                Ok(one) => found.extend(one),
                Err(error @ ShareError::Refused { .. }) => refused = refused.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        match refused {
            _ if !found.is_empty() => Ok(found),
            Some(error) => Err(error),
            None => Err(ShareError::Nothing),
        }
    }

    fn first_accepted(
        &self,
        hints: &[Hint],
        trust: &Trust,
        repository: &FullId,
        project: &ProjectName,
        whose: Whose<'_>,
    ) -> Result<Option<AcceptedPush>, ShareError> {
        let open = |hint: &Hint| {
            let opened = self.open(hint, trust, repository)?;
            Self::check_whose(&opened.manifest, &opened.identity, project, whose)?;
            self.check_counter(&opened.manifest, trust)?;
            Ok(opened)
        };
        let hints = self.in_order(hints);
        let first = hints.first().map(|hint| &hint.data);
        let (opened, listed) = rayon::join(
            || first_opened(hints.iter().copied(), open),
            || first.and_then(|snapshot| self.list_ahead(snapshot)),
        );
        let (accepted, refused) = opened?;
        if let Some(Opened { manifest, identity, by }) = accepted {
            let passed_over = refused.iter().map(ShareError::to_string).collect();
            let listed = listed.filter(|_| first == Some(&manifest.snapshot));
            return Ok(Some(AcceptedPush { manifest, identity, by, passed_over, listed }));
        }
        refused.into_iter().next().map_or(Ok(None), Err)
    }

    /// The names in a snapshot that will be needed if the manifest which is said to name it is accepted: each call
    /// of restic takes half a second to derive its key. If anything is wrong they are asked for again.
    fn list_ahead(&self, snapshot: &FullId) -> Option<Vec<Node>> {
        let (mut nodes, mut bytes) = (Vec::new(), 0);
        let listed = self.engine.within(AHEAD_TIME).list(snapshot, &mut |node| {
            bytes += node.name.len() + node.path.len() + node.word.len();
            nodes.push(node);
            if nodes.len() > AHEAD || bytes > AHEAD_BYTES {
                return Err(ShareError::refused("the listing", "it is too long to be kept"));
            }
            Ok(())
        });
        listed.is_ok().then_some(nodes)
    }

    /// Opens a manifest: the signature first, then what it claims of itself.
    pub(super) fn open(
        &self,
        hint: &Hint,
        trust: &Trust,
        repository: &FullId,
    ) -> Result<Opened, ShareError> {
        self.check_jump(hint)?;
        let what = format!("push {} (snapshot {})", hint.counter, hint.snapshot.short());
        let refused = |why: String| ShareError::refused(what.clone(), why);
        let bytes = self.engine.bytes(&hint.snapshot, NAME, LONGEST)?;
        let signed = Signed::split(&bytes).map_err(|why| refused(why.to_owned()))?;
        trust.verify(&signed)?;
        let manifest = PushManifest::decode(signed.message).map_err(refused)?;
        if manifest.signer != signed.signer {
            return Err(refused(format!(
                "it names {}, and {} signed it",
                manifest.signer, signed.signer
            )));
        }
        if manifest.repository != *repository {
            return Err(refused("it is of another repository".to_owned()));
        }
        if (manifest.counter, &manifest.snapshot) != (hint.counter, &hint.data)
            || manifest.scope.tag() != hint.scope
            || Scope::project_tag(&manifest.scope.project) != hint.project
        {
            return Err(refused(format!(
                "its tags are not its own: it is push {}",
                manifest.counter
            )));
        }
        manifest.check_times(seconds_now()).map_err(refused)?;
        manifest.check_entries().map_err(refused)?;
        let identity: Option<IdentityRecord> =
            serde_json::from_slice(&manifest.records.identity).ok();
        let is_its_own = |identity: &IdentityRecord| {
            identity.encoded().is_ok_and(|encoded| encoded == manifest.records.identity)
                && Scope::of(&manifest.scope.project, identity) == manifest.scope
        };
        match identity.filter(is_its_own) {
            Some(identity) => Ok(Opened { manifest, identity, by: SignedBy::of(&signed) }),
            None => Err(refused("its identity is not that of its scope".to_owned())),
        }
    }

    fn check_whose(
        manifest: &PushManifest,
        identity: &IdentityRecord,
        project: &ProjectName,
        whose: Whose<'_>,
    ) -> Result<(), ShareError> {
        let fits = match whose {
            Whose::Command(own) => Scope::of(project, own) == manifest.scope,
            Whose::Place(own) => {
                manifest.scope.project == *project && identity.place() == own.place()
            }
        };
        if fits {
            return Ok(());
        }
        let what = format!("push {}", manifest.counter);
        Err(ShareError::refused(what, "it is of another scope"))
    }
}
