//! Signatures as OpenSSH makes and verifies them (`ssh-keygen(1)`, `-Y`; `PROTOCOL.sshsig` of OpenSSH 9.2):
//! keys, lists of allowed signers with their namespaces and dates, and revocation are all its own.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::deadline::Deadline;
use super::error::ShareError;
use crate::base::encoding::{base64, from_base64};
use crate::base::path_error::At;
use crate::base::program::{Call, Ended, last_line, read_at_most};

/// What a signature has to be for: one that a key made for anything else does not count.
pub const NAMESPACE: &str = "larder-share@1";

/// How long ssh-keygen may take.
const LIMIT: Duration = Duration::from_secs(30);

/// No signature is longer.
pub const LONGEST: usize = 16 * 1024;

/// How an armoured signature begins and ends.
const BEGINS: &str = "-----BEGIN SSH SIGNATURE-----\n";
const ENDS: &str = "-----END SSH SIGNATURE-----\n";

/// A message with a signature, and who says to have made it.
#[derive(Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The principal that the signature is said to be of.
    pub signer: &'a str,
    signature: &'a str,
    /// The bytes that are signed: a manifest.
    pub message: &'a [u8],
}

/// Who is believed.
pub struct Trust {
    /// The list of allowed signers.
    pub allowed: PathBuf,
    /// Keys that are accepted no longer.
    pub revoked: Option<PathBuf>,
    /// If it is there, only these principals.
    pub accept: Option<Vec<String>>,
    /// When all has to be verified, if there is a limit.
    pub deadline: Option<Deadline>,
}

/// What begins the bytes of a signature (`PROTOCOL.sshsig` of OpenSSH 9.2).
const SSHSIG: &[u8] = b"SSHSIG";

/// The first line of a signed message.
const HEAD: &str = "larder-share 1 ";

impl<'a> Signed<'a> {
    /// Puts a message together with its signature.
    pub fn join(signer: &str, signature: &str, message: &[u8]) -> Vec<u8> {
        let mut bytes = format!("{HEAD}{signer}\n{signature}").into_bytes();
        bytes.extend_from_slice(message);
        bytes
    }

    /// Takes such bytes apart; why they are none otherwise.
    pub fn split(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let rest = bytes.strip_prefix(HEAD.as_bytes()).ok_or("it is not signed")?;
        let end = memchr::memchr(b'\n', rest).ok_or("it is not signed")?;
        let signer = std::str::from_utf8(&rest[..end]).map_err(|_| "its signer is no name")?;
        if !is_principal(signer) {
            return Err("its signer is no name");
        }
        let rest = &rest[end + 1..];
        if !rest.starts_with(BEGINS.as_bytes()) {
            return Err("it is not signed");
        }
        let reach = &rest[..rest.len().min(LONGEST)];
        let end = memchr::memmem::find(reach, ENDS.as_bytes()).ok_or("its signature has no end")?;
        let (signature, message) = rest.split_at(end + ENDS.len());
        let signature = std::str::from_utf8(signature).map_err(|_| "its signature is no text")?;
        Ok(Self { signer, signature, message })
    }
}

impl Signed<'_> {
    /// The signature, armoured.
    pub fn signature(&self) -> &str {
        self.signature
    }
}

/// Whether a text is a name that ssh-keygen takes for nothing else: no option, no pattern, no list.
pub fn is_principal(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
    (1..=256).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(allowed)
}

/// Signs a message with a private key that has no passphrase, or that an agent holds.
pub fn sign(key: &Path, message: &[u8]) -> Result<String, ShareError> {
    let mut command = keygen(&["-Y", "sign", "-n", NAMESPACE, "-f"]);
    command.arg(key);
    let (text, complaint) = call(command, "signing the manifest", message, None)?;
    match text.strip_prefix(BEGINS).and_then(|rest| rest.strip_suffix(ENDS)) {
        Some(_) if text.len() <= LONGEST => Ok(text),
        _ => Err(failed("signing the manifest", last_line(&complaint))),
    }
}

