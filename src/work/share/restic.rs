//! restic, the program: what is asked of it, and what its JSON says.
//!
//! Checked with restic 0.18.0 (`doc/075_scripting.rst`, `cmd/restic/`, `internal/ui/`). Its exit code counts
//! only beside what it says: a backup that has no summary made no snapshot, and whatever code it ends with.

mod answers;
mod storing;
mod words;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use self::answers::{Complaint, Config, Initialized, Listed, ListedLock, Message, Statistics};
use self::words::{CONTRADICTING, REPOSITORY, RETRY, exclusions, judge_version, shown, tried};
use super::deadline::Deadline;
use super::engine::{Engine, FullId, RepositoryLock, Restored, Snapshot, Stored, Visit};
use super::error::ShareError;
use crate::base::program::{Call, Ended, last_line, read_at_most};
use crate::store::config::Sharing;

/// The host that snapshots are said to be of: what was stored before is found by it.
const HOST: &str = "larder";

/// So long a question may take that is answered at once, or not at all.
const SHORT: Duration = Duration::from_secs(60);

/// So many locks are looked at.
const LOCKS: usize = 16;

/// So many snapshots are forgotten in one call.
const PIECE: usize = 200;

/// So many bytes of an answer in one piece, and of one line, are read.
const ANSWER: u64 = 64 * 1024 * 1024;
const LINE: u64 = 1024 * 1024;

/// How long restic waits for somebody who has the repository alone.
const RETRY_LOCK: &str = "30s";

/// A repository that restic is called for.
#[derive(Clone)]
pub(super) struct Restic {
    repository: String,
    password: PathBuf,
    cache: PathBuf,
    limit: Duration,
    /// When all has to be done, if there is a limit.
    deadline: Option<Deadline>,
    /// Whether the version was looked at.
    known: OnceLock<()>,
}

impl Restic {
    /// As `[share]` has it; `cache` is where restic keeps what it would have to fetch again.
    pub(super) fn new(settings: &Sharing, cache: PathBuf) -> Self {
        Self {
            repository: settings.repository.clone(),
            password: settings.password_file.clone(),
            cache,
            limit: settings.timeout.0,
            deadline: None,
            known: OnceLock::new(),
        }
    }

    /// The same repository, for what may not take longer than this.
    #[must_use]
    pub(super) fn within(&self, limit: Duration) -> Self {
        Self { limit: self.limit.min(limit), ..self.clone() }
    }

    /// The same repository, for what has to be done by then.
    #[must_use]
    pub(super) fn until(&self, deadline: Deadline) -> Self {
        Self { deadline: Some(deadline), ..self.clone() }
    }

    /// What the program says of its version, if it can be used.
    pub(super) fn version(&self) -> Result<String, ShareError> {
        let mut command = Command::new("restic");
        command.args(["version", "--json"]);
        let call = self.call(command, "asking for its version", None)?;
        let (text, ended) = self.in_time(call.run(|stream| Self::whole(stream, "its version")))?;
        let found = String::from_utf8_lossy(&text).trim().to_owned();
        judge_version(&found, ended.status.success())
    }

    /// Looks at the version, once.
    fn check(&self) -> Result<(), ShareError> {
        if self.known.get().is_none() {
            self.version()?;
            let _ = self.known.set(());
        }
        Ok(())
    }

