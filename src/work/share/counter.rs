//! Counters, which never go back, and whose they are: that of a key which is believed no longer does not count, so that
//! a thief blocks nobody for longer than he is believed (decision 105).

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use super::Share;
use super::error::ShareError;
use super::manifest::PushManifest;
use super::select::Hint;
use super::signature::{SignedBy, Trust, ask, keygen, kind_of, nameless};
use crate::base::encoding::from_base64;
use crate::base::path_error::At;
use crate::base::regular;
use crate::store::SeenBy;

/// So much higher than the highest a counter may be: no scope is pushed so often, and so often nobody jumps that far.
const JUMP: u64 = 1 << 32;

/// What begins a list of revoked keys in OpenSSH's own form (`PROTOCOL.krl` of OpenSSH 9.2).
const KRL: &[u8] = b"SSHKRL\n\0";

/// No list of keys is longer.
const LONGEST_LIST: u64 = 16 * 1024 * 1024;

impl Share<'_> {
    /// The highest counter of a scope that was seen here, of those who are believed.
    pub(super) fn highest_seen(&self, scope: &str, trust: &Trust) -> Result<u64, ShareError> {
        for seen in self.store.seen(scope)? {
            if trust.believes_still(&seen)? {
                return Ok(seen.counter);
            }
        }
        Ok(0)
    }

    /// A counter never goes back: not behind what this machine has seen.
    pub(super) fn check_counter(
        &self,
        manifest: &PushManifest,
        trust: &Trust,
    ) -> Result<(), ShareError> {
        let tag = manifest.scope.tag();
        let highest = self.store.seen(&tag)?.first().map_or(0, |seen| seen.counter);
        if manifest.counter >= highest {
            // Then nobody need be asked.
            return Ok(());
        }
        let seen = self.highest_seen(&tag, trust)?;
        if manifest.counter >= seen {
            return Ok(());
        }
        let why = format!("it is older than push {seen}, which was seen here");
        Err(ShareError::refused(format!("push {}", manifest.counter), why))
    }

    /// A counter never jumps out of everybody's reach. This is known of a manifest before it is fetched.
    pub(super) fn check_jump(&self, hint: &Hint) -> Result<(), ShareError> {
        let seen = self.store.seen(&hint.scope)?.first().map_or(0, |seen| seen.counter);
        if hint.counter.saturating_sub(seen) <= JUMP {
            return Ok(());
        }
        let why =
            format!("its counter is more than {JUMP} ahead of push {seen}: nobody pushed so often");
        Err(ShareError::refused(format!("push {}", hint.counter), why))
    }

    /// Manifests of a scope in the order in which they are looked at: none that jumps before one that does not.
    pub(super) fn in_order<'h>(&self, hints: &'h [Hint]) -> Vec<&'h Hint> {
        let jumps = |hint: &&Hint| self.check_jump(hint).is_err();
        let (far, mut near): (Vec<&Hint>, Vec<&Hint>) = hints.iter().partition(jumps);
        near.extend(far);
        near
    }

    /// Records that a manifest was seen, and who signed it.
    pub(super) fn see(&self, manifest: &PushManifest, signed: &SignedBy) -> Result<(), ShareError> {
        let seen = SeenBy {
            counter: manifest.counter,
            signer: manifest.signer.clone(),
            key: signed.key.clone(),
            signature: signed.signature.clone(),
            at: super::select::seconds_now(),
        };
        Ok(self.store.see_counter(&manifest.scope.tag(), seen)?)
    }
}

impl Trust {
    /// Whether who signed what was seen is believed now as well; whether his key has expired meanwhile does not count,
    /// because then he was right to sign it.
    fn believes_still(&self, seen: &SeenBy) -> Result<bool, ShareError> {
        if seen.signature.is_empty() {
            // An older larder wrote it.
            return Ok(true);
        }
        if self.accept.as_ref().is_some_and(|accept| !accept.contains(&seen.signer)) {
            return Ok(false);
        }
        let is_revoked = match &self.revoked {
            Some(list) => self.is_revoked(list, &seen.key)?,
            None => false,
        };
        Ok(!is_revoked && self.is_allowed(seen)?)
    }