impl Trust {
    /// Verifies a signature; why it does not count otherwise.
    pub fn verify(&self, signed: &Signed<'_>) -> Result<(), ShareError> {
        let signer = signed.signer;
        let refused = |why: String| ShareError::refused(format!("the signature of {signer}"), why);
        if self.accept.as_ref().is_some_and(|accept| !accept.iter().any(|name| name == signer)) {
            return Err(refused("`accept` in [share] does not name this signer".to_owned()));
        }
        for list in std::iter::once(&self.allowed).chain(&self.revoked) {
            // Its own words for that do not name the file.
            File::open(list).at("read", list)?;
        }
        match self.ask(signed, self.revoked.as_deref())? {
            None => Ok(()),
            // It says no more than that it could not.
            Some(_) if self.revoked.is_some() && self.ask(signed, None)?.is_none() => {
                Err(refused("its key is revoked".to_owned()))
            }
            Some(why) => Err(refused(why)),
        }
    }

    /// Asks ssh-keygen; what it says if it does not believe it.
    fn ask(
        &self,
        signed: &Signed<'_>,
        revoked: Option<&Path>,
    ) -> Result<Option<String>, ShareError> {
        let doing = "verifying a signature";
        let file = nameless(signed.signature.as_bytes());
        let file = file.map_err(|error| failed(doing, &error.to_string()))?;
        let place = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let mut command =
            keygen(&["-Y", "verify", "-n", NAMESPACE, "-I", signed.signer, "-s", &place, "-f"]);
        command.arg(&self.allowed);
        if let Some(revoked) = revoked {
            command.arg("-r").arg(revoked);
        }
        let (text, complaint) = call(command, doing, signed.message, self.deadline)?;
        Ok((!text.starts_with("Good ")).then(|| why(&complaint)))
    }
}

/// Who signed a manifest.
#[derive(Clone, Debug)]
pub(super) struct SignedBy {
    /// The public key, as `.pub` files have it; empty if the signature does not say.
    pub key: String,
    pub signature: String,
}

impl SignedBy {
    pub(super) fn of(signed: &Signed<'_>) -> Self {
        let signature = signed.signature().to_owned();
        Self { key: key_in(&signature).unwrap_or_default(), signature }
    }
}

/// The public key in an armoured signature, in base64.
fn key_in(signature: &str) -> Option<String> {
    let lines = signature.lines().filter(|line| !line.starts_with("-----"));
    let bytes = from_base64(&lines.collect::<String>())?;
    let rest = bytes.strip_prefix(SSHSIG)?.get(4..)?;
    let (length, rest) = rest.split_at_checked(4)?;
    let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
    Some(base64(rest.get(..length)?))
}

/// The kind of a public key, which its bytes begin with.
pub(super) fn kind_of(key: &[u8]) -> Option<String> {
    let (length, rest) = key.split_at_checked(4)?;
    let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
    String::from_utf8(rest.get(..length)?.to_vec()).ok()
}

/// What ssh-keygen said, without what it always says.
fn why(complaint: &str) -> String {
    let lines: Vec<&str> =
        complaint.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let telling = lines.iter().rev().find(|line| !line.starts_with("Could not verify signature"));
    (*telling.or(lines.last()).unwrap_or(&"no allowed signer made it")).to_owned()
}

pub(super) fn keygen(words: &[&str]) -> Command {
    let mut command = Command::new("ssh-keygen");
    // It asks for a passphrase otherwise, and nobody is there.
    command.args(words).env("SSH_ASKPASS", "/bin/false").env("SSH_ASKPASS_REQUIRE", "force");
    command.env("LC_ALL", "C");
    command
}

/// What it says if it succeeds, and what it complains about.
fn call(
    command: Command,
    doing: &str,
    input: &[u8],
    deadline: Option<Deadline>,
) -> Result<(String, String), ShareError> {
    let (text, ended) = run(command, doing, input, deadline)?;
    Ok((if ended.status.success() { text } else { String::new() }, ended.complaint))
}