    /// A command on the repository; the rest of its words are the caller's.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("restic");
        for name in CONTRADICTING {
            command.env_remove(name);
        }
        // Words of a command are seen by everybody who may list processes, and an address may hold a password.
        command.env("TZ", "UTC").env(REPOSITORY, &self.repository).arg("--json");
        command.arg("--password-file").arg(&self.password).arg("--cache-dir").arg(&self.cache);
        command.args(words);
        command
    }

    /// A command that makes a snapshot with these tags; what of is the caller's.
    fn backup(&self, tags: &[String]) -> Command {
        let mut command = self.command(&["backup", "--host", HOST, "--retry-lock", RETRY_LOCK]);
        for tag in tags {
            command.args(["--tag", tag]);
        }
        command
    }

    fn call<'a>(
        &self,
        command: Command,
        doing: &'a str,
        input: Option<&'a [u8]>,
    ) -> Result<Call<'a>, ShareError> {
        const PROGRAM: &str = "restic";
        let limit = Deadline::limit(self.deadline, self.limit, PROGRAM, doing)?;
        let retries = Some(RETRY);
        Ok(Call { input, limit, retries, ..Call::new(command, PROGRAM, doing) })
    }

    /// What a call came to; if it was ended because all together took too long, that is said.
    fn in_time<T>(&self, ran: Result<T, ShareError>) -> Result<T, ShareError> {
        ran.map_err(|error| Deadline::judge(self.deadline, error))
    }

    fn failed(doing: &str, why: impl Into<String>) -> ShareError {
        ShareError::Failed {
            program: "restic".to_owned(),
            doing: doing.to_owned(),
            why: why.into(),
        }
    }

    fn whole(stream: impl Read, doing: &str) -> Result<Vec<u8>, ShareError> {
        let read =
            read_at_most(stream, ANSWER).map_err(|error| Self::failed(doing, error.to_string()))?;
        read.ok_or_else(|| ShareError::refused("the repository's answer", "it is too long"))
    }

    /// Why it failed, if it did.
    fn judge(&self, doing: &str, ended: &Ended) -> Result<(), ShareError> {
        if ended.status.success() {
            return Ok(());
        }
        let said = ended.complaint.lines().filter_map(|line| serde_json::from_str(line).ok());
        let said: Vec<Complaint> = said.collect();
        let why = said.iter().find_map(Complaint::text);
        let why = why.unwrap_or_else(|| tried(last_line(&ended.complaint)).to_owned());
        let why = why.replace(&self.repository, &self.shown());
        Err(match ended.status.code() {
            // `cmd/restic/main.go`: 10 and 11.
            Some(10) => ShareError::NoRepository { repository: self.shown() },
            Some(11) => ShareError::Locked { why },
            _ => Self::failed(doing, why),
        })
    }

    /// The repository without the password that its address may hold.
    pub(super) fn shown(&self) -> String {
        shown(&self.repository)
    }

    /// An answer in one piece.
    fn answer(&self, words: &[&str], doing: &str) -> Result<Vec<u8>, ShareError> {
        self.check()?;
        let mut call = self.call(self.command(words), doing, None)?;
        if words.first() != Some(&"stats") {
            call.limit = call.limit.min(SHORT);
        }
        let (text, ended) = self.in_time(call.run(|stream| Self::whole(stream, doing)))?;
        self.judge(doing, &ended)?;
        Ok(text)
    }

    /// The same, as a value.
    fn ask<T: serde::de::DeserializeOwned>(
        &self,
        words: &[&str],
        doing: &str,
    ) -> Result<T, ShareError> {
        serde_json::from_slice(&self.answer(words, doing)?)
            .map_err(|error| Self::failed(doing, format!("its answer is not understood: {error}")))
    }

    /// Runs a command that says what it does line by line, each of which is a message.
    fn follow(
        &self,
        command: Command,
        doing: &str,
        input: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), ShareError>,
    ) -> Result<(), ShareError> {
        self.check()?;
        let call = self.call(command, doing, input)?;
        let ran = call.run(|stream| {
            let mut stream = BufReader::with_capacity(256 * 1024, stream);
            let mut line = Vec::new();
            loop {
                line.clear();
                let read = (&mut stream).take(LINE).read_until(b'\n', &mut line);
                match read.map_err(|error| Self::failed(doing, error.to_string()))? {
                    0 => return Ok(()),
                    _ if line.last() != Some(&b'\n') && line.len() as u64 >= LINE => {
                        return Err(ShareError::refused(
                            "the repository's answer",
                            "a line is too long",
                        ));
                    }
                    _ => visit(&line)?,
                }
            }
        });
        let ((), ended) = self.in_time(ran)?;
        self.judge(doing, &ended)
    }
}

impl Engine for Restic {
    fn repository(&self) -> Result<FullId, ShareError> {
        let doing = "reading its configuration";
        let config: Config = self.ask(&["cat", "config", "--no-lock"], doing)?;
        if config.version != 2 {
            let why = format!("the repository has format {}, not 2", config.version);
            return Err(Self::failed(doing, why));
        }
        Ok(config.id)
    }

    fn snapshots(&self, tag: &str) -> Result<Vec<Snapshot>, ShareError> {
        let words = ["snapshots", "--no-lock", "--tag", tag];
        let listed: Vec<Listed> = self.ask(&words, "listing snapshots")?;
        let has_tag = |snapshot: &Listed| snapshot.tags.iter().any(|own| own == tag);
        Ok(listed.into_iter().filter(has_tag).map(Snapshot::from).collect())
    }

    fn store_tree(
        &self,
        dir: &Path,
        without: &[&Path],
        tags: &[String],
    ) -> Result<Stored, ShareError> {
        let excluded = exclusions(dir, without)?;
        let command = || {
            let mut command = self.backup(tags);
            // Standard input is the file: nothing is left of it after a crash.
            command.args(["--exclude-file", "/dev/stdin", "--group-by", "host,paths"]);
            command.arg(".").current_dir(dir);
            command
        };
        self.store_unlocking(command, "storing the directory", Some(&excluded))
    }

    fn store_bytes(&self, name: &str, bytes: &[u8], tags: &[String]) -> Result<Stored, ShareError> {
        let command = || {
            let mut command = self.backup(tags);
            command.args(["--stdin", "--stdin-filename", name]);
            command
        };
        self.store_unlocking(command, "storing the manifest", Some(bytes))
    }