    fn is_allowed(&self, seen: &SeenBy) -> Result<bool, ShareError> {
        let doing = "asking who made a signature";
        let file = nameless(seen.signature.as_bytes()).at("read", &self.allowed)?;
        let place = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let time = format!("verify-time={}", time_of(seen.at));
        let mut command = keygen(&["-Y", "find-principals", "-O", &time, "-s", &place, "-f"]);
        command.arg(&self.allowed);
        let (text, _) = ask(command, doing, b"", self.deadline)?;
        // Several of them are on one line, and patterns stand as they are written.
        let mut names = text.split([',', '\n']).map(str::trim);
        Ok(names.any(|name| name == seen.signer || name.contains(['*', '?'])))
    }

    fn is_revoked(&self, list: &Path, key: &str) -> Result<bool, ShareError> {
        let text = regular::read(list, LONGEST_LIST).at("read", list)?;
        if !text.starts_with(KRL) {
            let text = String::from_utf8_lossy(&text);
            return Ok(text.split_whitespace().any(|word| word == key));
        }
        let doing = "asking whether a key is revoked";
        let kind = from_base64(key).and_then(|key| kind_of(&key)).unwrap_or_default();
        let file = nameless(format!("{kind} {key}\n").as_bytes()).at("read", list)?;
        let place = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let mut command = keygen(&["-Q", "-f"]);
        command.arg(list).arg(place);
        // Whatever else it says than that the key is not in it counts as if it were.
        let (text, _) = ask(command, doing, b"", self.deadline)?;
        Ok(!text.trim_end().ends_with(": ok"))
    }
}

/// A moment as ssh-keygen takes it, in UTC: `20260131235959Z`.
fn time_of(seconds: u64) -> String {
    let at = std::time::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let at = at.unwrap_or(std::time::UNIX_EPOCH);
    let text = humantime::format_rfc3339_seconds(at).to_string();
    text.chars().filter(|it| it.is_ascii_digit() || *it == 'Z').collect()
}

/// The lines of a list of allowed signers that let a key sign as whoever matches a pattern, or that vouch for keys which
/// nobody lists: with such a key `accept` holds back nobody who matches.
pub(crate) fn patterns(list: &Path) -> io::Result<Vec<usize>> {
    let text = String::from_utf8_lossy(&regular::read(list, LONGEST_LIST)?).into_owned();
    let is_wide = |line: &&str| {
        let line = line.trim();
        let names = match line.strip_prefix('"') {
            Some(rest) => rest.split('"').next().unwrap_or_default(),
            None => line.split_whitespace().next().unwrap_or_default(),
        };
        let is_comment = line.starts_with('#');
        !is_comment && (names.contains(['*', '?']) || line.contains("cert-authority"))
    };
    let lines = text.lines().enumerate().filter(|(_, line)| is_wide(line));
    Ok(lines.map(|(index, _)| index + 1).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_moment_is_written_as_it_is_read() {
        assert_eq!(time_of(1_700_000_000), "20231114221320Z");
    }

    #[test]
    fn lines_that_let_somebody_sign_as_anybody_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("allowed");
        let text = "# *@example\nrelease@example ssh-ed25519 AAAA\n* ssh-ed25519 AAAA\n\
            a@x,?@y ssh-ed25519 AAAA\n\"ci@*\" ssh-ed25519 AAAA\n\
            b@x cert-authority ssh-ed25519 AAAA\nc@x ssh-ed25519 AAAA *\n";
        fs::write(&list, text).unwrap();
        assert_eq!(patterns(&list).unwrap(), [3, 4, 5, 6]);
        assert!(patterns(&dir.path().join("none")).is_err());
    }
}