/// What it says, whether it succeeds or not.
pub(super) fn ask(
    command: Command,
    doing: &str,
    input: &[u8],
    deadline: Option<Deadline>,
) -> Result<(String, String), ShareError> {
    let (text, ended) = run(command, doing, input, deadline)?;
    Ok((text, ended.complaint))
}

fn run(
    command: Command,
    doing: &str,
    input: &[u8],
    deadline: Option<Deadline>,
) -> Result<(String, Ended), ShareError> {
    const PROGRAM: &str = "ssh-keygen";
    let (input, limit) = (Some(input), Deadline::limit(deadline, LIMIT, PROGRAM, doing)?);
    let call = Call { input, limit, ..Call::new(command, PROGRAM, doing) };
    let ran = call.run(|stream| {
        let read = read_at_most(stream, LONGEST as u64);
        let read = read.map_err(|error| failed(doing, &error.to_string()))?;
        read.ok_or_else(|| failed(doing, "it says too much"))
    });
    let (text, ended) = ran.map_err(|error| Deadline::judge(deadline, error))?;
    Ok((String::from_utf8_lossy(&text).into_owned(), ended))
}

fn failed(doing: &str, why: &str) -> ShareError {
    let program = "ssh-keygen".to_owned();
    ShareError::Failed { program, doing: doing.to_owned(), why: why.to_owned() }
}

/// A file without a name that holds some bytes.
pub(super) fn nameless(bytes: &[u8]) -> std::io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "-----BEGIN SSH SIGNATURE-----\nU1NI\n-----END SSH SIGNATURE-----\n";

    #[test]
    fn what_is_joined_can_be_split() {
        let bytes = Signed::join("a@b", SIGNATURE, b"message\n");
        let signed = Signed { signer: "a@b", signature: SIGNATURE, message: b"message\n" };
        assert_eq!(Signed::split(&bytes).unwrap(), signed);
    }

    #[test]
    fn what_is_not_signed_is_not_split() {
        let cut = format!("{HEAD}a@b\n-----BEGIN SSH SIGNATURE-----\nU1NI\n");
        let late = format!("{HEAD}a@b\n{BEGINS}{}\n{ENDS}", "x".repeat(LONGEST));
        let option = format!("{HEAD}-Oprint-pubkey\n{SIGNATURE}x");
        let list = format!("{HEAD}a,b\n{SIGNATURE}x");
        let bare = format!("{HEAD}a\nmessage");
        for bytes in ["", "larder-share 1", HEAD, &cut, &late, &option, &list, &bare] {
            assert!(Signed::split(bytes.as_bytes()).is_err(), "{bytes}");
        }
        assert!(Signed::split(b"larder-share 1 \xff\n").is_err());
    }

    #[test]
    fn the_key_is_the_one_in_the_signature() {
        const SIGNATURE: &str = "-----BEGIN SSH SIGNATURE-----\n\
            U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAg+lneJiJctA3OrUb1ooQKeT7y7l\n\
            wKSTqhdWd/xCksfTwAAAAObGFyZGVyLXNoYXJlQDEAAAAAAAAABnNoYTUxMgAAAFMAAAAL\n\
            c3NoLWVkMjU1MTkAAABAYoXJtziIUi0fog2lXNYxPNIQcugV/x2HYL/e0J4oOmsAVuMR4I\n\
            G8lJz0Nkc2pR0TL2aquEnVQTAQEylv0Sr8Cw==\n-----END SSH SIGNATURE-----\n";
        let key = "AAAAC3NzaC1lZDI1NTE5AAAAIPpZ3iYiXLQNzq1G9aKECnk+8u5cCkk6oXVnf8QpLH08";
        assert_eq!(key_in(SIGNATURE).as_deref(), Some(key));
        assert_eq!(kind_of(&from_base64(key).unwrap()).as_deref(), Some("ssh-ed25519"));
        assert_eq!(key_in("-----BEGIN SSH SIGNATURE-----\nU1NI\n"), None);
    }
}