    fn bytes(&self, snapshot: &FullId, name: &str, most: u64) -> Result<Vec<u8>, ShareError> {
        self.check()?;
        let doing = "reading a manifest";
        let path = format!("/{name}");
        let command = self.command(&["dump", "--no-lock", snapshot.as_str(), &path]);
        let ran = self.call(command, doing, None)?.run(|stream| {
            let read = read_at_most(stream, most);
            let read = read.map_err(|error| Self::failed(doing, error.to_string()))?;
            read.ok_or_else(|| {
                let what = format!("the manifest in snapshot {}", snapshot.short());
                ShareError::refused(what, format!("it has more than {most} bytes"))
            })
        });
        let (bytes, ended) = self.in_time(ran)?;
        self.judge(doing, &ended)?;
        Ok(bytes)
    }

    fn list(&self, snapshot: &FullId, visit: Visit<'_>) -> Result<(), ShareError> {
        let doing = "listing the snapshot";
        let command = self.command(&["ls", "--no-lock", snapshot.as_str()]);
        self.follow(command, doing, None, &mut |line| match serde_json::from_slice(line) {
            Ok(Message::Node(node)) => visit(node.into()),
            Ok(Message::Snapshot) => Ok(()),
            Ok(_) => Err(Self::failed(doing, "it says something else than names")),
            Err(error) => Err(Self::failed(doing, format!("a line is not understood: {error}"))),
        })
    }

    fn init(&self) -> Result<FullId, ShareError> {
        let words = ["init", "--repository-version", "2"];
        let made: Initialized = self.ask(&words, "making the repository")?;
        Ok(made.id)
    }

    fn unlock(&self) -> Result<(), ShareError> {
        self.follow(self.command(&["unlock"]), "removing stale locks", None, &mut |_| Ok(()))
    }

    fn forget(&self, snapshots: &[FullId]) -> Result<(), ShareError> {
        let doing = "forgetting snapshots";
        for piece in snapshots.chunks(PIECE) {
            let mut command = self.command(&["forget", "--retry-lock", RETRY_LOCK]);
            command.args(piece.iter().map(FullId::as_str));
            self.follow(command, doing, None, &mut |_| Ok(()))?;
        }
        Ok(())
    }

    fn prune(&self) -> Result<(), ShareError> {
        let command = self.command(&["prune", "--retry-lock", RETRY_LOCK]);
        self.follow(command, "removing what nothing needs", None, &mut |_| Ok(()))
    }

    fn size(&self, snapshots: &[FullId]) -> Result<u64, ShareError> {
        if snapshots.is_empty() {
            return Ok(0);
        }
        let mut words = vec!["stats", "--no-lock", "--mode", "raw-data"];
        words.extend(snapshots.iter().map(FullId::as_str));
        let said: Statistics = self.ask(&words, "measuring the repository")?;
        Ok(said.total_size)
    }

    fn locks(&self) -> Result<Vec<RepositoryLock>, ShareError> {
        let text = self.answer(&["list", "locks", "--no-lock"], "listing locks")?;
        let text = String::from_utf8_lossy(&text);
        let ids = text.lines().filter_map(|id| FullId::try_from(id.trim().to_owned()).ok());
        let mut locks = Vec::new();
        for id in ids.take(LOCKS) {
            let words = ["cat", "lock", id.as_str(), "--no-lock"];
            match self.ask::<ListedLock>(&words, "reading a lock") {
                Ok(lock) => locks.push(lock.into()),
                // It is gone by now.
                Err(ShareError::Failed { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(locks)
    }

    fn restore(&self, snapshot: &FullId, to: &Path) -> Result<Restored, ShareError> {
        let doing = "restoring the snapshot";
        let mut command = self.command(&["restore", "--no-lock", "--overwrite", "if-changed"]);
        command.arg("--target").arg(to).arg(snapshot.as_str());
        let mut restored = Restored::default();
        let (mut is_complete, mut wrong) = (false, None);
        self.follow(command, doing, None, &mut |line| {
            match serde_json::from_slice(line) {
                Ok(Message::Summary { bytes_restored, .. }) => {
                    (is_complete, restored.bytes) = (true, bytes_restored);
                }
                Ok(Message::Error { error, item, .. }) => {
                    let why = error.and_then(|error| error.message).unwrap_or_default();
                    wrong.get_or_insert(format!("{}: {why}", item.unwrap_or_default()));
                }
                _ => {}
            }
            Ok(())
        })?;
        match wrong {
            Some(wrong) => Err(Self::failed(doing, wrong)),
            None if !is_complete => Err(Self::failed(doing, "it did not come to its end")),
            None => Ok(restored),
        }
    }
}
