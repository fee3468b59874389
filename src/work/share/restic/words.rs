//! Texts that restic says and reads: pure.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::answers::Version;
use crate::work::share::error::ShareError;

/// What restic says when it is going to try something once more (`internal/backend/retry/backend_retry.go`).
pub(super) const RETRY: &str = " returned error, retrying after ";

/// The variable that says where the repository is.
pub(super) const REPOSITORY: &str = "RESTIC_REPOSITORY";

/// Variables that would contradict what it is called with.
pub(super) const CONTRADICTING: [&str; 5] = [
    REPOSITORY,
    "RESTIC_REPOSITORY_FILE",
    "RESTIC_PASSWORD",
    "RESTIC_PASSWORD_FILE",
    "RESTIC_PASSWORD_COMMAND",
];

/// The oldest restic that is used: 0.17 has the JSON messages and exit codes that are relied on, and
/// restores onto files that are there.
const OLDEST: [u64; 2] = [0, 17];

/// An address without the password that it may hold.
pub(super) fn shown(repository: &str) -> String {
    let Some((scheme, rest)) = repository.split_once("://") else {
        return repository.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// The version in what restic says of it, if it is new enough.
pub(super) fn judge_version(found: &str, succeeded: bool) -> Result<String, ShareError> {
    let said: Option<Version> = serde_json::from_str(found).ok();
    let version = said.map(|said| said.version).unwrap_or_default();
    let mut numbers = version.split(['.', '-']).map(|part| part.parse::<u64>().ok());
    let [major, minor] = [numbers.next().flatten(), numbers.next().flatten()];
    match major.zip(minor) {
        Some((major, minor)) if succeeded && [major, minor] >= OLDEST => Ok(version),
        Some(_) => Err(ShareError::OldRestic { found: version }),
        // Before 0.17 it answers in words.
        None => Err(ShareError::OldRestic { found: found.chars().take(60).collect() }),
    }
}

/// What it tried once more, without that it did.
pub(super) fn tried(line: &str) -> &str {
    let after = line.split_once(RETRY).and_then(|(_, after)| after.split_once(": "));
    after.map_or(line, |(_, why)| why)
}

/// The patterns that leave some paths out (`doc/040_backup.rst`, "Excluding Files"): `*`, `?`, `[` and `\` mean
/// something to Go's `filepath.Match`, `$` names a variable, and space at the ends is cut off.
pub(super) fn exclusions(dir: &Path, without: &[&Path]) -> Result<Vec<u8>, ShareError> {
    let mut text = Vec::new();
    for path in without {
        let path = dir.join(path);
        let bytes = path.as_os_str().as_bytes();
        if bytes.contains(&b'\n') || bytes.last().is_some_and(u8::is_ascii_whitespace) {
            let why = format!("{} has a name that cannot be left out", path.display());
            return Err(ShareError::NotPushable(why));
        }
        for byte in bytes {
            match byte {
                b'*' | b'?' | b'[' | b']' | b'\\' => text.extend([b'\\', *byte]),
                b'$' => text.extend(b"$$"),
                byte => text.push(*byte),
            }
        }
        let _ = writeln!(text);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        assert_eq!(
            shown("rest:https://me:secret@host:8000/larder"),
            "rest:https://host:8000/larder"
        );
        assert_eq!(shown("s3:http://host/bucket@x"), "s3:http://host/bucket@x");
        assert_eq!(shown("/srv/larder"), "/srv/larder");
    }

    #[test]
    fn an_old_restic_and_one_that_says_something_else_are_refused() {
        let judge = |said: &str| judge_version(said, true);
        let json =
            |version: &str| format!("{{\"message_type\":\"version\",\"version\":\"{version}\"}}");
        for good in ["0.17.0", "0.18.0", "0.18.0-dev (compiled manually)", "1.0.0"] {
            assert_eq!(judge(&json(good)).unwrap(), good);
        }
        for old in ["0.16.4", "0.9.1", "", "new"] {
            assert!(judge(&json(old)).is_err(), "{old}");
        }
        let old = judge("restic 0.14.0 compiled with go1.19.8 on linux/amd64").unwrap_err();
        assert!(old.to_string().contains("0.14.0") && old.to_string().contains("0.17 or newer"));
        assert!(judge_version(&json("0.18.0"), false).is_err());
    }

    #[test]
    fn patterns_stand_for_one_path_each() {
        let paths = [Path::new("a*b"), Path::new("c/$X[d]")];
        let text = exclusions(Path::new("/t"), &paths).unwrap();
        assert_eq!(text, b"/t/a\\*b\n/t/c/$$X\\[d\\]\n");
        assert!(exclusions(Path::new("/t"), &[Path::new("a\nb")]).is_err());
        assert!(exclusions(Path::new("/t"), &[Path::new("a ")]).is_err());
    }
}
